#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest on the link: others' programs stay, our own leftovers go, and what mode it is and why is said.
. tests/lib.sh
need_root
need clang
make_pair

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010001 0008 0000'
# program_on LINK: the id of the program that is attached to it.
program_on() { ip -n "$receiver" link show "$1" | sed -n 's|.*prog/xdp id \([0-9]*\).*|\1|p'; }
# refused OPTION...: xguard ends with 1; what it said is in $work/err.
refused() {
	on_receiver timeout 3 "$XGUARD" "$@" >"$work/out" 2>"$work/err" </dev/null
	is $? 1 "xguard $*: the status is 1"
	unlike "$work/err" ' packets, ' 'nothing is traced'
}

# --- another's program ------------------------------------------------------------------------------

cat >"$work/pass.c" <<'END'
__attribute__((section("xdp"), used)) int others_pass(void *ctx) { (void)ctx; return 2; }
char _license[] __attribute__((section("license"), used)) = "GPL";
END
ok 'another program is compiled' clang -target bpf -O2 -c -o "$work/pass.o" "$work/pass.c"
for mode in native:xdpdrv generic:xdpgeneric; do
	ok "it is attached, ${mode%:*}" ip -n "$receiver" link set dev rx0 "${mode#*:}" obj "$work/pass.o" sec xdp
	id=$(program_on rx0)
	for trace in -u -k '-u --mode generic' '-u --mode native'; do
		# shellcheck disable=SC2086
		refused -i rx0 $trace
		like "$work/err" "^xguard: attach to rx0.*: program $id \(others_pass, .*\) is attached to it in ${mode%:*} mode" \
			'it names the other program'
		is "$(program_on rx0)" "$id" 'which stays'
	done
	refused -i lo -i rx0 -u
	is "$(program_on lo)$(program_on rx0)" "$id" 'no other link keeps ours'
	ip -n "$receiver" link set dev rx0 "${mode#*:}" off
done

# It is put in our place while we trace: ours is gone, theirs stays.
start_xguard u -u
ip -n "$receiver" -force link set dev rx0 xdpdrv obj "$work/pass.o" sec xdp
id=$(program_on rx0)
stop_xguard u 0
is "$status" 1 'another program in our place ends the run with 1'
like "$work/u.err" "^xguard: rx0: another program took our place \(id $id\)$" 'it says which'
like "$work/u.err" '^xguard: rx0: 0 packets' 'and sums up'
is "$(program_on rx0)" "$id" 'and leaves it there'
ip -n "$receiver" link set dev rx0 xdp off

start_xguard u -u
ip -n "$receiver" link set dev rx0 xdp off
stop_xguard u 0
is "$status" 1 'so does a detach by someone else'
like "$work/u.err" '^xguard: rx0: our program was detached by someone else$' 'it says so'

# --- another xguard ---------------------------------------------------------------------------------

start_xguard first -u
first=$pid
refused -i rx0 -k
like "$work/err" "^xguard: attach to rx0: rx0 is traced by another xguard, process $first$" 'it names the other xguard'
send_hex -3 "$udp" >"$work/sent"
stop_xguard first
is "$(hits "$work/first.out" UDP)" 3 'which goes on'

# All that were killed together have left their program: the next start replaces it.
start_xguard killed -u
id=$(program_on rx0)
guardian=$(child_of "$pid")
kill -KILL "$(child_of "$guardian")" "$guardian" "$pid"
stop_xguard killed 0
is "$(program_on rx0)" "$id" 'reader, guardian and deputy killed: their program is still there'
start_xguard next -k
like "$work/next.err" "^xguard: rx0: removed program $id, which an xguard that was killed had left on rx0$" \
	'the next one replaces it, and says so'
send_hex -3 "$udp" >"$work/sent"
stop_xguard next
is "$(wc -l <"$work/next.out")" 3 'and works'
ok 'and takes its own off' has_no_program "$receiver" rx0

# --- native and generic -----------------------------------------------------------------------------

start_xguard u -u --mode generic
like "$work/u.err" '^xguard: attached to rx0 \(generic, program id [0-9]+\); press Ctrl\+C to stop$' '--mode generic'
like "$work/u.err" '^xguard: rx0: generic mode comes after GRO' 'what that means is said'
ok 'it is' sh -c 'ip -n "$0" link show rx0 | grep -q xdpgeneric' "$receiver"
send_hex -3 "$udp" >"$work/sent"
stop_xguard u
is "$(hits "$work/u.out" UDP)" 3 'it counts'

start_xguard_on "$receiver" lo u -u
like "$work/u.err" '^xguard: attached to lo \(generic: the driver has no native XDP, program id [0-9]+\); press' \
	'auto takes generic mode on lo, and says why'
stop_xguard u
refused -i lo -u --mode native
like "$work/err" '^xguard: attach to lo in native mode: .*native mode' '--mode native insists, and says why not'
like "$work/err" '^xguard: use --mode generic' 'and what to do'

ip -n "$sender" link set dev tx0 mtu 9000
start_xguard u -u
like "$work/u.err" '^xguard: attached to rx0 \(generic: the MTU of its peer is too large for native XDP, program' \
	"a peer's MTU that native mode cannot take: generic, and it says why"
stop_xguard u
refused -i rx0 -u --mode native
like "$work/err" '^xguard: attach to rx0 in native mode: .*Peer MTU is too large' "the kernel's words reach the user"
ip -n "$receiver" link set dev rx0 mtu 9000
start_xguard u -u --interval 1000
case $(uname -r) in
[6-9].* | [1-9][0-9].*) ok 'frames of several pages stay native' grep -q 'to rx0 (native' "$work/u.err" ;;
esac
if grep -q 'attached to rx0 (native' "$work/u.err"; then
	long="020000000002 020000000001 0800 45001ff0 00010000 40 11 0000 0a000001 0a000002 00010001 1fdc 0000"
	long="$long$(head -c 8148 /dev/zero | od -An -v -tx1 | tr -d ' \n')"
	send_hex -3 "$long" >"$work/sent"
	stop_xguard u
	read_values <"$work/sent"
	like "$work/u.err" "^xguard: rx0: 3 packets, $bytes bytes, 1 flow" \
		"frames of several pages count with all their bytes, $((bytes / 3))"
else
	stop_xguard u
	skip 'this kernel has no fragments in XDP (Linux 5.18)'
fi
ip -n "$sender" link set dev tx0 mtu 1500
ip -n "$receiver" link set dev rx0 mtu 1500

# --- what becomes of the link -----------------------------------------------------------------------

start_xguard u -u --interval 0.05
ip -n "$receiver" link set dev rx0 down
await_line "$work/u.err" '^xguard: rx0: the link went down; still attached$'
report $? 'a link that goes down is a note'
ip -n "$receiver" link set dev rx0 up
await_line "$work/u.err" '^xguard: rx0: the link is up$'
report $? 'so is its return'
wait_for 5 has_carrier "$sender" tx0
send_hex -3 "$udp" >"$work/sent"
await_line "$work/u.out" 'hits=3$'
report $? 'and the trace goes on'
ip -n "$receiver" link del dev rx0
stop_xguard u 0
is "$status" 1 'a link that vanishes ends the run with 1'
like "$work/u.err" '^xguard: rx0: the link .*gone' 'and it says so'
like "$work/u.err" '^xguard: rx0: 3 packets, 126 bytes, 1 flow, 0 unattributed' 'with the summary'
done_testing
