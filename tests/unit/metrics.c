// SPDX-License-Identifier: GPL-2.0-or-later
/* Flows of a run, and the text that Prometheus gets; which series a flow has as others come. */
#include <endian.h>
#include <stdlib.h>

#include "tap.h"
#include "../../metrics.c"
#include "../../report.c"
#include "../../output.c"
#include "../../names.c"
#include "../../failure.c"

static struct run run;
static struct flow flow[12];
static struct link_count counts[4];

void run_link_counts(const struct run *of, size_t link, struct link_count *sum)
{
	(void)of;
	*sum = counts[link];
}

const char *xdp_mode_name(enum xdp_mode mode)
{
	return mode == XDP_MODE_NATIVE ? "native" : "generic";
}

struct flow *flows_find(const struct flows *flows, const struct flow_key *key)
{
	for (size_t i = 0; i < flows->n; i++)
		if (!memcmp(&flows->flow[i].key, key, sizeof(*key)))
			return &flows->flow[i];
	return NULL;
}

static void add(int ifindex, unsigned int last, unsigned int protocol, __u64 packets)
{
	flow[run.flows.n++] = (struct flow){
		.key = {
			.src_ip = {10, 0, 0, last}, .ifindex = ifindex, .protocol = protocol,
			.eth_type = htobe16(0x0800), .present = FIELDS_DEFAULT,
		},
		.total = {packets, packets * 100},
	};
}

static const char *text(void)
{
	static struct page page;
	struct output out;

	page.len = 0;
	output_begin(&out, -1, &page, "");
	metrics_write(&run, &out);
	output_bytes(&out, "", 1);
	output_flush(&out, NULL);
	return out.error ? "an error" : page.text;
}

/* The number of the only line that begins with series; -1: there is none, -2: several. */
static long long value(const char *series)
{
	char wanted[200];
	const char *at;
	size_t len = snprintf(wanted, sizeof(wanted), "\n%s ", series);

	at = strstr(text(), wanted);
	if (!at)
		return -1;
	return strstr(at + 1, wanted) ? -2 : atoll(at + len);
}

static void prepare(void)
{
	static const struct report_link names[2] = {{2, "eth0"}, {3, "a\"\\\xff"}};

	memcpy(run.names, names, sizeof(names));
	run.options = (struct options){.max_series = 1000};
	run.report = (struct report){
		.by = FIELDS_DEFAULT, .prefix4 = -1, .prefix6 = -1, .links = run.names, .nlinks = 2,
	};
	run.nlinks = 2;
	run.links[0].info.ifindex = 2;
	run.links[1].info.ifindex = 3;
	run.flows.flow = flow;
	counts[1].unattributed = (struct flow_count){7, 700};
}

#define OF(interface, type, address, protocol) \
	"{interface=\"" interface "\",eth_type=\"" type "\",src_ip=\"" address "\",protocol=\"" protocol "\"}"

static void test_text(void)
{
	is_text(text(),
		"# HELP xguard_packets_total Frames that arrived, by flow.\n"
		"# TYPE xguard_packets_total counter\n"
		"# HELP xguard_bytes_total Their lengths without frame check sequence, by flow.\n"
		"# TYPE xguard_bytes_total counter\n"
		"# HELP xguard_unattributed_packets_total "
		"Frames that arrived when the flow table had no room for their flow.\n"
		"# TYPE xguard_unattributed_packets_total counter\n"
		"xguard_unattributed_packets_total{interface=\"eth0\"} 0\n"
		"xguard_unattributed_packets_total{interface=\"a\\\"\\\\\\\\xff\"} 7\n"
		"# HELP xguard_unattributed_bytes_total The lengths of those.\n"
		"# TYPE xguard_unattributed_bytes_total counter\n"
		"xguard_unattributed_bytes_total{interface=\"eth0\"} 0\n"
		"xguard_unattributed_bytes_total{interface=\"a\\\"\\\\\\\\xff\"} 700\n"
		"# HELP xguard_flows Flows seen since the start.\n"
		"# TYPE xguard_flows gauge\n"
		"xguard_flows{interface=\"eth0\"} 0\n"
		"xguard_flows{interface=\"a\\\"\\\\\\\\xff\"} 0\n"
		"# HELP xguard_info The version of xguard, and the mode of its program on the link.\n"
		"# TYPE xguard_info gauge\n", "without flows, and not attached yet");
	run.links[0].how = (struct attach_result){.program_id = 5, .mode = XDP_MODE_NATIVE};
	is_number(value("xguard_info{interface=\"eth0\",mode=\"native\",version=\"" XGUARD_VERSION "\"}"),
		  1, "attached");
}

