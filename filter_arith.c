// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Arithmetic: trees of 32-bit operations over loads, and the relations between two of them. As in
 * libpcap, the protocols whose bytes are loaded are tested first, but only those on the left of
 * an operator; and % and ^ have no precedence, they take all that follows.
 */
#include <linux/bpf.h>

#include "filter_internal.h"
#include "packet.h"

#define DEPTH_MAX 64

struct value {
	int node;
	int checks; /* tests before the value may be loaded; head -1: none */
};

enum { PRECEDENCE_MINUS = 6 };

static const struct operator {
	__u16 symbol;
	__u8 op, precedence;
} operators[] = {
	{ '|', BPF_OR, 1 },  { '&', BPF_AND, 2 }, { SYMBOL2('<', '<'), BPF_LSH, 3 },
	{ SYMBOL2('>', '>'), BPF_RSH, 3 },        { '+', BPF_ADD, 4 },
	{ '-', BPF_SUB, 4 }, { '*', BPF_MUL, 5 }, { '/', BPF_DIV, 5 },
	{ '%', BPF_MOD, 0 }, { '^', BPF_XOR, 0 },
};

static const struct relation {
	__u16 symbol;
	__u8 op, reversed;
} relations[] = {
	{ '=', BPF_JEQ, 0 }, { SYMBOL2('!', '='), BPF_JEQ, 1 },
	{ '>', BPF_JGT, 0 }, { SYMBOL2('<', '='), BPF_JGT, 1 },
	{ SYMBOL2('>', '='), BPF_JGE, 0 }, { '<', BPF_JGE, 1 },
};

static const struct operator *find_operator(const struct token *token)
{
	for (size_t i = 0; i < sizeof(operators) / sizeof(*operators); i++)
		if (filter_symbol(token, operators[i].symbol))
			return &operators[i];
	return NULL;
}

static const struct relation *find_relation(const struct token *token)
{
	for (size_t i = 0; i < sizeof(relations) / sizeof(*relations); i++)
		if (filter_symbol(token, relations[i].symbol))
			return &relations[i];
	return NULL;
}

int filter_operator(const struct token *token)
{
	return find_operator(token) || find_relation(token);
}

static int new_node(struct compiler *c, struct arith arith)
{
	c->ariths = filter_grow(c, c->ariths, c->nariths, &c->ariths_size, sizeof(arith));
	c->ariths[c->nariths] = arith;
	return c->nariths++;
}

static struct value number(struct compiler *c, __u32 k)
{
	return (struct value){ new_node(c, (struct arith){ .kind = A_NUMBER, .number = k }),
			       -1 };
}

static __u32 calculate(int op, __u32 a, __u32 b)
{
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_DIV:
		return a / b;
	case BPF_MOD:
		return a % b;
	case BPF_AND:
		return a & b;
	case BPF_OR:
		return a | b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return a << b;
	default:
		return a >> b;
	}
}

/* a op b; the checks of b are lost, as they are in libpcap. */
static struct value binary(struct compiler *c, const struct token *token, int op, struct value a,
			   struct value b)
{
	int commutes = op != BPF_SUB && op != BPF_DIV && op != BPF_MOD && op != BPF_LSH &&
		       op != BPF_RSH;
	const struct arith *left = &c->ariths[a.node], *right = &c->ariths[b.node];

	if (right->kind == A_NUMBER) {
		if ((op == BPF_DIV || op == BPF_MOD) && !right->number)
			filter_fail(c, token, "division by zero");
		if ((op == BPF_LSH || op == BPF_RSH) && right->number > 31)
			filter_fail(c, token, "a shift by more than 31 bits");
		if (left->kind == A_NUMBER) {
			c->ariths[a.node].number = calculate(op, left->number, right->number);
			return a;
		}
	} else if (left->kind == A_NUMBER && commutes) {
		int node = a.node;

		a.node = b.node;
		b.node = node;
	}
	a.node = new_node(c, (struct arith){ .kind = A_BINARY, .op = op, .left = a.node,
					     .right = b.node });
	return a;
}

static int check(struct compiler *c, int checks, int next)
{
	return checks < 0 ? next : filter_and(c, checks, next);
}

/* What must hold before bytes behind an IPv4 header are protocol's. */
static int transport_checks(struct compiler *c, const struct token *token,
			    enum protocol protocol, int checks)
{
	int inner = check(c, checks, filter_transport(c, token, protocol));

	if (checks < 0 && filter_has_field(c, F_TRANSPORT))
		return inner;
	return filter_and(c, filter_protocol(c, token, P_IP), inner);
}

static struct value load(struct compiler *c, const struct token *token, struct value index,
			 __u32 size)
{
	struct arith arith = { .kind = A_LOAD, .size = size, .left = index.node,
			       .base = c->payload + c->network };
	enum protocol protocol = token->value;
	int group;

	switch (protocol) {
	case P_LINK:
		arith.base = c->link_header;
		break;
	case P_IP:
	case P_IP6:
	case P_ARP:
	case P_RARP:
	case P_ATALK:
	case P_DECNET:
	case P_LAT:
	case P_SCA:
	case P_MOPDL:
	case P_MOPRC:
		index.checks = check(c, index.checks, filter_protocol(c, token, protocol));
		break;
	case P_TCP:
	case P_UDP:
	case P_SCTP:
	case P_ICMP:
	case P_IGMP:
	case P_IGRP:
	case P_PIM:
	case P_VRRP:
		arith.transport = 1;
		index.checks = transport_checks(c, token, protocol, index.checks);
		break;
	case P_ICMP6:
		group = check(c, index.checks, filter_protocol(c, token, P_IP6));
		index.checks = filter_and(c, group, filter_compare(c, V_FRAME, arith.base + 6, 1,
								   BPF_JEQ, 58));
		arith.base += 40;
		break;
	default:
		filter_fail(c, token, "the bytes of %.*s cannot be looked at",
			    TOKEN_TEXT(c, token));
	}
	index.node = new_node(c, arith);
	return index;
}

