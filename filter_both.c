// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Joined tests (filter_join.c) as instructions. Of each value a number is made that is zero if the test ends
 * as it is wanted to. That both end so: the bits of both; that one does: the product, which must not overflow,
 * so account is kept of how many bits a number may have.
 */
#include <arpa/inet.h>
#include <string.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

/* The registers that joined tests have: the first one for what comes out. */
static const __u8 registers[] = { BPF_REG_0, BPF_REG_4, BPF_REG_5 };

#define FIRST_IS_LOW (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

/* A constant in the byte order in which a value is loaded. */
static __u32 as_loaded(const struct test *test, __u32 k)
{
	if (test->kind == V_PACKET || test->size == 1)
		return k;
	return test->size == 2 ? htons(k) : htonl(k);
}

/* A number becomes 1 if it is not zero. spare is lost if it has 64 bits. */
static int to_bit(struct code *code, int reg, int bits, int spare)
{
	if (bits == 1)
		return 1;
	if (bits == 64) {
		filter_emit(code, BPF_MOV64_REG(spare, reg));
		filter_emit(code, BPF_ALU64_IMM(BPF_NEG, spare, 0));
		filter_emit(code, BPF_ALU64_REG(BPF_OR, reg, spare));
	} else {
		filter_emit(code, BPF_ALU64_IMM(BPF_NEG, reg, 0));
	}
	filter_emit(code, BPF_ALU64_IMM(BPF_RSH, reg, 63));
	return 1;
}

/* It becomes 1 if it is zero. */
static int negate(struct code *code, int reg, int bits, int spare)
{
	if (bits == 1 || bits == 64) {
		to_bit(code, reg, bits, spare);
		filter_emit(code, BPF_ALU64_IMM(BPF_XOR, reg, 1));
		return 1;
	}
	filter_emit(code, BPF_ALU64_IMM(BPF_ADD, reg, -1));
	filter_emit(code, BPF_ALU64_IMM(BPF_RSH, reg, 63));
	return 1;
}

/* reg = 1 if a number of 32 bits is above span. */
static int above(struct code *code, int reg, __u32 span, int spare)
{
	if (span <= 0x7fffffff) {
		filter_emit(code, BPF_ALU64_IMM(BPF_NEG, reg, 0));
		filter_emit(code, BPF_ALU64_IMM(BPF_ADD, reg, span));
	} else {
		filter_emit(code, BPF_MOV32_IMM(spare, span));
		filter_emit(code, BPF_ALU64_REG(BPF_SUB, spare, reg));
		filter_emit(code, BPF_MOV64_REG(reg, spare));
	}
	filter_emit(code, BPF_ALU64_IMM(BPF_RSH, reg, 63));
	return 1;
}

static int any_of(struct code *code, const struct test *test, int reg, int spare)
{
	__u32 k[] = { test->k, test->span & 0xffff, test->span >> 16 };
	int n = k[1] == k[2] ? 2 : 3;

	filter_load_value(code, spare, test);
	for (int i = 0; i < n; i++) {
		__u32 change = as_loaded(test, k[i]) ^ (i ? as_loaded(test, k[i - 1]) : 0);

		filter_emit(code, BPF_ALU32_IMM(BPF_XOR, spare, change));
		filter_emit(code, i ? BPF_ALU64_REG(BPF_MUL, reg, spare) : BPF_MOV64_REG(reg, spare));
	}
	return n * 8 * test->size;
}

static int mac(struct code *code, const struct test *test, int reg, int spare)
{
	__u64 value;

	memcpy(&value, code->c->addresses[test->k].bytes, sizeof(value));
	filter_load_value(code, reg, test);
	filter_constant64(code, spare, value);
	filter_emit(code, BPF_ALU64_REG(BPF_XOR, reg, spare));
	if (FIRST_IS_LOW)
		filter_emit(code, BPF_ALU64_IMM(BPF_LSH, reg, 16));
	filter_emit(code, BPF_ALU64_IMM(BPF_RSH, reg, 16));
	return 48;
}

/* Of the frame or of struct packet: reg = a number that is zero for the outcome that is returned; *bits: how many
 * it has. */
static int value(struct code *code, const struct test *test, int reg, int spare, int *bits)
{
	__u32 mask = as_loaded(test, test->mask), k = as_loaded(test, test->k);

	*bits = 8 * test->size;
	if (test->op == ANY_OF) {
		*bits = any_of(code, test, reg, spare);
		return 1;
	}
	if (test->size == 6) {
		*bits = mac(code, test, reg, spare);
		return 1;
	}
	filter_load_value(code, reg, test);
	switch (test->op) {
	case BPF_JSET:
		filter_emit(code, BPF_ALU32_IMM(BPF_AND, reg, k));
		return 0;
	case BPF_JLE:
		if (test->kind != V_PACKET && test->size > 1)
			filter_emit(code, BPF_ENDIAN(BPF_TO_BE, reg, test->size * 8));
		filter_emit(code, BPF_ALU32_IMM(BPF_SUB, reg, test->k));
		*bits = above(code, reg, test->span, spare);
		return 1;
	}
	if (test->mask != (test->size == 4 ? 0xffffffff : (1u << 8 * test->size) - 1))
		filter_emit(code, BPF_ALU32_IMM(BPF_AND, reg, mask));
	if (k)
		filter_emit(code, BPF_ALU32_IMM(BPF_XOR, reg, k));
	return 1;
}

