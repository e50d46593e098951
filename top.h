/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The live view: what arrives now, at a glance, on a terminal. It needs to be told of every
 * snapshot, and of every key; all else it finds in the flows.
 */
#ifndef XGUARD_TOP_H
#define XGUARD_TOP_H

#include <stddef.h>
#include <linux/types.h>

#include "flows.h"
#include "screen.h"

struct failure;
struct report;

#define TOP_ROWS_MAX  256
#define TOP_SPLIT_MAX 32
#define TOP_HISTORY   60   /* seconds */

enum top_order { TOP_BITS, TOP_PACKETS, TOP_TOTAL, TOP_ADDRESS, TOP_ORDERS };

/* One protocol's share, or one Ethernet type's. */
struct top_part {
	__u32 id;                         /* a protocol, 0x10000 | Ethernet type, or 0x20000 */
	struct flow_count growth, total;
};

struct top {
	struct screen screen;             /* terminal NULL: there is no live view */
	const struct report *report;
	const struct flows *flows;
	struct flow_count *last;          /* of each flow, by its number: total at the last look, */
	struct flow_count *growth;        /* and what came since the one before; reserved space */
	size_t n, room;                   /* flows that these two are of; room for so many */
	struct flow_count total;          /* of the last look, unattributed frames included */
	struct flow_count grown;          /* since the one before */
	__u64 unattributed;               /* packets */
	__u64 began, looked, span;        /* ns: the start, the last look, the time up to it */
	struct flow_count history[TOP_HISTORY]; /* rates a second, by second of the run */
	struct flow_count sampled;        /* total at the last entry, */
	__u64 sampled_at;                 /* which was then */
	struct top_part parts[TOP_SPLIT_MAX];
	size_t nparts;
	__u32 shown[TOP_ROWS_MAX];        /* numbers of the flows that are to be seen, in order */
	int nshown;
	int wide[2];                      /* columns that the longest source and destination want */
	enum top_order order;
	int bytes;                        /* rates in bytes, not bits */
	int paused, help, quit;
	int dirty;                        /* to be drawn */
	char title[128];                  /* links and their modes */
	char held[4096];                  /* messages for the end, each with its newline */
	size_t nheld;
	char note[256];                   /* the last one, */
	__u64 noted;                      /* and when it came */
};

/*
 * Get ready to show flows, which are those of the run. Returns 0, or -errno with failure filled in
 * and nothing held.
 */
int top_open(struct top *top, const struct report *report, const struct flows *flows,
	     struct failure *failure);
void top_close(struct top *top);

/*
 * Take the terminal at time now; the first time, that is the start. While it is taken, what say()
 * says is shown on the screen, and is kept where standard error is the terminal. Returns 0 or
 * -errno.
 */
int top_enter(struct top *top, __u64 now);

/* Give it back, and say what was kept. Does nothing where it is not taken. */
void top_leave(struct top *top);

/* A snapshot was taken of flows at time now, and so many frames could not be attributed so far. */
void top_look(struct top *top, const struct flow_count *unattributed, __u64 now);

/* Keys can be read from screen.keys. */
void top_keys(struct top *top);

/* The terminal has another size. */
void top_resize(struct top *top);

/* Draw, where it is dirty. */
void top_draw(struct top *top, __u64 now);

/* Part of it, in top_draw.c: fill the screen's cells. */
void top_paint(struct top *top, __u64 now);

/* What flows are ordered and shared by: of what grew, or of all. */
__u64 top_measure(const struct top *top, const struct flow_count *growth,
		  const struct flow_count *total);

/* What part a flow belongs to. */
__u32 top_part_id(const struct flow_key *key);

/* part * times / whole, whatever their size; 0 where whole is 0. */
__u64 top_ratio(__u64 part, __u64 whole, __u64 times);

#endif
