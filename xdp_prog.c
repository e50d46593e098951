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
#define INLINE        static inline __attribute__((always_inline))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BE16(x)       ((__u16)__builtin_bswap16((__u16)(x)))
#define BE64(x)       __builtin_bswap64(x)
#define AT(value, byte, size) ((__u64)(value) << (8 * (byte)))
#else
#define BE16(x)       ((__u16)(x))
#define BE64(x)       (x)
#define AT(value, byte, size) ((__u64)(value) << (64 - 8 * ((byte) + (size))))
#endif

/* Ethernet types that are decoded, in host byte order (IEEE, linux/if_ether.h). */
#define TYPE_IPV4     0x0800
#define TYPE_ARP      0x0806
#define TYPE_8021Q    0x8100
#define TYPE_IPV6     0x86dd
#define TYPE_8021AD   0x88a8
#define TYPE_QINQ_OLD 0x9100
#define TYPE_MIN      0x0600 /* below: the length field of 802.3 */

#define TAGS_MAX       2
#define EXTENSIONS_MAX 6

/* IP protocols that are looked into (IANA, linux/in.h). */
enum {
	HOPOPTS = 0, TCP = 6, UDP = 17, DCCP = 33, ROUTING = 43, FRAGMENT = 44, AH = 51, DSTOPTS = 60,
	SCTP = 132, UDPLITE = 136,
};

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

static const volatile struct config config SECTION(".rodata") = { .version = XGUARD_ABI };

static const char gpl[] SECTION("license") = "GPL";

static void *(*map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*map_update)(void *map, const void *key, const void *value, __u64 flags) =
	(void *)BPF_FUNC_map_update_elem;
static __u32 (*this_cpu)(void) = (void *)BPF_FUNC_get_smp_processor_id;
static long (*trace_printk)(const char *format, __u32 size, __u64 a, __u64 b, __u64 c) =
	(void *)BPF_FUNC_trace_printk;
static __u64 (*buffer_length)(struct xdp_md *ctx) = (void *)BPF_FUNC_xdp_get_buff_len;

/* The key's six words while they are made, and what else is known of a frame. Never has an
 * address: clang keeps it in registers. */
struct frame {
	__u64 src[2], dst[2];
	__u16 src_port, dst_port; /* network byte order */
	__u16 eth_type, vlan;     /* host byte order */
	__u8 protocol;
	__u8 present;
	__u16 network, transport;
};

struct ethernet {
	__u8 dst[6], src[6];
	__u16 type;
};

struct tag {
	__u16 tci, type;
};

struct ipv4 {
	__u8 version_ihl, tos;
	__u16 length, id, fragment;
	__u8 ttl, protocol;
	__u16 checksum;
	__u32 src, dst;
};

struct ipv6 {
	__u32 version_class_label;
	__u16 length;
	__u8 next, hops;
	__u32 src[4], dst[4];
};

struct extension {
	__u8 next, length;
	__u16 offset; /* of a fragment header: the offset and flags */
};

/* RFC 826, for Ethernet and IPv4. */
struct arp {
	__u16 hardware, protocol;
	__u8 hardware_length, protocol_length;
	__u16 operation;
	__u16 sender_mac[3], sender_ip[2], target_mac[3], target_ip[2];
};

/* Does this run need the field, for its flows or for its filter? */
INLINE int wanted(__u32 fields)
{
	return config.filtered || (config.by & fields);
}

INLINE __u64 two_words(__u32 first, __u32 second)
{
	return AT(first, 0, 4) | AT(second, 4, 4);
}

INLINE void decode_ports(struct frame *f, const void *header, const void *end)
{
	const __u16 *port = header;

	if ((void *)(port + 2) > end)
		return;
	switch (f->protocol) {
	case TCP:
	case UDP:
	case SCTP:
	case DCCP:
	case UDPLITE:
		f->src_port = port[0];
		f->dst_port = port[1];
		f->present |= FIELD_SRC_PORT | FIELD_DST_PORT;
	}
}

