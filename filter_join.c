// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests joined into one with one branch. A branch costs the verifier as much as five instructions, and it goes
 * through what follows once more for each way that leads there: in a filter of many ways that is most of what
 * loading takes.
 *
 * A test and the one that it leads to become a test of both where nothing else leads to the second, where they
 * share a way out, and where the second may as well be looked at if the first ends otherwise: its value is on
 * the stack, or of bytes that the frame is known to have, or without which it will not match any more.
 */
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>

#include "filter_code.h"

struct join {
	struct compiler *c;
	int *ways;      /* to each test */
	__u32 *seen;    /* of each test: bytes of the frame that have been looked at on every way to it */
};

__u32 filter_end(const struct test *test)
{
	if (test->kind == V_BOTH)
		return test->offset;
	return test->kind == V_FRAME ? test->offset + filter_loaded(test->size) : 0;
}

/* How many registers it takes to make a number of a test (filter_both.c): two, and one for each number that waits;
 * an IPv6 address is two numbers. */
int filter_registers(const struct test *test)
{
	if (test->kind == V_BOTH)
		return test->base;
	return 2 + (test->kind == V_FIELD && filter_is_address6(test->size));
}

static int registers_for(const struct test *a, const struct test *b)
{
	int one = filter_registers(a), other = filter_registers(b);

	if (one == other)
		return one + 1;
	return one > other ? one : other;
}

static int tests_in(const struct test *test)
{
	return test->kind == V_BOTH ? test->size : 1;
}

/* May a value be such that the test of it holds, and such that it does not? Of a number that is known beforehand the
 * verifier would keep account all the way back to where its parts come from. */
static int is_open(const struct test *test)
{
	__u32 most = filter_all_bits(test->size);

	switch (test->op) {
	case BPF_JEQ:
		return test->mask && !(test->k & ~test->mask);
	case BPF_JLE:
		return test->k <= most && (test->k || test->span < most);
	case BPF_JSET:
		return (test->k & most) != 0;
	}
	return 1;
}

/* Is a test's outcome a matter of one value, of which a number can be made that is zero for that outcome? */
static int is_plain(const struct test *test)
{
	switch (test->kind) {
	case V_FRAME:
	case V_PACKET:
		return is_open(test);
	case V_FIELD:
	case V_BOTH:
		return 1;
	}
	return 0;
}

/* May second be looked at whenever first is, of which a frame has so many bytes? */
int filter_goes_with(const struct test *first, const struct test *second, __u32 has)
{
	return is_plain(first) && is_plain(second) && filter_end(second) <= has &&
	       registers_for(first, second) <= 4 && tests_in(first) + tests_in(second) <= FILTER_TOGETHER;
}

static void look(struct join *join, const int *order, int n)
{
	struct test *tests = join->c->tests;

	join->ways[order[0]] = 1;
	for (int i = 1; i < n; i++)
		join->seen[order[i]] = ~0u;
	for (int i = 0; i < n; i++) {
		const struct test *test = &tests[order[i]];
		__u32 seen = join->seen[order[i]];

		if (seen < filter_end(test))
			seen = filter_end(test);
		for (int outcome = 0; outcome < 2; outcome++) {
			int to = test->to[outcome];

			if (to < 0)
				continue;
			join->ways[to]++;
			if (join->seen[to] > seen)
				join->seen[to] = seen;
		}
	}
}

/* Make one test of first and of what its outcome leads to, if that can be. */
static int join_next(struct join *join, int first, int outcome)
{
	struct compiler *c = join->c;
	struct test *tests = c->tests, *a = &tests[first], *b, both;
	int second = a->to[outcome], other = a->to[!outcome], wanted;
	__u32 has = c->field_header ? ETHERNET : 0; /* no frame is shorter */

	if (has < a->need)
		has = a->need;
	if (has < join->seen[first])
		has = join->seen[first];
	if (second < 0 || second == other || join->ways[second] != 1)
		return 0;
	b = &tests[second];
	wanted = b->to[0] == other;
	if (b->to[0] == b->to[1] || b->to[!wanted] != other || !filter_goes_with(a, b, has) ||
	    c->ntests == c->tests_size)
		return 0;
	both = (struct test){
		.kind = V_BOTH, .left = c->ntests, .right = second, .mask = outcome, .span = wanted,
		.to = { other, b->to[wanted] }, .base = registers_for(a, b), .size = tests_in(a) + tests_in(b),
		.offset = filter_end(a) > filter_end(b) ? filter_end(a) : filter_end(b),
	};
	both.need = a->need > both.offset ? a->need : both.offset;
	tests[c->ntests++] = *a;
	*a = both;
	join->ways[second] = 0;
	if (other >= 0)
		join->ways[other]--;
	return 1;
}

/* From the last test to the first; order has n tests. Returns how many are left in it. */
int filter_join(struct compiler *c, int *order, int n)
{
	struct join join = { .c = c };
	struct test *tests;
	int left = 0;

	if (!n)
		return 0;
	tests = realloc(c->tests, 2 * c->ntests * sizeof(*tests));
	if (!tests)
		filter_no_memory(c);
	c->tests = tests;
	c->tests_size = 2 * c->ntests;
	join.ways = c->work[0] = calloc(c->ntests, sizeof(*join.ways));
	join.seen = c->work[1] = calloc(c->ntests, sizeof(*join.seen));
	if (!join.ways || !join.seen)
		filter_no_memory(c);
	look(&join, order, n);
	for (int i = n - 1; i >= 0; i--)
		while (join_next(&join, order[i], 0) || join_next(&join, order[i], 1))
			continue;
	for (int i = 0; i < n; i++)
		if (join.ways[order[i]])
			order[left++] = order[i];
	free(c->work[0]);
	free(c->work[1]);
	c->work[0] = c->work[1] = NULL;
	return left;
}
