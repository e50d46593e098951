/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --probe: a table of what this kernel, these privileges and these links allow. */
#ifndef XGUARD_PROBE_H
#define XGUARD_PROBE_H

struct failure;
struct guardian;
struct link_info;
struct output;
struct run;

/*
 * Try out what a run would need, on the links that run's options name, and write what came of it to
 * run's output; of every no, what it means and what to do. Returns 0 where both traces can run, 1
 * where one cannot, or -errno with failure filled in.
 */
int probe(struct run *run, struct failure *failure);

/* A row: what was looked at, "yes", "no" or a value, what that means; then, unless NULL or empty, a
 * line with what to do. */
void probe_row(struct output *out, const char *name, const char *answer, const char *meaning,
	       const char *next);

/* A row about what failed. */
void probe_failure(struct output *out, const char *name, const struct failure *failure);

/*
 * The rows of one link. program: a descriptor to try with, where nothing is disturbed by it, or -1.
 * Returns 0, or 1 where no trace can run on it.
 */
int probe_link(struct output *out, struct guardian *guardian, const struct link_info *link,
	       int program);

#endif
