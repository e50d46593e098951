// SPDX-License-Identifier: GPL-2.0-or-later
/* The table of options, and how each takes its argument. */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "http.h"
#include "names.h"
#include "options_rows.h"
#include "packet.h"

#define SECOND       1000000000ull
#define SECONDS_MAX  1000000000ull /* 31 years: deadlines stay far from overflow */
#define INTERVAL_MIN (SECOND / 100)

int option_misuse(struct failure *failure, const char *next, const char *reason, ...)
{
	va_list args;

	fail(failure, EINVAL, "%s", "");
	va_start(args, reason);
	vsnprintf(failure->reason, sizeof(failure->reason), reason, args);
	va_end(args);
	return fail_next(failure, "%s", next);
}

const char *option_text(char *text, const struct option_row *row)
{
	if (row->name)
		snprintf(text, ROW_LEN, "--%s", row->name);
	else
		snprintf(text, ROW_LEN, "-%c", row->letter);
	return text;
}

/* Decimal digits only, without overflow: returns the end of the digits, or NULL. */
static const char *digits(const char *word, unsigned long long *number)
{
	for (*number = 0; *word >= '0' && *word <= '9'; word++)
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, (unsigned long long)(*word - '0'), number))
			return NULL;
	return word;
}

static int take_number(struct options *options, const struct option_row *row, const char *word,
		       struct failure *failure)
{
	void *field = (char *)options + row->field;
	const char *end;
	unsigned long long number;
	char name[ROW_LEN], next[80];

	end = digits(word, &number);
	if (!end || *end || end == word || number < row->min || number > row->max) {
		snprintf(next, sizeof(next), "write a whole number from %llu to %llu", row->min,
			 row->max);
		return option_misuse(failure, next, "%s '%s': %s", option_text(name, row), word,
				     !end || (!*end && end != word) ? "out of range" :
								      "not a whole number");
	}
	if (row->max > UINT_MAX)
		*(__u64 *)field = number;
	else
		*(unsigned int *)field = number;
	return 0;
}

/* "2", "0.5", ".5" to nanoseconds, exactly. Returns 0, or -1. */
static int parse_seconds(const char *word, __u64 *nanoseconds)
{
	unsigned long long whole, fraction = 0;
	const char *point = digits(word, &whole), *end = point;
	int places = 0;

	if (!point || whole > SECONDS_MAX)
		return -1;
	if (*point == '.') {
		end = digits(point + 1, &fraction);
		places = end ? end - point - 1 : 0;
	}
	if (!end || *end || places > 9 || (point == word && !places))
		return -1;
	for (; places < 9; places++)
		fraction *= 10;
	*nanoseconds = whole * SECOND + fraction;
	return 0;
}

static int take_seconds(struct options *options, const struct option_row *row, const char *word,
			struct failure *failure)
{
	__u64 *field = (__u64 *)((char *)options + row->field);
	char name[ROW_LEN];

	if (parse_seconds(word, field) < 0 || *field < INTERVAL_MIN ||
	    *field > SECONDS_MAX * SECOND)
		return option_misuse(failure, "write decimal seconds from 0.01 to 1000000000, such as 0.5 "
			      "or 10, with at most nine decimals", "%s '%s': not a time in seconds",
			      option_text(name, row), word);
	return 0;
}

/* Flags that exclude each other share a field, which is 0 until one of them is met. */
static int take_flag(struct options *options, const struct option_row *row, const char *word,
		     struct failure *failure)
{
	unsigned int *field = (unsigned int *)((char *)options + row->field);
	const struct option_row *other = option_rows;
	char name[ROW_LEN], other_name[ROW_LEN];

	(void)word;
	if (*field && *field != row->min) {
		while (other->take != take_flag || other->field != row->field ||
		       other->min != *field)
			other++;
		return option_misuse(failure, "choose one of them", "%s and %s exclude each other",
				     option_text(other_name, other), option_text(name, row));
	}
	*field = row->min;
	return 0;
}

/* What ends the parsing. */
static int take_action(struct options *options, const struct option_row *row, const char *word,
		       struct failure *failure)
{
	(void)word, (void)failure;
	options->action = row->min;
	return 0;
}

static int take_text(struct options *options, const struct option_row *row, const char *word,
		     struct failure *failure)
{
	char name[ROW_LEN], next[40];

