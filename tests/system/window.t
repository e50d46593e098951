#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# --start and --stop: outside of the window no program is attached, inside every frame is counted. The clock
# of the machine is left alone: the times are seconds ahead, and zones are given by TZ.
. tests/lib.sh
need_root
make_pair
TZ=UTC0
export TZ

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010001 0008 0000'
# in N [FORMAT]: the time in so many seconds, on a whole second.
in_seconds() { date -d "@$(($(date +%s) + $1))" "+${2:-%H:%M:%S}"; }
trace() { start "$1" ip netns exec "$receiver" env ${3:+"$3"} "$XGUARD" -i rx0 $2; }

case $(date +%H%M) in 235[89]) sleep 120 ;; esac # times of day, of today

# --- start and stop ---------------------------------------------------------------------------------------

begin=$(date +%s)
trace both "-u --interval 0.1 --start $(in_seconds 3) --stop $(in_seconds 5)"
await_line "$work/both.err" "^xguard: waiting until $(in_seconds 3 %Y-%m-%d)T[0-9:]*Z; press Ctrl\\+C to stop$"
report $? 'what is waited for is shown'
ok 'no program is attached before' has_no_program "$receiver" rx0
is "$(ps -o pid= --ppid "$pid")" '' 'nor does anything else of ours run'
send_hex -5 "$udp" >"$work/sent"
start waiting-k ip netns exec "$receiver" "$XGUARD" -i lo -k --start "$(in_seconds 3000)"
on_waiting=$pid
await_line "$work/waiting-k.err" waiting
kill -USR1 "$on_waiting"
await_line "$work/both.err" '^xguard: attached to rx0'
within $(($(date +%s) - begin)) 3 4 'it is attached at the start'
send_hex -3 "$udp" >"$work/sent"
stop both 0
within $(($(date +%s) - begin)) 5 6 'and ends at the stop'
is "$status" 0 'with 0'
like "$work/both.err" '^xguard: rx0: 3 packets, 126 bytes' 'frames of the window are counted'
like "$work/both.out" 'src_ip=10.0.0.1, protocol=UDP, hits=3$' 'and written'
ok 'detached' has_no_program "$receiver" rx0

wait_for 2 sh -c "[ \$(grep -c waiting '$work/waiting-k.err') = 2 ]"
report $? 'SIGUSR1 has it say again what it waits for'
stop waiting-k
is "$status $(cat "$work/waiting-k.out")" '0 ' 'a signal ends the wait: status 0, nothing written'
unlike "$work/waiting-k.err" 'packets' 'and no summary of what was not traced'

trace past "-u --start 2020-01-01T00:00:00Z --duration 0.3"
stop past 0
is "$status" 0 'a start that is past starts now'
like "$work/past.err" '^xguard: attached' 'at once'
unlike "$work/past.err" waiting 'without a wait'

begin=$(date +%s)
trace stopped "-k --stop $(in_seconds 2 %Y-%m-%dT%H:%M:%SZ) --duration 60 --count 1000"
await_line "$work/stopped.err" '^xguard: attached'
send_hex -2 "$udp" >"$work/sent"
stop stopped 0
within $(($(date +%s) - begin)) 1 3 'a stop alone, with --duration and --count: what comes first ends it'
is "$status $(wc -l <"$work/stopped.out")" '0 2' 'and the lines are there'
trace duration "-u --stop $(in_seconds 60) --duration 0.2"
stop duration 0
is "$status" 0 'the duration first'
trace long "-u --interval 1000 --stop $(in_seconds 2)"
stop long 0
is "$status" 0 'an interval that is longer does not matter'

start head sh -c "ip netns exec $receiver $XGUARD -i rx0 -u --start $(in_seconds 3000) 2>'$work/head.log' | true"
stop head 0
is "$status" 0 'the wait ends when the reader of the output has gone'

# --- local time -------------------------------------------------------------------------------------------

