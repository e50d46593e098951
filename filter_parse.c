// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The grammar of pcap-filter(7), by recursive descent:
 *
 *	expression: operand ((and | or) operand)...       from left to right, without precedence
 *	operand:    not operand | ( expression ) | relation | primitive
 *	primitive:  [protocol] [direction] [kind] id | protocol | vlan [N] | ...
 *	id:         number | address | name               with the qualifiers of what is before it
 */
#include <linux/bpf.h>

#include "filter_internal.h"

#define DEPTH_MAX 64

struct operand {
	int group;
	struct qualifiers q; /* what an id behind it inherits */
};

static const struct qualifiers none = { P_DEFAULT, D_DEFAULT, T_END };

int filter_symbol(const struct token *token, __u32 symbol)
{
	return token->type == T_SYMBOL && token->value == symbol;
}

void filter_unexpected(struct compiler *c, const struct token *token)
{
	if (token->type == T_END)
		filter_fail(c, token, "the filter ends too early");
	if (token->type == T_UNSUPPORTED)
		filter_fail(c, token, "%.*s is not supported", TOKEN_TEXT(c, token));
	filter_fail(c, token, "%.*s is not expected here", TOKEN_TEXT(c, token));
}

void filter_expect(struct compiler *c, __u32 symbol)
{
	if (!filter_symbol(c->token, symbol))
		filter_unexpected(c, c->token);
	c->token++;
}

const struct token *filter_need(struct compiler *c, enum token_type type)
{
	if (c->token->type != type)
		filter_unexpected(c, c->token);
	return c->token++;
}

/* A number that may be there, in parentheses or not. */
static const struct token *optional_number(struct compiler *c)
{
	const struct token *number;
	int open = 0;

	while (filter_symbol(c->token + open, '('))
		open++;
	number = c->token + open;
	if (number->type != T_NUMBER)
		return NULL;
	c->token += open + 1;
	while (open--)
		filter_expect(c, ')');
	return number;
}

/* src, dst, src or dst, src and dst, if there. */
static enum direction parse_direction(struct compiler *c)
{
	const struct token *token = c->token;

	if (token->type != T_SRC && token->type != T_DST)
		return D_DEFAULT;
	if ((token[1].type == T_OR || token[1].type == T_AND) &&
	    token[2].type == (token->type == T_SRC ? T_DST : T_SRC)) {
		c->token += 3;
		return token[1].type == T_OR ? D_OR : D_AND;
	}
	c->token++;
	return token->type == T_SRC ? D_SRC : D_DST;
}

static struct operand parse_operand(struct compiler *c, struct qualifiers q);

/* Behind [protocol]: [direction] [kind] id. */
static struct operand parse_qualified(struct compiler *c, enum protocol protocol)
{
	struct qualifiers q = { protocol, parse_direction(c), KIND_DEFAULT };

	switch (c->token->type) {
	case T_PROTO:
	case T_PROTOCHAIN:
		if (q.direction != D_DEFAULT)
			filter_fail(c, c->token, "a protocol has no direction");
		/* fall through */
	case T_HOST:
	case T_NET:
	case T_PORT:
	case T_PORTRANGE:
		q.kind = c->token++->type;
		break;
	default:
		break;
	}
	if (c->token->type == T_NOT || filter_symbol(c->token, '('))
		return parse_operand(c, q);
	return (struct operand){ filter_id(c, q), q };
}

static int parse_byte(struct compiler *c)
{
	const struct token *offset = filter_need(c, T_NUMBER), *operator = c->token++;
	__u32 at = c->link_header + offset->value, value;

	if (!filter_symbol(operator, '=') && !filter_symbol(operator, '<') &&
	    !filter_symbol(operator, '>'))
		filter_fail(c, operator, "byte can be compared with =, < and >");
	value = filter_need(c, T_NUMBER)->value;
	if (operator->value == '=')
		return filter_compare(c, V_FRAME, at, 1, BPF_JEQ, value);
	if (operator->value == '>')
		return filter_compare(c, V_FRAME, at, 1, BPF_JGT, value);
	return filter_not(c, filter_compare(c, V_FRAME, at, 1, BPF_JGE, value));
}

/* Whether the parenthesis at token encloses arithmetic: an operator stands behind its partner. */
static int encloses_arithmetic(const struct token *token)
{
	int open = 0;

	do {
		if (filter_symbol(token, '('))
			open++;
		if (filter_symbol(token, ')'))
			open--;
		if (token->type == T_END)
			return 0;
		token++;
	} while (open);
	return filter_operator(token);
}

