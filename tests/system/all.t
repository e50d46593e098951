#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# -i all: every link that is up but lo and stacked ones, those that come and go included; each frame once;
# what fails on one link is a note.
. tests/lib.sh
need_root
make_pair

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010001 0008 0000'

# add_link NAME [down]: a veth pair more, NAME with the receiver, tx-NAME with the sender.
add_link() {
	ip link add "tx-$1" netns "$sender" type veth peer name "$1" netns "$receiver" || return 1
	ip -n "$sender" link set "tx-$1" arp off up
	ip -n "$receiver" link set "$1" arp off
	[ "${2:-}" = down ] || ip -n "$receiver" link set "$1" up
}

# send_to NAME N: that many frames.
send_to() {
	wait_for 5 has_carrier "$sender" "tx-$1"
	printf '%s\n' "$udp" | on_sender "$TESTS/send" --repeat "$2" "tx-$1" - >"$work/sent"
}

# attached NAME LINK [N]: it says so, N times.
attached() { [ "$(grep -c "^xguard: attached to $2 (" "$work/$1.err")" -ge "${3:-1}" ]; }

start_all() {
	start_all=$1
	shift
	start "$start_all" ip netns exec "$receiver" "$XGUARD" "$@"
	await_line "$work/$start_all.err" '^xguard: attached to '
}

# summaries NAME LINK: packets of each of its summaries, in their order.
summaries() {
	sed -n "s/^xguard: $2: \([0-9]*\) packets*, .*/\1/p" "$work/$1.err" | tr '\n' ' '
}

# --- which links ------------------------------------------------------------------------------------------

add_link one
add_link asleep down
add_link member
ip -n "$receiver" link add bridge0 type bridge
ip -n "$receiver" link set member master bridge0
ip -n "$receiver" link set bridge0 arp off up
ip -n "$receiver" link add here type veth peer name there
ip -n "$receiver" link set here arp off up
ip -n "$receiver" link set there arp off up
wanted='here member one rx0 there '
if ip -n "$receiver" link add link rx0 name rx0.5 type vlan id 5 2>/dev/null ||
	ip -n "$receiver" link add link rx0 name rx0.5 type macvlan 2>/dev/null; then
	ip -n "$receiver" link set rx0.5 arp off up
fi

start_all u -i all -u --interval 0.05
wait_for 5 attached u there && wait_for 5 attached u here
is "$(sed -n 's/^xguard: attached to \([^ ]*\) .*/\1/p' "$work/u.err" | sort | tr '\n' ' ')" "$wanted" \
	'every link that is up, but lo and what is stacked: a bridge, a VLAN'
send_hex -3 "$udp" >"$work/sent"
send_to one 5
send_to member 7
await_line "$work/u.out" '^interface=member, eth_type=IPv4, src_ip=10.0.0.1, protocol=UDP, hits=7$'
report $? 'the interface is a column'

# --- come and go ------------------------------------------------------------------------------------------

ip -n "$receiver" link set asleep up
wait_for 5 attached u asleep
report $? 'a link that comes up is attached to'
send_to asleep 11
add_link later
wait_for 5 attached u later
report $? 'and one that is made'
send_to later 13
await_line "$work/u.out" '^interface=later, .*hits=13$'
report $? 'its frames are counted from then on'
ip -n "$receiver" link del later
await_line "$work/u.err" '^xguard: later: the link is gone: it was deleted$'
report $? 'one that is deleted is a note'
add_link later
wait_for 5 attached u later 2
report $? 'one that comes again is attached to again'
send_to later 17
ip -n "$receiver" link set one down
await_line "$work/u.err" '^xguard: one: the link went down; still attached$'
report $? 'one that goes down is a note'
ip -n "$receiver" link set one up
await_line "$work/u.err" '^xguard: one: the link is up$'
send_to one 1
id=$(sed -n 's/^xguard: attached to here .*program id \([0-9]*\).*/\1/p' "$work/u.err")
ip -n "$receiver" link set here xdp off
await_line "$work/u.err" '^xguard: here: our program was detached by someone else$'
report $? 'one that loses its program is a note'
ip -n "$receiver" link set here txqueuelen 77
add_link last
wait_for 5 attached u last
ok 'and is left in peace' has_no_program "$receiver" here
guardian=$(ps -o pid= --ppid "$(cat "$work/u.pid")" | tr -d ' ')
capabilities=$(sed -n 's/^CapEff:[[:space:]]*0*//p' "/proc/$guardian/status")
is "$capabilities" c000001000 'the guardian keeps CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON'
stop u
is "$status" 0 'the status is 0'
is "$(summaries u rx0)/ $(summaries u one)/ $(summaries u member)/ $(summaries u asleep)/ $(summaries u later)/" \
	'3 / 6 / 7 / 11 / 13 17 /' 'each frame was counted once, on its link, also those of one that is gone'
unlike "$work/u.err" 'bridge0|rx0\.5' 'nothing is said of stacked links'
is "$(ip -n "$receiver" link | grep -c prog/xdp)" 0 'all are clean'
[ -n "$id" ] || diag 'no program id'

# --- during traffic ---------------------------------------------------------------------------------------

start_all flood -i all -u --interval 0.05
wait_for 5 attached flood later
i=0 sent_one=0 sent_come=0
while [ $i -lt 8 ]; do
	i=$((i + 1))
	add_link come
	send_to one 500 &
	sender_pid=$!
	wait_for 5 attached flood come $i
	send_to come 200
	wait "$sender_pid"
	sent_one=$((sent_one + 500)) sent_come=$((sent_come + 200))
	ip -n "$receiver" link del come
done
stop flood
is "$status" 0 'links came and went during traffic'
is "$(summaries flood one)" "$sent_one " 'the others count on'
is "$(summaries flood come | tr ' ' '\n' | awk '{ n += $1 } END { print n }')" "$sent_come" \
	'and not a frame of theirs is lost'
is "$(sed -n 's/^interface=come, .*hits=200$/200/p' "$work/flood.out" | wc -l)" 8 'each a flow of its own'

# --- failures are notes -----------------------------------------------------------------------------------

start hold ip netns exec "$receiver" "$TESTS/hold-link" one
await_line "$work/hold.out" held
ip -n "$receiver" link set asleep down
start hold2 ip netns exec "$receiver" "$TESTS/hold-link" asleep
await_line "$work/hold2.out" held
start_all busy -i all -u
await_line "$work/busy.err" '^xguard: attach to one: .*held_by_link'
report $? "a link with another's program is a note"
ip -n "$receiver" link set asleep up
await_line "$work/busy.err" '^xguard: attach to asleep.*: a program is attached to it already \(id [0-9]+\), and xguard replaces nobody'
report $? 'one that comes with such a program as well'
ip -n "$receiver" link set asleep txqueuelen 78
send_hex -2 "$udp" >"$work/sent"
sleep 0.2
stop hold2
ip -n "$receiver" link set asleep down
ip -n "$receiver" link set asleep up
wait_for 5 attached busy asleep
report $? 'and is tried again when it comes up again'
stop busy
is "$status" 0 'that is no failure'
is "$(grep -c '^xguard: attach to asleep' "$work/busy.err")" 1 'it is said once'
like "$work/busy.err" '^xguard: rx0: 2 packets' 'the others are traced'
unlike "$work/busy.err" '^xguard: one: ' 'and have a summary, alone'
ok "another's program stays" has_program "$receiver" one

start_all refused -i all -u ether host 02:00:00:00:00:01
wait_for 5 attached refused rx0
if ip -n "$receiver" tuntap add tun0 mode tun 2>/dev/null; then
	ip -n "$receiver" link set tun0 up
	await_line "$work/refused.err" '^xguard: tun0: filter: '
	report $? 'a filter that makes no sense on one link is a note'
	ip -n "$receiver" link del tun0
else
	skip 'no tun links here'
fi
stop refused
is "$status" 0 'and no failure'

# --- none -------------------------------------------------------------------------------------------------

quiet_namespace "$ns-lo"
ip -n "$ns-lo" link set lo up
ip netns exec "$ns-lo" timeout 10 "$XGUARD" -i all -u 2>"$work/none.err"
is $? 1 'no link at all: the status is 1'
like "$work/none.err" '^xguard: interface all: no link is up, but lo' 'and it says so'
ip -n "$ns-lo" link add d0 type veth peer name d1
ip -n "$ns-lo" link set d0 up
start hold3 ip netns exec "$ns-lo" "$TESTS/hold-link" d0
await_line "$work/hold3.out" held
ip netns exec "$ns-lo" timeout 10 "$XGUARD" -i all -u 2>"$work/none.err"
is $? 1 'none could be attached to: the status is 1'
like "$work/none.err" 'held_by_link' 'it says why'
stop hold3

# --- any, a link of that name, names beside all ------------------------------------------------------------

start_all any -i any -u
wait_for 5 attached any rx0
report $? 'any is all'
stop any
ip -n "$receiver" link add any type veth peer name any-peer
ip -n "$receiver" link set any arp off up
start_all any -i any -u --duration 0.3
stop any 0
is "$(grep -c 'attached to' "$work/any.err") $(grep -c 'attached to any ' "$work/any.err")" '1 1' \
	'where a link has that name, it is that one'
ip -n "$receiver" link del any
start_all both -i lo -i all -u --duration 0.3
stop both 0
is "$(grep -c 'attached to lo ' "$work/both.err") $(grep -c 'attached to rx0 ' "$work/both.err")" '1 1' \
	'a link can be named beside all'
ip netns exec "$receiver" "$XGUARD" -i all -i nosuch -u 2>"$work/nosuch.err"
is $? 1 'but must be there'

# --- the kernel trace -------------------------------------------------------------------------------------

start_all k -i all -k
wait_for 5 attached k rx0
send_hex -2 "$udp" >"$work/sent"
add_link traced
wait_for 5 attached k traced
send_to traced 3
wait_for 5 sh -c "[ \$(wc -l <'$work/k.out') -ge 5 ]"
ip -n "$receiver" link del traced
await_line "$work/k.err" '^xguard: traced: the link is gone'
stop k
is "$(grep -c 'interface=rx0 eth_type=0x800 src_ip=10.0.0.1' "$work/k.out") $(grep -c \
	'interface=traced eth_type=0x800 src_ip=10.0.0.1' "$work/k.out")" '2 3' 'the kernel trace names the link'
like "$work/k.err" '^xguard: traced: 3 packets, 126 bytes, 3 lines, 0 lost' 'and sums up each'
like "$work/k.err" '^xguard: rx0: 2 packets, 84 bytes, 2 lines, 0 lost' 'by itself'

# --- killed -----------------------------------------------------------------------------------------------

start_all killed -i all -u
wait_for 5 attached killed rx0
add_link after
wait_for 5 attached killed after
ok 'a link that came has our program' has_program "$receiver" after
stop killed KILL
wait_for 3 has_no_program "$receiver" after && wait_for 3 has_no_program "$receiver" rx0
report $? 'and is clean after a SIGKILL, as all others'

# --- more than there is room for ----------------------------------------------------------------------------

quiet_namespace "$ns-many"
{
	i=0
	while [ $i -lt 257 ]; do
		echo "link add d$i type ifb"
		echo "link set d$i arp off up"
		i=$((i + 1))
	done
} >"$work/add"
sed -n 's/link add \(d[0-9]*\) .*/link del \1/p' "$work/add" >"$work/del"
if ip -n "$ns-many" link add ifb-0 type ifb 2>/dev/null; then
	ip -n "$ns-many" link add first type veth peer name first-peer
	ip -n "$ns-many" link set first arp off up
	ip -n "$ns-many" link set first-peer arp off up
	start many ip netns exec "$ns-many" "$XGUARD" -i all -k
	wait_for 5 attached many first
	printf '%s\n' "$udp" | ip netns exec "$ns-many" "$TESTS/send" --repeat 5 first-peer - >"$work/sent"
	ip -n "$ns-many" link del first
	await_line "$work/many.err" '^xguard: first: the link is gone'
	ip -n "$ns-many" -batch "$work/add"
	await_line "$work/many.err" '^xguard: attach to d[0-9]*: there is no room for counters of more than 256 links$' 60
	report $? 'there is room for 256 links'
	ip -n "$ns-many" -batch "$work/del"
	wait_for 60 sh -c "[ \$(grep -c 'the link is gone' '$work/many.err') -ge 254 ]"
	ip -n "$ns-many" link add again type veth peer name other
	ip -n "$ns-many" link set other arp off up
	ip -n "$ns-many" link set again arp off up
	wait_for 5 attached many again
	report $? "and for more, once some have gone"
	printf '%s\n' "$udp" | ip netns exec "$ns-many" "$TESTS/send" --repeat 4 other - >"$work/sent"
	like "$work/many.err" '^xguard: first: 5 packets, 210 bytes, 5 lines, 0 lost' \
		'whose summary comes when its row of counters is needed'
	wait_for 5 sh -c "[ \$(wc -l <'$work/many.out') -ge 9 ]"
	stop many
	like "$work/many.err" '^xguard: again: 4 packets, 168 bytes, 4 lines, 0 lost' 'lines, too'
	is "$(summaries many first)/ $(summaries many again)" '5 / 4 ' 'the next link there counts from zero'
	unlike "$work/many.err" '^xguard: d[0-9]+: [1-9]' 'and so do those that had it in between'
	is "$status" 0 'the status is 0'
else
	skip 'no ifb links here'
fi
done_testing
