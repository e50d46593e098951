/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The records that the XDP program (xdp_prog.c) and the binary share. Both sides are built from
 * this file; every size and offset that either relies on is asserted at its end.
 */
#ifndef XGUARD_PACKET_H
#define XGUARD_PACKET_H

#include <linux/types.h>
#include <stddef.h>

/* Changes whenever a record below does; --object refuses an object that has another one. */
#define XGUARD_ABI 0x78670009u

/*
 * Which fields a key has. The same bits say which fields make a flow (config.by), what a frame
 * had (flow_key.present) and which columns are shown. The order is the order of output.
 */
#define FIELD_ETH_TYPE (1u << 0)
#define FIELD_VLAN     (1u << 1)
#define FIELD_SRC_IP   (1u << 2)
#define FIELD_SRC_PORT (1u << 3)
#define FIELD_DST_IP   (1u << 4)
#define FIELD_DST_PORT (1u << 5)
#define FIELD_PROTOCOL (1u << 6)
#define FIELD_IPV6     (1u << 7) /* only in present: the addresses are 16 bytes, not 4 */

#define FIELDS_DEFAULT (FIELD_ETH_TYPE | FIELD_SRC_IP | FIELD_PROTOCOL)
#define FIELDS_ALL     0x7fu

/*
 * What makes a flow, in six words of 64 bits. A field that is absent, or that config.by leaves
 * out, is zero and has no bit in present, so that equal flows have equal bytes. An IPv4 address
 * stands in the first four bytes of its sixteen.
 *
 *	word 0, 1   source address        word 4   ports, link
 *	word 2, 3   destination address   word 5   type, VLAN, protocol, present, generation
 */
struct flow_key {
	__u8 src_ip[16];   /* network byte order */
	__u8 dst_ip[16];   /* network byte order */
	__be16 src_port;   /* network byte order */
	__be16 dst_port;   /* network byte order */
	__u32 ifindex;     /* host byte order, the link that the program was attached to */
	__be16 eth_type;   /* network byte order; the inner one behind tags; 0: an 802.3 length */
	__u16 vlan;        /* host byte order, the outer tag's 12 bits */
	__u8 protocol;     /* of IPv4, or behind IPv6's extension headers */
	__u8 present;      /* FIELD_ */
	__u16 generation;  /* of a cache slot, odd while it changes; in the second level the CPU that
			    * the element belongs to if config.plain, else 0, as in every other place */
};

struct flow_count {
	__u64 packets;
	__u64 bytes;       /* lengths of the frames without FCS */
};

/* One slot of a CPU's cache: a cache line. packets == 0: never used. */
struct flow_slot {
	struct flow_key key;
	struct flow_count count;
};

/*
 * What one link's program counted on one CPU, a cache line: element link * (cpus + 1) + cpu. The last
 * row of a link is for CPUs whose number is beyond cpus (the numbers may have gaps), and for all where
 * config.preemptible says so: it is shared, and added to atomically.
 */
struct link_count {
	struct flow_count matched;      /* kernel trace: frames that the filter let through */
	struct flow_count unattributed; /* userspace trace: frames that no flow could hold */
	__u64 lines;                    /* kernel trace: frames for which a line was asked for */
	__u64 unprinted;                /* of those, where bpf_trace_printk returned an error */
	__u64 missed;                   /* userspace trace: frames that found no slot in the cache */
	__u64 full;                     /* 1: the second level last refused a flow */
};

/* How a link's frames begin, from its ARPHRD_ type. */
#define LINK_ETHERNET 0u
#define LINK_IP       1u /* no header before IP: tun, WireGuard, PPP, GRE */
#define LINK_UNKNOWN  2u /* frames are counted, not decoded */

/* config.frags: frames may have fragments, and then: */
#define FRAGS         1u /* the kernel is asked for their length */
#define FRAGS_ALONE   2u /* match_pieces() is asked of all frames, so that match() need not be there, too */
#define FRAGS_SCRATCH 4u /* match_pieces() gets a CPU's scratch memory, into which it has the frame copied */

#define SCRATCH_SIZE 4096 /* bytes, */
#define SCRATCH_COPY 1024 /* of which the first ones are for the frame; behind them see filter_header.c */

/*
 * The configuration of one program, in its frozen .rodata. Its loads become immediates where the
 * loader can see them whole (CONFIG() in xdp_prog.c), the others are constants to the verifier all
 * the same (since Linux 5.5): it drops the branches that they rule out.
 */
