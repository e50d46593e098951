#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A 32-bit xguard on this machine's 64-bit kernel: the tests of exactness, with it.
if ! build/i686/xguard --version >/dev/null 2>&1; then
	echo '1..0 # SKIP this kernel does not run i686 programs'
	exit 0
fi
XGUARD=$PWD/build/i686/xguard
export XGUARD
status=0
for test in frames counts filter kernel userspace; do
	if "tests/system/$test.t" >"${TMPDIR:-/tmp}/xguard-i686.$$" 2>&1; then
		echo "ok - $test"
	else
		echo "not ok - $test"
		status=1
	fi
	sed 's/^/# /' "${TMPDIR:-/tmp}/xguard-i686.$$"
done
rm -f "${TMPDIR:-/tmp}/xguard-i686.$$"
echo 1..5
exit "$status"
