// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ordered tests made into instructions. What the registers hold:
 *
 *	r0, r4  values of the frame, kept while they are of use; r0 also the result
 *	r1      struct packet
 *	r2, r3  the frame's first byte, and its end (filter_both.c borrows r3)
 *	r5      the frame's first byte plus the length of an IPv4 header, or nothing
 *	r9      DOOM, in a filter that is_mixed
 *
 * Which of this holds at the beginning of a test is what holds on every way to it; in a filter that is_mixed,
 * r0, r4 and r5 hold nothing where ways meet, and r2 is made anew (filter_renew_data()) if they have seen more
 * or less of the frame. A field's bytes are compared as they are, the constant is turned round instead, but for
 * > and <.
 *
 * The same is written once more for frames in pieces, if they are asked for (filter_pieces.c). There what is not
 * in scratch memory is loaded by a call of bpf_xdp_load_bytes, so that everything moves to the registers that a call
 * leaves alone. Until the next call r2 is where scratch memory begins, and r3 may be the frame's length.
 *
 *	r9, r7, r6  what else is in r0, r4, r1
 *	r8          the length of that IPv4 header alone
 *	r5          DOOM, but during a call
 */
#include <stdlib.h>
#include <string.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

/* A filter of more instructions is loaded once only where there may be frames in pieces. */
#define TWICE_MAX 512

/* Takes from 8 bytes that were loaded the last two. */
#define MAC_SHIFT (FIRST_IS_LOW ? BPF_LSH : BPF_RSH)

/* Those of values come first. */
static const __u8 registers[] = { BPF_REG_0, BPF_REG_4, BPF_REG_5 };

/* The value of a test: the index of the register that holds it, in host order where asked for. */
static int fetch(struct code *code, int number, int ordered)
{
	const struct test *tests = code->c->tests, *test = &tests[number];
	struct state *now = &code->now;
	int i;

	for (i = 0; i < 2; i++)
		if (now->value[i] >= 0 && filter_same_value(&tests[now->value[i]], test))
			break;
	if (i == 2) {
		i = now->next;
		filter_load_value(code, registers[i], test);
		now->value[i] = number;
		now->ordered[i] = filter_is_ordered(test);
		if (test->size == 6) /* without the two bytes behind them */
			filter_emit(code, BPF_ALU64_IMM(MAC_SHIFT, registers[i], 16));
	}
	if (ordered && !now->ordered[i]) {
		filter_emit(code, BPF_ENDIAN(BPF_TO_BE, registers[i], test->size * 8));
		now->ordered[i] = 1;
	}
	now->next = !i;
	return i;
}

/* A register other than that of a value, for no longer than a test takes: one that calls lose if there are such,
 * else r5 if that is free, else where the other value was. */
static int spare(struct code *code, int i)
{
	if (code->pieces) {
		code->now.has_length = 0;
		return BPF_REG_3;
	}
	if (code->now.transport < 0)
		return BPF_REG_5;
	code->now.value[!i] = -1;
	return registers[!i];
}

/* A copy of a value, and one operation on it. */
static int changed(struct code *code, int i, int op, __u32 operand)
{
	int reg = spare(code, i);

	filter_emit(code, BPF_MOV32_REG(reg, registers[i]));
	filter_emit(code, BPF_ALU32_IMM(op, reg, operand));
	return reg;
}

/* One more way to a test: there holds what holds on all of them. */
static void arrive(struct code *code, int to)
{
	struct state *state;

	if (to < 0)
		return;
	state = &code->states[to];
	if (!state->reached) {
		*state = code->now;
		state->reached = 1;
		return;
	}
	state->reached = 2;
	for (int i = 0; i < 2; i++) {
		const struct test *tests = code->c->tests;
		int a = state->value[i], b = code->now.value[i];

		if (a < 0 || b < 0 || state->ordered[i] != code->now.ordered[i] ||
		    !filter_same_value(&tests[a], &tests[b]))
			state->value[i] = -1;
	}
	if (code->c->is_mixed && state->length != code->now.length)
		state->stale = 1;
	state->stale |= code->now.stale;
	if (state->length > code->now.length)
		state->length = code->now.length;
	if (state->copied_length > code->now.copied_length)
		state->copied_length = code->now.copied_length;
	if (state->transport_length > code->now.transport_length)
		state->transport_length = code->now.transport_length;
	state->has_length &= code->now.has_length;
	if (state->transport != code->now.transport)
		state->transport = -1;
	if (state->chain != code->now.chain)
		state->chain = -1;
}

/* What is emitted next, now that all ways out of the tests so far are known. */
static int next_test(struct code *code)
{
	while (code->at < code->norder && !code->states[code->order[code->at]].reached)
		code->at++;
	return code->at < code->norder ? code->order[code->at] : MATCH;
}