	if (!*word) {
		snprintf(next, sizeof(next), "write %s %s", option_text(name, row), row->argument);
		return option_misuse(failure, next, "%s '': the name is empty", name);
	}
	*(const char **)((char *)options + row->field) = word;
	return 0;
}

/* Where word, of len bytes, stands in a list of words with blanks between; -1: nowhere. */
static int word_index(const char *words, const char *word, size_t len)
{
	for (int i = 0;; i++) {
		size_t n = strcspn(words, " ");

		if (n == len && !memcmp(words, word, n))
			return i;
		if (!words[n])
			return -1;
		words += n + 1;
	}
}

static int take_word(struct options *options, const struct option_row *row, const char *word,
		     struct failure *failure)
{
	int i = word_index(row->words, word, strlen(word));
	char name[ROW_LEN], next[80];

	if (i < 0) {
		snprintf(next, sizeof(next), "write one of: %s", row->words);
		return option_misuse(failure, next, "%s '%s': there is no such %s",
				     option_text(name, row),
				     word, row->name);
	}
	*(unsigned int *)((char *)options + row->field) = i;
	return 0;
}

static int take_interface(struct options *options, const struct option_row *row, const char *word,
			  struct failure *failure)
{
	(void)row;
	if (!*word)
		return option_misuse(failure, "name a link, such as -i eth0; -i may be repeated",
				     "--interface '': the name is empty");
	if (!strcmp(word, "all")) {
		options->all = 1;
		return 0;
	}
	if (options->ninterfaces == INTERFACES_MAX)
		return option_misuse(failure, "run a second xguard for the others",
			      "--interface '%s': more than %d interfaces", word, INTERFACES_MAX);
	options->interfaces[options->ninterfaces++] = word;
	return 0;
}

static int take_moment(struct options *options, const struct option_row *row, const char *word,
		       struct failure *failure)
{
	char name[ROW_LEN];

	if (moment_parse((struct moment *)((char *)options + row->field), word))
		return option_misuse(failure, "write a time of day, such as 22:00 or 22:00:30, or a "
				     "moment, such as 2026-11-23T22:00; for UTC, with Z at its end",
				     "%s '%s': not a time", option_text(name, row), word);
	return 0;
}

static int take_listen(struct options *options, const struct option_row *row, const char *word,
		       struct failure *failure)
{
	struct http_address address;

	(void)row;
	if (http_address(&address, word))
		return option_misuse(failure, "write 9975, 192.0.2.1:9975, [::1]:9975 or, for all "
				     "addresses, 0.0.0.0:9975 or [::]:9975",
				     "--listen '%s': not a port, nor an address and a port", word);
	options->listen = word;
	return 0;
}

/* One name of --by. Returns its FIELD_ bit, or 0. */
static unsigned int field_bit(const char *word, size_t len)
{
	for (unsigned int i = 0; i < FIELD_NAMES; i++)
		if (strlen(field_names[i]) == len && !memcmp(field_names[i], word, len))
			return 1u << i == FIELD_ETH_TYPE ? 0 : 1u << i;
	return 0;
}

static int take_by(struct options *options, const struct option_row *row, const char *word,
		   struct failure *failure)
{
	static const char next[] = "write some of src_ip,dst_ip,src_port,dst_port,protocol,vlan; "
				   "Ethernet type and interface always count";

	(void)row;
	options->by = FIELD_ETH_TYPE;
	for (;; word++) {
		size_t len = strcspn(word, ",");
		unsigned int bit = field_bit(word, len);

		if (!bit || options->by & bit)
			return option_misuse(failure, next, "--by '%.*s': %s", (int)len, word,
					     bit ? "named twice" : "there is no such field");
		options->by |= bit;
		word += len;
		if (!*word)
			return 0;
	}
}

#define FIELD(member) .field = offsetof(struct options, member)
#define FLAG(member, value) .take = take_flag, FIELD(member), .min = (value)
#define ACTION(value) .take = take_action, .min = (value)
#define NUMBER(member, from, to) .take = take_number, FIELD(member), .min = (from), .max = (to)

