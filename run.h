/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Everything that one run holds, from the first look at its links to the last detach. */
#ifndef XGUARD_RUN_H
#define XGUARD_RUN_H

#include <signal.h>
#include <stddef.h>
#include <linux/types.h>

#include "bpf_load.h"
#include "flows.h"
#include "guardian.h"
#include "metrics.h"
#include "netlink.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "report.h"
#include "serve.h"
#include "top.h"
#include "trace_pipe.h"
#include "window.h"

#define LINKS_MAX 256 /* with -i all */

/* One link that is traced, and the place of its row of counters; no more used where ifindex is 0. */
struct run_link {
	struct link_info info;
	int program;              /* descriptor of its program; -1: not held */
	int attached;
	unsigned int ssh_port;    /* of the user's own SSH connection, if that comes over it; else 0 */
	int explained;            /* 1: frames were counted, or why not was said */
	int spared;               /* 1: generic mode was taken for that connection's sake */
	__u64 since, until;       /* CLOCK_MONOTONIC nanoseconds of the attach and of its end; 0: not yet */
	__u64 lines;              /* kernel trace: written, */
	__u64 lines_read;         /* and read from the pipe */
	struct link_count base;   /* what the row held at the attach */
	const struct link_count *end; /* what it came to, where another link has the row now */
	struct attach_result how;
};

struct run {
	struct options options;
	struct output output;
	struct report report;
	struct progress progress; /* of a run that ends by time */
	struct window window;     /* of --start and --stop */
	struct metrics_file metrics; /* of --format metrics --output */
	struct serve serve;       /* of --listen */
	struct top top;           /* of --top */
	int pid;                  /* ours */
	struct report_link names[LINKS_MAX];
	struct run_link links[LINKS_MAX];
	size_t nlinks;
	void *object;             /* of --object; NULL: the built-in one */
	struct bpf_program program;
	struct bpf_maps maps;
	struct flows flows;
	struct trace_pipe trace;
	struct guardian guardian;
	char marker[TRACE_MARKER_LEN + 1]; /* of this run's lines */
	struct config config;     /* what is the same for all links */
	struct guardian_recruiter recruiter; /* with -i all */
	char note[256];           /* of the kernel trace's start */
	__u64 attached_at;        /* CLOCK_MONOTONIC nanoseconds, when the last link was attached */
	__u64 look;               /* when to look whether nothing is counted; UINT64_MAX: never */
	__u64 end;                /* when the loop must end; UINT64_MAX: never */
	__u64 drain_end;          /* kernel trace: when the reading must pause, to look around */
	__u64 ended_at;           /* when the detach was done; 0: not yet */
	__u64 lines;              /* kernel trace: written */
	__u64 lost_seen;          /* kernel trace: by what the trace itself says, over all links */
	__u64 frames;             /* userspace trace: at the last look, over all links */
	int busy;                 /* kernel trace: the last drain found lines */
	int failed;               /* the exit status will be 1 */
};

/* CLOCK_MONOTONIC in nanoseconds. */
__u64 run_now(void);

/* Hold nothing yet. */
void run_begin(struct run *run);

/*
 * Do what can be done without touching a link: look the links up, fork the guardian, make maps and
 * programs, open the trace. Returns 0, or -errno with failure filled in; run_close() is due in both cases.
 */
int run_prepare(struct run *run, struct failure *failure);

/*
 * Do all that comes before the loop: look the links up, make maps and programs, open the trace,
 * fork the guardian, attach. told() is called after each attach; with -i all, where the failure of
 * some is none of the run, also with what refused. Returns 0, or -errno with failure filled in;
 * run_close() is due in both cases.
 */
typedef void run_told(const struct run *run, const struct run_link *link,
		      const struct failure *refused);
int run_open(struct run *run, run_told *told, struct failure *failure);

/*
 * Detach from every link, and wait until no CPU runs our program any more: what the maps hold
 * afterwards is final. Returns 0, or -errno with failure filled in.
 */
int run_detach(struct run *run, struct failure *failure);

/* Release what is held, in the reverse order. */
void run_close(struct run *run);

/* The link with this index, or NULL. */
struct run_link *run_link_of(struct run *run, int ifindex);

/* The guardian has attached to a link that came: give it its place. */
struct run_link *run_enlist(struct run *run, const struct guardian_news *news);

/* Sum of a link's counters over all CPUs. */
void run_link_counts(const struct run *run, size_t link, struct link_count *sum);

#endif
