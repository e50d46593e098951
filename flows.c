// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "bpf.h"
#include "bpf_load.h"
#include "failure.h"
#include "flows.h"

#define NONE  UINT32_MAX /* no flow: the end of a bucket's chain */
#define BATCH 1024       /* elements of the second level that are read at a time */

/* Address space only: pages are taken when they are first written. */
static void *reserve(size_t n, size_t size)
{
	void *memory;

	if (__builtin_mul_overflow(n, size, &size))
		return NULL;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		      -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

int flows_open(struct flows *flows, const struct bpf_maps *maps, struct failure *failure)
{
	memset(flows, 0, sizeof(*flows));
	flows->room = maps->max_flows + ((size_t)maps->cpus << maps->slot_bits);
	flows->nbuckets = 1024;
	if (getrandom(&flows->seed, sizeof(flows->seed), GRND_NONBLOCK) < 0)
		flows->seed = (uintptr_t)flows;
	flows->flow = reserve(flows->room, sizeof(*flows->flow));
	flows->buckets = malloc(flows->nbuckets * sizeof(*flows->buckets));
	if (!flows->flow || !flows->buckets) {
		fail(failure, ENOMEM, "make room for %zu flows", flows->room);
		flows_close(flows);
		return fail_next(failure, "try a smaller --max-flows");
	}
	memset(flows->buckets, 0xff, flows->nbuckets * sizeof(*flows->buckets));
	return 0;
}

void flows_close(struct flows *flows)
{
	if (flows->flow)
		munmap(flows->flow, flows->room * sizeof(*flows->flow));
	free(flows->buckets);
	free(flows->list);
	memset(flows, 0, sizeof(*flows));
}

static __u32 *bucket_of(const struct flows *flows, const struct flow_key *key)
{
	__u64 words[6], hash = flows->seed;

	memcpy(words, key, sizeof(words));
	for (int i = 0; i < 6; i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15;
		hash ^= hash >> 32;
	}
	return &flows->buckets[hash & (flows->nbuckets - 1)];
}

/* Twice the buckets; where memory is short the chains become longer instead. */
static void grow(struct flows *flows)
{
	size_t n = flows->nbuckets * 2;
	__u32 *buckets = malloc(n * sizeof(*buckets));

	if (!buckets)
		return;
	free(flows->buckets);
	flows->buckets = buckets;
	flows->nbuckets = n;
	memset(buckets, 0xff, n * sizeof(*buckets));
	for (size_t i = 0; i < flows->n; i++) {
		__u32 *bucket = bucket_of(flows, &flows->flow[i].key);

		flows->flow[i].next = *bucket;
		*bucket = i;
	}
}

struct flow *flows_find(const struct flows *flows, const struct flow_key *key)
{
	for (__u32 i = *bucket_of(flows, key); i != NONE; i = flows->flow[i].next)
		if (!memcmp(&flows->flow[i].key, key, sizeof(*key)))
			return &flows->flow[i];
	return NULL;
}

/* The flow with this key, made if it is new; NULL where there is no room, which cannot be: the
 * maps hold no more. */
static struct flow *find(struct flows *flows, const struct flow_key *key)
{
	struct flow *flow = flows_find(flows, key);
	__u32 *bucket;

	if (flow || flows->n == flows->room)
		return flow;
	bucket = bucket_of(flows, key);
	flow = &flows->flow[flows->n];
	flow->key = *key;
	flow->next = *bucket;
	*bucket = flows->n++;
	if (flows->n > flows->nbuckets * 2)
		grow(flows);
	return flow;
}

/* Add to what was seen of a flow this time: several CPUs' slots and elements may have it. */
static void see(struct flows *flows, struct flow_key *key, const struct flow_count *count)
{
	struct flow *flow;

	key->generation = 0;
	flow = find(flows, key);
	if (!flow)
		return;
	flow->seen.packets += count->packets;
	flow->seen.bytes += count->bytes;
}

/* Kernels before 5.6 have no batches: one key after the other. */
static int read_one_by_one(struct flows *flows, int map)
{
	struct flow_count count;
	struct flow_key at, key, *previous = NULL;
	int err;

	while (!(err = bpf_map_next_key(map, previous, &at))) {
		key = at;
		if (!bpf_map_lookup(map, &key, &count))
			see(flows, &key, &count);
		previous = &at;
	}
	return err == -ENOENT ? 0 : err;
}

/* The second level. */
static int read_shared(struct flows *flows, const struct bpf_maps *maps)
{
	__u32 batch = BATCH, n, position[12]; /* a key: see bpf_map_lookup_batch() */
	void *from = NULL;
	struct flow_count *counts = NULL, *more_counts;
	struct flow_key *keys = NULL, *more_keys;
	int err;

	for (;;) {
		more_keys = realloc(keys, batch * sizeof(*keys));
		keys = more_keys ? more_keys : keys;
		more_counts = realloc(counts, batch * sizeof(*counts));
		counts = more_counts ? more_counts : counts;
		err = -ENOMEM;
		if (!more_keys || !more_counts)
			break;
		n = batch;
		err = bpf_map_lookup_batch(maps->flows, from, position, keys, counts, &n);
		if (err == -ENOSPC && batch < maps->max_flows) {
			batch *= 2; /* a bucket holds more than a batch */
			continue;
		}
		if (err && err != -ENOENT)
			break;
		for (__u32 i = 0; i < n; i++)
			see(flows, &keys[i], &counts[i]);
		if (err == -ENOENT)
			break;
		from = position;
	}
	free(keys);
	free(counts);
	if (err == -EINVAL && !from)
		return read_one_by_one(flows, maps->flows);
	return err == -ENOENT ? 0 : err;
}

/*
 * Take a slot while its CPU may be writing: the counts are good if the generation was even before
 * them and is the same afterwards. x86 keeps the order of the program's stores; other machines
 * have the final read, when nobody writes.
 */
static int read_slot(const volatile struct flow_slot *slot, struct flow_key *key,
		     struct flow_count *count)
{
	__u64 words[6];
	__u16 generation;

	for (int tries = 0; tries < 8; tries++) {
		generation = slot->key.generation;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		count->packets = read_counter(&slot->count.packets);
		count->bytes = read_counter(&slot->count.bytes);
		for (int i = 0; i < 6; i++)
			words[i] = ((const volatile __u64 *)&slot->key)[i];
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(generation & 1) && generation == slot->key.generation) {
			memcpy(key, words, sizeof(*key));
			key->generation = 0;
			return count->packets != 0;
		}
	}
	return 0;
}

