// SPDX-License-Identifier: GPL-2.0-or-later
/* From an object to instructions: relocations, the filter's place, functions left out, refusals. */
#include <stdlib.h>

#include "../../bpf_elf.c"
#include "../../bpf_code.c"
#include "../../bpf_fold.c"
#include "../../bpf_place.c"
#include "../../failure.c"
#include "elf_image.h"
#include "tap.h"

enum { CACHE_FD = 31, FLOWS_FD = 32, LINKS_FD = 33, CONSTANTS_FD = 44 };

static const struct bpf_maps maps = { .cache = CACHE_FD, .flows = FLOWS_FD, .links = LINKS_FD };
static const struct config config = { .version = 1, .ifindex = 7, .multiplier = { 3 } };
static const struct bpf_insn filter[] = { BPF_MOV64_IMM(BPF_REG_0, 99), BPF_EXIT_INSN() };

/* Open, constants, code; to be released whatever the result. */
static int make(struct bpf_code *code, struct bpf_program *program, const void *object, size_t size,
		struct failure *failure)
{
	int err;

	program->object = object;
	program->size = size;
	program->name = "file.o";
	err = bpf_code_open(code, program, &maps, failure);
	if (!err)
		err = bpf_code_constants(code, &config);
	return err ? err : bpf_code_lay_out(code, CONSTANTS_FD, -1);
}

static void is_code(const struct bpf_code *code, const struct bpf_insn *wanted, size_t len,
		    const char *name)
{
	size_t size = len * sizeof(*wanted);

	if (ok(code->len == len && !memcmp(code->insns, wanted, size), "%s", name))
		return;
	printf("# %zu instructions, wanted %zu\n", code->len, len);
	for (size_t i = 0; i < code->len && i < len; i++)
		if (memcmp(&code->insns[i], &wanted[i], sizeof(*wanted)))
			printf("# %zu: code %02x src %u imm %d, wanted code %02x src %u imm %d\n", i,
			       code->insns[i].code, code->insns[i].src_reg, code->insns[i].imm,
			       wanted[i].code, wanted[i].src_reg, wanted[i].imm);
}

static void test_whole(void)
{
	const struct bpf_insn wanted[] = {
		BPF_LD_MAP_VALUE(BPF_REG_1, CONSTANTS_FD, sizeof(struct config)),
		BPF_LD_MAP_FD(BPF_REG_2, FLOWS_FD),
		BPF_EMIT_CALL(BPF_FUNC_get_smp_processor_id), BPF_CALL_REL(2), BPF_CALL_REL(4),
		BPF_EXIT_INSN(),
		BPF_MOV64_IMM(BPF_REG_0, 11), BPF_CALL_REL(3), BPF_EXIT_INSN(),
		BPF_MOV64_IMM(BPF_REG_0, 12), BPF_EXIT_INSN(),
		BPF_MOV64_IMM(BPF_REG_0, 13), BPF_EXIT_INSN(),
	};
	struct bpf_program program = { 0 };
	struct failure failure = { 0 };
	struct bpf_code code;
	struct image image;
	struct config got;
	__u32 constant;

	image_make(&image);
	ok(!make(&code, &program, &image, sizeof(image), &failure), "an object becomes code");
	is_code(&code, wanted, sizeof(wanted) / sizeof(wanted[0]),
		"maps, constants and calls are filled in, and what nobody calls is left out");
	is_text(code.license, "GPL", "its license");
	ok(code.constants_size >= sizeof(struct config) + 8, "the size of its constants");
	memcpy(&got, code.constants, sizeof(got));
	memcpy(&constant, (char *)code.constants + sizeof(got), sizeof(constant));
	ok(got.ifindex == 7 && got.multiplier[0] == 3, "the configuration is among them");
	is_number(got.version, XGUARD_ABI, "and keeps the object's version");
	is_number(constant, 0x11223344, "other constants stay");
	ok(!bpf_code_constants(&code, &(struct config){ .ifindex = 9 }) &&
	   !bpf_code_lay_out(&code, CONSTANTS_FD + 1, -1) && code.insns[0].imm == CONSTANTS_FD + 1,
	   "it can be made again for another configuration");
	is_number(((struct config *)code.constants)->ifindex, 9, "which is the one that counts");
	bpf_code_release(&code);
	bpf_code_release(&code);
}

