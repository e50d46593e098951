#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# JSON and CSV of both traces: each field with its name, type and place, and what is absent.
. tests/lib.sh
need_root
need python3
make_pair

udp='020000000002 020000000001 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010008 0008 0000'
six='020000000002 020000000001 86dd 60000000 0008 06 40 fd000000000000000000000000000001 fd000000000000000000000000000002'
tag='020000000002 020000000001 8100 0007 0800 4500001c 00010000 40 11 0000 0a000001 0a000002 00010008 0008 0000'
lldp='0180c200000e 020000000001 88cc 0207040200000000010406'
length='020000000002 020000000001 0026 424203000000'
traffic() {
	send_hex -4 "$udp" && send_hex -3 "$six" && send_hex -2 "$tag" && send_hex "$lldp" "$length"
} >"$work/sent"

# Each record is checked on its own, then printed without what changes from run to run.
cat >"$work/show.py" <<'END'
import csv, datetime, json, sys, time

def check(record):
    stamp = record.pop("timestamp")
    when = record.pop("time")
    places = 6 if record.get("event") == "packet" or "task" in record else 3
    assert isinstance(when, str) and when.endswith("Z") and len(when) == 21 + places, when
    then = datetime.datetime.strptime(when, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    ago = time.time() - then.timestamp()
    assert 0 <= ago < 30, (when, ago)
    # Both clocks say the same.
    assert abs((time.monotonic() - float(stamp)) - ago) < 0.1, (stamp, when)
    for name in ("task", "pid", "cpu", "flags", "seconds"):
        if name in record:
            value = record[name]
            want = str if name in ("task", "flags") else float if name == "seconds" else int
            assert isinstance(value, (want, str)), (name, value)
            record[name] = "..."
    return stamp

last = 0
if sys.argv[1] == "json":
    for line in open(sys.argv[2]):
        record = json.loads(line)
        places = len(line.split('"timestamp":')[1].split(",")[0].split(".")[1])
        assert places == (6 if record["event"] == "packet" else 3), line
        assert list(record)[:4] == ["event", "time", "timestamp", "interface"], line
        stamp = check(record)
        assert stamp >= last
        last = stamp
        print(json.dumps(record))
else:
    data = open(sys.argv[2], newline="").read()
    assert "\r" not in data and data.endswith("\n")
    rows = list(csv.reader(data.splitlines()))
    print(",".join(rows[0]))
    for row in rows[1:]:
        assert len(row) == len(rows[0]), row
        record = dict(zip(rows[0], row))
        check(record)
        print(",".join(record.values()))
END
show() { python3 "$work/show.py" "$@" >"$work/got" 2>"$work/why" || diag <"$work/why"; }

# --- userspace --------------------------------------------------------------------------------------

start_xguard json -u --format json --interval 1000
traffic
stop_xguard json
is "$status" 0 'the status is 0'
show json "$work/json.out"
cat >"$work/wanted" <<'END'
{"event": "flow", "interface": "rx0", "eth_type": "IPv4", "src_ip": "10.0.0.1", "protocol": "UDP", "hits": 6, "bytes": 260}
{"event": "flow", "interface": "rx0", "eth_type": "IPv6", "src_ip": "fd00::1", "protocol": "TCP", "hits": 3, "bytes": 162}
{"event": "flow", "interface": "rx0", "eth_type": "802.3", "src_ip": null, "protocol": null, "hits": 1, "bytes": 20}
{"event": "flow", "interface": "rx0", "eth_type": "LLDP", "src_ip": null, "protocol": null, "hits": 1, "bytes": 25}
{"event": "summary", "interface": "rx0", "seconds": "...", "packets": 11, "bytes": 467, "flows": 4, "unattributed_packets": 0, "unattributed_bytes": 0}
END
same "$work/got" "$work/wanted" 'JSON of flows, and the summary'
unlike "$work/json.err" 'packets,' 'which is not on standard error as well'

start_xguard json -u --format json --interval 1000 --by protocol,vlan,src_port,dst_port,dst_ip,src_ip
traffic
stop_xguard json
show json "$work/json.out"
cat >"$work/wanted" <<'END'
{"event": "flow", "interface": "rx0", "eth_type": "IPv4", "vlan": null, "src_ip": "10.0.0.1", "src_port": 1, "dst_ip": "10.0.0.2", "dst_port": 8, "protocol": "UDP", "hits": 4, "bytes": 168}
{"event": "flow", "interface": "rx0", "eth_type": "IPv6", "vlan": null, "src_ip": "fd00::1", "src_port": null, "dst_ip": "fd00::2", "dst_port": null, "protocol": "TCP", "hits": 3, "bytes": 162}
{"event": "flow", "interface": "rx0", "eth_type": "IPv4", "vlan": 7, "src_ip": "10.0.0.1", "src_port": 1, "dst_ip": "10.0.0.2", "dst_port": 8, "protocol": "UDP", "hits": 2, "bytes": 92}
{"event": "flow", "interface": "rx0", "eth_type": "802.3", "vlan": null, "src_ip": null, "src_port": null, "dst_ip": null, "dst_port": null, "protocol": null, "hits": 1, "bytes": 20}
{"event": "flow", "interface": "rx0", "eth_type": "LLDP", "vlan": null, "src_ip": null, "src_port": null, "dst_ip": null, "dst_port": null, "protocol": null, "hits": 1, "bytes": 25}
{"event": "summary", "interface": "rx0", "seconds": "...", "packets": 11, "bytes": 467, "flows": 5, "unattributed_packets": 0, "unattributed_bytes": 0}
END
same "$work/got" "$work/wanted" 'all fields, in the order of the contract'

start_xguard csv -u --format csv --interval 1000 --by src_ip,dst_port,vlan -n
traffic
stop_xguard csv
show csv "$work/csv.out"
cat >"$work/wanted" <<'END'
time,timestamp,interface,eth_type,vlan,src_ip,dst_port,hits,bytes
rx0,0x0800,,10.0.0.1,8,4,168
rx0,0x86dd,,fd00::1,,3,162
rx0,0x0800,7,10.0.0.1,8,2,92
rx0,802.3,,,,1,20
rx0,0x88cc,,,,1,25
END
same "$work/got" "$work/wanted" 'CSV of flows'
like "$work/csv.err" '^xguard: rx0: 11 packets, 467 bytes, 5 flows, 0 unattributed in' 'its summary is on standard error'

start_xguard csv -u --format csv --duration 0.05
stop_xguard csv 0
is "$(cat "$work/csv.out")" 'time,timestamp,interface,eth_type,src_ip,protocol,hits,bytes' 'a header at any rate'

# What grew is published with its hits so far; the last of each flow and what is unattributed is the sum.
start_xguard json -u --format json --interval 0.05
for n in 1 2 3; do
	traffic
	await_line "$work/json.out" "IPv6.*\"hits\":$((3 * n)),"
done
stop_xguard json
python3 - "$work/json.out" >"$work/got" <<'END'
import json, sys
last, total = {}, None
for line in open(sys.argv[1]):
    r = json.loads(line)
    if r["event"] == "summary":
        total = r
        continue
    key = (r["eth_type"], r["src_ip"], r["protocol"])
    assert key not in last or r["hits"] > last[key]["hits"] and r["bytes"] > last[key]["bytes"], line
    last[key] = r
print(sum(r["hits"] for r in last.values()), sum(r["bytes"] for r in last.values()), len(last))
print(total["packets"], total["bytes"], total["flows"])
END
is "$(cat "$work/got")" '33 1401 4
33 1401 4' 'the last line of each flow adds up to the summary'

# --- kernel -----------------------------------------------------------------------------------------

start_xguard json -k --format json
traffic
stop_xguard json
is "$status" 0 'the status is 0'
show json "$work/json.out"
{
	for _ in 1 2 3 4; do echo '"IPv4", "src_ip": "10.0.0.1", "protocol": "UDP"'; done
	for _ in 1 2 3; do echo '"IPv6", "src_ip": "fd00::1", "protocol": "TCP"'; done
	for _ in 1 2; do echo '"IPv4", "src_ip": "10.0.0.1", "protocol": "UDP"'; done
	echo '"LLDP", "src_ip": null, "protocol": null'
	echo '"802.3", "src_ip": null, "protocol": null'
} | sed 's/.*/{"event": "packet", "interface": "rx0", "eth_type": &, "task": "...", "pid": "...", "cpu": "...", "flags": "..."}/' \
	>"$work/wanted"
echo '{"event": "summary", "interface": "rx0", "seconds": "...", "packets": 11, "bytes": 467, "lines": 11, "lost_events": 0}' \
	>>"$work/wanted"
same "$work/got" "$work/wanted" 'JSON of packets, and the summary'

start_xguard csv -k --format csv
traffic
stop_xguard csv
show csv "$work/csv.out"
{
	echo time,timestamp,interface,eth_type,src_ip,protocol,task,pid,cpu,flags
	for _ in 1 2 3 4; do echo 'rx0,IPv4,10.0.0.1,UDP,...,...,...,...'; done
	for _ in 1 2 3; do echo 'rx0,IPv6,fd00::1,TCP,...,...,...,...'; done
	for _ in 1 2; do echo 'rx0,IPv4,10.0.0.1,UDP,...,...,...,...'; done
	echo 'rx0,LLDP,,,...,...,...,...'
	echo 'rx0,802.3,,,...,...,...,...'
} >"$work/wanted"
same "$work/got" "$work/wanted" 'CSV of packets'
like "$work/csv.err" '^xguard: rx0: 11 packets, 467 bytes, 11 lines, 0 lost in' 'its summary is on standard error'
done_testing
