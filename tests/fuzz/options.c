// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: command lines, a word a line. Each is taken, or is misuse with a reason and what to
 * write instead.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

static void broken(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static void check(const struct options *options)
{
	if (options->ninterfaces > INTERFACES_MAX || options->prefix4 > 32 || options->prefix6 > 128)
		broken("out of range");
	if (options->action == ACTION_TRACE &&
	    (!(options->ninterfaces || options->all) || !options->trace || !options->interval ||
	     !options->sample))
		broken("a trace of nothing");
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	char *words = malloc(size + 1), *argv[258] = { "xguard" }, *next = words;
	struct failure failure = { .reason = "" };
	struct options options;
	int argc = 1, err;

	memcpy(words, data, size);
	words[size] = '\0';
	while (next && argc < 257) {
		argv[argc++] = next;
		next = strchr(next, '\n');
		if (next)
			*next++ = '\0';
	}
	err = options_parse(&options, argc, argv, &failure);
	if (!err) {
		check(&options);
		options_free(&options);
	} else if (err != -EINVAL || failure.step[0] || !failure.reason[0] || !failure.next[0]) {
		broken("refused without a reason or a next step");
	}
	free(words);
	return 0;
}
