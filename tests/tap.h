/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TAP for the unit tests: ok() a line each, done() prints the plan. */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int tap_run, tap_failed;

__attribute__((format(printf, 2, 3)))
static inline int ok(int good, const char *name, ...)
{
	va_list args;

	printf("%sok %d - ", good ? "" : "not ", ++tap_run);
	va_start(args, name);
	vprintf(name, args);
	va_end(args);
	putchar('\n');
	tap_failed += !good;
	return good;
}

/* ok() with both values shown where they differ. */
static inline int is_text(const char *got, const char *wanted, const char *name)
{
	int good = ok(!strcmp(got, wanted), "%s", name);

	if (!good)
		printf("# got:    %s\n# wanted: %s\n", got, wanted);
	return good;
}

static inline int is_number(long long got, long long wanted, const char *name)
{
	int good = ok(got == wanted, "%s", name);

	if (!good)
		printf("# got:    %lld\n# wanted: %lld\n", got, wanted);
	return good;
}

static inline int done(void)
{
	printf("1..%d\n", tap_run);
	return tap_failed != 0;
}

#endif
