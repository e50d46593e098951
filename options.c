// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options_rows.h"
#include "packet.h"

static const struct option_row *row_of_letter(char letter)
{
	for (size_t i = 0; i < option_count; i++)
		if (option_rows[i].letter == letter)
			return &option_rows[i];
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

	for (size_t i = 0; i < option_count; i++) {
		if (!option_rows[i].name || strncmp(option_rows[i].name, word + 2, len))
			continue;
		found = &option_rows[i];
		if (!found->name[len])
			return found;
		if (used < sizeof(list))
			used += snprintf(list + used, sizeof(list) - used, "%s--%s",
					 n ? ", " : "", found->name);
		n++;
	}
	if (n > 1)
		option_misuse(failure, "write one of them in full", "%s is ambiguous: %s", word,
			      list);
	else if (!n)
		option_misuse(failure, "xguard --help lists the options", "unknown option %s",
			      word);
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
			return option_misuse(failure, "xguard --help shows what it takes",
				      "%s needs %s after it", option_text(name, row),
					     row->argument);
	}
	ret = row->take(options, row, value, failure);
	reader->given |= 1ull << (row - option_rows);
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
		return option_misuse(failure, "leave it out", "%s takes no argument",
				     option_text(name, row));
	return take(reader, row, value ? value + 1 : NULL, failure);
}

/* "-k", "-kn", "-ieth0" or "-i eth0". */
static int take_letters(struct reader *reader, struct failure *failure)
{
	int ret = 0;

	for (const char *letter = *reader->word + 1; !ret && *letter; letter++) {
		const struct option_row *row = row_of_letter(*letter);

		if (!row)
			return option_misuse(failure, "xguard --help lists the options; a FILTER that "
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

	option_misuse(failure, "", "--%s goes with --userspace-trace only", protocol);
	if (options->filter)
		return fail_next(failure, "make it part of the filter: -k '(%s) and (%s)'", words,
				 options->filter);
	return fail_next(failure, "write it as a filter: -k %s", words);
}

/* The option that stands for what is done: one of KERNEL, USERSPACE, STATUS, DETACH, PROBE. */
static const struct option_row *row_of_bit(unsigned int bit)
{
	const struct option_row *row = option_rows;

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
		return option_misuse(failure, (row->only | what) <= (KERNEL | USERSPACE) ?
				     "leave it out, or choose the other trace" : "leave it out",
				     "%s goes with %s only", option_text(name, row),
				     option_text(other, row_of_bit(row->only)));
	return option_misuse(failure, "leave it out", "%s does not go with %s",
			     option_text(name, row), option_text(other, row_of_bit(what)));
}

/* The live view has the terminal for itself: was an option given that wants something else? */
static int top_excludes(unsigned long long given, struct failure *failure)
{
	const struct option_row *row = option_rows;

	for (size_t i = 0; i < option_count; i++, row++)
		if (given >> i & 1 && (row->field == offsetof(struct options, format) ||
				       row->field == offsetof(struct options, output)))
			return option_misuse(failure, "choose one of them",
					     "--top and --%s exclude each other", row->name);
	return 0;
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
	for (size_t i = 0; i < option_count && what; i++)
		if (given >> i & 1 &&
		    !((option_rows[i].only ? option_rows[i].only : KERNEL | USERSPACE) & what))
			return misplaced(&option_rows[i], what, failure);
	if (options->format == FORMAT_METRICS && what && what != USERSPACE)
		return option_misuse(failure, "write text, json or csv", "--format metrics goes with "
				     "--userspace-trace only");
	if (options->filter && what > USERSPACE)
		return option_misuse(failure, "leave it out", "FILTER '%s' goes with a trace only",
				     options->filter);
	if (options->top && top_excludes(given, failure))
		return -EINVAL;
	if (options->action != ACTION_TRACE)
		return 0;
	if (!options->ninterfaces && !options->all)
		return option_misuse(failure, "add --interface IFACE, such as -i eth0",
				     "no interface given");
	if (!options->trace)
		return option_misuse(failure, "add --kernel-trace (-k: a line for every frame) or "
			      "--userspace-trace (-u: a line for every flow)", "no trace given");
	return 0;
}

int options_parse(struct options *options, int argc, char **argv, struct failure *failure)
{
	struct reader reader = {.options = options};
	int ret;

	*options = (struct options){
		.by = FIELDS_DEFAULT, .prefix4 = -1, .prefix6 = -1, .interval = 1000000000,
		.sample = 1, .max_series = 1000,
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
