/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel side's decoder: a frame's bytes to the words of its flow key. For xdp_prog.c alone,
 * whose config says what is wanted of a frame.
 */
#ifndef XGUARD_DECODE_H
#define XGUARD_DECODE_H

#include <linux/types.h>

#include "packet.h"

#define INLINE static inline __attribute__((always_inline))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BE16(x)       ((__u16)__builtin_bswap16((__u16)(x)))
#define BE64(x)       __builtin_bswap64(x)
#define AT(value, byte, size) ((__u64)(value) << (8 * (byte)))
#else
#define BE16(x)       ((__u16)(x))
#define BE64(x)       (x)
#define AT(value, byte, size) ((__u64)(value) << (64 - 8 * ((byte) + (size))))
#endif

/* Ethernet types that are decoded, in network byte order (IEEE, linux/if_ether.h). */
#define TYPE_IPV4     BE16(0x0800)
#define TYPE_ARP      BE16(0x0806)
#define TYPE_RARP     BE16(0x8035)
#define TYPE_8021Q    BE16(0x8100)
#define TYPE_IPV6     BE16(0x86dd)
#define TYPE_8021AD   BE16(0x88a8)
#define TYPE_QINQ_OLD BE16(0x9100)
#define TYPE_MIN      0x0600 /* below: the length field of 802.3 */

#define TAGS_MAX       2
#define EXTENSIONS_MAX 6
#define OFFSET_MAX     0x3fff /* where a header may begin: six extension headers fit */

/* IP protocols that are looked into (IANA, linux/in.h). */
enum {
	HOPOPTS = 0, TCP = 6, UDP = 17, DCCP = 33, ROUTING = 43, FRAGMENT = 44, AH = 51, DSTOPTS = 60,
	SCTP = 132, UDPLITE = 136,
};

#define EXTENSIONS (1ull << HOPOPTS | 1ull << ROUTING | 1ull << FRAGMENT | 1ull << AH | \
		    1ull << DSTOPTS)

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

/* RFC 826, for Ethernet and IPv4; RARP (RFC 903) has the same. */
struct arp {
	__u16 hardware, protocol;
	__u8 hardware_length, protocol_length;
	__u16 operation;
	__u16 sender_mac[3], sender_ip[2], target_mac[3], target_ip[2];
};

/*
 * A frame under way. The key's first four words are in packet, where the verifier and clang see
 * memory; the last two are made in registers: see struct flow_key.
 */
struct frame {
	const volatile struct xdp_md *ctx; /* to read the frame's bounds anew */
	__u64 *key;              /* the packet's key as words */
	const void *data, *end;
	const void *header;      /* what comes next */
	__u64 ports, rest;       /* words 4 and 5 */
	__u16 type;              /* network byte order */
};

#define PRESENT(fields) AT(fields, 5, 1)

/* Does this run need the field, for its flows or for its filter? */
INLINE int wanted(__u32 fields)
{
	return CONFIG(filtered) > 1 || (CONFIG(by) & fields);
}

INLINE __u64 two_words(__u32 first, __u32 second)
{
	return AT(first, 0, 4) | AT(second, 4, 4);
}

/*
 * Make the verifier forget what it knows of a number below 65536, which stays the same: states that
 * differ in it only are one state then, where else each extension header would triple them, and each
 * tag bring all that follows once more. Any two bytes of the frame will do.
 */
INLINE __u32 forget(__u32 number, const void *bytes)
{
	__u32 unknown = *(const __u16 *)bytes;

	asm volatile("%0 ^= %1\n%0 ^= %1" : "+r"(number) : "r"(unknown));
	return number;
}

/*
 * Do nothing. Where a jump leads to, the verifier remembers what it knows, and goes on only with what it has
 * not seen there; but not unless it has seen eight instructions and two jumps since the last time.
 */
INLINE void remember(void)
{
	asm volatile("goto +0");
}

INLINE void decode_protocol(struct frame *f, __u8 protocol)
{
	f->rest |= PRESENT(FIELD_PROTOCOL) | AT(protocol, 4, 1);
}

