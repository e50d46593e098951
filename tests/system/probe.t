#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# --probe: what kernel, privileges and links allow, and for each no what to do.
. tests/lib.sh
need_root
need clang setpriv
make_pair

program_on() { ip -n "$receiver" link show rx0 | sed -n 's|.*prog/xdp id \([0-9]*\).*|\1|p'; }
# probe OPTION...: in the receiver's namespace; $status, $work/out, $work/err. $inside comes before it.
inside=
probe() {
	# shellcheck disable=SC2086
	on_receiver timeout 20 $inside "$XGUARD" --probe "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
}
# row NAME ANSWER: the table has it.
row() { like "$work/out" "^$1 +$2" "$1: $2"; }
# next NAME LINE: what to do, in the line below.
next() {
	grep -E -A 1 -- "^$1 " "$work/out" | tail -n 1 >"$work/next"
	like "$work/next" "^ +$2\$" "$1: what to do"
}

probe
is "$status" 0 'root may run both traces'
is "$(wc -c <"$work/err")" 0 'nothing is said on standard error'
row kernel "$(uname -r): $(uname -m)"
for capability in NET_ADMIN BPF PERFMON SYS_ADMIN DAC_OVERRIDE; do
	row "CAP_$capability" yes
done
row 'maps in memory' yes
row 'userspace trace' yes
row 'kernel trace' yes
row 'tracing instance' yes
row 'frames in parts' '(yes|no: before Linux 5\.18)'
row 'batches of flows' '(yes|no: before Linux 5\.6)'
row 'JIT' '(yes|no: the program runs in an interpreter)'
row 'tracefs unmounted' '(yes|no)'
row 'lockdown' '(none|integrity|confidentiality|unknown)'
unlike "$work/out" '^(lo|rx0):' 'no link is looked at that was not named'

# --- links ------------------------------------------------------------------------------------------

ip -n "$receiver" monitor link >"$work/monitor" &
monitor=$!
children="$children $monitor"
carriers=$(on_receiver cat /sys/class/net/rx0/carrier_changes)
probe -i rx0 -i lo
is "$status" 0 'two links: the status is 0'
row 'rx0: driver' 'veth: MTU 1500$'
row 'rx0: native XDP' 'yes: tried$'
row 'rx0: generic XDP' 'yes: tried$'
row 'lo: native XDP' 'no: Underlying driver does not support XDP in native mode$'
next 'lo: native XDP' 'use --mode generic, or leave --mode out: then it is chosen by itself'
row 'lo: generic XDP' 'yes: tried$'
row 'rx0: rx ring' unknown
row 'rx0: GRO' 'on: in generic mode a frame may be several that arrived as one$'
next 'rx0: GRO' 'ethtool -K rx0 gro off'
ok 'nothing is left on it' has_no_program "$receiver" rx0
is "$(on_receiver cat /sys/class/net/rx0/carrier_changes)" "$carriers" 'and it has not flapped'
kill "$monitor"
unlike "$work/monitor" 'rx0.*(state DOWN|<.*NO-CARRIER)' 'nor seemed to'

for switch in on:no off:yes; do
	on_receiver ethtool -K rx0 rxvlan "${switch%:*}" >/dev/null 2>&1
	probe -i rx0
	row 'rx0: VLAN tags' "${switch#*:}"
	[ "$switch" = off:yes ] || next 'rx0: VLAN tags' 'ethtool -K rx0 rxvlan off'
done
on_receiver ethtool -K rx0 gro off
probe -i rx0
unlike "$work/out" '^rx0: GRO' 'without GRO there is nothing to say'

# A link whose kind we do not try.
ip -n "$receiver" link add br0 type bridge
probe -i br0
is "$status" 0 'a bridge: the status is 0'
row 'br0: native XDP' '(no: the driver has none|unknown)'
row 'br0: generic XDP' 'yes: not tried'
ip -n "$receiver" link del br0

ip -n "$sender" link set tx0 mtu 9000
probe -i rx0
row 'rx0: native XDP' '(no: .*Peer MTU is too large|yes)'
row 'rx0: generic XDP' 'yes: tried$'
is "$status" 0 'native mode is not all'
ip -n "$sender" link set tx0 mtu 1500

probe -i nope
is "$status" 1 'a link that is missing'
like "$work/err" '^xguard: interface nope: no such link in this network namespace; there are: lo, rx0$' 'it says so'

