/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the user is told of a run, beside its data: the attach, why nothing comes, the summaries. */
#ifndef XGUARD_TELL_H
#define XGUARD_TELL_H

#include <stddef.h>
#include <linux/types.h>

struct failure;
struct output;
struct report_summary;
struct run;
struct run_link;

/* An attach, or why a link refused (NULL: it did not). */
void tell_attached(const struct run *run, const struct run_link *link,
		   const struct failure *refused);

/* What link i came to so far, by its counters and by the last look at the flows. */
void tell_counts(struct run *run, size_t i, struct report_summary *summary);

/* The summary of link i, or of all links, on standard error, and in out (JSON) unless it is NULL. */
void tell_summary(struct run *run, size_t i, struct output *out);
void tell_summaries(struct run *run, struct output *out);

/* Frames arrived at a link, by its own counter, and none was counted. */
void tell_nothing(const struct run *run, const struct run_link *link, __u64 arrived);

#endif
