#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel trace: every line, exactly as many, and nobody else's.
. tests/lib.sh
need_root
need ping python3
make_pair

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010001 0008 0000'

# tracefs COMMAND...: run a command where tracefs is at $work/tracing, and nowhere else.
mkdir "$work/tracing"
tracefs() {
	unshare -m sh -c 'mount -t tracefs tracefs "$0" && "$@"' "$work/tracing" "$@"
}
# has_instance NAME: of the xguard that was started under this name. Others may be running.
has_instance() {
	tracefs ls "$work/tracing/instances" | grep -qx "xguard-$(cat "$work/$1.pid")"
}

# --- the line ---------------------------------------------------------------------------------------

start_xguard one -k
on_sender ping -q -c 3 -i 0.01 10.0.0.2 >"$work/ping"
on_sender ping -q -c 2 -i 0.01 fd00::2 >"$work/ping"
wait_for 5 grep -q fd00 "$work/one.out"
ok 'a tracing instance of its own' has_instance one
tracefs cat "$work/tracing/instances/xguard-$pid/events/bpf_trace/bpf_trace_printk/filter" >"$work/filter"
like "$work/filter" '^bpf_string ~ "xg[0-9a-f]{8}\*"$' 'into which the kernel lets no line but its own'
stop_xguard one
is "$status" 0 'the status is 0'
not_ok 'which is removed at the end' has_instance one
is "$(wc -l <"$work/one.out")" 5 'a line for each frame'
head='^ *[^ ].*-[0-9]+ +\[[0-9]{3}\] [^ ]{4,5} +[0-9]+\.[0-9]{6}: bpf_trace_printk: '
is "$(grep -Ec "${head}eth_type=0x800 src_ip=10\.0\.0\.1 protocol=1\$" "$work/one.out")" 3 'as trace_pipe has it'
is "$(grep -Ec "${head}eth_type=0x86dd src_ip=fd00::1 protocol=58\$" "$work/one.out")" 2 'IPv6 too'
like "$work/one.err" '^xguard: rx0: 5 packets, 530 bytes, 5 lines, 0 lost in [0-9]+\.[0-9] s$' 'the summary'

start_xguard sample -k --sample 10
send_hex -95 "$udp" >"$work/sent"
stop_xguard sample
within "$(wc -l <"$work/sample.out")" $((9 - $(nproc) + 1)) 9 '--sample: every tenth of each CPU'
like "$work/sample.err" "^xguard: rx0: 95 packets, .*, $(wc -l <"$work/sample.out") lines, 0 lost" 'of all'

# A frame comes in on the CPU that sends it.
if command -v taskset >/dev/null && taskset -c 0 true 2>/dev/null; then
	for n in 1 2 7 95 96; do
		start_xguard sample -k --sample $n udp
		printf '%s\n' "$udp" | on_sender taskset -c 0 "$TESTS/send" --repeat 95 tx0 - >"$work/sent"
		stop_xguard sample
		is "$(wc -l <"$work/sample.out")" $((95 / n)) "--sample $n: exactly every one of them, on one CPU"
	done
else
	skip 'no taskset'
fi

# --- exactly N, and what is lost --------------------------------------------------------------------

start_xguard count -k -c 7
send_hex -20 "$udp" >"$work/sent"
stop_xguard count 0
is "$status" 0 '--count: the status is 0'
is "$(wc -l <"$work/count.out")" 7 'exactly as many lines'
like "$work/count.err" '^xguard: rx0: [0-9]+ packets, [0-9]+ bytes, 7 lines, 0 lost' 'none of them is lost'

start_xguard duration -k --duration 0.3
stop_xguard duration 0
is "$status" 0 '--duration: the status is 0'
like "$work/duration.err" '^xguard: rx0: 0 packets, 0 bytes, 0 lines, 0 lost in 0\.[3-9] s$' 'after that time'

start_xguard usr1 -k
send_hex -3 "$udp" >"$work/sent"
kill -USR1 "$pid"
await_line "$work/usr1.err" '^xguard: rx0: 3 packets, 126 bytes, 3 lines, 0 lost in'
report $? 'SIGUSR1: the summary so far'
stop_xguard usr1