INLINE void decode_ipv4(struct frame *f, struct packet *p, const void *data, const void *header,
			const void *end)
{
	const struct ipv4 *ip = header;
	__u32 length;

	if ((void *)(ip + 1) > end || ip->version_ihl >> 4 != 4)
		return;
	length = (ip->version_ihl & 0xf) * 4;
	if (length < sizeof(*ip))
		return;
	f->src[0] = AT(ip->src, 0, 4);
	f->dst[0] = AT(ip->dst, 0, 4);
	f->protocol = ip->protocol;
	f->present |= FIELD_SRC_IP | FIELD_DST_IP | FIELD_PROTOCOL;
	if (config.filtered) {
		p->chain[0] = f->protocol;
		p->chain_len = 1;
	}
	if (!wanted(FIELD_SRC_PORT | FIELD_DST_PORT) || ip->fragment & BE16(0x1fff))
		return;
	f->transport = header - data + length;
	decode_ports(f, header + length, end);
}

/* What stands behind an IPv6 header: walk its extension headers (RFC 8200) to the protocol. */
INLINE void decode_extensions(struct frame *f, struct packet *p, const void *data, __u8 next,
			      const void *header, const void *end)
{
	const struct extension *extension;
	int later = 0;

#pragma unroll
	for (int i = 0; i <= EXTENSIONS_MAX; i++) {
		if (config.filtered) {
			p->chain[i] = next;
			p->chain_len = i + 1;
		}
		if (later || (next != HOPOPTS && next != ROUTING && next != FRAGMENT && next != AH &&
			      next != DSTOPTS)) {
			f->protocol = next;
			f->present |= FIELD_PROTOCOL;
			if (later || !wanted(FIELD_SRC_PORT | FIELD_DST_PORT))
				return;
			f->transport = header - data;
			decode_ports(f, header, end);
			return;
		}
		extension = header;
		if (i == EXTENSIONS_MAX || header + 8 > end)
			return;
		if (next == FRAGMENT) {
			later = extension->offset & BE16(0xfff8);
			header += 8;
		} else if (next == AH) {
			header += (extension->length + 2) * 4;
		} else {
			header += (extension->length + 1) * 8;
		}
		next = extension->next;
	}
}

INLINE void decode_ipv6(struct frame *f, struct packet *p, const void *data, const void *header,
			const void *end)
{
	const struct ipv6 *ip = header;

	if ((void *)(ip + 1) > end || *(__u8 *)header >> 4 != 6)
		return;
	f->src[0] = two_words(ip->src[0], ip->src[1]);
	f->src[1] = two_words(ip->src[2], ip->src[3]);
	f->dst[0] = two_words(ip->dst[0], ip->dst[1]);
	f->dst[1] = two_words(ip->dst[2], ip->dst[3]);
	f->present |= FIELD_SRC_IP | FIELD_DST_IP | FIELD_IPV6;
	if (wanted(FIELD_PROTOCOL | FIELD_SRC_PORT | FIELD_DST_PORT))
		decode_extensions(f, p, data, ip->next, ip + 1, end);
}

INLINE void decode_arp(struct frame *f, const void *header, const void *end)
{
	const struct arp *arp = header;

	if ((void *)(arp + 1) > end || arp->protocol != BE16(TYPE_IPV4) ||
	    arp->hardware_length != 6 || arp->protocol_length != 4)
		return;
	f->src[0] = AT(arp->sender_ip[0], 0, 2) | AT(arp->sender_ip[1], 2, 2);
	f->dst[0] = AT(arp->target_ip[0], 0, 2) | AT(arp->target_ip[1], 2, 2);
	f->present |= FIELD_SRC_IP | FIELD_DST_IP;
}

/* The Ethernet header and its tags; returns what stands behind them, or NULL. */
INLINE const void *decode_ethernet(struct frame *f, const void *data, const void *end)
{
	const struct ethernet *ethernet = data;
	const struct tag *tag = (void *)(ethernet + 1);
	__u16 type;

	if ((void *)(ethernet + 1) > end)
		return 0;
	type = BE16(ethernet->type);
	f->present |= FIELD_ETH_TYPE;
#pragma unroll
	for (int i = 0; i < TAGS_MAX; i++) {
		if (type != TYPE_8021Q && type != TYPE_8021AD && type != TYPE_QINQ_OLD)
			break;
		f->eth_type = type;
		if ((void *)(tag + 1) > end)
			return 0;
		if (!i) {
			f->vlan = BE16(tag->tci) & 0xfff;
			f->present |= FIELD_VLAN;
		}
		type = BE16(tag->type);
		tag++;
	}
	f->eth_type = type < TYPE_MIN ? 0 : type;
	return tag;
}

