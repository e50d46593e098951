#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# --status and --detach: whose program is on which link, and what of it goes.
. tests/lib.sh
need_root
need clang jq setpriv
make_pair

# program_on [LINK]: the id of the program that is attached to it.
program_on() { ip -n "$receiver" link show "${1:-rx0}" | sed -n 's|.*prog/xdp id \([0-9]*\).*|\1|p'; }
# there OPTION...: xguard in the receiver's namespace; $status, $work/out, $work/err.
there() {
	on_receiver timeout 10 "$XGUARD" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
}
mkdir "$work/tracing"
# has_instance PID: its tracing instance is there.
has_instance() {
	unshare -m sh -c 'mount -t tracefs tracefs "$0" && ls "$0/instances"' "$work/tracing" |
		grep -qx "xguard-$1"
}
# json FILTER: of the one line that is about rx0.
json() { jq -r "select(.interface == \"rx0\") | $1" "$work/out"; }
columns='"\(.mode) \(.program_id) \(.name) \(.leftover) \(.task) \(.pid)"'

# --- links without programs -------------------------------------------------------------------------

there --status
is "$status" 0 'the status is 0'
like "$work/out" '^LINK +MODE +ID +NAME +TAG +AGE +HOLDER$' 'a heading'
like "$work/out" '^lo +-$' 'every link has a row'
like "$work/out" '^rx0 +-$' 'also that one'
is "$(wc -c <"$work/err")" 0 'and nothing is said'
there --status -i rx0 --format json
is "$(json "$columns")" 'null null null null null null' 'JSON: null for what is not there'
is "$(wc -l <"$work/out")" 1 'and only the link that is named'
there --status -i nope
is "$status" 1 'a link that is missing: the status is 1'
like "$work/err" '^xguard: interface nope: no such link in this network namespace; there are: lo, rx0$' 'it says so'
there --detach
is "$status" 0 'there is nothing to detach: the status is 0'
unlike "$work/out" rx0 'and nothing is said'
is "$(wc -c <"$work/err")" 0 'neither there'

# --- a running xguard's -----------------------------------------------------------------------------

start_xguard one -k
reader=$pid
id=$(program_on)
sleep 1.1
there --status
is "$status" 0 'the status is 0'
like "$work/out" "^rx0 +native +$id +xguard +[0-9a-f]{16} +[1-9] s  xguard, process $reader\$" \
	'a running xguard has a program on the link'
there --status --format json
is "$(json "$columns")" "native $id xguard false xguard $reader" 'the same as JSON'
is "$(json '.event + " " + (.age >= 1 and .age < 9 | tostring) + " " + (.tag | length | tostring)')" \
	'link true 16' 'with age and tag'
is "$(jq -s length "$work/out")" 2 'a line for each link'
there --status --format csv
like "$work/out" '^time,timestamp,interface,mode,program_id,name,tag,age,leftover,task,pid$' 'CSV has a header'
like "$work/out" "^2[^,]*,[0-9.]+,rx0,native,$id,xguard,[0-9a-f]{16},[0-9.]+,false,xguard,$reader\$" 'and rows'
there --status --output "$work/file"
like "$work/file" "^rx0 +native +$id" '--output'
there --detach
is "$status" 1 'a running one keeps its program: the status is 1'
like "$work/err" "^xguard: rx0: program $id \\(xguard, tag [0-9a-f]*, held by xguard, process $reader\\) is a running xguard's: left alone; end that one \\(kill $reader\\), or --force takes it off\$" 'it says so, and what to do'
is "$(program_on)" "$id" 'it is still there'
there --detach --force -i lo
is "$status" 0 'another link than those named is left alone'
is "$(program_on)" "$id" 'it is still there'
there --detach --force
is "$status" 0 '--force'
like "$work/out" "^rx0: removed program $id \\(xguard, .*\\) \\(native mode\\)\$" 'says what it removed'
ok 'and did' has_no_program "$receiver" rx0
stop_xguard one 0
is "$status" 1 'that xguard ends with 1'
like "$work/one.err" '^xguard: rx0: our program was detached by someone else$' 'and knows why'

# --- what killed ones left --------------------------------------------------------------------------

