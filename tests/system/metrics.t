#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Metrics in a file that is replaced, and at the end on standard output: exact, whole at any time, with
# series that stay. (tests/system/serve.t has them over HTTP.)
. tests/lib.sh
need_root
need python3 setpriv
make_pair

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010008 0008 0000'
tagged='020000000002 020000000001 8100 0007 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010008 0008 0000'
lldp='0180c200000e 020000000001 88cc 0207040200000000010406'
metrics() { tests/read-metrics "$@" 2>&1; }

# --- the end, on standard output ---------------------------------------------------------------------

start_xguard once -u --format metrics --interval 0.05
send_hex -4 "$udp" >"$work/sent"
send_hex "$lldp" >"$work/sent"
sleep 0.2
is "$(wc -c <"$work/once.out")" 0 'without --output nothing is written while it runs'
stop_xguard once
is "$status" 0 'the status is 0'
cat >"$work/wanted" <<'END'
# HELP xguard_packets_total Frames that arrived, by flow.
# TYPE xguard_packets_total counter
xguard_packets_total{interface="rx0",eth_type="IPv4",src_ip="10.0.0.1",protocol="UDP"} 4
xguard_packets_total{interface="rx0",eth_type="LLDP",src_ip="",protocol=""} 1
# HELP xguard_bytes_total Their lengths without frame check sequence, by flow.
# TYPE xguard_bytes_total counter
xguard_bytes_total{interface="rx0",eth_type="IPv4",src_ip="10.0.0.1",protocol="UDP"} 168
xguard_bytes_total{interface="rx0",eth_type="LLDP",src_ip="",protocol=""} 25
# HELP xguard_unattributed_packets_total Frames that arrived when the flow table had no room for their flow.
# TYPE xguard_unattributed_packets_total counter
xguard_unattributed_packets_total{interface="rx0"} 0
# HELP xguard_unattributed_bytes_total The lengths of those.
# TYPE xguard_unattributed_bytes_total counter
xguard_unattributed_bytes_total{interface="rx0"} 0
# HELP xguard_flows Flows seen since the start.
# TYPE xguard_flows gauge
xguard_flows{interface="rx0"} 2
# HELP xguard_info The version of xguard, and the mode of its program on the link.
# TYPE xguard_info gauge
END
printf 'xguard_info{interface="rx0",mode="native",version="%s"} 1\n' "$("$XGUARD" --version | sed 's/.* //')" \
	>>"$work/wanted"
# in_order FILE: its samples sorted, each between the same comments: flows come as their CPUs counted them.
in_order() { awk '/^#/ { n++ } { print n "\t" $0 }' "$1" | LC_ALL=C sort -s -t "	" -k1,1n -k2 | cut -f 2-; }
in_order "$work/once.out" >"$work/got"
in_order "$work/wanted" >"$work/sorted"
same "$work/got" "$work/sorted" 'then, once, the text'
like "$work/once.err" '^xguard: rx0: 5 packets, 193 bytes, 2 flows, 0 unattributed in' \
	'the summary is on standard error'

start_xguard by -u --format metrics --by dst_port,vlan -n
send_hex -2 "$udp" >"$work/sent"
send_hex "$tagged" >"$work/sent"
stop_xguard by
is "$(grep '^xguard_packets' "$work/by.out" | sort)" \
	'xguard_packets_total{interface="rx0",eth_type="0x0800",vlan="",dst_port="8"} 2
xguard_packets_total{interface="rx0",eth_type="0x0800",vlan="7",dst_port="8"} 1' 'by other fields, as numbers'

# --- a file ------------------------------------------------------------------------------------------

folder=$work/folder
file=$folder/xguard.prom
mkdir "$folder"
echo old >"$file"
start_xguard file -u --format metrics --output "$file" --interval 0.01 -v
wait_for 5 grep -q '^xguard_info' "$file"
report $? 'it is there soon after the attach'
like "/proc/$pid/status" '^CapEff:.0*$' 'though the reader has no capability'
like "/proc/$pid/status" '^Seccomp:.2$' 'and makes few calls'
send_hex -3 "$udp" >"$work/sent"
wait_for 5 grep -q 'protocol="UDP"} 3$' "$file"
report $? 'it follows'

# While frames arrive it is whole whenever it is read, and no counter goes back.
cat >"$work/watch.py" <<'END'
import importlib.machinery, importlib.util, os, sys, time
loader = importlib.machinery.SourceFileLoader("metrics", "tests/read-metrics")
metrics = importlib.util.module_from_spec(importlib.util.spec_from_loader("metrics", loader))
loader.exec_module(metrics)
last, texts, end = {}, 0, time.time() + 2
inodes = set()
while time.time() < end:
    with open(sys.argv[1]) as file:
        inodes.add(os.fstat(file.fileno()).st_ino)
        series = metrics.read(file.read())
    texts += 1
    now = {(name, *sorted(labels.items())): value for name, labels, value in series}
    for key, value in last.items():
        assert now.get(key, -1) >= value, (key, value, now.get(key))
    last = now
assert texts > 100 and len(last) > 50, (texts, len(last))
END
start watch python3 "$work/watch.py" "$file"
sent=0
for n in 1 2 3 4 5 6 7 8; do
	generate --rate 20000 --count 4000 --sources $((n * 20)) --size 100
	sent=$((sent + frames))
