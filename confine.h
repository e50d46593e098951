/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Give up what is not needed any more: capabilities, new privileges, system calls. */
#ifndef XGUARD_CONFINE_H
#define XGUARD_CONFINE_H

#include <stddef.h>
#include <linux/types.h>

/* What this process may do beside the reading of maps and the writing of what it read. */
enum {
	CONFINE_TERMINAL = 1,  /* ask for and set the terminal's modes and size, and suspend itself */
	CONFINE_SERVE = 2,     /* accept connections on a socket that listens already */
	CONFINE_FILES = 4,     /* open and rename files */
};

/* The capabilities in force, a bit each (1 << CAP_NET_ADMIN); 0 where that cannot be asked. */
__u64 confine_capabilities(void);

/* Make of the permitted capabilities only these effective; it can be undone. Returns 0 or -errno. */
int confine_effective(__u64 capabilities);

/* Keep of the capabilities only these, for good, and gain none by an execve. Returns 0 or -errno. */
int confine_keep(__u64 capabilities);

/*
 * For the reader, once everything is open and attached. It keeps no capability but the one that
 * this kernel still wants for a lookup in map (before Linux 5.19), gains none any more, and a
 * seccomp filter lets through the calls that the loop, the end and needs take; bpf(2) for lookups
 * alone. Any other call fails with EPERM: what the program can do without must not end a trace,
 * and whoever has taken the process over gets no more out of it. A call of a foreign architecture
 * can only be that, and kills. Where something cannot be had, the rest still is; note says what,
 * else it is empty.
 */
void confine(int map, unsigned int needs, char *note, size_t size);

#endif
