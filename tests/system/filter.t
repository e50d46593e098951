#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The same filter selects the same frames as tcpdump: over frames of every kind that a program makes,
# over what real programs say to each other on a veth pair, and live, with xguard itself.
. tests/lib.sh
need_root
need tcpdump ping socat
capture=$work/made.pcap
"$TESTS/make-capture" >"$capture" || exit 1

# compared FILE EXPRESSIONS NAME [OPTION]: one test for all of them, which goes on by itself until told() says how
# it ended, in the order of their beginning; what differs is shown. Two at a time.
comparing=0 untold=1
compared() {
	[ "$comparing" -le "$untold" ] || told 1
	comparing=$((comparing + 1))
	echo "$3" >"$work/name.$comparing"
	{
		tests/compare-with-tcpdump ${4-} "$1" "$2" >"$work/compared.$comparing" 2>&1
		echo "$?" >"$work/status.$comparing"
	} &
	eval "comparison_$comparing=$!"
}
# told [N]: of the N that began first, or of all.
told() {
	more=${1:-1000}
	while [ "$untold" -le "$comparing" ] && [ "$more" -gt 0 ]; do
		eval "wait \$comparison_$untold"
		report "$(cat "$work/status.$untold")" "$(cat "$work/name.$untold"): $(
			tail -n 2 "$work/compared.$untold" | sed -n 's/^# //p')" ||
			grep -A 2 '^not ok\|^Bail out' "$work/compared.$untold" | diag
		untold=$((untold + 1)) more=$((more - 1))
	done
}

frames=$(tcpdump --count -r - <"$capture" 2>/dev/null | sed 's/ .*//')
within "$frames" 2000 100000 'the made capture has frames enough'
within "$(grep -c '^[^#]' tests/filter-expressions.txt)" 150 100000 'and there are filters enough'
tcpdump -r - -w "$work/most.pcap" 'less 3000' <"$capture" 2>/dev/null
compared "$work/most.pcap" tests/filter-expressions.txt 'made frames'

# chains CAPTURE EXPRESSIONS NAME: filter-chains.txt says why.
chains() {
	chains=$((${chains:-0} + 1))
	tcpdump -r - -w - 'not protochain 51' <"$1" 2>/dev/null |
		tcpdump -r - -w "$work/chains$chains.pcap" 'not (vlan and protochain 51)' 2>/dev/null
	compared "$work/chains$chains.pcap" "$2" "$3"
}
chains "$work/most.pcap" tests/filter-chains.txt 'chains of headers'

need python3
tests/long-filters 60 >"$work/long.txt"
compared "$work/most.pcap" "$work/long.txt" 'long filters'
tests/cut-frames <"$work/most.pcap" >"$work/cut.pcap"
compared "$work/cut.pcap" "$work/long.txt" 'long filters, frames cut to every length'
tests/nested-tags filters >"$work/tags.txt"
for size in small large; do
	tests/nested-tags frames $size >"$work/tags-$size.pcap"
	compared "$work/tags-$size.pcap" "$work/tags.txt" "tags inside tags, $size frames"
done
tests/long-filters 20 chains >"$work/long-chains.txt"
chains "$work/most.pcap" "$work/long-chains.txt" 'chains of headers in long filters'
told

# most CAPTURE EXPRESSIONS: the most instructions that the verifier goes through for one of them, the program included;
# 0 where the kernel does not say (before Linux 5.16), nothing where it takes one of them for wrong.
most() {
	"$TESTS/filter-count" --load "$1" "$2" >"$work/loaded"
	grep rejected "$work/loaded" | head -n 3 | diag
	grep -q rejected "$work/loaded" ||
		sed -n 's/.* \([0-9]*\) verified$/\1/p' "$work/loaded" | sort -n | tail -n 1
}
# 200 primitives: what takes less than so many takes less than 20 milliseconds on a machine of its day.
for primitive in 'host 10.0.0.@' 'net 2001:db8:@::/48' 'port @' 'portrange @-999' 'ether host 2:0:0:0:0:@' \
	'protochain @' 'not host 10.0.0.@ and not port @' 'vlan @' '(vlan @ and port @)' \
	'(host 2001:db8::@ and port @)' '(ipx and atalk or len = @)' '(l1 or host 10.0.0.@)' \
	'(port @ and tcp[@] = 3)' '(vlan @ and host 10.0.0.@)' '(dst port @ and broadcast)' \
	'(vlan @ and ip6 protochain @)' '(tcp and broadcast)'; do
	for i in $(seq 99); do printf '%s or ' "$primitive" | sed "s/@/$i/g"; done
	echo 'len = 1'
