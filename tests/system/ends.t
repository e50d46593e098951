#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# However a run ends: within a second no program is on the link, no process and no tracing instance is
# left, and the exit status says how it went.
. tests/lib.sh
need_root
make_pair

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010001 0008 0000'
mkdir "$work/tracing"
has_instance() { # PID
	unshare -m sh -c 'mount -t tracefs tracefs "$0" && ls "$0/instances"' "$work/tracing" |
		grep -qx "xguard-$1"
}
has_no_instance() { ! has_instance "$1"; }
alive() { ! ended "$1"; }

# all_gone NAME HOW: of the xguard $pid and its guardian $guardian nothing is left, or soon so. (Who was
# killed leaves its trace_pipe open for a moment.)
all_gone() {
	all_gone_start=$(date +%s%N)
	wait_for 5 has_no_program "$receiver" rx0
	within $((($(date +%s%N) - all_gone_start) / 1000000)) 0 1000 "$1, $2: detached within a second"
	ok 'the guardian has ended' wait_for 2 ended "$guardian"
	ok 'no tracing instance is left' wait_for 1 has_no_instance "$(cat "$work/$1.pid")"
}

for trace in u k; do
	for signal in INT TERM HUP QUIT KILL; do
		start_xguard $trace -$trace
		guardian=$(child_of "$pid")
		ok 'the program is shown' sh -c \
			'ip -n "$0" link show rx0 | grep -Eq "prog/xdp id '"$(sed -n 's/.*program id \([0-9]*\).*/\1/p' \
			"$work/$trace.err")"'"' "$receiver"
		[ $trace = u ] || ok 'there is a tracing instance' has_instance "$pid"
		kill -$signal "$pid"
		all_gone $trace SIG$signal
		stop_xguard $trace 0
		case $signal in KILL) wanted=137 ;; *) wanted=0 ;; esac
		is "$status" $wanted "the status is $wanted"
	done
done

# Signals that come while it starts: never a program or a tracing instance left.
programs=0 instances=0 deaf=0
for delay in 001 004 008 012 016 020 025 030 035 040; do
	for signal in TERM KILL; do # SIGINT is ignored in the background, before it is xguard's
		start hasty ip netns exec "$receiver" "$XGUARD" -i rx0 -k
		while read -r name <"/proc/$pid/comm" && [ "$name" = sh ]; do :; done # not yet another's
		sleep 0.$delay
		kill -$signal "$pid"
		stop hasty 0 >"$work/stopped"
		case $status in 0 | 143 | 137) ;; *) deaf=$((deaf + 1)) ;; esac
		! grep -q 'hasty does not end' "$work/stopped" || deaf=$((deaf + 1))
		wait_for 1 has_no_program "$receiver" rx0 || programs=$((programs + 1))
		wait_for 1 has_no_instance "$pid" || instances=$((instances + 1))
	done
done
is "$deaf" 0 'a signal at the start is heard'
is "$programs" 0 'a signal at the start leaves no program'
is "$instances" 0 'and no tracing instance'

# timeout(1) signals its child, then the group that its child is in.
for signal in INT TERM; do
	start_xguard u -u
	kill -$signal "$pid"
	kill -HUP "$pid"
	stop_xguard u 0
	is "$status" 0 "SIG$signal and another at once: the status is 0"
	like "$work/u.err" '^xguard: rx0: 0 packets, .* in ' 'and the summary is there'
done

# --- ignored hangup ---------------------------------------------------------------------------------

start u ip netns exec "$receiver" sh -c 'trap "" HUP; exec "$0" -i rx0 -u' "$XGUARD"
await_line "$work/u.err" '^xguard: attached'
guardian=$(child_of "$pid")
kill -HUP "$pid"
sleep 0.2
ok 'under nohup SIGHUP stays ignored' alive "$pid"
stop_xguard u INT
all_gone u 'SIGINT under nohup'
is "$status" 0 'the status is 0'

# --- the reader of the output goes -------------------------------------------------------------------

# piped NAME READER OPTION...: xguard's output goes to a shell command; its status to $work/NAME.status.
piped() {
	piped_name=$1 piped_reader=$2
	shift 2
	start "$piped_name" ip netns exec "$receiver" sh -c '
		name=$1 reader=$2
		shift 2
		("$0" -i rx0 "$@" 2>"$name.said"; echo $? >"$name.status") | eval "$reader"' \
		"$XGUARD" "$work/$piped_name" "$piped_reader" "$@"
	await_line "$work/$piped_name.said" '^xguard: attached'
}
for trace in u k; do
	piped $trace 'head -n 1' -$trace --interval 0.05
	send_hex "$udp" >"$work/sent"
	wait_for 3 test -s "$work/$trace.status"
	is "$(cat "$work/$trace.status")" 0 "-$trace | head -1 on a quiet link: the status is 0"
	is "$(wc -l <"$work/$trace.out")" 1 'one line'
	ok 'detached' wait_for 1 has_no_program "$receiver" rx0
	stop $trace 0

	piped $trace 'sleep 0.1' -$trace
	wait_for 3 test -s "$work/$trace.status"
	is "$(cat "$work/$trace.status")" 0 "-$trace, and a reader that goes before the first line"
	ok 'detached' wait_for 1 has_no_program "$receiver" rx0
	stop $trace 0
