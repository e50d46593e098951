// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The primitives of a filter as tests of the frame. What is tested, and in which order, follows
 * libpcap, since a load from beyond the frame's end decides for all that would come behind it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>

#include "filter_internal.h"
#include "packet.h"

#define TESTS_MAX 16384

enum { ETH_IP = 0x800, ETH_IP6 = 0x86dd, ETH_ATALK = 0x809b,
       ETH_AARP = 0x80f3, ETH_IPX = 0x8137, ETH_LENGTH_MAX = 1500 };
enum { SAP_IP = 0x06, SAP_STP = 0x42, SAP_IPX = 0xe0, SAP_NETBEUI = 0xf0, SAP_ISO = 0xfe };

void filter_fail(struct compiler *c, const struct token *token, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->filter->error, sizeof(c->filter->error), format, args);
	va_end(args);
	c->filter->column = token ? token->start + 1 : 0;
	c->err = -EINVAL;
	longjmp(c->failed, 1);
}

void filter_too_long(struct compiler *c)
{
	c->too_long = 1;
	filter_fail(c, NULL, "the filter is too long: leave out some of it, or run a second xguard");
}

void filter_no_memory(struct compiler *c)
{
	c->err = -ENOMEM;
	longjmp(c->failed, 1);
}

void *filter_grow(struct compiler *c, void *array, int n, int *size, size_t element)
{
	int room = *size ? 2 * *size : 64;
	void *grown;

	if (n < *size)
		return array;
	grown = realloc(array, room * element);
	if (!grown)
		filter_no_memory(c);
	*size = room;
	return grown;
}

static struct test *new_test(struct compiler *c)
{
	struct test *test;

	if (c->ntests == TESTS_MAX)
		filter_too_long(c);
	c->tests = filter_grow(c, c->tests, c->ntests, &c->tests_size, sizeof(*test));
	test = &c->tests[c->ntests++];
	memset(test, 0, sizeof(*test));
	return test;
}

/* A group of the one test that was made last. */
static int last_test(struct compiler *c)
{
	int head = c->ntests - 1;
	struct test *test = &c->tests[head];

	test->to[0] = test->to[1] = -1;
	test->exits[0] = (struct exits){ 2 * head, 2 * head };
	test->exits[1] = (struct exits){ 2 * head + 1, 2 * head + 1 };
	return head;
}

static int *exit_of(struct compiler *c, int number)
{
	return &c->tests[number / 2].to[number & 1];
}

static void lead(struct compiler *c, struct exits exits, int to)
{
	for (int number = exits.first, next; number >= 0; number = next) {
		next = *exit_of(c, number);
		*exit_of(c, number) = to;
	}
}

static struct exits join(struct compiler *c, struct exits a, struct exits b)
{
	if (a.first < 0)
		return b;
	if (b.first < 0)
		return a;
	*exit_of(c, a.last) = b.first;
	return (struct exits){ a.first, b.last };
}

/* Where a ends with outcome, b goes on; what b leaves open, and a's other exits, are a's then. */
static int chain(struct compiler *c, int a, int b, int outcome)
{
	struct exits *first = c->tests[a].exits, *second = c->tests[b].exits;

	lead(c, first[outcome], b);
	first[outcome] = second[outcome];
	first[!outcome] = join(c, first[!outcome], second[!outcome]);
	return a;
}

int filter_and(struct compiler *c, int a, int b)
{
	return chain(c, a, b, 1);
}

int filter_or(struct compiler *c, int a, int b)
{
	return chain(c, a, b, 0);
}

int filter_not(struct compiler *c, int a)
{
	struct exits *exits = c->tests[a].exits, swap = exits[0];

	exits[0] = exits[1];
	exits[1] = swap;
	return a;
}

/* All that leads nowhere yet ends here. */
void filter_finish(struct compiler *c, int group)
{
	lead(c, c->tests[group].exits[0], NO_MATCH);
	lead(c, c->tests[group].exits[1], MATCH);
}

int filter_always(struct compiler *c, int outcome)
{
	struct test *test = new_test(c);

	test->kind = V_ALWAYS;
	test->left = outcome;
	return last_test(c);
}

