// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The order of the tests, and the outcomes that are known beforehand: where two hosts are asked
 * about, the second question need not begin with the Ethernet type again. One pass over the tests
 * in topological order carries along which comparisons are known on every way to a test; an exit
 * that leads to a comparison known by then leads to what comes behind it. That never skips a load
 * from beyond the frame's end: a comparison is known only if its value has been loaded.
 */
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>

#include "filter_internal.h"

#define MEMORY_MAX (64u << 20)
#define BUCKETS 4096

/* A comparison that one or more tests make. The value of the load that it is about has a list. */
struct comparison {
	int test;       /* one of those that make it */
	int next;       /* of the same bucket */
	int sibling;    /* of the same value */
};

struct flow {
	struct compiler *c;
	int *order, norder;         /* tests, topologically sorted */
	int *number;                /* of each test: its comparison, -1: none */
	struct comparison *comparisons;
	int ncomparisons;
	int values[BUCKETS], buckets[BUCKETS];
	__u32 **known;              /* of each test: bits of known comparisons, then outcomes */
	size_t words;               /* of each of the two */
};

static void *need_memory(struct compiler *c, int slot, size_t count, size_t size)
{
	c->work[slot] = calloc(count, size);
	if (!c->work[slot])
		filter_no_memory(c);
	return c->work[slot];
}

/* Depth-first from head, last finished first. Exits are pushed so that "fails" comes next. */
static void sort(struct flow *flow, int head)
{
	struct test *tests = flow->c->tests;
	int *stack = need_memory(flow->c, 0, flow->c->ntests + 1, sizeof(*stack));
	__u8 *left = need_memory(flow->c, 1, flow->c->ntests, 1);
	int depth = 0, at = flow->c->ntests;

	flow->order = need_memory(flow->c, 2, flow->c->ntests, sizeof(*flow->order));
	if (head >= 0)
		stack[depth++] = head;
	while (depth) {
		int test = stack[depth - 1], to;

		if (left[test] == 2) {
			flow->order[--at] = test;
			depth--;
			continue;
		}
		to = tests[test].to[!left[test]++];
		if (to >= 0 && !left[to])
			stack[depth++] = to;
	}
	flow->norder = flow->c->ntests - at;
	memmove(flow->order, flow->order + at, flow->norder * sizeof(*flow->order));
}

static __u32 hash_value(const struct test *test)
{
	return (test->kind + test->offset * 31 + test->size * 7 + test->base * 131) % BUCKETS;
}

int filter_same_value(const struct test *a, const struct test *b)
{
	return a->kind == b->kind && a->offset == b->offset && a->size == b->size &&
	       a->base == b->base;
}

/* Is it of no consequence how a test ends? */
static int is_idle(const struct test *test)
{
	return test->to[0] == test->to[1] &&
	       (test->to[0] == NO_MATCH || test->kind == V_FIELD || test->kind == V_VALID);
}

/* Tests of V_VALID that are the same, with the same way out, become one; idle ones are left out. They come last
 * first. Returns what head becomes. */
static int merge(struct flow *flow, int head)
{
	struct test *tests = flow->c->tests;
	int *same = need_memory(flow->c, 0, flow->c->ntests, sizeof(*same)), last = -1;

	for (int i = flow->norder - 1; i >= 0; i--) {
		int test = flow->order[i], other;
		struct test *t = &tests[test];

		same[test] = test;
		for (int outcome = 0; outcome < 2; outcome++)
			if (t->to[outcome] >= 0)
				t->to[outcome] = same[t->to[outcome]];
		if (is_idle(t)) {
			same[test] = t->to[0];
			continue;
		}
		if (t->kind != V_VALID)
			continue;
		for (other = last; other >= 0; other = tests[other].right)
			if (filter_same_value(t, &tests[other]) && t->to[1] == tests[other].to[1])
				break;
		if (other >= 0) {
			same[test] = other;
		} else {
			t->right = last;
			last = test;
		}
	}
	if (head >= 0)
		head = same[head];
	free(flow->c->work[0]);
	flow->c->work[0] = NULL;
	return head;
}

