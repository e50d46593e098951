// SPDX-License-Identifier: GPL-2.0-or-later
/* Addresses, ports and numbers, with the words that stand in front of them, as tests. */
#include <string.h>
#include <linux/bpf.h>

#include "filter_internal.h"
#include "packet.h"

enum { ETH_IP = 0x800, ETH_ARP = 0x806, ETH_RARP = 0x8035, ETH_IP6 = 0x86dd };
enum { IP_SOURCE = 12, IP_DESTINATION = 16 };
enum { IP_ICMP = 1, IP_TCP = 6, IP_UDP = 17, IP_ICMP6 = 58, IP_SCTP = 132 };

#define KEY(member) (offsetof(struct packet, key) + offsetof(struct flow_key, member))

/* Is what may stand at two places asked for once, since there are many? */
static int is_twofold(const struct compiler *c)
{
	return c->is_mixed && (c->link == L_ETHERNET || c->link == L_PPP);
}

/* Join what is asked of the source and of the destination as a direction says. */
static int directed(struct compiler *c, enum direction direction, int source,
		    int destination)
{
	if (direction == D_AND)
		return filter_and(c, source, destination);
	return filter_or(c, source, destination);
}

/* An IPv4 address of a packet of IPv4, ARP or RARP. */
static int either_host_at(struct compiler *c, __u32 address, __u32 mask, enum direction direction)
{
	int is_source = direction == D_SRC, group;

	if (direction != D_SRC && direction != D_DST)
		return directed(c, direction, either_host_at(c, address, mask, D_SRC),
				either_host_at(c, address, mask, D_DST));
	group = filter_masked(c, V_TRANSPORT, is_source ? IP_SOURCE : IP_DESTINATION, 4, mask, BPF_JEQ, address);
	c->tests[group].base |= OR_ARP;
	return group;
}

/* An IPv4 address at source or destination, counted from the network header. */
static int host_at(struct compiler *c, __u32 source, __u32 destination, __u32 address, __u32 mask,
		   enum direction direction)
{
	__u32 offset = direction == D_SRC ? source : destination;

	if (direction == D_SRC || direction == D_DST)
		return filter_masked(c, V_FRAME, c->payload + c->network + offset, 4, mask, BPF_JEQ,
				     address);
	return directed(c, direction,
			host_at(c, source, destination, address, mask, D_SRC),
			host_at(c, source, destination, address, mask, D_DST));
}

int filter_host(struct compiler *c, const struct token *token, __u32 address, __u32 mask,
		struct qualifiers q)
{
	int ip = -1, arp = -1;

	if (q.protocol != P_DEFAULT && q.protocol != P_IP && q.protocol != P_ARP &&
	    q.protocol != P_RARP)
		filter_fail(c, token, "an IPv4 address goes with ip, arp or rarp, not with the "
			    "protocol in front of %.*s", TOKEN_TEXT(c, token));
	if (filter_has_field(c, F_SOURCE) && mask && !(address & ~mask)) {
		if (q.protocol != P_DEFAULT) /* of the two that have such fields, IPv4 and ARP */
			ip = filter_protocol(c, token, q.protocol);
		arp = filter_fields(c, F_SOURCE, q.direction, mask, address, 0);
		return ip < 0 ? arp : filter_and(c, ip, arp);
	}
	if (is_twofold(c) && c->link == L_ETHERNET && !c->labels && q.protocol == P_DEFAULT)
		return filter_and(c, filter_any_of(c, c->link_type, 2, ETH_IP, ETH_ARP, ETH_RARP),
				  either_host_at(c, address, mask, q.direction));
	if (q.protocol == P_DEFAULT || q.protocol == P_IP)
		ip = filter_and(c, filter_ethertype(c, token, ETH_IP),
				host_at(c, IP_SOURCE, IP_DESTINATION, address, mask, q.direction));
	if (q.protocol == P_IP || (q.protocol == P_DEFAULT && c->labels))
		return ip;
	if (q.protocol == P_DEFAULT && c->link == L_ETHERNET)
		arp = filter_any_of(c, c->link_type, 2, ETH_ARP, ETH_RARP, ETH_RARP);
	else if (q.protocol == P_DEFAULT)
		arp = filter_or(c, filter_ethertype(c, token, ETH_ARP),
				filter_ethertype(c, token, ETH_RARP));
	else
		arp = filter_ethertype(c, token, q.protocol == P_ARP ? ETH_ARP : ETH_RARP);
	arp = filter_and(c, arp, host_at(c, 14, 24, address, mask, q.direction));
	return ip < 0 ? arp : filter_or(c, ip, arp);
}