static void read_caches(struct flows *flows, const struct bpf_maps *maps)
{
	size_t n = (size_t)maps->cpus << maps->slot_bits;
	struct flow_count count;
	struct flow_key key;

	for (size_t i = 0; i < n; i++)
		if (maps->slots[i].count.packets && read_slot(&maps->slots[i], &key, &count))
			see(flows, &key, &count);
}

/*
 * What was seen of a flow becomes its total, unless some of it was on its way between the levels. At
 * the end it does so without conditions: where machines do not keep the order of stores, a look
 * before may have seen too much.
 */
static void settle(struct flow *flow, int final)
{
	__u64 growth = flow->growth;

	if (final && flow->seen.packets < flow->total.packets) {
		flow->total = flow->seen;
		growth = growth ? growth : 1;
	}
	if (flow->seen.packets > flow->total.packets || flow->seen.bytes > flow->total.bytes)
		growth = growth ? growth : 1;
	if (flow->seen.packets > flow->total.packets) {
		growth += flow->seen.packets - flow->total.packets;
		flow->total.packets = flow->seen.packets;
	}
	if (flow->seen.bytes > flow->total.bytes)
		flow->total.bytes = flow->seen.bytes;
	flow->growth = growth < UINT32_MAX ? growth : UINT32_MAX;
	flow->seen = (struct flow_count){ 0 };
}

int flows_snapshot(struct flows *flows, const struct bpf_maps *maps, struct failure *failure)
{
	int err = read_shared(flows, maps);

	if (!err)
		read_caches(flows, maps);
	flows->total = (struct flow_count){ 0 };
	for (struct flow *flow = flows->flow; flow < flows->flow + flows->n; flow++) {
		settle(flow, flows->final && !err);
		flows->total.packets += flow->total.packets;
		flows->total.bytes += flow->total.bytes;
	}
	return err ? fail(failure, -err, "read the flow table") : 0;
}

/* -1, 0 or 1 */
#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

int flow_key_compare(const struct flow_key *a, const struct flow_key *b)
{
	int order = ORDER(a->ifindex, b->ifindex);

	order = order ? order : memcmp(&a->eth_type, &b->eth_type, sizeof(a->eth_type));
	order = order ? order : ORDER(a->vlan, b->vlan);
	order = order ? order : memcmp(a->src_ip, b->src_ip, sizeof(a->src_ip));
	order = order ? order : memcmp(&a->src_port, &b->src_port, sizeof(a->src_port));
	order = order ? order : memcmp(a->dst_ip, b->dst_ip, sizeof(a->dst_ip));
	order = order ? order : memcmp(&a->dst_port, &b->dst_port, sizeof(a->dst_port));
	order = order ? order : ORDER(a->protocol, b->protocol);
	return order ? order : ORDER(a->present, b->present);
}

static int by_growth(const void *left, const void *right)
{
	const struct flow *a = *(struct flow *const *)left, *b = *(struct flow *const *)right;
	int order = ORDER(b->growth, a->growth);

	return order ? order : flow_key_compare(&a->key, &b->key);
}

long flows_publish(struct flows *flows, struct flow ***list)
{
	struct flow *flow;
	size_t n = 0;

	for (size_t i = 0; i < flows->n; i++)
		n += flows->flow[i].growth != 0;
	if (n > flows->list_room) {
		free(flows->list);
		flows->list_room = n;
		flows->list = malloc(flows->list_room * sizeof(*flows->list));
		if (!flows->list) {
			flows->list_room = 0;
			return -ENOMEM;
		}
	}
	n = 0;
	for (size_t i = 0; i < flows->n; i++) {
		flow = &flows->flow[i];
		if (flow->growth)
			flows->list[n++] = flow;
	}
	if (n)
		qsort(flows->list, n, sizeof(*flows->list), by_growth);
	for (size_t i = 0; i < n; i++)
		flows->list[i]->growth = 0;
	*list = flows->list;
	return n;
}
