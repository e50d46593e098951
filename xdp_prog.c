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

static const struct config config SECTION(".rodata") = { .version = XGUARD_ABI };

/*
 * A field of config. The two instructions are a load from .rodata; the loader makes one immediate
 * of them: no memory is read then, and the verifier drops the branches that the constant rules out.
 */
#define CONFIG(field) ({                                                                           \
	__u64 constant;                                                                            \
	asm volatile("%0 = config + %1 ll\n%0 = *(u%2 *)(%0 + 0)" : "=r"(constant)                 \
		     : "i"(offsetof(struct config, field)),                                        \
		       "i"(8 * sizeof(((struct config *)0)->field)));                              \
	constant;                                                                                  \
})

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

static struct map scratch SECTION("maps") = {
	BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), SCRATCH_SIZE, 0, 0,
};

static const char gpl[] SECTION("license") = "GPL";

static void *(*map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*map_update)(void *map, const void *key, const void *value, __u64 flags) =
	(void *)BPF_FUNC_map_update_elem;
static __u64 (*this_cpu)(void) = (void *)BPF_FUNC_get_smp_processor_id;
static long (*trace_printk)(const char *format, __u32 size, __u64 a, __u64 b, __u64 c) =
	(void *)BPF_FUNC_trace_printk;
static __u64 (*buffer_length)(struct xdp_md *ctx) = (void *)BPF_FUNC_xdp_get_buff_len;

#include "quick.h" /* and decode.h, count.h: they look at config, and use maps and helpers */

/* The loader puts the filter here. Weak, so that clang believes nothing of it. */
__attribute__((noinline, weak, used)) int match(const struct packet *packet);
__attribute__((noinline, weak, used)) int match(const struct packet *packet)
{
	return packet->length != 0;
}

/* The same for a frame in pieces, called by call_match_pieces() only. */
__attribute__((noinline, weak, used)) int match_pieces(const struct packet *packet);
__attribute__((noinline, weak, used)) int match_pieces(const struct packet *packet)
{
	return packet->length != 0;
}

/* Not called as a function is: the loader may put what is called in place of the call, and it keeps r6 to r8 alone. */
INLINE int call_match(const struct packet *packet)
{
	register const struct packet *argument asm("r1") = packet;
	register long matches asm("r0");

	asm volatile("call match" : "=r"(matches), "+r"(argument) : : "r2", "r3", "r4", "r5", "r9", "memory");
	return matches;
}

/* This keeps no register. */
INLINE int call_match_pieces(const struct packet *packet)
{
	register const struct packet *argument asm("r1") = packet;
	register long matches asm("r0");

	asm volatile("call match_pieces" : "=r"(matches), "+r"(argument) : :
		     "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "memory");
	return matches;
}

/*
 * Where the frame is, asked of the kernel anew. Pointers kept from before would be known to be good
 * for so and so many bytes, and the verifier would go through what follows once for each number.
 */
INLINE void *frame_data(const volatile struct xdp_md *ctx)
{
	return (void *)(long)ctx->data;
}

INLINE void *frame_end(const volatile struct xdp_md *ctx)
{
	return (void *)(long)ctx->data_end;
}

INLINE int filter(struct packet *p, struct xdp_md *ctx, __u64 length)
{
	p->data = frame_data(ctx);
	p->data_end = frame_end(ctx);
	p->length = length;
	*(struct xdp_md *volatile *)&p->ctx = ctx;
	if (!CONFIG(frags) || (!(CONFIG(frags) & FRAGS_ALONE) && length == (__u64)(p->data_end - p->data)))
		return call_match(p);
	if (CONFIG(frags) & FRAGS_SCRATCH) {
		p->reserved = 0;
		p->data = map_lookup(&scratch, &p->reserved);
		if (!p->data) /* which the verifier does not know better */
			return 0;
	}
	return call_match_pieces(p);
}

INLINE void print(struct memory *memory, const struct flow_key *key, const __u64 *word, __u64 cpu,
		  __u64 length)
{
	struct link_count *row = link_row(memory, cpu);
	__u64 nth;

	if (!row)
		return;
	nth = row->matched.packets + 1;
	add(&row->matched, cpu, length);
	if (CONFIG(sample) > 1 && nth % CONFIG(sample))
		return;
	add_to(&row->lines, 1, 0);
	if (trace_printk((const char *)config.format, TRACE_FORMAT_SIZE,
			 (__u64)BE16(key->eth_type) << 48 | (__u64)key->protocol << 40 |
			 (__u64)key->present << 32 | CONFIG(ifindex),
			 BE64(word[0]), BE64(word[1])) < 0)
		add_to(&row->unprinted, 1, 0);
}

SECTION("xdp") static int xguard(struct xdp_md *ctx)
{
	struct packet p; /* the first, and so uppermost on the stack: the filter's memory begins below it */
	struct memory memory;
	__u64 *key = (__u64 *)&p.key;
	struct frame f = { .key = key };
	__u64 cpu, length;

	length = CONFIG(frags) ? buffer_length(ctx) : (__u64)(frame_end(ctx) - frame_data(ctx));
	if (CONFIG(filtered) == 1) {
		if (!filter(&p, ctx, length))
			return XDP_PASS;
		/* Read back: registers that live on over call_match_pieces() would cost the others, too. */
		ctx = *(struct xdp_md *volatile *)&p.ctx;
		length = *(volatile __u32 *)&p.length;
	}
	cpu = this_cpu();
	if (CONFIG(quick)) {
		if (count_quickly(&memory, frame_data(ctx), frame_end(ctx), cpu, length))
			return XDP_PASS;
		cpu = this_cpu(); /* read anew: whether it has_own() is not known on every way that leads here */
		remember();
	}
	f.ctx = ctx;
	f.data = frame_data(ctx);
	f.end = frame_end(ctx);
	key[0] = key[1] = key[2] = key[3] = 0;
	decode(&f);
	key[4] = f.ports | AT(CONFIG(ifindex), 4, 4);
	key[5] = f.rest;
	asm volatile("" : : "r"(key) : "memory"); /* the key is in memory from here on */
	remember();
	if (CONFIG(filtered) > 1) {
		if (!filter(&p, ctx, length))
			return XDP_PASS;
		length = *(volatile __u32 *)&p.length;
		cpu = this_cpu();
	}
	group(key);
	if (CONFIG(kernel_trace))
		print(&memory, &p.key, key, cpu, length);
	else
		count(&memory, key, cpu, length);
	return XDP_PASS;
}
