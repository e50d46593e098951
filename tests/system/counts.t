#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every frame is counted, by source and protocol: what xguard shows is what was sent.
. tests/lib.sh
need_root
make_pair

# sources FILE: "ADDRESS HITS" of each flow's last line, as generate --per-source writes it.
sources() {
	sed -n 's/.*src_ip=\([^,]*\), .*hits=\([0-9]*\)$/\1 \2/p' "$1" |
		awk '{ hits[$1] = $2 } END { for (source in hits) print source, hits[source] }' | sort
}

# check_counts NAME OPTION...: one run of the generator, compared source by source.
check_counts() {
	name=$1
	shift
	start_xguard "$name" -u
	before=$(counter "$receiver" rx0 rx_packets)
	if ! generate "$@" --per-source "$work/sent"; then
		stop_xguard "$name"
		skip "$name: this kernel lost frames, or has no live XDP frames (Linux 5.18)"
		return
	fi
	stop_xguard "$name"
	is "$status" 0 "$name: status 0"
	is "$(($(counter "$receiver" rx0 rx_packets) - before))" "$frames" "$name: all arrived"
	cut -d ' ' -f 1,2 "$work/sent" | sort >"$work/wanted"
	sources "$work/$name.out" >"$work/got"
	same "$work/got" "$work/wanted" "$name: each source's frames"
	like "$work/$name.err" \
		"^xguard: rx0: $frames packets, $bytes bytes, $sources flows?, 0 unattributed in " \
		"$name: the summary"
}

check_counts one --count 1000000
check_counts ipv4 --count 300000 --sources 1000 --order uniform --protocol tcp --size 1514
check_counts ipv6 --count 300000 --sources 1000 --order zipf --source fd00::1:0 --protocol icmp
has_no_program "$receiver" rx0
report $? 'no program is left on the link'

start_xguard lines -k
generate --count 20000 --rate 50000 --sources 3 --per-source "$work/sent"
stop_xguard lines
is "$status" 0 'kernel trace: status 0'
like "$work/lines.err" "^xguard: rx0: 20000 packets, 1280000 bytes, 20000 lines, 0 lost in " \
	'kernel trace: no line is lost'
sed -n 's/.*bpf_trace_printk: eth_type=0x800 src_ip=\(.*\) protocol=17$/\1/p' "$work/lines.out" |
	sort | uniq -c | awk '{ print $2, $1 }' >"$work/got"
cut -d ' ' -f 1,2 "$work/sent" | sort >"$work/wanted"
same "$work/got" "$work/wanted" 'kernel trace: a line for every frame of each source'
done_testing
