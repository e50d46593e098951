#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What becomes of a frame: whatever it holds, it is one hit of the right flow and one line.
. tests/lib.sh
need_root
make_pair

# The type, source and protocol that are shown, then the frame; m is the header up to the type.
m='020000000002 020000000001'
ip='45000020 00010000 40'     # IPv4 up to the time to live; then protocol, checksum, addresses
d4='0a000002'
ip6='60000000 0010'           # IPv6 up to the length; then next header, hop limit, addresses
d6='fd000000000000000000000000000002'
six=fd0000000000000000000000

cat >"$work/table" <<END
802.3 - -               $m 0026 424203000000
802.3 - -               $m 05ff 424203000000
IPv4 10.1.2.3 TCP       $m 0800 $ip 06 0000 0a010203 $d4 12345678 00000000 00000000
IPv4 10.1.2.4 UDP       $m 0800 46000020 00010000 40 11 0000 0a010204 $d4 94040000 12345678 00080000
IPv4 10.1.2.5 ICMP      $m 0800 4f000040 00010000 40 01 0000 0a010205 $d4 0101010101010101010101010101010101010101010101010101010101010101010101010101010100 08000000
IPv4 10.1.2.6 IGMP      $m 0800 46c00020 00010000 01 02 0000 0a010206 e0000001 94040000 11000000
IPv4 10.1.2.7 SCTP      $m 0800 $ip 84 0000 0a010207 $d4 12345678
IPv4 10.1.2.8 GRE       $m 0800 $ip 2f 0000 0a010208 $d4 00000800
IPv4 10.1.2.9 ESP       $m 0800 $ip 32 0000 0a010209 $d4 00000800
IPv4 10.1.2.10 AH       $m 0800 $ip 33 0000 0a01020a $d4 00000800
IPv4 10.1.2.11 OSPF     $m 0800 $ip 59 0000 0a01020b $d4 00000800
IPv4 10.1.2.12 VRRP     $m 0800 $ip 70 0000 0a01020c $d4 00000800
IPv4 10.1.2.13 253      $m 0800 $ip fd 0000 0a01020d $d4 00000800
IPv4 10.1.2.14 UDP      $m 0800 45000020 00012000 40 11 0000 0a01020e $d4 00000000
IPv4 10.1.2.15 UDP      $m 0800 45000020 000100b9 40 11 0000 0a01020f $d4 00000000
IPv4 255.255.255.255 TCP $m 0800 $ip 06 0000 ffffffff $d4
IPv4 0.0.0.0 TCP        $m 0800 $ip 06 0000 00000000 $d4
IPv4 0.0.0.0 HOPOPT     $m 0800 $ip 00 0000 00000000 $d4
IPv4 10.1.2.16 TCP      $m 0800 $ip 06 0000 0a010210 0a0000
IPv4 - UDP              $m 0800 $ip 11 0000 0a0102
IPv4 - -                $m 0800 45000020 0001
IPv6 fd00::101 TCP      $m 86dd $ip6 06 40 ${six}00000101 $d6 12345678
IPv6 fd00::102 UDP      $m 86dd $ip6 00 40 ${six}00000102 $d6 1100050200000100
IPv6 fd00::103 ICMPv6   $m 86dd $ip6 00 40 ${six}00000103 $d6 2b00050200000100 3c00000000000000 2c00050200000100 3a000001 00000001 80000000
IPv6 fd00::104 TCP      $m 86dd $ip6 33 40 ${six}00000104 $d6 0604000000000000 000000000000000000000000 00000000 12345678
IPv6 fd00::105 UDP      $m 86dd $ip6 2c 40 ${six}00000105 $d6 11000010 00000001 00000000
IPv6 fd00::106 UDP      $m 86dd $ip6 3c 40 ${six}00000106 $d6 11020502 000000000000000000000000 0000000000000000 12345678
IPv6 fd00::107 IPv6-NoNxt $m 86dd $ip6 3b 40 ${six}00000107 $d6
IPv6 fd00::108 -        $m 86dd $ip6 00 40 ${six}00000108 $d6 3c00050200000100 3c00050200000100 3c00050200000100 3c00050200000100 3c00050200000100 3c00050200000100 06000502
IPv6 fd00::109 TCP      $m 86dd $ip6 00 40 ${six}00000109 $d6 3c00050200000100 3c00050200000100 3c00050200000100 3c00050200000100 3c00050200000100 0600050200000100 12345678
IPv6 fd00::10a -        $m 86dd $ip6 00 40 ${six}0000010a $d6 11
IPv6 fd00::10b TCP      $m 86dd $ip6 06 40 ${six}0000010b fd00
IPv6 - UDP              $m 86dd $ip6 11 40 fd00
IPv6 1:203:405:607:809:a0b:c0d:e0f TCP $m 86dd $ip6 06 40 000102030405060708090a0b0c0d0e0f $d6
IPv6 a00:1:: TCP        $m 86dd $ip6 06 40 0a000001000000000000000000000000 $d6
IPv6 - -                $m 86dd 45000000 00000000 0600 ${six}00000101 $d6
ARP 10.1.2.3 -          $m 0806 0001080006040001 020000000001 0a010203 000000000000 0a000002
ARP - -                 $m 0806 000108000604
RARP 10.1.2.3 -                $m 8035 0001080006040003 020000000001 0a010203 000000000000 0a000002
LLDP - -                0180c200000e 020000000001 88cc 0207040200000000010406
0x88b5 - -              $m 88b5
0xffff - -              $m ffff 00
0x0600 - -              $m 0600 424203000000
IPv4 10.1.3.1 TCP       $m 8100 0005 0800 $ip 06 0000 0a010301 $d4
IPv6 fd00::201 UDP      $m 88a8 2007 8100 0008 86dd $ip6 11 40 ${six}00000201 $d6
802.1Q - -              $m 8100 0001 8100 0002 8100 0003 0800 $ip 06 0000 0a010302 $d4
802.1ad - -             $m 88a8 00
MPLS - -                $m 8847 00001140
PPPoE - -               $m 8864 110000010016 0021 $ip 06 0000 0a010304 $d4
END

