/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose program is it: what bpf(2) and /proc/PID/fdinfo say about an attached program. */
#ifndef XGUARD_HOLDER_H
#define XGUARD_HOLDER_H

#include <sys/types.h>
#include <linux/types.h>

struct holder {
	char program[16];   /* the program's name, or empty: none, or not allowed to ask */
	char tag[17];       /* hexadecimal, or empty */
	__u64 load_time;    /* CLOCK_BOOTTIME nanoseconds; 0: not known */
	pid_t pid;          /* a process that has a descriptor of it; 0: none that can be seen */
	char comm[16];      /* its name; control characters are shown as '?' */
};

/*
 * What can be known about program id. Every /proc/PID/fdinfo that may be read is read: only for
 * messages. with_process 0 leaves that out.
 */
void holder_of(__u32 id, int with_process, struct holder *holder);

/* "program 56 (cil_xdp_entry, tag 3b185187f1855c4c, held by cilium-agent, process 123)". */
void holder_text(__u32 id, const struct holder *holder, char *text, size_t size);

/* The parent of a process, or 0 where /proc does not tell. */
pid_t holder_parent(pid_t pid);

#endif