# A reader that stands still for a while: the buffers run over, and what is lost is known exactly.
start_xguard flood -k --output "$work/flood"
kill -STOP "$pid"
if generate --count 100000; then
	kill -CONT "$pid"
	stop_xguard flood
	is "$status" 0 'the status is 0'
	lines=$(wc -l <"$work/flood")
	like "$work/flood.err" \
		"^xguard: rx0: 100000 packets, 6400000 bytes, $lines lines, $((100000 - lines)) lost in" \
		'lines and lost ones are all there were'
	within "$lines" 1000 99999 'some were lost'
	is "$(grep -c 'eth_type=0x800 src_ip=10.0.0.1 protocol=17$' "$work/flood")" "$lines" 'no line is broken'

	# SIGUSR1 and Ctrl+C are heard in a flood that the reader, on the same CPU, never gets to the end of.
	start deaf nice -n 10 taskset -c 0 ip netns exec "$receiver" "$XGUARD" -i rx0 -k --output "$work/flood"
	await_line "$work/deaf.err" '^xguard: attached'
	start generator ip netns exec "$sender" "$TESTS/generate" --seconds 60 --cpu 0 tx0
	wait_for 5 test -s "$work/flood"
	kill -USR1 "$(cat "$work/deaf.pid")"
	await_line "$work/deaf.err" '^xguard: rx0: .* lost in' 3
	report $? 'SIGUSR1 is heard in a flood'
	kill -INT "$(cat "$work/deaf.pid")"
	wait_for 1 has_no_program "$receiver" rx0
	report $? 'and Ctrl+C'
	stop generator
	stop_xguard deaf 0
	is "$status" 0 'the status is 0'
	like "$work/deaf.err" "^xguard: rx0: .* $(wc -l <"$work/flood") lines, [0-9]+ lost in" 'to the last line'
else
	kill -CONT "$pid"
	stop_xguard flood
	skip 'this kernel has no live XDP frames (Linux 5.18)'
fi

# --- nobody else's lines, and no line of ours to others ---------------------------------------------

quiet_namespace "$ns-c"
ip link add tx1 netns "$sender" type veth peer name rx1 netns "$ns-c" || exit 1
ip -n "$sender" link set tx1 arp off up
ip -n "$ns-c" link set rx1 arp off up
wait_for 5 has_carrier "$sender" tx1
start_xguard left -k
start_xguard_on "$ns-c" rx1 right -k
send_hex -5 "$udp" >"$work/sent"
printf '%s\n' "$udp" | sed 's/0a000001/0a000009/' >"$work/other"
on_sender "$TESTS/send" --repeat 4 tx1 "$work/other" >"$work/sent"
# Another's tracing instance, that listens to all lines with a text in them, and to empty ones: what the
# userspace trace, which has no format, would print.
cat >"$work/listen" <<'END'
cd "$1/instances" && mkdir "$2" && cd "$2" || exit 1
echo "bpf_string ~ \"*$4*\" || bpf_string == \"\"" >events/bpf_trace/bpf_trace_printk/filter
echo 1 >events/bpf_trace/bpf_trace_printk/enable
touch "$3.ready"
while [ ! -e "$3.done" ]; do sleep 0.05; done
cp trace "$3"
cd .. && rmdir "$2"
END
stop_xguard left
stop_xguard right
is "$(grep -c 'src_ip=10.0.0.1 ' "$work/left.out") $(wc -l <"$work/left.out")" '5 5' 'two at once: one sees its own'
is "$(grep -c 'src_ip=10.0.0.9 ' "$work/right.out") $(wc -l <"$work/right.out")" '4 4' 'so does the other'
like "$work/right.err" '^xguard: rx1: 4 packets, .* 4 lines, 0 lost' 'and counts its own'

# Another's instance gets every line; ours is not disturbed by it. The userspace trace prints none.
# (The source address tells our lines there from those of others on this machine.)
source=$(printf '0a%06x' $(($$ % 0x1000000)))
mine=$(echo "$udp" | sed "s/0a000001/$source/")
start listener unshare -m sh -c 'mount -t tracefs tracefs "$0" && exec sh "$1" "$0" "$2" "$3" "$4"' \
	"$work/tracing" "$work/listen" "test-$$" "$work/heard" " ${source#0}00000000 "
wait_for 5 test -e "$work/heard.ready"
start_xguard shared -k
send_hex -6 "$mine" >"$work/sent"
stop_xguard shared
start_xguard silent -u
send_hex -6 "$mine" >"$work/sent"
stop_xguard silent
touch "$work/heard.done"
stop listener 0
is "$(wc -l <"$work/shared.out")" 6 'all lines, though another instance has them too'
is "$(grep -c bpf_trace_printk: "$work/heard")" 6 'which has those six and none of the userspace trace'
is "$(hits "$work/silent.out" UDP)" 6 'which counted'

# --- names that users choose ------------------------------------------------------------------------

