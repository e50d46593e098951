#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a container FROM scratch is: a root directory that holds the binary alone, a network namespace,
# and no capability but those that are asked for.
. tests/lib.sh
need_root
need python3 unshare
make_pair
mkdir "$work/root"
cp "$XGUARD" "$work/root/xguard"

# The bounding set first: what is not in it, root does not get by execve either.
cat >"$work/contain.py" <<'END'
import ctypes, os, sys
NAMES = {"dac_override": 1, "net_admin": 12, "sys_admin": 21, "perfmon": 38, "bpf": 39}
PR_CAPBSET_DROP = 24
wanted = {NAMES[name] for name in sys.argv[2].split(",")}
prctl = ctypes.CDLL(None).prctl
os.chroot(sys.argv[1])
os.chdir("/")
for capability in range(64):
    if capability not in wanted:
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
os.execve("/xguard", ["/xguard"] + sys.argv[3:], {})
END

# contain CAPABILITIES NAME OPTION...: as start.
contain() {
	capabilities=$1 name=$2
	shift 2
	start "$name" ip netns exec "$receiver" unshare -m -p -f python3 "$work/contain.py" "$work/root" \
		"$capabilities" -i rx0 "$@"
}
udp='020000000002 020000000001 0800 4500001c00000000401166ce0a0000010a000002 0fa0000900080000'

contain bpf,net_admin,perfmon u -u -c 20 udp
await_line "$work/u.err" '^xguard: attached to rx0 \(native'
send_hex -20 "$udp"
stop u 0
is "$status" 0 'userspace trace with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON: status 0'
like "$work/u.err" '^xguard: rx0: 20 packets, 840 bytes, 1 flow, 0 unattributed' 'exact'
ok 'detached' has_no_program "$receiver" rx0

contain bpf,net_admin,perfmon,sys_admin,dac_override k -k -c 20 udp
await_line "$work/k.err" '^xguard: attached to rx0 \(native'
send_hex -20 "$udp"
stop k 0
is "$status" 0 'kernel trace with CAP_SYS_ADMIN and CAP_DAC_OVERRIDE, too: status 0'
like "$work/k.err" '^xguard: rx0: 20 packets, 840 bytes, 20 lines, 0 lost' 'exact'
ok 'detached' has_no_program "$receiver" rx0

contain net_admin less -u
stop less 0
is "$status" 1 'without CAP_BPF: status 1'
like "$work/less.err" 'CAP_BPF' 'says which is missing'
is "$(find "$work/root" -mindepth 1)" "$work/root/xguard" 'nothing was made in the root directory'
done_testing
