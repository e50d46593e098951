// SPDX-License-Identifier: GPL-2.0-or-later
/* Instructions as text, in the kernel's own notation: those that filter_code.c makes. */
#include "bpf_insn.h"
#include "filter.h"
#include "output.h"

static const char *alu_operator(int op)
{
	static const char operators[16][5] = {
		[BPF_ADD >> 4] = "+=",  [BPF_SUB >> 4] = "-=",  [BPF_MUL >> 4] = "*=",
		[BPF_DIV >> 4] = "/=",  [BPF_OR >> 4] = "|=",   [BPF_AND >> 4] = "&=",
		[BPF_LSH >> 4] = "<<=", [BPF_RSH >> 4] = ">>=", [BPF_MOD >> 4] = "%=",
		[BPF_XOR >> 4] = "^=",  [BPF_MOV >> 4] = "=",   [BPF_ARSH >> 4] = "s>>=",
	};

	return operators[op >> 4];
}

static const char *jump_operator(int op)
{
	static const char operators[16][3] = {
		[BPF_JEQ >> 4] = "==", [BPF_JGT >> 4] = ">", [BPF_JGE >> 4] = ">=",
		[BPF_JSET >> 4] = "&", [BPF_JNE >> 4] = "!=", [BPF_JLT >> 4] = "<",
		[BPF_JLE >> 4] = "<=",
	};

	return operators[op >> 4];
}

static void dump_alu(const struct bpf_insn *insn, struct output *output)
{
	char half = BPF_CLASS(insn->code) == BPF_ALU ? 'w' : 'r';

	if (BPF_OP(insn->code) == BPF_END)
		output_format(output, "r%u = be%d r%u\n", insn->dst_reg, insn->imm, insn->dst_reg);
	else if (BPF_OP(insn->code) == BPF_NEG)
		output_format(output, "%c%u = -%c%u\n", half, insn->dst_reg, half, insn->dst_reg);
	else if (BPF_SRC(insn->code) == BPF_X)
		output_format(output, "%c%u %s %c%u\n", half, insn->dst_reg,
			      alu_operator(BPF_OP(insn->code)), half, insn->src_reg);
	else
		output_format(output, "%c%u %s %#x\n", half, insn->dst_reg,
			      alu_operator(BPF_OP(insn->code)), insn->imm);
}

static void dump_jump(const struct bpf_insn *insn, size_t to, struct output *output)
{
	char half = BPF_CLASS(insn->code) == BPF_JMP32 ? 'w' : 'r';

	if (BPF_OP(insn->code) == BPF_EXIT)
		output_text(output, "exit\n");
	else if (BPF_OP(insn->code) == BPF_JA)
		output_format(output, "goto %zu\n", to);
	else if (BPF_SRC(insn->code) == BPF_X)
		output_format(output, "if %c%u %s %c%u goto %zu\n", half, insn->dst_reg,
			      jump_operator(BPF_OP(insn->code)), half, insn->src_reg, to);
	else
		output_format(output, "if %c%u %s %#x goto %zu\n", half, insn->dst_reg,
			      jump_operator(BPF_OP(insn->code)), insn->imm, to);
}

static void dump_memory(const struct bpf_insn *insn, struct output *output)
{
	static const char bits[4][3] = { "32", "16", "8", "64" };
	const char *size = bits[BPF_SIZE(insn->code) >> 3];

	if (BPF_CLASS(insn->code) == BPF_LDX)
		output_format(output, "r%u = *(u%s *)(r%u + %d)\n", insn->dst_reg, size,
			      insn->src_reg, insn->off);
	else
		output_format(output, "*(u%s *)(r%u + %d) = r%u\n", size, insn->dst_reg, insn->off,
			      insn->src_reg);
}

void filter_dump(const struct filter *filter, struct output *output)
{
	for (size_t i = 0; i < filter->len; i++) {
		const struct bpf_insn *insn = &filter->insns[i];

		output_format(output, "%5zu: ", i);
		if (insn->code == (BPF_LD | BPF_DW | BPF_IMM)) {
			output_format(output, "r%u = %#llx\n", insn->dst_reg,
				      (unsigned long long)(__u32)insn[1].imm << 32 |
				      (__u32)insn->imm);
			i++;
			continue;
		}
		switch (BPF_CLASS(insn->code)) {
		case BPF_ALU:
		case BPF_ALU64:
			dump_alu(insn, output);
			break;
		case BPF_JMP:
		case BPF_JMP32:
			dump_jump(insn, i + 1 + insn->off, output);
			break;
		default:
			dump_memory(insn, output);
		}
	}
}
