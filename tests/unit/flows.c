// SPDX-License-Identifier: GPL-2.0-or-later
/* What the maps hold to one table of flows: sums over both levels, nothing twice, nothing backwards. */
#include <errno.h>
#include <stdlib.h>

#include "tap.h"

/* In place of bpf.c: a second level of our own, read in batches or one by one. */
#include "../../bpf_load.h"
#include "../../packet.h"

#define ELEMENTS 200000

static struct {
	struct flow_key keys[ELEMENTS];
	struct flow_count counts[ELEMENTS];
	__u32 n;
	__u32 largest_bucket; /* a smaller batch is ENOSPC */
	int no_batches;
} level;

int bpf_map_lookup_batch(int map, const void *in, void *out, void *keys, void *values, __u32 *count);
int bpf_map_lookup(int map, const void *key, void *value);
int bpf_map_next_key(int map, const void *key, void *next);

int bpf_map_lookup_batch(int map, const void *in, void *out, void *keys, void *values, __u32 *count)
{
	__u32 from = 0, n = *count;

	(void)map;
	if (level.no_batches)
		return -EINVAL;
	if (n < level.largest_bucket)
		return -ENOSPC;
	if (in)
		memcpy(&from, in, sizeof(from));
	n = level.n - from < n ? level.n - from : n;
	memcpy(keys, level.keys + from, n * sizeof(*level.keys));
	memcpy(values, level.counts + from, n * sizeof(*level.counts));
	*count = n;
	from += n;
	memcpy(out, &from, sizeof(from));
	return from == level.n ? -ENOENT : 0;
}

static __u32 number_of(const void *key)
{
	__u32 i = 0;

	while (i < level.n && memcmp(&level.keys[i], key, sizeof(*level.keys)))
		i++;
	return i;
}

int bpf_map_lookup(int map, const void *key, void *value)
{
	__u32 i = number_of(key);

	(void)map;
	if (i == level.n)
		return -ENOENT;
	memcpy(value, &level.counts[i], sizeof(level.counts[i]));
	return 0;
}

int bpf_map_next_key(int map, const void *key, void *next)
{
	__u32 i = key ? number_of(key) + 1 : 0;

	(void)map;
	if (i >= level.n)
		return -ENOENT;
	memcpy(next, &level.keys[i], sizeof(level.keys[i]));
	return 0;
}

#include "../../flows.c"
#include "../../failure.c"

static struct flow_slot slots[2][4]; /* two CPUs, four slots each */
static const struct bpf_maps maps = {
	.cpus = 2, .slot_bits = 2, .max_flows = ELEMENTS, .slots = &slots[0][0],
};
static struct flows flows;
static struct failure failure;

static struct flow_key key_of(__u32 address)
{
	struct flow_key key = { .ifindex = 2, .protocol = 17, .present = FIELDS_DEFAULT };

	memcpy(key.src_ip, &address, sizeof(address));
	return key;
}

static void put_slot(struct flow_slot *slot, __u32 address, __u64 packets, __u64 bytes)
{
	slot->key = key_of(address);
	slot->count = (struct flow_count){ packets, bytes };
}

static void put_element(__u32 i, __u32 address, __u64 packets, __u64 bytes)
{
	level.keys[i] = key_of(address);
	level.counts[i] = (struct flow_count){ packets, bytes };
	level.n = i < level.n ? level.n : i + 1;
}

static void begin(void)
{
	flows_close(&flows);
	memset(&level, 0, sizeof(level));
	memset(slots, 0, sizeof(slots));
	flows_open(&flows, &maps, &failure);
}

static struct flow *flow_of(__u32 address)
{
	struct flow_key key = key_of(address);

	for (size_t i = 0; i < flows.n; i++)
		if (!memcmp(&flows.flow[i].key, &key, sizeof(key)))
			return &flows.flow[i];
	return NULL;
}

/* After a snapshot the flow has so many packets and bytes. */
static int has(__u32 address, __u64 packets, __u64 bytes)
{
	const struct flow *flow;

	if (flows_snapshot(&flows, &maps, &failure))
		return 0;
	flow = flow_of(address);
	return flow && flow->total.packets == packets && flow->total.bytes == bytes;
}

