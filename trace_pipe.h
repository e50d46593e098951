/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What bpf_trace_printk printed: a tracing instance of our own, and its lines, parsed. */
#ifndef XGUARD_TRACE_PIPE_H
#define XGUARD_TRACE_PIPE_H

#include <stddef.h>
#include <linux/types.h>

#include "packet.h"

struct failure;

struct trace_pipe {
	int pipe;             /* trace_pipe, non-blocking: poll it; -1: not held */
	int tracefs;          /* between find and open; else -1 */
	int instances;        /* directory descriptor of tracefs' instances, or -1 */
	char instance[32];    /* "xguard-PID", or empty: the global trace_pipe is read */
	char marker[TRACE_MARKER_LEN + 1];
	int any_clock;        /* set before the open, 1: any trace clock will do, 30 ms sooner */
	int monotonic;        /* 1: time stamps are CLOCK_MONOTONIC; 0: the trace clock "local" */
	size_t held;          /* bytes of buffer that are not yet a whole record */
	char buffer[16384];
};

/* One line of the program. Pointers are into the reader's buffer, valid during the call. */
struct trace_line {
	const char *prefix;     /* the line as trace_pipe has it, up to our marker: */
	size_t prefix_len;      /* "    sshd-1594    [000] ..s2.  2042.099473: bpf_trace_printk: " */
	const char *task;       /* its parts; the task's name may hold any byte but NUL */
	size_t task_len;
	const char *flags;
	size_t flags_len;
	int pid;                /* -1 where the kernel has it not ("<...>" still has one) */
	int cpu;
	__u64 nanoseconds;      /* the time stamp */
	struct flow_key key;    /* ifindex, eth_type, protocol, present, src_ip; the rest zero */
};

/*
 * Parse one record, without its newline, that holds the marker. Returns 0, or -EINVAL for what is
 * no line of ours. No system call: the fuzzer links this alone.
 */
int trace_line_parse(const char *record, size_t len, const char *marker, struct trace_line *line);

/*
 * Get tracefs on a detached mount (fsopen, Linux 5.2; else where it is mounted), sweep instances of
 * dead xguards, and choose the name of an instance that does not exist, xguard-PID; empty where the
 * kernel cannot have one. Who must remove it learns the name before it is made. Of *trace, any_clock
 * alone is read. Returns 0, or -errno with failure filled in and nothing held.
 */
int trace_pipe_find(struct trace_pipe *trace, struct failure *failure);

/*
 * Make the instance with its buffer, clock and in-kernel filter on marker, enable the event in it, and
 * open its trace_pipe. Where no instance can be had, the global trace_pipe is opened, instance is empty
 * and note says why; else note is empty. Returns 0, or -errno with failure filled in and nothing held.
 */
int trace_pipe_open(struct trace_pipe *trace, const char *marker, char note[256],
		    struct failure *failure);

/*
 * Read what there is and call each(line, context) for every line of ours, until nothing is left or
 * each returns other than 0 (the rest stays for the next call). *lost grows by what the kernel's
 * "LOST n EVENTS" lines say, a live hint only. Returns the number of lines, or -errno; with each's
 * result other than 0, that is returned. In a flood something is always left: then each ends it.
 *
 * A poll that waits makes the next line wake us, which costs the CPU that receives frames more than
 * the line: after a read that found lines, let a millisecond pass before the pipe is polled again.
 */
int trace_pipe_read(struct trace_pipe *trace,
		    int (*each)(const struct trace_line *line, void *context), void *context,
		    __u64 *lost);

/* Remove the tracing instances of dead xguards. Returns how many there were, or -errno with failure
 * filled in. */
int trace_pipe_sweep(struct failure *failure);

/* Close trace_pipe and remove the instance. */
void trace_pipe_close(struct trace_pipe *trace);

#endif
