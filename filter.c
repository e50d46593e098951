// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf_insn.h"
#include "filter_internal.h"
#include "packet.h"

static void set_link(struct compiler *c, unsigned int link_type)
{
	c->link = L_UNKNOWN;
	if (link_type == LINK_IP) {
		c->link = L_IP;
	} else if (link_type == LINK_ETHERNET) {
		c->link = L_ETHERNET;
		c->link_type = 12;
		c->payload = 14;
		c->network_802_2 = 3;
	}
	c->field_header = c->payload + c->network;
}

/*
 * From so many addresses, numbers and words that stand alone on, IPv6 addresses become fields, and chains of
 * headers are walked at the beginning. With so much besides that makes the ways through a filter many, all values
 * become fields, what else is looked at is copied, and tests are joined. A list, in which the first that holds ends it,
 * costs a frame less without.
 */
#define LONG  32
#define MIXED 8
#define CHAIN 4 /* primitives that a walk counts for */

/* Each "vlan" shifts all that stands behind it, so that there are values of one header, of the next, and so
 * on. Fields are of the header with the most of them, if that is one of the first, and has more than a few. Where there
 * is room, ports and protocols are fields of all headers with some ports, too. */
#define VLANS_MAX  4
#define FEW        8
#define SOME_PORTS 2

#define LOOKED_AT 1000 /* words, of which values are looked for that have been there before */

/* Does it make ways many? "and" does, "not", a range, and words for several tests of which all must hold. */
static int is_branchy(const struct token *token)
{
	switch (token->type) {
	case T_AND:
	case T_VLAN:
	case T_MPLS:
	case T_PPPOES:
	case T_PORTRANGE:
	case T_NOT:
		return 1;
	case T_PROTOCOL:
		return token->value >= P_ESIS && token->value <= P_PSNP;
	default:
		return token->type == T_SYMBOL && token->value == '[';
	}
}

/* Has the same word been there before? */
static int is_again(const struct compiler *c, const struct token *token)
{
	const struct token *other = c->tokens;

	while (other < token &&
	       (other->len != token->len || memcmp(c->text + other->start, c->text + token->start, token->len)))
		other++;
	return other < token;
}

/* Is it the last word of a primitive? */
static int is_last(const struct token *token)
{
	const struct token *next = token + 1;

	return token->type != T_SYMBOL && (next->type == T_AND || next->type == T_OR || next->type == T_END ||
					   (next->type == T_SYMBOL && next->value == ')'));
}

static int is_value(const struct token *token)
{
	return token->type == T_IPV4 || token->type == T_IPV6 || token->type == T_MAC ||
	       token->type == T_NUMBER || token->type == T_WORD;
}

static int is_shift(const struct token *token)
{
	return token->type == T_VLAN || token->type == T_MPLS || token->type == T_PPPOES;
}

void filter_look_ahead(struct compiler *c)
{
	int ports = 0;

	for (const struct token *token = c->token; token->type != T_END && !is_shift(token); token++)
		ports += token->type == T_PROTOCHAIN ? 1 : token->type == T_PORT || token->type == T_PORTRANGE ? 2 : 0;
	c->has_ports = c->all_headers && ports >= 2 * SOME_PORTS;
}

static void choose_fields(struct compiler *c)
{
	int values[VLANS_MAX + 1] = { 0 }, vlans = 0, best = 0, all = 0, branchy = 0;

	for (const struct token *token = c->tokens; token->type != T_END; token++) {
		branchy += is_branchy(token);
		vlans += token->type == T_VLAN;
		all += token->type == T_PROTOCHAIN ? CHAIN - 1 : 0;
		if (!is_value(token)) {
			all += is_last(token);
			continue;
		}
		all++;
		/* A value that is there again (not the length of a network): ways lead past what is known. */
		if (token > c->tokens && token[-1].type != T_SYMBOL && token - c->tokens < LOOKED_AT)
			branchy += is_again(c, token);
		if (vlans <= VLANS_MAX && ++values[vlans] > values[best])
			best = vlans;
	}
	if (all < LONG)
		return;
	c->is_long = 1;
	c->is_mixed = branchy >= MIXED;
	c->fields = 1 << F_CHAIN | 1 << F_SOURCE6 | 1 << F_DESTINATION6;
	if (c->is_mixed)
		c->fields = ~0u;
	if (c->link == L_ETHERNET)
		c->field_header += 4 * best;
	if (c->link == L_UNKNOWN)
		c->fields = 0;
	c->has_many = values[best] >= FEW;
	filter_look_ahead(c);
}

