/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The maps to one table of flows: totals, and what grew since the last look. */
#ifndef XGUARD_FLOWS_H
#define XGUARD_FLOWS_H

#include <stddef.h>
#include <linux/types.h>

#include "packet.h"

struct bpf_maps;
struct failure;

struct flow {
	struct flow_key key;          /* generation 0 */
	struct flow_count total;      /* since the start; never goes down */
	struct flow_count seen;       /* in the snapshot under way; else 0 */
	__u32 growth;                 /* 0: none since flows_publish(), else packets + 1 */
	__u32 next;                   /* of its hash bucket */
};

_Static_assert(sizeof(struct flow) == 88, "a million of them and all that belongs to them: 100 MB");

struct flows {
	struct flow *flow;            /* n flows in the order of their first sight */
	size_t n;
	size_t room;                  /* reserved address space, in flows */
	__u32 *buckets;
	size_t nbuckets;              /* a power of two */
	__u64 seed;
	struct flow_count total;      /* sum over all flows */
	int final;                    /* nobody counts any more: what is seen now is true */
	struct flow **list;           /* of flows_publish() */
	size_t list_room;
};

/* Get ready for as many flows as the maps can ever hold. Memory is touched as flows come.
 * Returns 0, or -errno with failure filled in. */
int flows_open(struct flows *flows, const struct bpf_maps *maps, struct failure *failure);
void flows_close(struct flows *flows);

/*
 * Read the second level, then the caches, and bring every flow's total up to date. At most what
 * was sent is ever seen, and a total never goes down; a frame whose flow is just on its way from a
 * cache to the second level shows up one snapshot later. Returns 0, or -errno with failure filled in.
 */
int flows_snapshot(struct flows *flows, const struct bpf_maps *maps, struct failure *failure);

/*
 * The flows that grew since they were last published, by growth, then by key in the order of
 * output; they count as published from now on. *list points to an array of n pointers, valid until
 * the next call. Returns n, or -ENOMEM.
 */
long flows_publish(struct flows *flows, struct flow ***list);

/* The flow with this key, or NULL. */
struct flow *flows_find(const struct flows *flows, const struct flow_key *key);

/* Order of two keys: interface, then the fields in the order of output. For qsort(3). */
int flow_key_compare(const struct flow_key *a, const struct flow_key *b);

#endif
