/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel side's flow table: a cache of slots for each CPU, and a hash behind it that all CPUs
 * share. For xdp_prog.c alone, which has the maps and the helpers.
 */
#ifndef XGUARD_COUNT_H
#define XGUARD_COUNT_H

#include "decode.h"
#include "packet.h"

#define EEXIST 17

#define WAYS  4    /* slots that a flow may take: its own, and those whose numbers differ in these bits */
#define EVICT 16   /* one in so many frames without a slot gets one that another flow has to leave */
#ifndef RETRY /* tests/bench compares with a table that has neither a cache nor this */
#define RETRY 1024 /* the second level, once full, is asked for room by one in so many */
#endif

#define PORTS (FIELD_SRC_PORT | FIELD_DST_PORT)

#define barrier() asm volatile("" ::: "memory")

/* Words 5 of two keys, compared without the generation, which is the last two bytes. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WITHOUT_GENERATION(word) ((word) << 16)
#else
#define WITHOUT_GENERATION(word) ((word) >> 16)
#endif

/* Cut the key down to what makes a flow. */
INLINE void group(__u64 *word)
{
	if (CONFIG(filtered) > 1) {
		if (!(CONFIG(by) & FIELD_SRC_IP))
			word[0] = word[1] = 0;
		if (!(CONFIG(by) & FIELD_DST_IP))
			word[2] = word[3] = 0;
	}
	if (CONFIG(prefixed)) {
		int ipv6 = !!(word[5] & PRESENT(FIELD_IPV6));
		__u64 first = ipv6 ? CONFIG(mask6[0]) : CONFIG(mask4), second = ipv6 ? CONFIG(mask6[1]) : 0;

		word[0] &= first;
		word[1] &= second;
		word[2] &= first;
		word[3] &= second;
	}
	if (!(CONFIG(by) & FIELD_SRC_PORT))
		word[4] &= ~AT(0xffff, 0, 2);
	if (!(CONFIG(by) & FIELD_DST_PORT))
		word[4] &= ~AT(0xffff, 2, 2);
	word[5] &= CONFIG(mask);
}

/* What else than the packet has an address, and so stands in the stack: below it, written behind the filter. */
struct memory {
	struct flow_slot moved;
	struct flow_count one;
	__u64 index;           /* the key of an array */
};

/*
 * An array's key is a number of 32 bits, here in a word of the stack: one that is written as a whole is nothing
 * that the verifier has to know of on the ways that lead there.
 */
INLINE const __u64 *array_key(struct memory *memory, __u32 number)
{
	memory->index = AT(number, 0, 4);
	return &memory->index;
}

/* Does this CPU have a part of the cache and a row of counters, where nobody else writes? */
INLINE int has_own(__u64 cpu)
{
	return !CONFIG(preemptible) && cpu < CONFIG(cpus);
}

/* This CPU's row of this link's counters, or the shared one. */
INLINE struct link_count *link_row(struct memory *memory, __u64 cpu)
{
	__u32 row = CONFIG(link) * (CONFIG(cpus) + 1) + (has_own(cpu) ? cpu : CONFIG(cpus));

	return map_lookup(&links, array_key(memory, row));
}

/* Add to a counter that is this CPU's own (of a machine without atomic additions every one is). */
INLINE void add_to(__u64 *counter, __u64 n, int own)
{
	if (own || CONFIG(plain))
		*counter += n;
	else
		__sync_fetch_and_add(counter, n);
}

INLINE void add(struct flow_count *count, __u64 cpu, __u64 length)
{
	add_to(&count->packets, 1, has_own(cpu));
	add_to(&count->bytes, length, has_own(cpu));
}

/*
 * Add to the second level; a flow that it does not have only where insert allows. Two CPUs may
 * insert the same flow at once: the one that comes second gets EEXIST, and finds the other's
 * element. Without atomic additions each CPU has an element of its own, by the key's generation,
 * which is free here. Returns 0; 1: not inserted; -1: it has no room.
 */
INLINE int add_shared(struct flow_key *key, const struct flow_count *count, __u64 cpu, int insert)
{
	struct flow_count *shared;
	long err;

	if (CONFIG(plain))
		key->generation = cpu;
	shared = map_lookup(&flows, key);
	if (!shared) {
		if (!insert)
			return 1;
		err = map_update(&flows, key, count, BPF_NOEXIST);
		if (!err)
			return 0;
		if (err != -EEXIST)
			return -1;
		shared = map_lookup(&flows, key);
		if (!shared)
			return -1;
	}
	add_to(&shared->bytes, count->bytes, 0);
	add_to(&shared->packets, count->packets, 0);
	return 0;
}

