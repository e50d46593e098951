// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copies of the frame's beginning on the stack. Of a frame in pieces: one call of the kernel in place of
 * many. Of others, where a long filter has many ways: the verifier keeps account of how many bytes of the
 * frame itself are known to be there, and would go through the filter again for each number.
 *
 * Loads from the stack must be aligned. So one copy begins where IP's header, behind Ethernet's 14 bytes,
 * is aligned to 4; and if need be there is another one that begins aligned.
 */
#include <stddef.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

#define COPY_SIZE 64u /* room for each in scratch, the bytes in front of it included */

/*
 * r0 = a zero of which the verifier does not know that it is one, and ONES accordingly. Where the frame
 * is in one piece, r4 = its first byte plus so much: what is learnt about r4 says nothing about r2.
 */
void filter_begin(struct code *code)
{
	filter_emit(code, BPF_MOV64_IMM(BPF_REG_0, 0));
	filter_emit(code, BPF_LDX_MEM(BPF_W, BPF_REG_5, BPF_REG_1, offsetof(struct packet, length)));
	for (int half = 0; half < 2; half++) {
		filter_emit(code, BPF_ALU64_REG(BPF_XOR, BPF_REG_0, BPF_REG_5));
		filter_emit(code, BPF_ALU64_REG(BPF_XOR, BPF_REG_0, BPF_REG_5));
		if (!half)
			filter_emit(code, BPF_ALU64_IMM(BPF_LSH, BPF_REG_5, 32));
	}
	filter_emit(code, BPF_MOV64_REG(BPF_REG_4, BPF_REG_0));
	filter_emit(code, BPF_ALU64_IMM(BPF_AND, BPF_REG_4, 0xff));
	filter_from_data(code, BPF_REG_4);
	filter_emit(code, BPF_MOV64_REG(BPF_REG_5, BPF_REG_0));
	filter_emit(code, BPF_ALU64_IMM(BPF_XOR, BPF_REG_5, -1));
	filter_emit(code, BPF_STX_MEM(BPF_DW, BPF_REG_1, BPF_REG_5, FILTER_ONES));
}

/* Jump unless the frame has end bytes, counted from r4. */
void filter_unless(struct code *code, __u32 end, struct jumps *to)
{
	filter_emit(code, BPF_MOV64_REG(BPF_REG_5, BPF_REG_4));
	filter_emit(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_5, end));
	if (code->pieces) {
		filter_emit(code, BPF_LDX_MEM(BPF_W, BPF_REG_0, BPF_REG_1, offsetof(struct packet, length)));
		filter_jump_ahead(code, to, BPF_JMP_REG(BPF_JGT, BPF_REG_5, BPF_REG_0, 0));
	} else {
		filter_jump_ahead(code, to, BPF_JMP_REG(BPF_JGT, BPF_REG_5, BPF_REG_3, 0));
	}
}

/* However words were put together: to the verifier they become words. */
void filter_rewrite(struct code *code, __u32 from, int words)
{
	for (int i = 0; i < words; i++) {
		filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_1, from + 8 * i));
		filter_emit(code, BPF_STX_MEM(BPF_DW, BPF_REG_1, BPF_REG_0, from + 8 * i));
	}
}

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
	filter_append(code, BPF_MOV64_IMM(BPF_REG_2, 0));
	filter_call(code, place(code, copy));
}

/* r0 to the words of scratch that a copy's first bytes are in. */
static void fill(struct code *code, int copy, __u32 bytes)
{
	__u32 begin = offsetof(struct packet, scratch) + copy * COPY_SIZE;

	for (__u32 at = 0; at < bytes; at += 8)
		filter_emit(code, BPF_STX_MEM(BPF_DW, BPF_REG_1, BPF_REG_0, begin + at));
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

/* The largest step that is aligned at an offset. */
static int step(__u32 at)
{
	return at % 8 == 0 ? 8 : at % 4 == 0 ? 4 : 2;
}

/* Of the frame in one piece: size bytes at an offset, which are known to be there. */
static void move(struct code *code, int copy, __u32 offset, int size)
{
	filter_emit(code, filter_load(size, BPF_REG_0, BPF_REG_4, offset));
	filter_emit(code, BPF_STX_MEM(filter_width(size), BPF_REG_1, BPF_REG_0, place(code, copy) + offset));
}

/* All that is wanted, or what there is of it: step by step, then byte by byte. */
static void move_all(struct code *code, int copy)
{
	struct jumps is_short = { .n = 0 }, rest = { .n = 0 }, done = { .n = 0 };
	__u32 begin = offsetof(struct packet, scratch) + copy * COPY_SIZE;
	__u32 shift = place(code, copy) - begin, end = code->copied[copy], offset;

	filter_begin(code);
	fill(code, copy, shift + end);
	end = (shift + end + 7) / 8 * 8 - shift;
	filter_unless(code, end, &is_short);
	for (offset = 0; offset < end; offset += step(shift + offset))
		move(code, copy, offset, step(shift + offset));
	filter_jump_ahead(code, &done, BPF_JMP_A(0));
	filter_land(code, &is_short);
	for (offset = 0; offset < end; offset += step(shift + offset)) {
		struct jumps next = { .n = 0 };
		int size = step(shift + offset);

		filter_unless(code, offset + size, &rest);
		move(code, copy, offset, size);
		filter_jump_ahead(code, &next, BPF_JMP_A(0));
		filter_land(code, &rest);
		for (int byte = 0; byte < size - 1; byte++) {
			filter_unless(code, offset + byte + 1, &done);
			move(code, copy, offset + byte, 1);
		}
		filter_jump_ahead(code, &done, BPF_JMP_A(0));
		filter_land(code, &next);
	}
	filter_land(code, &done);
	filter_rewrite(code, begin, (shift + end) / 8);
}

void filter_copy(struct code *code)
{
	code->copied[0] = code->copied[1] = 0;
	if (code->pieces || code->c->is_mixed)
		measure(code);
	for (int copy = 0; copy < 2; copy++) {
		if (!code->copied[copy])
			continue;
		if (code->pieces) { /* a call whose length varies wants memory that has been written to */
			filter_emit(code, BPF_MOV64_IMM(BPF_REG_0, 0));
			fill(code, copy, COPY_SIZE);
			ask(code, copy);
		} else {
			move_all(code, copy);
		}
	}
}

int filter_load_copy(struct code *code, int reg, __u32 offset, int size)
{
	int copy = copy_for(code, offset, size);

	if (copy < 0 || code->copied[copy] < offset + size)
		return 0;
	if (code->now.copied_length < offset + size) {
		filter_emit(code, BPF_LDX_MEM(BPF_W, reg, BPF_REG_1, offsetof(struct packet, length)));
		filter_jump(code, BPF_JMP32_IMM(BPF_JLT, reg, offset + size, 0), NO_MATCH);
		code->now.copied_length = offset + size;
	}
	filter_emit(code, filter_load(size, reg, BPF_REG_1, place(code, copy) + offset));
	return 1;
}
