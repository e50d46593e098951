// SPDX-License-Identifier: GPL-2.0-or-later
/* Where all ways end. */
#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

/*
 * All words of the stack are read once more where all ways end. To Linux 6.18's verifier (kernel/bpf/liveness.c) a
 * place that reads one is news, for which it goes through the whole program, but where another one that it has seen
 * reads it behind. So it is to all that stores eight bytes, but not to what stores four.
 */
static void read_again(struct code *code)
{
	for (int word = 1; word <= code->words; word++)
		filter_emit(code, filter_load(8, BPF_REG_4, BPF_REG_10, -8 * word));
	if (code->c->is_mixed || code->scratch)
		filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_4, BPF_REG_1, offsetof(struct packet, data)));
	filter_emit(code, BPF_LDX_MEM(BPF_W, BPF_REG_4, BPF_REG_1, offsetof(struct packet, length)));
}

/* r0 = outcome. In a long filter with two jumps behind it that lead nowhere, as the verifier knows: so it remembers
 * that it has been here, and does not read all words again for each way that ends. */
static void outcome_is(struct code *code, int outcome)
{
	filter_append(code, BPF_MOV64_IMM(BPF_REG_0, outcome));
	for (int i = 0; i < 2 && code->begun; i++)
		filter_append(code, BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, !outcome, 0));
}

void filter_finish_code(struct code *code)
{
	int match = code->len, no_match, skip = 0;

	if (code->used[0]) {
		if (code->dooms) {
			filter_emit(code, BPF_ALU64_IMM(BPF_RSH, DOOM, DOOM_BIT));
			filter_jump(code, BPF_JMP_IMM(BPF_JSET, DOOM, 1, 0), NO_MATCH);
		}
		outcome_is(code, 1);
		if (code->used[1])
			filter_append(code, BPF_JMP_A(0));
		skip = code->len;
	}
	no_match = code->len;
	if (code->used[1])
		outcome_is(code, 0);
	if (code->used[0] && code->used[1])
		(*code->insns)[skip - 1].off = code->len - skip;
	if (code->begun)
		read_again(code);
	filter_append(code, BPF_EXIT_INSN());
	for (size_t i = 0; i < code->len; i++) {
		int to = code->to[i];

		if (to)
			(*code->insns)[i].off = (to == MATCH ? match : to == NO_MATCH ? no_match :
						 code->start[to - 1]) - (int)i - 1;
	}
}
