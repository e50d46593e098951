/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows, packets and summaries as text, JSON and CSV: three writers over one table of fields, so
 * that names and order cannot drift.
 */
#ifndef XGUARD_REPORT_H
#define XGUARD_REPORT_H

#include <stddef.h>
#include <linux/types.h>

#include "flows.h"
#include "holder.h"
#include "options.h"
#include "output.h"
#include "trace_pipe.h"

struct report_link {
	int ifindex;
	char name[16];
};

struct report {
	enum format format;
	enum trace trace;
	unsigned int by;                 /* FIELD_ bits that are shown */
	int prefix4, prefix6;            /* -1: none */
	int numeric;
	int show_interface;              /* text: more than one link */
	__s64 realtime_offset;           /* nanoseconds: CLOCK_REALTIME - CLOCK_MONOTONIC */
	const struct report_link *links;
	size_t nlinks;
};

/* What a link's run came to. */
struct report_summary {
	const char *interface;
	__u64 nanoseconds;               /* from the attach to the detach */
	struct flow_count counted;       /* frames that matched, unattributed ones included */
	__u64 flows;                     /* userspace trace */
	struct flow_count unattributed;
	__u64 lines, lost;               /* kernel trace */
};

/* A link, and a program that is attached to it. */
struct report_program {
	const char *interface;
	const char *mode;                /* NULL: it has none, and then the rest is not there */
	__u32 id;
	int leftover;                    /* 1: an xguard's that nobody answers for; -1: not known */
	__u64 age;                       /* nanoseconds; 0: not known */
	struct holder holder;
};

/* CSV: the header row. Others: nothing. */
void report_begin(const struct report *report, struct output *out);

/* One flow's line, at CLOCK_MONOTONIC time now (nanoseconds). */
void report_flow(const struct report *report, struct output *out, const struct flow *flow,
		 __u64 now);

/* Metrics: the labels of a flow's series; other: of the link's flows that have none of their own. */
void report_labels(const struct report *report, struct output *out, const struct flow_key *key,
		   int other);

/* JSON and CSV: what is attached to a link, at CLOCK_MONOTONIC time now. */
void report_program(const struct report *report, struct output *out,
		    const struct report_program *program, __u64 now);

/* One line of the kernel trace. */
void report_packet(const struct report *report, struct output *out, const struct trace_line *line);

/*
 * The summary of one link, at time now: a sentence for standard error, without newline, in text
 * (size bytes), "xguard: " not included. In JSON, and where out is not NULL, also a record in out.
 */
void report_summary(const struct report *report, struct output *out,
		    const struct report_summary *summary, __u64 now, char *text, size_t size);

#endif