static int begins_relation(const struct token *token)
{
	switch (token->type) {
	case T_LEN:
		return 1;
	case T_NUMBER:
		return filter_operator(token + 1);
	case T_PROTOCOL:
		return filter_symbol(token + 1, '[');
	case T_SYMBOL:
		return token->value == '-' || (token->value == '(' && encloses_arithmetic(token));
	default:
		return 0;
	}
}

/* A protocol's name, and what may stand behind it. */
static struct operand parse_protocol(struct compiler *c)
{
	const struct token *token = c->token++;
	enum token_type next = c->token->type;

	if (next == T_BROADCAST || next == T_MULTICAST) {
		c->token++;
		return (struct operand){
			filter_cast(c, c->token - 1, token->value, next == T_MULTICAST), none };
	}
	if (next >= T_SRC && next <= T_PROTOCHAIN)
		return parse_qualified(c, token->value);
	return (struct operand){ filter_protocol(c, token, token->value), none };
}

/* The primitives that are a word of their own. */
static int parse_word(struct compiler *c)
{
	const struct token *token = c->token++;

	switch (token->type) {
	case T_BROADCAST:
	case T_MULTICAST:
		return filter_cast(c, token, P_DEFAULT, token->type == T_MULTICAST);
	case T_LESS:
		return filter_not(c, filter_length(c, BPF_JGT, filter_need(c, T_NUMBER)->value));
	case T_GREATER:
		return filter_length(c, BPF_JGE, filter_need(c, T_NUMBER)->value);
	case T_BYTE:
		return parse_byte(c);
	case T_VLAN:
		return filter_vlan(c, token, optional_number(c));
	case T_MPLS:
		return filter_mpls(c, token, optional_number(c));
	case T_PPPOED:
		return filter_ethertype(c, token, 0x8863);
	case T_PPPOES:
		return filter_pppoes(c, token, optional_number(c));
	case T_LLC:
		return filter_llc(c, token, c->token->type == T_WORD ? c->token++ : NULL);
	default:
		filter_unexpected(c, token);
	}
}

static struct operand parse_primitive(struct compiler *c, struct qualifiers q)
{
	switch (c->token->type) {
	case T_PROTOCOL:
		return parse_protocol(c);
	case T_NUMBER:
	case T_WORD:
	case T_IPV4:
	case T_IPV6:
	case T_MAC:
		return (struct operand){ filter_id(c, q), q };
	case T_SRC:
	case T_DST:
	case T_HOST:
	case T_NET:
	case T_PORT:
	case T_PORTRANGE:
	case T_PROTO:
	case T_PROTOCHAIN:
		return parse_qualified(c, P_DEFAULT);
	default:
		return (struct operand){ parse_word(c), none };
	}
}

static struct operand parse_expression(struct compiler *c, struct qualifiers q);

static struct operand parse_operand(struct compiler *c, struct qualifiers q)
{
	struct operand operand;
	int negated = 0;

	for (; c->token->type == T_NOT; c->token++)
		negated = !negated;
	if (begins_relation(c->token)) {
		operand = (struct operand){ filter_relation(c), none };
	} else if (filter_symbol(c->token, '(')) {
		if (++c->depth > DEPTH_MAX)
			filter_fail(c, c->token, "too many parentheses inside each other");
		c->token++;
		operand = parse_expression(c, q);
		operand.q = q;
		filter_expect(c, ')');
		c->depth--;
	} else {
		operand = parse_primitive(c, q);
	}
	if (negated)
		operand.group = filter_not(c, operand.group);
	return operand;
}

static struct operand parse_expression(struct compiler *c, struct qualifiers q)
{
	struct operand left = parse_operand(c, q);

	while (c->token->type == T_AND || c->token->type == T_OR) {
		enum token_type type = c->token++->type;
		struct operand right = parse_operand(c, left.q);

		left.group = type == T_AND ? filter_and(c, left.group, right.group) :
					     filter_or(c, left.group, right.group);
		left.q = right.q;
	}
	return left;
}

int filter_parse(struct compiler *c)
{
	struct operand whole = parse_expression(c, none);

	if (c->token->type != T_END)
		filter_unexpected(c, c->token);
	return whole.group;
}
