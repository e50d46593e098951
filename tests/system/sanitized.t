#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The whole program under ASan and UBSan on real links, on the ways that runs go and end: no invalid
# access, no undefined behaviour, no leak, no descriptor left open.
. tests/lib.sh
need_root
XGUARD=${XGUARD_SANITIZED:-$TESTS/xguard-sanitized}
[ -x "$XGUARD" ] || skip_all 'not built: make build/tests/xguard-sanitized'
make_pair
ASAN_OPTIONS=exitcode=99:detect_leaks=1:log_path=stderr
UBSAN_OPTIONS=print_stacktrace=1
export ASAN_OPTIONS UBSAN_OPTIONS

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010001 0008 0000'
tcp='020000000002 020000000001 81000007 0800 45000028 00010000 40 06 0000 0a000003 0a000002 00160016 00000000 00000000 50020000 00000000'
udp6='020000000002 020000000001 86dd 60000000 0008 11 40 fd000000000000000000000000000001 fd000000000000000000000000000002 00010002 0008 0000'
arp='020000000002 020000000001 0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002'
runt='020000000002 020000000001 0800 45'

# clean STATUS NAME WANTED: nothing of a sanitizer's, and the status.
clean() {
	if [ "$1" -ne "$3" ] || grep -Eq 'Sanitizer|runtime error|descriptor left' "$work/$2.err"; then
		report 1 "$4"
		diag "status $1, wanted $3"
		head -n 60 "$work/$2.err" | diag
	else
		report 0 "$4"
	fi
}
# traces STATUS NAME OPTION...: frames of all kinds, then SIGINT.
traces() {
	traces_status=$1
	shift
	if start_xguard s "$@"; then
		send_hex -20 "$udp" "$tcp" "$udp6" "$arp" "$runt" >"$work/sent"
		kill -USR1 "$pid"
		sleep 0.2
	fi
	stop_xguard s
	clean "$status" s "$traces_status" "xguard $*"
}
# ends STATUS OPTION...: it ends by itself.
ends() {
	ends_status=$1
	shift
	on_receiver timeout 20 "$XGUARD" "$@" >"$work/s.out" 2>"$work/s.err" </dev/null
	clean $? s "$ends_status" "xguard $*"
}

for trace in u k; do
	for format in text json csv; do
		traces 0 -$trace --format $format --interval 0.05
	done
	traces 0 -$trace --output "$work/data" -v
	traces 0 -$trace --mode generic -n
	traces 0 -$trace -c 3
	traces 0 -$trace '(tcp port 22 or udp port 1) and not host 10.0.0.9 or ip6 proto 17'
	traces 0 -$trace --object "$TESTS/../xdp_prog.o"
	traces 0 -$trace -i lo --duration 0.3
	ends 1 -$trace -i nowhere
	ends 1 -$trace -i rx0 --object /bin/true
	ends 1 -$trace -i rx0 --output /nowhere/file
	ends 1 -$trace -i lo --mode native
	ends 2 -$trace -i rx0 'tcp port'
done
traces 0 -u --by src_ip,dst_ip,src_port,dst_port,protocol,vlan --max-flows 8 --prefix4 8 --prefix6 32
traces 0 -u --tcp --interval 0.01
traces 0 -k --sample 3
ends 2
ends 2 -u
ends 0 --help
ends 0 --version
ends 0 -d 'tcp[tcpflags] & tcp-syn != 0 and vlan 7'
ends 0 --status
ends 0 --status -i rx0
ends 0 --detach -i rx0

# A frame of another run's leftover, another's program, a link that goes, a guardian that is killed.
start_xguard s -u
guardian=$(ps -o pid= --ppid "$pid" | tr -d ' ')
kill -KILL "$guardian"
stop_xguard s 0
clean "$status" s 1 'its guardian killed'
start_xguard other -k
ends 1 -i rx0 -u
stop_xguard other
clean "$status" other 0 'in front of another xguard'
start_xguard s -k
ip -n "$receiver" link set dev rx0 xdp off
stop_xguard s 0
clean "$status" s 1 'detached by someone else'
start s ip netns exec "$receiver" sh -c '"$0" -i rx0 -k | head -n 1; exit 0' "$XGUARD"
await_line "$work/s.err" '^xguard: attached'
send_hex -20 "$udp" >"$work/sent"
stop s 0
clean "$status" s 0 'its reader gone'
start s ip netns exec "$receiver" sh -c 'exec "$0" -i rx0 -u >/dev/full' "$XGUARD"
await_line "$work/s.err" '^xguard: attached'
send_hex -20 "$udp" >"$work/sent"
stop s
clean "$status" s 1 'a full disk'
start_xguard s -u
ip -n "$receiver" link del dev rx0
stop_xguard s 0
clean "$status" s 1 'the link deleted'
done_testing
