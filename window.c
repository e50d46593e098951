// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bpf_load.h"
#include "failure.h"
#include "options.h"
#include "say.h"
#include "window.h"

#define SECOND   1000000000ll
#define JUMP     (SECOND / 2)        /* a clock that is only kept right moves less within a second */
#define PASSED   (12 * 3600 * SECOND) /* a time of day that a jump passed over is not waited for again */

static __s64 now_by(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

/* Returns 0 where there is such a file. */
static int read_zone(struct zone *zone, const char *folder, const char *name)
{
	struct failure unused;
	char path[256];

	snprintf(path, sizeof(path), "%s%s", folder, name);
	zone->file = bpf_load_file(path, &zone->len, &unused);
	return zone->file && zone_is_valid(zone) ? 0 : -1;
}

/* As tzset(3) does: TZ is a file's name or a rule; without it, /etc/localtime. */
static void find_zone(struct window *window)
{
	const char *name = getenv("TZ");

	if (!name) {
		if (!read_zone(&window->zone, "/etc/", "localtime"))
			return;
	} else {
		name += *name == ':';
		if (!*name || !read_zone(&window->zone, *name == '/' ? "" : "/usr/share/zoneinfo/",
					 name))
			return;
		window->zone = (struct zone){ .rule = name };
		if (zone_is_valid(&window->zone))
			return;
	}
	window->zone = (struct zone){ .len = 0 };
	say("there is no time zone%s%s here: times are UTC", name ? " " : "", name ? name : "");
}

static int is_local(const struct moment *moment)
{
	return moment->word && !moment->zoned;
}

int window_open(struct window *window, const struct options *options, struct failure *failure)
{
	char text[MOMENT_LEN], start[MOMENT_LEN];
	__s64 now = now_by(CLOCK_REALTIME), from = now;

	*window = (struct window){ .start = &options->start, .stop = &options->stop };
	window->ahead = now - now_by(CLOCK_MONOTONIC);
	if (is_local(window->start) || is_local(window->stop))
		find_zone(window);
	if (window->start->word)
		window->start_at = moment_resolve(window->start, &window->zone, now);
	if (window->stop->word)
		window->stop_at = moment_resolve(window->stop, &window->zone, now);
	if (from < window->start_at)
		from = window->start_at;
	if (!window->stop->word || window->stop_at > from)
		return 0;
	fail(failure, EINVAL, "--stop %s", window->stop->word);
	fail_reason(failure, "%s is not after the start, %s",
		    moment_text(text, &window->zone, window->stop_at),
		    moment_text(start, &window->zone, from));
	return fail_next(failure, "write the date, too: 2026-11-23T22:00");
}

static void resolve_again(const struct window *window, const struct moment *moment, __s64 now,
			  __s64 *at)
{
	if (moment->word && !moment->dated && (*at > now || *at <= now - PASSED))
		*at = moment_resolve(moment, &window->zone, now);
}

/* Has the clock been set? Then a time of day may be another day's. Returns the time by it. */
static __s64 look(struct window *window, int *set)
{
	__s64 now = now_by(CLOCK_REALTIME), ahead = now - now_by(CLOCK_MONOTONIC);

	*set = ahead - window->ahead > JUMP || window->ahead - ahead > JUMP;
	window->ahead = ahead;
	if (*set) {
		resolve_again(window, window->start, now, &window->start_at);
		resolve_again(window, window->stop, now, &window->stop_at);
	}
	return now;
}

__s64 window_left(struct window *window)
{
	char start[MOMENT_LEN];
	__s64 left;
	int set;

	left = window->start_at - look(window, &set);
	if (left > 0 && (set || !window->said))
		say("%swaiting until %s; press Ctrl+C to stop", set ? "the clock was set; " : "",
		    moment_text(start, &window->zone, window->start_at));
	window->said = 1;
	return left;
}

__u64 window_end(struct window *window)
{
	int set;

	if (!window->stop_at)
		return UINT64_MAX;
	look(window, &set);
	return window->stop_at > window->ahead ? window->stop_at - window->ahead : 0;
}
