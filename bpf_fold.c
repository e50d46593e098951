// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the configuration decides: its loads become immediates, and the code that these rule out is left
 * out. The verifier would come to the same, but it takes dead code out piece by piece, each time moving
 * all that is behind it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf_code.h"
#include "bpf_insn.h"
#include "failure.h"

/* What a load reads at an offset of the constants. Returns 0 where that lies beyond them. */
static int constant_at(const struct bpf_code *code, __u8 size, __s64 offset, __u64 *value)
{
	const __u8 *from = (const __u8 *)code->constants + offset;
	__u32 word;

	if (offset < 0 || offset + 8 > (__s64)code->constants_size)
		return 0;
	memcpy(&word, from, sizeof(word));
	memcpy(value, from, sizeof(*value));
	if (size == BPF_W)
		*value = word;
	return size == BPF_W || size == BPF_DW;
}

/* Of each instruction. */
enum { LIVE = 1, TARGET = 2, ALWAYS = 4, SECOND_HALF = 8 };

/* What registers hold, where it is a constant. */
struct constants {
	__u64 value[16];
	unsigned int known; /* 1 << register */
};

static int is_load(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_DW | BPF_IMM);
}

static int is_always(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_JA);
}

int bpf_code_is_jump(const struct bpf_insn *insn)
{
	__u8 class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);

	return (class == BPF_JMP || class == BPF_JMP32) && op != BPF_CALL && op != BPF_EXIT;
}

/* Mark second halves of loads. Returns 0 where a jump leads to no instruction, or is of the kind whose distance
 * is elsewhere: such a function is left as it is. */
static int survey(const struct bpf_insn *insns, size_t len, __u8 *mark)
{
	for (size_t i = 0; i < len; i++)
		if (is_load(&insns[i])) {
			if (++i == len)
				return 0;
			mark[i] = SECOND_HALF;
		}
	for (size_t i = 0; i < len; i++) {
		__s64 to = (__s64)i + 1 + insns[i].off;

		if (mark[i] & SECOND_HALF || !bpf_code_is_jump(&insns[i]))
			continue;
		if (to < 0 || to >= (__s64)len || mark[to] & SECOND_HALF ||
		    insns[i].code == (BPF_JMP32 | BPF_JA))
			return 0;
	}
	return 1;
}

/*
 * A load of 64 bits, of a constant or of the address of one in the map. If what comes next loads from there
 * over the address (and no jump leads there, which might bring another one), value is what it loads, and a
 * mask behind it has been applied. Returns how many instructions that were, 2 for the load alone.
 */
static size_t load_len(const struct bpf_code *code, const struct bpf_insn *insn, size_t len,
		     const __u8 *mark, __u64 *value)
{
	*value = (__u32)insn[0].imm | (__u64)insn[1].imm << 32;
	if (len < 3 || insn[0].src_reg != BPF_PSEUDO_MAP_VALUE || insn[0].imm != code->constants_fd ||
	    (insn[2].code & ~0x18) != (BPF_LDX | BPF_MEM) || mark[2] & TARGET ||
	    insn[2].dst_reg != insn[0].dst_reg || insn[2].src_reg != insn[0].dst_reg ||
	    !constant_at(code, BPF_SIZE(insn[2].code), (__s64)insn[1].imm + insn[2].off, value))
		return 2;
	if (len < 4 || mark[3] & TARGET || insn[3].code != (BPF_ALU64 | BPF_AND | BPF_K) ||
	    insn[3].dst_reg != insn[0].dst_reg)
		return 3;
	*value &= (__s64)insn[3].imm;
	return 4;
}

static void forget(struct constants *constants, const struct bpf_insn *insn)
{
	__u8 class = BPF_CLASS(insn->code);

	if (class == BPF_LDX || class == BPF_ALU || class == BPF_ALU64)
		constants->known &= ~(1u << insn->dst_reg);
	else if (class != BPF_ST && insn->code != (BPF_STX | BPF_DW | BPF_MEM))
		constants->known = 0; /* a call, an atomic operation */
}

