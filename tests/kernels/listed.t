#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernels that the manual page lists are those that are booted here.
here=$(dirname "$0")
listed=$(sed -n '/^\.Sh KERNELS/,/^\.El/s/^\.It //p' xguard.8)
run=0
for suite in bullseye:5.10 bookworm:6.1 trixie:6.12; do
	run=$((run + 1))
	version=${suite#*:}
	if ! echo "$listed" | grep -qx "$version"; then
		echo "not ok $run - the manual page lists $version"
	elif kernel=$("$here/fetch" "${suite%:*}" 2>/dev/null); then
		case $(cat "$kernel/version") in
		"$version".*) echo "ok $run - ${suite%:*} has Linux $version, as listed" ;;
		*) echo "not ok $run - ${suite%:*} has Linux $(cat "$kernel/version"), not $version" ;;
		esac
	else
		echo "ok $run # SKIP the archive does not serve ${suite%:*}"
	fi
done
run=$((run + 1))
[ "$(echo "$listed" | wc -l)" -eq 4 ] || printf 'not '
echo "ok $run - and the newest, no others"
echo "1..$run"
