#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Metrics over HTTP: who asks gets what was counted up to then, and nobody, whatever he does, keeps
# others from theirs, the trace from its work or a CPU from better things.
. tests/lib.sh
need_root
need python3
make_pair

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010008 0008 0000'
client() { on_receiver tests/http-client 127.0.0.1 9100 "$@" 2>&1; }
# scrape NAME: the metrics go to $work/NAME, without the client's first line.
scrape() {
	client get >"$work/reply" || diag <"$work/reply"
	sed 1d "$work/reply" >"$work/$1"
}
packets() { tests/read-metrics "$work/$1" xguard_packets_total; }

# --- what is served ----------------------------------------------------------------------------------

start_xguard text -u --udp --listen 9100 --interval 1000 -v
reader=$pid
await_line "$work/text.err" '^xguard: serving http://127.0.0.1:9100/metrics$'
report $? 'it says where'
is "$(sed -n 's/^\(xguard: [a-z]*\).*/\1/p' "$work/text.err" | head -n 2 | tr '\n' ' ')" \
	'xguard: attached xguard: serving ' 'after the attach'
scrape metrics
is "$(tests/read-metrics "$work/metrics")" 4 'without a flow'
send_hex -4 "$udp" >"$work/sent"
scrape metrics
is "$(packets metrics)" 4 'each request is answered with what there is now'
send_hex -3 "$udp" >"$work/sent"
scrape metrics
is "$(packets metrics)" 7 'again and again'
like "$work/metrics" '^xguard_bytes_total\{interface="rx0",eth_type="IPv4",src_ip="10.0.0.1",protocol="UDP"\} 294$' \
	'with all labels'
client get HEAD >"$work/head"
is "$(cat "$work/head")" "200 $(wc -c <"$work/metrics")" 'HEAD: the length alone'
is "$(client get GET '/metrics?x=1' | head -n 1)" "200 $(wc -c <"$work/metrics")" 'a query changes nothing'
# Each request, and what it gets.
long=$(printf '%8000s' '' | tr ' ' x)
cat >"$work/requests" <<END
200 OK|GET /metrics HTTP/1.0\r\n\r\n
200 OK|GET|| /metrics HTT||P/1.1\r||\nHost:||x\r\n||\r\n
200 OK|GET /metrics HTTP/1.1\nHost: x\n\n
200 OK|GET http://127.0.0.1:9100/metrics HTTP/1.1\r\nHost: x\r\n\r\n
200 OK|GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n
404 Not Found|GET / HTTP/1.1\r\nHost: x\r\n\r\n
404 Not Found|GET /metric HTTP/1.1\r\nHost: x\r\n\r\n
404 Not Found|GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n
404 Not Found|GET /../metrics HTTP/1.1\r\nHost: x\r\n\r\n
404 Not Found|GET /metrics%00 HTTP/1.1\r\nHost: x\r\n\r\n
404 Not Found|GET /etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n
405 Method Not Allowed|PUT /metrics HTTP/1.1\r\nHost: x\r\n\r\n
405 Method Not Allowed|DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n
405 Method Not Allowed|get /metrics HTTP/1.1\r\nHost: x\r\n\r\n
405 Method Not Allowed|POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n$long$long$long
400 Bad Request|GET /metrics HTTP/1.1\r\n\r\n
400 Bad Request|\x16\x03\x01\x02\x00\x01\x00\x01\xfc
400 Bad Request|GET /metrics\r\n
400 Bad Request|GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n
431 Request Header Fields Too Large|GET /$long HTTP/1.1\r\n\r\n
431 Request Header Fields Too Large|GET /metrics HTTP/1.1\r\nX: $long\r\n\r\n
431 Request Header Fields Too Large|$long$long$long
505 HTTP Version Not Supported|PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n
END
cut -d '|' -f 2- "$work/requests" | client raw >"$work/got"
cut -d '|' -f 1 "$work/requests" >"$work/wanted"
same "$work/got" "$work/wanted" 'requests, good and bad, get the right answer, and get it whole'
is "$(client get POST | head -n 1)" '405 53' 'of an answer that says no the head is right, too'
if command -v curl >"$work/curl"; then
	on_receiver curl -sS http://127.0.0.1:9100/metrics >"$work/curl" 2>&1
	is "$(packets curl)" 7 'curl'
