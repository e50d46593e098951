// SPDX-License-Identifier: GPL-2.0-or-later
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "report.h"

#define SECOND 1000000000ull

/* Which lines a column is in. */
#define FLOW    (1u << 0)
#define PACKET  (1u << 1)
#define SUMMARY_USERSPACE (1u << 2)
#define SUMMARY_KERNEL    (1u << 3)
#define PROGRAM (1u << 4)
#define LABEL   (1u << 5)
#define SUMMARY (SUMMARY_USERSPACE | SUMMARY_KERNEL)

/* One line to be: the parts that its columns take their values from. */
struct record {
	const struct report *report;
	unsigned int kind;
	const char *event;
	__u64 time;                        /* CLOCK_MONOTONIC, nanoseconds */
	int decimals;                      /* of the time: 3 or 6 */
	const struct flow_key *key;
	const struct flow_count *count;
	const struct trace_line *line;
	const struct report_summary *summary;
	const struct report_program *program;
};

/* A column's value. text NULL: the frame does not have this field. */
struct value {
	const char *text;
	size_t len;
	char room[ADDRESS_LEN];
};

struct column {
	const char *name;
	unsigned int kinds;
	unsigned int field;                /* FIELD_ bit without which it is not shown; or 0 */
	int string;                        /* in JSON: a string, not a number */
	void (*get)(const struct record *record, struct value *value);
};

static void set_text(struct value *value, const char *text)
{
	value->text = text;
	value->len = strlen(text);
}

/* Exactly places digits, with leading zeros. */
static char *put_digits(char *end, unsigned int number, int places)
{
	for (int i = places; i--; number /= 10)
		end[i] = '0' + number % 10;
	return end + places;
}

static char *put_fraction(char *end, __u64 nanoseconds, int decimals)
{
	unsigned int number = nanoseconds % SECOND;

	for (int i = decimals; i < 9; i++)
		number /= 10;
	*end++ = '.';
	return put_digits(end, number, decimals);
}

static void set_number(struct value *value, __u64 number)
{
	value->text = value->room;
	value->len = put_decimal(value->room, number) - value->room;
}

static void set_seconds(struct value *value, __u64 nanoseconds, int decimals)
{
	char *end = put_decimal(value->room, nanoseconds / SECOND);

	end = put_fraction(end, nanoseconds, decimals);
	value->text = value->room;
	value->len = end - value->room;
}

/*
 * The date, from the days since 1970-01-01. Counted in years that begin with March, so that a leap
 * day ends a year (and a cycle of 400 years, 146,097 days, and so on down).
 */
static char *put_date(char *end, unsigned int days)
{
	unsigned int cycle, year, month;

	days += 719468; /* from 0000-03-01 */
	cycle = days / 146097;
	days %= 146097;
	year = (days - days / 1460 + days / 36524 - days / 146096) / 365;
	days -= year * 365 + year / 4 - year / 100;
	month = (days * 5 + 2) / 153; /* March is 0; 153 days in any five months from it */
	days -= (month * 153 + 2) / 5;
	month = month < 10 ? month + 3 : month - 9;
	end = put_digits(end, cycle * 400 + year + (month <= 2), 4);
	*end++ = '-';
	end = put_digits(end, month, 2);
	*end++ = '-';
	return put_digits(end, days + 1, 2);
}

/* ISO 8601 in UTC. */
static void get_time(const struct record *record, struct value *value)
{
	__s64 nanoseconds = record->time + record->report->realtime_offset;
	__u64 seconds = nanoseconds / (__s64)SECOND;
	unsigned int of_day = seconds % 86400;
	char *end = put_date(value->room, seconds / 86400);

	*end++ = 'T';
	end = put_digits(end, of_day / 3600, 2);
	*end++ = ':';
	end = put_digits(end, of_day / 60 % 60, 2);
	*end++ = ':';
	end = put_digits(end, of_day % 60, 2);
	end = put_fraction(end, nanoseconds, record->decimals);
	*end++ = 'Z';
	value->text = value->room;
	value->len = end - value->room;
}

static void get_timestamp(const struct record *record, struct value *value)
{
	set_seconds(value, record->time, record->decimals);
}

static void get_interface(const struct record *record, struct value *value)
{
	const struct report *report = record->report;

	if (record->summary || record->program) {
		set_text(value, record->summary ? record->summary->interface :
			 record->program->interface);
		return;
	}
	for (size_t i = 0; i < report->nlinks; i++)
		if (report->links[i].ifindex == (int)record->key->ifindex) {
			set_text(value, report->links[i].name);
			return;
		}
	snprintf(value->room, sizeof(value->room), "if%u", record->key->ifindex);
	set_text(value, value->room);
}

static int has(const struct record *record, unsigned int field)
{
	return record->key->present & field;
}

