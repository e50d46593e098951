// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel side: decode -> match -> count or print -> XDP_PASS, for every frame.
 *
 * Compiled by clang -target bpf, without BTF. The loader writes config, and puts the user's filter
 * in place of match().
 */
#include <linux/bpf.h>
#include <linux/types.h>

#include "packet.h"

#define SECTION(name) __attribute__((section(name), used))

static const volatile struct config config SECTION(".rodata") = { .version = XGUARD_ABI };

#include "decode.h" /* looks at config */

#define EEXIST 17

struct map {
	__u32 type, key_size, value_size, max_entries, flags;
};

/* The loader sets max_entries. */
static struct map cache SECTION("maps") = {
	BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct flow_slot), 0, BPF_F_MMAPABLE,
};
static struct map flows SECTION("maps") = {
	BPF_MAP_TYPE_HASH, sizeof(struct flow_key), sizeof(struct flow_count), 0, 0,
};
static struct map links SECTION("maps") = {
	BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct link_count), 0, BPF_F_MMAPABLE,
};

static const char gpl[] SECTION("license") = "GPL";

static void *(*map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*map_update)(void *map, const void *key, const void *value, __u64 flags) =
	(void *)BPF_FUNC_map_update_elem;
static __u32 (*this_cpu)(void) = (void *)BPF_FUNC_get_smp_processor_id;
static long (*trace_printk)(const char *format, __u32 size, __u64 a, __u64 b, __u64 c) =
	(void *)BPF_FUNC_trace_printk;
static __u64 (*buffer_length)(struct xdp_md *ctx) = (void *)BPF_FUNC_xdp_get_buff_len;

/* The loader puts the filter here. Weak, so that clang believes nothing of it. */
__attribute__((noinline, weak)) int match(const struct packet *packet);
__attribute__((noinline, weak)) int match(const struct packet *packet)
{
	return packet->length != 0;
}

/*
 * The frame's bounds are read anew: were the decoder's carried on to here, the verifier would have to
 * tell apart what each of its ways has checked, and go on from here once for each of them.
 */
INLINE int filter(struct packet *p, const volatile struct xdp_md *ctx, __u32 length)
{
	p->data = (void *)(long)ctx->data;
	p->data_end = (void *)(long)ctx->data_end;
	p->length = length;
	p->reserved = 0;
#pragma unroll
	for (unsigned int i = 0; i < sizeof(p->scratch) / sizeof(p->scratch[0]); i++)
		p->scratch[i] = 0;
	return match(p);
}

/* Cut the key down to what makes a flow. */
INLINE void group(__u64 *key)
{
	if (config.filtered) {
		if (!(config.by & FIELD_SRC_IP))
			key[0] = key[1] = 0;
		if (!(config.by & FIELD_DST_IP))
			key[2] = key[3] = 0;
	}
	if (config.prefixed && key[5] & PRESENT(FIELD_IPV6)) {
		key[0] &= config.mask6[0];
		key[1] &= config.mask6[1];
		key[2] &= config.mask6[0];
		key[3] &= config.mask6[1];
	} else if (config.prefixed) {
		key[0] &= config.mask4;
		key[2] &= config.mask4;
	}
	if (!(config.by & FIELD_SRC_PORT))
		key[4] &= ~AT(0xffff, 0, 2);
	if (!(config.by & FIELD_DST_PORT))
		key[4] &= ~AT(0xffff, 2, 2);
	key[5] &= config.mask;
}

/* This CPU's row of this link's counters; the shared one for a CPU beyond those known. */
INLINE struct link_count *link_row(__u32 cpu)
{
	__u32 row = config.link * (config.cpus + 1) + (cpu < config.cpus ? cpu : config.cpus);

	return map_lookup(&links, &row);
}

INLINE void add(struct flow_count *count, __u32 cpu, __u32 length)
{
	if (cpu < config.cpus) {
		count->packets++;
		count->bytes += length;
	} else {
		__sync_fetch_and_add(&count->packets, 1);
		__sync_fetch_and_add(&count->bytes, length);
	}
}

INLINE void print(const struct flow_key *key, const __u64 *word, __u32 length)
{
	__u32 cpu = this_cpu();
	struct link_count *row = link_row(cpu);
	__u64 nth;

	if (!row)
		return;
	nth = row->matched.packets + 1;
	add(&row->matched, cpu, length);
	if (config.sample > 1 && nth % config.sample)
		return;
	__sync_fetch_and_add(&row->lines, 1);
	if (trace_printk((const char *)config.format, TRACE_FORMAT_SIZE,
			 (__u64)BE16(key->eth_type) << 48 | (__u64)key->protocol << 40 |
			 (__u64)key->present << 32 | config.ifindex,
			 BE64(word[0]), BE64(word[1])) < 0)
		__sync_fetch_and_add(&row->unprinted, 1);
}

