/* SPDX-License-Identifier: GPL-2.0-or-later */
/* argv to struct options, and the usage text. No system call. */
#ifndef XGUARD_OPTIONS_H
#define XGUARD_OPTIONS_H

#include <stddef.h>
#include <linux/types.h>

#include "failure.h"
#include "guardian.h"
#include "moment.h"

struct output;

#define INTERFACES_MAX 64

enum action {
	ACTION_TRACE, ACTION_STATUS, ACTION_DETACH, ACTION_PROBE, ACTION_DUMP, ACTION_HELP,
	ACTION_VERSION, ACTION_USAGE,
};
enum trace { TRACE_NONE, TRACE_KERNEL, TRACE_USERSPACE };
enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_CSV, FORMAT_METRICS };

struct options {
	enum action action;            /* ACTION_USAGE: no arguments at all; ACTION_DUMP: -d, which
	                                * needs no interface and no trace */
	enum trace trace;
	enum format format;
	enum attach_mode mode;
	const char *interfaces[INTERFACES_MAX]; /* as given; pointers into argv */
	size_t ninterfaces;
	int all;                       /* every link that is up, too, but lo and stacked ones */
	unsigned int protocol;         /* IPPROTO_TCP, _UDP or _ICMP; 0: all */
	char *filter;                  /* the remaining words joined by blanks, malloced; or NULL */
	unsigned int by;               /* FIELD_ bits of packet.h */
	int prefix4, prefix6;          /* -1: whole addresses */
	const char *output;            /* NULL: standard output */
	const char *listen;            /* http_address() takes it; NULL: nowhere */
	const char *object;            /* NULL: the built-in one */
	__u64 interval;                /* nanoseconds */
	__u64 duration;                /* nanoseconds; 0: no end */
	struct moment start, stop;
	__u64 count;                   /* 0: no end */
	unsigned int sample;           /* kernel trace: every Nth frame; 1: all */
	unsigned int max_flows;        /* 0: by the host's memory */
	unsigned int max_series;       /* metrics */
	int force;                     /* --detach: a living xguard's programs and others' too */
	int numeric;
	int top;                       /* the live view */
	int verbose;
};

/*
 * Parse a command line; argv is used up. Returns 0, or
 * -EINVAL for misuse (exit status 2) with failure's step empty, its reason what is wrong and its
 * next step what to write instead.
 */
int options_parse(struct options *options, int argc, char **argv, struct failure *failure);
void options_free(struct options *options);

/* What --help prints. */
void options_usage(struct output *output);

#endif