static void get_eth_type(const struct record *record, struct value *value)
{
	if (has(record, FIELD_ETH_TYPE))
		set_text(value, eth_type_name(value->room, be16toh(record->key->eth_type),
					      record->report->numeric));
}

static void get_protocol(const struct record *record, struct value *value)
{
	if (has(record, FIELD_PROTOCOL))
		set_text(value, protocol_name(value->room, record->key->protocol,
					      record->report->numeric));
}

static void set_address(const struct record *record, struct value *value, const __u8 *address)
{
	const struct report *report = record->report;

	set_text(value, has(record, FIELD_IPV6) ?
			ipv6_text(value->room, address, report->prefix6) :
			ipv4_text(value->room, address, report->prefix4));
}

static void get_src_ip(const struct record *record, struct value *value)
{
	if (has(record, FIELD_SRC_IP))
		set_address(record, value, record->key->src_ip);
}

static void get_dst_ip(const struct record *record, struct value *value)
{
	if (has(record, FIELD_DST_IP))
		set_address(record, value, record->key->dst_ip);
}

static void get_src_port(const struct record *record, struct value *value)
{
	if (has(record, FIELD_SRC_PORT))
		set_number(value, be16toh(record->key->src_port));
}

static void get_dst_port(const struct record *record, struct value *value)
{
	if (has(record, FIELD_DST_PORT))
		set_number(value, be16toh(record->key->dst_port));
}

static void get_vlan(const struct record *record, struct value *value)
{
	if (has(record, FIELD_VLAN))
		set_number(value, record->key->vlan);
}

static void get_packets(const struct record *record, struct value *value)
{
	set_number(value, record->count->packets);
}

static void get_bytes(const struct record *record, struct value *value)
{
	set_number(value, record->count->bytes);
}

static void get_mode(const struct record *record, struct value *value)
{
	if (record->program->mode)
		set_text(value, record->program->mode);
}

static void get_program_id(const struct record *record, struct value *value)
{
	if (record->program->mode)
		set_number(value, record->program->id);
}

static void set_known(struct value *value, const char *text)
{
	if (text[0])
		set_text(value, text);
}

static void get_name(const struct record *record, struct value *value)
{
	set_known(value, record->program->holder.program);
}

static void get_tag(const struct record *record, struct value *value)
{
	set_known(value, record->program->holder.tag);
}

static void get_age(const struct record *record, struct value *value)
{
	if (record->program->age)
		set_seconds(value, record->program->age, 1);
}

static void get_leftover(const struct record *record, struct value *value)
{
	if (record->program->mode && record->program->leftover >= 0)
		set_text(value, record->program->leftover ? "true" : "false");
}

static void get_task(const struct record *record, struct value *value)
{
	if (record->program) {
		set_known(value, record->program->holder.comm);
		return;
	}
	value->text = record->line->task;
	value->len = record->line->task_len;
}

static void get_pid(const struct record *record, struct value *value)
{
	if (record->program && record->program->holder.pid)
		set_number(value, record->program->holder.pid);
	else if (!record->program && record->line->pid >= 0)
		set_number(value, record->line->pid);
}

static void get_cpu(const struct record *record, struct value *value)
{
	set_number(value, record->line->cpu);
}

static void get_flags(const struct record *record, struct value *value)
{
	value->text = record->line->flags;
	value->len = record->line->flags_len;
}

static void get_seconds(const struct record *record, struct value *value)
{
	set_seconds(value, record->summary->nanoseconds + SECOND / 20, 1); /* rounded */
}

static void get_flows(const struct record *record, struct value *value)
{
	set_number(value, record->summary->flows);
}

static void get_unattributed_packets(const struct record *record, struct value *value)
{
	set_number(value, record->summary->unattributed.packets);
}

static void get_unattributed_bytes(const struct record *record, struct value *value)
{
	set_number(value, record->summary->unattributed.bytes);
}

static void get_lines(const struct record *record, struct value *value)
{
	set_number(value, record->summary->lines);
}

static void get_lost(const struct record *record, struct value *value)
{
	set_number(value, record->summary->lost);
}