/* A link without a header in front of IP: the version tells the type. */
INLINE const void *decode_raw(struct frame *f, const void *data, const void *end)
{
	__u8 version;

	if (data + 1 > end)
		return 0;
	version = *(__u8 *)data >> 4;
	if (version != 4 && version != 6)
		return 0;
	f->eth_type = version == 4 ? TYPE_IPV4 : TYPE_IPV6;
	f->present |= FIELD_ETH_TYPE;
	return data;
}

INLINE void decode(struct frame *f, struct packet *p, const void *data, const void *end)
{
	const void *header = 0;

	if (config.link_type == LINK_ETHERNET)
		header = decode_ethernet(f, data, end);
	else if (config.link_type == LINK_IP)
		header = decode_raw(f, data, end);
	if (!header)
		return;
	f->network = header - data;
	if (f->eth_type == TYPE_IPV4)
		decode_ipv4(f, p, data, header, end);
	else if (f->eth_type == TYPE_IPV6)
		decode_ipv6(f, p, data, header, end);
	else if (f->eth_type == TYPE_ARP)
		decode_arp(f, header, end);
}

/* The loader puts the filter here. Weak, so that clang believes nothing of it. */
__attribute__((noinline, weak)) int match(const struct packet *packet);
__attribute__((noinline, weak)) int match(const struct packet *packet)
{
	return packet->length != 0;
}

/* Words of the key: see packet.h. */
INLINE __u64 word4(const struct frame *f)
{
	return AT(f->src_port, 0, 2) | AT(f->dst_port, 2, 2) | AT(BE16(f->eth_type), 4, 2) |
	       AT(f->vlan, 6, 2);
}

INLINE __u64 word5(const struct frame *f)
{
	return AT(config.ifindex, 0, 4) | AT(f->protocol, 4, 1) | AT(f->present, 5, 1);
}

INLINE int filter(const struct frame *f, struct packet *p, void *data, void *end, __u32 length)
{
	__u64 *word = (__u64 *)&p->key;

	word[0] = f->src[0];
	word[1] = f->src[1];
	word[2] = f->dst[0];
	word[3] = f->dst[1];
	word[4] = word4(f);
	word[5] = word5(f);
	p->data = data;
	p->data_end = end;
	p->length = length;
	p->network = f->network;
	p->transport = f->transport;
	p->reserved = 0;
#pragma unroll
	for (unsigned int i = 0; i < sizeof(p->scratch) / sizeof(p->scratch[0]); i++)
		p->scratch[i] = 0;
	return match(p);
}

/* Cut the frame's fields down to those that make a flow. */
INLINE void group(struct frame *f)
{
	const volatile __u32 *mask = (const volatile __u32 *)config.mask6;

	if (!(config.by & FIELD_SRC_IP))
		f->src[0] = f->src[1] = 0;
	if (!(config.by & FIELD_DST_IP))
		f->dst[0] = f->dst[1] = 0;
	if (!(config.by & FIELD_SRC_PORT))
		f->src_port = 0;
	if (!(config.by & FIELD_DST_PORT))
		f->dst_port = 0;
	if (!(config.by & FIELD_VLAN))
		f->vlan = 0;
	if (!(config.by & FIELD_PROTOCOL))
		f->protocol = 0;
	if (config.prefixed && f->present & FIELD_IPV6) {
		f->src[0] &= two_words(mask[0], mask[1]);
		f->src[1] &= two_words(mask[2], mask[3]);
		f->dst[0] &= two_words(mask[0], mask[1]);
		f->dst[1] &= two_words(mask[2], mask[3]);
	} else if (config.prefixed) {
		f->src[0] &= AT(*(const volatile __u32 *)config.mask4, 0, 4);
		f->dst[0] &= AT(*(const volatile __u32 *)config.mask4, 0, 4);
	}
	f->present &= config.by | FIELD_IPV6;
	if (!(config.by & (FIELD_SRC_IP | FIELD_DST_IP)))
		f->present &= ~FIELD_IPV6;
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

INLINE void print(const struct frame *f, __u32 cpu, __u32 length)
{
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
			 (__u64)f->eth_type << 48 | (__u64)f->protocol << 40 |
			 (__u64)f->present << 32 | config.ifindex,
			 BE64(f->src[0]), BE64(f->src[1])) < 0)
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

