/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moments as people write them, and the time zones that they mean. No system call. */
#ifndef XGUARD_MOMENT_H
#define XGUARD_MOMENT_H

#include <stddef.h>
#include <linux/types.h>

/* "22:00", "22:00:30", "2026-11-23T22:00:00+01:00" and the like, to the second. */
struct moment {
	const char *word;     /* as given; NULL: no moment */
	int dated;            /* 0: a time of day */
	int zoned;            /* 1: offset, in seconds east of UTC, was given; 0: local time */
	int offset;
	__s64 seconds;        /* on that clock, of the day or since 1970 */
};

/* Returns 0, or -1: not a moment. */
int moment_parse(struct moment *moment, const char *word);

/* A time zone: a TZif file's bytes (RFC 9636), else a rule as in TZ (POSIX), else UTC. */
struct zone {
	const unsigned char *file; /* with a NUL behind it */
	size_t len;           /* 0: there is no file */
	const char *rule;     /* may end with a newline; NULL: there is none */
};

/* Seconds east of UTC at a time. */
int zone_offset(const struct zone *zone, __s64 utc);

/* 1: the file, or the rule, is one. What is broken is UTC. */
int zone_is_valid(const struct zone *zone);

/*
 * When the moment is, in nanoseconds since 1970 UTC. A time of day is the next such one from the second
 * of now (nanoseconds) on. What a clock set forward passes over is as long after what was before; of
 * what there is twice the first that is not past counts.
 */
__s64 moment_resolve(const struct moment *moment, const struct zone *zone, __s64 now);

/* "2026-11-23T22:00:00+01:00"; "Z" for UTC. Returns text. */
#define MOMENT_LEN 64
const char *moment_text(char text[MOMENT_LEN], const struct zone *zone, __s64 nanoseconds);

#endif