/* Every column of every line, in the order of output. */
static const struct column columns[] = {
	{"time", FLOW | PACKET | SUMMARY | PROGRAM, 0, 1, get_time},
	{"timestamp", FLOW | PACKET | SUMMARY | PROGRAM, 0, 0, get_timestamp},
	{"interface", FLOW | PACKET | SUMMARY | PROGRAM | LABEL, 0, 1, get_interface},
	{"eth_type", FLOW | PACKET | LABEL, FIELD_ETH_TYPE, 1, get_eth_type},
	{"vlan", FLOW | LABEL, FIELD_VLAN, 0, get_vlan},
	{"src_ip", FLOW | PACKET | LABEL, FIELD_SRC_IP, 1, get_src_ip},
	{"src_port", FLOW | LABEL, FIELD_SRC_PORT, 0, get_src_port},
	{"dst_ip", FLOW | LABEL, FIELD_DST_IP, 1, get_dst_ip},
	{"dst_port", FLOW | LABEL, FIELD_DST_PORT, 0, get_dst_port},
	{"protocol", FLOW | PACKET | LABEL, FIELD_PROTOCOL, 1, get_protocol},
	{"hits", FLOW, 0, 0, get_packets},
	{"seconds", SUMMARY, 0, 0, get_seconds},
	{"packets", SUMMARY, 0, 0, get_packets},
	{"bytes", FLOW | SUMMARY, 0, 0, get_bytes},
	{"flows", SUMMARY_USERSPACE, 0, 0, get_flows},
	{"unattributed_packets", SUMMARY_USERSPACE, 0, 0, get_unattributed_packets},
	{"unattributed_bytes", SUMMARY_USERSPACE, 0, 0, get_unattributed_bytes},
	{"lines", SUMMARY_KERNEL, 0, 0, get_lines},
	{"lost_events", SUMMARY_KERNEL, 0, 0, get_lost},
	{"mode", PROGRAM, 0, 1, get_mode},
	{"program_id", PROGRAM, 0, 0, get_program_id},
	{"name", PROGRAM, 0, 1, get_name},
	{"tag", PROGRAM, 0, 1, get_tag},
	{"age", PROGRAM, 0, 0, get_age},
	{"leftover", PROGRAM, 0, 0, get_leftover},
	{"task", PACKET | PROGRAM, 0, 1, get_task},
	{"pid", PACKET | PROGRAM, 0, 0, get_pid},
	{"cpu", PACKET, 0, 0, get_cpu},
	{"flags", PACKET, 0, 1, get_flags},
};

/* The next column after column (NULL: the first) that this kind of line shows; NULL: no more. */
static const struct column *next_column(const struct column *column, const struct report *report,
					unsigned int kind)
{
	const struct column *end = columns + sizeof(columns) / sizeof(columns[0]);
	unsigned int shown = FIELD_ETH_TYPE | (kind == PACKET ? FIELDS_DEFAULT : report->by);

	for (column = column ? column + 1 : columns; column < end; column++)
		if (column->kinds & kind && (!column->field || column->field & shown))
			return column;
	return NULL;
}

static void get(const struct column *column, const struct record *record, struct value *value)
{
	value->text = NULL;
	column->get(record, value);
}

static void put_json(struct output *out, const struct record *record)
{
	const struct column *column = NULL;
	struct value value;

	output_text(out, "{\"event\":\"");
	output_text(out, record->event);
	output_bytes(out, "\"", 1);
	while ((column = next_column(column, record->report, record->kind))) {
		get(column, record, &value);
		output_bytes(out, ",\"", 2);
		output_text(out, column->name);
		output_bytes(out, "\":", 2);
		if (!value.text)
			output_text(out, "null");
		else if (column->string)
			output_json(out, value.text, value.len);
		else
			output_bytes(out, value.text, value.len);
	}
	output_bytes(out, "}\n", 2);
}

static void put_csv(struct output *out, const struct record *record)
{
	const struct column *column = NULL;
	struct value value;

	while ((column = next_column(column, record->report, record->kind))) {
		if (column != columns)
			output_bytes(out, ",", 1);
		get(column, record, &value);
		if (value.text)
			output_csv(out, value.text, value.len);
	}
	output_bytes(out, "\n", 1);
}

/* "eth_type=IPv4, src_ip=192.168.2.1, protocol=TCP, hits=4" */
static void put_text(struct output *out, const struct record *record)
{
	const struct column *column = NULL;
	const char *separator = "";
	struct value value;

	while ((column = next_column(column, record->report, record->kind))) {
		if (column->get == get_time || column->get == get_timestamp ||
		    column->get == get_bytes ||
		    (column->get == get_interface && !record->report->show_interface))
			continue;
		output_text(out, separator);
		output_text(out, column->name);
		output_bytes(out, "=", 1);
		get(column, record, &value);
		if (value.text)
			output_harmless(out, value.text, value.len);
		else
			output_bytes(out, "-", 1);
		separator = ", ";
	}
	output_bytes(out, "\n", 1);
}

