#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# make dist in two folders: the same bytes. TAP. It takes a few minutes, so it is not part of make check.
top=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/xguard-dist.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
for copy in a b/with/a/longer/name; do
	mkdir -p "$work/$copy/build"
	git ls-files -z | (cd "$top" && xargs -0 cp --parents -t "$work/$copy")
	[ ! -e build/musl ] || cp -R build/musl "$work/$copy/build/"
	if ! (cd "$work/$copy" && make dist) >"$work/log" 2>&1; then
		sed 's/^/# /' "$work/log"
		printf '1..1\nnot ok 1 - make dist\n'
		exit 1
	fi
done
sed -n 's/^[0-9]* build.dist/# &/p' "$work/log"
echo 1..2
if cmp "$work/a/build/dist/SHA256SUMS" "$work/b/with/a/longer/name/build/dist/SHA256SUMS"; then
	echo 'ok 1 - the same bytes in two folders'
else
	echo 'not ok 1 - the same bytes in two folders'
fi
if (cd "$work/a/build/dist" && sha256sum -c --quiet SHA256SUMS); then
	echo 'ok 2 - SHA256SUMS is true'
else
	echo 'not ok 2 - SHA256SUMS is true'
fi
