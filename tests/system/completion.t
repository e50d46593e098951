#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# bash's completion: the options of --help and of the manual, neither more nor less, and what may follow them.
. tests/lib.sh
need bash make
script=build/xguard.bash

# complete WORD...: what is proposed for the last one, sorted, in one line. A '=' is a word by itself.
complete() {
	# shellcheck disable=SC2016
	bash -c '. "$0" && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) &&
		compopt() { :; } && _xguard && printf "%s\n" "${COMPREPLY[@]}"' "$script" xguard "$@" |
		sort | tr '\n' ' ' | sed 's/ $//'
}

[ -e "$script" ] || skip_all "no $script"
"$XGUARD" --help | sed -n 's/^  \(-.\), \(--[a-z0-9-]*\).*/\1\n\2/p; s/^  *\(--[a-z0-9-]*\).*/\1/p; s/^  \(-.\)   .*/\1/p' |
	sort >"$work/help"
complete - | tr ' ' '\n' | sort >"$work/completion"
same "$work/completion" "$work/help" 'the options are those of --help'
sed -n 's/^\.It Fl \([A-Za-z]\) , Fl -\([a-z0-9-]*\).*/-\1\n--\2/p; s/^\.It Fl -\([a-z0-9-]*\).*/--\1/p
	s/^\.It Fl \([A-Za-z]\)$/-\1/p' xguard.8 | sort -u >"$work/manual"
same "$work/completion" "$work/manual" 'and those of the manual'

is "$(complete --ver)" '--verbose --version' 'a beginning of an option'
is "$(complete -i eth0 --us)" '--userspace-trace' 'behind others'
is "$(complete --mode '')" 'auto generic native' 'the words that an option takes'
is "$(complete --mode = g)" 'generic' 'behind an equals sign, too'
is "$(complete --mode =)" 'auto generic native' 'and just behind it'
is "$(complete --by src)" 'src_ip src_port' 'fields'
is "$(complete --by vlan,dst_)" 'vlan,dst_ip vlan,dst_port' 'several of them'
is "$(complete --interface al)" all 'all links'
is "$(complete -i l)" "$(command ls /sys/class/net | grep '^l' | sort | tr '\n' ' ' | sed 's/ $//')" \
	'links of this host'
is "$(complete --object Makef)" Makefile 'files'
is "$(complete --duration '')" '' 'for a number nothing is proposed'
is "$(complete -i lo -u '')" '' 'nor for a filter'

make -s install PREFIX=/usr DESTDIR="$work/root" >"$work/install" 2>&1
ok 'make install' cmp "$script" "$work/root/usr/share/bash-completion/completions/xguard"
make -s uninstall PREFIX=/usr DESTDIR="$work/root" >"$work/install" 2>&1
is "$(find "$work/root" -type f)" '' 'make uninstall leaves nothing'
done_testing