/* Number the comparisons; equal ones have one number, those of one value are siblings. */
static void number(struct flow *flow)
{
	const struct test *tests = flow->c->tests;

	flow->number = need_memory(flow->c, 0, flow->c->ntests, sizeof(int));
	flow->comparisons = need_memory(flow->c, 1, flow->norder, sizeof(*flow->comparisons));
	memset(flow->values, -1, sizeof(flow->values));
	memset(flow->buckets, -1, sizeof(flow->buckets));
	for (int i = 0; i < flow->norder; i++) {
		int test = flow->order[i], found;
		const struct test *t = &tests[test];
		__u32 value = hash_value(t), bucket = (value + t->k * 2654435761u) % BUCKETS;

		flow->number[test] = -1;
		if (t->kind >= V_ARITH)
			continue;
		for (found = flow->buckets[bucket]; found >= 0;
		     found = flow->comparisons[found].next) {
			const struct test *other = &tests[flow->comparisons[found].test];

			if (filter_same_value(t, other) && t->mask == other->mask && t->op == other->op &&
			    t->k == other->k && t->span == other->span)
				break;
		}
		if (found < 0) {
			found = flow->ncomparisons++;
			flow->comparisons[found] = (struct comparison){
				test, flow->buckets[bucket], flow->values[value] };
			flow->buckets[bucket] = flow->values[value] = found;
		}
		flow->number[test] = found;
	}
}

static void learn(struct flow *flow, __u32 *facts, int comparison, int outcome)
{
	__u32 bit = 1u << comparison % 32;

	facts[comparison / 32] |= bit;
	if (outcome)
		facts[flow->words + comparison / 32] |= bit;
	else
		facts[flow->words + comparison / 32] &= ~bit;
}

static int is_any_of(__u32 value, const struct test *test)
{
	return value == test->k || value == (test->span & 0xffff) || value == test->span >> 16;
}

/* What a value that equals k under mask tells about another comparison of it; -1: nothing. */
static int implied(const struct test *is, const struct test *asked)
{
	if (asked->mask & ~is->mask)
		return -1;
	if (asked->op == BPF_JEQ)
		return (is->k & asked->mask) == asked->k;
	if (is->mask != asked->mask)
		return -1;
	if (asked->op == BPF_JSET)
		return (is->k & asked->k) != 0;
	if (asked->op == ANY_OF)
		return is_any_of(is->k, asked);
	return is->k - asked->k <= asked->span;
}

/* A field is there, and so are those that are in front of it. */
static void learn_valid(struct flow *flow, __u32 *facts, const struct test *at, int field)
{
	const struct test valid = { .kind = V_VALID, .size = field, .offset = at->offset, .base = at->base };

	for (int i = flow->values[hash_value(&valid)]; i >= 0; i = flow->comparisons[i].sibling)
		if (filter_same_value(&valid, &flow->c->tests[flow->comparisons[i].test]))
			learn(flow, facts, i, 1);
	switch (field) {
	case F_DESTINATION:
	case F_DESTINATION6:
	case F_DESTINATION_PORT:
	case F_NUMBER:
		learn_valid(flow, facts, at, field - 1);
		break;
	case F_PROTOCOL:
		learn_valid(flow, facts, at, F_TRANSPORT);
	}
}

/*
 * A field is something, so it is there; and so is the protocol, which stands in front of an IPv4 address or a port; in
 * IPv6 there is no such address. (A port may stand in front of addresses, where a header is said to be shorter than
 * any is.)
 */
static void learn_field(struct flow *flow, __u32 *facts, const struct test *is)
{
	learn_valid(flow, facts, is, is->size);
	if (is->size <= F_DESTINATION_PORT)
		learn_valid(flow, facts, is, F_NUMBER);
}