/* A map that is made only where it is wanted. */
static void test_scratch(void)
{
	const struct bpf_insn made[] = { BPF_LD_MAP_FD(BPF_REG_2, 55) }, missing[] = { BPF_LD_IMM64(BPF_REG_2, 0) };
	struct bpf_program program = { 0 };
	struct failure failure = { 0 };
	struct bpf_code code;
	struct image image;

	image_make(&image);
	image.symbols[Y_FLOWS].st_name = image_string(".relxdp"); /* nobody asks for that section by its name */
	memcpy(image.strings + image.symbols[Y_FLOWS].st_name, "scratch", 7);
	image.maps[1] = (struct image_map){ BPF_MAP_TYPE_PERCPU_ARRAY, 4, SCRATCH_SIZE, 0, 0 };
	ok(!make(&code, &program, &image, sizeof(image), &failure) &&
	   !memcmp(code.insns + 2, missing, sizeof(missing)), "no scratch memory: nothing in its place");
	ok(!bpf_code_lay_out(&code, CONSTANTS_FD, 55) && !memcmp(code.insns + 2, made, sizeof(made)),
	   "scratch memory: its map");
	bpf_code_release(&code);
}

static void test_filter(void)
{
	const struct bpf_insn wanted[] = {
		BPF_LD_MAP_VALUE(BPF_REG_1, CONSTANTS_FD, sizeof(struct config)),
		BPF_LD_MAP_FD(BPF_REG_2, FLOWS_FD),
		BPF_EMIT_CALL(BPF_FUNC_get_smp_processor_id), BPF_CALL_REL(2), BPF_CALL_REL(3),
		BPF_EXIT_INSN(),
		BPF_MOV64_IMM(BPF_REG_0, 99), BPF_EXIT_INSN(),
		BPF_MOV64_IMM(BPF_REG_0, 12), BPF_EXIT_INSN(),
	};
	struct bpf_program program = { .filter = filter, .filter_len = 2 };
	struct failure failure = { 0 };
	struct bpf_code code;
	struct image image;

	image_make(&image);
	ok(!make(&code, &program, &image, sizeof(image), &failure), "an object and a filter");
	is_code(&code, wanted, sizeof(wanted) / sizeof(wanted[0]),
		"the filter stands in match()'s place, and what only match() called is left out");
	bpf_code_release(&code);
}

/* Without calls: jumps over the call, forward and back, go where they went. */
static void test_inline(void)
{
	const struct bpf_insn body[] = {
		BPF_MOV64_IMM(BPF_REG_0, 1), BPF_JMP_A(0), BPF_EXIT_INSN(),
	};
	const struct bpf_insn wanted[] = {
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_1, 0, 3), BPF_MOV64_IMM(BPF_REG_0, 1), BPF_JMP_A(0),
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 1), BPF_JMP_A(-4), BPF_EXIT_INSN(),
	};
	struct bpf_insn insns[8] = {
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_1, 0, 2), BPF_CALL_REL(3),
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 1), BPF_JMP_A(-3), BPF_EXIT_INSN(),
	};
	const struct bpf_program program = { .filter = body, .filter_len = 3 };
	struct bpf_code code = {
		.insns = insns, .len = 8, .room = 8, .program = &program, .nfunctions = 2,
		.functions = { { .len = 5 }, { .len = 3, .to = 5, .filter = body } },
	};

	memcpy(insns + 5, body, sizeof(body));
	inline_filter(&code);
	is_code(&code, wanted, sizeof(wanted) / sizeof(wanted[0]), "the filter where its call stood");
	inline_filter(&code);
	is_code(&code, wanted, sizeof(wanted) / sizeof(wanted[0]), "there is no other call");
}

