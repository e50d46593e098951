/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A short cut for most frames: TCP or UDP behind IPv4 or IPv6 behind Ethernet, of a flow that stands
 * in its own slot of this CPU's cache. decode.h and count.h would come to the same, with more
 * questions on the way; they take what this leaves.
 */
#ifndef XGUARD_QUICK_H
#define XGUARD_QUICK_H

#include "count.h"

/* What all these keys have; config.mask takes away what makes no flow. */
#define QUICK_FIELDS (FIELD_ETH_TYPE | FIELD_SRC_IP | FIELD_DST_IP | FIELD_PROTOCOL | PORTS)

/* From the ports on: returns 1 where the frame is counted. */
INLINE int quick_count(struct memory *memory, __u64 *word, __u64 protocol, const __u16 *port,
		       const void *end, __u64 cpu, __u64 length)
{
	struct flow_slot *slot;

	if (protocol != TCP && protocol != UDP)
		return 0;
	word[4] = AT(CONFIG(ifindex), 4, 4);
	word[5] |= AT(protocol, 4, 1);
	if (CONFIG(by) & PORTS) {
		if ((void *)(port + 2) > end)
			return 0;
		word[4] |= AT(port[0], 0, 2) | AT(port[1], 2, 2);
	}
	group(word);
	slot = map_lookup(&cache, array_key(memory, slot_of(word) + (cpu << CONFIG(slot_bits))));
	if (!slot || !same(slot, word))
		return 0;
	hit(slot, length);
	return 1;
}

INLINE int quick_ipv4(struct memory *memory, const struct ipv4 *ip, const void *end, __u64 cpu,
		      __u64 length)
{
	__u64 word[6] = { 0 };

	if ((void *)(ip + 1) > end || ip->version_ihl != 0x45)
		return 0;
	if (CONFIG(by) & PORTS && ip->fragment & BE16(0x1fff))
		return 0;
	if (CONFIG(by) & FIELD_SRC_IP)
		word[0] = AT(ip->src, 0, 4);
	if (CONFIG(by) & FIELD_DST_IP)
		word[2] = AT(ip->dst, 0, 4);
	word[5] = AT(TYPE_IPV4, 0, 2) | PRESENT(QUICK_FIELDS);
	return quick_count(memory, word, ip->protocol, (void *)(ip + 1), end, cpu, length);
}

INLINE int quick_ipv6(struct memory *memory, const struct ipv6 *ip, const void *end, __u64 cpu,
		      __u64 length)
{
	__u64 word[6] = { 0 };

	if ((void *)(ip + 1) > end || *(__u8 *)ip >> 4 != 6)
		return 0;
	if (CONFIG(by) & FIELD_SRC_IP) {
		word[0] = two_words(ip->src[0], ip->src[1]);
		word[1] = two_words(ip->src[2], ip->src[3]);
	}
	if (CONFIG(by) & FIELD_DST_IP) {
		word[2] = two_words(ip->dst[0], ip->dst[1]);
		word[3] = two_words(ip->dst[2], ip->dst[3]);
	}
	word[5] = AT(TYPE_IPV6, 0, 2) | PRESENT(QUICK_FIELDS | FIELD_IPV6);
	return quick_count(memory, word, ip->next, (void *)(ip + 1), end, cpu, length);
}

/* Returns 1 where the frame is counted; 0: nothing was done. */
INLINE int count_quickly(struct memory *memory, const void *data, const void *end, __u64 cpu,
			 __u64 length)
{
	const struct ethernet *ethernet = data;

	if ((void *)(ethernet + 1) > end || !has_own(cpu))
		return 0;
	if (ethernet->type == TYPE_IPV4)
		return quick_ipv4(memory, (void *)(ethernet + 1), end, cpu, length);
	if (ethernet->type == TYPE_IPV6)
		return quick_ipv6(memory, (void *)(ethernet + 1), end, cpu, length);
	return 0;
}

#endif
