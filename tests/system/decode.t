#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What is read of a frame, field by field; how frames make flows (--by, --prefix4, --prefix6); links
# without an Ethernet header. tests/check-decode compares whole captures with tshark.
. tests/lib.sh
need_root
make_pair
all=src_ip,dst_ip,src_port,dst_port,protocol,vlan

# --- one frame of each kind, one flow each -----------------------------------------------------

# frame EXPECTED HEX...: behind the MAC addresses, one more frame, and its row: eth_type, vlan, src_ip,
# src_port, dst_ip, dst_port, protocol. It is the Nth: N in hexadecimal is @ in both.
count=0
frame() {
	count=$((count + 1))
	number=$(printf %02x "$count")
	row=$1
	shift
	hex=$(printf '020000000002020000000001%s' "$*" | sed "s/@/$number/g" | tr -d ' ')
	echo "$hex" >>"$work/frames"
	echo "$row,1,$((${#hex} / 2))" | sed "s/@@/$count/g; s/@/$(printf %x "$count")/g" >>"$work/wanted"
}
# v4 PROTOCOL [OPTIONS [FRAGMENT [WORDS]]]: from 10.0.0.N; v6 NEXT: from fd00::N.
v4() { echo "4${4:-5} 000028 0001 ${3:-0000} 40 $1 0000 0a0000@ 0a000102 ${2:-}"; }
v6() { echo "60000000 0020 $1 40 fd0000000000000000000000000000@ fd000000000000000000000000000102"; }
ports=0fa00050000000000000000050020000
from4=10.0.0.@@ to4=10.0.1.2 from6=fd00::@ to6=fd00::102

frame "IPv4,,$from4,4000,$to4,80,TCP" 0800 "$(v4 06)" $ports
frame "IPv4,,$from4,4000,$to4,80,UDP" 0800 "$(v4 11)" $ports
frame "IPv4,,$from4,4000,$to4,80,SCTP" 0800 "$(v4 84)" $ports
frame "IPv4,,$from4,4000,$to4,80,DCCP" 0800 "$(v4 21)" $ports
frame "IPv4,,$from4,4000,$to4,80,UDPLite" 0800 "$(v4 88)" $ports
frame "IPv4,,$from4,,$to4,,ICMP" 0800 "$(v4 01)" $ports
frame "IPv4,,$from4,,$to4,,GRE" 0800 "$(v4 2f)" 00000800 "$(v4 06)" $ports
frame "IPv4,,$from4,,$to4,,IPIP" 0800 "$(v4 04)" "$(v4 06)" $ports
frame "IPv4,,$from4,,$to4,,AH" 0800 "$(v4 33)" 0604000000000000 $ports
frame "IPv4,,$from4,,$to4,,253" 0800 "$(v4 fd)" $ports
frame "IPv4,,$from4,4000,$to4,80,TCP" 0800 "$(v4 06 01010101 0000 6)" $ports
frame "IPv4,,$from4,4000,$to4,80,UDP" 0800 "$(v4 11 "$(printf %080d 0)" 0000 f)" $ports
frame "IPv4,,$from4,4000,$to4,80,UDP" 0800 "$(v4 11 '' 2000)" $ports # a first fragment
frame "IPv4,,$from4,4000,$to4,80,UDP" 0800 "$(v4 11 '' 4000)" $ports # none: don't fragment
frame "IPv4,,$from4,,$to4,,UDP" 0800 "$(v4 11 '' 2001)" $ports       # a later one
frame "IPv4,,$from4,,$to4,,TCP" 0800 "$(v4 06 '' 1fff)" $ports       # the last one there can be
frame "IPv4,,$from4,,$to4,,TCP" 0800 "$(v4 06)" 0fa000               # ports that are cut off
frame "IPv4,,$from4,4000,$to4,80,TCP" 0800 "$(v4 06)" 0fa00050
frame "IPv4,,$from4,,$to4,,TCP" 0800 "$(v4 06 '' 0000 f)" $ports     # options that are cut off

