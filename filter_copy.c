// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Of a frame in pieces, copies of its beginning on the stack: one call of the kernel in place of many.
 * Loads from the stack must be aligned. So one copy begins where IP's header, behind Ethernet's 14 bytes,
 * is aligned to 4; and if need be there is another one that begins aligned.
 */
#include <stddef.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

#define COPY_SIZE 64u /* room for each in scratch, the bytes in front of it included */

static __u32 place(const struct code *code, int copy)
{
	__u32 shift = !copy && code->c->first_header ? 2 : 0; /* behind Ethernet */

	return offsetof(struct packet, scratch) + copy * COPY_SIZE + shift;
}

/* The copy in which size bytes at an offset are aligned and have room; -1: neither. */
static int copy_for(const struct code *code, __u32 offset, int size)
{
	for (int copy = 0; copy < 2; copy++) {
		__u32 at = place(code, copy) - offsetof(struct packet, scratch) + offset;

		if (at % size == 0 && at + size <= (copy + 1) * COPY_SIZE)
			return copy;
	}
	return -1;
}

static void ask(struct code *code, int copy)
{
	__u32 most = code->copied[copy];

	filter_append(code, BPF_LDX_MEM(BPF_W, BPF_REG_4, BPF_REG_6, offsetof(struct packet, length)));
	filter_append(code, BPF_JMP_IMM(BPF_JGT, BPF_REG_4, most, 1));
	filter_append(code, BPF_JMP_IMM(BPF_JGT, BPF_REG_4, 0, 1)); /* != tells kernels before 6.8 nothing */
	filter_append(code, BPF_MOV64_IMM(BPF_REG_4, most));
	filter_append(code, BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_6, offsetof(struct packet, ctx)));
	filter_append(code, BPF_MOV64_IMM(BPF_REG_2, 0));
	filter_append(code, BPF_MOV64_REG(BPF_REG_3, BPF_REG_6));
	filter_append(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, place(code, copy)));
	filter_append(code, BPF_EMIT_CALL(BPF_FUNC_xdp_load_bytes));
}

/* The kernel wants memory to be written before it may be written to by a call whose length varies. */
static void clear(struct code *code, int copy)
{
	__u32 begin = offsetof(struct packet, scratch) + copy * COPY_SIZE;

	filter_append(code, BPF_MOV64_IMM(BPF_REG_0, 0));
	for (__u32 at = 0; at < COPY_SIZE; at += 8)
		filter_append(code, BPF_STX_MEM(BPF_DW, BPF_REG_6, BPF_REG_0, begin + at));
}

/* How much of each copy the tests want, unless they need scratch for themselves. */
static void measure(struct code *code)
{
	int room = 2;

	for (int i = 0; i < code->norder; i++) {
		const struct test *test = &code->c->tests[code->order[i]];
		__u32 end = test->offset + test->size;
		int copy = test->kind == V_FRAME ? copy_for(code, test->offset, test->size) : -1;

		if (test->kind == V_ARITH)
			room = 0;
		if (test->kind == V_CHAIN && room)
			room = 1;
		if (copy >= 0 && code->copied[copy] < end)
			code->copied[copy] = end;
	}
	while (room < 2)
		code->copied[room++] = 0;
}

void filter_copy(struct code *code)
{
	code->copied[0] = code->copied[1] = 0;
	if (code->pieces)
		measure(code);
	if (!code->copied[0] && !code->copied[1])
		return;
	for (int copy = 0; copy < 2; copy++)
		if (code->copied[copy]) {
			clear(code, copy);
			ask(code, copy);
		}
}

int filter_load_copy(struct code *code, int reg, __u32 offset, int size)
{
	int copy = copy_for(code, offset, size);

	if (copy < 0 || code->copied[copy] < offset + size)
		return 0;
	if (code->now.length < offset + size) {
		filter_emit(code, BPF_LDX_MEM(BPF_W, reg, BPF_REG_1, offsetof(struct packet, length)));
		filter_jump(code, BPF_JMP32_IMM(BPF_JLT, reg, offset + size, 0), NO_MATCH);
		code->now.length = offset + size;
	}
	filter_emit(code, BPF_LDX_MEM(size == 1 ? BPF_B : size == 2 ? BPF_H : BPF_W, reg, BPF_REG_1,
				      place(code, copy) + offset));
	return 1;
}