/* Does a condition hold? -1: that is not known. */
static int decide(const struct constants *constants, const struct bpf_insn *insn)
{
	__u64 a = constants->value[insn->dst_reg], b = (__s64)insn->imm;

	if (is_always(insn))
		return 1;
	if (!(constants->known >> insn->dst_reg & 1) || BPF_CLASS(insn->code) != BPF_JMP ||
	    BPF_SRC(insn->code) != BPF_K)
		return -1;
	switch (BPF_OP(insn->code)) {
	case BPF_JEQ:
		return a == b;
	case BPF_JNE:
		return a != b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	case BPF_JLT:
		return a < b;
	case BPF_JLE:
		return a <= b;
	case BPF_JSET:
		return (a & b) != 0;
	default:
		return -1;
	}
}

/*
 * Mark what can be reached, what jumps lead to, and those that always jump. Returns 1 where it has to be
 * done once more: what a jump back leads to had been passed without knowing of it.
 */
static int follow(const struct bpf_code *code, const struct bpf_insn *insns, size_t len, __u8 *mark)
{
	struct constants constants = { .known = 0 };
	int reached = 1, again = 0;
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		const struct bpf_insn *insn = &insns[i];
		int outcome;

		n = 1;
		if (mark[i] & TARGET) {
			constants.known = 0;
			reached = 1;
		}
		if (!reached)
			continue;
		mark[i] |= LIVE;
		if (is_load(insn)) {
			mark[i + 1] |= LIVE;
			n = load_len(code, insn, len - i, mark + i, &constants.value[insn->dst_reg]);
			if (n > 2 || !insn->src_reg)
				constants.known |= 1u << insn->dst_reg;
			else
				constants.known &= ~(1u << insn->dst_reg);
		} else if (bpf_code_is_jump(insn)) {
			outcome = decide(&constants, insn);
			mark[i] &= ~ALWAYS;
			if (is_always(insn) && !insn->off)
				continue; /* it is meant: see remember() in decode.h */
			if (!outcome || (outcome == 1 && !insn->off)) {
				mark[i] &= ~LIVE;
				continue;
			}
			if (outcome == 1)
				mark[i] |= ALWAYS;
			again |= insn->off < 0 && !(mark[i + 1 + insn->off] & TARGET);
			mark[i + 1 + insn->off] |= TARGET;
			reached = outcome != 1;
		} else {
			forget(&constants, insn);
			reached = insn->code != (BPF_JMP | BPF_EXIT);
		}
	}
	return again;
}

/* Keep what is marked, but for jumps to what comes next. kept[i]: how many instructions from i on.
 * Returns the new length. */
static size_t close_up(const struct bpf_code *code, struct bpf_insn *insns, size_t len, __u8 *mark,
		       __u32 *kept)
{
	size_t n = 0;
	__u64 value;

	for (size_t i = len; i-- > 0;) {
		if (mark[i] & ALWAYS && insns[i].off >= 0 && kept[i + 1 + insns[i].off] == kept[i + 1])
			mark[i] &= ~LIVE;
		kept[i] = kept[i + 1] + (mark[i] & LIVE);
	}
	for (size_t i = 0; i < len; i++) {
		struct bpf_insn insn = insns[i];

		if (!(mark[i] & LIVE))
			continue;
		if (mark[i] & SECOND_HALF) {
			/* as it is */
		} else if (bpf_code_is_jump(&insn)) {
			insn.off = kept[i + 1] - kept[i + 1 + insn.off];
			if (mark[i] & ALWAYS)
				insn = BPF_JMP_A(insn.off);
		} else if (is_load(&insn) && load_len(code, &insns[i], len - i, mark + i, &value) > 2) {
			insn.src_reg = 0;
			insn.imm = (__u32)value;
			insns[i + 1].imm = value >> 32;
		}
		insns[n++] = insn;
	}
	return n;
}

long bpf_code_fold(struct bpf_code *code, struct bpf_insn *insns, size_t len)
{
	__u8 *mark = calloc(len, sizeof(*mark));
	__u32 *kept = calloc(len + 1, sizeof(*kept));
	long n = len;

	if (!mark || !kept) {
		n = fail(code->failure, ENOMEM, "load %s", code->program->name);
	} else if (survey(insns, len, mark)) {
		while (follow(code, insns, len, mark))
			;
		n = close_up(code, insns, len, mark, kept);
	}
	free(mark);
	free(kept);
	return n;
}
