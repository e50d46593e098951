#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The live view, by the screen of a tmux that nobody sees: what it shows, its keys, its sizes, and that
# the terminal is as it was however it ends.
. tests/lib.sh
need_root
need tmux stty
make_pair

tmx() { env -u TMUX TMUX_TMPDIR="$work" LC_ALL=C.UTF-8 tmux -u -f /dev/null "$@"; }
end_tmux() {
	end_tmux_status=$?
	tmx kill-server 2>/dev/null
	(exit "$end_tmux_status")
	clean_up
}
trap end_tmux EXIT

type_line() { tmx send-keys -t xg -l "$1" && tmx send-keys -t xg Enter; }
key() { tmx send-keys -t xg "$@"; }
screen() { tmx capture-pane -p -t xg >"$work/screen"; }
# look PATTERN: a row of the screen matches. see PATTERN [NAME]: soon.
look() { screen; grep -Eq -- "$1" "$work/screen"; }
see() { wait_for 5 look "$1"; report $? "${2:-$1}" || diag <"$work/screen"; }
# The pane: "1 0" while another screen without a cursor is shown.
pane() { tmx display-message -p -t xg '#{alternate_on} #{cursor_flag}'; }
pane_is() { [ "$(pane)" = "$1" ]; }
in_pane() { ps -o pid=,comm= -t "${tty#/dev/}" | sed -n "s/ *\([0-9]*\) $1\$/\1/p"; }
# top [OPTION...]: start it in the pane; $top is its process.
top() {
	type_line "clear; $before $XGUARD -i rx0 -u --top $*; echo status=\$? >$work/status"
	wait_for 5 pane_is '1 0' || diag <"$work/screen"
	wait_for 5 look '^ q quit' || diag <"$work/screen"
	top=$(in_pane xguard)
}
# is_over NAME STATUS: it has ended, and the terminal is as it was.
is_over() {
	wait_for 5 pane_is '0 1'
	report $? "$1: the first screen is back, and the cursor"
	wait_for 5 test -s "$work/status"
	is "$(cat "$work/status")" "status=$2" "$1: the status is $2"
	rm -f "$work/status"
	type_line "stty -g >$work/after"
	wait_for 5 test -s "$work/after"
	same "$work/after" "$work/before" "$1: the terminal's modes are as they were"
	rm -f "$work/after"
	ok "$1: detached" wait_for 1 has_no_program "$receiver" rx0
}

ok 'a terminal' tmx new-session -d -s xg -x 80 -y 24 \
	"exec env -u NO_COLOR ENV= PS1='# ' ip netns exec $receiver sh -i"
tty=$(tmx display-message -p -t xg '#{pane_tty}')
before=
type_line "stty -g >$work/before"
wait_for 5 test -s "$work/before"

# --- what it shows ------------------------------------------------------------------------------------

top
see '^ xguard  rx0 native .* 0:00:0[0-9] *$' 'the link, its mode and the time'
see '^ nothing has arrived yet' 'nothing'
udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010001 0008 0000'
send_hex -7 "$udp" '020000000002 020000000001 0806 0001080006040001 020000000001 0a000009 000000000000 0a000002' \
	>"$work/sent"
see '^ 10\.0\.0\.1 +UDP .* 7 +294 +[0-9]+%' 'a flow, its packets and bytes'
see '^ 10\.0\.0\.9 +ARP .* 7 +294 +[0-9]+%' 'what has no protocol by its type'
see '^ 0 pps   0 bit/s   14 packets   588 B   2 flows$' 'the totals, and a rate that has gone'
start load ip netns exec "$sender" "$TESTS/generate" --seconds 120 --rate 2000 --sources 30 --order zipf \
	--source 10.9.0.1 --size 500 tx0