else
	skip 'curl is not installed'
fi

# Not at other addresses, not in another namespace; and what is published is as if nobody had asked.
not_ok 'loopback only' on_receiver tests/http-client 10.0.0.2 9100 get
not_ok 'from outside, too' on_sender tests/http-client 10.0.0.2 9100 get
is "$(wc -c <"$work/text.out")" 0 'a look for a client publishes nothing'
like "/proc/$reader/status" '^CapEff:.0*$' 'the reader has no capability'
like "/proc/$reader/status" '^Seccomp:.2$' 'and makes few calls'
guardian=$(ps -o pid= --ppid "$reader" | tr -d ' ')
ls -l "/proc/$reader/fd" >"$work/fds"
sockets=$(grep -o 'socket:.*' "$work/fds" | sort)
ls -l "/proc/$guardian/fd" >"$work/fds"
listening=$(on_receiver cat /proc/net/tcp | awk '$4 == "0A" { print "socket:[" $10 "]" }')
ok 'it holds the socket' test "$sockets" != "${sockets#*"$listening"}"
not_ok 'its guardian does not' grep -F "$listening" "$work/fds"
stop_xguard text
is "$status" 0 'the status is 0'
is "$(cat "$work/text.out")" 'eth_type=IPv4, src_ip=10.0.0.1, protocol=UDP, hits=7' \
	'what was published is as if nobody had asked'
unlike "$work/text.err" 'not permitted' 'all calls were permitted'
not_ok 'then nobody answers' on_receiver tests/http-client 127.0.0.1 9100 get

# --- where -------------------------------------------------------------------------------------------

# at LISTEN ADDRESS: it answers there, from the receiver.
at() {
	start_xguard at -u --listen "$1" --format json
	is "$(on_receiver tests/http-client "$2" "${1##*:}" get 2>&1 | sed -n 's/ .*//;1p')" 200 \
		"--listen $1, asked at $2"
	stop_xguard at
}
at 127.0.0.1:9100 127.0.0.1
at 10.0.0.2:80 10.0.0.2
at 0.0.0.0:9100 10.0.0.2
at '[::1]:9100' ::1
at '[fd00::2]:9100' fd00::2
at '[::]:9100' fd00::2
at '[::]:9100' 127.0.0.1

start holder ip netns exec "$receiver" python3 -c 'import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 9100)); s.listen(); print("here", flush=True); time.sleep(60)'
await_line "$work/holder.out" here
start busy ip netns exec "$receiver" "$XGUARD" -i rx0 -u --listen 9100
stop busy 0
is "$status" 1 'a port that is taken: the status is 1'
like "$work/busy.err" '^xguard: listen at 9100: Address (already )?in use' 'it names the port'
like "$work/busy.err" '^xguard: another program listens there, which `ss -ltnp` names' 'and who can tell'
unlike "$work/busy.err" attached 'before the attach'
stop holder KILL
start none ip netns exec "$receiver" "$XGUARD" -i rx0 -u --listen 192.0.2.77:9100
stop none 0
is "$status" 1 'an address that is not ours: the status is 1'
like "$work/none.err" '^xguard: listen at 192.0.2.77:9100: .*ddress not available|Cannot assign' 'it says so'

# Killed, it leaves the port to the next at once, though connections to it were open.
start_xguard killed -u --listen 9100
start hold ip netns exec "$receiver" tests/http-client 127.0.0.1 9100 slow 2 1
await_line "$work/hold.out" here
stop_xguard killed KILL
wait_for 5 has_no_program "$receiver" rx0
start_xguard killed -u --listen 9100
report $? 'after SIGKILL the port can be had at once'
stop_xguard killed
stop hold 0

# --- a link that goes and comes again ------------------------------------------------------------------

plug() {
	ip link add v1 netns "$sender" type veth peer name v0 netns "$receiver"
	ip -n "$sender" link set v1 up
	ip -n "$receiver" link set v0 up
	wait_for 5 has_program "$receiver" v0
}
start all ip netns exec "$receiver" "$XGUARD" -i all -u --udp --listen 9100
await_line "$work/all.err" '^xguard: attached to rx0'
send_hex "$udp" >"$work/sent"
for n in 1 2 3; do
	plug
	printf '%s\n' "$udp" | on_sender "$TESTS/send" --repeat $((10 * n)) v1 - >"$work/sent"
	scrape "metrics$n"
	ip -n "$receiver" link del v0
	await_line "$work/all.err" "^xguard: v0: .*gone"
done
is "$(for n in 1 2 3; do tests/read-metrics "$work/metrics$n" xguard_packets_total interface=v0; done | tr '\n' ' ')" \
	'10 30 60 ' 'its counters go on, in one series'
scrape metrics
is "$(tests/read-metrics "$work/metrics" xguard_packets_total) $(tests/read-metrics "$work/metrics" xguard_flows)" '61 2' \
	'which it keeps when it is gone'
stop_xguard all
is "$status" 0 'the status is 0'

# --- those who are slow, broken or hostile -----------------------------------------------------------

start_xguard slow -u --listen 9100 --interval 0.1 --max-series 20000 --format json --output "$work/slow.json"
reader=$pid
generate --rate 20000 --count 20000 --sources 20000 --source 10.64.0.1
ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }
start slow1 ip netns exec "$receiver" tests/http-client 127.0.0.1 9100 slow 20 12
await_line "$work/slow1.out" here
sed -n 's/.*"timestamp":\([0-9]*\).*/\1/p' "$work/slow.json" | tail -n 1 >"$work/before"
good=0
for n in 1 2 3 4 5; do
	send_hex "$udp" >"$work/sent"
	scrape metrics
	[ "$(packets metrics)" -eq $((20000 + n)) ] && good=$((good + 1))
