/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far a run with an end is: one line on a terminal, while the data goes to a file. */
#ifndef XGUARD_PROGRESS_H
#define XGUARD_PROGRESS_H

#include <linux/types.h>

struct run;

struct progress {
	int wanted;
	__u64 next;   /* when to show it again, */
	__u64 count;  /* and what was shown last */
};

/* Is it wanted: does the standard error go to a terminal and the data to a file? */
int progress_is_wanted(const struct run *run);

/* Show it, and when to do so again: so many frames, or lines, until now. */
void progress_show(struct run *run, __u64 count);

/* Wipe it off. A message that comes does that as well. */
void progress_end(void);

#endif