int filter_masked(struct compiler *c, enum test_kind kind, __u32 offset, int size,
		  __u32 mask, int op, __u32 k)
{
	struct test *test = new_test(c);

	if (offset > 2 * FIXED_OFFSET_MAX || c->payload + c->network > FIXED_OFFSET_MAX)
		filter_fail(c, NULL, "the filter asks for bytes that no frame has");
	test->kind = kind;
	test->size = size;
	test->op = op;
	test->offset = offset;
	test->mask = mask & filter_all_bits(size);
	test->k = k;
	test->right = -1;
	if (kind == V_TRANSPORT)
		test->base = c->payload + c->network;
	return last_test(c);
}

/* The value is from low to high; low above high: the load alone, and no. */
int filter_between(struct compiler *c, enum test_kind kind, __u32 offset, int size, __u32 low,
		   __u32 high)
{
	int group;

	if (low > high)
		return filter_masked(c, kind, offset, size, 0, BPF_JEQ, 1);
	group = filter_masked(c, kind, offset, size, 0xffffffff, BPF_JLE, low);
	c->tests[group].span = high - low;
	return group;
}

int filter_compare(struct compiler *c, enum test_kind kind, __u32 offset, int size, int op,
		   __u32 k)
{
	if (op == BPF_JGE)
		return filter_between(c, kind, offset, size, k, 0xffffffff);
	if (op == BPF_JGT)
		return filter_not(c, filter_between(c, kind, offset, size, 0, k));
	return filter_masked(c, kind, offset, size, 0xffffffff, op, k);
}

/* Two arithmetic expressions compared. */
int filter_relate(struct compiler *c, int left, int right, int op)
{
	struct test *test = new_test(c);

	test->kind = V_ARITH;
	test->op = op;
	test->left = left;
	test->right = right;
	return last_test(c);
}

__u32 filter_tells_version(const struct compiler *c)
{
	return c->labels ? LABELS : c->link == L_PPP ? PPP : 0;
}

/* Is such a value a field, of this header? (Of all headers: of one so far in front that it is copied.) */
int filter_has_field(const struct compiler *c, enum field field)
{
	__u32 header = c->payload + c->network;

	if (!(c->fields >> field & 1))
		return 0;
	if (header == c->field_header && !filter_tells_version(c) && c->has_many)
		return 1;
	return c->has_ports && field != F_CHAIN && !filter_is_address(field) && header <= SCRATCH_COPY / 2;
}

static int of_field(struct compiler *c, enum test_kind kind, enum field field, int op, __u32 k)
{
	int group = filter_masked(c, kind, c->payload + c->network, field, 0, op, k);

	c->tests[group].base = filter_tells_version(c);
	return group;
}

/* Do what a group does, but fail the whole filter where it goes on with outcome and a field is missing. */
static int unless_missing(struct compiler *c, int group, int outcome, enum field field)
{
	int valid = of_field(c, V_VALID, field, BPF_JNE, 0);

	c->tests[valid].to[0] = NO_MATCH;
	c->tests[valid].exits[0] = (struct exits){ -1, -1 };
	return outcome ? filter_and(c, group, valid) : filter_or(c, group, filter_not(c, valid));
}

static int field_is(struct compiler *c, enum field field, __u32 mask, __u32 k, __u32 span)
{
	int group = of_field(c, V_FIELD, field, BPF_JLE, k);

	c->tests[group].span = span;
	c->tests[group].mask = mask;
	return group;
}

/* A field is k (of IPv4 addresses, under a mask), or from k to k + span. */
int filter_field(struct compiler *c, enum field field, __u32 mask, __u32 k, __u32 span)
{
	return unless_missing(c, field_is(c, field, mask, k, span), filter_is_address6(field), field);
}

/* The same of the one that source is, of the destination's behind it, or both. Where the destination's is not
 * missing, nor is the source's. */
int filter_fields(struct compiler *c, enum field source, enum direction direction, __u32 mask, __u32 k,
		  __u32 span)
{
	enum field destination = source + 1;

	if (direction == D_SRC || direction == D_DST)
		return filter_field(c, direction == D_SRC ? source : destination, mask, k, span);
	if (direction == D_AND)
		return filter_and(c, filter_field(c, source, mask, k, span),
				  filter_field(c, destination, mask, k, span));
	return unless_missing(c, filter_or(c, field_is(c, source, mask, k, span),
					   field_is(c, destination, mask, k, span)), 0, destination);
}

/* A field of the frame is a, b or other. */
int filter_any_of(struct compiler *c, __u32 offset, int size, __u32 a, __u32 b, __u32 other)
{
	int group = filter_masked(c, V_FRAME, offset, size, 0xffffffff, ANY_OF, a);

	c->tests[group].span = b | other << 16;
	return group;
}

