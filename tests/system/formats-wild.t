#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# JSON and CSV where they are used: jq, sqlite3 and Python read them and come to the same, with awkward
# names too; the commands of the manual's examples do what they say.
. tests/lib.sh
need_root
need jq sqlite3 python3
make_pair

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010008 0008 0000'
tagged='020000000002 020000000001 8100 0007 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010008 0008 0000'
six='020000000002 020000000001 86dd 60000000 0008 06 40 fd000000000000000000000000000001 fd000000000000000000000000000002'
lldp='0180c200000e 020000000001 88cc 0207040200000000010406'
traffic() {
	send_hex -4 "$udp" && send_hex -3 "$six" && send_hex -2 "$tagged" && send_hex "$lldp"
} >"$work/sent"

# --- a link whose name is full of what formats give a meaning ----------------------------

odd=$(printf 'a,"b\\\047\303\251')
ip -n "$receiver" link set rx0 down
ip -n "$receiver" link set rx0 name "$odd" || odd=rx0
ip -n "$receiver" link set "$odd" up
# start_odd NAME OPTION...
start_odd() {
	odd_name=$1
	shift
	start "$odd_name" ip netns exec "$receiver" "$XGUARD" -i "$odd" "$@"
	await_line "$work/$odd_name.err" '^xguard: attached to'
}
start_odd json -u --by src_ip,dst_port,vlan,protocol --format json --interval 1000
traffic
stop_xguard json
start_odd csv -u --by src_ip,dst_port,vlan,protocol --format csv --interval 1000
traffic
stop_xguard csv

is "$(jq -s length "$work/json.out")" "$(wc -l <"$work/json.out")" 'jq: a line an object'
is "$(jq -r '.interface' "$work/json.out" | uniq)" "$odd" 'jq: the name of the link'
is "$(jq -c 'keys_unsorted' "$work/json.out" | uniq)" \
	'["event","time","timestamp","interface","eth_type","vlan","src_ip","dst_port","protocol","hits","bytes"]
["event","time","timestamp","interface","seconds","packets","bytes","flows","unattributed_packets","unattributed_bytes"]' \
	'jq: the fields in their order'
is "$(jq -c 'map_values(type) | [.eth_type,.vlan,.src_ip,.dst_port,.protocol,.hits,.timestamp]' "$work/json.out" |
	head -n 4 | sort)" '["string","null","null","null","null","number","number"]
["string","null","string","null","string","number","number"]
["string","null","string","number","string","number","number"]
["string","number","string","number","string","number","number"]' 'jq: their types'