/* A row without take is a heading of the usage. */
const struct option_row option_rows[] = {
	{.help = "What to trace:"},
	{'i', "interface", "IFACE", "the link to look at, or all; may be repeated", .take = take_interface,
	 .only = ~0u},
	{'k', "kernel-trace", NULL, "a line for every frame, as the kernel prints it",
	 FLAG(trace, TRACE_KERNEL)},
	{'u', "userspace-trace", NULL, "a line for every flow that grew, each interval",
	 FLAG(trace, TRACE_USERSPACE)},
	{0, "tcp", NULL, "only TCP (with -u; with -k write it as a FILTER)",
	 FLAG(protocol, IPPROTO_TCP), .only = USERSPACE},
	{0, "udp", NULL, "only UDP", FLAG(protocol, IPPROTO_UDP), .only = USERSPACE},
	{0, "icmp", NULL, "only ICMP and ICMPv6", FLAG(protocol, IPPROTO_ICMP),
	 .only = USERSPACE},
	{0, "mode", "MODE", "auto (the default), native or generic",
	 .take = take_word, FIELD(mode), .words = "auto native generic"},
	{0, "duration", "SECONDS", "end after this time", .take = take_seconds, FIELD(duration)},
	{0, "start", "TIME", "attach only then: HH:MM[:SS] or ISO 8601,\nin local time", .take = take_moment,
	 FIELD(start)},
	{0, "stop", "TIME", "detach and end then", .take = take_moment, FIELD(stop)},
	{'c', "count", "N", "end after N frames", NUMBER(count, 1, ULLONG_MAX)},
	{0, "sample", "N", "with -k: every Nth frame of each CPU", NUMBER(sample, 1, UINT_MAX),
	 .only = KERNEL},

	{.help = "What makes a flow (with -u):"},
	{0, "by", "FIELD,...", "src_ip dst_ip src_port dst_port protocol vlan;\n"
	 "default src_ip,protocol", .take = take_by, .only = USERSPACE},
	{0, "prefix4", "N", "group IPv4 addresses by their first N bits", NUMBER(prefix4, 0, 32),
	 .only = USERSPACE},
	{0, "prefix6", "N", "group IPv6 addresses by their first N bits", NUMBER(prefix6, 0, 128),
	 .only = USERSPACE},
	{0, "max-flows", "N", "flows to make room for, beside each CPU's cache",
	 NUMBER(max_flows, 1, 1u << 31), .only = USERSPACE},

	{.help = "Output:"},
	{0, "format", "FORMAT", "text, json, csv or (with -u) metrics; default text",
	 .take = take_word, FIELD(format), .words = "text json csv metrics",
	 .only = KERNEL | USERSPACE | STATUS},
	{0, "output", "FILE", "write there, not to standard output (-)", .take = take_text,
	 FIELD(output), .only = ~0u},
	{0, "interval", "SECONDS", "between two looks at the flows; default 1",
	 .take = take_seconds, FIELD(interval)},
	{0, "listen", "[ADDR:]PORT", "with -u: serve metrics over HTTP, too;\ndefault 127.0.0.1",
	 .take = take_listen, FIELD(listen), .only = USERSPACE},
	{0, "max-series", "N", "metrics: flows with their own series; default 1000",
	 NUMBER(max_series, 1, UINT_MAX), .only = USERSPACE},
	{0, "top", NULL, "a live view of the flows, on a terminal", FLAG(top, 1),
	 .only = USERSPACE},
	{'n', NULL, NULL, "numbers instead of names for types and protocols", FLAG(numeric, 1)},

	{.help = "In place of a trace, on each IFACE or on all links:"},
	{0, "status", NULL, "the links' XDP programs, and who holds them",
	 FLAG(action, ACTION_STATUS), .only = ~0u},
	{0, "detach", NULL, "remove what an xguard that was killed has left",
	 FLAG(action, ACTION_DETACH), .only = ~0u},
	{0, "force", NULL, "with --detach: what others have attached, too", FLAG(force, 1),
	 .only = DETACH},
	{0, "probe", NULL, "what this kernel, these privileges and IFACE allow",
	 FLAG(action, ACTION_PROBE), .only = ~0u},

	{.help = "The rest:"},
	{'d', NULL, NULL, "print the filter's instructions and exit", FLAG(action, ACTION_DUMP),
	 .only = ~0u},
	{0, "object", "FILE", "load this build of xdp_prog.c, not our own",
	 .take = take_text, FIELD(object), .only = KERNEL | USERSPACE | PROBE},
	{'v', "verbose", NULL, "say more on standard error", FLAG(verbose, 1), .only = ~0u},
	{'V', "version", NULL, "print the version and exit", ACTION(ACTION_VERSION)},
	{'h', "help", NULL, "print this and exit", ACTION(ACTION_HELP)},
};

const size_t option_count = sizeof(option_rows) / sizeof(option_rows[0]);