/*
 * Add to the second level. Two CPUs may insert the same flow at once: the one that comes second
 * gets EEXIST, and finds the other's element. Returns 0, or -1: no room.
 */
INLINE int add_shared(const struct flow_key *key, const struct flow_count *count)
{
	struct flow_count *shared = map_lookup(&flows, key);
	long err;

	if (!shared) {
		err = map_update(&flows, key, count, BPF_NOEXIST);
		if (!err)
			return 0;
		if (err != -EEXIST)
			return -1;
		shared = map_lookup(&flows, key);
		if (!shared)
			return -1;
	}
	__sync_fetch_and_add(&shared->packets, count->packets);
	__sync_fetch_and_add(&shared->bytes, count->bytes);
	return 0;
}

INLINE __u64 slot_hash(const __u64 *key)
{
	__u64 hash = key[5] * config.multiplier[5];

	if (config.by & FIELD_SRC_IP)
		hash += key[0] * config.multiplier[0] + key[1] * config.multiplier[1];
	if (config.by & FIELD_DST_IP)
		hash += key[2] * config.multiplier[2] + key[3] * config.multiplier[3];
	return hash + key[4] * config.multiplier[4];
}

#define barrier() asm volatile("" ::: "memory")

/* Make the slot the flow's, with one frame; a reader sees an odd generation while it changes. */
INLINE void replace(struct flow_slot *slot, const __u64 *key, __u32 length)
{
	__u64 *word = (__u64 *)&slot->key;
	__u16 generation = slot->key.generation;

	slot->key.generation = generation | 1;
	barrier();
	slot->count.packets = 1;
	slot->count.bytes = length;
	word[0] = key[0];
	word[1] = key[1];
	word[2] = key[2];
	word[3] = key[3];
	word[4] = key[4];
	word[5] = key[5] | AT((__u16)(generation | 1), 6, 2);
	barrier();
	slot->key.generation = (generation | 1) + 1;
}

INLINE int same(const struct flow_slot *slot, const __u64 *key)
{
	const __u64 *word = (const __u64 *)&slot->key;

	if ((word[5] & ~AT(0xffff, 6, 2)) != key[5] || word[4] != key[4])
		return 0;
	if (config.by & FIELD_SRC_IP && (word[0] != key[0] || word[1] != key[1]))
		return 0;
	if (config.by & FIELD_DST_IP && (word[2] != key[2] || word[3] != key[3]))
		return 0;
	return 1;
}

/*
 * Count a frame that has no slot of its own in this CPU's cache: the slot's flow goes to the second
 * level and the frame takes the slot. When the second level has no room, the slot stays as it is,
 * and the frame is counted there or, failing that, as unattributed.
 */
INLINE void count_missed(struct flow_slot *slot, const __u64 *key, __u32 cpu, __u32 length)
{
	struct flow_slot moved;
	struct flow_count one;
	struct link_count *row;
	__u64 *word = (__u64 *)&moved.key;

	if (slot) {
		moved = *slot;
		word[5] &= ~AT(0xffff, 6, 2);
		if (!moved.count.packets || !add_shared(&moved.key, &moved.count)) {
			replace(slot, key, length);
			return;
		}
	}
	one.packets = 1;
	one.bytes = length;
	if (!add_shared((const struct flow_key *)key, &one))
		return;
	row = link_row(cpu);
	if (row)
		add(&row->unattributed, cpu, length);
}

INLINE void count(const __u64 *key, __u32 length)
{
	__u32 cpu = this_cpu();
	__u32 index = slot_hash(key) >> (64 - config.slot_bits);
	struct flow_slot *slot = 0;

	if (cpu < config.cpus) {
		index += cpu << config.slot_bits;
		slot = map_lookup(&cache, &index);
	}
	if (slot && same(slot, key)) {
		slot->count.packets++;
		slot->count.bytes += length;
		return;
	}
	count_missed(slot, key, cpu, length);
}

SECTION("xdp") static int xguard(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 length = config.frags ? buffer_length(ctx) : end - data;
	struct packet p;
	__u64 *key = (__u64 *)&p.key;
	struct frame f = { .ctx = ctx, .p = &p, .key = key, .data = data, .end = end };

	key[0] = key[1] = key[2] = key[3] = 0;
	if (config.filtered) {
		p.chain_len = 0;
		*(__u64 *)p.chain = 0;
		p.network = p.transport = 0;
	}
	decode(&f);
	key[4] = f.ports | AT(config.ifindex, 4, 4);
	key[5] = f.rest;
	asm volatile("" : : "r"(key) : "memory"); /* the key is in memory from here on */
	if (config.filtered && !filter(&p, ctx, length))
		return XDP_PASS;
	group(key);
	if (config.kernel_trace)
		print(&p.key, key, length);
	else
		count(key, length);
	return XDP_PASS;
}
