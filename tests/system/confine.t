#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Least privilege: what the reader and the guardian hold while a trace runs, and with what it starts.
# (tests/unit/confine.c tries the calls that are forbidden.)
. tests/lib.sh
need_root
need setpriv
make_pair

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010001 0008 0000'
# field PID NAME: of /proc/PID/status, without leading zeros.
field() { sed -n "s/^$2:[[:space:]]*0*\\([0-9a-f]\\)/\\1/p" "/proc/$1/status"; }
mkdir "$work/tracing"
has_instance() {
	unshare -m sh -c 'mount -t tracefs tracefs "$0" && ls "$0/instances"' "$work/tracing" |
		grep -qx "xguard-$1"
}
# Since Linux 5.19 a descriptor is enough for a lookup; before, where unprivileged bpf(2) is off, it
# takes CAP_BPF.
kept=0
case $(uname -r) in
[0-4].* | 5.[0-9].* | 5.1[0-8].*) kept='(0|8000000000)' ;;
esac

# confined NAME PID GUARDIAN-CAPABILITIES
confined() {
	for set in CapInh CapPrm CapEff CapAmb; do
		field "$2" "$set" >"$work/field"
		like "$work/field" "^$kept\$" "$1: the reader holds nothing: $set"
	done
	is "$(field "$2" NoNewPrivs)" 1 'and gets nothing any more'
	is "$(field "$2" Seccomp)" 2 'and makes few calls'
	confined_guardian=$(child_of "$2")
	for of in "$confined_guardian" "$(child_of "$confined_guardian")"; do
		is "$(cat "/proc/$of/comm") $(field "$of" CapPrm) $(field "$of" CapEff) $(field "$of" NoNewPrivs)" \
			"$(cat "/proc/$of/comm") $3 $3 1" "$1: $(cat "/proc/$of/comm") holds what it needs"
		is "$(field "$of" CapInh)$(field "$of" CapAmb)" 00 'and hands nothing on'
	done
}

for format in text json csv; do
	start_xguard u -u --format $format --interval 0.05 -v
	confined "-u $format" "$pid" 1000
	send_hex -5 "$udp" >"$work/sent"
	await_line "$work/u.out" '5'
	kill -USR1 "$pid"
	await_line "$work/u.err" '^xguard: rx0: 5 packets'
	report $? 'it reads and tells'
	stop_xguard u
	is "$status" 0 'and ends with 0'
	unlike "$work/u.err" 'not permitted' 'with all calls it made permitted'

	start_xguard k -k --format $format -v
	reader=$pid
	confined "-k $format" "$pid" 1002
	ok 'it has a tracing instance' has_instance "$reader"
	send_hex -5 "$udp" >"$work/sent"
	kill -USR1 "$pid"
	await_line "$work/k.err" '^xguard: rx0: 5 packets, 210 bytes, 5 lines, 0 lost'
	report $? 'it reads and tells'
	stop_xguard k
	is "$status" 0 'and ends with 0'
	unlike "$work/k.err" 'not permitted' 'with all calls it made permitted'
	not_ok 'which the guardian has removed' has_instance "$reader"
done

# More flows than a batch holds, and a table that grows: memory is still to be had.
start_xguard many -u --interval 0.1 --max-flows 32768
if generate --count 100000 --sources 30000 --order uniform >/dev/null; then
	stop_xguard many
	is "$status" 0 'many flows: the status is 0'
	is "$(sed 's/, hits=.*//' "$work/many.out" | sort -u | wc -l)" "$sources" 'all are read'
else
	stop_xguard many
	skip 'this kernel has no live XDP frames (Linux 5.18)'
fi

# A reader of the output that goes away, and one that waits.
start_xguard wait -u --interval 0.05 --output /dev/stdout
send_hex "$udp" >"$work/sent"
stop_xguard wait
is "$status" 0 'an output by its name'

# --- exactly what it takes, as any user -------------------------------------------------------------

chmod 755 "$work"
cp "$XGUARD" "$work/xguard"
caps() { # CAPABILITIES NAME OPTION...
	caps=$(echo "+$1" | sed 's/,/,+/g')
	caps_name=$2
	shift 2
	start "$caps_name" ip netns exec "$receiver" setpriv --reuid=65534 --regid=65534 --clear-groups \
		--inh-caps="$caps" --ambient-caps="$caps" --bounding-set="-all,$caps" \
		"$work/xguard" -i rx0 "$@"
	await_line "$work/$caps_name.err" '^xguard: attached to rx0'
}
caps bpf,net_admin,perfmon u -u --interval 0.05
confined 'three capabilities' "$pid" 1000
send_hex -5 "$udp" >"$work/sent"
await_line "$work/u.out" 'hits=5$'
report $? 'nobody with three capabilities: the userspace trace'
stop_xguard u
is "$status" 0 'ends with 0'
caps bpf,net_admin,perfmon,sys_admin,dac_override k -k
reader=$pid
confined 'five capabilities' "$pid" 1002
send_hex -5 "$udp" >"$work/sent"
await_line "$work/k.out" 'protocol=17$'
report $? 'nobody with five capabilities: the kernel trace'
stop_xguard k
is "$status" 0 'ends with 0'
is "$(wc -l <"$work/k.out")" 5 'with every line'
not_ok 'its instance is gone' has_instance "$reader"
ok 'and its program' has_no_program "$receiver" rx0
# Both killed at once, as nobody: the next one of nobody's does not know whose program is there.
caps bpf,net_admin,perfmon u -u
kill_all u
start u ip netns exec "$receiver" setpriv --reuid=65534 --regid=65534 --clear-groups \
	--inh-caps=+bpf,+net_admin,+perfmon --ambient-caps=+bpf,+net_admin,+perfmon "$work/xguard" -i rx0 -u
stop u 0
is "$status" 1 'a leftover stands in the way of who may not ask its name'
like "$work/u.err" 'run as root, xguard replaces what a killed xguard has left' 'it says so'
ok 'root removes it' ip netns exec "$receiver" "$XGUARD" --detach
ok 'it is gone' has_no_program "$receiver" rx0
done_testing
