// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A copy of the frame's beginning on the stack, where a long filter has many ways: the verifier keeps account of
 * how many bytes of the frame itself are known to be there, and would go through the filter again for each
 * number. Of a frame that is shorter than its copy the last word holds what there is; each load asks for the frame's
 * length. Of a frame in pieces the copy is elsewhere: see filter_pieces.c.
 *
 * Loads from the stack must be aligned. So the copy begins where IP's header, behind Ethernet's 14 bytes, is aligned
 * to 4; what does not stand aligned there is loaded from the frame.
 */
#include <stddef.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

#define WORTHWHILE 24 /* tests of what the copy has */

void filter_renew(struct code *code)
{
	filter_emit(code, filter_load(1, BPF_REG_4, BPF_REG_10, code->zero));
	filter_from_data(code, BPF_REG_4);
}

/*
 * r0 = a zero of which the verifier does not know that it is one, code->zero and code->ones accordingly, and a
 * beginning for the words that tests store to.
 * Where the frame is in one piece, r4 = its first byte plus so much: what is learnt about r4 says nothing
 * about r2.
 */
void filter_begin(struct code *code)
{
	/* Words whose bytes are stored apart, by tests or by the kernel: to the verifier they are such from now on. So
	 * are fields of one word, which are stored half by half. */
	const int apart[] = { code->loaded, code->chain, code->chain ? code->chain + 8 : 0 };

	if (code->begun) {
		filter_emit(code, filter_load(8, BPF_REG_0, BPF_REG_10, code->zero));
		filter_renew(code);
		return;
	}
	code->begun = 1;
	filter_emit(code, BPF_MOV64_IMM(BPF_REG_0, 0));
	filter_emit(code, BPF_LDX_MEM(BPF_W, BPF_REG_5, BPF_REG_1, offsetof(struct packet, length)));
	for (int half = 0; half < 2; half++) {
		filter_emit(code, BPF_ALU64_REG(BPF_XOR, BPF_REG_0, BPF_REG_5));
		filter_emit(code, BPF_ALU64_REG(BPF_XOR, BPF_REG_0, BPF_REG_5));
		if (!half)
			filter_emit(code, BPF_ALU64_IMM(BPF_LSH, BPF_REG_5, 32));
	}
	filter_emit(code, BPF_MOV64_REG(BPF_REG_5, BPF_REG_0));
	filter_emit(code, BPF_ALU64_IMM(BPF_XOR, BPF_REG_5, -1));
	filter_store(code, BPF_REG_0, code->zero);
	filter_store(code, BPF_REG_5, code->ones);
	for (int word = 1; word <= code->unmade; word++)
		filter_store(code, BPF_REG_0, -8 * word);
	for (int i = 0; i < 3; i++)
		if (apart[i])
			filter_emit(code, BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_0, apart[i] + 4));
	for (int field = 0; field < FIELDS; field++)
		if (code->field[field] && !filter_is_address6(field))
			filter_emit(code, BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_0, code->field[field] + 4));
	filter_renew(code);
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

/* A word of the stack = reg. The verifier would remember of two words that they are the same, had there not
 * been arithmetic in between. */
void filter_store(struct code *code, int reg, int at)
{
	filter_emit(code, BPF_ALU64_IMM(BPF_XOR, reg, 0));
	filter_emit(code, BPF_STX_MEM(BPF_DW, BPF_REG_10, reg, at));
}

/* The verifier forgets what numbers reg may be: before Linux 6.8 a word of the stack that has a bounded number is
 * something else to it than one that has any. spare is lost. */
void filter_forget(struct code *code, int reg, int spare)
{
	filter_emit(code, filter_load(8, spare, BPF_REG_10, code->zero));
	filter_emit(code, BPF_ALU64_REG(BPF_XOR, reg, spare));
}

/* However words were put together: to the verifier they become words. */
void filter_rewrite(struct code *code, int from, int words)
{
	for (int i = 0; i < words; i++) {
		filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_10, from + 8 * i));
		filter_store(code, BPF_REG_0, from + 8 * i);
	}
}

/* The words that the copy takes. */
static int words(const struct code *code)
{
	return code->copied ? (filter_shift(code) + code->copied + 7) / 8 : 0;
}

/* Are size bytes at an offset aligned there, and would they have room? */
static int is_apt(const struct code *code, __u32 offset, int size)
{
	__u32 at = filter_shift(code) + offset;

	return at % size == 0 && at + size <= COPY_SIZE;
}

/* How much of it the tests want, as far as there is room for it. */
static void reserve(struct code *code)
{
	int room = 8 * (FILTER_WORDS - code->words) - filter_shift(code), wanted = 0;

	for (int i = 0; i < code->nleaves; i++) {
		const struct test *test = &code->c->tests[code->leaves[i]];
		int size = filter_loaded(test->size);
		__u32 end = test->offset + size;

		if (test->kind != V_FRAME || !is_apt(code, test->offset, size))
			continue;
		wanted++;
		if (code->copied < end)
			code->copied = end < 8 ? 8 : end; /* of which the first word is made */
	}
	if (wanted < WORTHWHILE || room < ETHERNET)
		code->copied = 0;
	else if ((int)code->copied > room)
		code->copied = room;
	if (code->copied)
		code->copy = filter_words(code, words(code));
}

/* Word i of a copy, into reg: the frame in one piece is known to have it. spare, which may be r4, is lost. */
static void load_word(struct code *code, int reg, int i, int spare)
{
	int shift = filter_shift(code);

	filter_emit(code, filter_load(8, reg, BPF_REG_4, i ? 8 * i - shift : 0));
	if (i || !shift)
		return;
	filter_emit(code, BPF_ALU64_IMM(FIRST_IS_LOW ? BPF_LSH : BPF_RSH, reg, 8 * shift));
	filter_forget(code, reg, spare);
}

