// SPDX-License-Identifier: GPL-2.0-or-later
/* Flows, packets and summaries, and the line that each makes in the three formats. */
#include <endian.h>
#include <stdlib.h>

#include "tap.h"
#include "../../report.c"
#include "../../output.c"
#include "../../names.c"
#include "../../failure.c"

#define MONOTONIC 2042099473000ull
#define REALTIME  1795419230123456789ll /* 2026-11-23T07:33:50.123456789Z */

static const struct report_link links[] = {
	{2, "eth0"}, {3, "a,\"b"}, {4, "\x1b[2J"}, {5, "caf\xc3\xa9"},
};

static struct report base = {
	.trace = TRACE_USERSPACE, .by = FIELDS_DEFAULT, .prefix4 = -1, .prefix6 = -1,
	.realtime_offset = REALTIME - (__s64)MONOTONIC, .links = links, .nlinks = 4,
};

/* What was written since the last call. */
static char *taken(struct output *out)
{
	static char text[sizeof(out->buffer) + 1];

	memcpy(text, out->buffer, out->len);
	text[out->len] = '\0';
	out->len = 0;
	return text;
}

static struct output out = {.fd = -1};

/* The line written last is wanted; its text is the test's name. */
static void is_line(const char *wanted)
{
	char name[400];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(wanted, "\n"), wanted);
	is_text(taken(&out), wanted, name);
}

static struct flow_key ipv4_key(void)
{
	struct flow_key key = {
		.src_ip = {192, 168, 2, 1}, .dst_ip = {10, 1, 2, 3}, .src_port = htobe16(443),
		.dst_port = htobe16(50000), .eth_type = htobe16(0x0800), .vlan = 7, .ifindex = 2,
		.protocol = 6, .present = FIELDS_ALL,
	};

	return key;
}

static struct flow_key ipv6_key(void)
{
	struct flow_key key = {
		.src_ip = {0x20, 1, 0xd, 0xb8, [15] = 1}, .eth_type = htobe16(0x86dd), .ifindex = 2,
		.protocol = 58,
		.present = FIELD_ETH_TYPE | FIELD_SRC_IP | FIELD_PROTOCOL | FIELD_IPV6,
	};

	return key;
}

/* A frame of which nothing but its type is known; type 0 with its bit is an 802.3 length. */
static struct flow_key bare_key(unsigned int eth_type, unsigned int present)
{
	struct flow_key key = {
		.eth_type = htobe16(eth_type), .ifindex = 2, .present = present,
	};

	return key;
}

static void is_flow(struct report *report, struct flow_key key, const char *wanted)
{
	struct flow flow = {.key = key, .total = {4, 256}};

	report_flow(report, &out, &flow, MONOTONIC);
	is_line(wanted);
}

static void test_flow_text(void)
{
	struct report report = base;
	struct flow_key key = ipv4_key();

	report.by = FIELDS_DEFAULT & ~FIELD_ETH_TYPE; /* the type counts always */
	is_flow(&report, key, "eth_type=IPv4, src_ip=192.168.2.1, protocol=TCP, hits=4\n");
	is_flow(&report, ipv6_key(),
		"eth_type=IPv6, src_ip=2001:db8::1, protocol=ICMPv6, hits=4\n");
	is_flow(&report, bare_key(0x88cc, FIELD_ETH_TYPE),
		"eth_type=LLDP, src_ip=-, protocol=-, hits=4\n");
	is_flow(&report, bare_key(0, FIELD_ETH_TYPE),
		"eth_type=802.3, src_ip=-, protocol=-, hits=4\n");
	is_flow(&report, bare_key(0, 0), "eth_type=-, src_ip=-, protocol=-, hits=4\n");
	report.by = FIELDS_ALL;
	is_flow(&report, key, "eth_type=IPv4, vlan=7, src_ip=192.168.2.1, src_port=443, "
		"dst_ip=10.1.2.3, dst_port=50000, protocol=TCP, hits=4\n");
	is_flow(&report, ipv6_key(), "eth_type=IPv6, vlan=-, src_ip=2001:db8::1, src_port=-, "
		"dst_ip=-, dst_port=-, protocol=ICMPv6, hits=4\n");
	report.by = FIELD_ETH_TYPE | FIELD_VLAN;
	is_flow(&report, key, "eth_type=IPv4, vlan=7, hits=4\n");
	report.numeric = 1;
	report.by = FIELDS_DEFAULT;
	is_flow(&report, key, "eth_type=0x0800, src_ip=192.168.2.1, protocol=6, hits=4\n");
}

