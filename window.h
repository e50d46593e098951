/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --start and --stop: when to trace, by a clock that may be set meanwhile. */
#ifndef XGUARD_WINDOW_H
#define XGUARD_WINDOW_H

#include "moment.h"

struct failure;
struct options;

struct window {
	const struct moment *start, *stop; /* of the options; word NULL: none */
	struct zone zone;
	__s64 start_at, stop_at;  /* CLOCK_REALTIME in nanoseconds; 0: none */
	int said;                 /* the user knows what is waited for */
	__s64 ahead;              /* CLOCK_REALTIME less CLOCK_MONOTONIC, when last looked at */
};

/*
 * Find out when that is; says so where local time was meant and there is no zone. Returns 0, or -EINVAL
 * for misuse: a stop that is past, or not after the start.
 */
int window_open(struct window *window, const struct options *options, struct failure *failure);

/* Nanoseconds to the start, as the clock is set now: ask again within a second. Says, once and whenever
 * the clock was set, what is waited for. */
__s64 window_left(struct window *window);

/* CLOCK_MONOTONIC time of the stop, as the clock is set now, in nanoseconds; UINT64_MAX: none. */
__u64 window_end(struct window *window);

#endif
