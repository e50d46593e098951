// SPDX-License-Identifier: GPL-2.0-or-later
/* Primitives about the link layer. vlan, mpls and pppoes shift all that stands behind them. */
#include <linux/bpf.h>

#include "filter_internal.h"

enum { ETH_IP = 0x800, ETH_IP6 = 0x86dd, ETH_8021Q = 0x8100, ETH_8021AD = 0x88a8,
       ETH_QINQ = 0x9100, ETH_MPLS = 0x8847, ETH_PPPOES = 0x8864, PPP_MPLS = 0x281 };

static const struct token *need_ethernet(struct compiler *c, const struct token *token)
{
	if (c->link != L_ETHERNET)
		filter_fail(c, token, "there is no Ethernet header for %.*s to look at",
			    TOKEN_TEXT(c, token));
	return token;
}

static int ip_broadcast(struct compiler *c, const struct token *token)
{
	__u32 destination = c->payload + c->network + 16;
	int any = filter_or(c,
			    filter_compare(c, V_FRAME, destination, 4, BPF_JEQ, 0),
			    filter_compare(c, V_FRAME, destination, 4, BPF_JEQ,
					   0xffffffff));

	return filter_and(c, filter_ethertype(c, token, ETH_IP), any);
}

static int ip_multicast(struct compiler *c, const struct token *token,
			enum protocol protocol)
{
	__u32 header = c->payload + c->network;
	int group = protocol == P_IP ?
		filter_compare(c, V_FRAME, header + 16, 1, BPF_JGE, 224) :
		filter_compare(c, V_FRAME, header + 24, 1, BPF_JEQ, 255);

	return filter_and(c, filter_ethertype(c, token, protocol == P_IP ? ETH_IP : ETH_IP6),
			  group);
}

/* broadcast and multicast, with ether, ip or ip6 in front of them. */
int filter_cast(struct compiler *c, const struct token *token, enum protocol protocol,
		int multicast)
{
	int group;

	if (protocol == P_IP && !multicast)
		return ip_broadcast(c, token);
	if ((protocol == P_IP || protocol == P_IP6) && multicast)
		return ip_multicast(c, token, protocol);
	if (protocol != P_DEFAULT && protocol != P_LINK)
		filter_fail(c, token, "%.*s goes with ether, ip%s", TOKEN_TEXT(c, token),
			    multicast ? " or ip6" : "");
	need_ethernet(c, token);
	if (multicast)
		return filter_compare(c, V_FRAME, c->link_header, 1, BPF_JSET, 1);
	group = filter_compare(c, V_FRAME, c->link_header + 2, 4, BPF_JEQ, 0xffffffff);
	return filter_and(c, group,
			  filter_compare(c, V_FRAME, c->link_header, 2, BPF_JEQ, 0xffff));
}

static void check_most(struct compiler *c, const struct token *token, __u32 most)
{
	if (token->value > most)
		filter_fail(c, token, "%u is more than the %u that fit", token->value, most);
}

int filter_vlan(struct compiler *c, const struct token *token, const struct token *id)
{
	int group;

	if (c->labels)
		filter_fail(c, token, "vlan cannot stand behind mpls");
	need_ethernet(c, token);
	group = filter_any_of(c, c->link_type, 2, ETH_8021Q, ETH_8021AD, ETH_QINQ);
	if (id) {
		check_most(c, id, 0xfff);
		group = filter_and(c, group, filter_masked(c, V_FRAME, c->payload, 2, 0xfff,
							   BPF_JEQ, id->value));
	}
	c->link_type += 4;
	c->payload += 4;
	filter_look_ahead(c);
	return group;
}

int filter_mpls(struct compiler *c, const struct token *token, const struct token *label)
{
	__u32 header = c->payload + c->network;
	int group;

	if (c->labels)
		group = filter_masked(c, V_FRAME, header - 2, 1, 1, BPF_JEQ, 0);
	else if (c->link == L_PPP)
		group = filter_ethertype(c, token, PPP_MPLS);
	else
		group = filter_ethertype(c, need_ethernet(c, token), ETH_MPLS);
	if (label) {
		check_most(c, label, 0xfffff);
		group = filter_and(c, group, filter_masked(c, V_FRAME, header, 4, 0xfffff000,
							   BPF_JEQ, label->value << 12));
	}
	c->network += 4;
	c->network_802_2 += 4;
	c->labels++;
	filter_look_ahead(c);
	return group;
}

int filter_pppoes(struct compiler *c, const struct token *token, const struct token *id)
{
	int group = filter_ethertype(c, token, ETH_PPPOES);
	__u32 header = c->payload + c->network;

	if (id) {
		check_most(c, id, 0xffff);
		group = filter_and(c, group, filter_masked(c, V_FRAME, header, 4, 0xffff, BPF_JEQ,
							   id->value));
	}
	c->link = L_PPP;
	c->link_header = c->link_type = header + 6;
	c->payload = header + 8;
	c->network = c->network_802_2 = 0;
	filter_look_ahead(c);
	return group;
}

/* llc, llc i, llc s, llc u, llc TYPE. */
int filter_llc(struct compiler *c, const struct token *token, const struct token *type)
{
	const char *name = type ? c->text + type->start : "";
	int unnumbered, number;
	int group;

	need_ethernet(c, token);
	group = filter_not(c, filter_compare(c, V_FRAME, c->payload, 2, BPF_JEQ, 0xffff));
	group = filter_and(c, filter_is_length(c), group);
	if (!type)
		return group;
	if (type->len == 1 && (*name == 'i' || *name == 's' || *name == 'u')) {
		int control = *name == 'i' ?
			filter_not(c, filter_compare(c, V_FRAME, c->payload + 2, 1, BPF_JSET, 1)) :
			filter_masked(c, V_FRAME, c->payload + 2, 1, 3, BPF_JEQ,
				      *name == 's' ? 1 : 3);

		return filter_and(c, group, control);
	}
	number = filter_llc_type(name, type->len, &unnumbered);
	if (number < 0)
		filter_fail(c, type, "%.*s is no type of 802.2 frame", TOKEN_TEXT(c, type));
	return filter_and(c, group,
			  filter_masked(c, V_FRAME, c->payload + 2, 1, unnumbered ? 0xef : 0x0f,
					BPF_JEQ, number));
}
