#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Real programs talk, tcpdump at the other end of the wire is the witness: both traces agree with it,
# frame for frame.
. tests/lib.sh
need_root
need ping socat tcpdump
make_pair

# witness COMMAND...: count what leaves the sender, as it reaches the driver, while COMMAND runs.
witness() {
	start tcpdump ip netns exec "$sender" tcpdump -n -i tx0 -Q out -U --immediate-mode \
		-s 128 -B 8192 -w "$work/pcap"
	await_line "$work/tcpdump.err" 'listening on' || return 1
	witness_before=$(counter "$receiver" rx0 rx_packets)
	"$@"
	wait_for 5 all_seen
	stop tcpdump
	arrived=$(($(counter "$receiver" rx0 rx_packets) - witness_before))
}
all_seen() {
	[ "$(tcpdump -n -r "$work/pcap" 2>/dev/null | wc -l)" -eq \
		$(($(counter "$receiver" rx0 rx_packets) - witness_before)) ]
}

# in_capture NUMBER NAME ADDRESS PROTOCOL FILTER: the line that the captured frames should be.
in_capture() {
	echo "eth_type=$1, src_ip=$2, protocol=$3, hits=$(tcpdump -n -r "$work/pcap" "$4" 2>/dev/null | wc -l)"
}

# talk: pings, TCP and UDP, IPv4 and IPv6, from the sender.
talk() {
	on_sender ping -q -c 7 -i 0.01 10.0.0.2
	on_sender ping -q -c 5 -i 0.01 fd00::2
	for to in 4:10.0.0.2 '6:[fd00::2]'; do
		head -c 300000 /dev/zero | on_sender socat -u - "TCP$to:7000"
		on_sender sh -c "for i in 1 2 3; do echo hello; done | socat -u -b 6 - UDP$to:7001"
	done
} >"$work/talk" 2>&1

start tcp ip netns exec "$receiver" socat -u TCP6-LISTEN:7000,fork,reuseaddr,ipv6only=0 OPEN:/dev/null
start udp ip netns exec "$receiver" socat -u UDP6-RECV:7001,ipv6only=0 OPEN:/dev/null
listens() { on_receiver ss -lntu | grep -c ':700[01]' | grep -qx 2; }
wait_for 5 listens

start_xguard one -u --interval 0.1
witness talk
stop_xguard one
is "$status" 0 'the status is 0'
{
	in_capture IPv4 10.0.0.1 ICMP 'icmp and src 10.0.0.1'
	in_capture IPv4 10.0.0.1 TCP 'tcp and src 10.0.0.1'
	in_capture IPv4 10.0.0.1 UDP 'udp and src 10.0.0.1'
	in_capture IPv6 fd00::1 ICMPv6 'icmp6 and src fd00::1'
	in_capture IPv6 fd00::1 TCP 'ip6 and tcp and src fd00::1'
	in_capture IPv6 fd00::1 UDP 'ip6 and udp and src fd00::1'
} | sort >"$work/wanted"
tac "$work/one.out" | awk '{ key = $0; sub(/, hits=.*/, "", key) } !seen[key]++' | sort >"$work/got"
same "$work/got" "$work/wanted" 'the last line of each flow is what was sent'
like "$work/got" 'src_ip=10.0.0.1, protocol=ICMP, hits=7$' 'seven pings'
like "$work/got" 'src_ip=fd00::1, protocol=ICMPv6, hits=5$' 'five pings of IPv6'
like "$work/got" 'src_ip=10.0.0.1, protocol=UDP, hits=3$' 'three datagrams'
bytes=$(tcpdump -n -e -r "$work/pcap" 2>/dev/null |
	sed 's/^[^,]*, ethertype [^,]*, length \([0-9]*\):.*/\1/' | awk '{ n += $1 } END { print n }')
like "$work/one.err" "^xguard: rx0: $arrived packets, $bytes bytes, 6 flows, 0 unattributed in" \
	'the summary has what arrived'

start_xguard two -k
witness talk
stop_xguard two
is "$status" 0 'the status is 0'
lines() { grep -c "$1\$" "$work/two.out"; }
captured() { tcpdump -n -r "$work/pcap" "$1" 2>/dev/null | wc -l; }
is "$(wc -l <"$work/two.out")" "$arrived" 'a line for every frame'
is "$(lines 'eth_type=0x800 src_ip=10.0.0.1 protocol=1')" 7 'seven pings'
is "$(lines 'eth_type=0x86dd src_ip=fd00::1 protocol=58')" 5 'five pings of IPv6'
is "$(lines 'eth_type=0x800 src_ip=10.0.0.1 protocol=6')" "$(captured 'ip and tcp')" 'TCP'
is "$(lines 'eth_type=0x86dd src_ip=fd00::1 protocol=6')" "$(captured 'ip6 and tcp')" 'TCP over IPv6'
is "$(lines 'eth_type=0x800 src_ip=10.0.0.1 protocol=17')" "$(captured 'ip and udp')" 'UDP'
is "$(lines 'eth_type=0x86dd src_ip=fd00::1 protocol=17')" "$(captured 'ip6 and udp')" 'UDP over IPv6'
like "$work/two.err" "^xguard: rx0: $arrived packets, [0-9]* bytes, $arrived lines, 0 lost in" \
	'the summary has what arrived'

# One protocol, and a filter: the rest is not even counted.
for trace in tcp udp icmp; do
	case $trace in
	tcp) wanted='tcp' ;;
	udp) wanted='udp' ;;
	icmp) wanted='icmp or icmp6' ;;
	esac
	start_xguard "$trace" -u "--$trace" --interval 1000
	witness talk
	stop_xguard "$trace"
	like "$work/$trace.err" "^xguard: rx0: $(captured "$wanted") packets, [0-9]* bytes, 2 flows, 0 una" \
		"--$trace counts those alone"
	is "$(grep -vc "protocol=$(echo $trace | tr a-z A-Z)" "$work/$trace.out")" 0 'and shows no other'
done
start_xguard filter -u --interval 1000 --tcp src host fd00::1 and 'dst port 7000'
witness talk
stop_xguard filter
is "$(cat "$work/filter.out")" "$(in_capture IPv6 fd00::1 TCP 'ip6 and tcp')" 'a filter goes with it by and'
start_xguard filter -k udp or icmp
witness talk
stop_xguard filter
is "$(wc -l <"$work/filter.out")" "$(captured 'udp or icmp')" 'the kernel trace takes a filter'
is "$(grep -Evc ' protocol=(1|17)$' "$work/filter.out")" 0 'and prints no other line'
done_testing