/* The index of an address in c->addresses. */
static __u32 number_of(struct compiler *c, const __u8 address[16], unsigned int prefix)
{
	struct address *to;
	int i;

	for (i = 0; i < c->naddresses; i++)
		if (c->addresses[i].prefix == prefix && !memcmp(c->addresses[i].bytes, address, 16))
			return i;
	c->addresses = filter_grow(c, c->addresses, c->naddresses, &c->addresses_size, sizeof(*to));
	to = &c->addresses[c->naddresses++];
	memcpy(to->bytes, address, sizeof(to->bytes));
	to->prefix = prefix;
	return i;
}

static int host6_at(struct compiler *c, const struct token *token, __u32 offset,
		    const __u8 address[16], unsigned int prefix)
{
	int group = filter_ethertype(c, token, ETH_IP6);

	if (filter_has_field(c, F_SOURCE6))
		return filter_and(c, group,
				  filter_field(c, offset == 8 ? F_SOURCE6 : F_DESTINATION6, 0,
					       number_of(c, address, prefix), 0));
	for (unsigned int word = 0; word < 4; word++) {
		unsigned int bits = prefix < 32 * word ? 0 : prefix - 32 * word;
		__u32 mask = bits >= 32 ? 0xffffffff : ~(0xffffffff >> bits);
		const __u8 *byte = address + 4 * word;
		__u32 k = (__u32)byte[0] << 24 | byte[1] << 16 | byte[2] << 8 | byte[3];

		group = filter_and(c, group,
				   filter_masked(c, V_FRAME,
						 c->payload + c->network + offset + 4 * word, 4,
						 mask, BPF_JEQ, k));
	}
	return group;
}

int filter_host6(struct compiler *c, const struct token *token, const __u8 address[16],
		 unsigned int prefix, struct qualifiers q)
{
	if (q.kind == T_PORT || q.kind == T_PORTRANGE || q.kind == T_PROTO ||
	    q.kind == T_PROTOCHAIN || (q.protocol != P_DEFAULT && q.protocol != P_IP6))
		filter_fail(c, token, "%.*s is an IPv6 address: it goes with host or net",
			    TOKEN_TEXT(c, token));
	if (q.direction == D_SRC)
		return host6_at(c, token, 8, address, prefix);
	if (q.direction == D_DST)
		return host6_at(c, token, 24, address, prefix);
	return directed(c, q.direction, host6_at(c, token, 8, address, prefix),
			host6_at(c, token, 24, address, prefix));
}

/* The last four bytes first, as libpcap does; all at once in a long filter, if they are where all of a frame's
 * first 14 bytes are there in any case. */
static int mac_at(struct compiler *c, __u32 offset, const __u8 address[6])
{
	__u32 last = (__u32)address[2] << 24 | address[3] << 16 | address[4] << 8 | address[5];
	__u8 bytes[16] = { 0 };

	memcpy(bytes, address, 6);
	if (c->is_long && !c->link_header)
		return filter_compare(c, V_FRAME, offset, 6, BPF_JEQ, number_of(c, bytes, 48));

	return filter_and(c,
			  filter_compare(c, V_FRAME, c->link_header + offset + 2, 4, BPF_JEQ, last),
			  filter_compare(c, V_FRAME, c->link_header + offset, 2, BPF_JEQ,
					 address[0] << 8 | address[1]));
}