static struct value parse_binary(struct compiler *c, int least);

/* protocol[index] or protocol[index:size]. */
static struct value parse_load(struct compiler *c)
{
	const struct token *token = filter_need(c, T_PROTOCOL);
	struct value index;
	__u32 size = 1;

	filter_expect(c, '[');
	index = parse_binary(c, 0);
	if (filter_symbol(c->token, ':')) {
		c->token++;
		size = filter_need(c, T_NUMBER)->value;
		if (size != 1 && size != 2 && size != 4)
			filter_fail(c, c->token - 1, "the size is 1, 2 or 4");
	}
	filter_expect(c, ']');
	return load(c, token, index, size);
}

static struct value parse_unary(struct compiler *c)
{
	struct value value;

	if (++c->depth > DEPTH_MAX)
		filter_fail(c, c->token, "too many operators or parentheses inside each other");
	if (filter_symbol(c->token, '-')) {
		c->token++;
		value = parse_binary(c, PRECEDENCE_MINUS);
		if (c->ariths[value.node].kind == A_NUMBER)
			c->ariths[value.node].number = -c->ariths[value.node].number;
		else
			value.node = new_node(c, (struct arith){ .kind = A_NEGATE,
								 .left = value.node });
	} else if (filter_symbol(c->token, '(')) {
		c->token++;
		value = parse_binary(c, 0);
		filter_expect(c, ')');
	} else if (c->token->type == T_NUMBER) {
		value = number(c, c->token++->value);
	} else if (c->token->type == T_LEN) {
		c->token++;
		value = number(c, 0);
		c->ariths[value.node].kind = A_PACKET;
		c->ariths[value.node].number = offsetof(struct packet, length);
	} else {
		value = parse_load(c);
	}
	c->depth--;
	return value;
}

static struct value parse_binary(struct compiler *c, int least)
{
	struct value left = parse_unary(c);

	for (;;) {
		const struct operator *operator = find_operator(c->token);
		const struct token *token = c->token;
		struct value right;

		if (!operator || (operator->precedence && operator->precedence < least))
			return left;
		c->token++;
		if (++c->depth > DEPTH_MAX)
			filter_fail(c, token, "too many operators inside each other");
		right = parse_binary(c, operator->precedence ? operator->precedence + 1 : 0);
		c->depth--;
		left = binary(c, token, operator->op, left, right);
	}
}

/* A load at a constant offset, masked or not, compared with k: one test; head -1: it is not. */
static int simple(struct compiler *c, const struct arith *a, int op, __u32 k)
{
	int group = -1;
	__u32 mask = 0xffffffff, at;

	if (a->kind == A_PACKET)
		return filter_compare(c, V_PACKET, a->number, 4, op, k);
	if (a->kind == A_BINARY && a->op == BPF_AND && op == BPF_JEQ &&
	    c->ariths[a->right].kind == A_NUMBER) {
		mask = c->ariths[a->right].number;
		a = &c->ariths[a->left];
	}
	if (a->kind != A_LOAD || c->ariths[a->left].kind != A_NUMBER)
		return group;
	at = c->ariths[a->left].number;
	if (at > FIXED_OFFSET_MAX)
		return group;
	if (op != BPF_JEQ)
		group = filter_compare(c, a->transport ? V_TRANSPORT : V_FRAME,
				       a->transport ? at : a->base + at, a->size, op, k);
	else
		group = filter_masked(c, a->transport ? V_TRANSPORT : V_FRAME,
				      a->transport ? at : a->base + at, a->size, mask, op, k);
	if (a->transport)
		c->tests[group].base = a->base;
	return group;
}

static int compare(struct compiler *c, int left, int right, int op)
{
	const struct arith *a = &c->ariths[left], *b = &c->ariths[right];
	int group = -1;
	int not = 0;

	if (a->kind == A_NUMBER && b->kind == A_NUMBER)
		return filter_always(c, op == BPF_JEQ ? a->number == b->number :
				     op == BPF_JGT ? a->number > b->number :
						     a->number >= b->number);
	if (a->kind == A_NUMBER) { /* 5 > x is not x >= 5 */
		const struct arith *swap = a;
		int node = left;

		a = b;
		b = swap;
		left = right;
		right = node;
		not = op != BPF_JEQ;
		op = op == BPF_JEQ ? BPF_JEQ : op == BPF_JGT ? BPF_JGE : BPF_JGT;
	}
	if (b->kind == A_NUMBER)
		group = simple(c, a, op, b->number);
	if (group < 0)
		group = filter_relate(c, left, right, op);
	return not ? filter_not(c, group) : group;
}

int filter_relation(struct compiler *c)
{
	struct value left = parse_binary(c, 0), right;
	const struct relation *relation = find_relation(c->token);
	int group;

	if (!relation)
		filter_unexpected(c, c->token);
	c->token++;
	right = parse_binary(c, 0);
	group = compare(c, left.node, right.node, relation->op);
	if (relation->reversed)
		group = filter_not(c, group);
	group = check(c, right.checks, group);
	return check(c, left.checks, group);
}
