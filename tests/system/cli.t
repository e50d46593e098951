#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The command line: what is misuse, what is said, and how it ends.
. tests/lib.sh
cd "$work" || exit 1

# says STATUS PATTERN OPTION...: xguard ends with this status, says this on standard error, and nothing
# on standard output.
says() {
	says_status=$1 says_pattern=$2
	shift 2
	timeout 10 $inside "$XGUARD" "$@" >out 2>err </dev/null
	says_got=$?
	grep -Eq -- "$says_pattern" err && [ ! -s out ] && [ "$says_got" -eq "$says_status" ]
	report $? "xguard $*: $says_pattern" || { diag "status $says_got"; cat out err | diag; }
}
inside=

says 2 '^usage: xguard --interface IFACE'
says 2 'no trace given' -i lo
says 2 'no interface given' -u
says 2 'no interface given' -k tcp
says 2 '--userspace-trace and --kernel-trace exclude each other' -i lo -u -k
says 2 '--tcp and --udp exclude each other' -i lo -u --tcp --udp
says 2 '--udp and --icmp exclude each other' -i lo -u --udp --icmp
says 2 '--tcp goes with --userspace-trace only' -i lo -k --tcp
says 2 'write it as a filter: -k tcp$' -i lo -k --tcp
says 2 'write it as a filter: -k icmp or icmp6$' -i lo -k --icmp
says 2 '\(udp\) and \(port 53\)' -i lo -k --udp port 53
says 2 '--by goes with --userspace-trace only' -i lo -k --by src_ip
says 2 '--prefix4 goes with --userspace-trace only' -i lo -k --prefix4 8
says 2 '--max-flows goes with --userspace-trace only' -i lo -k --max-flows 8
says 2 '--sample goes with --kernel-trace only' -i lo -u --sample 8
says 2 "--by 'mac': there is no such field" -i lo -u --by src_ip,mac
says 2 "--by 'src_ip': named twice" -i lo -u --by src_ip,src_ip
says 2 "--format 'xml': there is no such format" -i lo -u --format xml
says 2 "--mode 'fast': there is no such mode" -i lo -u --mode fast
says 2 "--interval '0': not a time" -i lo -u --interval 0
says 2 "--duration '1s': not a time" -i lo -u --duration 1s
says 2 "--count '0': out of range" -i lo -u -c 0
says 2 "--count '-1': not a whole number" -i lo -u -c -1
says 2 "--prefix4 '33': out of range" -i lo -u --prefix4 33
says 2 "--interface '': the name is empty" -i '' -u
says 2 '-?-interface needs IFACE after it' -u -i
says 2 'unknown option --frobnicate' -i lo -u --frobnicate
says 2 'unknown option -x' -i lo -u -x
says 2 '--kernel-trace takes no argument' -i lo --kernel-trace=1

# A filter that does not parse is misuse, with the place in it, and needs no privilege.
says 2 '^xguard: filter: ' -i lo -u tcp prot
says 2 '^xguard: tcp >>> prot 80$' -i lo -u tcp prot 80
says 2 '^xguard: tcp >>> prot$' -d 'tcp prot'
says 2 '^xguard: host >>> 300\.1\.1\.1$' -i lo -k host 300.1.1.1

# printed STATUS PATTERN OPTION...: on standard output, and nothing on standard error.
printed() {
	printed_status=$1 printed_pattern=$2
	shift 2
	timeout 10 $inside "$XGUARD" "$@" >out 2>err </dev/null
	printed_got=$?
	grep -Eq -- "$printed_pattern" out && [ ! -s err ] && [ "$printed_got" -eq "$printed_status" ]
	report $? "xguard $*: $printed_pattern" || { diag "status $printed_got"; cat out err | diag; }
}
printed 0 '^usage: xguard --interface IFACE' --help
printed 0 '^usage: xguard --interface IFACE' -h
printed 0 '^usage: xguard --interface IFACE' -i lo --help
printed 0 '^xguard [0-9]+\.[0-9]+' --version
printed 0 '^ *0: r2 = ' -d tcp port 80
"$XGUARD" --help >/dev/full 2>err
is $? 1 '--help >/dev/full: the status is 1'
is "$(awk 'length > 100' out | wc -l)" 0 'no line of the usage is longer than 100 columns'

# --- what needs a namespace -------------------------------------------------------------------------

cd "$TESTS/../.." || exit 1
need_root
need setpriv
make_pair
cd "$work" || exit 1
inside="ip netns exec $receiver"

says 1 '^xguard: interface nope: no such link in this network namespace; there are: lo, rx0$' -i nope -u
says 1 '^xguard: interface nope: no such link' -i rx0 -i nope -k
ok 'which attaches to none' has_no_program "$receiver" rx0

# As pasted from `ip address`, and by another name.
ip -n "$receiver" link property add dev rx0 altname the-other-name-of-this-link
for name in rx0@if7 the-other-name-of-this-link; do
	$inside "$XGUARD" -i $name -u --duration 0.01 >out 2>err
	is $? 0 "-i $name: the status is 0"
	like err '^xguard: attached to rx0 \(native, program id [0-9]+\); press Ctrl\+C to stop$' 'it is rx0'
done

# Others than root are told what they lack.
chmod 755 "$work"
cp "$XGUARD" "$work/xguard"
plain=$inside
inside="$plain setpriv --reuid=65534 --regid=65534 --clear-groups"
XGUARD=$work/xguard
says 1 'Operation not permitted.*CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON missing' -i rx0 -u
says 1 'run it as root, or: setcap cap_bpf,cap_net_admin,cap_perfmon\+ep xguard' -i rx0 -u
says 1 'run as root, or with CAP_SYS_ADMIN and CAP_DAC_OVERRIDE' -i rx0 -k
says 2 '^xguard: filter: ' -i rx0 -u tcp prot
printed 0 '^ *0: r2 = ' -d tcp port 80
# caps NAME,...: as nobody with these capabilities.
caps() {
	caps=$(echo "+$1" | sed 's/,/,+/g')
	inside="$plain setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=$caps --ambient-caps=$caps"
}
caps net_admin
says 1 'CAP_BPF.* missing' -i rx0 -u
caps bpf,net_admin
says 1 'CAP_PERFMON missing' -i rx0 -u
caps bpf,perfmon
says 1 'CAP_NET_ADMIN missing' -i rx0 -u
caps bpf,perfmon,net_admin
says 0 '^xguard: attached to rx0' -i rx0 -u --duration 0.01
says 1 'run as root, or with CAP_SYS_ADMIN and CAP_DAC_OVERRIDE; or mount tracefs' -i rx0 -k
caps bpf,perfmon,net_admin,dac_override
says 1 'run as root, or with CAP_SYS_ADMIN; or mount tracefs' -i rx0 -k
caps bpf,perfmon,net_admin,sys_admin
says 1 'run as root, or add CAP_DAC_OVERRIDE' -i rx0 -k
inside="$plain unshare --user --map-root-user"
says 1 'a user namespace has no say over bpf\(2\): run xguard as root of the host' -i rx0 -u
says 1 'in a user namespace or a container with a seccomp filter, run xguard as root of the host' -i rx0 -k
caps bpf,perfmon,net_admin,sys_admin,dac_override
says 0 '^xguard: attached to rx0' -i rx0 -k --duration 0.01
ok 'nothing is left' has_no_program "$receiver" rx0
done_testing