/* Each kind of filter stands in for its function, and no frame is in pieces where none may be. */
static void test_replace(void)
{
	const struct bpf_insn pieces[] = { BPF_MOV64_IMM(BPF_REG_0, 5), BPF_EXIT_INSN() };
	struct bpf_program program = { .pieces = pieces, .pieces_len = 2 };
	struct bpf_code code = { .program = &program, .frags = 1 };
	struct code_function function = { .len = 7 };

	replace(&code, "match", &function);
	replace(&code, "match_pieces", &function);
	ok(!function.filter && function.len == 7, "no filter: the functions stay");
	program.filter = filter;
	program.filter_len = 2;
	replace(&code, "other", &function);
	ok(!function.filter && function.len == 7, "another function stays");
	replace(&code, "match", &function);
	ok(function.filter == filter && function.len == 2, "match()");
	replace(&code, "match_pieces", &function);
	ok(function.filter == pieces && function.len == 2, "match_pieces()");
	code.frags = 0;
	replace(&code, "match_pieces", &function);
	ok(function.filter == never, "match_pieces() where no frame is in pieces");
}

/* Two calls, the functions in the other order; and a call that is not of the filter. */
static void test_inline_both(void)
{
	const struct bpf_insn first[] = { BPF_MOV64_IMM(BPF_REG_0, 1), BPF_EXIT_INSN() };
	const struct bpf_insn second[] = {
		BPF_MOV64_IMM(BPF_REG_6, 2), BPF_MOV64_IMM(BPF_REG_0, 2), BPF_EXIT_INSN(),
	};
	const struct bpf_insn wanted[] = {
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_1, 0, 2), BPF_MOV64_IMM(BPF_REG_0, 1), BPF_JMP_A(2),
		BPF_MOV64_IMM(BPF_REG_6, 2), BPF_MOV64_IMM(BPF_REG_0, 2), BPF_EXIT_INSN(),
	};
	struct bpf_insn insns[16] = {
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_1, 0, 2), BPF_CALL_REL(6), BPF_JMP_A(1),
		BPF_CALL_REL(1), BPF_EXIT_INSN(),
	};
	struct bpf_code code = {
		.insns = insns, .len = 10, .room = 9, .nfunctions = 3,
		.functions = { { .len = 5 }, { .len = 3, .to = 5, .filter = second },
			       { .len = 2, .to = 8, .filter = first } },
	};

	code.functions[1].filter = NULL;
	inline_filter(&code);
	is_number(code.len, 10, "where another function is called, too, all calls stay");
	code.functions[1].filter = second;
	inline_filter(&code);
	is_number(code.len, 10, "where there is no room for them, too");
	code.room = 10;
	inline_filter(&code);
	is_code(&code, wanted, sizeof(wanted) / sizeof(wanted[0]), "both kinds where their calls stood");
}

/* What the filter has on the stack comes below what the program has there. */
static void test_stack(void)
{
	const struct bpf_insn body[] = {
		BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_1, -8), BPF_MOV64_REG(BPF_REG_3, BPF_REG_10),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, -16), BPF_LDX_MEM(BPF_B, BPF_REG_0, BPF_REG_10, -1),
		BPF_EXIT_INSN(),
	};
	struct bpf_insn wanted[] = {
		BPF_MOV64_REG(BPF_REG_2, BPF_REG_10), BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -20),
		BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_1, -32), BPF_MOV64_REG(BPF_REG_3, BPF_REG_10),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, -40), BPF_LDX_MEM(BPF_B, BPF_REG_0, BPF_REG_10, -25),
		BPF_ST_MEM(BPF_DW, BPF_REG_10, -8, 0), BPF_EXIT_INSN(),
	};
	const struct bpf_insn before[] = {
		wanted[0], wanted[1], BPF_CALL_REL(2), wanted[6], wanted[7],
	};
	struct bpf_insn insns[10];
	struct bpf_code code = {
		.insns = insns, .len = 10, .room = 10, .nfunctions = 2,
		.functions = { { .len = 5 }, { .len = 5, .to = 5, .filter = body } },
	};

	memcpy(insns, before, sizeof(before));
	memcpy(insns + 5, body, sizeof(body));
	insns[1].imm = -504;
	inline_filter(&code);
	is_number(code.len, 10, "where both have no room on the stack the call stays");
	insns[1] = BPF_MOV64_REG(BPF_REG_2, BPF_REG_3);
	inline_filter(&code);
	is_number(code.len, 10, "so it does where nobody knows what the program has");
	insns[1] = wanted[1];
	inline_filter(&code);
	is_code(&code, wanted, sizeof(wanted) / sizeof(wanted[0]), "the filter's stack below the program's");
}

