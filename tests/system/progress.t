#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# How far a long run is: one line on a terminal while the data goes to a file, and never anywhere else.
. tests/lib.sh
need_root
need script
make_pair

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010001 0008 0000'

# on_terminal NAME OPTIONS: on link NAME; what appears on a terminal of its own comes to $work/NAME.tty.
on_terminal() {
	ip link add "tx-$1" netns "$sender" type veth peer name "$1" netns "$receiver"
	ip -n "$sender" link set "tx-$1" arp off up
	ip -n "$receiver" link set "$1" arp off up
	: >"$work/$1.tty"
	start "$1" ip netns exec "$receiver" script -qefc "$XGUARD -i $1 $2" "$work/$1.tty"
	await_line "$work/$1.tty" "xguard: attached to $1"
}
send_to() { printf '%s\n' "$udp" | on_sender "$TESTS/send" --repeat "$2" "tx-$1" - >"$work/sent"; }
# screen NAME: it, a line for all that began with a newline or a carriage return.
screen() { tr '\r' '\n' <"$work/$1.tty" | sed 's/ *$//' >"$work/screen"; }

on_terminal file "-u --interval 0.1 --duration 3.3 --output $work/file"
on_terminal json "-u --interval 1000 --format json --stop $(date -d '+5 sec' +%Y-%m-%dT%H:%M:%S%:z) >$work/json"
on_terminal lines "-k --duration 2.3 >$work/lines"
on_terminal shown '-u --interval 0.1 --duration 2.3'
on_terminal piped "-u --interval 0.1 --duration 2.3 | cat >$work/piped"
on_terminal endless "-u --interval 0.1 --count 12345 --output $work/endless"
start_xguard no -u --interval 0.1 --duration 2.3 --output "$work/no"
for link in file json lines shown piped endless; do
	send_to $link 12345
done

for name in endless file json lines shown piped no; do
	stop $name 0
	is "$status" 0 "$name: the status is 0"
done
screen file
like "$work/screen" '^1 of 3 s, 12345 packets, [0-9]+/s$' 'time, packets and rate are shown'
like "$work/screen" '^2 of 3 s, 12345 packets, 0/s$' 'again and again'
within "$(grep -c ' of 3 s' "$work/screen")" 3 4 'once a second'
is "$(awk 'length > 39 && / of /' "$work/screen")" '' 'in 40 columns'
is "$(grep -c '^xguard: file: 12345 packets' "$work/screen")" 1 'the summary has a line for itself'
like "$work/file" 'hits=12345$' 'the data is in the file'
unlike "$work/file" ' of 3 s' 'and nothing else'
screen json
like "$work/screen" '^[1-9] of [3-5] s, 12345 packets' 'between two looks, too; with --stop'
tr '\r' '|' <"$work/json.tty" >"$work/screen"
like "$work/screen" '/s *\| +\|(Script done|$)' 'at the end it is wiped off'
is "$(wc -l <"$work/json")" 2 'and there are no more records for that'
screen lines
like "$work/screen" '^[12] of 2 s, 12345 lines, [0-9]+/s$' 'the kernel trace counts lines'
for name in shown piped endless; do
	screen $name
	unlike "$work/screen" '[0-9] of [0-9]' "$name: none"
done
unlike "$work/no.err" '[0-9] of [0-9]' 'no terminal: none'
done_testing
