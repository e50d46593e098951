#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Exact over several links, and small with a million flows.
. tests/lib.sh
need_root
make_pair
for n in 1 2; do
	ip link add "tx$n" netns "$sender" type veth peer name "rx$n" netns "$receiver"
	ip -n "$sender" link set "tx$n" arp off up
	ip -n "$receiver" link set "rx$n" arp off up
done

# Three links, one table.
start_xguard links -u -i rx1 -i rx2 --max-flows 4096
await_line "$work/links.err" 'attached to rx2'
generate --count 1000 >/dev/null 2>&1 || skip_all 'no live XDP frames here (Linux 5.18), or lost ones'
for n in 0 1 2; do
	start "sender$n" ip netns exec "$sender" "$TESTS/generate" --count $((200000 + n * 100000)) \
		--sources $((10000 * (n + 1))) --order uniform --size $((64 + n)) "tx$n"
done
in_full() { [ "$(counter "$receiver" "$1" rx_packets)" -ge "$2" ]; }
for n in 0 1 2; do
	stop "sender$n" 0
	wait_for 5 in_full "rx$n" $((200000 + n * 100000 + (n == 0) * 1000))
done
stop links
for n in 0 1 2; do
	frames=$((200000 + n * 100000 + (n == 0) * 1000))
	is "$(counter "$receiver" "rx$n" rx_packets)" "$frames" "rx$n: all arrived"
	like "$work/links.err" "^xguard: rx$n: $frames packets, $((frames * (64 + n))) bytes, " \
		"rx$n: packets and bytes are its own"
	is "$(sed -n "s/^interface=rx$n, .*src_ip=\\([^,]*\\), .*hits=\\([0-9]*\\)\$/\\1 \\2/p" \
		"$work/links.out" | awk '{ hits[$1] = $2 } END { for (s in hits) n += hits[s]; print n + 0 }')" \
		"$((frames - $(sed -n "s/^xguard: rx$n:.* \\([0-9]*\\) unattributed.*/\\1/p" \
		"$work/links.err")))" "rx$n: its flows and the unattributed add up to it"
done

# resident PID: KiB, without the mapped cache.
resident() {
	awk '/^[0-9a-f]+-/ { map = /bpf-map/ } /^Rss/ && !map { n += $2 } END { print n }' \
		"/proc/$1/smaps"
}

# spent PID: hundredths of a second of CPU.
spent() {
	sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

start idle ip netns exec "$receiver" "$XGUARD" -i rx0 -u
await_line "$work/idle.err" 'attached to rx0'
sleep 1.5
sum=0
for process in "$pid" $(cat "/proc/$pid/task/$pid/children" 2>/dev/null); do
	sum=$((sum + $(resident "$process")))
done
within "$sum" 100 2048 'idle: at most 2 MB resident, the guardian included, beside the mapped cache'
stop idle

start million ip netns exec "$receiver" "$XGUARD" -i rx0 -u --max-flows 1048576 --output /dev/null
await_line "$work/million.err" 'attached to rx0'
generate --count 1000000 --sources 1000000
sleep 6
within "$(resident "$pid")" 80000 100000 'a million flows: at most 100 MB'
before=$(spent "$pid")
sleep 3
within "$((($(spent "$pid") - before) / 3))" 0 100 'a million flows: a snapshot takes at most a second'
stop million
like "$work/million.err" "^xguard: rx0: 1000000 packets, 64000000 bytes, 1000000 flows, 0 unattributed" \
	'a million flows: all there'
done_testing
