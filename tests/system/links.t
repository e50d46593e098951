#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What becomes of a link that is traced, and of a link on which nothing is to be seen: the right message,
# the right status, no leftovers.
. tests/lib.sh
need_root
need python3
make_pair

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010001 0008 0000'
mkdir "$work/tracing"
instances() { unshare -m sh -c 'mount -t tracefs tracefs "$0" && ls "$0/instances"' "$work/tracing"; }
no_instance() { ! instances | grep -qx "xguard-$1"; }

# --- seen only after a while: started now, looked at below ------------------------------------------------

ip -n "$sender" link add quiet0 type veth peer name quiet1
ip -n "$sender" link set quiet0 up
ip -n "$sender" link set quiet1 up
start_xguard_on "$sender" quiet0 idle -u --interval 1000
on_idle=$pid
start_xguard_on "$sender" quiet1 stopped -u
on_stopped=$pid
stopped_guardian=$(child_of "$pid")
kill -STOP "$stopped_guardian"
kill -INT "$pid"
stopped_at=$(date +%s)
start_xguard_on "$sender" lo filtered -u --interval 1000 udp port 9
on_filtered=$pid
start_xguard_on "$receiver" lo unfiltered -k
on_sender ping -q -c 7 127.0.0.1 >/dev/null &
children="$children $!"
ifb=
if ip -n "$receiver" link add ifb0 type ifb 2>/dev/null && ip -n "$receiver" link set ifb0 up &&
	on_receiver tc qdisc add dev rx0 ingress 2>/dev/null &&
	on_receiver tc filter add dev rx0 parent ffff: protocol all u32 match u32 0 0 \
		action mirred egress redirect dev ifb0 2>/dev/null; then
	ifb=yes
	start_xguard_on "$receiver" ifb0 aside -u
fi

# --- renamed, moved, deleted ------------------------------------------------------------------------------

start_xguard u -u --interval 0.05
ip -n "$receiver" link set dev rx0 name other
await_line "$work/u.err" '^xguard: rx0: the link is now called other; still attached$'
report $? 'a link that is renamed is a note'
send_hex -3 "$udp" >"$work/sent"
await_line "$work/u.out" 'src_ip=10.0.0.1, protocol=UDP, hits=3$'
report $? 'and the trace goes on'
ip -n "$receiver" link set dev other name "$(printf 'a\033[1m\377')"
await_line "$work/u.err" '^xguard: rx0: the link is now called a\\x1b\[1m\\xff; still attached$'
report $? 'a name that would speak to the terminal is shown harmless'
stop_xguard u
is "$status" 0 'it ends as ever'
ok 'and detaches' has_no_program "$receiver" "$(printf 'a\033[1m\377')"
start u ip netns exec "$receiver" "$XGUARD" -u -i "$(printf 'a\033[1m\377')"
await_line "$work/u.err" '^xguard: attached to a\\x1b\[1m\\xff \('
report $? 'such a name is attached to'
ip -n "$receiver" link set dev "$(printf 'a\033[1m\377')" name rx0
stop_xguard u
unlike "$work/u.err" "$(printf '\033|\377')" 'and no message has its bytes'

odd=$(printf 'a"\\,\033\377{')
ip -n "$receiver" link set dev rx0 name "$odd"
for trace in u k; do
	for format in json csv; do
		start odd ip netns exec "$receiver" "$XGUARD" -$trace -i "$odd" --format $format
		await_line "$work/odd.err" '^xguard: attached to'
		send_hex -2 "$udp" >"$work/sent"
		stop odd
		is "$(python3 - $format "$work/odd.out" <<-'END'
			import csv, json, sys
			text = open(sys.argv[2], newline="").read()
			if sys.argv[1] == "json":
			    rows = [json.loads(line) for line in text.splitlines()]
			else:
			    rows = list(csv.DictReader(text.splitlines()))
			print(*sorted({row["interface"] for row in rows}), any(c < " " for c in text.replace("\n", "")))
		END
		)" "$([ $format = json ] && printf 'a"\\,\033\\xff{' || printf 'a"\\,\\x1b\\xff{') False" \
			"-$trace: with a name of quotes, commas and control characters, $format is valid"
	done