static void compile(struct compiler *c, unsigned int protocol, unsigned int link_type, unsigned int fields)
{
	int group = -1;

	set_link(c, link_type);
	filter_lex(c);
	c->token = c->tokens;
	if (fields)
		choose_fields(c);
	c->fields &= fields;
	if (c->token->type != T_END)
		group = filter_parse(c);
	if (protocol) {
		int decoded = filter_decoded(c, protocol);

		c->filter->wants_key = 1;
		group = group < 0 ? decoded : filter_and(c, decoded, group);
	}
	if (group < 0)
		return;
	filter_finish(c, group);
	filter_code(c, group);
}

static void release(struct compiler *c)
{
	for (int i = 0; c->known && i < c->ntests; i++)
		free(c->known[i]);
	free(c->known);
	for (size_t i = 0; i < sizeof(c->work) / sizeof(*c->work); i++)
		free(c->work[i]);
	free(c->addresses);
	free(c->ariths);
	free(c->tests);
	free(c->tokens);
	free(c);
}

/* Only the code for frames in pieces is too long. */
static void give_up_pieces(struct compiler *c)
{
	free(c->filter->pieces);
	c->filter->pieces = NULL;
	c->filter->no_pieces = c->pieces != PIECES_IF_CHEAPER;
	c->err = 0;
}

/* Returns as filter_compile() does, or -E2BIG: too long, but may be shorter without fields. */
static int attempt(struct filter *filter, const char *expression, unsigned int protocol,
		   unsigned int link_type, int pieces, unsigned int fields, int all_headers)
{
	struct compiler *c = calloc(1, sizeof(*c));
	int err;

	memset(filter, 0, sizeof(*filter));
	if (!c)
		return -ENOMEM;
	c->filter = filter;
	c->pieces = pieces;
	c->all_headers = all_headers;
	c->text = expression ? expression : "";
	if (!setjmp(c->failed))
		compile(c, protocol, link_type, fields);
	else if (c->too_long && filter->len)
		give_up_pieces(c);
	else
		filter_free(filter);
	err = c->err;
	if (err && c->too_long && (c->is_mixed || c->fields))
		err = -E2BIG;
	release(c);
	return err;
}

/* The code of another filter for all frames, if that costs less: a little more in instructions is less in time. */
static void take_cheaper(struct filter *filter, struct filter *other)
{
	if (other->pieces && other->cost < filter->cost + filter->cost / 8) {
		free(filter->pieces);
		filter->pieces = other->pieces;
		filter->pieces_len = other->pieces_len;
		filter->pieces_copied = filter->pieces_alone = 1;
		filter->no_pieces = 0;
		filter->cost = other->cost;
		other->pieces = NULL;
	}
	filter_free(other);
}

int filter_compile(struct filter *filter, const char *expression, unsigned int protocol,
		   unsigned int link_type, int pieces)
{
	/* Which values may be fields: all, all but those that the others can do without, none. */
	static const unsigned int fields[] = { ~0u, ~(1u << F_TRANSPORT | 1u << F_NUMBER), 0 };
	struct filter other;
	int err = -E2BIG;

	for (int i = 0; i < 3 && err == -E2BIG; i++) {
		err = attempt(filter, expression, protocol, link_type, pieces, fields[i], 0);
		if (!err && filter->no_pieces && !i) {
			filter_free(filter);
			err = -E2BIG;
		}
	}
	if (!err && filter->cost > DEAR && (pieces == PIECES_COPIED || pieces == PIECES_IF_CHEAPER) &&
	    !attempt(&other, expression, protocol, link_type, PIECES_COPIED, ~0u, 1))
		take_cheaper(filter, &other);
	return err;
}

void filter_free(struct filter *filter)
{
	free(filter->insns);
	free(filter->pieces);
	filter->insns = filter->pieces = NULL;
	filter->len = filter->pieces_len = 0;
}