frame "IPv6,,$from6,4000,$to6,80,TCP" 86dd "$(v6 06)" $ports
frame "IPv6,,$from6,,$to6,,ICMPv6" 86dd "$(v6 3a)" $ports
frame "IPv6,,$from6,4000,$to6,80,UDP" 86dd "$(v6 00)" 1100010400000000 $ports
frame "IPv6,,$from6,4000,$to6,80,UDP" 86dd "$(v6 2b)" 1101000000000000 0000000000000000 $ports
frame "IPv6,,$from6,4000,$to6,80,UDP" 86dd "$(v6 3c)" 1100010400000000 $ports
frame "IPv6,,$from6,4000,$to6,80,UDP" 86dd "$(v6 33)" 1101000000000001 00000001 $ports
frame "IPv6,,$from6,4000,$to6,80,UDP" 86dd "$(v6 2c)" 1100000100000001 $ports
frame "IPv6,,$from6,,$to6,,UDP" 86dd "$(v6 2c)" 1100000800000001 $ports
frame "IPv6,,$from6,,$to6,,UDP" 86dd "$(v6 2c)" 1100fff800000001 $ports
frame "IPv6,,$from6,,$to6,,IPv6-Opts" 86dd "$(v6 2c)" 3c00001000000001 1100010400000000 $ports
frame "IPv6,,$from6,,$to6,,IPv6-NoNxt" 86dd "$(v6 3b)" $ports
frame "IPv6,,$from6,,$to6,,ESP" 86dd "$(v6 32)" $ports
frame "IPv6,,$from6,,$to6,,Mobility" 86dd "$(v6 87)" $ports
frame "IPv6,,$from6,,$to6,,IPv6" 86dd "$(v6 29)" "$(v6 06)" $ports
options=3c00010400000000
frame "IPv6,,$from6,4000,$to6,80,TCP" 86dd "$(v6 00)" 2b00010400000000 3c00000000000000 \
	2c00010400000000 3300000100000001 3c01000000000001 00000001 0600010400000000 $ports # six
frame "IPv6,,$from6,,$to6,," 86dd "$(v6 3c)" $options $options $options $options $options \
	$options 0600010400000000 $ports # seven are more than are looked at
frame "IPv6,,$from6,,$to6,,TCP" 86dd "$(v6 3c)" 06ff # one that is cut off
frame "IPv6,,$from6,,$to6,," 86dd "$(v6 3c)" 3cff0104
frame "IPv6,,$from6,,$to6,," 86dd "$(v6 3c)" 06
frame "IPv6,,$from6,,$to6,," 86dd "$(v6 2c)" 06000008

frame "ARP,,$from4,,$to4,," 0806 0001 0800 0604 0001 020000000001 0a0000@ 000000000000 0a000102
frame "RARP,,$from4,,$to4,," 8035 0001 0800 0604 0003 020000000001 0a0000@ 020000000001 0a000102
frame "IPv4,5,$from4,4000,$to4,80,TCP" 8100 e005 0800 "$(v4 06)" $ports
frame "IPv6,4095,$from6,4000,$to6,80,TCP" 88a8 ffff 86dd "$(v6 06)" $ports
frame "IPv4,0,$from4,4000,$to4,80,TCP" 9100 e000 0800 "$(v4 06)" $ports
frame "IPv4,6,$from4,4000,$to4,80,TCP" 88a8 0006 8100 0007 0800 "$(v4 06)" $ports
frame "ARP,8,$from4,,$to4,," 8100 0008 8100 0009 0806 0001 0800 0604 0001 020000000001 0a0000@ \
	000000000000 0a000102
frame "802.1Q,10,,,,," 8100 000a 8100 000b 8100 000c 0800 "$(v4 06)" $ports # more than are looked at
frame "802.1Q,11,,,,," 8100 000b 8100 00 # a tag that is cut off
frame "802.3,12,,,,," 8100 000c 0026 424203
frame "802.3,,,,,," 0026 424203000000000000
frame "802.3,,,,,," 05ff 424203
frame "0x0600,,,,,," 0600 424203
frame "LLDP,,,,,," 88cc 0207040200000000010403
frame "MPLS,,,,,," 8847 0040013f "$(v4 06)" $ports
frame "PPPoE,,,,,," 8864 11000001002a0021 "$(v4 06)" $ports
frame "PPPoE-D,,,,,," 8863 1109000000040101
frame "EAPOL,,,,,," 888e 01010000
frame "0x88b5,,,,,," 88b5 00112233

