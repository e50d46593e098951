#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Puts xguard into the initramfs that dracut makes. Copy this folder to /usr/lib/dracut/modules.d/, then
#
#	dracut --force --add xguard
#
# Boot with rd.break=pre-mount and, in the shell:  ip link set eth0 up; xguard -i eth0 -u

# Only where it is asked for.
check() {
	require_binaries xguard || return 1
	return 255
}

depends() {
	return 0
}

# ip, too, or no link would be up before the network module's time.
install() {
	inst_multiple xguard ip
}

# Drivers of network cards; dracut takes those of this host alone, unless told --no-hostonly.
installkernel() {
	hostonly='' instmods =drivers/net
}