# Frame n of N is sent N + 1 - n times: by growth the flows are in the order of the table. The two
# lengths of 802.3 are one flow.
n=$(wc -l <"$work/table")
awk -v n="$n" '{
	line = "eth_type=" $1 ", src_ip=" $2 ", protocol=" $3
	hex = $0; sub(/^[^ ]+ +[^ ]+ +[^ ]+ +/, "", hex)
	times = n + 1 - NR
	for (i = 0; i < times; i++) print hex > (work "/frames")
	digits = hex; gsub(/ /, "", digits)
	bytes += times * length(digits) / 2; packets += times
	if (!(line in hits)) { order[++flows] = line }
	hits[line] += times
} END {
	for (i = 1; i <= flows; i++) print hits[order[i]], order[i] ", hits=" hits[order[i]]
	print packets, bytes, flows > (work "/sums")
}' work="$work" "$work/table" | sort -rns | sed 's/^[0-9]* //' >"$work/wanted"
read -r packets bytes flows <"$work/sums"

before=$(counter "$receiver" rx0 rx_packets)
start_xguard one -u --interval 1000
on_sender "$TESTS/send" tx0 "$work/frames" >"$work/sent"
stop_xguard one
is "$status" 0 'the status is 0'
is "$(cat "$work/sent")" "frames=$packets bytes=$bytes" 'all frames were sent'
is "$(($(counter "$receiver" rx0 rx_packets) - before))" "$packets" 'all frames arrived'
same "$work/one.out" "$work/wanted" 'each is a hit of its flow'
like "$work/one.err" "^xguard: rx0: $packets packets, $bytes bytes, $flows flows, 0 unattributed in" \
	'the summary has them all'

# The kernel trace has the numbers in place of the names, line by line as they were sent.
awk -v n="$n" '{ print $1, $2, $3 }' "$work/table" | sed '
	s/^IPv4/0x800/; s/^IPv6/0x86dd/; s/^ARP/0x806/; s/^RARP/0x8035/; s/^LLDP/0x88cc/
	s/^802.1Q/0x8100/; s/^802.1ad/0x88a8/; s/^MPLS/0x8847/; s/^PPPoE/0x8864/; s/^0x0600/0x600/
	s/TCP$/6/; s/UDP$/17/; s/ICMP$/1/; s/ICMPv6$/58/; s/IGMP$/2/; s/SCTP$/132/; s/GRE$/47/
	s/ESP$/50/; s/AH$/51/; s/OSPF$/89/; s/VRRP$/112/; s/IPv6-NoNxt$/59/; s/HOPOPT$/0/' |
	awk '{ print "eth_type=" $1 " src_ip=" $2 " protocol=" $3 }' >"$work/wanted"
sed 's/^[^ ]* *[^ ]* *[^ ]* *//' "$work/table" >"$work/frames"
start_xguard two -k
on_sender "$TESTS/send" tx0 "$work/frames" >"$work/sent"
stop_xguard two
is "$status" 0 'the status is 0'
sed 's/.*bpf_trace_printk: //' "$work/two.out" >"$work/got"
same "$work/got" "$work/wanted" 'each is a line, in order'
like "$work/two.err" "^xguard: rx0: $n packets, [0-9]* bytes, $n lines, 0 lost in" 'and in the summary'

# -n: numbers, but for a length.
start_xguard three -u -n -c 1 --interval 0.05
send_hex "$m 88cc 00" "$m 0026 00" "$m 0800 $ip 06 0000 0a010203 $d4" \
	"$m 86dd $ip6 11 40 ${six}00000201 $d6" >"$work/sent"
stop_xguard three 0
sort "$work/three.out" >"$work/got"
cat >"$work/wanted" <<END
eth_type=0x0800, src_ip=10.1.2.3, protocol=6, hits=1
eth_type=0x86dd, src_ip=fd00::201, protocol=17, hits=1
eth_type=0x88cc, src_ip=-, protocol=-, hits=1
eth_type=802.3, src_ip=-, protocol=-, hits=1
END
same "$work/got" "$work/wanted" '-n shows numbers'
done_testing
