// SPDX-License-Identifier: GPL-2.0-or-later
/* Arithmetic with classic BPF's meaning: 32 bits, division by zero is no match. */
#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

/* The most that the verifier lets a packet pointer reach, to which filter_renew_data() may add 1. */
#define OFFSET_MAX(code) (0xffff - ((code)->c->is_mixed && !(code)->pieces))

static void to_host_order(struct code *code, int size)
{
	if (size > 1)
		filter_emit(code, BPF_ENDIAN(BPF_TO_BE, BPF_REG_0, size * 8));
}

/* How many words it takes to evaluate a node, see filter_evaluate_both(). */
static int words(const struct compiler *c, int node)
{
	const struct arith *arith = &c->ariths[node];
	int left, right;

	if (arith->kind == A_NUMBER || arith->kind == A_PACKET)
		return 0;
	left = words(c, arith->left);
	if (arith->kind != A_BINARY || c->ariths[arith->right].kind == A_NUMBER)
		return left;
	right = words(c, arith->right) + 1;
	return left > right ? left : right;
}

void filter_reserve_arith(struct code *code)
{
	int most = 0;

	for (int i = 0; i < code->nleaves; i++) {
		const struct test *test = &code->c->tests[code->leaves[i]];
		int left, right;

		if (test->kind != V_ARITH)
			continue;
		left = words(code->c, test->left);
		right = words(code->c, test->right) + 1;
		if (left > most)
			most = left;
		if (right > most && code->c->ariths[test->right].kind != A_NUMBER)
			most = right;
	}
	if (most > ARITH_DEPTH)
		filter_fail(code->c, NULL, "the arithmetic is too complicated");
	for (int i = 0; i < most; i++)
		code->depth[i] = filter_words(code, 1);
}

/* How large the value of a node may be, as far as the verifier can tell, too; ~0: as 32 bits may be. (Of what was turned
 * round to host byte order that of Linux 6.12, and those before it, know nothing.) */
__u32 filter_most(const struct compiler *c, int node)
{
	const struct arith *arith = &c->ariths[node], *right;

	if (arith->kind == A_LOAD)
		return arith->size == 1 ? 0xff : ~0u;
	if (arith->kind != A_BINARY || c->ariths[arith->right].kind != A_NUMBER)
		return arith->kind == A_NUMBER ? arith->number : ~0u;
	right = &c->ariths[arith->right];
	if (arith->op == BPF_AND)
		return right->number;
	if (arith->op == BPF_RSH && right->number < 32)
		return filter_most(c, arith->left) >> right->number;
	return ~0u;
}

/* r0 = bytes at base + r0, which is most at most, or behind the IPv4 header at base. */
static void load_indexed(struct code *code, const struct arith *arith, __u32 most)
{
	__u32 end = arith->base + arith->size;

	if (arith->transport) {
		filter_load_frame(code, BPF_REG_4, arith->base, 1);
		filter_emit(code, BPF_ALU32_IMM(BPF_AND, BPF_REG_4, 0xf));
		filter_emit(code, BPF_ALU32_IMM(BPF_LSH, BPF_REG_4, 2));
		filter_emit(code, BPF_ALU32_REG(BPF_ADD, BPF_REG_0, BPF_REG_4));
		most = most < FIXED_OFFSET_MAX ? most + HEADER_MAX : ~0u;
	}
	if (most > FIXED_OFFSET_MAX)
		filter_jump(code, BPF_JMP_IMM(BPF_JGT, BPF_REG_0, OFFSET_MAX(code) - end, 0), NO_MATCH);
	filter_load_indexed(code, BPF_REG_0, most, arith->base, arith->size);
}

static void load(struct code *code, const struct arith *arith, int depth)
{
	const struct arith *index = &code->c->ariths[arith->left];

	if (index->kind == A_NUMBER && index->number <= FIXED_OFFSET_MAX) {
		if (arith->transport)
			filter_load_transport(code, BPF_REG_0, arith->base, index->number,
					      arith->size);
		else
			filter_load_frame(code, BPF_REG_0, arith->base + index->number,
					  arith->size);
	} else {
		filter_evaluate(code, arith->left, depth);
		load_indexed(code, arith, filter_most(code->c, arith->left));
	}
	to_host_order(code, arith->size);
}

/*
 * reg = the left one of two numbers, which waits in the upper half of a word (see read_again() in filter_code.c); the
 * right one, which is no constant, is in r0, or in r4 if r0 is reg.
 */
void filter_evaluate_both(struct code *code, int left, int right, int depth, int reg)
{
	filter_evaluate(code, left, depth);
	filter_emit(code, BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_0, code->depth[depth] + 4));
	filter_evaluate(code, right, depth + 1);
	if (reg == BPF_REG_0)
		filter_emit(code, BPF_MOV32_REG(BPF_REG_4, BPF_REG_0));
	filter_emit(code, BPF_LDX_MEM(BPF_W, reg, BPF_REG_10, code->depth[depth] + 4));
}

/* A shift by 32 or more leaves nothing; eBPF would take the number modulo 32. */
static void shift(struct code *code, int op)
{
	filter_emit(code, BPF_JMP32_IMM(BPF_JLE, BPF_REG_4, 31, 2));
	filter_emit(code, BPF_MOV32_IMM(BPF_REG_0, 0));
	filter_emit(code, BPF_JMP_A(1));
	filter_emit(code, BPF_ALU32_REG(op, BPF_REG_0, BPF_REG_4));
}

static void binary(struct code *code, const struct arith *arith, int depth)
{
	const struct arith *right = &code->c->ariths[arith->right];
	int op = arith->op;

	if (right->kind == A_NUMBER) {
		filter_evaluate(code, arith->left, depth);
		filter_emit(code, BPF_ALU32_IMM(op, BPF_REG_0, right->number));
		return;
	}
	filter_evaluate_both(code, arith->left, arith->right, depth, BPF_REG_0);
	if (op == BPF_DIV || op == BPF_MOD)
		filter_jump(code, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_4, 0, 0), NO_MATCH);
	if (op == BPF_LSH || op == BPF_RSH)
		shift(code, op);
	else
		filter_emit(code, BPF_ALU32_REG(op, BPF_REG_0, BPF_REG_4));
}

void filter_evaluate(struct code *code, int node, int depth)
{
	const struct arith *arith = &code->c->ariths[node];

	switch (arith->kind) {
	case A_NUMBER:
		filter_emit(code, BPF_MOV32_IMM(BPF_REG_0, arith->number));
		break;
	case A_PACKET:
		filter_emit(code, BPF_LDX_MEM(BPF_W, BPF_REG_0, BPF_REG_1, arith->number));
		break;
	case A_LOAD:
		load(code, arith, depth);
		break;
	case A_NEGATE:
		filter_evaluate(code, arith->left, depth);
		filter_emit(code, BPF_ALU32_IMM(BPF_NEG, BPF_REG_0, 0));
		break;
	case A_BINARY:
		binary(code, arith, depth);
		break;
	}
}
