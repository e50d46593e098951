// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames in pieces (xdp.frags): their bytes have to be asked of the kernel. It copies a frame's beginning, as much
 * of it as the filter may look at, to scratch memory of the CPU's own, and the filter loads from there: without a
 * check, since there always is something, so each load asks for the frame's length. What stands beyond the scratch
 * memory, or may do so, is asked for by a call each; so is all else where there is no such memory, since programs
 * may interrupt each other there. Filters that take less to load so are like that for frames in one piece, too.
 */
#include <stddef.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

/* How far behind a network header that ends of which fields are made, what a walk along a chain begins with, and
 * most of what arithmetic finds by lengths that the frame tells. */
#define FIELDS_END 64u
#define CHAIN_END  10u
#define ARITH_END  384u

/* Where a frame is in pieces: the registers that a call leaves alone. */
static const __u8 kept[] = { BPF_REG_9, BPF_REG_6, BPF_REG_2, BPF_REG_3, BPF_REG_7, BPF_REG_8, [DOOM] = BPF_REG_5 };

struct bpf_insn filter_renamed(struct bpf_insn insn)
{
	int class = BPF_CLASS(insn.code), op = BPF_OP(insn.code);
	int jump = class == BPF_JMP || class == BPF_JMP32;
	int computes = jump || class == BPF_ALU || class == BPF_ALU64;

	if (!insn.code || (jump && op == BPF_JA)) /* half of a 64-bit load; no register at all */
		return insn;
	if ((class == BPF_LDX || class == BPF_STX ||
	     (computes && op != BPF_END && BPF_SRC(insn.code) == BPF_X)) && insn.src_reg != BPF_REG_10)
		insn.src_reg = kept[insn.src_reg];
	if (insn.dst_reg != BPF_REG_10)
		insn.dst_reg = kept[insn.dst_reg];
	return insn;
}

/* Call the kernel for r4 bytes at r2, to a place on the stack, or (0) to scratch memory. */
static void call(struct code *code, int to)
{
	filter_append(code, BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_6, offsetof(struct packet, ctx)));
	if (to) {
		filter_append(code, BPF_MOV64_REG(BPF_REG_3, BPF_REG_10));
		filter_append(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, to));
	} else {
		filter_append(code, BPF_LDX_MEM(BPF_DW, BPF_REG_3, BPF_REG_6, offsetof(struct packet, data)));
	}
	if (code->dooms) { /* the half that has the bit: that is no news to the verifier, see filter_steer.c */
		filter_append(code, BPF_ALU64_IMM(BPF_RSH, BPF_REG_5, 32));
		filter_append(code, BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_5, code->doomed + UPPER_HALF));
	}
	filter_append(code, BPF_EMIT_CALL(BPF_FUNC_xdp_load_bytes));
	if (code->dooms)
		filter_append(code, filter_load(8, BPF_REG_5, BPF_REG_10, code->doomed));
	code->now.stale = 1;
	code->now.has_length = 0;
}

void filter_ask(struct code *code, int index, __u32 offset, int size)
{
	if (index < 0) {
		filter_append(code, BPF_MOV64_IMM(BPF_REG_2, offset));
	} else {
		filter_append(code, BPF_MOV64_REG(BPF_REG_2, kept[index]));
		filter_append(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, offset));
	}
	filter_append(code, BPF_MOV64_IMM(BPF_REG_4, size));
	call(code, code->loaded);
}

void filter_take(struct code *code, int reg, __u32 byte, int size)
{
	filter_emit(code, filter_load(size, reg, BPF_REG_10, code->loaded + byte));
}

/* size bytes at offset, plus what index holds, into reg, or no match. */
void filter_load_piece(struct code *code, int reg, int index, __u32 offset, int size)
{
	filter_ask(code, index, offset, size);
	filter_append(code, FILTER_MISSING);
	filter_leads(code, NO_MATCH);
	filter_take(code, reg, 0, size);
}

/* Has scratch memory what stands ahead of end? */
int filter_in_scratch(const struct code *code, __u32 end)
{
	return code->scratch && end <= code->copied;
}

static void fill(struct code *code, __u32 most)
{
	filter_append(code, BPF_LDX_MEM(BPF_W, BPF_REG_4, BPF_REG_6, offsetof(struct packet, length)));
	filter_append(code, BPF_JMP_IMM(BPF_JGT, BPF_REG_4, most, 1));
	filter_append(code, BPF_JMP_IMM(BPF_JGT, BPF_REG_4, 0, 1)); /* != tells kernels before 6.8 nothing */
	filter_append(code, BPF_MOV64_IMM(BPF_REG_4, most));
	filter_append(code, BPF_MOV64_IMM(BPF_REG_2, 0));
	call(code, 0);
}

/* Where what a test looks at ends, or may do so. */
static __u32 reach_of(const struct compiler *c, const struct test *test)
{
	switch (test->kind) {
	case V_FRAME:
		return test->offset + filter_loaded(test->size);
	case V_TRANSPORT:
		return (test->base & BASE) + test->offset + test->size + HEADER_MAX;
	case V_FIELD:
		return test->offset + FIELDS_END;
	case V_CHAIN:
		return (test->size ? test->offset : c->field_header) + CHAIN_END;
	case V_ARITH:
		return c->payload + c->network + ARITH_END;
	}
	return 0;
}

void filter_fill_scratch(struct code *code)
{
	for (int i = 0; i < code->nleaves; i++) {
		__u32 end = reach_of(code->c, &code->c->tests[code->leaves[i]]);

		if (end <= SCRATCH_COPY && end > code->copied)
			code->copied = end;
	}
	if (code->copied)
		fill(code, code->copied);
}