static void test_labels(void)
{
	add(2, 1, 6, 5);
	add(3, 2, 17, 1ull << 40);
	is_number(value("xguard_packets_total" OF("eth0", "IPv4", "10.0.0.1", "TCP")), 5, "packets");
	is_number(value("xguard_bytes_total" OF("eth0", "IPv4", "10.0.0.1", "TCP")), 500, "bytes");
	is_number(value("xguard_bytes_total" OF("a\\\"\\\\\\\\xff", "IPv4", "10.0.0.2", "UDP")),
		  100ll << 40, "many bytes, on a link with a strange name");
	run.report.numeric = 1;
	is_number(value("xguard_packets_total" OF("eth0", "0x0800", "10.0.0.1", "6")), 5, "numbers");
	run.report.numeric = 0;
	flow[0].key.present = FIELD_ETH_TYPE;
	is_number(value("xguard_packets_total" OF("eth0", "IPv4", "", "")), 5, "absent fields");
	flow[0].key.present = FIELDS_ALL & ~FIELD_VLAN;
	flow[0].key.dst_port = htobe16(443);
	run.report.by = FIELDS_ALL;
	is_number(value("xguard_packets_total{interface=\"eth0\",eth_type=\"IPv4\",vlan=\"\","
			"src_ip=\"10.0.0.1\",src_port=\"0\",dst_ip=\"0.0.0.0\",dst_port=\"443\","
			"protocol=\"TCP\"}"), 5, "all fields, in the order of output");
	run.report.by = FIELD_ETH_TYPE;
	is_number(value("xguard_packets_total{interface=\"eth0\",eth_type=\"IPv4\"}"), 5, "few fields");
	run.report.by = FIELDS_DEFAULT;
}

static void test_series(void)
{
	run.options.max_series = 3;
	add(2, 3, 6, 1);
	is_number(value("xguard_packets_total" OF("eth0", "other", "other", "other")), -1,
		  "three flows have a series of their own");
	add(2, 4, 6, 20);
	add(3, 5, 6, 300);
	add(2, 6, 1, 4000);
	is_number(value("xguard_packets_total" OF("eth0", "other", "other", "other")), 4020,
		  "those who come later share one");
	is_number(value("xguard_bytes_total" OF("a\\\"\\\\\\\\xff", "other", "other", "other")), 30000,
		  "of their link");
	is_number(value("xguard_packets_total" OF("eth0", "IPv4", "10.0.0.4", "TCP")), -1,
		  "and have none beside it");
	is_number(value("xguard_flows{interface=\"eth0\"}"), 4, "all flows are counted");
	is_number(value("xguard_flows{interface=\"a\\\"\\\\\\\\xff\"}"), 2, "on each link");
	flow[0].total.packets++;
	flow[3].total.packets++;
	is_number(value("xguard_packets_total" OF("eth0", "IPv4", "10.0.0.1", "TCP")), 6,
		  "a series goes on");
	is_number(value("xguard_packets_total" OF("eth0", "other", "other", "other")), 4021,
		  "the one that is shared, too");
	run.options.max_series = 1;
	run.report.by = FIELD_ETH_TYPE | FIELD_DST_PORT;
	is_number(value("xguard_packets_total{interface=\"eth0\",eth_type=\"other\",dst_port=\"other\"}"),
		  4022, "by other fields");
}

/* A link that went and came again, twice, and one whose row was given away. */
static void test_twins(void)
{
	run.options.max_series = 1000;
	run.report.by = FIELDS_DEFAULT;
	flow[0].key.present = FIELDS_DEFAULT;
	flow[0].key.dst_port = 0;
	for (int i = 2; i < 4; i++) {
		run.names[i] = (struct report_link){.ifindex = 4 + i, .name = "eth0"};
		run.links[i].info.ifindex = 4 + i;
		run.links[i].how = (struct attach_result){.program_id = 9, .mode = XDP_MODE_GENERIC};
		counts[i].unattributed = (struct flow_count){10 * i, 1};
	}
	run.report.nlinks = run.nlinks = 4;
	add(6, 1, 6, 1000);
	add(7, 1, 6, 100000);
	add(7, 9, 6, 3);
	add(77, 8, 6, 2);
	is_number(value("xguard_packets_total" OF("eth0", "IPv4", "10.0.0.1", "TCP")), 101006,
		  "a link that came again: its flow goes on");
	is_number(value("xguard_bytes_total" OF("eth0", "IPv4", "10.0.0.9", "TCP")), 300, "a new one");
	is_number(value("xguard_packets_total" OF("if77", "IPv4", "10.0.0.8", "TCP")), 2,
		  "a flow of a link that is forgotten");
	is_number(value("xguard_flows{interface=\"eth0\"}"), 5, "flows are counted once");
	is_number(value("xguard_unattributed_packets_total{interface=\"eth0\"}"), 50,
		  "what is unattributed adds up");
	is_number(value("xguard_info{interface=\"eth0\",mode=\"generic\",version=\"" XGUARD_VERSION "\"}"),
		  1, "the mode is the last one's");
	run.options.max_series = 1;
	is_number(value("xguard_packets_total" OF("eth0", "IPv4", "10.0.0.1", "TCP")), 101006,
		  "it has the series that it had");
	is_number(value("xguard_packets_total" OF("eth0", "other", "other", "other")), 4025,
		  "others have none");
	is_number(value("xguard_packets_total" OF("if0", "other", "other", "other")), 2,
		  "nor has that of the forgotten link");
}

static void test_page(void)
{
	struct page page = {.len = 0};
	struct output out;
	size_t wrong = 0;

	output_begin(&out, -1, &page, "");
	for (int i = 0; i < 100000; i++)
		output_format(&out, "%06d\n", i);
	is_number(output_flush(&out, NULL), 0, "a long page");
	is_number(page.len, 700000, "is as long as it should be");
	for (int i = 0; i < 100000; i++)
		wrong += atoi(page.text + i * 7) != i;
	is_number(wrong, 0, "in the right order");
	free(page.text);
}

int main(void)
{
	prepare();
	test_text();
	test_labels();
	test_series();
	test_twins();
	test_page();
	return done();
}
