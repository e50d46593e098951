#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The userspace trace: what a flow is, when it is shown, and when the trace ends.
. tests/lib.sh
need_root
need ping
make_pair

udp() { # SOURCE DESTINATION, eight hexadecimal digits each, and the ports
	echo "020000000002 020000000001 0800 4500001c 00010000 40 11 0000 $1 $2 $3 0008 0000"
}
arp() { # TARGET
	echo "ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000001 000000000000 $1"
}
on_cpu() { # CPU FRAME...
	on_cpu_number=$1
	shift
	printf '%s\n' "$@" | on_sender taskset -c "$on_cpu_number" "$TESTS/send" tx0 - >"$work/sent"
}

# --- one flow is one line, whatever its frames differ in that is not shown, on whatever CPU ---------

start_xguard one -u --interval 1000
# The order differs: what a cache keeps of a flow must not come from its first frame.
untagged=$(udp 0a000001 0a000002 00010001)
on_cpu 0 "$untagged" "$(udp 0a000001 0a000003 00020002)" "020000000002 020000000001 8100 0005 ${untagged#* * }" \
	"$(arp 0a000002)" "$(arp 0a000003)" "$(arp 0a000004)"
on_cpu $(($(nproc) - 1)) "$(arp 0a000004)" "$(arp 0a000003)" "$(arp 0a000002)" \
	"020000000002 020000000001 8100 0005 ${untagged#* * }" "$(udp 0a000001 0a000003 00020002)" "$untagged"
stop_xguard one
cat >"$work/wanted" <<'END'
eth_type=IPv4, src_ip=10.0.0.1, protocol=UDP, hits=6
eth_type=ARP, src_ip=10.0.0.1, protocol=-, hits=6
END
same "$work/one.out" "$work/wanted" 'one flow is one line'

# More flows than the caches hold: they go to the second level and come back, and all add up.
start_xguard many -u --interval 1000 --max-flows 32768
if generate --count 200000 --sources 20000 --order uniform --per-source "$work/sources"; then
	stop_xguard many
	is "$status" 0 'the status is 0'
	awk '{ print "eth_type=IPv4, src_ip=" $1 ", protocol=UDP, hits=" $2 }' "$work/sources" |
		sort >"$work/wanted"
	sort "$work/many.out" >"$work/got"
	same "$work/got" "$work/wanted" "each of $sources sources has its hits"
	like "$work/many.err" "^xguard: rx0: 200000 packets, 12800000 bytes, $sources flows, 0 unatt" \
		'and the summary'
	# Less room than flows: what no flow could hold is counted apart.
	start_xguard full -u --interval 0.2 --max-flows 1024 --count 200000
	generate --count 200000 --sources 60000 --source fd00::1:0 >/dev/null
	stop_xguard full 0
	is "$status" 0 'it counts for --count, too'
	tac "$work/full.out" | awk -F', hits=' '!seen[$1]++ { n += $2; f++ } END { print n, f }' >"$work/got"
	read -r hits flows <"$work/got"
	like "$work/full.err" "^xguard: rx0: 200000 packets, 12800000 bytes, $flows flows, $((200000 - hits)) una" \
		'the last line of each flow plus what is unattributed is the summary'
	within "$hits" 1024 199999 'there was not room for all'
else
	stop_xguard many
	skip 'this kernel has no live XDP frames (Linux 5.18)'
fi

# --- when a flow is shown ---------------------------------------------------------------------------

a=$(udp 0a000001 0a000002 00010001) b=$(udp 0a000003 0a000002 00010001)
start_xguard each -u --interval 0.1
send_hex -3 "$a" >"$work/sent"
await_line "$work/each.out" 'hits=3$'
send_hex -2 "$a" >"$work/sent"
await_line "$work/each.out" 'hits=5$'
send_hex "$b" >"$work/sent"
await_line "$work/each.out" '10.0.0.3.*hits=1$'
sleep 0.25
stop_xguard each
cat >"$work/wanted" <<'END'
eth_type=IPv4, src_ip=10.0.0.1, protocol=UDP, hits=3
eth_type=IPv4, src_ip=10.0.0.1, protocol=UDP, hits=5
eth_type=IPv4, src_ip=10.0.0.3, protocol=UDP, hits=1
END
same "$work/each.out" "$work/wanted" 'a flow is shown when it grew, with all hits since the start'

start_xguard order -u --interval 1000
send_hex "$a" "$b" "$b" "$(udp 0a000002 0a000002 00010001)" >"$work/sent"
stop_xguard order
is "$(sed 's/.*src_ip=//; s/, protocol=UDP, hits//' "$work/order.out" | tr '\n' ' ')" \
	'10.0.0.3=2 10.0.0.1=1 10.0.0.2=1 ' 'by growth, then by key'

# --- what makes a flow ------------------------------------------------------------------------------