/* The line as trace_pipe has it, the numbers as the original prints them. */
static void put_trace_text(struct output *out, const struct record *record)
{
	const struct flow_key *key = record->key;
	unsigned int eth_type = be16toh(key->eth_type);
	struct value value = {.text = NULL};

	output_harmless(out, record->line->prefix, record->line->prefix_len);
	if (record->report->show_interface) {
		get_interface(record, &value);
		output_text(out, "interface=");
		output_harmless(out, value.text, value.len);
		output_bytes(out, " ", 1);
		value.text = NULL;
	}
	if (!has(record, FIELD_ETH_TYPE))
		output_text(out, "eth_type=- src_ip=");
	else if (eth_type < 0x600)
		output_text(out, "eth_type=802.3 src_ip=");
	else
		output_format(out, "eth_type=%#x src_ip=", eth_type);
	get_src_ip(record, &value);
	output_text(out, value.text ? value.text : "-");
	output_text(out, " protocol=");
	set_text(&value, "-");
	if (has(record, FIELD_PROTOCOL))
		set_number(&value, key->protocol);
	output_bytes(out, value.text, value.len);
	output_bytes(out, "\n", 1);
}

void report_begin(const struct report *report, struct output *out)
{
	const struct column *column = NULL;
	unsigned int kind = report->trace == TRACE_KERNEL ? PACKET :
			    report->trace == TRACE_USERSPACE ? FLOW : PROGRAM;

	if (report->format != FORMAT_CSV)
		return;
	while ((column = next_column(column, report, kind))) {
		if (column != columns)
			output_bytes(out, ",", 1);
		output_text(out, column->name);
	}
	output_bytes(out, "\n", 1);
}

void report_flow(const struct report *report, struct output *out, const struct flow *flow,
		 __u64 now)
{
	struct record record = {
		.report = report, .kind = FLOW, .event = "flow", .time = now, .decimals = 3,
		.key = &flow->key, .count = &flow->total,
	};

	if (report->format == FORMAT_JSON)
		put_json(out, &record);
	else if (report->format == FORMAT_CSV)
		put_csv(out, &record);
	else
		put_text(out, &record);
}

void report_labels(const struct report *report, struct output *out, const struct flow_key *key,
		   int other)
{
	struct record record = { .report = report, .key = key };
	const struct column *column = NULL;
	char separator = '{';
	struct value value;

	while ((column = next_column(column, report, LABEL))) {
		get(column, &record, &value);
		if (other && column->field)
			set_text(&value, "other");
		output_bytes(out, &separator, 1);
		output_text(out, column->name);
		output_bytes(out, "=", 1);
		output_label(out, value.text ? value.text : "", value.text ? value.len : 0);
		separator = ',';
	}
	output_bytes(out, "}", 1);
}

void report_program(const struct report *report, struct output *out,
		    const struct report_program *program, __u64 now)
{
	struct record record = {
		.report = report, .kind = PROGRAM, .event = "link", .time = now, .decimals = 3,
		.program = program,
	};

	if (report->format == FORMAT_JSON)
		put_json(out, &record);
	else
		put_csv(out, &record);
}

void report_packet(const struct report *report, struct output *out, const struct trace_line *line)
{
	struct record record = {
		.report = report, .kind = PACKET, .event = "packet", .time = line->nanoseconds,
		.decimals = 6, .key = &line->key, .line = line,
	};

	if (report->format == FORMAT_JSON)
		put_json(out, &record);
	else if (report->format == FORMAT_CSV)
		put_csv(out, &record);
	else
		put_trace_text(out, &record);
}

#define PLURAL(n) (n), (n) == 1 ? "" : "s"

static void summary_text(const struct report *report, const struct report_summary *summary,
			 char *text, size_t size)
{
	__u64 tenths = (summary->nanoseconds + SECOND / 20) / (SECOND / 10);
	const struct flow_count *counted = &summary->counted;
	char end[80], interface[64];

	if (report->trace == TRACE_KERNEL)
		snprintf(end, sizeof(end), "%llu line%s, %llu lost", PLURAL(summary->lines),
			 summary->lost);
	else
		snprintf(end, sizeof(end), "%llu flow%s, %llu unattributed", PLURAL(summary->flows),
			 summary->unattributed.packets);
	snprintf(text, size, "%s: %llu packet%s, %llu byte%s, %s in %llu.%u s",
		 harmless_text(interface, sizeof(interface), summary->interface),
		 PLURAL(counted->packets), PLURAL(counted->bytes), end, tenths / 10,
		 (unsigned int)(tenths % 10));
}

void report_summary(const struct report *report, struct output *out,
		    const struct report_summary *summary, __u64 now, char *text, size_t size)
{
	struct record record = {
		.report = report, .event = "summary", .time = now, .decimals = 3,
		.kind = report->trace == TRACE_KERNEL ? SUMMARY_KERNEL : SUMMARY_USERSPACE,
		.count = &summary->counted, .summary = summary,
	};

	summary_text(report, summary, text, size);
	if (out && report->format == FORMAT_JSON)
		put_json(out, &record);
}