# What is cut off or no header at all still counts.
frame "IPv4,,,,,," 0800 # a bare Ethernet header
frame "IPv4,13,,,,," 8100 000d 0800 44000028000000004006 # a header of 16 bytes
frame "IPv4,14,,,,," 8100 000e 0800 "$(v4 06 '' 0000 4)" $ports
frame "IPv4,15,,,,," 8100 000f 0800 "6$(v4 06 | cut -c2-)" $ports
frame "IPv4,16,,,,,UDP" 8100 0010 0800 45000028000100004011
frame "IPv4,17,,,,," 8100 0011 0800 450000280001000040
frame "IPv4,,$from4,,,,UDP" 0800 450000280001000040110000 0a0000@ 0a
frame "IPv6,18,,,,,UDP" 8100 0012 86dd 60000000002011
frame "IPv6,19,,,,," 8100 0013 86dd 600000000020
frame "IPv6,20,,,,," 8100 0014 86dd 6000000000203c
frame "IPv6,,$from6,,,,UDP" 86dd 6000000000201140 fd0000000000000000000000000000@ fd
frame "IPv6,21,,,,," 8100 0015 86dd "5$(v6 06 | cut -c2-)" $ports
frame "ARP,22,,,,," 8100 0016 0806 0001 0800 0604 0001 020000000001 0a0000@ 000000000000 0a0001
frame "ARP,24,,,,," 8100 0018 0806 0001 0800 0610 0001 020000000001 0a0000@ 000000000000 0a000102
frame "ARP,25,,,,," 8100 0019 0806 0018 0800 0804 0001 020000000001 0a0000@ 000000000000 0a000102
frame "IPv4,26,,,,," 8100 001a 0800 "5$(v4 06 | cut -c2-)" $ports
frame "ARP,23,,,,," 8100 0017 0806 0001 86dd 0610 0001 020000000001 0a0000@ 000000000000 0a000102

# rows NAME: the last row of each flow, without times and interface.
rows() {
	sed 1d "$work/$1.out" | cut -d, -f4- | sort
}

# These differ in nothing that makes a flow.
merge() {
	sort "$1" | awk -F, -v OFS=, '{
		flow = $1 "," $2 "," $3 "," $4 "," $5 "," $6 "," $7
		hits[flow] += $8
		bytes[flow] += $9
	} END { for (flow in hits) print flow, hits[flow], bytes[flow] }' | sort
}
merge "$work/wanted" >"$work/merged"
for mode in native generic; do
	start_xguard "$mode" -u --mode "$mode" --by $all --format csv --interval 1000
	on_sender "$TESTS/send" tx0 "$work/frames" >"$work/sent"
	stop_xguard "$mode"
	rows "$mode" >"$work/rows"
	same "$work/rows" "$work/merged" "$mode: every field of each of $count frames"
	read_values <"$work/sent"
	like "$work/$mode.err" "^xguard: rx0: $count packets, $bytes bytes, .* 0 unattributed" \
		"$mode: all of them count"
done
# A filter has the decoder do more, and must not change what it finds.
start_xguard filtered -u --by $all --format csv --interval 1000 'len > 0'
on_sender "$TESTS/send" tx0 "$work/frames" >"$work/sent"
stop_xguard filtered
rows filtered >"$work/rows"
same "$work/rows" "$work/merged" 'with a filter: the same'

# --- what makes a flow -------------------------------------------------------------------------

# All 64 ways to take one of two values for each of six fields.
: >"$work/frames"
for vlan in 05 06; do for protocol in 06 11; do for src in 01 02; do for dst in 03 04; do
	for src_port in 1001 1002; do for dst_port in 0050 0051; do
		echo "020000000002020000000001 8100 00$vlan 0800 450000280000000040${protocol}0000" \
			"0a0000$src 0a0000$dst $src_port$dst_port 0000000000000000" >>"$work/frames"
	done; done
done; done; done; done
before=0
for by in vlan src_ip protocol dst_port src_ip,protocol src_port,vlan dst_ip,dst_port,protocol \
	src_ip,dst_ip,src_port,dst_port,protocol $all; do
	start_xguard by -u --by "$by" --format csv --interval 1000
	id=$(sed -n 's/.*program id \([0-9]*\).*/\1/p' "$work/by.err" | head -n 1)
	size=$(bpftool prog show id "$id" 2>/dev/null | sed -n 's/.*xlated \([0-9]*\)B.*/\1/p')
	on_sender "$TESTS/send" tx0 "$work/frames" >"$work/sent"
	stop_xguard by
	fields=$(echo "$by" | tr ',' '\n' | wc -l)
	rows by | awk -F, '{ print $(NF - 1) }' | sort | uniq -c | tr -s ' ' >"$work/flows"
	is "$(cat "$work/flows")" " $((1 << fields)) $((64 >> fields))" \
		"--by $by: $((1 << fields)) flows of $((64 >> fields)) frames"
	echo "$by ${size:-0}" >>"$work/sizes"