tagged="020000000002 020000000001 8100 2005 ${a#* * }"
start_xguard by -u --interval 1000 --by vlan,protocol,dst_port,dst_ip,src_port,src_ip
send_hex -3 "$a" >"$work/sent"
send_hex -2 "$tagged" >"$work/sent"
send_hex "$(arp 0a000003)" >"$work/sent"
stop_xguard by
cat >"$work/wanted" <<'END'
eth_type=IPv4, vlan=-, src_ip=10.0.0.1, src_port=1, dst_ip=10.0.0.2, dst_port=1, protocol=UDP, hits=3
eth_type=IPv4, vlan=5, src_ip=10.0.0.1, src_port=1, dst_ip=10.0.0.2, dst_port=1, protocol=UDP, hits=2
eth_type=ARP, vlan=-, src_ip=10.0.0.1, src_port=-, dst_ip=10.0.0.3, dst_port=-, protocol=-, hits=1
END
same "$work/by.out" "$work/wanted" '--by, in the order of the contract'

start_xguard dst -u --interval 1000 --by dst_ip
send_hex -3 "$a" "$b" "$(arp 0a000003)" >"$work/sent"
stop_xguard dst
cat >"$work/wanted" <<'END'
eth_type=IPv4, dst_ip=10.0.0.2, hits=6
eth_type=ARP, dst_ip=10.0.0.3, hits=3
END
same "$work/dst.out" "$work/wanted" '--by dst_ip alone'

start_xguard prefix -u --interval 1000 --prefix4 8 --prefix6 20
send_hex -3 "$a" "$(udp 0a7f0003 0a000002 00010001)" "$(udp 0b000003 0a000002 00010001)" >"$work/sent"
on_sender ping -q -c 2 -i 0.01 fd00::2 >"$work/ping"
stop_xguard prefix
cat >"$work/wanted" <<'END'
eth_type=IPv4, src_ip=10.0.0.0/8, protocol=UDP, hits=6
eth_type=IPv4, src_ip=11.0.0.0/8, protocol=UDP, hits=3
eth_type=IPv6, src_ip=fd00::/20, protocol=ICMPv6, hits=2
END
same "$work/prefix.out" "$work/wanted" '--prefix4, --prefix6'

# --- more than one link -----------------------------------------------------------------------------

start_xguard two -u --interval 1000 -i lo -i rx0
await_line "$work/two.err" '^xguard: attached to lo'
on_receiver ping -q -c 2 -i 0.01 127.0.0.1 >"$work/ping"
send_hex -7 "$a" >"$work/sent"
stop_xguard two
cat >"$work/wanted" <<'END'
interface=rx0, eth_type=IPv4, src_ip=10.0.0.1, protocol=UDP, hits=7
interface=lo, eth_type=IPv4, src_ip=127.0.0.1, protocol=ICMP, hits=4
END
same "$work/two.out" "$work/wanted" 'two links: which it was comes first; one that was named twice counts once'
is "$(grep -c 'attached to' "$work/two.err")" 2 'each is attached to once'
is "$(tail -n 2 "$work/two.err" | sed 's/ in .*//')" 'xguard: rx0: 7 packets, 294 bytes, 1 flow, 0 unattributed
xguard: lo: 4 packets, 392 bytes, 1 flow, 0 unattributed' 'a summary for each, in their order'

# --- the end ----------------------------------------------------------------------------------------

start_xguard duration -u --duration 0.3
stop_xguard duration 0
is "$status" 0 '--duration: the status is 0'
like "$work/duration.err" '^xguard: rx0: 0 packets, 0 bytes, 0 flows, 0 unattributed in 0\.[3-9] s$' \
	'after that time'
is "$(wc -c <"$work/duration.out")" 0 'and nothing is shown where nothing came'

start_xguard count -u -c 5 --interval 0.05
send_hex -4 "$a" >"$work/sent"
await_line "$work/count.out" 'hits=4$'
not_ok 'four frames are no five' ended "$(cat "$work/count.pid")"
send_hex -2 "$a" >"$work/sent"
stop_xguard count 0
is "$status" 0 '--count: the status is 0'
is "$(hits "$work/count.out" UDP)" 6 'it ends at the first look that finds as many'

start_xguard file -u --output "$work/file" --interval 1000
send_hex "$a" >"$work/sent"
stop_xguard file
is "$(cat "$work/file")" 'eth_type=IPv4, src_ip=10.0.0.1, protocol=UDP, hits=1' '--output'
is "$(wc -c <"$work/file.out")" 0 'and nothing on standard output'

start_xguard usr1 -u --interval 1000
send_hex -3 "$a" >"$work/sent"
kill -USR1 "$pid"
await_line "$work/usr1.err" '^xguard: rx0: 3 packets, 126 bytes, 1 flow, 0 unattributed in'
report $? 'SIGUSR1: the summary of this moment'
send_hex "$a" >"$work/sent"
stop_xguard usr1
is "$status" 0 'and it goes on'
is "$(cat "$work/usr1.out")" 'eth_type=IPv4, src_ip=10.0.0.1, protocol=UDP, hits=4' \
	'and nothing is published by it'
done_testing