/* What the program uses behind the call only, or hands over, is no reason to go deeper. */
static void test_stack_ahead(void)
{
	const struct bpf_insn body[] = { BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_1, -8), BPF_EXIT_INSN() };
	struct bpf_insn insns[] = {
		BPF_ST_MEM(BPF_W, BPF_REG_10, -12, 1), BPF_MOV64_REG(BPF_REG_1, BPF_REG_10),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_1, -80), BPF_CALL_REL(4),
		BPF_ST_MEM(BPF_DW, BPF_REG_10, -80, 0), BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 7, 1), BPF_EXIT_INSN(),
		BPF_EXIT_INSN(), body[0], body[1],
	};
	struct bpf_insn again[sizeof(insns) / sizeof(insns[0])];
	struct bpf_code code = {
		.insns = insns, .len = 10, .room = 10, .nfunctions = 2,
		.functions = { { .len = 8 }, { .len = 2, .to = 8, .filter = body } },
	};

	memcpy(again, insns, sizeof(insns));
	inline_filter(&code);
	is_number(insns[3].off, -24, "the filter's stack begins where the program's is free at the call");
	again[5].off = -6; /* from behind the call to ahead of it */
	code.insns = again;
	code.len = 10;
	code.nfunctions = 2;
	code.functions[0].len = 8;
	inline_filter(&code);
	is_number(again[3].off, -88, "where the program comes there again, below all of it");
}

/* A global function has a symbol of its own; a static one is told by its section and the call. */
static void test_static_callee(void)
{
	struct bpf_program program = { 0 };
	struct failure failure = { 0 };
	struct bpf_code code;
	struct image image;

	image_make(&image);
	image.symbols[Y_UNUSED].st_info = ELF64_ST_INFO(0, STT_SECTION);
	image.relocations[R_HELPER].r_info = ELF64_R_INFO((__u64)Y_UNUSED, 10);
	image.xdp[6].imm = 4;
	ok(!make(&code, &program, &image, sizeof(image), &failure) && code.insns[6].imm == 4 &&
	   code.insns[11].imm == 12, "a call by the section's symbol");
	bpf_code_release(&code);
}

/* A load over the address that it reads from becomes an immediate, and so does a mask behind it. */
static void test_constants(void)
{
	const __u64 constants[] = { 0x1122334455667788, 0x99aabbccddeeff00 };
	const struct bpf_insn before[] = {
		BPF_LD_MAP_VALUE(BPF_REG_1, CONSTANTS_FD, 0),
		BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_1, 8), BPF_ALU64_IMM(BPF_AND, BPF_REG_1, -256),
		BPF_LD_MAP_VALUE(BPF_REG_2, CONSTANTS_FD, 8),
		BPF_LDX_MEM(BPF_W, BPF_REG_2, BPF_REG_2, -8), BPF_ALU64_IMM(BPF_AND, BPF_REG_3, 1),
		BPF_LD_MAP_VALUE(BPF_REG_3, CONSTANTS_FD, 0), /* another register */
		BPF_LDX_MEM(BPF_DW, BPF_REG_4, BPF_REG_3, 0),
		BPF_LD_MAP_VALUE(BPF_REG_3, CONSTANTS_FD + 1, 0), /* another map */
		BPF_LDX_MEM(BPF_DW, BPF_REG_3, BPF_REG_3, 0),
		BPF_LD_MAP_VALUE(BPF_REG_3, CONSTANTS_FD, 16), /* beyond the constants */
		BPF_LDX_MEM(BPF_DW, BPF_REG_3, BPF_REG_3, 0),
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_4, 0, 2), /* to the load */
		BPF_LD_MAP_VALUE(BPF_REG_3, CONSTANTS_FD, 0),
		BPF_LDX_MEM(BPF_DW, BPF_REG_3, BPF_REG_3, 0), BPF_EXIT_INSN(),
	};
	__u32 low;
	struct bpf_insn after[] = { BPF_LD_IMM64(BPF_REG_1, 0x99aabbccddeeff00),
				    BPF_LD_IMM64(BPF_REG_2, 0) };
	enum { N = sizeof(before) / sizeof(before[0]), CHANGED = 4, WERE = 7 };
	struct bpf_insn insns[N];
	struct bpf_code code = { .constants = (void *)constants, .constants_fd = CONSTANTS_FD,
				 .constants_size = sizeof(constants) };
	long len;

	memcpy(&low, constants, sizeof(low));
	after[2].imm = low;
	memcpy(insns, before, sizeof(insns));
	len = bpf_code_fold(&code, insns, N);
	ok(!memcmp(insns, after, sizeof(after)), "loads of constants become immediates");
	ok(len == N - WERE + CHANGED &&
	   !memcmp(insns + CHANGED, before + WERE, sizeof(insns) - WERE * sizeof(insns[0])),
	   "but not those that another address might reach, or that read elsewhere");
}