static void go(struct code *code, int to, int next)
{
	if (to != next)
		filter_jump(code, BPF_JMP_A(0), to);
	else if (to == MATCH)
		code->used[0] = 1;
}

static int inverse(int op)
{
	switch (op) {
	case BPF_JEQ:
		return BPF_JNE;
	case BPF_JGT:
		return BPF_JLE;
	case BPF_JGE:
		return BPF_JLT;
	case BPF_JLE:
		return BPF_JGT;
	default:
		return -1;
	}
}

/* End a test with a jump instruction that says when it holds, or does not. */
static void branch(struct code *code, const struct test *test, struct bpf_insn jump, int negated)
{
	int yes = test->to[!negated], no = test->to[negated], next;
	int opposite = inverse(BPF_OP(jump.code));

	arrive(code, yes);
	arrive(code, no);
	next = next_test(code);
	/*
	 * The verifier goes straight on first. Where it learns how much of a frame there is, that had better be
	 * the way on which it has seen less of it: then it need not go it again knowing more. Where it does
	 * not, the way that is longer: each end that it comes to by way of something new costs time.
	 */
	if (opposite >= 0 && ((yes == next && (no < 0 || code->c->is_mixed)) ||
			      (code->c->is_mixed && yes >= 0 && no < 0))) {
		jump.code = (jump.code & ~0xf0) | opposite;
		yes = test->to[negated];
		no = test->to[!negated];
	}
	if (yes != no)
		filter_jump(code, jump, yes);
	go(code, no, next);
}

static void always(struct code *code, const struct test *test, int outcome)
{
	arrive(code, test->to[outcome]);
	go(code, test->to[outcome], next_test(code));
}

/* A constant in the byte order in which a value is held. */
static __u32 as_loaded(const struct code *code, const struct test *test, int i, __u32 k)
{
	return code->now.ordered[i] ? k : filter_as_loaded(test, k);
}

static void emit_any_of(struct code *code, const struct test *test, int i)
{
	const __u32 k[] = { test->span >> 16, test->span & 0xffff, test->k };

	if (code->c->is_mixed) {
		int product = spare(code, i);

		filter_product(code, test, product, registers[i], code->now.ordered[i]);
		code->now.value[i] = -1;
		branch(code, test, BPF_JMP_IMM(BPF_JEQ, product, 0, 0), 0);
		return;
	}
	for (int n = k[0] == k[1]; n < 3; n++) {
		__u32 constant = as_loaded(code, test, i, k[n]);
		struct bpf_insn jump = BPF_JMP32_IMM(BPF_JEQ, registers[i], constant, 0);

		if (n < 2)
			filter_jump(code, jump, test->to[1]);
		else
			branch(code, test, jump, 0);
	}
}

/* An Ethernet address. */
static void emit_mac(struct code *code, const struct test *test, int i)
{
	__u64 value;

	memcpy(&value, code->c->addresses[test->k].bytes, sizeof(value));
	code->now.transport = -1;
	filter_constant64(code, BPF_REG_5, FIRST_IS_LOW ? value << 16 : value >> 16);
	branch(code, test, BPF_JMP_REG(BPF_JEQ, registers[i], BPF_REG_5, 0), 0);
}

static void emit_equal(struct code *code, const struct test *test, int i)
{
	__u32 k = test->k, mask = test->mask;
	int reg = registers[i];

	if (!mask || (k & ~mask)) {
		always(code, test, !(k & ~mask));
		return;
	}
	k = as_loaded(code, test, i, k);
	mask = as_loaded(code, test, i, mask);
	if (mask == filter_all_bits(test->size)) {
		branch(code, test, BPF_JMP32_IMM(BPF_JEQ, reg, k, 0), 0);
	} else if (!k || (k == mask && !(mask & (mask - 1)))) {
		branch(code, test, BPF_JMP32_IMM(BPF_JSET, reg, mask, 0), !k);
	} else {
		reg = changed(code, i, BPF_AND, mask);
		branch(code, test, BPF_JMP32_IMM(BPF_JEQ, reg, k, 0), 0);
	}
}

/* Is a value that is most at most never so? The verifier knows, too: what it does not go through has no place in
 * filter_steer.c. */
static int is_never(const struct test *test, __u32 most, __u32 k)
{
	return test->op == BPF_JGT ? most <= k : (test->op == BPF_JEQ || test->op == BPF_JGE) && most < k;
}