done
if command -v bpftool >/dev/null; then
	largest=$(sed -n '$s/.* //p' "$work/sizes")
	is "$(awk -v all="$largest" '$1 !~ /^src_ip,dst.*vlan$/ && $2 >= all' "$work/sizes")" '' \
		'a field that is left out costs no instruction'
	diag <"$work/sizes"
fi

# flows_of OPTION...: sources and hits, a line each, of frames from a few addresses of both families.
: >"$work/frames"
for source in 0a010203 0a7f0001 0a800001 0b000001 0a010204 00000000 ffffffff; do
	echo "020000000002020000000001 0800 45000014000000004006 0000 $source 0a000001" >>"$work/frames"
done
for source in fd000000000000000000000000000001 fd000000000000000000000000000002 \
	fd000000000000018000000000000001 fd000000000000010000000000000001 \
	ffffffffffffffffffffffffffffffff 20010db8000000000000000000000001; do
	echo "020000000002020000000001 86dd 6000000000003b40 $source fd00000000000000000000000000000f" \
		>>"$work/frames"
done
flows_of() {
	start_xguard prefix -u --by src_ip --interval 1000 "$@"
	on_sender "$TESTS/send" tx0 "$work/frames" >"$work/sent"
	stop_xguard prefix
	sed -n 's/^eth_type=IPv\(.\), src_ip=\(.*\), hits=/\1 \2 /p' "$work/prefix.out" | sort >"$work/sources"
}
# prefix4 N LINE..., prefix6 N LINE...: the sources that are shown.
prefix4() {
	flows_of --prefix4 "$1"
	prefix_name="--prefix4 $1"
	shift
	is "$(sed -n 's/^4 //p' "$work/sources")" "$(printf '%s\n' "$@" | sort)" "$prefix_name"
	is "$(grep -c '^6 ' "$work/sources")" 6 "$prefix_name leaves IPv6 alone"
}
prefix6() {
	flows_of --prefix6 "$1"
	prefix_name="--prefix6 $1"
	shift
	is "$(sed -n 's/^6 //p' "$work/sources")" "$(printf '%s\n' "$@" | sort)" "$prefix_name"
	is "$(grep -c '^4 ' "$work/sources")" 7 "$prefix_name leaves IPv4 alone"
}
prefix4 0 '0.0.0.0/0 7'
prefix4 1 '0.0.0.0/1 6' '128.0.0.0/1 1'
prefix4 7 '0.0.0.0/7 1' '10.0.0.0/7 5' '254.0.0.0/7 1'
prefix4 8 '0.0.0.0/8 1' '10.0.0.0/8 4' '11.0.0.0/8 1' '255.0.0.0/8 1'
prefix4 9 '0.0.0.0/9 1' '10.0.0.0/9 3' '10.128.0.0/9 1' '11.0.0.0/9 1' '255.128.0.0/9 1'
prefix4 29 '0.0.0.0/29 1' '10.1.2.0/29 2' '10.127.0.0/29 1' '10.128.0.0/29 1' '11.0.0.0/29 1' \
	'255.255.255.248/29 1'
prefix4 32 '0.0.0.0/32 1' '10.1.2.3/32 1' '10.1.2.4/32 1' '10.127.0.1/32 1' '10.128.0.1/32 1' \
	'11.0.0.1/32 1' '255.255.255.255/32 1'
prefix6 0 '::/0 6'
prefix6 3 '2000::/3 1' 'e000::/3 5'
prefix6 7 '2000::/7 1' 'fc00::/7 4' 'fe00::/7 1'
prefix6 63 '2001:db8::/63 1' 'fd00::/63 4' 'ffff:ffff:ffff:fffe::/63 1'
prefix6 64 '2001:db8::/64 1' 'fd00::/64 2' 'fd00:0:0:1::/64 2' 'ffff:ffff:ffff:ffff::/64 1'
prefix6 65 '2001:db8::/65 1' 'fd00::/65 2' 'fd00:0:0:1::/65 1' 'fd00:0:0:1:8000::/65 1' \
	'ffff:ffff:ffff:ffff:8000::/65 1'
prefix6 128 '2001:db8::1/128 1' 'fd00::1/128 1' 'fd00::2/128 1' 'fd00:0:0:1::1/128 1' \
	'fd00::1:8000:0:0:1/128 1' 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128 1'
flows_of --prefix4 8 --prefix6 16 --by dst_ip
is "$(sed -n 's/.*dst_ip=\(.*\), hits=/\1 /p' "$work/prefix.out" | sort)" \
	"$(printf '%s\n' '10.0.0.0/8 7' 'fd00::/16 6')" 'prefixes are for destinations as well'