done
ip -n "$receiver" link set dev "$odd" name rx0

for mode in native:xdpdrv generic:xdpgeneric; do
	for trace in u k; do
		start_xguard $trace -$trace --mode ${mode%:*}
		guardian=$(child_of "$pid")
		send_hex -2 "$udp" >"$work/sent"
		ip -n "$receiver" link set dev rx0 netns "$sender"
		stop_xguard $trace 0
		is "$status" 1 "-$trace, ${mode%:*}: a link that moves to another namespace ends the run with 1"
		like "$work/$trace.err" '^xguard: rx0: the link was moved to another network namespace, our program with it$' \
			'it says so'
		like "$work/$trace.err" '^xguard: rx0: 2 packets, 84 bytes' 'and sums up'
		command=$(sed -n 's/^xguard: run there (.*): \(ip link set dev .* off\)$/\1/p' "$work/$trace.err")
		is "$command" "ip link set dev rx0 ${mode#*:} off" 'and how to detach there'
		ok 'the program went with it' has_program "$sender" rx0
		# shellcheck disable=SC2086
		ok 'what it says' on_sender $command
		ok 'helps' has_no_program "$sender" rx0
		ok 'no guardian is left' wait_for 1 ended "$guardian"
		ok 'nor an instance' no_instance "$pid"
		ip -n "$sender" link set dev rx0 netns "$receiver"
		make_end "$receiver" rx0 2 1
		wait_for 5 has_carrier "$sender" tx0
	done
done

ip -n "$receiver" link add gone0 type veth peer name gone1
ip -n "$receiver" link set gone0 up
start_xguard_on "$receiver" gone0 k -k
guardian=$(child_of "$pid")
ip -n "$receiver" link del dev gone1
stop_xguard k 0
is "$status" 1 'a link that vanishes with its peer ends the kernel trace with 1'
like "$work/k.err" '^xguard: gone0: the link is gone: it was deleted$' 'it says so'
ok 'no guardian is left' wait_for 1 ended "$guardian"
ok 'nor an instance' no_instance "$pid"

# --- another's program in our place -----------------------------------------------------------------------

start_xguard k -k
ip -n "$receiver" link set dev rx0 xdp off
stop_xguard k 0
is "$status" 1 'a detach by someone else ends the kernel trace with 1'
like "$work/k.err" '^xguard: rx0: our program was detached by someone else$' 'it says so'
ok 'no instance is left' no_instance "$pid"

# --- a link on top gets a program: the kernel does not let us detach ----------------------------------------

if ip -n "$receiver" link add br0 type bridge 2>/dev/null; then
	ip -n "$receiver" link set br0 up
	for trace in u k; do
		ip -n "$receiver" link set rx0 master br0
		start_xguard below -$trace
		guardian=$(child_of "$pid")
		start_xguard_on "$receiver" br0 above -u
		stop_xguard below
		is "$status" 1 "-$trace: the detach is refused: the status is 1"
		like "$work/below.err" '^xguard: detach from rx0: .*upper device' 'it says why'
		like "$work/below.err" "^xguard: take the program off br0 first, then run .ip link set dev rx0 xdpdrv off.; process $guardian stays and does it as soon as it can$" \
			'and what to do, and who waits for it'
		ok 'the program is still there' has_program "$receiver" rx0
		not_ok 'and so is the guardian' ended "$guardian"
		not_ok 'which keeps no standard error open' sh -c 'readlink "/proc/$0/fd/2" | grep -v "^socket:"' "$guardian"
		ok 'nor an instance' no_instance "$pid"
		stop_xguard above
		ok 'when that one has gone, ours goes' wait_for 2 has_no_program "$receiver" rx0
		ok 'and the guardian, too' wait_for 2 ended "$guardian"
	done
	# The reader killed: nobody but the guardian can say it.
	start_xguard below -u
	guardian=$(child_of "$pid")
	start_xguard_on "$receiver" br0 above -u
	stop_xguard below KILL
	await_line "$work/below.err" '^xguard: take the program off br0 first, then run .ip link set dev rx0 xdpdrv off'
	report $? 'the reader killed: the guardian says it'
	kill -KILL "$guardian"
	stop_xguard above
	ok 'killed while it waits: its deputy detaches' wait_for 2 has_no_program "$receiver" rx0
	ip -n "$receiver" link del br0