static void emit_relation(struct code *code, const struct test *test)
{
	const struct arith *right = &code->c->ariths[test->right];

	code->now.value[0] = code->now.value[1] = -1;
	if (right->kind == A_NUMBER) {
		filter_evaluate(code, test->left, 0);
		if (is_never(test, filter_most(code->c, test->left), right->number))
			always(code, test, 0);
		else
			branch(code, test, BPF_JMP32_IMM(test->op, BPF_REG_0, right->number, 0), 0);
		return;
	}
	filter_evaluate_both(code, test->left, test->right, 0, BPF_REG_4);
	branch(code, test, BPF_JMP32_REG(test->op, BPF_REG_4, BPF_REG_0, 0), 0);
}

static void emit_chain(struct code *code, const struct test *test)
{
	filter_chain(code, test);
	if (test->k <= 0xff) /* else nothing leads there, and the verifier wants no dead code */
		arrive(code, test->to[1]);
	arrive(code, test->to[0]);
	go(code, test->to[0], next_test(code));
}

/* Is V_VALID what comes behind a field's test that does not hold? Then it is asked with that: where one holds, nothing
 * is missing. */
static int asks_itself(const struct code *code, const struct test *test)
{
	const struct test *next = &code->c->tests[test->to[0] < 0 ? 0 : test->to[0]];

	return code->dooms && test->to[0] >= 0 && next->kind == V_VALID && next->size == test->size &&
	       next->offset == test->offset && !filter_is_address6(test->size);
}

static void emit_field(struct code *code, const struct test *test)
{
	struct test other = *test;

	code->now.value[0] = code->now.value[1] = -1;
	if (test->kind == V_VALID && filter_is_address6(test->size)) {
		filter_field_mask(code, test->size, BPF_REG_0);
		branch(code, test, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, 0, 0), 1);
		return;
	}
	if (test->kind == V_VALID && code->dooms) {
		filter_load_field(code, test, BPF_REG_0, 8);
		filter_doom(code, BPF_REG_0, 0);
		always(code, test, 1);
		return;
	}
	if (test->kind == V_VALID) {
		filter_field_missing(code, test, BPF_REG_0);
		branch(code, test, BPF_JMP32_IMM(BPF_JSET, BPF_REG_0, 2, 0), 1);
		return;
	}
	code->now.transport = -1;
	code->asks = asks_itself(code, test);
	if (code->asks)
		other.to[0] = code->c->tests[test->to[0]].to[1];
	filter_field_differs(code, test, registers);
	code->asks = 0;
	branch(code, &other, BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0), 0);
}

static void emit_both(struct code *code, const struct test *test)
{
	int outcome;

	code->now.value[0] = code->now.value[1] = code->now.transport = -1;
	outcome = filter_both(code, test, registers);
	branch(code, test, BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0), !outcome);
}

/* A value of the frame or of struct packet. */
static void emit_value(struct code *code, int number)
{
	const struct test *test = &code->c->tests[number];
	int i = fetch(code, number, test->op == BPF_JLE), reg;

	if (test->size == 6) {
		emit_mac(code, test, i);
		return;
	}
	switch (test->op) {
	case BPF_JEQ:
		emit_equal(code, test, i);
		break;
	case BPF_JLE: /* of the copy alone the verifier learns a range: paths stay alike, and few */
		reg = changed(code, i, BPF_SUB, test->k);
		branch(code, test, BPF_JMP32_IMM(BPF_JLE, reg, test->span, 0), 0);
		break;
	case ANY_OF:
		emit_any_of(code, test, i);
		break;
	default:
		branch(code, test, BPF_JMP32_IMM(BPF_JSET, registers[i], as_loaded(code, test, i, test->k), 0), 0);
	}
}

static void emit_test(struct code *code, int number)
{
	const struct test *test = &code->c->tests[number];

	code->now = code->states[number];
	if (code->c->is_mixed && code->states[number].reached > 1) {
		code->now.value[0] = code->now.value[1] = code->now.transport = -1;
		code->now.has_length = 0;
	}
	code->start[number] = code->len;
	code->need = test->need;
	switch (test->kind) {
	case V_ARITH:
		emit_relation(code, test);
		break;
	case V_CHAIN:
		emit_chain(code, test);
		break;
	case V_FIELD:
	case V_VALID:
		emit_field(code, test);
		break;
	case V_BOTH:
		emit_both(code, test);
		break;
	default:
		emit_value(code, number);
	}
}

static int reads_frame(const struct code *code)
{
	for (int i = 0; i < code->nleaves; i++)
		if (code->c->tests[code->leaves[i]].kind != V_PACKET)
			return 1;
	return 0;
}

static void emit_beginning(struct code *code)
{
	if (code->pieces) {
		filter_append(code, BPF_MOV64_REG(BPF_REG_6, BPF_REG_1));
		return;
	}
	filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_2, BPF_REG_1, offsetof(struct packet, data)));
	filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_3, BPF_REG_1,
				      offsetof(struct packet, data_end)));
}