/* Fold instructions, of which so many have a meaning, and compare. */
static void folds(const struct bpf_insn *before, size_t n, const struct bpf_insn *after, size_t left,
		  const char *name)
{
	struct bpf_insn insns[16];
	struct bpf_code code = { .insns = insns };

	memcpy(insns, before, n * sizeof(*before));
	code.len = bpf_code_fold(&code, insns, n);
	is_code(&code, after, left, name);
}
#define FOLDS(before, after, name)                                                                 \
	folds(before, sizeof(before) / sizeof(before[0]), after, sizeof(after) / sizeof(after[0]), name)

/* What a constant rules out is left out, and jumps go where they went. */
static void test_fold(void)
{
	const struct bpf_insn before[] = {
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_2, 0, 8), BPF_LD_IMM64(BPF_REG_1, 5), BPF_JMP_A(0),
		BPF_JMP_IMM(BPF_JNE, BPF_REG_1, 5, 1), BPF_JMP_IMM(BPF_JGE, BPF_REG_1, 5, 2),
		BPF_MOV64_IMM(BPF_REG_3, 1), BPF_JMP_IMM(BPF_JEQ, BPF_REG_3, 1, -7),
		BPF_MOV64_IMM(BPF_REG_3, 2), BPF_JMP_IMM(BPF_JGT, BPF_REG_3, 2, -9), BPF_EXIT_INSN(),
		BPF_MOV64_IMM(BPF_REG_3, 3),
	};
	const struct bpf_insn after[] = {
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_2, 0, 4), BPF_LD_IMM64(BPF_REG_1, 5), BPF_JMP_A(0),
		BPF_MOV64_IMM(BPF_REG_3, 2), BPF_JMP_IMM(BPF_JGT, BPF_REG_3, 2, -5), BPF_EXIT_INSN(),
	};

	FOLDS(before, after, "a branch that is never taken, and one that always is");
}

/* Each condition, with a constant of which the upper half counts. */
static void test_conditions(void)
{
	static const struct {
		__u8 op;
		int imm, outcome;
	} conditions[] = {
		{ BPF_JEQ, -2, 1 }, { BPF_JEQ, 1, 0 },   { BPF_JNE, -2, 0 }, { BPF_JNE, 1, 1 },
		{ BPF_JGT, 1, 1 },  { BPF_JGT, -2, 0 },  { BPF_JGE, -2, 1 }, { BPF_JGE, -1, 0 },
		{ BPF_JLT, -1, 1 }, { BPF_JLT, -2, 0 },  { BPF_JLE, -2, 1 }, { BPF_JLE, 1, 0 },
		{ BPF_JSET, 2, 1 }, { BPF_JSET, 1, 0 },  { BPF_JSET, -4, 1 },
	};

	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
		const struct bpf_insn before[] = {
			BPF_LD_IMM64(BPF_REG_1, -2),
			BPF_JMP_IMM(conditions[i].op, BPF_REG_1, conditions[i].imm, 1),
			BPF_MOV64_IMM(BPF_REG_0, 1), BPF_MOV64_IMM(BPF_REG_0, 2), BPF_EXIT_INSN(),
		};
		const struct bpf_insn goes_on[] = {
			BPF_LD_IMM64(BPF_REG_1, -2), BPF_MOV64_IMM(BPF_REG_0, 1),
			BPF_MOV64_IMM(BPF_REG_0, 2), BPF_EXIT_INSN(),
		};
		const struct bpf_insn jumps[] = {
			BPF_LD_IMM64(BPF_REG_1, -2), BPF_MOV64_IMM(BPF_REG_0, 2), BPF_EXIT_INSN(),
		};

		if (conditions[i].outcome)
			FOLDS(before, jumps, "a condition that always holds");
		else
			FOLDS(before, goes_on, "a condition that never holds");
	}
}