struct config {
	__u32 version;         /* XGUARD_ABI, written by the compiler, checked by the loader */
	__u32 ifindex;
	__u32 link;            /* this program's row of the links map */
	__u32 link_type;       /* LINK_ */
	__u32 kernel_trace;    /* 1: print a line a frame, 0: count flows */
	__u32 by;              /* FIELD_ bits that make a flow */
	__u32 filtered;        /* 1: match() decides which frames count; 2: and looks at the key */
	__u32 frags;           /* FRAGS_ */
	__u32 cpus;            /* CPUs that have slots of the cache and a row of the links map */
	__u32 slot_bits;       /* log2 of the cache's slots a CPU */
	__u32 sample;          /* kernel trace: a line for every Nth matching frame of a CPU */
	__u32 prefixed;        /* 1: addresses are cut to mask4 and mask6 */
	__u32 quick;           /* 1: the short cut may be taken: Ethernet, what is seen is counted */
	__u32 one_word4;       /* 1: word 4 is the same in all keys: one link, and ports do not count */
	__u32 plain;           /* 1: no atomic additions: no JIT of a 32-bit machine has them */
	__u32 preemptible;     /* 1: a CPU's program may interrupt another: no cache then */
	__u64 multiplier[6];   /* of the cache's hash, odd and random, one a word of the key */
	__u64 mask;            /* of the key's word 5: the fields that make a flow */
	__u64 mask4;           /* of an IPv4 address, as it stands in word 0 of the key */
	__u64 mask6[2];        /* of an IPv6 address, as it stands in words 0 and 1 */
	char format[32];       /* of the kernel trace's line, with the run's marker in it */
};

/*
 * The line that the kernel trace prints, behind its marker: three words in hexadecimal, as much
 * as bpf_trace_printk takes.
 *
 *	63           48 47      40 39     32 31                        0
 *	| Ethernet type | protocol | present |          ifindex         |   host byte order
 *	| source address, bytes 0 to 7, the first one uppermost         |
 *	| source address, bytes 8 to 15                                 |
 */
#define TRACE_FORMAT "%s %%llx %%llx %%llx\n" /* snprintf makes config.format of it */
#define TRACE_MARKER_LEN 10                   /* "xg" and eight hexadecimal digits */
#define TRACE_FORMAT_SIZE (TRACE_MARKER_LEN + 17) /* its NUL included: the helper wants it exact */

/*
 * One frame, on the XDP program's stack: what decode() found, and what match() may look at.
 * What only a filter needs is filled in when config.filtered says so.
 */
struct packet {
	struct flow_key key;   /* every field that was found, whatever config.by says; no masks */
#ifdef __bpf__
	void *data;            /* the frame's first byte, Ethernet header and tags included; in match_pieces():
				* scratch memory, if config.frags says so */
	void *data_end;        /* of the frame's first piece */
	void *ctx;             /* where config.frags says so: match_pieces() asks the kernel for bytes */
#else
	__u64 data;
	__u64 data_end;
	__u64 ctx;
#endif
	__u32 reserved;        /* so that length is no whole word of the stack: what the verifier learns about
				* one load of it should not stick to the others */
	__u32 length;          /* bytes of the frame, without FCS, fragments included */
};

#define PACKET_ASSERT(type, member, offset) \
	_Static_assert(offsetof(struct type, member) == (offset), #type "." #member)

_Static_assert(sizeof(struct flow_key) == 48, "flow_key");
PACKET_ASSERT(flow_key, dst_ip, 16);
PACKET_ASSERT(flow_key, src_port, 32);
PACKET_ASSERT(flow_key, ifindex, 36);
PACKET_ASSERT(flow_key, eth_type, 40);
PACKET_ASSERT(flow_key, vlan, 42);
PACKET_ASSERT(flow_key, protocol, 44);
PACKET_ASSERT(flow_key, present, 45);
PACKET_ASSERT(flow_key, generation, 46);
_Static_assert(sizeof(struct flow_count) == 16, "flow_count");
_Static_assert(sizeof(struct flow_slot) == 64, "flow_slot");
PACKET_ASSERT(flow_slot, count, 48);
_Static_assert(sizeof(struct link_count) == 64, "link_count");
PACKET_ASSERT(link_count, unattributed, 16);
PACKET_ASSERT(link_count, lines, 32);
PACKET_ASSERT(link_count, missed, 48);
_Static_assert(sizeof(struct config) == 176, "config");
PACKET_ASSERT(config, multiplier, 64);
PACKET_ASSERT(config, mask, 112);
PACKET_ASSERT(config, format, 144);
_Static_assert(sizeof(struct packet) == 80, "packet");
PACKET_ASSERT(packet, data, 48);
PACKET_ASSERT(packet, data_end, 56);
PACKET_ASSERT(packet, ctx, 64);
PACKET_ASSERT(packet, length, 76);

#endif