/* The number of a flow's own slot in a CPU's part of the cache. */
INLINE __u64 slot_of(const __u64 *word)
{
	__u64 hash = word[5] * CONFIG(multiplier[5]);

	if (CONFIG(by) & FIELD_SRC_IP)
		hash += word[0] * CONFIG(multiplier[0]) + word[1] * CONFIG(multiplier[1]);
	if (CONFIG(by) & FIELD_DST_IP)
		hash += word[2] * CONFIG(multiplier[2]) + word[3] * CONFIG(multiplier[3]);
	if (!CONFIG(one_word4))
		hash += word[4] * CONFIG(multiplier[4]);
	hash = (hash ^ hash >> 32) * CONFIG(multiplier[5]);
	return hash >> (64 - CONFIG(slot_bits));
}

INLINE int same(const struct flow_slot *slot, const __u64 *word)
{
	const __u64 *its = (const __u64 *)&slot->key;

	if (CONFIG(by) & FIELD_SRC_IP && (its[0] != word[0] || its[1] != word[1]))
		return 0;
	if (CONFIG(by) & FIELD_DST_IP && (its[2] != word[2] || its[3] != word[3]))
		return 0;
	if (!CONFIG(one_word4) && its[4] != word[4])
		return 0;
	return !WITHOUT_GENERATION(its[5] ^ word[5]);
}

/* The bytes first: who reads the packets first has all their bytes, at least on x86. */
INLINE void hit(struct flow_slot *slot, __u64 length)
{
	slot->count.bytes += length;
	barrier();
	slot->count.packets++;
}

/* Make the slot the flow's, with one frame; a reader sees an odd generation while it changes. */
INLINE void replace(struct flow_slot *slot, const __u64 *word, __u64 length)
{
	__u64 *its = (__u64 *)&slot->key;
	__u16 generation = slot->key.generation | 1;

	slot->key.generation = generation;
	barrier();
	slot->count.packets = 1;
	slot->count.bytes = length;
	its[0] = word[0];
	its[1] = word[1];
	its[2] = word[2];
	its[3] = word[3];
	its[4] = word[4];
	its[5] = word[5] | AT(generation, 6, 2);
	barrier();
	slot->key.generation = generation + 1;
}

/*
 * Move the slot's flow to the second level and give the slot to another one. The generation is odd
 * from before the move: so that nobody reads the same frames in both places. Returns as add_shared.
 */
INLINE int evict(struct memory *memory, struct flow_slot *slot, const __u64 *word, __u64 cpu, __u64 length,
		 int insert)
{
	struct flow_slot *moved = &memory->moved;
	int err;

	*moved = *slot;
	moved->key.generation = 0;
	slot->key.generation |= 1;
	barrier();
	err = add_shared(&moved->key, &moved->count, cpu, insert);
	barrier();
	if (err)
		slot->key.generation++;
	else
		replace(slot, word, length);
	return err;
}

/*
 * Count a frame that has no slot, and whose set is full (slot is its own, or NULL: this CPU has no
 * cache). Most go to the second level themselves: so flows that come once do not drive out those
 * that come often. When the second level has no room, the slot stays as it is, with all its
 * history, and it is the frame that cannot be attributed.
 */
INLINE void count_missed(struct memory *memory, struct flow_slot *slot, const __u64 *word, __u64 cpu,
			 __u64 length)
{
	struct link_count *row = link_row(memory, cpu);
	int insert, err;
	__u64 nth;

	if (!row)
		return;
	nth = row->missed++;
	insert = !row->full || nth % RETRY == 0;
	if (slot && nth % EVICT == 0) {
		err = evict(memory, slot, word, cpu, length, insert);
		if (!err)
			return;
		if (err < 0)
			row->full = 1;
		insert &= err > 0;
	}
	memory->one = (struct flow_count){ 1, length };
	err = add_shared((struct flow_key *)word, &memory->one, cpu, insert);
	if (insert)
		row->full = err < 0;
	if (err)
		add(&row->unattributed, cpu, length);
}

/*
 * Count a frame. The slots of a set are filled in the order in which they are looked at, and never
 * become empty again: behind an empty one there is nothing to find. (An empty slot is the same as
 * the key of a frame of which nothing is known: so what counts is whether it is in use.)
 */
INLINE void count(struct memory *memory, const __u64 *word, __u64 cpu, __u64 length)
{
	__u32 own = slot_of(word) + (cpu << CONFIG(slot_bits));
	struct flow_slot *slot = 0;

#pragma clang loop unroll(disable) /* verified as often, and a third of the code */
	for (__u32 way = 0; way < WAYS && has_own(cpu); way++) {
		slot = map_lookup(&cache, array_key(memory, own ^ way));
		if (!slot)
			break;
		if (slot->count.packets && !same(slot, word))
			continue;
		if (slot->count.packets)
			hit(slot, length);
		else
			replace(slot, word, length);
		return;
	}
	if (slot)
		slot = map_lookup(&cache, array_key(memory, own));
	count_missed(memory, slot, word, cpu, length);
}

#endif