/* Instructions behind which nothing is known of r1, whatever it was. */
static void test_forget(void)
{
	static const struct {
		struct bpf_insn insn;
		const char *name;
	} rows[] = {
		{ BPF_MOV64_REG(BPF_REG_1, BPF_REG_2), "another value" },
		{ BPF_ALU32_IMM(BPF_ADD, BPF_REG_1, 1), "arithmetic" },
		{ BPF_LDX_MEM(BPF_W, BPF_REG_1, BPF_REG_2, 0), "a load" },
		{ BPF_EMIT_CALL(BPF_FUNC_get_smp_processor_id), "a call" },
		{ BPF_RAW_INSN(BPF_STX | BPF_DW | BPF_ATOMIC, BPF_REG_2, BPF_REG_1, 0, BPF_XCHG), "an exchange" },
		{ BPF_JMP_IMM(BPF_JEQ, BPF_REG_2, 0, -1), "a loop" },
		{ BPF_JMP32_IMM(BPF_JNE, BPF_REG_1, 5, 0), NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct bpf_insn insns[] = {
			BPF_LD_IMM64(BPF_REG_1, 5), rows[i].name ? rows[i].insn : rows[0].insn,
			rows[i].name ? BPF_JMP_IMM(BPF_JEQ, BPF_REG_1, 5, 1) : rows[i].insn,
			BPF_MOV64_IMM(BPF_REG_0, 1), BPF_EXIT_INSN(),
		};

		FOLDS(insns, insns, rows[i].name ? rows[i].name : "a condition of 32 bits");
	}
}

/* A register that is a constant on one way only; and code that is left as it is. */
static void test_left(void)
{
	const struct bpf_insn joined[] = {
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_2, 0, 2), BPF_LD_IMM64(BPF_REG_1, 5),
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_1, 5, 1), BPF_MOV64_IMM(BPF_REG_0, 1), BPF_EXIT_INSN(),
	};
	const struct bpf_insn nowhere[] = { BPF_JMP_A(0), BPF_EXIT_INSN(), BPF_JMP_A(-4) };
	const struct bpf_insn half[] = { BPF_JMP_A(1), BPF_LD_IMM64(BPF_REG_1, 5), BPF_EXIT_INSN() };
	const struct bpf_insn unfinished[] = { BPF_JMP_A(0), BPF_RAW_INSN(0x18, 0, 0, 0, 0) };

	const struct bpf_insn loop[] = {
		BPF_LD_IMM64(BPF_REG_1, 5), BPF_JMP_IMM(BPF_JEQ, BPF_REG_1, 5, 1),
		BPF_MOV64_IMM(BPF_REG_0, 1), BPF_MOV64_REG(BPF_REG_1, BPF_REG_2),
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_2, 0, -4), BPF_EXIT_INSN(),
	};
	const struct bpf_insn dead_loop[] = {
		BPF_LD_IMM64(BPF_REG_1, 5), BPF_JMP_IMM(BPF_JEQ, BPF_REG_1, 5, 2),
		BPF_MOV64_IMM(BPF_REG_0, 1), BPF_JMP_IMM(BPF_JEQ, BPF_REG_2, 0, -2), BPF_EXIT_INSN(),
	};
	const struct bpf_insn no_loop[] = { BPF_LD_IMM64(BPF_REG_1, 5), BPF_EXIT_INSN() };

	FOLDS(joined, joined, "a constant on one of two ways");
	FOLDS(loop, loop, "a constant that changes in a loop");
	FOLDS(dead_loop, no_loop, "a loop that is never reached");
	FOLDS(nowhere, nowhere, "a jump out of the function");
	FOLDS(half, half, "a jump into a load");
	FOLDS(unfinished, unfinished, "half a load at the end");
}