/* A field of the frame is k. */
static int frame(struct compiler *c, __u32 offset, int size, __u32 k)
{
	return filter_compare(c, V_FRAME, offset, size, BPF_JEQ, k);
}

/* len bytes at offset, from the last ones on, as libpcap does. */
static int bytes(struct compiler *c, __u32 offset, const __u8 *value, int len)
{
	int all = -1;

	while (len) {
		int size = len >= 4 ? 4 : 2;
		int part;
		__u32 k = 0;

		len -= size;
		for (int i = 0; i < size; i++)
			k = k << 8 | value[len + i];
		part = frame(c, offset + len, size, k);
		all = all < 0 ? part : filter_and(c, all, part);
	}
	return all;
}

static int snap(struct compiler *c, __u32 organization, __u32 type)
{
	const __u8 header[8] = { 0xaa, 0xaa, 0x03, organization >> 16, organization >> 8,
				 organization, type >> 8, type };

	return bytes(c, c->payload, header, sizeof(header));
}

/* The type field is a length: an 802.3 frame. */
int filter_is_length(struct compiler *c)
{
	return filter_not(c, filter_compare(c, V_FRAME, c->link_type, 2, BPF_JGT, ETH_LENGTH_MAX));
}

static int ipx(struct compiler *c)
{
	int raw = filter_or(c, frame(c, c->payload, 1, SAP_IPX),
			    frame(c, c->payload, 2, 0xffff));

	raw = filter_or(c, snap(c, 0, ETH_IPX), raw);
	raw = filter_and(c, filter_is_length(c), raw);
	return filter_or(c, frame(c, c->link_type, 2, ETH_IPX), raw);
}

/* An Ethernet type, or an 802.2 service access point where type is a length. */
static int ethernet_type(struct compiler *c, __u32 type)
{
	int group;

	switch (type) {
	case SAP_ISO:
	case SAP_IP:
	case SAP_NETBEUI:
		group = filter_is_length(c);
		return filter_and(c, group, frame(c, c->payload, 2, type << 8 | type));
	case SAP_IPX:
		return ipx(c);
	case ETH_ATALK:
	case ETH_AARP:
		group = filter_is_length(c);
		group = filter_and(c, group, snap(c, type == ETH_ATALK ? 0x080007 : 0, type));
		return filter_or(c, frame(c, c->link_type, 2, type), group);
	}
	if (type > ETH_LENGTH_MAX)
		return frame(c, c->link_type, 2, type);
	group = filter_is_length(c);
	return filter_and(c, group, frame(c, c->link_type + 2, 1, type));
}

static __u32 ppp_type(__u32 type)
{
	static const __u16 types[][2] = {
		{ ETH_IP, 0x21 },  { ETH_IP6, 0x57 }, { 0x6003, 0x27 },  { ETH_ATALK, 0x29 },
		{ 0x600, 0x25 },   { SAP_ISO, 0x23 }, { SAP_STP, 0x31 }, { SAP_IPX, 0x2b },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (types[i][0] == type)
			return types[i][1];
	return type;
}

/* MPLS has no type field: the bottom of the stack, and IP's version behind it. */
static int mpls_type(struct compiler *c, const struct token *token, __u32 type)
{
	__u32 header = c->payload + c->network;
	int bottom;

	if (type != ETH_IP && type != ETH_IP6)
		filter_fail(c, token, "behind mpls, only ip and ip6 can be told apart");
	bottom = filter_masked(c, V_FRAME, header - 2, 1, 1, BPF_JEQ, 1);
	return filter_and(c, bottom, filter_masked(c, V_FRAME, header, 1, 0xf0, BPF_JEQ,
						   type == ETH_IP ? 0x40 : 0x60));
}

int filter_ethertype(struct compiler *c, const struct token *token, __u32 type)
{
	if (c->labels)
		return mpls_type(c, token, type);
	switch (c->link) {
	case L_ETHERNET:
		return ethernet_type(c, type);
	case L_PPP:
		return frame(c, c->link_type, 2, ppp_type(type));
	case L_IP:
		if (type != ETH_IP && type != ETH_IP6)
			return filter_always(c, 0);
		return filter_masked(c, V_FRAME, c->link_header, 1, 0xf0, BPF_JEQ,
				     type == ETH_IP ? 0x40 : 0x60);
	case L_UNKNOWN:
		break;
	}
	filter_fail(c, token, "this link's frames are of a type that only len, less, greater and "
		    "link[...] can be asked about");
}