done

# --- an output that cannot be written ---------------------------------------------------------------

for trace in u k; do
	start $trace ip netns exec "$receiver" sh -c 'exec "$0" -i rx0 "$@" >/dev/full' "$XGUARD" -$trace \
		--interval 0.05
	await_line "$work/$trace.err" '^xguard: attached'
	guardian=$(child_of "$pid")
	send_hex "$udp" >"$work/sent"
	all_gone $trace '>/dev/full'
	stop $trace 0
	is "$status" 1 'the status is 1'
	like "$work/$trace.err" '^xguard: standard output: No space left on device$' 'and it says why'

	start $trace ip netns exec "$receiver" sh -c 'exec "$0" -i rx0 "$@" >/dev/full' "$XGUARD" -$trace
	await_line "$work/$trace.err" '^xguard: attached'
	send_hex "$udp" >"$work/sent"
	sleep 0.05
	stop $trace INT
	is "$status" 1 'what cannot be written at the end counts too'

	start $trace ip netns exec "$receiver" sh -c 'exec "$0" -i rx0 "$@" >&-' "$XGUARD" -$trace
	stop $trace 0
	is "$status" 1 '>&-: the status is 1'
	like "$work/$trace.err" '^xguard: open standard output: Bad file descriptor$' 'and it says why'
	unlike "$work/$trace.err" attached 'before it attaches'
done
start u ip netns exec "$receiver" "$XGUARD" -i rx0 -u --output /nowhere/file
stop u 0
is "$status" 1 '--output that cannot be opened: the status is 1'
like "$work/u.err" '^xguard: open /nowhere/file: No such file or directory$' 'and it says why'

start u ip netns exec "$receiver" sh -c '
	(ulimit -f 0; exec "$0" -i rx0 -u --format csv --output "$1") 2>&1 | cat' \
	"$XGUARD" "$work/limited"
wait_for 5 grep -q 'File too large' "$work/u.out"
like "$work/u.out" '^xguard: .*limited: File too large$' 'a limit on the size of files is a failed write, too'
stop u 0
ok 'detached' wait_for 1 has_no_program "$receiver" rx0

# --- an output that nobody reads --------------------------------------------------------------------

mkfifo "$work/fifo"
blocked() { grep -q pipe_write "/proc/$pid/wchan" || grep -q pipe_write "/proc/$pid/stack"; }
# block NAME: the kernel trace with its output full; descriptor 3 holds the pipe open.
block() {
	exec 3<>"$work/fifo"
	start "$1" ip netns exec "$receiver" sh -c 'exec "$0" -i rx0 -k >"$1"' "$XGUARD" "$work/fifo"
	await_line "$work/$1.err" '^xguard: attached'
	guardian=$(child_of "$pid")
	send_hex -2000 "$udp" >"$work/sent"
	wait_for 5 blocked
}
block k
kill -INT "$pid"
all_gone_start=$(date +%s%N)
wait_for 5 has_no_program "$receiver" rx0
within $((($(date +%s%N) - all_gone_start) / 1000000)) 0 1000 'Ctrl+C with a full pipe: detached'
sleep 0.05
ok 'it still waits for the reader' alive "$pid"
kill -INT "$pid"
stop k 0
is "$status" 0 'a second Ctrl+C skips the rest of the output'
all_gone k 'with a full pipe'
exec 3<&-

block k
kill -INT "$pid"
wait_for 5 has_no_program "$receiver" rx0
(head -n 2000 <"$work/fifo" >"$work/read")
stop k 0
exec 3<&-
is "$status" 0 'a reader that comes back: the status is 0'
is "$(grep -c 'eth_type=0x800 src_ip=10.0.0.1 protocol=17$' "$work/read")" 2000 'and has all the lines'
like "$work/k.err" '^xguard: rx0: 2000 packets, 84000 bytes, 2000 lines, 0 lost in' 'and the summary'

# --- the guardian is killed -------------------------------------------------------------------------

for trace in u k; do
	start_xguard $trace -$trace
	guardian=$(child_of "$pid")
	deputy=$(child_of "$guardian")
	kill -KILL "$guardian"
	all_gone $trace 'its guardian killed'
	stop_xguard $trace 0
	is "$status" 1 'without its guardian it ends with 1'
	like "$work/$trace.err" '^xguard: the process that detaches has died: its deputy has detached' 'and says so'
	ok 'the deputy has ended' wait_for 2 ended "$deputy"
done
start_xguard u -u
guardian=$(child_of "$pid")
kill -KILL "$(child_of "$guardian")" "$guardian"
stop_xguard u 0
is "$status" 1 'without guardian and deputy it ends with 1'
like "$work/u.err" '^xguard: .*the process that detaches has died' 'and says so'
like "$work/u.err" '^xguard: .*ip link set dev rx0 xdp off' 'and what to run'
ok 'which helps' ip -n "$receiver" link set dev rx0 xdp off
ok 'indeed' has_no_program "$receiver" rx0
done_testing