/* The protocol is known, and stands at f->header unless this is a later fragment. */
INLINE void decode_transport(struct frame *f, __u8 protocol, int later)
{
	const __u16 *port = f->header;

	decode_protocol(f, protocol);
	if (!wanted(FIELD_SRC_PORT | FIELD_DST_PORT) || later)
		return;
	if (protocol != TCP && protocol != UDP && protocol != SCTP && protocol != DCCP &&
	    protocol != UDPLITE)
		return;
	if ((void *)(port + 2) > f->end)
		return;
	f->ports = AT(port[0], 0, 2) | AT(port[1], 2, 2);
	f->rest |= PRESENT(FIELD_SRC_PORT | FIELD_DST_PORT);
}

/* What is there of an IPv4 header that is cut off. */
INLINE void decode_ipv4_cut(struct frame *f)
{
	const struct ipv4 *ip = f->header;

	if ((void *)&ip->checksum > f->end || ip->version_ihl < 0x45 || ip->version_ihl > 0x4f)
		return;
	decode_protocol(f, ip->protocol);
	if ((void *)&ip->dst > f->end)
		return;
	if (wanted(FIELD_SRC_IP))
		f->key[0] = AT(ip->src, 0, 4);
	f->rest |= PRESENT(FIELD_SRC_IP);
}

INLINE void decode_ipv4(struct frame *f)
{
	const struct ipv4 *ip = f->header;
	__u32 length;

	if ((void *)(ip + 1) > f->end) {
		decode_ipv4_cut(f);
		return;
	}
	length = ip->version_ihl;
	if (length < 0x45 || length > 0x4f)
		return;
	if (wanted(FIELD_SRC_IP))
		f->key[0] = AT(ip->src, 0, 4);
	if (wanted(FIELD_DST_IP))
		f->key[2] = AT(ip->dst, 0, 4);
	f->rest |= PRESENT(FIELD_SRC_IP | FIELD_DST_IP);
	f->header += (length & 0xf) * 4;
	decode_transport(f, ip->protocol, ip->fragment & BE16(0x1fff));
}

INLINE int is_extension(__u32 next)
{
	return next < 64 && EXTENSIONS >> next & 1;
}

/* What stands behind an IPv6 header: walk its extension headers (RFC 8200) to the protocol. */
INLINE void decode_extensions(struct frame *f, __u32 next)
{
	const struct extension *extension;
	__u32 offset = f->header - f->data, length;
	int later = 0;

#pragma unroll
	for (int i = 0; i <= EXTENSIONS_MAX; i++) {
		if (!is_extension(next))
			break;
		extension = f->header;
		if (i == EXTENSIONS_MAX || (void *)&extension->offset > f->end)
			return;
		length = extension->length * 8 + 8;
		if (next == AH)
			length = extension->length * 4 + 8;
		if (next == FRAGMENT) {
			if (f->header + 8 > f->end)
				return;
			later = extension->offset & BE16(0xfff8);
			length = 8;
		}
		next = extension->next;
		if (later)
			break;
		offset = forget(offset + length, extension);
		if (offset > OFFSET_MAX)
			return;
		f->header = f->data + offset;
	}
	decode_transport(f, next, later);
}

/* What is there of an IPv6 header that is cut off. */
INLINE void decode_ipv6_cut(struct frame *f)
{
	const struct ipv6 *ip = f->header;

	if ((void *)&ip->hops > f->end || *(__u8 *)f->header >> 4 != 6)
		return;
	if (!is_extension(ip->next))
		decode_protocol(f, ip->next);
	if ((void *)&ip->dst > f->end)
		return;
	if (wanted(FIELD_SRC_IP)) {
		f->key[0] = two_words(ip->src[0], ip->src[1]);
		f->key[1] = two_words(ip->src[2], ip->src[3]);
	}
	f->rest |= PRESENT(FIELD_SRC_IP | FIELD_IPV6);
}