done
is "$good" 5 'beside sixty who are silent, slow or deaf, who asks is answered'
wait_for 2 grep -q '"src_ip":"10.0.0.1".*"hits":5,' "$work/slow.json"
report $? 'and the trace goes on'
within "$(find "/proc/$reader/fd" | wc -l)" 5 40 'there are never more than a few of them'
before=$(ticks "$reader")
wait_for 14 sh -c "[ \$(ls /proc/$reader/fd | wc -l) -lt 16 ]"
report $? 'in the end they are hung up on'
within $(($(ticks "$reader") - before)) 0 300 'and they cost little'
stop slow1 0

# Milliseconds of CPU, exactly. How fast this machine is does not matter: answers take a quarter of a
# second at a time and what the last one takes beyond it, then there is a second of rest; three quarters
# and more of the time it is without any rest.
used() { awk '{ print int($1 / 1000000) }' "/proc/$1/schedstat"; }
now() { awk '{ print int($1 * 1000) }' /proc/uptime; }
started=$(now)
before=$(used "$reader")
for n in 1 2 3; do
	start "hammer$n" ip netns exec "$receiver" tests/http-client 127.0.0.1 9100 hammer 4
done
sleep 4 # while they ask: the last answers may take a second more
spent=$(($(used "$reader") - before))
took=$(($(now) - started))
for n in 1 2 3; do
	stop "hammer$n" 0
	is "$status" 0 'one of three who ask as fast as they can is answered'
	diag <"$work/hammer$n.err"
	diag "$(cat "$work/hammer$n.out") times"
done
diag "$spent ms of CPU in $took"
within "$spent" 1 $((took / 2)) 'which takes but a share of a CPU'
within "$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$reader/status")" 1 40000 'and little memory'
for n in 1 2 3 4 5 6 7 8; do
	head -c 3000 /dev/urandom >"$work/noise"
	on_receiver sh -c "socat -u 'FILE:$work/noise' TCP:127.0.0.1:9100" >"$work/ok" 2>&1
done
on_receiver python3 -c '
import socket, struct
for n in range(50):
    s = socket.create_connection(("127.0.0.1", 9100))
    if n % 2:
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close() # a reset
'
scrape metrics
is "$(packets metrics)" 20005 'after noise and resets it is as before'
stop_xguard slow
is "$status" 0 'the status is 0'
like "$work/slow.json" '"event":"summary".*"packets":20005,' 'every frame was counted'
is "$(sed 's/^xguard: \(attached\|serving\).*//;/^$/d' "$work/slow.err")" '' 'it has nothing to say of them'
done_testing
