// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "options.h"
#include "output.h"
#include "packet.h"

#define SECOND       1000000000ull
#define SECONDS_MAX  1000000000ull /* 31 years: deadlines stay far from overflow */
#define INTERVAL_MIN (SECOND / 100)

/*
 * One option: what the user sees of it, and how its argument becomes a field of struct options.
 * The usage and the parser know options by this table alone.
 */
struct option_row {
	char letter;              /* 0: none */
	const char *name;         /* NULL: the letter only */
	const char *argument;     /* what the usage calls it; NULL: it takes none */
	const char *help;
	int (*take)(struct options *options, const struct option_row *row, const char *word,
		    struct failure *failure);
	size_t field;             /* offset in struct options */
	unsigned long long min;   /* of a number; the value that a flag sets */
	unsigned long long max;
	const char *words;        /* of take_word: an enum's values in their order */
	unsigned int only;        /* what it goes with; 0: either trace */
};

/* The traces, and what there is in place of one, a bit each. */
enum {
	KERNEL = 1 << TRACE_KERNEL,
	USERSPACE = 1 << TRACE_USERSPACE,
	STATUS = 4 << ACTION_STATUS,
	DETACH = 4 << ACTION_DETACH,
	PROBE = 4 << ACTION_PROBE,
};

static const struct option_row rows[];

__attribute__((format(printf, 3, 4)))
static int misuse(struct failure *failure, const char *next, const char *reason, ...)
{
	va_list args;

	fail(failure, EINVAL, "%s", "");
	va_start(args, reason);
	vsnprintf(failure->reason, sizeof(failure->reason), reason, args);
	va_end(args);
	return fail_next(failure, "%s", next);
}

/* "--name", or "-x" where there is only the letter. Returns text, which is ROW_LEN bytes. */
#define ROW_LEN 24
static const char *row_text(char *text, const struct option_row *row)
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
		return misuse(failure, next, "%s '%s': %s", row_text(name, row), word,
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
		return misuse(failure, "write decimal seconds from 0.01 to 1000000000, such as 0.5 "
			      "or 10, with at most nine decimals", "%s '%s': not a time in seconds",
			      row_text(name, row), word);
	return 0;
}

/* Flags that exclude each other share a field, which is 0 until one of them is met. */
static int take_flag(struct options *options, const struct option_row *row, const char *word,
		     struct failure *failure)
{
	unsigned int *field = (unsigned int *)((char *)options + row->field);
	const struct option_row *other = rows;
	char name[ROW_LEN], other_name[ROW_LEN];

	(void)word;
	if (*field && *field != row->min) {
		while (other->take != take_flag || other->field != row->field ||
		       other->min != *field)
			other++;
		return misuse(failure, "choose one of them", "%s and %s exclude each other",
			      row_text(other_name, other), row_text(name, row));
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
		snprintf(next, sizeof(next), "write %s %s", row_text(name, row), row->argument);
		return misuse(failure, next, "%s '': the name is empty", name);
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
		return misuse(failure, next, "%s '%s': there is no such %s", row_text(name, row),
			      word, row->name);
	}
	*(unsigned int *)((char *)options + row->field) = i;
	return 0;
}

static int take_interface(struct options *options, const struct option_row *row, const char *word,
			  struct failure *failure)
{
	(void)row;
	if (!*word || !strcmp(word, "all"))
		return misuse(failure, "name a link, such as -i eth0; -i may be repeated",
			      "--interface '%s': %s", word, *word ?
			      "this version takes links by name only" : "the name is empty");
	if (options->ninterfaces == INTERFACES_MAX)
		return misuse(failure, "run a second xguard for the others",
			      "--interface '%s': more than %d interfaces", word, INTERFACES_MAX);
	options->interfaces[options->ninterfaces++] = word;
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
			return misuse(failure, next, "--by '%.*s': %s", (int)len, word,
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
static const struct option_row rows[] = {
	{.help = "What to trace:"},
	{'i', "interface", "IFACE", "the link to look at; may be repeated", .take = take_interface,
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
	{0, "format", "FORMAT", "text, json or csv; default text", .take = take_word,
	 FIELD(format), .words = "text json csv", .only = KERNEL | USERSPACE | STATUS},
	{0, "output", "FILE", "write there, not to standard output (-)", .take = take_text,
	 FIELD(output), .only = ~0u},
	{0, "interval", "SECONDS", "between two looks at the flows; default 1",
	 .take = take_seconds, FIELD(interval)},
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

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct option_row *row_of_letter(char letter)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].letter == letter)
			return &rows[i];
	return NULL;
}

/*
 * The row whose name word ("--int=1") has, or is the only one to begin with. Else NULL, with
 * failure filled in.
 */
static const struct option_row *row_of_word(const char *word, struct failure *failure)
{
	size_t len = strcspn(word + 2, "="), used = 0;
	const struct option_row *found = NULL;
	char list[256] = "";
	int n = 0;

	for (size_t i = 0; i < ROWS; i++) {
		if (!rows[i].name || strncmp(rows[i].name, word + 2, len))
			continue;
		found = &rows[i];
		if (!found->name[len])
			return found;
		if (used < sizeof(list))
			used += snprintf(list + used, sizeof(list) - used, "%s--%s",
					 n ? ", " : "", found->name);
		n++;
	}
	if (n > 1)
		misuse(failure, "write one of them in full", "%s is ambiguous: %s", word, list);
	else if (!n)
		misuse(failure, "xguard --help lists the options", "unknown option %s", word);
	return n == 1 ? found : NULL;
}

/*
 * What has been read of the command line: word is the one being read, or the last whose argument
 * was taken; given has a bit for every row that was met.
 */
struct reader {
	struct options *options;
	char **word;
	unsigned long long given;
};

/*
 * One option with value, or, where that is NULL and it takes one, the next word. Returns 0, 1 if no
 * more is to be read, or -EINVAL.
 */
static int take(struct reader *reader, const struct option_row *row, const char *value,
		struct failure *failure)
{
	struct options *options = reader->options;
	char name[ROW_LEN];
	int ret;