struct row {
	const char *name;
	size_t offset, size;
	__u64 value;
	const char *wanted;
};

#define ROW(NAME, FIELD, VALUE, WANTED)                                                            \
	{ NAME, offsetof(struct image, FIELD), sizeof(((struct image *)0)->FIELD), VALUE, WANTED }

static const struct row rows[] = {
	ROW("what the parser refuses", header.e_machine, 62, "built for machine 62"),
	ROW("another version", config.version, 0x78670000,
	    "built from another version's xdp_prog.c (0x78670000, this one's is 0x"),
	ROW("a configuration of another size", symbols[Y_CONFIG].st_size, 100,
	    "`config` has 100 bytes where"),
	ROW("a configuration too small for a version", symbols[Y_CONFIG].st_size, 3,
	    "no `config` in a section `.rodata`"),
	ROW("no configuration", symbols[Y_CONFIG].st_name, 0, "no `config` in a section `.rodata`"),
	ROW("constants that can be written", sections[S_RODATA].sh_flags, SHF_ALLOC | SHF_WRITE,
	    "no `config` in a section `.rodata`"),
	ROW("no constants", sections[S_RODATA].sh_type, SHT_NOBITS,
	    "no `config` in a section `.rodata`"),
	ROW("no program", sections[S_XDP].sh_name, 0, "no program in a section `xdp`"),
	ROW("program without code", sections[S_XDP].sh_flags, SHF_ALLOC,
	    "no program in a section `xdp`"),
	ROW(".text without code", sections[S_TEXT].sh_flags, SHF_ALLOC, "section `.text` is no code"),
	ROW("no license", sections[S_LICENSE].sh_name, 0, "no license in a section `license`"),
	ROW("license without end", license[7], 'x', "no license in a section `license`"),
	ROW("license without bytes", sections[S_LICENSE].sh_size, 0,
	    "no license in a section `license`"),
	ROW("type of a map", maps[0].type, 6,
	    "map `cache`: type 6, key 4, value 64, flags 0x400 where type 2, key 4, value 64, flags "
	    "0x400 are wanted"),
	ROW("key of a map", maps[1].key_size, 40, "map `flows`: type 1, key 40, value 16"),
	ROW("value of a map", maps[2].value_size, 8, "map `links`: type 2, key 4, value 8"),
	ROW("flags of a map", maps[2].flags, 0, "map `links`: type 2, key 4, value 64, flags 0x0"),
	ROW("definition of another size", symbols[Y_LINKS].st_size, 16, "map `links`: type 0"),
	ROW("a map of another name", symbols[Y_FLOWS].st_name, 1,
	    "the code refers to a map that xguard does not have"),
	ROW("within a map's definition", xdp[2].imm, 24,
	    "the code refers to a map that xguard does not have"),
	ROW("beyond the maps", xdp[2].imm, 60,
	    "the code refers to 0x3c in section 5 (60 bytes)"),
	ROW("before the maps", xdp[2].imm, -20,
	    "the code refers to 0xffffffffffffffec in section 5 (60 bytes)"),
	ROW("beyond the constants", xdp[0].imm, 0x1000,
	    "the code refers to 0x1000 in section 6 ("),
	ROW("code as data", relocations[R_CONFIG].r_info, ELF64_R_INFO((__u64)Y_PROGRAM, 1),
	    "in section 3 (64 bytes)"),
	ROW("no symbol", relocations[R_MATCH].r_info, 10, "symbol 0 of the code is not defined"),
	ROW("an undefined symbol", symbols[Y_MATCH].st_shndx, 0,
	    "symbol 8 of the code is not defined"),
	ROW("a call of the program", symbols[Y_MATCH].st_shndx, S_XDP,
	    "the code calls into section 3, which is not `.text`"),
	ROW("a call beyond .text", xdp[6].imm, 3, "the code calls instruction 9 of `.text`, which has 9"),
	ROW("a call before .text", xdp[6].imm, -7, "the code calls instruction -1 of `.text`"),
	ROW("a call into a function", xdp[6].imm, 0, "no function begins at instruction 6 of `.text`"),
	ROW("a call of a symbol that is no function", symbols[Y_HELPER].st_info, STT_OBJECT,
	    "no function begins at instruction 5 of `.text`"),
	ROW("a function of half an instruction", symbols[Y_HELPER].st_size, 12,
	    "no function begins at instruction 5 of `.text`"),
	ROW("an empty function", symbols[Y_HELPER].st_size, 0,
	    "no function begins at instruction 5 of `.text`"),
	ROW("functions over each other", symbols[Y_MATCH].st_size, 7 * sizeof(struct bpf_insn),
	    "functions that overlap"),
	ROW("a call out of .text", text[3].imm, 1000, "a call leaves the code"),
	ROW("a call far back", text[3].imm, 0x80000000, "a call leaves the code"),
	ROW("a call's relocation for a load", relocations[R_CONFIG].r_info,
	    ELF64_R_INFO((__u64)Y_MATCH, 10), "relocation of type 10 for an instruction of code 0x18"),
	ROW("a load's relocation for a call", relocations[R_MATCH].r_info,
	    ELF64_R_INFO((__u64)Y_RODATA, 1), "relocation of type 1 for an instruction of code 0x85"),
	ROW("a call of a helper relocated", relocations[R_MATCH].r_offset, 32,
	    "relocation of type 10 for an instruction of code 0x85"),
	ROW("half a load at the end", xdp[7].code, 0x18, NULL),
	ROW("an unknown relocation", relocations[R_MATCH].r_info, ELF64_R_INFO((__u64)Y_MATCH, 2),
	    "relocation of type 2 for an instruction of code 0x85"),
};