# means TIME TZ: when that is, there
means() {
	ip netns exec "$receiver" env "TZ=$2" "$XGUARD" -i rx0 -u --start "$1" --stop "$1" 2>&1 |
		sed -n 's/^xguard: --stop [^ ]*: \([^ ]*\) is not after the start, .*/\1/p'
}
is "$(means 2027-01-15T22:00 CET-1CEST,M3.5.0,M10.5.0/3)" 2027-01-15T22:00:00+01:00 'TZ as a rule: winter'
is "$(means 2027-07-15T22:00 CET-1CEST,M3.5.0,M10.5.0/3)" 2027-07-15T22:00:00+02:00 'and summer'
is "$(means 2027-07-15T22:00Z EST5EDT,M3.2.0,M11.1.0)" 2027-07-15T22:00:00Z 'UTC where that is given'
is "$(means 2027-07-15T22:00 '')" 2027-07-15T22:00:00Z 'an empty TZ is UTC'
if [ -e /usr/share/zoneinfo/Asia/Kolkata ]; then
	is "$(means 2027-01-15T22:00 Asia/Kolkata)" 2027-01-15T22:00:00+05:30 'TZ as the name of a file'
	is "$(means 2027-01-15T22:00 :/usr/share/zoneinfo/Asia/Kolkata)" 2027-01-15T22:00:00+05:30 'as its path'
else
	skip 'no zone files here'
fi
for zone in Nosuch/Zone /etc/passwd CET-1CEST,nonsense; do
	TZ=$zone "$XGUARD" -i rx0 -u --stop 2020-01-01 2>"$work/none.err"
	is "$?" 2 "TZ=$zone: the stop is past: misuse"
	like "$work/none.err" "^xguard: there is no time zone $zone here: times are UTC$" 'no such zone: UTC, and it says so'
	like "$work/none.err" ': 2020-01-01T00:00:00Z is not after the start' 'which it is'
done
TZ=Nosuch/Zone "$XGUARD" -i rx0 -u --stop 2020-01-01Z 2>"$work/none.err"
unlike "$work/none.err" 'no time zone' 'where UTC is given, nobody asks for a zone'
if unshare -m true 2>/dev/null; then
	unshare -m sh -c 'mount -t tmpfs tmpfs /etc && unset TZ && exec "$0" -i rx0 -u --stop 2020-01-01' \
		"$XGUARD" 2>"$work/none.err"
	like "$work/none.err" '^xguard: there is no time zone here: times are UTC$' 'no /etc/localtime: UTC'
fi

# --- misuse -----------------------------------------------------------------------------------------------

misuse() {
	misuse=$1
	shift
	ip netns exec "$receiver" "$XGUARD" -i rx0 -u "$@" 2>"$work/misuse.err"
	is $? 2 "$misuse: misuse"
	has_no_program "$receiver" rx0
}
misuse 'a stop before the start' --start 2099-01-02 --stop 2099-01-01
like "$work/misuse.err" '^xguard: --stop 2099-01-01: 2099-01-01T00:00:00Z is not after the start, 2099-01-02T00:00:00Z$' \
	'both moments are named'
misuse 'a stop at the start' --start 2099-01-02 --stop 2099-01-02T00:00:00Z
misuse 'a stop that is past' --stop 2020-01-01
misuse 'no time' --start noon
like "$work/misuse.err" "^xguard: --start 'noon': not a time$" 'it is named'

# --- what fails, fails before the wait ----------------------------------------------------------------------

begin=$(date +%s)
ip netns exec "$receiver" "$XGUARD" -i nosuch -u --start "$(in_seconds 3000)" 2>"$work/early.err"
is $? 1 'no such link: known before the wait'
like "$work/early.err" '^xguard: interface nosuch: ' 'it says so'
if command -v setpriv >/dev/null; then
	ip netns exec "$receiver" setpriv --bounding-set=-all --inh-caps=-all "$XGUARD" -i rx0 -u \
		--start "$(in_seconds 3000)" 2>"$work/early.err"
	is $? 1 'nor are privileges that lack left to be found out at night'
fi
within $(($(date +%s) - begin)) 0 5 'at once'
done_testing