int filter_mac(struct compiler *c, const struct token *token, const __u8 address[6],
	       struct qualifiers q)
{
	if ((q.kind != T_HOST && q.kind != KIND_DEFAULT) || q.protocol != P_LINK)
		filter_fail(c, token, "an Ethernet address needs ether host, ether src or ether "
			    "dst in front of it");
	if (c->link != L_ETHERNET)
		filter_fail(c, token, "there are no Ethernet addresses here");
	if (q.direction == D_SRC)
		return mac_at(c, 6, address);
	if (q.direction == D_DST)
		return mac_at(c, 0, address);
	return directed(c, q.direction, mac_at(c, 6, address), mac_at(c, 0, address));
}

/* The port at 0 (source) or 2 behind a header of IPv4, IPv6 or EITHER. */
static int port_at(struct compiler *c, unsigned int version, __u32 offset, __u32 low, __u32 high)
{
	enum test_kind kind = version == 6 ? V_FRAME : V_TRANSPORT;
	int group;

	if (version == 6)
		offset += c->payload + c->network + 40;
	group = low == high ? filter_compare(c, kind, offset, 2, BPF_JEQ, low) :
		filter_between(c, kind, offset, 2, low, high);
	if (version == EITHER)
		c->tests[group].base |= EITHER | filter_tells_version(c);
	return group;
}

static int ports_at(struct compiler *c, unsigned int version, __u32 low, __u32 high, enum direction direction)
{
	if (direction == D_SRC)
		return port_at(c, version, 0, low, high);
	if (direction == D_DST)
		return port_at(c, version, 2, low, high);
	return directed(c, direction, port_at(c, version, 0, low, high), port_at(c, version, 2, low, high));
}

/* Not a later fragment: those have no transport header. */
int filter_first_fragment(struct compiler *c)
{
	return filter_not(c, filter_compare(c, V_FRAME, c->payload + c->network + 6, 2, BPF_JSET,
					 0x1fff));
}

/* The byte at offset is protocol, or (0) any that has ports. */
static int has_ports(struct compiler *c, __u32 offset, unsigned int protocol)
{
	if (!protocol)
		return filter_any_of(c, offset, 1, IP_TCP, IP_UDP, IP_SCTP);
	return filter_compare(c, V_FRAME, offset, 1, BPF_JEQ, protocol);
}

/* Ports from low to high of a protocol, or (0) of all that have ports. IPv6 comes first. */
int filter_ports(struct compiler *c, const struct token *token, __u32 low, __u32 high,
		 unsigned int protocol, enum direction direction)
{
	__u32 header = c->payload + c->network;
	int ip6, ip, either;

	if (low > high) {
		__u32 swap = low;

		low = high;
		high = swap;
	}
	if (filter_has_field(c, F_SOURCE_PORT)) { /* no other packet has them, nor has a later fragment */
		ip = filter_fields(c, F_SOURCE_PORT, direction, 0, low, high - low);
		return !protocol ? ip : filter_and(c, filter_field(c, F_PROTOCOL, 0, protocol, 0), ip);
	}
	either = is_twofold(c);
	ip6 = filter_ethertype(c, token, ETH_IP6);
	ip6 = filter_and(c, ip6, has_ports(c, header + 6, protocol));
	if (!either)
		ip6 = filter_and(c, ip6, ports_at(c, 6, low, high, direction));
	ip = filter_and(c, filter_ethertype(c, token, ETH_IP), has_ports(c, header + 9, protocol));
	ip = filter_and(c, ip, filter_first_fragment(c));
	if (!either)
		ip = filter_and(c, ip, ports_at(c, 4, low, high, direction));
	ip = filter_or(c, ip6, ip);
	return either ? filter_and(c, ip, ports_at(c, EITHER, low, high, direction)) : ip;
}

/* Behind so many bytes of a frame, which are an Ethernet header and four tags or labels, the chain of headers is not
 * walked: only its first value is looked at. The decoder goes behind two tags. */
#define CHAIN_WALKED_MAX 30

