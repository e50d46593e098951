// SPDX-License-Identifier: GPL-2.0-or-later
/* Which functions of an object are loaded, where they stand, and what the filter takes the place of. */
#include <elf.h>
#include <string.h>

#include "bpf_code.h"
#include "bpf_insn.h"
#include "failure.h"

/* Bytes of the stack that a program may have. */
#define STACK_MAX 512

/* Calls of the filter that can be taken out, of both kinds. */
#define CALLS_MAX (2 * CODE_FILTER_CALLS)

/* The answer where the filter is never asked: of a frame in pieces where none is to be expected. */
static const struct bpf_insn never[] = { BPF_MOV64_IMM(BPF_REG_0, 0), BPF_EXIT_INSN() };

/* The filter's two kinds stand in place of these functions. */
static void replace(const struct bpf_code *code, const char *name, struct code_function *function)
{
	const struct bpf_program *program = code->program;

	if (!program->filter)
		return;
	if (!strcmp(name, "match")) {
		function->filter = program->filter;
		function->len = program->filter_len;
	} else if (!strcmp(name, "match_pieces")) {
		int asked = code->frags && program->pieces;

		function->filter = asked ? program->pieces : never;
		function->len = asked ? program->pieces_len : sizeof(never) / sizeof(never[0]);
	}
}

static int is_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL;
}

/* Have calls say where in flat they lead to, which stays the same when instructions are left out. */
static int name_callees(struct bpf_code *code, const struct code_function *function)
{
	for (size_t i = 0; i < function->len; i++) {
		struct bpf_insn *insn = &code->insns[function->to + i];
		__s64 target = (__s64)(function->from + i + 1) + insn->imm;

		if (!is_call(insn))
			continue;
		if (target < 0 || target >= (__s64)code->flat_len)
			return bpf_code_refuse(code, "a call leaves the code");
		insn->imm = target;
	}
	return 0;
}

/* Copy a function to the end of insns, without what cannot be reached in it. */
static int copy(struct bpf_code *code, struct code_function *function)
{
	struct bpf_insn *to = code->insns + function->to;
	long len;
	int err;

	if (function->filter) {
		memcpy(to, function->filter, function->len * sizeof(*to));
		return 0;
	}
	memcpy(to, code->flat + function->from, function->len * sizeof(*to));
	err = name_callees(code, function);
	if (err)
		return err;
	len = bpf_code_fold(code, to, function->len);
	if (len < 0)
		return len;
	function->len = len;
	return 0;
}

/* Append the function that begins at an instruction of code->flat, unless it is there already.
 * Returns where it stands in code->insns, or a negative value. */
static long place(struct bpf_code *code, size_t from)
{
	int in_text = from >= code->entry_len;
	__u64 value = (from - (in_text ? code->entry_len : 0)) * sizeof(struct bpf_insn);
	struct code_function *function = &code->functions[code->nfunctions];
	struct bpf_elf_symbol symbol;
	int err;

	for (unsigned int i = 0; i < code->nfunctions; i++)
		if (code->functions[i].from == from)
			return code->functions[i].to;
	if (!bpf_elf_find_symbol(&code->elf, in_text ? code->text_section : code->entry_section,
				 STT_FUNC, NULL, value, &symbol) ||
	    !symbol.size || symbol.size % sizeof(struct bpf_insn))
		return bpf_code_refuse(code, "no function begins at instruction %llu of `%s`",
				       (unsigned long long)value / sizeof(struct bpf_insn),
				       in_text ? ".text" : PROGRAM_SECTION);
	if (code->nfunctions == CODE_FUNCTIONS_MAX)
		return bpf_code_refuse(code, "more than %u functions", CODE_FUNCTIONS_MAX);
	*function = (struct code_function){ .from = from, .to = code->len };
	function->size = function->len = symbol.size / sizeof(struct bpf_insn);
	for (unsigned int i = 0; i < code->nfunctions; i++)
		if (from < code->functions[i].from + code->functions[i].size &&
		    code->functions[i].from < from + function->size)
			return bpf_code_refuse(code, "functions that overlap");
	if (in_text)
		replace(code, symbol.name, function);
	if (function->len > code->room - code->len)
		return bpf_code_refuse(code, "functions that overlap");
	err = copy(code, function);
	if (err)
		return err;
	code->len += function->len;
	code->nfunctions++;
	return function->to;
}

/* Every call of one function gets its new distance, and the functions that it calls a place. */
static int place_callees(struct bpf_code *code, const struct code_function *function)
{
	for (size_t i = 0; i < function->len; i++) {
		struct bpf_insn *insn = &code->insns[function->to + i];
		long to;

		if (!is_call(insn))
			continue;
		to = place(code, insn->imm);
		if (to < 0)
			return to;
		insn->imm = to - (long)(function->to + i + 1);
	}
	return 0;
}

/* A call of the filter that the program makes. */
struct call {
	size_t at;
	int stack;                 /* bytes of it that are in use there */
	const struct code_function *function;
};

/* Is r10, the frame pointer, copied to a register to which the next instruction adds a constant? */
static int is_address(const struct bpf_insn *insn)
{
	return insn[0].code == (BPF_ALU64 | BPF_MOV | BPF_X) && insn[0].src_reg == BPF_REG_10 &&
	       insn[1].code == (BPF_ALU64 | BPF_ADD | BPF_K) && insn[1].dst_reg == insn[0].dst_reg;
}

