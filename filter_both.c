// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Joined tests (filter_join.c) as instructions. Of each value a number is made that is zero if the test ends
 * as it is wanted to. That both end so: the bits of both; that one does: the product, which must not overflow,
 * so account is kept of how many bits a number may have.
 */
#include <string.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

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

/* product = zero if a value is one of those that a test wants: one branch, where else each costs the verifier one.
 * The value, in host byte order or not, is lost. Returns how many bits the product may have. */
int filter_product(struct code *code, const struct test *test, int product, int value, int ordered)
{
	__u32 k[] = { test->k, test->span & 0xffff, test->span >> 16 }, last = 0;
	int n = k[1] == k[2] ? 2 : 3;

	for (int i = 0; i < n; i++) {
		__u32 constant = ordered ? k[i] : filter_as_loaded(test, k[i]);

		filter_emit(code, BPF_ALU32_IMM(BPF_XOR, value, constant ^ last));
		filter_emit(code, i ? BPF_ALU64_REG(BPF_MUL, product, value) : BPF_MOV64_REG(product, value));
		last = constant;
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

/* Of which outcome is a number made that is zero, whatever is wanted? */
static int zero_of(const struct test *test)
{
	return test->op != BPF_JSET;
}

/* A value of the frame or of struct packet. Returns how many bits reg may have. */
static int value(struct code *code, const struct test *test, int reg, int spare)
{
	__u32 mask = filter_as_loaded(test, test->mask), k = filter_as_loaded(test, test->k);

	if (test->op == ANY_OF) {
		filter_load_value(code, spare, test);
		return filter_product(code, test, reg, spare, filter_is_ordered(test));
	}
	if (test->size == 6)
		return mac(code, test, reg, spare);
	filter_load_value(code, reg, test);
	if (test->op == BPF_JLE) {
		if (!filter_is_ordered(test))
			filter_emit(code, BPF_ENDIAN(BPF_TO_BE, reg, test->size * 8));
		filter_emit(code, BPF_ALU32_IMM(BPF_SUB, reg, test->k));
		return above(code, reg, test->span, spare);
	}
	if (test->op == BPF_JSET) {
		filter_emit(code, BPF_ALU32_IMM(BPF_AND, reg, k));
	} else {
		if (test->mask != filter_all_bits(test->size))
			filter_emit(code, BPF_ALU32_IMM(BPF_AND, reg, mask));
		if (k)
			filter_emit(code, BPF_ALU32_IMM(BPF_XOR, reg, k));
	}
	return 8 * test->size;
}

/* The same of any test that is not joined; regs[0] is made, the other two are lost. */
static int number(struct code *code, const struct test *test, const __u8 *regs)
{
	if (test->kind == V_FIELD)
		return filter_field_differs(code, test, regs);
	return value(code, test, regs[0], regs[1]);
}

/* To r3, or to the stack where the kernel may be asked for bytes meanwhile, which loses r3. */
static void put_aside(struct code *code, int reg)
{
	if (code->aside)
		filter_store(code, reg, code->joined);
	else
		filter_emit(code, BPF_MOV64_REG(BPF_REG_3, reg));
	code->now.has_length = 0;
}

/* The register that it is in again. */
static int fetch_back(struct code *code, int reg)
{
	if (!code->aside)
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
	return wanted != zero_of(test);
}

static int make_both(struct code *code, const struct test *test, int wanted, const __u8 *regs);

/* regs[0] = zero if a test ends as it is wanted to; the other two are lost. Returns how many bits it may have. */
static int make(struct code *code, const struct test *test, int wanted, const __u8 *regs)
{
	int bits;

	if (test->kind == V_BOTH)
		return make_both(code, test, wanted, regs);
	bits = number(code, test, regs);
	return wanted == zero_of(test) ? bits : negate(code, regs[0], bits, regs[1]);
}

static int make_both(struct code *code, const struct test *test, int wanted, const __u8 *regs)
{
	const struct test *parts[] = { &code->c->tests[test->left], &code->c->tests[test->right] };
	const int wants[] = { wanted == (int)test->mask, wanted == (int)test->span };
	int first = filter_registers(parts[0]) < filter_registers(parts[1]);
	int bits[2], other = regs[1];

	bits[0] = make(code, parts[first], wants[first], regs);
	if (filter_registers(parts[!first]) > 2) {
		put_aside(code, regs[0]);
		bits[1] = bits[0];
		bits[0] = make(code, parts[!first], wants[!first], regs);
		other = fetch_back(code, regs[1]);
	} else {
		bits[1] = make(code, parts[!first], wants[!first], regs + 1);
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

/* Is a value that of the frame itself, which no copy has? */
static int is_uncopied(const struct code *code, const struct test *test)
{
	const struct test *tests = code->c->tests;

	if (test->kind == V_BOTH)
		return is_uncopied(code, &tests[test->left]) || is_uncopied(code, &tests[test->right]);
	return test->kind == V_FRAME && !filter_is_copied(code, test->offset, filter_loaded(test->size));
}

/*
 * What scratch memory has behind the frame's end can be loaded as well: then that the frame ends too early may
 * be one more reason for the outcome that is not wanted, if nothing matches on that way without asking for more of it.
 * (It is not known on that way then; but each match there asks for more, be it a load or the length of a field.)
 * Returns where it must not end yet; 0: that is asked by itself, since others need not then.
 */
static __u32 join_end(struct code *code, const struct test *test, int to)
{
	__u32 end = filter_needed(code, test->offset);

	if (!filter_in_scratch(code, test->offset) || code->now.copied_length >= test->offset ||
	    to == MATCH || (to >= 0 && code->c->tests[to].need <= end))
		return 0;
	code->now.copied_length = end;
	return end;
}

/* regs[0] has a bit set if the frame is shorter than that. */
static void add_end(struct code *code, __u32 end, const __u8 *regs)
{
	filter_emit(code, BPF_LDX_MEM(BPF_W, regs[1], BPF_REG_1, offsetof(struct packet, length)));
	filter_emit(code, BPF_ALU64_IMM(BPF_SUB, regs[1], end));
	filter_emit(code, BPF_ALU64_IMM(BPF_RSH, regs[1], 63));
	filter_emit(code, BPF_ALU64_REG(BPF_OR, regs[0], regs[1]));
}

int filter_both(struct code *code, const struct test *test, const __u8 *regs)
{
	int wanted = cost(code, test, 1) <= cost(code, test, 0);
	__u32 end = join_end(code, test, test->to[!wanted]);

	code->aside = code->pieces && is_uncopied(code, test);
	if (!code->pieces && is_uncopied(code, test))
		filter_have(code, test->offset); /* here, since r3 and r5 would be lost */
	make_both(code, test, wanted, regs);
	if (end)
		add_end(code, end, regs);
	if (filter_registers(test) > 3 && !code->pieces)
		filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_3, BPF_REG_1, offsetof(struct packet, data_end)));
	return wanted;
}