else
	skip 'no bridges'
fi

# --- without standard descriptors --------------------------------------------------------------------------

for trace in u k; do
	start bare ip netns exec "$receiver" sh -c 'exec "$0" -i rx0 -$1 --output "$2" <&- >&- 2>&-' \
		"$XGUARD" $trace "$work/bare.data"
	wait_for 5 has_program "$receiver" rx0
	guardian=$(child_of "$pid")
	is "$(readlink "/proc/$guardian/fd/2" | cut -d: -f1)" pipe "-$trace 2>&-: the guardian has a pipe's end in its place"
	send_hex -3 "$udp" >"$work/sent"
	stop_xguard bare
	is "$status" 0 'it ends with 0'
	is "$(grep -Ec 'src_ip=10.0.0.1[, ].*(hits=3|protocol=17)$' "$work/bare.data")" "$([ $trace = u ] && echo 1 || echo 3)" \
		'the data is there'
	is "$(grep -c xguard: "$work/bare.data")" 0 'and no message in it'
	ok 'detached' has_no_program "$receiver" rx0
done

# --- a guardian that was stopped ----------------------------------------------------------------------------

ok 'a reader whose guardian is stopped ends' wait_for 12 ended "$on_stopped"
within $(($(date +%s) - stopped_at)) 9 14 'after ten seconds'
stop stopped 0
is "$status" 1 'with 1'
like "$work/stopped.err" "^xguard: detach from all links: the guardian, process $stopped_guardian, does not answer$" 'and says so'
like "$work/stopped.err" "^xguard: if it was stopped, .kill -CONT $stopped_guardian. makes it detach" 'and what to do'
like "$work/stopped.err" '^xguard: quiet1: 0 packets' 'the summary is there'
kill -CONT "$stopped_guardian"
ok 'which helps' wait_for 1 has_no_program "$sender" quiet1

# --- nothing seen -------------------------------------------------------------------------------------------

ingress='nothing seen yet; what arrives is traced \(ingress only\), not what this host sends$'
await_line "$work/filtered.err" '^xguard: lo: [0-9]+ frames arrived, none matched$'
report $? 'frames arrive and the filter wants none: it says so'
within "$(sed -n 's/^xguard: lo: \([0-9]*\) frames arrived.*/\1/p' "$work/filtered.err")" 8 14 'and how many arrived'
is "$(grep -Ec "^xguard: lo: $ingress" "$work/filtered.err")" 1 'ingress is said once'
await_line "$work/idle.err" "^xguard: quiet0: $ingress"
report $? 'so it is on a quiet link'
unlike "$work/idle.err" 'frames arrived' 'where no frame arrived'
is "$(grep -c 'nothing seen' "$work/unfiltered.err")" 1 'and in the kernel trace'
if [ -n "$ifb" ]; then
	send_hex -3 "$udp" >"$work/sent"
	await_line "$work/aside.err" '^xguard: ifb0: [0-9]+ frames arrived, none came by here. The usual reasons: .*; try --mode native' 12
	report $? 'frames that pass by are a riddle, with the usual answers'
	stop_xguard aside
	is "$(grep -c 'frames arrived' "$work/aside.err")" 1 'told once'
else
	skip 'no ifb links, or no tc'
fi
sleep 1
is "$(grep -c 'frames arrived' "$work/filtered.err")" 1 'the filter, too, is told of once'
for name in idle filtered unfiltered; do
	stop $name
	is "$status" 0 "$name: it ends with 0"
done
ip -n "$receiver" link del ifb0 2>/dev/null
done_testing