static void test_sums(void)
{
	begin();
	put_element(0, 1, 10, 640);
	put_slot(&slots[0][1], 1, 3, 192);
	put_slot(&slots[1][2], 1, 4, 256);
	put_slot(&slots[1][3], 2, 1, 64);
	ok(has(1, 17, 1088) && flows.n == 2, "a flow's element and slots of both CPUs add up");
	is_number(flows.total.packets, 18, "the total of all flows");
	is_number(flows.total.bytes, 1152, "its bytes");
	ok(has(1, 17, 1088) && flows.total.packets == 18, "another look changes nothing");
}

static void test_moves(void)
{
	begin();
	put_slot(&slots[0][0], 1, 5, 320);
	ok(has(1, 5, 320), "a flow in the cache");
	put_slot(&slots[0][0], 2, 1, 64);
	ok(has(1, 5, 320), "on its way to the second level it does not go down");
	put_element(0, 1, 5, 320);
	ok(has(1, 5, 320), "there, it is the same");
	slots[0][0].key.generation = 3;
	put_slot(&slots[0][1], 1, 5, 320);
	slots[0][1].key.generation = 1;
	ok(has(1, 5, 320), "a slot that is changing is left alone: its counts may be elsewhere by now");
	slots[0][1].key.generation = 2;
	ok(has(1, 10, 640), "one that is not counts, whatever its generation");
}

static void test_publish(void)
{
	struct flow **list;

	begin();
	put_element(0, 3, 5, 320);
	put_element(1, 1, 9, 576);
	put_element(2, 2, 5, 320);
	flows_snapshot(&flows, &maps, &failure);
	ok(flows_publish(&flows, &list) == 3 && list[0] == flow_of(1) && list[1] == flow_of(2) &&
	   list[2] == flow_of(3), "flows by growth, then by key");
	flows_snapshot(&flows, &maps, &failure);
	is_number(flows_publish(&flows, &list), 0, "what did not grow is not published again");
	put_element(0, 3, 6, 384);
	flows_snapshot(&flows, &maps, &failure);
	put_element(0, 3, 7, 448);
	put_element(2, 2, 6, 384);
	flows_snapshot(&flows, &maps, &failure);
	ok(flows_publish(&flows, &list) == 2 && list[0] == flow_of(3),
	   "growth counts from the last publication, not from the last look");
	put_element(1, 1, 9, 577);
	flows_snapshot(&flows, &maps, &failure);
	ok(flows_publish(&flows, &list) == 1 && list[0]->total.bytes == 577,
	   "bytes that came late are published, too");
	put_element(1, 1, 8, 512);
	flows_snapshot(&flows, &maps, &failure);
	ok(flow_of(1)->total.packets == 9 && !flows_publish(&flows, &list), "a total never goes down");
	flows.final = 1;
	flows_snapshot(&flows, &maps, &failure);
	ok(flows_publish(&flows, &list) == 1 && list[0]->total.packets == 8 &&
	   list[0]->total.bytes == 512, "but at the end, when what is seen is true");
}

static void test_many(void)
{
	int all = 1;

	begin();
	for (__u32 i = 0; i < ELEMENTS; i++)
		put_element(i, i + 1, i + 1, 64);
	level.largest_bucket = 3 * BATCH;
	ok(!flows_snapshot(&flows, &maps, &failure) && flows.n == ELEMENTS,
	   "as many as there is room for, and a bucket larger than a batch");
	for (__u32 i = 0; i < ELEMENTS; i++)
		all &= flows.flow[i].total.packets == i + 1;
	ok(all, "each has its own count");
	is_number(flows.total.packets, ELEMENTS * (ELEMENTS + 1ull) / 2, "and all add up");
	begin();
	for (__u32 i = 0; i < 300; i++)
		put_element(i, i + 1, 1, 64);
	level.no_batches = 1;
	ok(!flows_snapshot(&flows, &maps, &failure) && flows.n == 300 && flows.total.packets == 300,
	   "a kernel without batches");
}

int main(void)
{
	test_sums();
	test_moves();
	test_publish();
	test_many();
	flows_close(&flows);
	return done();
}
