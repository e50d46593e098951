#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The user's own SSH connection is not cut off: where it comes over the link, and the driver is not known
# to attach without a reset, --mode auto is generic. The drivers that there are here (veth, tun) are known
# to be quiet, so in some tests the kernel does not tell which one it is: strace has the ioctl fail.
. tests/lib.sh
need_root
need strace sudo setpriv unshare
make_pair

on_link='10.0.0.9 50000 10.0.0.2 2222' elsewhere='10.0.0.9 50000 10.0.0.7 2222'
loud="strace -f -o $work/strace -e trace=ioctl -e inject=ioctl:error=EOPNOTSUPP"
unset SSH_CONNECTION

# attaches NAME MODE COMMAND...: the command, which ends in an xguard, attaches in that mode. What it said
# is in $work/err.
attaches() {
	attaches_name=$1 attaches_mode=$2
	shift 2
	on_receiver timeout 20 "$@" -i "${link:-rx0}" --duration 0.01 >"$work/out" 2>"$work/err" </dev/null
	like "$work/err" "^xguard: attached to ${link:-rx0} \($attaches_mode" "$attaches_name: $attaches_mode"
}
spared='generic: native mode could cut off your SSH connection, program id'
why='^xguard: rx0: your SSH connection comes over it, .*--mode native insists$'

attaches 'no connection' 'native,' $loud "$XGUARD" -u
unlike "$work/err" SSH 'and not a word of any'
attaches 'over a quiet driver' 'native,' env SSH_CONNECTION="$on_link" "$XGUARD" -u
unlike "$work/err" SSH 'and not a word of it'
attaches 'over another one' "$spared" env SSH_CONNECTION="$on_link" $loud "$XGUARD" -u
like "$work/err" "$why" 'it says why'
attaches 'over another link' 'native,' env SSH_CONNECTION="$elsewhere" $loud "$XGUARD" -u
link=lo
attaches 'over lo' 'generic: the driver' env SSH_CONNECTION='127.0.0.1 1 127.0.0.1 22' $loud "$XGUARD" -u
link=
attaches '--mode native' 'native,' env SSH_CONNECTION="$on_link" $loud "$XGUARD" -u --mode native
attaches '--mode generic' 'generic,' env SSH_CONNECTION="$on_link" $loud "$XGUARD" -u --mode generic
attaches 'over IPv6' "$spared" env SSH_CONNECTION='fd00::9 50000 fd00::2 22' $loud "$XGUARD" -u
for odd in '' ' ' '10.0.0.9 50000 10.0.0.2' 'a b c d' '10.0.0.9 50000 10.0.0.2 0' '::%%% % % %'; do
	attaches "SSH_CONNECTION='$odd'" 'native,' env SSH_CONNECTION="$odd" $loud "$XGUARD" -u
done

# --- in an ancestor's environment -----------------------------------------------------------------------

attaches 'through sudo' "$spared" env SSH_CONNECTION="$on_link" sudo -n $loud "$XGUARD" -u
like "$work/err" "$why" 'it says why'
attaches 'through two of them' "$spared" env SSH_CONNECTION="$on_link" sudo -n env -i \
	"PATH=$PATH" sudo -n $loud "$XGUARD" -u
attaches "the nearest ancestor's" 'native,' env SSH_CONNECTION="$on_link" sudo -n env SSH_CONNECTION="$elsewhere" \
	sudo -n $loud "$XGUARD" -u
attaches 'through sudo, another link' 'native,' env SSH_CONNECTION="$elsewhere" sudo -n $loud "$XGUARD" -u
attaches 'through sudo, a name that begins so' 'native,' env SSH_CONNECTIONS="$on_link" XSSH_CONNECTION="$on_link" \
	sudo -n $loud "$XGUARD" -u

# Nobody may read what root's processes have: a link with the default route is assumed to carry it.
user="setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all,+bpf,+net_admin,+perfmon
	--ambient-caps -all,+bpf,+net_admin,+perfmon"
attaches 'unreadable, no default route' 'native,' $loud $user "$XGUARD" -u
ip -n "$receiver" route add default via 10.0.0.1 dev rx0
attaches 'unreadable, the default route' "$spared" $loud $user "$XGUARD" -u
attaches 'readable, the default route' 'native,' unshare --pid --fork --mount-proc $loud "$XGUARD" -u
attaches 'readable in our own environment' 'native,' $loud $user env SSH_CONNECTION="$elsewhere" "$XGUARD" -u
ip -n "$receiver" route del default
ip -n "$receiver" -6 route add default via fd00::1 dev rx0
attaches 'unreadable, the default route of IPv6' "$spared" $loud $user "$XGUARD" -u
ip -n "$receiver" -6 route del default

# --- the kernel trace -----------------------------------------------------------------------------------

add='^xguard: rx0: your SSH connection comes over it: .* add `not port 2222`$'
attaches 'the kernel trace' 'native,' env SSH_CONNECTION="$on_link" "$XGUARD" -k
is "$(grep -Ec "$add" "$work/err")" 1 'says once what to add'
attaches 'with that' 'native,' env SSH_CONNECTION="$on_link" "$XGUARD" -k not port 2222
unlike "$work/err" SSH 'it says nothing'
attaches 'the userspace trace' 'native,' env SSH_CONNECTION="$on_link" "$XGUARD" -u
unlike "$work/err" SSH 'says nothing'
attaches 'the kernel trace on another link' 'native,' env SSH_CONNECTION="$elsewhere" "$XGUARD" -k
unlike "$work/err" SSH 'says nothing'

# --- the address is on a link that is made of it ----------------------------------------------------------

ip -n "$receiver" address flush dev rx0
if ip -n "$receiver" link add br0 type bridge 2>/dev/null; then
	ip -n "$receiver" link set rx0 master br0
	ip -n "$receiver" address add 10.0.0.2/24 dev br0
	ip -n "$receiver" link set br0 up
	attaches 'a port of the bridge with the address' "$spared" env SSH_CONNECTION="$on_link" $loud "$XGUARD" -u
	ip -n "$receiver" link set rx0 nomaster
	attaches 'no port of it any more' 'native,' env SSH_CONNECTION="$on_link" $loud "$XGUARD" -u
	ip -n "$receiver" link del br0
else
	skip 'no bridges'
fi
if ip -n "$receiver" link add mac0 link rx0 type macvlan 2>/dev/null; then
	ip -n "$receiver" address add 10.0.0.2/24 dev mac0
	ip -n "$receiver" link set mac0 up
	attaches 'what a macvlan with the address is made of' "$spared" env SSH_CONNECTION="$on_link" $loud "$XGUARD" -u
	ip -n "$receiver" link del mac0
else
	skip 'no macvlan links'
fi
done_testing