/* protochain: number is among the next-header values behind an IP header. */
int filter_protochain(struct compiler *c, const struct token *token, __u32 number,
		      enum protocol protocol)
{
	__u32 header = c->payload + c->network;
	int is_field = header > CHAIN_WALKED_MAX && number <= 0xff && filter_has_field(c, F_PROTOCOL);
	int group, chain;

	if (protocol == P_DEFAULT && filter_has_field(c, F_CHAIN))
		return filter_compare(c, V_CHAIN, 0, 0, BPF_JEQ, number);
	if (protocol == P_DEFAULT && is_field)
		return filter_field(c, F_PROTOCOL, 0, number, 0);
	if (protocol == P_DEFAULT) {
		group = filter_protochain(c, token, number, P_IP);
		return filter_or(c, group, filter_protochain(c, token, number, P_IP6));
	}
	if (protocol != P_IP && protocol != P_IP6)
		filter_fail(c, token, "protochain goes with ip or ip6");
	group = filter_ethertype(c, token, protocol == P_IP ? ETH_IP : ETH_IP6);
	if (filter_has_field(c, F_CHAIN))
		return filter_and(c, group, filter_compare(c, V_CHAIN, 0, 0, BPF_JEQ, number));
	if (is_field)
		return filter_and(c, group, filter_field(c, F_PROTOCOL, 0, number, 0));
	if (header > CHAIN_WALKED_MAX)
		return filter_and(c, group, filter_compare(c, V_FRAME, header + (protocol == P_IP ? 9 : 6), 1,
							   BPF_JEQ, number));
	chain = filter_compare(c, V_CHAIN, header, protocol == P_IP ? 4 : 6, BPF_JEQ, number);
	c->tests[chain].base = filter_tells_version(c);
	return filter_and(c, group, chain);
}

/* --tcp, --udp, --icmp: what the decoder found, behind tags and extension headers too. */
int filter_decoded(struct compiler *c, unsigned int protocol)
{
	int present = filter_compare(c, V_PACKET, KEY(present), 1, BPF_JSET,
				     FIELD_PROTOCOL);
	int group = filter_compare(c, V_PACKET, KEY(protocol), 1, BPF_JEQ, protocol);

	if (protocol == IP_ICMP)
		group = filter_or(c, group, filter_compare(c, V_PACKET, KEY(protocol), 1, BPF_JEQ,
							   IP_ICMP6));
	return filter_and(c, present, group);
}

int filter_length(struct compiler *c, int op, __u32 k)
{
	return filter_compare(c, V_PACKET, offsetof(struct packet, length), 4, op, k);
}

static int proto_number(struct compiler *c, const struct token *token, __u32 number,
			enum protocol protocol)
{
	switch (protocol) {
	case P_DEFAULT:
	case P_IP:
	case P_IP6:
		return filter_ip_number(c, token, number, protocol);
	case P_LINK:
		return filter_ethertype(c, token, number);
	case P_ISO:
	case P_ISIS:
		return filter_iso(c, token, number, protocol == P_ISIS);
	default:
		filter_fail(c, token, "proto goes with ether, ip, ip6, iso or isis");
	}
}

/* A number: what it is, the words in front of it say. */
int filter_number(struct compiler *c, const struct token *token, __u32 number,
		  struct qualifiers q)
{
	__u32 mask = 0xffffffff;

	switch (q.kind) {
	case T_PORT:
	case T_PORTRANGE:
		if (number > 65535)
			filter_fail(c, token, "ports end at 65535");
		return filter_ports(c, token, number, number, filter_port_protocol(c, token, q),
				    q.direction);
	case T_PROTO:
		return proto_number(c, token, number, q.protocol);
	case T_PROTOCHAIN:
		return filter_protochain(c, token, number, q.protocol);
	case T_NET:
		while (number && !(number & 0xff000000)) {
			number <<= 8;
			mask <<= 8;
		}
		break;
	default:
		break;
	}
	return filter_host(c, token, number, mask, q);
}