	if (row->argument && !value) {
		value = *++reader->word;
		if (!value)
			return misuse(failure, "xguard --help shows what it takes",
				      "%s needs %s after it", row_text(name, row), row->argument);
	}
	ret = row->take(options, row, value, failure);
	reader->given |= 1ull << (row - rows);
	return ret ? ret : options->action == ACTION_HELP || options->action == ACTION_VERSION;
}

/* "--name", "--name=value" or "--name value". */
static int take_long(struct reader *reader, struct failure *failure)
{
	const char *word = *reader->word, *value = strchr(word, '=');
	const struct option_row *row = row_of_word(word, failure);
	char name[ROW_LEN];

	if (!row)
		return -EINVAL;
	if (value && !row->argument)
		return misuse(failure, "leave it out", "%s takes no argument", row_text(name, row));
	return take(reader, row, value ? value + 1 : NULL, failure);
}

/* "-k", "-kn", "-ieth0" or "-i eth0". */
static int take_letters(struct reader *reader, struct failure *failure)
{
	int ret = 0;

	for (const char *letter = *reader->word + 1; !ret && *letter; letter++) {
		const struct option_row *row = row_of_letter(*letter);

		if (!row)
			return misuse(failure, "xguard --help lists the options; a FILTER that "
				      "begins with '-' comes after --", "unknown option -%c",
				      *letter > ' ' && *letter < 0x7f ? *letter : '?');
		if (row->argument)
			return take(reader, row, letter[1] ? letter + 1 : NULL, failure);
		ret = take(reader, row, NULL, failure);
	}
	return ret;
}

/* All options; the other words come to the front of words, with a NULL after the last. */
static int read_words(struct reader *reader, char **words, struct failure *failure)
{
	int ret = 0, options = 1;

	for (reader->word = words; !ret && *reader->word; reader->word++) {
		const char *word = *reader->word;

		if (!options || word[0] != '-' || !word[1])
			*words++ = *reader->word;
		else if (!strcmp(word, "--"))
			options = 0;
		else if (word[1] == '-')
			ret = take_long(reader, failure);
		else
			ret = take_letters(reader, failure);
	}
	if (!ret)
		*words = NULL;
	return ret;
}

/* words joined by blanks. */
static int join(char **filter, char **words, struct failure *failure)
{
	size_t len = 0;

	for (char **word = words; *word; word++)
		len += strlen(*word) + 1;
	if (!len)
		return 0;
	*filter = calloc(len, 1);
	if (!*filter)
		return fail(failure, ENOMEM, "read the filter");
	for (char *end = *filter; *words; words++) {
		end = stpcpy(end, *words);
		if (words[1])
			*end++ = ' ';
	}
	return 0;
}

static int protocol_with_kernel_trace(const struct options *options, struct failure *failure)
{
	int icmp = options->protocol == IPPROTO_ICMP;
	const char *protocol = icmp ? "icmp" : options->protocol == IPPROTO_TCP ? "tcp" : "udp";
	const char *words = icmp ? "icmp or icmp6" : protocol;

	misuse(failure, "", "--%s goes with --userspace-trace only", protocol);
	if (options->filter)
		return fail_next(failure, "make it part of the filter: -k '(%s) and (%s)'", words,
				 options->filter);
	return fail_next(failure, "write it as a filter: -k %s", words);
}

/* The option that stands for what is done: one of KERNEL, USERSPACE, STATUS, DETACH, PROBE. */
static const struct option_row *row_of_bit(unsigned int bit)
{
	const struct option_row *row = rows;

	while (row->field != (bit > USERSPACE ? offsetof(struct options, action) :
			      offsetof(struct options, trace)) ||
	       (bit > USERSPACE ? 4u : 1u) << row->min != bit)
		row++;
	return row;
}

/* An option that does not go with what is done. */
static int misplaced(const struct option_row *row, unsigned int what, struct failure *failure)
{
	char name[ROW_LEN], other[ROW_LEN];

	if (row->only && !(row->only & (row->only - 1)))
		return misuse(failure, (row->only | what) <= (KERNEL | USERSPACE) ?
			      "leave it out, or choose the other trace" : "leave it out",
			      "%s goes with %s only", row_text(name, row),
			      row_text(other, row_of_bit(row->only)));
	return misuse(failure, "leave it out", "%s does not go with %s", row_text(name, row),
		      row_text(other, row_of_bit(what)));
}

/* What only shows when all options are known. given: a bit for every row that was met. */
static int check(const struct options *options, unsigned long long given, struct failure *failure)
{
	unsigned int what = 0; /* of -d, nothing: it takes everything */

	if (options->action && options->action < ACTION_DUMP)
		what = 4u << options->action;
	else if (options->trace)
		what = 1u << options->trace;
	if (what == KERNEL && options->protocol)
		return protocol_with_kernel_trace(options, failure);
	for (size_t i = 0; i < ROWS && what; i++)
		if (given >> i & 1 && !((rows[i].only ? rows[i].only : KERNEL | USERSPACE) & what))
			return misplaced(&rows[i], what, failure);
	if (options->filter && what > USERSPACE)
		return misuse(failure, "leave it out", "FILTER '%s' goes with a trace only",
			      options->filter);
	if (options->action != ACTION_TRACE)
		return 0;
	if (!options->ninterfaces)
		return misuse(failure, "add --interface IFACE, such as -i eth0",
			      "no interface given");
	if (!options->trace)
		return misuse(failure, "add --kernel-trace (-k: a line for every frame) or "
			      "--userspace-trace (-u: a line for every flow)", "no trace given");
	return 0;
}

int options_parse(struct options *options, int argc, char **argv, struct failure *failure)
{
	struct reader reader = {.options = options};
	int ret;

	*options = (struct options){
		.by = FIELDS_DEFAULT, .prefix4 = -1, .prefix6 = -1, .interval = SECOND, .sample = 1,
	};
	if (argc < 2) {
		options->action = ACTION_USAGE;
		return 0;
	}
	ret = read_words(&reader, argv + 1, failure);
	if (ret)
		return ret < 0 ? ret : 0;
	if (options->output && !strcmp(options->output, "-"))
		options->output = NULL;
	ret = join(&options->filter, argv + 1, failure);
	if (!ret)
		ret = check(options, reader.given, failure);
	if (ret < 0)
		options_free(options);
	return ret;
}

void options_free(struct options *options)
{
	free(options->filter);
	options->filter = NULL;
}

/* The second and later lines of help are set under the first. */
static void print_row(struct output *output, const struct option_row *row)
{
	const char *line = row->help, *end;
	char name[40], letter[] = "   ";

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c%s", row->letter, row->name ? "," : " ");
	snprintf(name, sizeof(name), "%s %s%s%s%s", letter, row->name ? "--" : "",
		 row->name ? row->name : "", row->argument ? " " : "",
		 row->argument ? row->argument : "");
	output_format(output, "  %-25s", name);
	while ((end = strchr(line, '\n'))) {
		output_format(output, " %.*s\n%27s", (int)(end - line), line, "");
		line = end + 1;
	}
	output_format(output, " %s\n", line);
}

void options_usage(struct output *output)
{
	output_text(output,
		    "usage: xguard --interface IFACE --kernel-trace | --userspace-trace\n"
		    "              [--tcp | --udp | --icmp] [OPTION...] [FILTER]\n"
		    "       xguard --status | --detach [--force] | --probe [--interface IFACE]...\n\n"
		    "Shows what arrives at a network interface, seen in its driver (XDP).\n"
		    "FILTER is an expression as tcpdump takes it; see pcap-filter(7) and xguard(8).\n");
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].take)
			print_row(output, &rows[i]);
		else
			output_format(output, "\n%s\n", rows[i].help);
	}
}