for how in '' '--mode generic'; do
	mode=${how#--mode }
	mode=${mode:-native}
	# shellcheck disable=SC2086
	start_xguard killed -k $how
	reader=$pid
	id=$(program_on)
	kill_all killed
	there --status
	like "$work/out" "^rx0 +$mode +$id +xguard +[0-9a-f]+ +[0-9] s  left over; xguard --detach removes it\$" \
		"$mode: a program that is left over"
	there --status --format json
	is "$(json "$columns")" "$mode $id xguard true null null" 'the same as JSON'
	# Others than root may neither see nor change it.
	chmod 755 "$work"
	cp "$XGUARD" "$work/xguard"
	as_nobody() {
		on_receiver setpriv --reuid=65534 --regid=65534 --clear-groups "$@" \
			>"$work/out" 2>"$work/err" </dev/null
		status=$?
	}
	as_nobody "$work/xguard" --status
	is "$status" 0 'nobody may ask for the status'
	like "$work/out" "^rx0 +$mode +$id +- +- +-  -\$" 'and sees the id'
	as_nobody "$work/xguard" --detach
	is "$status" 1 'and not detach'
	like "$work/err" "^xguard: rx0: whose program $id is, is told to root only: left alone; run as root" 'says why'
	as_nobody "$work/xguard" --detach --force
	is "$status" 1 'nor by force'
	like "$work/err" '^xguard: run it as root, or with CAP_NET_ADMIN$' 'says why'
	as_nobody "$work/xguard" --status --format json
	is "$(json "$columns")" "$mode $id null null null null" 'JSON for nobody'
	there --detach
	is "$status" 0 'root detaches'
	like "$work/out" "^rx0: removed program $id \\(xguard, tag [0-9a-f]*\\), left by an xguard that was killed \\($mode mode\\)\$" \
		'and says so'
	ok 'it is gone' has_no_program "$receiver" rx0
	not_ok 'its tracing instance is gone, too' has_instance "$reader"
	there --detach
	unlike "$work/out" rx0 'then there is nothing left'
done

# --- others' ----------------------------------------------------------------------------------------

cat >"$work/pass.c" <<'END'
__attribute__((section("xdp"), used)) int others_pass(void *ctx) { (void)ctx; return 2; }
char _license[] __attribute__((section("license"), used)) = "GPL";
END
ok 'another program is compiled' clang -target bpf -O2 -c -o "$work/pass.o" "$work/pass.c"
ok 'it is attached' ip -n "$receiver" link set dev rx0 xdpgeneric obj "$work/pass.o" sec xdp
id=$(program_on)
there --status
like "$work/out" "^rx0 +generic +$id +others_pass +[0-9a-f]{16} +[0-9] s  -\$" "another's program"
there --status --format json
is "$(json "$columns")" "generic $id others_pass false null null" 'the same as JSON'
there --detach -i rx0
is "$status" 0 'it is left alone'
like "$work/err" "^xguard: rx0: program $id \\(others_pass, tag [0-9a-f]*\\) is not xguard's: left alone; --force takes it off\$" 'it says so'
is "$(program_on)" "$id" 'it is still there'
there --detach --force -i rx0
is "$status" 0 'but for --force'
ok 'it is gone' has_no_program "$receiver" rx0

start holder ip netns exec "$receiver" "$TESTS/hold-link" rx0
if await_line "$work/holder.out" held 2; then
	id=$(program_on)
	there --status
	like "$work/out" "^rx0 +native +$id +held_by_link +[0-9a-f]{16} +[0-9] s  hold-link, process $pid\$" \
		'a process that holds a program by a BPF link'
	there --status --format json
	is "$(json "$columns")" "native $id held_by_link false hold-link $pid" 'the same as JSON'
	there --detach
	is "$status" 0 'it is not ours'
	there --detach --force
	is "$status" 1 'and cannot be taken off'
	like "$work/err" "^xguard: detach from rx0: Can't replace active BPF XDP link\$" 'the kernel says so'
	like "$work/err" "^xguard: process $pid \\(hold-link\\) holds it by a BPF link: it goes when that process ends\$" 'and who'
	is "$(program_on)" "$id" 'it is still there'
	stop holder TERM
else
	stop holder 0
	skip 'this kernel has no BPF links for XDP (Linux 5.9)'
fi
on_receiver "$XGUARD" --status >/dev/full 2>"$work/err"
is $? 1 'a full disk: the status is 1'
like "$work/err" '^xguard: standard output: No space left on device$' 'it says so'
done_testing