see '^ (1\.9|2\.[01]) kpps   [78]\.[0-9] Mbit/s   ' 'the rate in packets and bits'
see ' UDP +(99|100)% █████' 'the split, in blocks'
see '[▁▂▃▄▅▆▇█]{2}   ' 'the last minute'
rates() {
	screen
	sed -n 's/^ 10\.9\..* UDP *\([0-9.]*\) \([kM]\) .*/\1 \2/p' "$work/screen" |
		awk '{ print $2 == "M" ? $1 * 1000 : $1 }'
}
rates >"$work/rates"
sort -rn "$work/rates" >"$work/sorted"
same "$work/rates" "$work/sorted" 'the largest rates first'
within "$(wc -l <"$work/rates")" 14 15 'as many as fit'

# --- keys ---------------------------------------------------------------------------------------------

key b
see '^ [0-9.]+ kpps   [0-9.]+ kB/s   ' 'b: bytes'
key b
key s
see 's order: packets' 's: by packets'
key s
see 's order: total' 's: by total'
key s
see 's order: address' 's: by address'
sed -n 's/^ 10\.9\.0\.\([0-9]*\) .*/\1/p' "$work/screen" >"$work/order"
sort -n "$work/order" >"$work/sorted"
same "$work/order" "$work/sorted" 'the addresses in order'
key s p
see '^ xguard .* paused  0:00:' 'p: paused'
screen
cp "$work/screen" "$work/still"
sleep 1.2
screen
same "$work/screen" "$work/still" 'the screen stands still'
key p
wait_for 5 look '^ xguard .*native   .* 0:00:'
key '?'
see '^ b  rates in bits or bytes' '?: help'
key Up
key '?'
see '^ 10\.9\.' '?: no help'

# --- messages -----------------------------------------------------------------------------------------

kill -USR1 "$top"
see '^ rx0: [0-9]+ packets, [0-9]+ bytes, [0-9]+ flows, 0 unattributed in' 'SIGUSR1: the summary, on the screen'
ip -n "$receiver" link set rx0 down
see '^ rx0: the link went down' 'news of the link'
ip -n "$receiver" link set rx0 up
see '^ rx0: the link is up' 'the next one'
wait_for 5 has_carrier "$sender" tx0

# --- sizes --------------------------------------------------------------------------------------------

for size in '40 10' '40 5' '20 3' '200 60' '80 24'; do
	set -- $size
	tmx resize-window -t xg -x "$1" -y "$2"
	wait_for 5 look "^ xguard  rx.{$(($1 - 19)),$(($1 - 17))}0:0"
	report $? "$1 columns, $2 rows: the first row" || diag <"$work/screen"
	wait_for 5 sh -c '[ "$(sed -n "$2p" "$1" | grep -c "^ [qr][ x]")" = 1 ]' - "$work/screen" "$2"
	report $? "$1 columns, $2 rows: the last row" || diag <"$work/screen"
done
see '^ 10\.9\.' 'flows again'
key C-l
see '^ 10\.9\.' 'drawn anew'

# --- the end ------------------------------------------------------------------------------------------

key q
is_over q 0
see '^xguard: attached to rx0' 'what was there before is seen again'
see '^xguard: rx0: the link went down' 'the messages, too'
see '^xguard: rx0: [0-9]+ packets, .* in [0-9.]+ s$' 'and the summary'
top
key C-c
is_over Ctrl+C 0
top
key 'C-\'
is_over 'Ctrl+\' 0
for signal in TERM HUP KILL SEGV; do
	top
	kill -$signal "$top"
	case $signal in KILL) wanted=137 ;; SEGV) wanted=139 ;; *) wanted=0 ;; esac
	is_over SIG$signal $wanted
done
top
guardian=$(ps -o pid= --ppid "$top" | tr -d ' ')
kill -KILL "$guardian"
is_over 'the guardian killed' 1
see 'the process that detaches has died' 'it says so on the first screen'
top
guardian=$(ps -o pid= --ppid "$top" | tr -d ' ')
kill -KILL "$guardian" "$top"
is_over 'both killed' 137
top --duration 1
is_over --duration 0