static int field(struct code *code, const struct test *test, const __u8 *regs, int *bits)
{
	if (test->kind == V_VALID) {
		filter_field_missing(code, test, regs[0]);
		filter_emit(code, BPF_ALU64_IMM(BPF_AND, regs[0], 2));
		*bits = 2;
		return 1;
	}
	if (!test->span) {
		filter_field_differs(code, test, regs);
		*bits = filter_is_address6(test->size) ? 64 : 34;
		return 1;
	}
	filter_emit(code, filter_load(8, regs[0], BPF_REG_10, code->field[test->size]));
	filter_emit(code, BPF_MOV64_REG(regs[1], regs[0]));
	filter_emit(code, BPF_ALU64_IMM(BPF_SUB, regs[0], test->k));
	filter_emit(code, BPF_ALU64_IMM(BPF_NEG, regs[1], 0));
	filter_emit(code, BPF_ALU64_IMM(BPF_ADD, regs[1], test->k + test->span));
	filter_emit(code, BPF_ALU64_REG(BPF_OR, regs[0], regs[1])); /* negative: it is less, or more */
	filter_emit(code, BPF_ALU64_IMM(BPF_RSH, regs[0], 63));
	*bits = 1;
	return 1;
}

/* Of a frame in pieces the kernel may be asked meanwhile, which loses r3. */
static void put_aside(struct code *code, int reg)
{
	if (code->joined)
		filter_store(code, reg, code->joined);
	else
		filter_emit(code, BPF_MOV64_REG(BPF_REG_3, reg));
}

/* The register that it is in again. */
static int fetch_back(struct code *code, int reg)
{
	if (!code->joined)
		return BPF_REG_3;
	filter_emit(code, filter_load(8, reg, BPF_REG_10, code->joined));
	return reg;
}

/* How many values have their zero at the wrong outcome? */
static int cost(const struct code *code, const struct test *test, int wanted)
{
	const struct test *tests = code->c->tests;

	if (test->kind == V_BOTH)
		return cost(code, &tests[test->left], wanted == (int)test->mask) +
		       cost(code, &tests[test->right], wanted == (int)test->span);
	return wanted == (test->op == BPF_JSET);
}

/* regs[0] = zero if a test ends as it is wanted to; the other two are lost. Returns how many bits it may have. */
static int make(struct code *code, const struct test *test, int wanted, const __u8 *regs)
{
	const struct test *tests = code->c->tests, *first, *second;
	int wants[2], bits[2], zero, other = regs[1];

	if (test->kind != V_BOTH) {
		zero = test->kind == V_FIELD || test->kind == V_VALID ? field(code, test, regs, bits) :
			value(code, test, regs[0], regs[1], bits);
		return zero == wanted ? bits[0] : negate(code, regs[0], bits[0], regs[1]);
	}
	first = &tests[test->left];
	second = &tests[test->right];
	wants[0] = wanted == (int)test->mask;
	wants[1] = wanted == (int)test->span;
	if (filter_registers(first) < filter_registers(second)) {
		const struct test *swap = first;
		int want = wants[0];

		first = second;
		second = swap;
		wants[0] = wants[1];
		wants[1] = want;
	}
	bits[0] = make(code, first, wants[0], regs);
	if (filter_registers(second) > 2) {
		put_aside(code, regs[0]);
		bits[1] = bits[0];
		bits[0] = make(code, second, wants[1], regs);
		other = fetch_back(code, regs[1]);
	} else {
		bits[1] = make(code, second, wants[1], regs + 1);
	}
	if (wanted) {
		filter_emit(code, BPF_ALU64_REG(BPF_OR, regs[0], other));
		return bits[0] > bits[1] ? bits[0] : bits[1];
	}
	while (bits[0] > 1 && bits[1] > 1 && bits[0] + bits[1] > 64) {
		int most = bits[1] > bits[0];

		bits[most] = to_bit(code, most ? other : regs[0], bits[most], regs[2]);
	}
	filter_emit(code, BPF_ALU64_REG(BPF_MUL, regs[0], other));
	return bits[0] == 1 || bits[1] == 1 ? bits[0] + bits[1] - 1 : bits[0] + bits[1];
}

void filter_reserve_joined(struct code *code)
{
	code->joined = 0;
	for (int i = 0; code->pieces && i < code->norder && !code->joined; i++)
		if (filter_registers(&code->c->tests[code->order[i]]) > 3) /* never while arithmetic has a value there */
			code->joined = code->depth[0] ? code->depth[0] : filter_words(code, 1);
}

/* Values of the frame itself, which no copy has: how many, and where the first one begins. */
static int uncopied(const struct code *code, const struct test *test, __u32 *first)
{
	const struct test *tests = code->c->tests;

	if (test->kind == V_BOTH)
		return uncopied(code, &tests[test->left], first) + uncopied(code, &tests[test->right], first);
	if (test->kind != V_FRAME || filter_is_copied(code, test->offset, filter_loaded(test->size)))
		return 0;
	if (*first > test->offset)
		*first = test->offset;
	return 1;
}

int filter_both(struct code *code, const struct test *test)
{
	int wanted = cost(code, test, 1) <= cost(code, test, 0);
	__u32 first = ~0u;
	int n = uncopied(code, test, &first);

	if (n > code->pieces)
		filter_have(code, first, test->offset); /* here, since r3 and r5 would be lost */
	make(code, test, wanted, registers);
	if (filter_registers(test) > 3 && !code->pieces)
		filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_3, BPF_REG_1, offsetof(struct packet, data_end)));
	return wanted;
}