INLINE void decode_ipv6(struct frame *f)
{
	const struct ipv6 *ip = f->header;

	if ((void *)(ip + 1) > f->end) {
		decode_ipv6_cut(f);
		return;
	}
	if (*(__u8 *)f->header >> 4 != 6)
		return;
	if (wanted(FIELD_SRC_IP)) {
		f->key[0] = two_words(ip->src[0], ip->src[1]);
		f->key[1] = two_words(ip->src[2], ip->src[3]);
	}
	if (wanted(FIELD_DST_IP)) {
		f->key[2] = two_words(ip->dst[0], ip->dst[1]);
		f->key[3] = two_words(ip->dst[2], ip->dst[3]);
	}
	f->rest |= PRESENT(FIELD_SRC_IP | FIELD_DST_IP | FIELD_IPV6);
	f->header = ip + 1;
	if (wanted(FIELD_PROTOCOL | FIELD_SRC_PORT | FIELD_DST_PORT))
		decode_extensions(f, ip->next);
}

INLINE void decode_arp(struct frame *f)
{
	const struct arp *arp = f->header;

	if ((void *)(arp + 1) > f->end || arp->protocol != TYPE_IPV4 ||
	    arp->hardware_length != 6 || arp->protocol_length != 4)
		return;
	if (wanted(FIELD_SRC_IP))
		f->key[0] = AT(arp->sender_ip[0], 0, 2) | AT(arp->sender_ip[1], 2, 2);
	if (wanted(FIELD_DST_IP))
		f->key[2] = AT(arp->target_ip[0], 0, 2) | AT(arp->target_ip[1], 2, 2);
	f->rest |= PRESENT(FIELD_SRC_IP | FIELD_DST_IP);
}

INLINE int is_tag(__u16 type)
{
	return type == TYPE_8021Q || type == TYPE_8021AD || type == TYPE_QINQ_OLD;
}

/*
 * The tags behind an Ethernet header: to the type behind them, or of one that is cut off. How many
 * there were, and that their bytes are there, is forgotten.
 */
INLINE void decode_tags(struct frame *f)
{
	const struct tag *tag = f->header;
	__u32 offset;

#pragma unroll
	for (int i = 0; i < TAGS_MAX && is_tag(f->type); i++) {
		if ((void *)(tag + 1) > f->end)
			return;
		if (!i && wanted(FIELD_VLAN))
			f->rest |= PRESENT(FIELD_VLAN) | AT(BE16(tag->tci) & 0xfff, 2, 2);
		f->type = tag->type;
		tag++;
	}
	offset = forget((void *)tag - f->data, f->data) & 31;
	f->data = (const void *)(long)f->ctx->data;
	f->header = f->data + offset;
}

/* The Ethernet header and its tags, or none where the link has none: then IP's version tells. */
INLINE int decode_link(struct frame *f)
{
	const struct ethernet *ethernet = f->data;
	__u8 version;

	f->header = f->data;
	if (CONFIG(link_type) == LINK_ETHERNET) {
		if ((void *)(ethernet + 1) > f->end)
			return -1;
		f->type = ethernet->type;
		f->header = ethernet + 1;
		/* Behind the short cut few frames are left: better all on one way, verified once. */
		if (CONFIG(quick) || (f->type != TYPE_IPV4 && f->type != TYPE_IPV6))
			decode_tags(f);
	} else if (CONFIG(link_type) == LINK_IP && f->data + 1 <= f->end) {
		version = *(__u8 *)f->data >> 4;
		if (version != 4 && version != 6)
			return -1;
		f->type = version == 4 ? TYPE_IPV4 : TYPE_IPV6;
	} else {
		return -1;
	}
	return 0;
}

INLINE void decode(struct frame *f)
{
	if (decode_link(f))
		return;
	f->rest |= PRESENT(FIELD_ETH_TYPE) | (BE16(f->type) < TYPE_MIN ? 0 : AT(f->type, 0, 2));
	if (f->type == TYPE_IPV4)
		decode_ipv4(f);
	else if (f->type == TYPE_IPV6)
		decode_ipv6(f);
	else if (f->type == TYPE_ARP || f->type == TYPE_RARP)
		decode_arp(f);
}

#endif