/* Is it a load from the stack, or a store there? */
static int is_access(const struct bpf_insn *insn)
{
	__u8 class = BPF_CLASS(insn->code);

	return (class == BPF_LDX && insn->src_reg == BPF_REG_10) ||
	       ((class == BPF_STX || class == BPF_ST) && insn->dst_reg == BPF_REG_10);
}

/*
 * How many bytes of the stack instructions use; -1: that cannot be told. An address that is made for the call
 * behind it does not count: it is the packet's, and as much of that as the filter reads has been written.
 */
static int stack_of(const struct bpf_insn *insns, size_t len)
{
	int lowest = 0;

	for (size_t i = 0; i < len; i++) {
		const struct bpf_insn *insn = &insns[i];
		int at = 0;

		if (is_access(insn))
			at = insn->off;
		else if (i + 1 < len && is_address(insn))
			at = i + 2 < len && insn->dst_reg == BPF_REG_1 && is_call(insn + 2) ? 0 :
				insn[1].imm;
		else if ((BPF_CLASS(insn->code) == BPF_ALU64 || BPF_CLASS(insn->code) == BPF_ALU) &&
			 BPF_SRC(insn->code) == BPF_X && insn->src_reg == BPF_REG_10)
			return -1;
		if (at < lowest)
			lowest = at;
	}
	return (7 - lowest) / 8 * 8;
}

/* Have instructions use what lies so many bytes further down. */
static void move_stack(struct bpf_insn *insns, size_t len, int bytes)
{
	for (size_t i = 0; i < len; i++) {
		if (is_access(&insns[i]))
			insns[i].off -= bytes;
		else if (i + 1 < len && is_address(&insns[i]))
			insns[i + 1].imm -= bytes;
	}
}

/*
 * How much of the stack may hold something at a call: what is used ahead of it, where nothing leads back from
 * behind, since what is used behind only is written there first. The deeper the filter's memory, the more the
 * verifier has to copy for each of its branches; and below 256 bytes Linux 6.18 takes each store for news, for
 * which it goes through the whole program (kernel/bpf/liveness.c).
 */
static int stack_at(const struct bpf_code *code, size_t call)
{
	const struct bpf_insn *insns = code->insns;
	size_t len = code->functions[0].len;

	for (size_t i = call; i < len; i++)
		if (bpf_code_is_jump(&insns[i]) && i + 1 + insns[i].off <= call)
			return stack_of(insns, len);
	return stack_of(insns, call + 1);
}

/* All calls of the program, if they are of the filter, and it has room. Returns how many; 0: they stay. */
static unsigned int filter_calls(const struct bpf_code *code, struct call calls[CALLS_MAX])
{
	size_t len = code->functions[0].len;
	unsigned int n = 0;
	int stack;

	for (size_t i = 0; i < code->functions[0].len; i++) {
		const struct code_function *function = code->functions;

		if (code->insns[i].code == (BPF_JMP32 | BPF_JA)) /* of which nobody here knows how far it goes */
			return 0;
		if (!is_call(&code->insns[i]))
			continue;
		while (function->to != i + 1 + code->insns[i].imm)
			function++;
		stack = stack_at(code, i);
		if (!function->filter || n == CALLS_MAX || stack < 0 ||
		    stack + stack_of(function->filter, function->len) > STACK_MAX)
			return 0;
		calls[n++] = (struct call){ i, stack, function };
		len += function->len;
	}
	return len > INT16_MAX || len > code->room ? 0 : n;
}

/* Put the filter where a call of it stands: it ends with its only exit, which is left out. */
static void put_in_place(struct bpf_code *code, const struct call *call)
{
	struct bpf_insn *insns = code->insns;
	size_t at = call->at, body = call->function->len - 1;
	size_t len = code->functions[0].len;

	for (size_t i = 0; i < len; i++) {
		size_t target = i + 1 + insns[i].off;

		if (!bpf_code_is_jump(&insns[i]))
			continue;
		if (i < at && target > at)
			insns[i].off += body - 1;
		else if (i > at && target <= at)
			insns[i].off -= body - 1;
	}
	memmove(insns + at + body, insns + at + 1, (len - at - 1) * sizeof(*insns));
	memcpy(insns + at, call->function->filter, body * sizeof(*insns));
	move_stack(insns + at, body, call->stack);
	code->functions[0].len = len + body - 1;
}

/*
 * Put the filter where its calls stand: it takes r1, leaves its answer in r0, and changes no register of
 * which the program expects otherwise; its stack comes below what the program has there. Where a jump of
 * the program would become too long the calls stay.
 */
static void inline_filter(struct bpf_code *code)
{
	struct call calls[CALLS_MAX];
	unsigned int n = filter_calls(code, calls);

	if (!n)
		return;
	while (n)
		put_in_place(code, &calls[--n]);
	code->len = code->functions[0].len;
	code->nfunctions = 1;
}

/* The program first, then what it calls; the kernel refuses functions that nobody calls. */
int bpf_code_place(struct bpf_code *code)
{
	long err = place(code, 0);

	for (unsigned int i = 0; err >= 0 && i < code->nfunctions; i++)
		if (!code->functions[i].filter)
			err = place_callees(code, &code->functions[i]);
	if (err >= 0)
		inline_filter(code);
	return err < 0 ? err : 0;
}