# --- other links -------------------------------------------------------------------------------

if ip -n "$receiver" link add br0 address 02:00:00:00:00:02 type bridge mcast_snooping 0; then
	ip -n "$receiver" link set br0 arp off up
	ip -n "$receiver" link set rx0 master br0
	start_xguard_on "$receiver" br0 bridge -u --by src_ip --interval 1000
	# Its netfilter hooks want true lengths, and a true checksum of IPv4.
	send_hex "020000000002020000000001 0800 450000280000000040 06f57cc0a80201c0a80202 $ports 00000000" \
		"020000000002020000000001 86dd $(v6 06 | sed s/@/01/) $ports $ports" >"$work/sent"
	stop_xguard bridge
	same "$work/bridge.out" - 'a bridge: its frames' <<-END
		eth_type=IPv4, src_ip=192.168.2.1, hits=1
		eth_type=IPv6, src_ip=fd00::1, hits=1
	END
else
	skip 'no bridges'
fi

# Those without an Ethernet header.

[ -c /dev/net/tun ] || { skip 'no /dev/net/tun'; done_testing; }
quiet_namespace "$ns-tun"
ip -n "$ns-tun" tuntap add dev tun0 mode tun pi || { skip 'no tun links'; done_testing; }
ip -n "$ns-tun" link set tun0 up

: >"$work/wanted"
# packet ROW HEX...
count=0
packet() {
	row=$1
	shift
	count=$((count + 1))
	number=$(printf %02x "$count")
	hex=$(echo "$*" | sed "s/@/$number/g" | tr -d ' ')
	echo "$hex" >>"$work/packets"
	echo "$row,1,$((${#hex} / 2))" | sed "s/@@/$count/g; s/@/$(printf %x "$count")/g" >>"$work/wanted"
}
packet "IPv4,,$from4,4000,$to4,80,TCP" "$(v4 06)" $ports
packet "IPv4,,$from4,4000,$to4,80,UDP" "$(v4 11 01010101 2000 6)" $ports
packet "IPv4,,$from4,,$to4,,UDP" "$(v4 11 '' 0001)" $ports
packet "IPv4,,$from4,,$to4,,ICMP" "$(v4 01)" $ports
packet "IPv6,,$from6,4000,$to6,80,TCP" "$(v6 06)" $ports
packet "IPv6,,$from6,4000,$to6,80,UDP" "$(v6 00)" 1100010400000000 $ports
packet "IPv6,,$from6,,$to6,,ICMPv6" "$(v6 3a)" $ports
packet "IPv4,,,,,,UDP" 45000028000100004011
packet "IPv6,,,,,,UDP" 60000000002011
packet 'IPv4,,,,,,' 45
packet 'IPv6,,,,,,' 60
packet ',,,,,,' 00
packet ',,,,,,' 0800 "$(v4 06)" $ports
packet ',,,,,,' f0f0f0f0
merge "$work/wanted" >"$work/merged"

# tun NAME OPTION...: the packets, received by tun0 under xguard.
tun() {
	start_xguard_on "$ns-tun" tun0 "$@" --interval 1000
	ip netns exec "$ns-tun" "$TESTS/tun" tun0 <"$work/packets" >"$work/sent"
	stop_xguard "$1"
}
tun tun -u --by $all --format csv
rows tun >"$work/rows"
same "$work/rows" "$work/merged" "tun: every field of each of $count packets, of one byte too"
like "$work/tun.err" "^xguard: tun0: $count packets, " 'tun: all of them count'
tun kernel -k
is "$(grep -c 'eth_type=0x86dd src_ip=fd00::' "$work/kernel.out")" 3 'tun: the kernel trace'
# selects N FILTER: N packets pass it.
selects() {
	tun filter -u "$2"
	like "$work/filter.err" "^xguard: tun0: $1 packets?, " "tun: $2 selects $1"
}
selects 2 tcp
selects 3 'udp and ip'
selects 4 'ip6 and len > 20 or len = 1 and ip6'
selects 1 'icmp6'
selects 1 'host 10.0.0.1'
selects 3 'src net fd00::/16'
selects 2 'port 4000 and tcp'
selects 1 'udp and ip[6:2] & 0x1fff != 0'
tun protocol -u --tcp
like "$work/protocol.err" '^xguard: tun0: 2 packets, ' 'tun: --tcp'
done_testing
