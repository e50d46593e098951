// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "run.h"
#include "say.h"

#define SECOND 1000000000ull

static int shown; /* columns of the line that stands there now */

int progress_is_wanted(const struct run *run)
{
	return isatty(STDERR_FILENO) &&
	       (run->metrics.path || lseek(run->output.fd, 0, SEEK_CUR) >= 0);
}

/* text over what stands there, and the cursor where end takes it. */
static void put(const char *text, const char *end)
{
	char line[128];

	if (write(STDERR_FILENO, line, snprintf(line, sizeof(line), "\r%-*s%s", shown, text, end)) < 0)
		return; /* as in say() */
}

void progress_end(void)
{
	if (shown)
		put("", "\r");
	shown = 0;
}

static int make_room(const char *line, size_t len)
{
	(void)line, (void)len;
	progress_end();
	return 0;
}

void progress_show(struct run *run, __u64 count)
{
	__u64 now = run_now();
	char text[100];

	snprintf(text, sizeof(text), "%llu of %llu s, %llu %s, %llu/s",
		 (now - run->attached_at) / SECOND, (run->end - run->attached_at) / SECOND, count,
		 run->options.trace == TRACE_KERNEL ? "lines" : "packets", count - run->progress.count);
	put(text, "");
	shown = strlen(text);
	say_elsewhere = make_room;
	run->progress.next = now + SECOND;
	run->progress.count = count;
}