done >"$work/lists.txt"
for i in $(seq 99); do printf '(host fd00::%x or port %u) and ' "$i" "$i"; done >>"$work/lists.txt"
echo 'len > 1' >>"$work/lists.txt"
within "$(most "$work/most.pcap" "$work/lists.txt")" 0 10000 'the verifier goes through lists about once'
tests/long-filters 20 all 200 >"$work/longest.txt"
within "$(most "$work/most.pcap" "$work/longest.txt")" 0 10000 'and through what is no list'
cat "$work/lists.txt" "$work/longest.txt" >"$work/all.txt"
within "$(most "$capture" "$work/all.txt")" 0 11000 'also where frames may come in pieces'
tests/filter-pairs 20 23 >"$work/pairs.txt"
within "$(most "$work/most.pcap" "$work/pairs.txt")" 0 7000 'and through pairs of primitives'
within "$(most "$capture" "$work/pairs.txt")" 0 7000 'and through those, in pieces'
grep -v protochain "$work/pairs.txt" | awk 'NR % 6 == 0' >"$work/some-pairs.txt"
compared "$work/most.pcap" "$work/some-pairs.txt" 'pairs of primitives'

# Those that a search found, once up to 290,000 instructions.
tests/slow-filters known >"$work/slow.txt"
within "$(most "$work/most.pcap" "$work/slow.txt")" 0 14000 'and through what once took long'
within "$(most "$capture" "$work/slow.txt")" 0 14000 'and through that, in pieces'
tests/slow-filters known 40 | grep -v '^(*not protochain' >"$work/some-slow.txt" # tcpdump lacks registers for those
chains "$work/most.pcap" "$work/some-slow.txt" 'what once took long'

# A hundred of them inside each other: the kernel copies frames in one piece, too, where it can.
tests/nested-tags deep-filters >"$work/deep.txt"
tests/nested-tags deep >"$work/deep.pcap"
compared "$work/deep.pcap" "$work/deep.txt" 'a hundred tags, labels or sessions'
awk 'NR % 4 == 1' "$work/deep.txt" >"$work/some-deep.txt"
compared "$work/deep.pcap" "$work/some-deep.txt" 'a hundred of them, not copied' --asked
tests/nested-tags deep-filters ports >"$work/deep-ports.txt"
compared "$work/deep.pcap" "$work/deep-ports.txt" 'two ports in each of them'
told
within "$(most "$work/deep.pcap" "$work/deep.txt")" 0 11500 'and the verifier goes through them about once'
within "$(most "$work/deep.pcap" "$work/deep-ports.txt")" 0 11500 'and through that, too'

# Frames that a driver hands over in several pieces: the same, so long that the rest of a page does not
# hold them; the kernel copies them, or is asked for every byte of theirs.
"$TESTS/make-capture" 4200 >"$work/large.pcap"
awk 'NR % 3 == 0' tests/filter-expressions.txt >"$work/some.txt"
compared "$work/large.pcap" "$work/some.txt" 'frames in pieces'
chains "$work/large.pcap" tests/filter-chains.txt 'chains of headers in pieces'
compared "$work/large.pcap" "$work/long.txt" 'long filters, in pieces'
awk 'NR % 9 == 0' tests/filter-expressions.txt >"$work/few.txt"
awk 'NR % 3 == 0' "$work/long.txt" >>"$work/few.txt"
compared "$work/large.pcap" "$work/few.txt" 'in pieces, each byte asked for' --asked
tests/nested-tags deep large >"$work/deep-large.pcap"
awk 'NR % 2' "$work/deep-ports.txt" >>"$work/some-deep.txt"
compared "$work/deep-large.pcap" "$work/some-deep.txt" 'a hundred tags, labels or sessions, in pieces'
told

# Real programs.
make_pair
start tcpdump ip netns exec "$receiver" tcpdump -n -i rx0 -Q in -U --immediate-mode \
	-s 0 -B 8192 -w "$work/real.pcap"
