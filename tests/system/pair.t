#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The ground that the other system tests stand on: a silent pair of links, and tools that count.
. tests/lib.sh
need_root
make_pair

ok 'IPv4 passes' on_sender ping -c 1 -W 2 10.0.0.2
ok 'IPv6 passes' on_sender ping -c 1 -W 2 fd00::2
is "$(counter "$receiver" rx0 rx_packets)" 2 'nothing but the two pings arrived'

frame='020000000002 020000000001 88b5 00112233'
ok 'send takes hexadecimal' send_hex -3 "$frame" "$frame"
is "$(counter "$receiver" rx0 rx_packets)" 8 'all of it arrived'
before=$(counter "$receiver" rx0 rx_packets)
ok 'the generator sends at a rate' generate --count 1000 --rate 10000 --sources 7
is "$frames $sources $lost" '1000 7 0' 'it counts its frames'
is "$(($(counter "$receiver" rx0 rx_packets) - before))" 1000 'all of them arrived'
if generate --count 100000 --sources 1000 --order uniform --source fd00::1 \
	--per-source "$work/sources"; then
	is "$(awk '{ n += $2; b += $3 } END { print n, b }' "$work/sources")" '100000 6400000' \
		'the sources add up'
	is "$(($(counter "$receiver" rx0 rx_packets) - before))" 101000 'live frames arrived'
else
	skip 'this kernel has no live XDP frames (Linux 5.18)'
fi

start sleeper sleep 100
stop sleeper TERM
is "$status" 143 'a process in the background is stopped'
not_ok 'its end was seen' kill -0 "$pid"
sleep 1.5
within "$(counter "$receiver" rx0 rx_packets)" 0 101008 'and nobody else ever spoke'
done_testing
