/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the traffic generator sends: one frame, and the sequence of its source addresses. */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include <stdio.h>
#include <linux/types.h>

#define TRAFFIC_SEQUENCE_MAX (1u << 24)

/* One frame's address, and the checksums that go with it; all in network byte order. */
struct entry {
	__u32 address;             /* IPv4, or the last four bytes of IPv6 */
	__u16 ip_checksum;         /* IPv4 */
	__u16 checksum;            /* UDP, TCP, ICMP */
};

struct traffic {
	__u64 count;               /* frames that will be sent, if that is known; else ~0 */
	__u32 sources;
	enum { TURN, UNIFORM, ZIPF } order;
	double exponent;           /* of Zipf's law */
	__u64 seed;
	int family;                /* AF_INET or AF_INET6 */
	__u8 source[16], destination[16];
	__u8 mac[6];
	int protocol;              /* IPPROTO_UDP, _TCP, _ICMP or _ICMPV6 */
	unsigned int size;         /* bytes of a frame */

	__u8 frame[4096];
	unsigned int ip, l4;       /* offsets of the headers in frame */
	unsigned int checksum_at;  /* offset of the checksum behind IP */
	__u32 length;              /* entries of the sequence */
	struct entry *sequence;
};

/* Make the frame that all sources share: everything but source address and checksums. */
void traffic_build_frame(struct traffic *traffic);

/* As many entries as the sequence needs: one turn, or enough draws for every source to come up. */
__u32 traffic_sequence_length(const struct traffic *traffic);

/* Fill in the sequence, length entries at traffic->sequence; the frame is built before. */
void traffic_fill(struct traffic *traffic);

/*
 * What each source sent, after sent frames of the sequence, as "ADDRESS FRAMES BYTES" lines in the
 * order of addresses to file (NULL: nowhere). Returns the number of sources that sent any.
 */
__u32 traffic_count(const struct traffic *traffic, __u64 sent, FILE *file);

#endif