/* r0 = what the copy has in its last word of a frame of so many bytes, eight or more; r4 as filter_begin()
 * leaves it. */
static void last_word(struct code *code, struct jumps *few)
{
	filter_emit(code, BPF_LDX_MEM(BPF_W, BPF_REG_0, BPF_REG_1, offsetof(struct packet, length)));
	filter_emit(code, BPF_MOV64_REG(BPF_REG_5, BPF_REG_0));
	filter_emit(code, BPF_ALU64_IMM(BPF_SUB, BPF_REG_5, 8));
	filter_emit(code, BPF_ALU64_IMM(BPF_AND, BPF_REG_5, COPY_SIZE - 1));
	filter_from_data(code, BPF_REG_5);
	filter_emit(code, BPF_MOV64_REG(BPF_REG_4, BPF_REG_5));
	filter_emit(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_4, 8));
	filter_jump_ahead(code, few, BPF_JMP_REG(BPF_JGT, BPF_REG_4, BPF_REG_3, 0));
	filter_emit(code, filter_load(8, BPF_REG_5, BPF_REG_5, 0));
	filter_emit(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_0, filter_shift(code)));
	filter_emit(code, BPF_ALU64_IMM(BPF_LSH, BPF_REG_0, 3));
	filter_emit(code, BPF_ALU64_IMM(BPF_NEG, BPF_REG_0, 0)); /* of 64 bits, all but those of its bytes */
	filter_emit(code, BPF_ALU64_IMM(BPF_AND, BPF_REG_0, 63));
	filter_emit(code, BPF_ALU64_REG(FIRST_IS_LOW ? BPF_RSH : BPF_LSH, BPF_REG_5, BPF_REG_0));
	filter_emit(code, BPF_MOV64_REG(BPF_REG_0, BPF_REG_5));
	filter_renew(code);
}

/* A frame that ends within the copy: words as long as they are whole, then the last one for all that is left,
 * since nobody looks behind the frame's end. */
static void move_short(struct code *code, struct jumps *few, struct jumps *done)
{
	last_word(code, few);
	filter_unless(code, 8, few);
	for (int i = 0; i < words(code); i++) {
		struct jumps last = { .n = 0 }, whole = { .n = 0 };

		filter_unless(code, 8 * i + 8 - filter_shift(code), &last);
		load_word(code, BPF_REG_5, i, BPF_REG_4);
		filter_jump_ahead(code, &whole, BPF_JMP_A(0));
		filter_land(code, &last);
		filter_emit(code, BPF_MOV64_REG(BPF_REG_5, BPF_REG_0));
		filter_land(code, &whole);
		filter_store(code, BPF_REG_5, code->copy + 8 * i);
		filter_renew(code);
	}
	filter_jump_ahead(code, done, BPF_JMP_A(0));
}

/* A frame of less than eight bytes. */
static void move_bytes(struct code *code, struct jumps *done)
{
	filter_renew(code);
	for (int byte = 0; byte < 7; byte++) {
		filter_unless(code, byte + 1, done);
		filter_emit(code, filter_load(1, BPF_REG_0, BPF_REG_4, byte));
		filter_emit(code, BPF_STX_MEM(BPF_B, BPF_REG_10, BPF_REG_0, code->copy + byte));
	}
}

/* All that is wanted of a frame in one piece, or what there is of it. */
static void move_all(struct code *code)
{
	struct jumps is_short = { .n = 0 }, few = { .n = 0 }, done = { .n = 0 };

	filter_begin(code);
	for (int i = 0; i < words(code); i++)
		filter_store(code, BPF_REG_0, code->copy + 8 * i);
	filter_unless(code, 8 * words(code) - filter_shift(code), &is_short);
	for (int i = 0; i < words(code); i++) {
		load_word(code, BPF_REG_0, i, BPF_REG_5);
		filter_emit(code, BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_0, code->copy + 8 * i));
	}
	filter_jump_ahead(code, &done, BPF_JMP_A(0));
	filter_land(code, &is_short);
	move_short(code, &few, &done);
	filter_land(code, &few);
	if (!filter_is_ethernet(code)) /* whose frames have 14 bytes at least */
		move_bytes(code, &done);
	filter_land(code, &done);
	if (!filter_is_ethernet(code))
		filter_rewrite(code, code->copy, words(code));
}

void filter_copy(struct code *code)
{
	code->copied = 0;
	if (code->scratch)
		filter_fill_scratch(code);
	if (code->pieces || !code->c->is_mixed)
		return;
	filter_begin(code);
	reserve(code);
	if (code->copied)
		move_all(code);
}

int filter_is_copied(const struct code *code, __u32 offset, int size)
{
	if (code->pieces)
		return filter_in_scratch(code, offset + size);
	return is_apt(code, offset, size) && code->copied >= offset + size;
}

int filter_load_copy(struct code *code, int reg, __u32 offset, int size)
{
	if (!filter_is_copied(code, offset, size))
		return 0;
	if (code->now.copied_length < offset + size) {
		code->now.copied_length = filter_needed(code, offset + size);
		filter_emit(code, BPF_LDX_MEM(BPF_W, reg, BPF_REG_1, offsetof(struct packet, length)));
		if (code->dooms)
			filter_doom(code, reg, code->now.copied_length);
		else
			filter_jump(code, BPF_JMP32_IMM(BPF_JLT, reg, code->now.copied_length, 0), NO_MATCH);
	}
	if (code->pieces) {
		filter_renew_data(code);
		filter_emit(code, filter_load(size, reg, BPF_REG_2, offset));
	} else {
		filter_emit(code, filter_load(size, reg, BPF_REG_10, code->copy + filter_shift(code) + offset));
	}
	return 1;
}