# The same table three ways.
cat >"$work/wanted" <<END
IPv4|7|10.0.0.1|8|UDP|2|92
IPv4||10.0.0.1|8|UDP|4|168
IPv6||fd00::1||TCP|3|162
LLDP|||||1|25
END
jq -r 'select(.event == "flow") | [.eth_type, .vlan, .src_ip, .dst_port, .protocol, .hits, .bytes]
	| map(. // "") | join("|")' "$work/json.out" | sort >"$work/got"
same "$work/got" "$work/wanted" 'jq: the flows of JSON'
sqlite3 :memory: ".import --csv $work/csv.out line" \
	'SELECT eth_type, vlan, src_ip, dst_port, protocol, hits, bytes FROM line' | sort >"$work/got"
same "$work/got" "$work/wanted" 'sqlite3: the flows of CSV'
is "$(sqlite3 :memory: ".import --csv $work/csv.out line" 'SELECT DISTINCT interface FROM line')" "$odd" \
	'sqlite3: the name of the link'
sqlite3 :memory: 'CREATE TABLE line (text)' '.mode ascii' '.separator \037 \n' ".import $work/json.out line" \
	"SELECT json_extract(text, '\$.interface') FROM line WHERE json_valid(text)" >"$work/got"
is "$(uniq "$work/got" | tr -d '\037')" "$odd" 'sqlite3: JSON'
python3 - "$work/csv.out" "$work/json.out" "$odd" <<'END' >"$work/got" 2>&1
import csv, json, sys
with open(sys.argv[1], newline="") as file:
    rows = list(csv.DictReader(file, strict=True))
with open(sys.argv[2]) as file:
    flows = [r for r in map(json.loads, file) if r["event"] == "flow"]
names = ["eth_type", "vlan", "src_ip", "dst_port", "protocol", "hits", "bytes"]
assert all(row["interface"] == sys.argv[3] for row in rows + flows), rows
table = sorted("|".join(row[name] for name in names) for row in rows)
assert table == sorted("|".join("" if row[name] is None else str(row[name]) for name in names) for row in flows)
print("\n".join(table))
END
same "$work/got" "$work/wanted" 'Python: both, and they agree'

start_odd json -k --format json
traffic
stop_xguard json
is "$(jq -s '[.[] | select(.event == "packet")] | length' "$work/json.out")" 10 'jq: a line a frame'
is "$(jq -r 'select(.event == "summary") | [.packets, .lines, .lost_events] | @csv' "$work/json.out")" '10,10,0' \
	'jq: and the summary'

# --- as it comes -------------------------------------------------------------------------------------

ip -n "$receiver" link set "$odd" down
ip -n "$receiver" link set "$odd" name rx0
ip -n "$receiver" link set rx0 up
pipe() { # NAME OPTIONS FILTER: xguard into jq, in the background
	start "$1" ip netns exec "$receiver" sh -c "'$XGUARD' -i rx0 $2 --format json 2>'$work/$1.said' | $3"
	await_line "$work/$1.said" '^xguard: attached to rx0'
}
pipe stream '-u --interval 0.05' "jq --unbuffered -r 'select(.event == \"flow\") | .src_ip'"
send_hex "$udp" >"$work/sent"
await_line "$work/stream.out" '^10.0.0.1$'
report $? 'jq sees a flow while the trace goes on'
send_hex "$six" >"$work/sent"
await_line "$work/stream.out" '^fd00::1$'
report $? 'and the next'
wait_for 5 sh -c "kill -INT \$(ip netns pids $receiver | xargs ps -o pid=,comm= | awk '\$2 == \"xguard\" { print \$1 }')"
stop stream 0
is "$status" 0 'and ends with it'
pipe first '-k' 'head -n 1 | jq -r .protocol'
send_hex "$udp" "$six" >"$work/sent"
stop first 0
is "$(cat "$work/first.out")" UDP 'a reader of one line ends the trace'

# --- what the manual says ----------------------------------------------------------------------------

# The commands of its displays, one a file, on this link and for less time.
awk -v "to=$work/example" '
	/^\.Sh/ { examples = /EXAMPLES/ }
	examples && /^\.Bd -literal/ { file = to "." ++n; next }
	/^\.Ed/ { file = "" }
	file { sub(/^# /, ""); gsub(/\\e/, "\\"); print >file }' xguard.8
mkdir "$work/path"
ln -s "$XGUARD" "$work/path/xguard"
# example NUMBER: run it, while frames arrive; its output goes to $work/shown.
example() {
	sed -i 's/-i eth0/-i rx0/; s/--duration 10/--duration 1.5/' "$work/example.$1"
	start frames ip netns exec "$sender" "$TESTS/generate" --rate 2000 --count 4000 --sources 15 \
		--protocol tcp --mac 02:00:00:00:00:02 tx0
	(cd "$work" && PATH=$work/path:$PATH ip netns exec "$receiver" sh "example.$1") \
		>"$work/shown" 2>"$work/shown.err"
	status=$?
	stop frames 0
	is "$status" 0 "$2" || diag <"$work/shown.err"
}
is "$(ls "$work"/example.* | wc -l)" 4 'the manual has four'
example 1 'jq: who sent most'
is "$(grep -Ec '^10\.0\.0\.[0-9]+	[0-9]+	[0-9]+$' "$work/shown")" 10 'are ten'
sort -t '	' -k 3,3nr -s "$work/shown" >"$work/sorted"
same "$work/shown" "$work/sorted" 'in their order'
example 2 'jq: how many came from where'
is "$(awk '{ n += $1 } END { print n, NR }' "$work/shown")" '100 15' 'are a hundred, from fifteen'
example 3 'jq: everything was counted'
is "$(cat "$work/shown")" true 'it says so'
example 4 'sqlite3: by protocol'
like "$work/shown" '^TCP\|[0-9]+\|[0-9]+$' 'a line for TCP'
is "$(awk -F '|' '$1 == "TCP" { print $3 / $2 }' "$work/shown")" 64 'with frames and their bytes'
done_testing