await_line "$work/tcpdump.err" 'listening on'
start tcp ip netns exec "$receiver" socat -u TCP6-LISTEN:80,fork,reuseaddr,ipv6only=0 OPEN:/dev/null
start udp ip netns exec "$receiver" socat -u UDP6-RECV:53,ipv6only=0 OPEN:/dev/null
listens() { on_receiver ss -lntu | grep -Ec ':(80|53) ' | grep -qx 2; }
wait_for 5 listens
talk() {
	on_sender ping -q -c 7 -i 0.01 10.0.0.2
	on_sender ping -q -c 5 -i 0.01 fd00::2
	on_sender ping -q -c 2 -i 0.01 -s 4000 10.0.0.2
	on_sender ping -q -c 2 -i 0.01 -s 4000 fd00::2
	on_sender ping -q -c 2 -i 0.01 -b 10.0.0.255
	on_sender ping -q -c 2 -i 0.01 -I tx0 ff02::1
	for to in 4:10.0.0.2 '6:[fd00::2]'; do
		head -c 50000 /dev/zero | on_sender socat -u - "TCP$to:80"
		on_sender sh -c "for i in 1 2 3; do echo hello; done | socat -u -b 6 - UDP$to:53"
	done
	# Not every kernel has VLAN devices.
	ip -n "$sender" link add link tx0 name tx0.100 type vlan id 100 || return 0
	ip -n "$sender" link set tx0.100 up
	ip -n "$sender" address add 10.1.0.1/24 dev tx0.100
	ip -n "$sender" neighbour replace 10.1.0.2 lladdr 02:00:00:00:00:02 dev tx0.100
	on_sender sh -c 'echo hello | socat -u - UDP4:10.1.0.2:53'
	ip -n "$sender" link del tx0.100
} >"$work/talk" 2>&1
talk
sleep 0.2
stop tcpdump
cat >"$work/real.txt" <<EOF2
ip
ip6
arp
icmp
icmp6
tcp
udp
tcp port 80
udp port 53
tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn
tcp[tcpflags] & tcp-fin != 0
ip and tcp and len > 1000
src host 10.0.0.1 and not port 80
src net fd00::/64 and dst port 53
host fd00::1 or 10.0.0.1
icmp[icmptype] = icmp-echo
icmp6[icmp6type] = icmp6-echo
ip6[6] = 44
ip[6:2] & 0x3fff != 0
ip6 protochain 58
ether src 02:00:00:00:00:01
broadcast
multicast and not broadcast
ip6 multicast
arp[6:2] = 1
vlan
vlan 100 and udp
portrange 50-100
ip[2:2] - ((ip[0] & 0xf) << 2) > 100
not ip and not ip6
less 60
greater 1000
EOF2
# Segments that the sender left to the driver (TSO) are frames larger than one: as many as fit here.
tcpdump -r - -w "$work/fit.pcap" less 65000 <"$work/real.pcap" 2>/dev/null
within "$(tcpdump --count -r - <"$work/fit.pcap" 2>/dev/null | sed 's/ .*//')" 40 100000 \
	'real programs have talked'
compared "$work/fit.pcap" "$work/real.txt" 'real programs'
told

# Live: the program itself attached, the made frames sent.
ip -n "$sender" link set tx0 mtu 1600
ip -n "$receiver" link set rx0 mtu 1600
tcpdump -r - -w "$work/sent.pcap" less 1500 <"$capture" 2>/dev/null
live() {
	wanted=$(tcpdump --count -r - "$1" <"$work/sent.pcap" 2>/dev/null | sed 's/ .*//')
	start_xguard live "$2" --interval 1000 $3 "$1"
	on_sender "$TESTS/send" tx0 "$work/sent.pcap" >"$work/send"
	stop_xguard live
	like "$work/live.err" "^xguard: rx0: $wanted packets, " "live, $2 $3: ${4:-$1}: $wanted"
}
for filter in 'tcp port 80 or udp port 53' 'vlan and (ip or arp)' 'host 10.0.0.1 or fe80::1' \
	'ether[0] & 1 = 0 and not ip' 'arp or ether[200] = 1' 'mpls and ip6'; do
	live "$filter" -u ''
done
live "udp port 53 or $(head -n 1 "$work/deep.txt")" -u '' 'a hundred tags'

# Frames in pieces, in the driver and without one.
ip -n "$sender" link set tx0 mtu 9000
ip -n "$receiver" link set rx0 mtu 9000
tcpdump -r - -w "$work/sent.pcap" less 9000 <"$work/large.pcap" 2>/dev/null
for mode in native generic; do
	live 'ether[len - 1] & 1 = 1 and ether[4000:2] > 0x8000 or arp' -u "--mode $mode"
done
done_testing