static void test_interface_text(void)
{
	struct report report = base;
	struct flow_key key = bare_key(0x0806, FIELD_ETH_TYPE);

	report.show_interface = 1;
	report.by = 0;
	is_flow(&report, key, "interface=eth0, eth_type=ARP, hits=4\n");
	key.ifindex = 4;
	is_flow(&report, key, "interface=\\x1b[2J, eth_type=ARP, hits=4\n");
	key.ifindex = 5;
	is_flow(&report, key, "interface=caf\xc3\xa9, eth_type=ARP, hits=4\n");
	key.ifindex = 4294967295u;
	is_flow(&report, key, "interface=if4294967295, eth_type=ARP, hits=4\n");
}

static void test_prefixes(void)
{
	struct report report = base;
	struct flow_key key = ipv4_key();

	report.prefix4 = 8;
	report.prefix6 = 32;
	report.by = FIELD_SRC_IP | FIELD_DST_IP;
	memset(key.src_ip + 1, 0, 3);
	memset(key.dst_ip + 1, 0, 3);
	key.src_ip[0] = 10;
	is_flow(&report, key, "eth_type=IPv4, src_ip=10.0.0.0/8, dst_ip=10.0.0.0/8, hits=4\n");
	key = ipv6_key();
	key.src_ip[15] = 0;
	is_flow(&report, key, "eth_type=IPv6, src_ip=2001:db8::/32, dst_ip=-, hits=4\n");
}

#define JSON_FLOW "{\"event\":\"flow\",\"time\":\"2026-11-23T07:33:50.123Z\"," \
		  "\"timestamp\":2042.099,"
#define CSV_FLOW  "2026-11-23T07:33:50.123Z,2042.099,"

static void test_flow_json(void)
{
	struct report report = base;
	struct flow_key key = ipv4_key();

	report.format = FORMAT_JSON;
	is_flow(&report, key, JSON_FLOW "\"interface\":\"eth0\",\"eth_type\":\"IPv4\","
		"\"src_ip\":\"192.168.2.1\",\"protocol\":\"TCP\",\"hits\":4,\"bytes\":256}\n");
	is_flow(&report, bare_key(0x88b5, FIELD_ETH_TYPE), JSON_FLOW "\"interface\":\"eth0\","
		"\"eth_type\":\"0x88b5\",\"src_ip\":null,\"protocol\":null,\"hits\":4,"
		"\"bytes\":256}\n");
	report.numeric = 1;
	report.by = FIELDS_ALL;
	is_flow(&report, key, JSON_FLOW "\"interface\":\"eth0\",\"eth_type\":\"0x0800\",\"vlan\":7,"
		"\"src_ip\":\"192.168.2.1\",\"src_port\":443,\"dst_ip\":\"10.1.2.3\","
		"\"dst_port\":50000,\"protocol\":\"6\",\"hits\":4,\"bytes\":256}\n");
	report.by = 0;
	key = bare_key(0, 0);
	key.ifindex = 3;
	is_flow(&report, key, JSON_FLOW "\"interface\":\"a,\\\"b\",\"eth_type\":null,\"hits\":4,"
		"\"bytes\":256}\n");
	key.ifindex = 4;
	is_flow(&report, key, JSON_FLOW "\"interface\":\"\\u001b[2J\",\"eth_type\":null,\"hits\":4,"
		"\"bytes\":256}\n");
}

