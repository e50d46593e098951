#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# --object: a build of xdp_prog.c in place of the built-in one; whatever else it is, it is refused by name
# and reason, with status 1, and nothing is attached.
. tests/lib.sh
need_root
need clang ping
make_pair

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010001 0008 0000'
good=$TESTS/../xdp_prog.o
headers=$(printf -- '-idirafter %s ' /usr/include /usr/include/*-linux-gnu)

# --- as the built-in one ----------------------------------------------------------------------------

for trace in u k; do
	start_xguard $trace -$trace --object "$good"
	send_hex -4 "$udp" >"$work/sent"
	stop_xguard $trace
	is "$status" 0 "-$trace: the status is 0"
done
is "$(cat "$work/u.out")" 'eth_type=IPv4, src_ip=10.0.0.1, protocol=UDP, hits=4' 'it counts'
is "$(grep -c 'src_ip=10.0.0.1 protocol=17$' "$work/k.out")" 4 'it prints'
start_xguard u -u --object "$good" --interval 1000 udp port 8
send_hex -4 "$udp" "$(echo "$udp" | sed 's/00010001/00010008/')" >"$work/sent"
stop_xguard u
is "$(hits "$work/u.out" UDP)" 4 'a filter goes into it'

# It is the object that runs: one that lets no frame pass.
sed 's/XDP_PASS/XDP_DROP/' xdp_prog.c >"$work/other.c"
# compile FILE: of our own sources, as the Makefile does it.
compile() {
	# shellcheck disable=SC2086
	clang -target bpf -mcpu=v2 -O2 -g0 -I. $headers -c -o "${1%.c}.o" "$1"
}
ok 'another program is compiled' compile "$work/other.c"
ok 'a ping passes' on_sender ping -c 1 -W 2 10.0.0.2
start_xguard u -u --object "$work/other.o"
not_ok 'it is the object that runs: none passes' on_sender ping -c 1 -W 0.2 10.0.0.2
stop_xguard u
is "$(hits "$work/u.out" ICMP)" 1 'it counts'

# --- refused ----------------------------------------------------------------------------------------

# refused NAME FILE PATTERN
refused() {
	for refused_trace in -u -k; do
		on_receiver timeout 10 "$XGUARD" -i rx0 $refused_trace --object "$2" >"$work/out" 2>"$work/err" \
			</dev/null
		refused_status=$?
		if [ "$refused_status" -eq 1 ] && grep -Eq "$3" "$work/err" && has_no_program "$receiver" rx0 &&
			! grep -q 'attached to' "$work/err"; then
			report 0 "$1 ($refused_trace)"
		else
			report 1 "$1 ($refused_trace)"
			diag "status $refused_status, wanted 1 and: $3"
			diag <"$work/err"
		fi
	done
}
name() { printf '^xguard: .*%s' "$(echo "$1" | sed 's/[.+]/\\&/g')"; }

refused 'no such file' "$work/none.o" "^xguard: open $work/none.o: No such file or directory"
refused 'a directory' "$work" "^xguard: $work: not a regular file"
refused 'a device' /dev/zero '^xguard: /dev/zero: not a regular file'
: >"$work/empty.o"
refused 'an empty file' "$work/empty.o" "$(name "$work/empty.o")"
head -c 4096 /dev/urandom >"$work/garbage.o"
refused 'garbage' "$work/garbage.o" "$(name "$work/garbage.o").*ELF"
refused 'an ELF file of this machine' "$XGUARD" "$(name "$XGUARD")"
size=$(wc -c <"$good")
for part in 1 2 3 5 9; do
	head -c $((size * part / 10)) "$good" >"$work/cut.o"
	refused "cut off after $part tenths" "$work/cut.o" "$(name "$work/cut.o")"
done
sed 's/\.version = XGUARD_ABI/.version = XGUARD_ABI + 1/' xdp_prog.c >"$work/version.c"
ok 'one of another version is compiled' compile "$work/version.c"
refused 'an object of another version' "$work/version.o" "$(name "$work/version.o").*version"

# What the verifier will not have: its last lines are shown.
sed 's/return XDP_PASS;/return *(volatile char *)((char *)(long)ctx->data + 4);/' xdp_prog.c >"$work/rejected.c"
ok 'a bad program is compiled' compile "$work/rejected.c"
refused 'a program that the verifier rejects' "$work/rejected.o" 'invalid access to packet'
like "$work/err" '^xguard: load the XDP program \(.*rejected.o, [0-9]+ instructions\): ' 'the message names the object'
like "$work/err" "the verifier's last lines:$" 'and says whose words follow'
within "$(wc -l <"$work/err")" 4 16 'which are a few'
done_testing