# The name of a task is what the kernel prints of whoever sends: any fifteen bytes. It keeps one name
# for each process, for a while, and not at all while another CPU notes one down: "<...>" is shown
# then, and the same is sent again.
cat >"$work/named.py" <<'END'
import ctypes, os, socket, sys, time
frame = bytes.fromhex(sys.argv[1].replace(" ", ""))
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("tx0", 0))
for name in sys.argv[2:]:
    name = name.encode("latin-1").decode("unicode_escape").encode("latin-1")
    child = os.fork()
    if not child:
        ctypes.CDLL(None).prctl(15, ctypes.c_char_p(name), 0, 0, 0)
        s.send(frame)
        time.sleep(0.02) # the kernel keeps a task's name when it is switched away
        os._exit(0)
    os.waitpid(child, 0)
END
cat >"$work/names" <<'END'
plain
\x1b[31mred
new\nline
tab\ttab
\xff\xfe
q"uote,c
[000] ..s2. 1.2
\\x41
bpf_trace_print
END
# named TRACE HOW: send from each until the output of the trace has all names; HOW prints those.
named() {
	for _ in $(seq 40); do
		(set -f; IFS='
'; on_sender python3 "$work/named.py" "$udp" $(cat "$work/names"))
		sleep 0.1
		"$2" "$work/$1.out" | sort -u | grep -Fxf "$work/$1.wanted" >"$work/got"
		[ "$(wc -l <"$work/got")" -lt "$(wc -l <"$work/$1.wanted")" ] || return 0
	done
	return 1
}
in_text() { sed -n 's/^ *\(.*[^ ]\)-[0-9]* *\[[0-9]*\] [^ ]* *[0-9.]*: bpf_trace_printk: eth_type=0x800 .*/\1/p' "$1"; }
in_json() {
	python3 -c 'import json, sys
for line in open(sys.argv[1]): print(repr(json.loads(line)["task"]))' "$1"
}
in_csv() {
	python3 -c 'import csv, sys
for row in csv.DictReader(open(sys.argv[1], newline="")): print(repr(row["task"]))' "$1"
}
cat >"$work/text.wanted" <<'END'
plain
\x1b[31mred
new\x0aline
tab\x09tab
\xff\xfe
q"uote,c
[000] ..s2. 1.2
\x41
bpf_trace_print
END
cat >"$work/json.wanted" <<'END'
'plain'
'\x1b[31mred'
'new\nline'
'tab\ttab'
'\\xff\\xfe'
'q"uote,c'
'[000] ..s2. 1.2'
'\\x41'
'bpf_trace_print'
END
sed "s/.*/'&'/; s/\\\\/\\\\\\\\/g" "$work/text.wanted" >"$work/csv.wanted"
for format in text json csv; do
	start_xguard "$format" -k --format "$format"
	named "$format" "in_$format"
	report $? "$format: names of any bytes" || diff -u "$work/$format.wanted" "$work/got" | diag
	stop_xguard "$format"
	is "$(LC_ALL=C grep -c "$(printf '[\001-\010\013-\037\177-\377]')" "$work/$format.out")" 0 \
		"$format: no byte that a terminal takes for more than a character"
done
is "$(grep -vc 'eth_type=0x800 src_ip=10.0.0.1 protocol=17$' "$work/text.out")" 0 'text: every line is whole'

# --- where no instance can be had: tracefs cannot be mounted, and what is mounted is read-only ------

cat >"$work/global" <<'END'
mount -t tracefs tracefs /sys/kernel/tracing && mount -o remount,bind,ro /sys/kernel/tracing || exit 9
exec setpriv --bounding-set=-sys_admin "$@"
END
start global ip netns exec "$receiver" unshare -m sh "$work/global" "$XGUARD" -i rx0 -k
if await_line "$work/global.err" '^xguard: (attached to rx0|open tracefs)' &&
	! grep -q 'another process is reading it' "$work/global.err"; then
	send_hex -7 "$udp" >"$work/sent"
	stop_xguard global
	is "$status" 0 'the status is 0'
	like "$work/global.err" '^xguard: reading the global trace_pipe, .*: no tracing instance: Read-only' \
		'the global trace_pipe is read, and that is said'
	is "$(wc -l <"$work/global.out")" 7 'it has all the lines'
else
	stop_xguard global
	skip 'the global trace_pipe is in use'
fi
left=
for name in "$work"/*.pid; do
	name=${name##*/}
	! has_instance "${name%.pid}" || left="$left $name"
done
is "$left" '' 'no tracing instance is left'
done_testing