static void test_flow_csv(void)
{
	struct report report = base;
	struct flow_key key = bare_key(0, 0);

	report.format = FORMAT_CSV;
	report_begin(&report, &out);
	is_text(taken(&out), "time,timestamp,interface,eth_type,src_ip,protocol,hits,bytes\n",
		"header of flows");
	is_flow(&report, ipv4_key(), CSV_FLOW "eth0,IPv4,192.168.2.1,TCP,4,256\n");
	is_flow(&report, key, CSV_FLOW "eth0,,,,4,256\n");
	key.ifindex = 3;
	is_flow(&report, key, CSV_FLOW "\"a,\"\"b\",,,,4,256\n");
	key.ifindex = 4;
	is_flow(&report, key, CSV_FLOW "\\x1b[2J,,,,4,256\n");
	report.by = FIELDS_ALL;
	report_begin(&report, &out);
	is_line("time,timestamp,interface,eth_type,vlan,src_ip,src_port,dst_ip,dst_port,protocol,"
		"hits,bytes\n");
	is_flow(&report, ipv4_key(),
		CSV_FLOW "eth0,IPv4,7,192.168.2.1,443,10.1.2.3,50000,TCP,4,256\n");
	report.format = FORMAT_TEXT;
	report_begin(&report, &out);
	is_text(taken(&out), "", "text has no header");
	report.format = FORMAT_JSON;
	report_begin(&report, &out);
	is_text(taken(&out), "", "nor has JSON");
}

static void is_packet(struct report *report, struct flow_key key, const char *task, int pid,
		      const char *wanted)
{
	char prefix[100];
	struct trace_line line = {
		.prefix = prefix, .task = task, .task_len = strlen(task), .flags = "..s2.",
		.flags_len = 5, .pid = pid, .cpu = 0, .nanoseconds = MONOTONIC, .key = key,
	};

	line.prefix_len = snprintf(prefix, sizeof(prefix), "%s-%d [000] ..s2.  2042.099473: "
				   "bpf_trace_printk: ", task, pid);
	report_packet(report, &out, &line);
	is_line(wanted);
}

#define AT " [000] ..s2.  2042.099473: bpf_trace_printk: "

static void test_packet_text(void)
{
	struct report report = base;
	struct flow_key key = ipv4_key();

	report.trace = TRACE_KERNEL;
	report.by = FIELD_VLAN; /* is of no matter: the kernel prints what it prints */
	is_packet(&report, key, "sshd", 1594,
		  "sshd-1594" AT "eth_type=0x800 src_ip=192.168.2.1 protocol=6\n");
	is_packet(&report, ipv6_key(), "<idle>", 0,
		  "<idle>-0" AT "eth_type=0x86dd src_ip=2001:db8::1 protocol=58\n");
	is_packet(&report, bare_key(0x0806, FIELD_ETH_TYPE), "a", 1,
		  "a-1" AT "eth_type=0x806 src_ip=- protocol=-\n");
	is_packet(&report, bare_key(0, FIELD_ETH_TYPE), "a", 1,
		  "a-1" AT "eth_type=802.3 src_ip=- protocol=-\n");
	report.show_interface = 1;
	is_packet(&report, bare_key(0, 0), "a", 1,
		  "a-1" AT "interface=eth0 eth_type=- src_ip=- protocol=-\n");
	key.ifindex = 4;
	is_packet(&report, key, "\x1b]0;\x07\x7f\xff\xc2\x9b\xe2\x82", 1, "\\x1b]0;\\x07\\x7f\\xff"
		  "\\xc2\\x9b\\xe2\\x82-1" AT "interface=\\x1b[2J eth_type=0x800 "
		  "src_ip=192.168.2.1 protocol=6\n");
}

#define JSON_PACKET "{\"event\":\"packet\",\"time\":\"2026-11-23T07:33:50.123456Z\"," \
		    "\"timestamp\":2042.099473,\"interface\":\"eth0\","

static void test_packet_json_csv(void)
{
	struct report report = base;

	report.trace = TRACE_KERNEL;
	report.by = FIELD_VLAN;
	report.format = FORMAT_JSON;
	is_packet(&report, ipv4_key(), "sshd", 1594, JSON_PACKET "\"eth_type\":\"IPv4\","
		  "\"src_ip\":\"192.168.2.1\",\"protocol\":\"TCP\",\"task\":\"sshd\",\"pid\":1594,"
		  "\"cpu\":0,\"flags\":\"..s2.\"}\n");
	is_packet(&report, bare_key(0, 0), "\"\\\n\xff\xc2\x85\xc3\xa9", -1, JSON_PACKET
		  "\"eth_type\":null,\"src_ip\":null,\"protocol\":null,\"task\":\"\\\"\\\\\\u000a"
		  "\\\\xff\\\\xc2\\\\x85\xc3\xa9\",\"pid\":null,\"cpu\":0,\"flags\":\"..s2.\"}\n");
	report.format = FORMAT_CSV;
	report_begin(&report, &out);
	is_line("time,timestamp,interface,eth_type,src_ip,protocol,task,pid,cpu,flags\n");
	is_packet(&report, ipv4_key(), "a,b\"\n", 1594, "2026-11-23T07:33:50.123456Z,2042.099473,"
		  "eth0,IPv4,192.168.2.1,TCP,\"a,b\"\"\\x0a\",1594,0,..s2.\n");
	is_packet(&report, bare_key(0, 0), "", -1, "2026-11-23T07:33:50.123456Z,2042.099473,"
		  "eth0,,,,,,0,..s2.\n");
}

