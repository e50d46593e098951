/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is attached to the links, and its removal: --status and --detach. */
#ifndef XGUARD_STATUS_H
#define XGUARD_STATUS_H

struct failure;
struct options;
struct output;
struct report;

/*
 * Show the XDP programs of the links that options name, or of all links: as a table, or as report
 * has it. Returns 0, or -errno with failure filled in.
 */
int status_show(const struct options *options, const struct report *report, struct output *out,
		struct failure *failure);

/*
 * Take what killed xguards left off these links, and with options->force everything; then remove
 * their tracing instances. out is told what was done, the standard error what could not be. Returns
 * how many programs of xguard's remain, or -errno with failure filled in.
 */
int status_detach(const struct options *options, struct output *out, struct failure *failure);

#endif
