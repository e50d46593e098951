#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Each failure made for real, where this machine can, else by strace in the kernel's place: the message
# names the thing, the reason and the next step. (polite.t has other programs on the link, object.t broken
# objects, ends.t outputs that fail, probe.t what --probe says of the same.)
. tests/lib.sh
need_root
need strace setpriv unshare python3
make_pair
cd "$work" || exit 1

# says STATUS FIRST SECOND COMMAND...: it ends with this status, says "xguard: FIRST" and "xguard: SECOND"
# (both EREs, whole lines; SECOND empty: there is no such line) and no data.
says() {
	says_status=$1 says_first=$2 says_second=$3
	shift 3
	on_receiver timeout 15 "$@" >out 2>err </dev/null
	says_got=$?
	grep -Eqx -- "xguard: $says_first" err && { [ -z "$says_second" ] || grep -Eqx -- "xguard: $says_second" err; } &&
		[ ! -s out ] && [ "$says_got" -eq "$says_status" ]
	report $? "$says_first" || { diag "$*: status $says_got, wanted $says_status, and: $says_second"; cat out err | diag; }
}
u="-i rx0 -u --duration 0.05" k="-i rx0 -k --duration 0.05"

# with CAPABILITIES COMMAND...: as a user who has nothing but these.
with() {
	with_caps=$1
	shift
	on_with="setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all$with_caps --ambient-caps -all$with_caps"
}
# denied CALL:ERROR[:WHEN]: a command to put in front: the kernel refuses that call so.
denied() { echo "strace -f -o $work/strace -e trace=${1%%:*} -e inject=${1%%:*}:error=${1#*:}"; }