# A terminal that was stopped holds nobody up.
top
key C-s
sleep 0.5
kill -KILL "$top"
ok 'Ctrl+S and SIGKILL: detached within a second' wait_for 1 has_no_program "$receiver" rx0
key C-q
wait_for 5 test -s "$work/status"
rm -f "$work/status"
type_line "printf '\\033[?1049l\\033[?25h'; clear; stty sane; stty \$(cat $work/before)"

# Suspended and continued.
top
key C-z
wait_for 5 pane_is '0 1'
report $? 'Ctrl+Z: the first screen is back'
ok 'still attached' has_program "$receiver" rx0
type_line "stty -g >$work/after"
wait_for 5 test -s "$work/after"
same "$work/after" "$work/before" 'Ctrl+Z: the modes are as they were'
rm -f "$work/after"
type_line fg
wait_for 5 pane_is '1 0'
see '^ 10\.9\.' 'fg: it goes on'
key q
wait_for 5 pane_is '0 1'
report $? 'and ends'
rm -f "$work/status"

# --- other terminals ----------------------------------------------------------------------------------

before='LC_ALL=C'
top
see ' UDP +[0-9]+% ####' 'no UTF-8: ASCII'
screen
is "$(grep -c '[^ -~]' "$work/screen")" 0 'alone'
key q
is_over 'no UTF-8' 0
before='TERM=linux'
top
see ' UDP +[0-9]+% ####' 'the Linux console has ASCII'
key q
is_over 'Linux console' 0

colors() { tmx capture-pane -e -p -t xg | grep -c "$(printf '\033')\[[0-9;]*[34][0-7]m"; }
before=
top
wait_for 5 look '^ 10\.9\.'
within "$(colors)" 3 24 'colours'
key q
is_over colours 0
before='NO_COLOR=1 sh -c "env -u NO_COLOR \"\$@\"; exit \$?" -'
top
wait_for 5 look '^ 10\.9\.'
is "$(colors)" 0 'no colours where NO_COLOR is set, though it was stripped on the way'
key q
is_over NO_COLOR 0

before='stty rows 0 cols 0;'
top
see '^ 10\.9\.' 'a size of 0 by 0'
is "$(sed -n '24s/^ q quit.*/24/p' "$work/screen")" 24 'is 24 rows'
key q
wait_for 5 test -s "$work/status"
rm -f "$work/status"

type_line "clear; TERM=dumb $XGUARD -i rx0 -u --top --duration 1.2 2>$work/err"
see '^eth_type=IPv4, src_ip=10\.9\.' 'TERM=dumb: text'
await_line "$work/err" '^xguard: rx0: .* in 1\.2 s$'
like "$work/err" '^xguard: --top: .*TERM=dumb.*: text instead$' 'and a note'
on_receiver "$XGUARD" -i rx0 -u --top --duration 1.2 >"$work/out" 2>"$work/err"
like "$work/err" '^xguard: --top: standard output is no terminal: text instead$' 'no terminal: a note'
like "$work/out" '^eth_type=IPv4, src_ip=10\.9\.' 'and text'
unlike "$work/out" "$(printf '\033')" 'alone'
on_receiver "$XGUARD" -i rx0 -u --top --format json >"$work/out" 2>"$work/err"
is $? 2 '--top and --format: misuse'

stop load

# --- what it costs ------------------------------------------------------------------------------------

# cpu PID: nanoseconds of CPU so far
cpu() { awk '{ print $1 }' "/proc/$1/schedstat"; }
start many ip netns exec "$sender" "$TESTS/generate" --seconds 60 --rate 5000 --sources 10000 \
	--source 10.20.0.1 tx0
before=
top
wait_for 10 look '   10\.0 k flows'
used=$(cpu "$top") since=$(date +%s%N)
sleep 5
used=$((($(cpu "$top") - used) * 10000 / ($(date +%s%N) - since)))
within "$used" 1 100 "10,000 flows cost less than 1% of a CPU: $((used / 100)).$(printf %02d $((used % 100)))%"
tmx kill-server
ok 'the terminal has gone: detached' wait_for 1 has_no_program "$receiver" rx0
ok 'and ended' wait_for 2 ended "$top"
stop many
done_testing
