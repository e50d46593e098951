/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of options, which the parser, the usage and the completion are made of. */
#ifndef XGUARD_OPTIONS_ROWS_H
#define XGUARD_OPTIONS_ROWS_H

#include <stddef.h>

#include "options.h"

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

extern const struct option_row option_rows[];
extern const size_t option_count;

/* Misuse, and what to write instead. Returns -EINVAL. */
int option_misuse(struct failure *failure, const char *next, const char *reason, ...)
	__attribute__((format(printf, 3, 4)));

/* "--name", or "-x" where there is only the letter. Returns text, which is ROW_LEN bytes. */
#define ROW_LEN 24
const char *option_text(char *text, const struct option_row *row);

#endif
