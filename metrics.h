/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was counted so far as Prometheus text (0.0.4), and a file that is replaced by it. */
#ifndef XGUARD_METRICS_H
#define XGUARD_METRICS_H

#include <sys/types.h>

#include "failure.h"
#include "output.h"

struct run;

/*
 * The last snapshot. The first options.max_series flows to be seen have a series of their own, for the
 * run; the others of a link are added to one series of that link whose labels are `other`. A link that
 * goes and comes again by the same name has its series back.
 */
void metrics_write(const struct run *run, struct output *out);

/* A file that always holds a whole snapshot. All zero: not open. */
struct metrics_file {
	const char *path, *name;  /* name: in its folder */
	char temporary[280];      /* the other name, there too */
	int folder;               /* descriptor of it, opened with all privileges */
	uid_t owner;              /* of the folder */
	mode_t mode;
	int broken;               /* 1: replacing it has failed once */
};

/*
 * Find the folder of path, and whether the file can be replaced without any capability, as it must be
 * later: it holds no links and flows then. Returns 0, or -errno with failure filled in.
 */
int metrics_open(struct metrics_file *file, const char *path, const struct run *run,
		 struct failure *failure);

/*
 * Replace the file: whoever reads it sees the old snapshot or the new one. Not on the disk for sure
 * when this returns. Returns 0 or -errno with failure filled in; 0 where it has failed before.
 */
int metrics_replace(struct metrics_file *file, const struct run *run, struct failure *failure);

#endif
