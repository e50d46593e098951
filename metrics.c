// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "metrics.h"
#include "run.h"

/* What the links of one name come to. */
struct sum {
	__u64 flows;
	struct flow_count other;        /* of the flows without a series of their own */
	struct flow_count unattributed;
	size_t latest;                  /* the row of the link that was attached last, + 1; 0: none */
};

/*
 * The rows of run.links by name: a link that went and came again has a second one, and a series must
 * have one line.
 */
struct rows {
	unsigned short elder[LINKS_MAX];  /* the first row of this name */
	int twins;                        /* 1: some rows are not their own elder */
	struct sum sum[LINKS_MAX + 1];    /* by elder; the last: links whose row was given away */
};

static void sort_rows(const struct run *run, struct rows *rows)
{
	struct link_count count;
	struct sum *sum;
	size_t elder;

	memset(rows, 0, sizeof(*rows));
	for (size_t i = 0; i < run->nlinks; i++) {
		for (elder = 0; strcmp(run->names[elder].name, run->names[i].name); elder++)
			;
		rows->elder[i] = elder;
		rows->twins |= elder != i;
		sum = &rows->sum[elder];
		run_link_counts(run, i, &count);
		sum->unattributed.packets += count.unattributed.packets;
		sum->unattributed.bytes += count.unattributed.bytes;
		if (run->links[i].how.program_id)
			sum->latest = i + 1;
	}
}

/*
 * The row of a flow, and in count what its series comes to: the flow of a link that came again is
 * added to that of its elder. Returns 0 where it was added to another one.
 */
static int add_twins(const struct run *run, const struct rows *rows, const struct flow *flow,
		     size_t *row, struct flow_count *count)
{
	struct flow_key key = flow->key;
	const struct flow *twin;

	*count = flow->total;
	for (*row = 0; *row < run->nlinks; ++*row)
		if (run->links[*row].info.ifindex == (int)key.ifindex)
			break;
	for (size_t i = 0; rows->twins && *row < run->nlinks && i < run->nlinks; i++) {
		key.ifindex = run->links[i].info.ifindex;
		if (i == *row || rows->elder[i] != rows->elder[*row])
			continue;
		twin = flows_find(&run->flows, &key);
		if (twin && twin < flow)
			return 0;
		count->packets += twin ? twin->total.packets : 0;
		count->bytes += twin ? twin->total.bytes : 0;
	}
	return 1;
}

static void sum_up(const struct run *run, struct rows *rows)
{
	struct flow_count count;
	struct sum *sum;
	size_t row;

	for (size_t i = 0; i < run->flows.n; i++) {
		if (!add_twins(run, rows, &run->flows.flow[i], &row, &count))
			continue;
		sum = &rows->sum[row < run->nlinks ? rows->elder[row] : LINKS_MAX];
		sum->flows++;
		if (i < run->options.max_series)
			continue;
		sum->other.packets += count.packets;
		sum->other.bytes += count.bytes;
	}
}

/* What there is, in this order; at: where a number for each link is in struct sum. */
static const struct family {
	const char *name, *help;
	size_t at;
} families[] = {
	{"packets_total", "Frames that arrived, by flow.", 0},
	{"bytes_total", "Their lengths without frame check sequence, by flow.", 0},
	{"unattributed_packets_total",
	 "Frames that arrived when the flow table had no room for their flow.",
	 offsetof(struct sum, unattributed.packets)},
	{"unattributed_bytes_total", "The lengths of those.", offsetof(struct sum, unattributed.bytes)},
	{"flows", "Flows seen since the start.", offsetof(struct sum, flows)},
	{"info", "The version of xguard, and the mode of its program on the link.", 0},
};

enum { PACKETS, BYTES, UNATTRIBUTED_PACKETS, UNATTRIBUTED_BYTES, FLOWS, INFO, FAMILIES };

static void put_flow(const struct run *run, struct output *out, const struct flow_key *key,
		     const struct flow_count *count, int family, int other)
{
	output_format(out, "xguard_%s", families[family].name);
	report_labels(&run->report, out, key, other);
	output_format(out, " %llu\n", family == BYTES ? count->bytes : count->packets);
}

static void put_flows(const struct run *run, struct output *out, const struct rows *rows, int family)
{
	const struct flow *flow = run->flows.flow;
	struct flow_key key = { .ifindex = 0 };
	struct flow_count count;
	size_t row;

	for (size_t i = 0; i < run->flows.n && i < run->options.max_series; i++, flow++)
		if (add_twins(run, rows, flow, &row, &count))
			put_flow(run, out, &flow->key, &count, family, 0);
	for (size_t i = 0; i <= LINKS_MAX; i++) {
		key.ifindex = i < run->nlinks ? run->links[i].info.ifindex : 0;
		if (rows->sum[i].other.packets)
			put_flow(run, out, &key, &rows->sum[i].other, family, 1);
	}
}

/* A line for each link, by its elder's row. */
static void put_links(const struct run *run, struct output *out, const struct rows *rows, int family)
{
	for (size_t i = 0; i < run->nlinks; i++) {
		const char *interface = run->names[i].name;
		const struct sum *sum = &rows->sum[i];

		if (rows->elder[i] != i || !run->links[i].info.ifindex ||
		    (family == INFO && !sum->latest)) /* not attached yet */
			continue;
		output_format(out, "xguard_%s{interface=", families[family].name);
		output_label(out, interface, strlen(interface));
		if (family == INFO)
			output_format(out, ",mode=\"%s\",version=\"" XGUARD_VERSION "\"} 1\n",
				      xdp_mode_name(run->links[sum->latest - 1].how.mode));
		else
			output_format(out, "} %llu\n", *(const __u64 *)((const char *)sum +
									  families[family].at));
	}
}

void metrics_write(const struct run *run, struct output *out)
{
	struct rows rows;

	sort_rows(run, &rows);
	sum_up(run, &rows);
	for (int i = 0; i < FAMILIES; i++) {
		output_format(out, "# HELP xguard_%s %s\n# TYPE xguard_%s %s\n", families[i].name,
			      families[i].help, families[i].name, i < FLOWS ? "counter" : "gauge");
		if (i < UNATTRIBUTED_PACKETS)
			put_flows(run, out, &rows, i);
		else
			put_links(run, out, &rows, i);
	}
}