static void set(struct image *image, const struct row *row)
{
	__u64 value = row->value;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	value <<= 64 - 8 * row->size;
#endif
	memcpy((char *)image + row->offset, &value, row->size);
}

static void test_row(const struct row *row)
{
	struct bpf_program program = { 0 };
	struct failure failure = { 0 };
	struct bpf_code code;
	struct image image;
	int result, good;

	image_make(&image);
	set(&image, row);
	result = make(&code, &program, &image, sizeof(image), &failure);
	bpf_code_release(&code);
	if (!row->wanted)
		good = !result;
	else
		good = result < 0 && strstr(failure.reason, row->wanted) &&
		       !strcmp(failure.step, "file.o") && strstr(failure.next, "xdp_prog.c");
	if (!ok(good, "%s", row->name))
		printf("# result: %d\n# got:    %s: %s\n# wanted: %s\n", result, failure.step,
		       failure.reason, row->wanted ? row->wanted : "success");
}

static void test_random(void)
{
	__u64 random = 88172645463325252ull;
	struct bpf_program program = { .filter = filter, .filter_len = 2 };
	struct failure failure;
	struct bpf_code code;
	struct image image;
	unsigned int accepted = 0;

	for (int i = 0; i < 100000; i++) {
		image_make(&image);
		for (int n = i % 4; n >= 0; n--) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			memcpy((char *)&image + random % (sizeof(image) - 8), &random,
			       1 + (random >> 32) % 8);
		}
		accepted += !make(&code, &program, &image, sizeof(image), &failure);
		bpf_code_release(&code);
	}
	ok(accepted > 1000 && accepted < 99000, "random bytes: no harm (%u accepted)", accepted);
}

int main(void)
{
	test_whole();
	test_scratch();
	test_filter();
	test_inline();
	test_inline_both();
	test_stack();
	test_stack_ahead();
	test_replace();
	test_static_callee();
	test_constants();
	test_fold();
	test_conditions();
	test_forget();
	test_left();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		test_row(&rows[i]);
	test_random();
	return done();
}