/* Words of the stack, for what is needed; walks at the beginning, and then the copy, take what is left. */
static void reserve(struct code *code)
{
	code->words = code->begun = code->dooms = code->loaded = code->nmeets = 0;
	if (code->pieces)
		code->loaded = filter_words(code, 1);
	filter_reserve_chain(code);
	filter_reserve_arith(code);
	filter_reserve_joined(code);
	filter_reserve_fields(code, 1);
	code->unmade = code->words;
	if (code->c->is_long) {
		code->ones = filter_words(code, 1);
		code->zero = filter_words(code, 1);
	}
	filter_reserve_fields(code, 4);
	code->doomed = 0; /* and those that come now are no need */
	if (code->scratch && code->c->is_mixed && code->words < FILTER_WORDS)
		code->doomed = filter_words(code, 1);
	filter_reserve_walks(code);
	filter_reserve_upper(code);
}

static void begin_doom(struct code *code)
{
	filter_emit(code, filter_load(8, DOOM, BPF_REG_10, code->zero));
	if (code->doomed) { /* a word, and to the verifier one of two halves from the beginning: see filter_pieces.c */
		filter_emit(code, BPF_STX_MEM(BPF_DW, BPF_REG_10, DOOM, code->doomed));
		filter_emit(code, BPF_STX_MEM(BPF_W, BPF_REG_10, DOOM, code->doomed + 4));
	}
	code->dooms = 1;
}

/* One of the two kinds of code, from head on. Returns its length. */
static size_t write(struct code *code, int head)
{
	struct state nothing = {
		.value = { -1, -1 }, .transport = -1, .chain = -1,
		.stale = code->c->is_mixed || code->scratch,
		.copied_length = filter_is_ethernet(code) ? ETHERNET : 0, /* no frame is shorter */
	};

	memset(code->states, 0, code->c->ntests * sizeof(*code->states));
	code->len = code->size = code->at = 0;
	code->need = 0;
	code->used[0] = code->used[1] = 0;
	if (code->pieces || reads_frame(code))
		emit_beginning(code);
	if (reads_frame(code)) {
		reserve(code);
		filter_copy(code);
		filter_make_addresses(code);
		if (code->c->all_headers)
			filter_make_headers(code);
		else
			filter_make_ports(code);
		filter_make_chains(code);
		if ((code->unmade || code->c->is_mixed) && code->c->is_long && !code->begun)
			filter_begin(code);
		if (code->c->is_mixed && (!code->pieces || code->doomed))
			begin_doom(code);
	}
	code->now = nothing;
	arrive(code, head);
	go(code, head, head == NO_MATCH ? MATCH : next_test(code));
	while (next_test(code) >= 0)
		emit_test(code, code->order[code->at++]);
	filter_finish_code(code);
	filter_steer(code);
	return code->len;
}

static void add_leaves(struct code *code, int number)
{
	const struct test *test = &code->c->tests[number];

	if (test->kind == V_BOTH) {
		add_leaves(code, test->left);
		add_leaves(code, test->right);
	} else {
		code->leaves[code->nleaves++] = number;
	}
}

void filter_code(struct compiler *c, int head)
{
	struct code code = { .c = c, .insns = &c->filter->insns };
	int whole;

	code.norder = filter_order(c, &head, &code.order);
	if (head == MATCH)
		return;
	code.leaves = c->work[6] = calloc(c->ntests, sizeof(*code.leaves));
	if (!code.leaves)
		filter_no_memory(c);
	for (int i = 0; i < code.norder; i++)
		add_leaves(&code, code.order[i]);
	code.states = c->work[0] = calloc(c->ntests, sizeof(*code.states));
	code.start = c->work[1] = calloc(c->ntests, sizeof(*code.start));
	if (!code.states || !code.start)
		filter_no_memory(c);
	if (!c->all_headers)
		c->filter->len = write(&code, head);
	whole = c->filter->cost = code.cost;
	if (!c->pieces || (c->pieces == PIECES_IF_CHEAPER && whole < DEAR))
		return;
	code.pieces = 1;
	code.scratch = c->pieces != PIECES_ASKED_FOR;
	code.insns = &c->filter->pieces;
	c->filter->pieces_len = write(&code, head);
	if (c->pieces == PIECES_IF_CHEAPER && (!code.copied || whole - code.cost < whole / 8)) {
		free(c->filter->pieces);
		c->filter->pieces = NULL;
		c->filter->pieces_len = 0;
		return;
	}
	c->filter->pieces_copied = code.copied != 0;
	c->filter->pieces_alone = c->pieces == PIECES_IF_CHEAPER ||
				  (c->filter->len > TWICE_MAX && (c->is_mixed || code.copied));
	c->filter->cost = code.cost + (c->filter->pieces_alone ? 0 : whole);
}
