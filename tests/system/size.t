#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The binary's size: that of x86-64 with musl has a limit.
. tests/lib.sh

[ "$(od -An -tu1 -j 18 -N 1 "$XGUARD")" -eq 62 ] || skip_all 'not built for x86-64'
! grep -q 'libc.a(libc-start' build/xguard.map || skip_all 'built with glibc'
bytes=$(wc -c <"$XGUARD")
diag "$bytes bytes"
ok 'at most 98,304 bytes' test "$bytes" -le 98304
done_testing
