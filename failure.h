/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What went wrong, told by the file that saw it and printed once, by xguard.c:
 *
 *	xguard: STEP: REASON
 *	xguard: NEXT
 */
#ifndef XGUARD_FAILURE_H
#define XGUARD_FAILURE_H

struct failure {
	int err;            /* errno, positive; 0 where no system call failed */
	char step[128];     /* what was tried, and on what: "attach to eth0", "FILE: symbol table" */
	char reason[1024];  /* why, in words; the verifier's last lines for a refused program */
	char next[512];     /* what the user should do; empty: hints.c may know more by err */
};

/*
 * Fill in step (printf-like) and the reason for errno value err (strerror, with texts for
 * ENOTSUPP 524 and the like that libc has none for); next becomes empty. Returns -err, or -1 where
 * err is 0. The caller may overwrite reason and next afterwards.
 */
int fail(struct failure *failure, int err, const char *step, ...)
	__attribute__((format(printf, 3, 4)));

/* Replace the reason or the next step of a failure, printf-like. Returns what fail() returned. */
int fail_reason(struct failure *failure, const char *reason, ...)
	__attribute__((format(printf, 2, 3)));
int fail_next(struct failure *failure, const char *next, ...)
	__attribute__((format(printf, 2, 3)));

#endif
