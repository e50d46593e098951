#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# One static binary that needs nothing of the host: no library, no file, no mount, no other program.
. tests/lib.sh
need_root
need file strace
make_pair

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010001 0008 0000'
line='eth_type=0x800 src_ip=10.0.0.1 protocol=17$'
flow='^eth_type=IPv4, src_ip=10.0.0.1, protocol=UDP, hits=3$'

file "$XGUARD" >"$work/file"
like "$work/file" 'statically linked' 'linked statically'
like "$work/file" ', stripped' 'stripped'

# --- strace -----------------------------------------------------------------------------------------

# Every open by a path of the root is in /proc or /sys; relative to a descriptor it is in tracefs.
for trace in u k; do
	start $trace ip netns exec "$receiver" strace -f -qq -e trace=%file,%process -o "$work/$trace.strace" \
		"$XGUARD" -i rx0 -$trace --interval 0.05 -c 3
	await_line "$work/$trace.err" '^xguard: attached' || continue
	send_hex -3 "$udp" >"$work/sent"
	stop $trace 0
	is "$status" 0 "-$trace: the status is 0"
	grep -E ' (open|openat|openat2|creat)\(' "$work/$trace.strace" |
		grep -v '"/\(proc\|sys\)/' | grep -v 'open[^(]*([0-9]' >"$work/opened"
	is "$(cat "$work/opened")" '' 'no file is opened but under /proc and /sys'
	is "$(grep -c execve "$work/$trace.strace")" 1 'no other program is started'
	within "$(grep -Ec ' (clone|clone3|fork|vfork)\(' "$work/$trace.strace")" 2 3 \
		'no other process than the guardian and its deputies'
done
like "$work/u.out" "$flow" 'the userspace trace went on as ever'
is "$(grep -c "$line" "$work/k.out")" 3 'the kernel trace too'

# --- a root directory that holds the binary alone ---------------------------------------------------

mkdir "$work/root"
cp "$XGUARD" "$work/root/xguard"
for trace in u k; do
	start $trace ip netns exec "$receiver" unshare -m chroot "$work/root" /xguard -i rx0 -$trace \
		--interval 0.05 -c 3
	await_line "$work/$trace.err" '^xguard: attached' || continue
	send_hex -3 "$udp" >"$work/sent"
	stop $trace 0
	is "$status" 0 "-$trace in an empty root directory: the status is 0"
	is "$(sed '1s/program id [0-9]*/program id N/; $s/ in .*//' "$work/$trace.err")" \
		"xguard: attached to rx0 (native, program id N); press Ctrl+C to stop
xguard: rx0: 3 packets, 126 bytes, $([ $trace = u ] && echo '1 flow, 0 unattributed' || echo '3 lines, 0 lost')" \
		'and nothing is complained of'
	ok 'detached' has_no_program "$receiver" rx0
done
like "$work/u.out" "$flow" 'the userspace trace works'
is "$(grep -c "$line" "$work/k.out")" 3 'the kernel trace works'
is "$(find "$work/root" -mindepth 1)" "$work/root/xguard" 'and nothing was made there'

# Nor does anything stay behind elsewhere: descriptors of the run, but for the standard ones, are closed
# on exec, and the guardian keeps those it needs alone.
start_xguard u -u
guardian=$(ps -o pid= --ppid "$pid" | tr -d ' ')
open=$(find "/proc/$guardian/fd" -mindepth 1 -printf '%f=%l\n' | sed 's/\[.*//; s/:.*//' | sort -n)
is "$(echo "$open" | grep -c '=/')" 1 'of files the guardian has standard error alone'
is "$(echo "$open" | grep '=/' | cut -d= -f1)" 2 'as descriptor 2'
stop_xguard u
done_testing