INLINE __u64 slot_hash(const __u64 *word)
{
	return word[0] * config.multiplier[0] + word[1] * config.multiplier[1] +
	       word[2] * config.multiplier[2] + word[3] * config.multiplier[3] +
	       word[4] * config.multiplier[4] + word[5] * config.multiplier[5];
}

#define barrier() asm volatile("" ::: "memory")

/* Make the slot the flow's, with one frame; a reader sees an odd generation while it changes. */
INLINE void replace(struct flow_slot *slot, const __u64 *word, __u32 length)
{
	__u64 *key = (__u64 *)&slot->key;
	__u16 generation = slot->key.generation;

	slot->key.generation = generation | 1;
	barrier();
	slot->count.packets = 1;
	slot->count.bytes = length;
	key[0] = word[0];
	key[1] = word[1];
	key[2] = word[2];
	key[3] = word[3];
	key[4] = word[4];
	key[5] = word[5] | AT((__u16)(generation | 1), 6, 2);
	barrier();
	slot->key.generation = (generation | 1) + 1;
}

INLINE int same(const struct flow_slot *slot, const __u64 *word)
{
	const __u64 *key = (const __u64 *)&slot->key;

	return ((key[0] ^ word[0]) | (key[1] ^ word[1]) | (key[2] ^ word[2]) | (key[3] ^ word[3]) |
		(key[4] ^ word[4]) | ((key[5] & ~AT(0xffff, 6, 2)) ^ word[5])) == 0;
}

/*
 * Count a frame that has no slot of its own in this CPU's cache: the slot's flow goes to the second
 * level and the frame takes the slot. When the second level has no room, the slot stays as it is,
 * and the frame is counted there or, failing that, as unattributed.
 */
INLINE void count_missed(struct flow_slot *slot, const __u64 *word, __u32 cpu, __u32 length)
{
	struct flow_slot moved;
	struct link_count *row;
	__u64 *key = (__u64 *)&moved.key;

	if (slot) {
		moved = *slot;
		key[5] &= ~AT(0xffff, 6, 2);
		if (!moved.count.packets || !add_shared(&moved.key, &moved.count)) {
			replace(slot, word, length);
			return;
		}
	}
	key[0] = word[0];
	key[1] = word[1];
	key[2] = word[2];
	key[3] = word[3];
	key[4] = word[4];
	key[5] = word[5];
	moved.count.packets = 1;
	moved.count.bytes = length;
	if (!add_shared(&moved.key, &moved.count))
		return;
	row = link_row(cpu);
	if (row)
		add(&row->unattributed, cpu, length);
}

INLINE void count(const struct frame *f, __u32 cpu, __u32 length)
{
	const __u64 word[6] = { f->src[0], f->src[1], f->dst[0], f->dst[1], word4(f), word5(f) };
	__u32 index = slot_hash(word) >> (64 - config.slot_bits);
	struct flow_slot *slot = 0;

	if (cpu < config.cpus) {
		index += cpu << config.slot_bits;
		slot = map_lookup(&cache, &index);
	}
	if (slot && same(slot, word)) {
		slot->count.packets++;
		slot->count.bytes += length;
		return;
	}
	count_missed(slot, word, cpu, length);
}

SECTION("xdp") static int xguard(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 length = config.frags ? buffer_length(ctx) : end - data;
	struct frame f = { 0 };
	struct packet p;
	__u32 cpu;

	if (config.filtered) {
		p.chain_len = 0;
		*(__u64 *)p.chain = 0;
	}
	decode(&f, &p, data, end);
	if (config.filtered && !filter(&f, &p, data, end, length))
		return XDP_PASS;
	group(&f);
	cpu = this_cpu();
	if (config.kernel_trace)
		print(&f, cpu, length);
	else
		count(&f, cpu, length);
	return XDP_PASS;
}