static void is_summary(struct report *report, const struct report_summary *summary,
		       const char *wanted_text, const char *wanted_record)
{
	char text[200];

	report_summary(report, &out, summary, MONOTONIC, text, sizeof(text));
	is_text(text, wanted_text, wanted_text);
	is_line(wanted_record);
	report_summary(report, NULL, summary, MONOTONIC, text, sizeof(text));
	is_text(text, wanted_text, "and without output");
}

#define JSON_SUMMARY "{\"event\":\"summary\",\"time\":\"2026-11-23T07:33:50.123Z\"," \
		     "\"timestamp\":2042.099,\"interface\":\"eth0\",\"seconds\":12.3," \
		     "\"packets\":4,\"bytes\":256,"

static void test_summary(void)
{
	struct report report = base;
	struct report_summary summary = {
		.interface = "eth0", .nanoseconds = 12260000000, .counted = {4, 256}, .flows = 1,
		.lines = 4,
	};

	is_summary(&report, &summary,
		   "eth0: 4 packets, 256 bytes, 1 flow, 0 unattributed in 12.3 s", "");
	report.format = FORMAT_JSON;
	summary.unattributed = (struct flow_count){2, 128};
	is_summary(&report, &summary,
		   "eth0: 4 packets, 256 bytes, 1 flow, 2 unattributed in 12.3 s", JSON_SUMMARY
		   "\"flows\":1,\"unattributed_packets\":2,\"unattributed_bytes\":128}\n");
	report.trace = TRACE_KERNEL;
	summary.lost = 3;
	is_summary(&report, &summary, "eth0: 4 packets, 256 bytes, 4 lines, 3 lost in 12.3 s",
		   JSON_SUMMARY "\"lines\":4,\"lost_events\":3}\n");
	report.format = FORMAT_CSV;
	summary = (struct report_summary){
		.interface = "\x1b[2J", .nanoseconds = 950000000, .counted = {1, 1}, .lines = 1,
	};
	is_summary(&report, &summary, "\\x1b[2J: 1 packet, 1 byte, 1 line, 0 lost in 1.0 s", "");
	summary.counted = (struct flow_count){~0ull, ~0ull};
	summary.nanoseconds = 949999999;
	summary.lines = summary.lost = ~0ull;
	is_summary(&report, &summary, "\\x1b[2J: 18446744073709551615 packets, "
		   "18446744073709551615 bytes, 18446744073709551615 lines, "
		   "18446744073709551615 lost in 0.9 s", "");
}

static void test_time(void)
{
	static const struct {
		__s64 realtime;
		const char *text;
	} golden[] = {
		{0, "1970-01-01T00:00:00.000"},
		{951782399999999999, "2000-02-28T23:59:59.999"},
		{951782400000000000, "2000-02-29T00:00:00.000"},
		{4107542399000000000, "2100-02-28T23:59:59.000"},
		{4107542400000000000, "2100-03-01T00:00:00.000"},
		{9223372036854775807, "2262-04-11T23:47:16.854"},
	};

	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		struct report report = base;
		struct flow flow = {.key = bare_key(0, 0)};

		report.format = FORMAT_CSV;
		report.by = 0;
		report.realtime_offset = golden[i].realtime;
		report_flow(&report, &out, &flow, 0);
		ok(!strncmp(taken(&out), golden[i].text, 23), "%s", golden[i].text);
	}
}

int main(void)
{
	test_flow_text();
	test_interface_text();
	test_prefixes();
	test_flow_json();
	test_flow_csv();
	test_packet_text();
	test_packet_json_csv();
	test_summary();
	test_time();
	return done();
}