# --- taken ------------------------------------------------------------------------------------------

start_xguard one -u
id=$(program_on)
probe -i rx0
is "$status" 1 'a link that is traced already: the status is 1'
row 'rx0: free' "no: program $id \\(xguard, tag [0-9a-f]*, held by xguard"
next 'rx0: free' "xguard replaces nobody's program; xguard --status -i rx0 shows whose it is"
row 'userspace trace' yes
is "$(program_on)" "$id" 'it is left in peace'
kill_all one
probe -i rx0
row 'rx0: free' "yes: program $id"
next 'rx0: free' 'left by an xguard that was killed; the next one on rx0 replaces it'
is "$(program_on)" "$id" 'a probe replaces nothing'
on_receiver "$XGUARD" --detach >"$work/out"

# --- without /proc and /sys -------------------------------------------------------------------------

on_receiver unshare -m sh -c 'umount -l /sys; umount -l /proc; exec "$0" --probe -i rx0' "$XGUARD" \
	>"$work/out" 2>"$work/err" </dev/null
is $? 0 'without /proc and /sys: the status is 0'
row 'lockdown' 'unknown: /sys/kernel/security does not say$'
row 'rx0: native XDP' 'yes: tried'
row 'userspace trace' yes
row 'kernel trace' yes

# --- privileges -------------------------------------------------------------------------------------

chmod 755 "$work"
cp "$XGUARD" "$work/xguard"
XGUARD=$work/xguard
nobody='setpriv --reuid=65534 --regid=65534 --clear-groups'
caps() {
	caps=$(echo "+$1" | sed 's/,/,+/g')
	inside="$nobody --inh-caps=$caps --ambient-caps=$caps"
}

inside=$nobody
probe -i rx0
is "$status" 1 'nobody: the status is 1'
row CAP_BPF 'no: no trace$'
row CAP_DAC_OVERRIDE 'no: no kernel trace$'
next CAP_BPF 'run it as root, or with that'
row 'userspace trace' 'no: create BPF map .*: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON missing$'
next 'userspace trace' 'run it as root, or: setcap cap_bpf,cap_net_admin,cap_perfmon\+ep xguard'
row 'rx0: native XDP' '(yes: says the driver|unknown)'
row 'kernel trace' 'no: open tracefs: '

caps bpf,net_admin,perfmon
probe -i rx0
is "$status" 1 'with three capabilities: the status is 1'
row 'userspace trace' yes
row 'rx0: native XDP' 'yes: tried'
row 'tracefs unmounted' 'no: Operation not permitted$'
row 'kernel trace' 'no: open tracefs: '
row CAP_SYS_ADMIN 'no: no kernel trace$'
caps bpf,net_admin,perfmon,sys_admin,dac_override
probe -i rx0
is "$status" 0 'with five: the status is 0'
row 'kernel trace' yes
caps sys_admin,net_admin,dac_override
probe
is "$status" 0 'CAP_SYS_ADMIN stands for two others'
row CAP_PERFMON 'no: CAP_SYS_ADMIN stands for it$'
row CAP_BPF 'no: CAP_SYS_ADMIN stands for it$'
for lacking in bpf perfmon net_admin; do
	caps "$(echo bpf,perfmon,net_admin | sed "s/$lacking,//; s/,$lacking//")"
	probe
	is "$status" 1 "without $lacking: the status is 1"
	row 'userspace trace' "no: .*: CAP_$(echo "$lacking" | tr a-z A-Z) missing"
done
inside='unshare --user --map-root-user'
probe -i rx0
is "$status" 1 'in a user namespace: the status is 1'
row CAP_BPF yes
next 'userspace trace' 'a user namespace has no say over bpf\(2\): run xguard as root of the host .*'
row 'rx0: generic XDP' 'yes: not tried: there is no program to try with$'
ok 'nothing is left' has_no_program "$receiver" rx0

# --- killed at some moment ---------------------------------------------------------------------------

XGUARD=$TESTS/../../xguard
for delay in 00 01 02 03 05 07 10 13 16 20 25 30; do
	start killed ip netns exec "$receiver" "$XGUARD" --probe -i rx0
	sleep "0.0$delay"
	kill -KILL "$pid"
	stop killed 0
done
ok 'a probe that is killed leaves nothing' wait_for 2 has_no_program "$receiver" rx0
done_testing