# shellcheck disable=SC2086
{
# --- limits ----------------------------------------------------------------------------------------------

says 1 'open files: 16 descriptors are allowed, up to 64 are needed' 'raise the hard limit first, as root: ulimit -n 1024' \
	prlimit --nofile=16:16 "$XGUARD" $u
says 0 'rx0: 0 packets, .*' '' prlimit --nofile=16:64 "$XGUARD" $u
says 1 'create BPF map .*: (Too many open files|No file descriptors available)' \
	'each link takes some: raise the limit \(ulimit -n\), or trace fewer links' $(denied bpf:EMFILE:when=3) "$XGUARD" $u

# --- privileges ------------------------------------------------------------------------------------------

root='run it as root, or: setcap cap_bpf,cap_net_admin,cap_perfmon\+ep xguard'
with ''
says 1 'create BPF map .*: Operation not permitted: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON missing' "$root" $on_with "$XGUARD" $u
with ,+net_admin,+perfmon
says 1 'create BPF map .*: Operation not permitted: CAP_BPF missing' "$root" $on_with "$XGUARD" $u
with ,+bpf,+perfmon
says 1 'load the XDP program .*: Operation not permitted: CAP_NET_ADMIN missing' "$root" $on_with "$XGUARD" $u
with ,+bpf,+net_admin
says 1 'load the XDP program .*: .*CAP_PERFMON missing.*' "$root" $on_with "$XGUARD" $u
with ,+bpf,+net_admin,+perfmon
says 0 'rx0: 0 packets, .*' '' $on_with "$XGUARD" $u
says 1 'open tracefs: Operation not permitted' 'run as root, or with CAP_SYS_ADMIN.*' $on_with "$XGUARD" $k
with ,+bpf,+net_admin,+perfmon,+dac_override
says 1 'open tracefs: Operation not permitted' 'run as root, or with CAP_SYS_ADMIN.*' $on_with "$XGUARD" $k
with ,+bpf,+net_admin,+perfmon,+sys_admin
says 1 'open tracefs: Permission denied' 'run as root, or add CAP_DAC_OVERRIDE; where that is there, a security module .*' \
	$on_with "$XGUARD" $k
with ,+bpf,+net_admin,+perfmon,+sys_admin,+dac_override
says 0 'rx0: 0 packets, .*' '' $on_with "$XGUARD" $k
with ,+bpf,+perfmon,+sys_admin,+dac_override
says 1 'attach to rx0 .*: Operation not permitted' 'run it as root, or with CAP_NET_ADMIN .*' $on_with "$XGUARD" $k
user_namespace='a user namespace has no say over bpf\(2\): run xguard as root of the host .*'
says 1 'create BPF map .*: Operation not permitted' "$user_namespace" unshare -Ur "$XGUARD" $u
says 1 'create BPF map .*: Operation not permitted' "$user_namespace" unshare -Urn "$XGUARD" -i lo -u

# --- bpf(2) ----------------------------------------------------------------------------------------------

says 1 'create BPF map .*: Operation not permitted' 'something beside capabilities keeps bpf\(2\) from this process.*' \
	$(denied bpf:EPERM) "$XGUARD" $u
says 1 'create BPF map .*: Permission denied' 'a security module denies it; SELinux: ausearch -m avc -c xguard' \
	$(denied bpf:EACCES) "$XGUARD" $u
says 1 'create BPF map .*: Function not implemented' 'this kernel \(.*\) is built without CONFIG_BPF_SYSCALL' \
	$(denied bpf:ENOSYS) "$XGUARD" $u
says 1 'create BPF map .*: Out of memory' 'the kernel has no room for it .*: try a smaller --max-flows' \
	$(denied bpf:ENOMEM) "$XGUARD" $u
says 1 '.*: Operation not supported \(errno 524\)' "this CPU's BPF JIT cannot compile the program, .*" \
	$(denied bpf:524) "$XGUARD" $u

# --- the link --------------------------------------------------------------------------------------------

says 1 'interface nowhere: no such link in this network namespace; there are: lo, rx0' \
	'name one of them; links of another network namespace are reached with .*' "$XGUARD" -i nowhere -u
says 1 'attach to lo in native mode: .*native mode' 'use --mode generic, or leave --mode out: .*' "$XGUARD" -i lo -u --mode native
ip -n "$sender" link set dev tx0 mtu 9000
says 1 'attach to rx0 in native mode: .*Peer MTU is too large.*' \
	'lower the MTU of its peer, `ip link set dev PEER mtu 1500`, or use --mode generic' "$XGUARD" $u --mode native
says 0 'attached to rx0 \(generic: the MTU of its peer is too large for native XDP, .*' '' "$XGUARD" $u
ip -n "$sender" link set dev tx0 mtu 1500
says 1 'open a netlink socket: Address family not supported by protocol' 'a seccomp filter .* must let AF_NETLINK through' \
	$(denied socket:EAFNOSUPPORT) "$XGUARD" $u
says 1 'start the guardian: Resource temporarily unavailable' 'there are too many processes, .*`ulimit -u`.*' \
	$(denied fork,vfork,clone:EAGAIN) "$XGUARD" $u

# Somebody who is no xguard has the socket that answers for the link.
index=$(on_receiver cat /sys/class/net/rx0/ifindex)
squat='import os, socket, sys
s = socket.socket(socket.AF_UNIX)
os.setuid(65534)
s.bind("\0xguard/" + sys.argv[1])
s.listen()
print("bound", flush=True)
while True:
    s.accept()'
start squatter ip netns exec "$receiver" python3 -c "$squat" "$index"
await_line squatter.out bound
says 1 "attach to rx0: process $pid of user 65534, no xguard of root's or yours, holds the socket @xguard/$index" \
	'end that process .*, then try again' "$XGUARD" $u
stop squatter KILL

# A link on top of it has a program.
if ip -n "$receiver" link add br0 type bridge 2>/dev/null; then
	ip -n "$receiver" link set rx0 master br0
	ip -n "$receiver" link set br0 up
	start_xguard_on "$receiver" br0 above -u
	says 1 'attach to rx0.*: Cannot attach when an upper device already has a program' \
		'attach to br0 instead, which rx0 is a part of' "$XGUARD" $u
	stop_xguard above
	ip -n "$receiver" link del br0
else
	skip 'no bridges'
fi

# --- tracefs ---------------------------------------------------------------------------------------------

says 1 'open tracefs: Operation not permitted' '.*mount tracefs on /sys/kernel/tracing first.*' \
	unshare -m sh -c 'umount -q /sys/kernel/tracing /sys/kernel/debug; exec "$@"' sh $(denied fsopen:EPERM) "$XGUARD" $k
says 1 'open tracefs: no tracefs in this kernel \(built without CONFIG_TRACING\)' \
	'--kernel-trace is impossible on this kernel; use --userspace-trace' $(denied fsopen:ENODEV) "$XGUARD" $k
says 1 'open tracefs: .*: this kernel has no bpf_trace_printk' '.*\(built without CONFIG_BPF_EVENTS\); use --userspace-trace' \
	$(denied newfstatat,statx:ENOENT) "$XGUARD" $k
says 1 'open tracefs: .*: kernel lockdown \(confidentiality\) closes tracefs' '.* is impossible .*; use --userspace-trace' \
	$(denied newfstatat,statx:EPERM) "$XGUARD" $k
says 0 'reading the global trace_pipe, whose other readers lose lines to it: no tracing instance: Read-only file system' '' \
	$(denied mkdirat:EROFS) "$XGUARD" $k

# --- objects and outputs -----------------------------------------------------------------------------------

says 1 'open none.o: No such file or directory' "name an object that was built from this version's xdp_prog.c" \
	"$XGUARD" $u --object none.o
echo text >text.o
says 1 'text.o: .*ELF.*' '.+' "$XGUARD" $u --object text.o
chmod 755 .
cp text.o secret.o
chmod 000 secret.o
with ,+bpf,+net_admin,+perfmon
says 1 'open secret.o: Permission denied' '.+' $on_with "$XGUARD" $u --object secret.o
says 1 'open /nowhere/file: No such file or directory' '' "$XGUARD" $u --output /nowhere/file
says 2 'filter: .+' 'tcp port >>> nonsense.*' "$XGUARD" -i rx0 -u tcp port 'nonsense('
}
ok 'nothing is left on the link' has_no_program "$receiver" rx0
done_testing