/* A test had an outcome: so much is known behind it. */
static void learn_outcome(struct flow *flow, __u32 *facts, int test, int outcome)
{
	const struct test *t = &flow->c->tests[test];

	if (flow->number[test] < 0)
		return;
	learn(flow, facts, flow->number[test], outcome);
	if (outcome && t->kind == V_VALID)
		learn_valid(flow, facts, t, t->size);
	if (outcome && t->kind == V_FIELD && !filter_is_address6(t->size))
		learn_field(flow, facts, t);
	if (t->op != ANY_OF && (!outcome || t->op != BPF_JEQ))
		return;
	for (int i = flow->values[hash_value(t)]; i >= 0; i = flow->comparisons[i].sibling) {
		const struct test *other = &flow->c->tests[flow->comparisons[i].test];
		int result = -1;

		if (!filter_same_value(t, other))
			continue;
		if (t->op == BPF_JEQ)
			result = implied(t, other);
		else if (other->op == BPF_JEQ && other->mask == t->mask &&
			 is_any_of(other->k, t) != outcome)
			result = 0;
		if (result >= 0)
			learn(flow, facts, i, result);
	}
}

static int follow(const struct flow *flow, const __u32 *facts, int to)
{
	while (to >= 0) {
		const struct test *test = &flow->c->tests[to];
		int comparison = flow->number[to];

		if (test->kind == V_ALWAYS) {
			to = test->to[test->left];
			continue;
		}
		if (comparison < 0 || !(facts[comparison / 32] >> comparison % 32 & 1))
			break;
		to = test->to[facts[flow->words + comparison / 32] >> comparison % 32 & 1];
	}
	return to;
}

/*
 * Where an exit of a test leads that has led to `to`. In a filter of many ways it does not pass by a single test
 * that is asked on another way: a way of its own costs the verifier more. And where it comes to the same by way
 * of the other exit of the test before, it goes there: then the two tests may become one (filter_join.c).
 */
static int lead(const struct flow *flow, const __u32 *facts, int test, int to)
{
	const struct test *tests = flow->c->tests;
	int from = tests[test].from - 1, end = follow(flow, facts, to), other;

	if (!flow->c->is_mixed)
		return end;
	if (end >= 0 && flow->known[to] && (tests[to].to[0] == end || tests[to].to[1] == end))
		end = to;
	if (from < 0)
		return end;
	other = tests[from / 2].to[!(from & 1)];
	if (other >= 0 && tests[other].place > tests[test].place && follow(flow, facts, other) == end &&
	    filter_goes_with(&tests[from / 2], &tests[test], tests[from / 2].need))
		return other;
	return end;
}

/* One more way to a test, from an exit: known there is what is known on all of them. */
static void arrive(struct flow *flow, const __u32 *facts, int from, int to)
{
	if (to < 0)
		return;
	flow->c->tests[to].from = flow->known[to] ? -1 : from + 1;
	if (!flow->known[to]) {
		flow->known[to] = malloc(2 * flow->words * sizeof(__u32));
		if (!flow->known[to])
			filter_no_memory(flow->c);
		memcpy(flow->known[to], facts, 2 * flow->words * sizeof(__u32));
		return;
	}
	for (size_t i = 0; i < flow->words; i++) {
		__u32 differ = flow->known[to][flow->words + i] ^ facts[flow->words + i];

		flow->known[to][i] &= facts[i] & ~differ;
	}
}

/* How much of the frame an arithmetic expression looks at, whatever the values that it computes with. */
static __u32 need_of_arith(const struct compiler *c, int node)
{
	const struct arith *arith = &c->ariths[node];
	__u32 left = 0, right = 0;

	if (arith->kind == A_NUMBER || arith->kind == A_PACKET)
		return 0;
	if (arith->kind == A_LOAD && c->ariths[arith->left].kind == A_NUMBER)
		left = c->ariths[arith->left].number <= FIXED_OFFSET_MAX ?
			arith->base + c->ariths[arith->left].number + arith->size : 0;
	else
		left = need_of_arith(c, arith->left);
	if (arith->kind == A_BINARY)
		right = need_of_arith(c, arith->right);
	return left > right ? left : right;
}