done
stop watch 0
is "$status" 0 'while it is replaced it is whole, and no counter goes back'
diag <"$work/watch.err"
stop_xguard file
is "$status" 0 'the status is 0'
is "$(metrics "$file" xguard_packets_total) $(metrics "$file" xguard_bytes_total)" \
	"$((sent + 3)) $((sent * 100 + 3 * 42))" 'the last one has every frame'
is "$(ls -A "$folder")" xguard.prom 'nothing else is left in the folder'
is "$(wc -c <"$work/file.out")" 0 'and nothing was written elsewhere'
like "$work/file.err" "^xguard: rx0: $((sent + 3)) packets" 'the summary agrees'
unlike "$work/file.err" 'not permitted' 'all calls were permitted'

# --- series ------------------------------------------------------------------------------------------

start_xguard few -u --format metrics --output "$file" --interval 0.05 --max-series 5
send_hex -7 "$udp" >"$work/sent"
await_line "$file" 'src_ip="10.0.0.1",protocol="UDP"} 7$'
generate --rate 20000 --count 500 --sources 50 --source 10.1.0.1
stop_xguard few
is "$(grep -c '^xguard_packets_total' "$file")" 6 '--max-series: so many, and one for the others'
is "$(metrics "$file" xguard_packets_total src_ip=10.0.0.1) $(metrics "$file" xguard_packets_total)" '7 507' \
	'who came first stays; nothing is lost'
is "$(metrics "$file" xguard_packets_total src_ip=other protocol=other)" 460 'the others are one'
is "$(metrics "$file" xguard_flows)" 51 'flows are all'
start_xguard many -u --format metrics
generate --rate 20000 --count 3000 --sources 1500 --source 10.1.0.1
stop_xguard many
is "$(grep -c '^xguard_packets_total' "$work/many.out")" 1001 'a thousand unless told otherwise'
is "$(metrics "$work/many.out" xguard_packets_total src_ip=other)" 1000 'with the rest'

# Names of links may hold what the format gives a meaning.
odd=$(printf 'a"\\{},=\303\251\377')
if ip -n "$receiver" link add "$odd" type veth peer name odd1 2>"$work/why"; then
	start odd ip netns exec "$receiver" "$XGUARD" -i "$odd" -i rx0 -u --format metrics --duration 0.1
	stop odd 0
	is "$(metrics "$work/odd.out")" 8 'an odd name of a link'
	like "$work/odd.out" '^xguard_flows\{interface="a\\"\\\\\{\},=é\\\\xff"\} 0$' 'is written as it should be'
else
	skip 'a link cannot have an odd name'
fi

# --- what cannot be written --------------------------------------------------------------------------

# refused NAME OUTPUT MESSAGE NEXT: it ends with 1 before anything is attached.
refused() {
	start refused ip netns exec "$receiver" "$XGUARD" -i rx0 -u --format metrics --output "$2" --duration 1
	stop refused 0
	is "$status" 1 "$1: the status is 1"
	unlike "$work/refused.err" attached 'before the attach'
	like "$work/refused.err" "^xguard: $3" 'it says what'
	[ -z "$4" ] || like "$work/refused.err" "^xguard: .*$4" 'and what to do'
}
chmod 755 "$work"
chown 65534 "$folder"
refused "somebody else's folder" "$file" "replace $file: Permission denied" \
	'folder belongs to nobody \(mode 755\), and xguard, as root, gives up'
chown 64321 "$folder"
refused "a nameless one's" "$folder/other" 'replace .*/other: Permission denied' 'belongs to user 64321 '
is "$(ls -A "$folder")" xguard.prom 'nothing was left there'
chown 0 "$folder"
refused 'no folder' "$work/none/x" "open $work/none/: No such file" ''
refused 'a folder' "$folder" "replace $folder: it is there already, and is no regular file" 'name a file'
refused 'a folder by its path' "$folder/" "replace $folder/: it is there already" ''
mkfifo "$work/pipe"
refused 'a pipe' "$work/pipe" 'replace .*: it is there already, and is no regular file' ''
refused 'a device' /dev/null 'replace /dev/null: it is there already' ''
ok 'which is still there' test -c /dev/null

# A disk that fills up: the last file that was whole stays.
mkdir "$work/small"
start full ip netns exec "$receiver" unshare -m sh -c 'mount -t tmpfs -o size=16k none "$1" &&
	"$2" -i rx0 -u --format metrics --output "$1/x" --interval 0.05; s=$?; cat "$1/x"; ls -A "$1"; exit $s' \
	sh "$work/small" "$XGUARD"
await_line "$work/full.err" '^xguard: attached'
generate --rate 20000 --count 1000 --sources 500
stop full 0
is "$status" 1 'a full disk ends it with 1'
like "$work/full.err" '^xguard: replace .*/small/x: No space left on device' 'it says so'
is "$(grep -c 'replace' "$work/full.err")" 1 'once'
is "$(tail -n 1 "$work/full.out")" x 'nothing but the file is left'
sed '$d' "$work/full.out" >"$work/last"
ok 'which is whole' tests/read-metrics "$work/last"
done_testing
