// SPDX-License-Identifier: GPL-2.0-or-later
/* Protocols, by number and by name, as tests. */
#include <linux/bpf.h>

#include "filter_internal.h"

enum { ETH_IP = 0x800, ETH_ARP = 0x806, ETH_RARP = 0x8035, ETH_IP6 = 0x86dd, ETH_ATALK = 0x809b, ETH_AARP = 0x80f3 };
enum { SAP_STP = 0x42, SAP_IPX = 0xe0, SAP_NETBEUI = 0xf0, SAP_ISO = 0xfe };
enum { IP_TCP = 6, IP_UDP = 17, IP_FRAGMENT = 44, IP_ICMP6 = 58, IP_SCTP = 132 };
enum { CLNP_ISIS = 0x83 };

/* A byte behind the network header's first one is k. */
static int header_is(struct compiler *c, __u32 offset, __u32 k)
{
	return filter_compare(c, V_FRAME, c->payload + c->network + offset, 1, BPF_JEQ, k);
}

/* ip proto N, ip6 proto N (behind one fragment header, too), proto N: both. */
int filter_ip_number(struct compiler *c, const struct token *token, __u32 number,
		     enum protocol protocol)
{
	int type, fragment, group;

	if (protocol != P_IP && number <= 0xff && filter_has_field(c, F_NUMBER)) {
		group = filter_field(c, number == IP_FRAGMENT ? F_PROTOCOL : F_NUMBER, 0, number, 0);
		return protocol == P_DEFAULT ? group : filter_and(c, filter_ethertype(c, token, ETH_IP6), group);
	}
	if (protocol == P_DEFAULT) {
		group = filter_ip_number(c, token, number, P_IP);
		return filter_or(c, group, filter_ip_number(c, token, number, P_IP6));
	}
	if (protocol == P_IP) {
		type = filter_ethertype(c, token, ETH_IP);
		return filter_and(c, type, header_is(c, 9, number));
	}
	type = filter_ethertype(c, token, ETH_IP6);
	fragment = header_is(c, 6, IP_FRAGMENT);
	fragment = filter_and(c, fragment, header_is(c, 40, number));
	group = filter_or(c, header_is(c, 6, number), fragment);
	return filter_and(c, type, group);
}

/* ISO protocols stand behind an 802.2 header of three bytes; IS-IS has a type of its own. */
int filter_iso(struct compiler *c, const struct token *token, __u32 number, int isis)
{
	int group = filter_ethertype(c, token, SAP_ISO);
	__u32 header = c->payload + c->network_802_2;

	group = filter_and(c, group, filter_compare(c, V_FRAME, header, 1, BPF_JEQ, isis ? CLNP_ISIS : number));
	return isis ? filter_and(c, group, filter_compare(c, V_FRAME, header + 4, 1, BPF_JEQ, number)) : group;
}

/* Any of the IS-IS types whose bits are set. */
static int isis_types(struct compiler *c, const struct token *token, __u32 types)
{
	int any = -1;

	for (__u32 type = 0; type < 32; type++) {
		int group;

		if (!(types >> type & 1))
			continue;
		group = filter_iso(c, token, type, 1);
		any = any < 0 ? group : filter_or(c, any, group);
	}
	return any;
}

/* A protocol's name alone: what it says. */
enum { ETHERTYPE, ANY_IP, IP4, IP6, ISO, ISIS };
static const struct name {
	__u8 protocol, layer;
	__u32 number;
} names[] = {
	{ P_IP, ETHERTYPE, ETH_IP },       { P_ARP, ETHERTYPE, ETH_ARP },
	{ P_RARP, ETHERTYPE, ETH_RARP },   { P_IP6, ETHERTYPE, ETH_IP6 },
	{ P_SCTP, ANY_IP, IP_SCTP },       { P_TCP, ANY_IP, IP_TCP },
	{ P_UDP, ANY_IP, IP_UDP },         { P_ICMP, IP4, 1 },
	{ P_IGMP, IP4, 2 },                { P_IGRP, IP4, 9 },
	{ P_PIM, ANY_IP, 103 },            { P_VRRP, IP4, 112 },
	{ P_ICMP6, IP6, IP_ICMP6 },        { P_AH, ANY_IP, 51 },
	{ P_ESP, ANY_IP, 50 },             { P_ATALK, ETHERTYPE, ETH_ATALK },
	{ P_AARP, ETHERTYPE, ETH_AARP },   { P_DECNET, ETHERTYPE, 0x6003 },
	{ P_LAT, ETHERTYPE, 0x6004 },      { P_SCA, ETHERTYPE, 0x6007 },
	{ P_MOPDL, ETHERTYPE, 0x6001 },    { P_MOPRC, ETHERTYPE, 0x6002 },
	{ P_ISO, ETHERTYPE, SAP_ISO },     { P_ESIS, ISO, 0x82 },
	{ P_ISIS, ISO, CLNP_ISIS },        { P_CLNP, ISO, 0x81 },
	{ P_L1, ISIS, 1 << 15 | 1 << 17 | 1 << 18 | 1 << 24 | 1 << 26 },
	{ P_L2, ISIS, 1 << 16 | 1 << 17 | 1 << 20 | 1 << 25 | 1 << 27 },
	{ P_IIH, ISIS, 1 << 15 | 1 << 16 | 1 << 17 },
	{ P_LSP, ISIS, 1 << 18 | 1 << 20 },
	{ P_SNP, ISIS, 1 << 24 | 1 << 25 | 1 << 26 | 1 << 27 },
	{ P_CSNP, ISIS, 1 << 24 | 1 << 25 }, { P_PSNP, ISIS, 1 << 26 | 1 << 27 },
	{ P_STP, ETHERTYPE, SAP_STP },     { P_IPX, ETHERTYPE, SAP_IPX },
	{ P_NETBEUI, ETHERTYPE, SAP_NETBEUI },
};

static const struct name *find_name(struct compiler *c, const struct token *token, enum protocol protocol)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].protocol == protocol)
			return &names[i];
	filter_fail(c, token, "%.*s needs host, proto, broadcast, multicast or [...] behind it",
		    TOKEN_TEXT(c, token));
}

int filter_protocol(struct compiler *c, const struct token *token, enum protocol protocol)
{
	const struct name *name = find_name(c, token, protocol);

	switch (name->layer) {
	case ETHERTYPE:
		return filter_ethertype(c, token, name->number);
	case ISO:
		return filter_iso(c, token, name->number, 0);
	case ISIS:
		return isis_types(c, token, name->number);
	}
	return filter_ip_number(c, token, name->number, name->layer == ANY_IP ? P_DEFAULT :
				name->layer == IP4 ? P_IP : P_IP6);
}

/* What must hold before bytes behind an IPv4 header are protocol's, but that there is one. */
int filter_transport(struct compiler *c, const struct token *token, enum protocol protocol)
{
	if (filter_has_field(c, F_TRANSPORT))
		return filter_field(c, F_TRANSPORT, 0, find_name(c, token, protocol)->number, 0);
	return filter_and(c, filter_protocol(c, token, protocol), filter_first_fragment(c));
}