static __u32 need_of_test(const struct compiler *c, const struct test *test)
{
	__u32 left, right;

	switch (test->kind) {
	case V_FRAME:
		return test->offset + test->size;
	case V_TRANSPORT: /* of a header without a length; but IPv6's has one, and of IPv4 the protocol is known */
		return (test->base & BASE) + (test->base & EITHER ? 10 : test->offset + test->size);
	case V_ARITH:
		left = need_of_arith(c, test->left);
		right = need_of_arith(c, test->right);
		return left > right ? left : right;
	default:
		return 0;
	}
}

/* How much a frame that matches has at least if a test holds: fields are as filter_field.c makes them. */
static __u32 need_of_holding(const struct test *test)
{
	static const __u8 ends[] = {
		[F_SOURCE] = 16, [F_DESTINATION] = 20, [F_SOURCE6] = 24, [F_DESTINATION6] = 40,
		[F_SOURCE_PORT] = 10, [F_DESTINATION_PORT] = 10, [F_TRANSPORT] = 10, [F_PROTOCOL] = 7, [F_NUMBER] = 7,
	};

	return test->kind == V_FIELD ? test->offset + ends[test->size] : 0;
}

/* From the last test to the first. A frame that has less will not match: so one check does for many. */
static void find_needs(struct flow *flow, int n)
{
	struct test *tests = flow->c->tests;

	while (n--) {
		struct test *test = &tests[flow->order[n]];
		__u32 least = ~0u;

		test->need = need_of_test(flow->c, test);
		for (int outcome = 0; outcome < 2; outcome++) {
			int to = test->to[outcome];
			__u32 need = to == NO_MATCH ? ~0u : to == MATCH ? 0 : tests[to].need;
			__u32 held = outcome ? need_of_holding(test) : 0;

			if (need < held)
				need = held;
			if (least > need)
				least = need;
		}
		if (test->need < least && least < ~0u)
			test->need = least;
	}
}

/*
 * Put the tests that can be reached from head into topological order (in *order, malloced and
 * owned by c), with the exits of each leading past what is known. Returns their number; *head may
 * become MATCH or NO_MATCH.
 */
int filter_order(struct compiler *c, int *head, int **order)
{
	struct flow *flow = need_memory(c, 3, 1, sizeof(*flow));
	__u32 *facts;
	int n = 0;

	flow->c = c;
	sort(flow, *head);
	free(c->work[0]);
	free(c->work[1]);
	c->work[0] = c->work[1] = NULL;
	*head = merge(flow, *head);
	number(flow);
	flow->words = flow->ncomparisons / 32 + 1;
	if (flow->words * flow->norder > MEMORY_MAX / 8)
		filter_too_long(c);
	flow->known = c->known = calloc(c->ntests, sizeof(*flow->known));
	facts = need_memory(c, 4, 2 * flow->words, sizeof(*facts));
	if (!flow->known)
		filter_no_memory(c);
	if (c->is_mixed) /* lead() asks about them */
		find_needs(flow, flow->norder);
	*head = follow(flow, facts, *head);
	arrive(flow, facts, -1, *head);
	for (int i = 0; i < flow->norder; i++)
		c->tests[flow->order[i]].place = i;
	for (int i = 0; i < flow->norder; i++) {
		int test = flow->order[i];

		if (!flow->known[test])
			continue;
		for (int outcome = 0; outcome < 2; outcome++) {
			int *to = &c->tests[test].to[outcome];

			memcpy(facts, flow->known[test], 2 * flow->words * sizeof(*facts));
			learn_outcome(flow, facts, test, outcome);
			*to = lead(flow, facts, test, *to);
			arrive(flow, facts, 2 * test + outcome, *to);
		}
		free(flow->known[test]);
		flow->known[test] = NULL;
		flow->order[n++] = test;
	}
	free(c->work[0]);
	free(c->work[1]);
	c->work[0] = c->work[1] = NULL;
	find_needs(flow, n);
	free(c->known);
	c->known = NULL;
	*order = flow->order;
	return c->is_mixed ? filter_join(c, flow->order, n) : n;
}
