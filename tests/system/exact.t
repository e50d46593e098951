#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Exact, whatever is sent: hits and what could not be attributed add up to what the generator sent and
# the link received, packets and bytes, while flows move between the levels of the table and after.
. tests/lib.sh
need_root
make_pair
on_receiver ethtool -K rx0 gro off # frames get through only while a program is attached

# last_hits FILE: "ADDRESS HITS" of each flow's last line, by address.
last_hits() {
	sed -n 's/.*src_ip=\([^,]*\), .*hits=\([0-9]*\)$/\1 \2/p' "$1" |
		awk '{ hits[$1] = $2 } END { for (source in hits) print source, hits[source] }' |
		LC_ALL=C sort
}

# summary NAME [LINK]: $packets, $octets, $flows and $unattributed of its last line.
summary() {
	set -- "$1" "$(grep "^xguard: ${2:-rx0}: .* unattributed in" "$work/$1.err" | tail -n 1)"
	packets=$(echo "$2" | sed 's/.*: \([0-9]*\) packets*,.*/\1/')
	octets=$(echo "$2" | sed 's/.* \([0-9]*\) bytes*,.*/\1/')
	flows=$(echo "$2" | sed 's/.* \([0-9]*\) flows*,.*/\1/')
	unattributed=$(echo "$2" | sed 's/.* \([0-9]*\) unattributed.*/\1/')
}

# adds_up NAME WHAT: the summary is what was sent ($frames, $bytes) and what the link counted; the last
# line of each flow and the unattributed are the summary.
adds_up() {
	summary "$1"
	is "$packets $octets" "$frames $bytes" "$2: packets and bytes are what was sent"
	is "$packets $octets" "$(($(counter "$receiver" rx0 rx_packets) - before)) $(($(counter \
		"$receiver" rx0 rx_bytes) - before_bytes))" "$2: and what the link received"
	is "$(last_hits "$work/$1.out" | awk '{ n += $2 } END { print n + 0 }')" \
		"$((packets - unattributed))" "$2: the flows' last lines add up to it"
}

remember() {
	before=$(counter "$receiver" rx0 rx_packets)
	before_bytes=$(counter "$receiver" rx0 rx_bytes)
}

start_xguard try -u
generate --count 1000 >/dev/null 2>&1 || skip_all 'no live XDP frames here (Linux 5.18), or lost ones'
stop try

# flood NAME XGUARD-OPTIONS GENERATOR-OPTION...
flood() {
	flood=$1
	start_xguard "$flood" -u $2
	shift 2
	remember
	generate --per-source "$work/$flood.sent" "$@"
	stop "$flood"
	is "$status $lost" '0 0' "$flood: status 0, nothing lost on the way"
	adds_up "$flood" "$flood"
}

flood one '' --count 500000 --sources 1 --size 1514
is "$unattributed" 0 'one: all attributed'
flood many '' --count 1000000 --sources 65536 --order uniform
is "$unattributed" 0 'many: all attributed'
cut -d ' ' -f 1,2 "$work/many.sent" | LC_ALL=C sort >"$work/wanted"
last_hits "$work/many.out" >"$work/got"
same "$work/got" "$work/wanted" 'many: source by source'
flood spoofed '--max-flows 1024' --count 1000000 --sources 1000000
[ "$unattributed" -gt 900000 ]
report $? 'spoofed: most could not be attributed'
within "$flows" 2048 3072 'spoofed: as many flows as both levels hold'

# Heavy senders among ten times more sources than the table holds, each on the CPU that it was on before, as
# cards see to: where the table is full, a flow has no room on another one.
flood heavy '--max-flows 4096' --cpu "$(($(nproc) - 1))" --count 2000000 --sources 122880 --order zipf
[ "$unattributed" -gt 0 ]
report $? 'heavy: the table was full'
top() { LC_ALL=C sort -k2,2nr -k1,1 "$1" | head -n 100 | cut -d ' ' -f 1,2; }
top "$work/heavy.sent" >"$work/wanted"
last_hits "$work/heavy.out" >"$work/all"
top "$work/all" >"$work/got"
same "$work/got" "$work/wanted" 'heavy: the top 100 are the true top 100, and their counts are right'

# Every 50 ms, while flows move: no count goes down, or beyond what was sent.
flood storm '--max-flows 1024 --interval 0.05' --count 2000000 --sources 4096 --order zipf:0.5
sed -n 's/.*src_ip=\([^,]*\), .*hits=\([0-9]*\)$/\1 \2/p' "$work/storm.out" |
	awk -v sent="$work/storm.sent" 'BEGIN { while ((getline line < sent) > 0) {
			split(line, word, " "); limit[word[1]] = word[2] } }
		$2 < last[$1] || $2 > limit[$1] { print; bad++ }
		{ last[$1] = $2 }
		END { print NR, "lines"; exit bad > 0 || NR < 10000 }' >"$work/ok"
report $? 'storm: no count went down, or beyond what was sent' || diag <"$work/ok"

# Who knows the code cannot tell which flows share a slot: it is not the same in two runs.
flood first '--max-flows 1024' --count 8192 --sources 65536 --order uniform --cpu 0
flood second '--max-flows 1024' --count 8192 --sources 65536 --order uniform --cpu 0
last_hits "$work/first.out" >"$work/one"
last_hits "$work/second.out" >"$work/two"
not_ok 'what finds no slot differs from run to run' cmp "$work/one" "$work/two"

# The detach comes in the middle: what came while the link still took frames, less a ring at most.
for round in 1 2 3; do
	remember
	start_xguard middle -u --max-flows 1024
	start flood ip netns exec "$sender" "$TESTS/generate" --seconds 3 --sources 65536 \
		--order uniform tx0
	sleep 1
	stop middle
	stop flood
	summary middle
	arrived=$(($(counter "$receiver" rx0 rx_packets) - before))
	within "$packets" $((arrived - 1024)) "$arrived" "detach in the middle of a flood, $round"
	is "$octets" $((packets * 64)) 'its bytes'
	is "$(last_hits "$work/middle.out" | awk '{ n += $2 } END { print n + 0 }')" \
		"$((packets - unattributed))" 'its flows add up'
done

# Both CPUs at once, the same sources.
if [ "$(nproc)" -gt 1 ]; then
	remember
	start_xguard both -u --max-flows 2048
	for cpu in 0 1; do
		start "cpu$cpu" ip netns exec "$sender" "$TESTS/generate" --cpu "$cpu" \
			--count 1000000 --sources 10000 --order uniform --seed "$cpu" tx0
	done
	stop cpu0 0
	stop cpu1 0
	wait_for 5 arrived "$((before + 2000000))"
	stop both
	frames=2000000 bytes=128000000
	adds_up both 'both CPUs'
	cat "$work"/cpu?.out | grep -q 'lost=[1-9]' && diag 'the link lost frames'
else
	skip 'one CPU only'
fi
done_testing
