// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: whatever text comes in, the filter compiler ends with a message or with code
 * that keeps its promises; with FUZZ_LOAD=1 in the environment (root), the running kernel's verifier
 * must take that code, too.
 *
 *	make build/tests/fuzz-filter
 *	build/tests/fuzz-filter -dict=tests/fuzz/filter.dict -max_total_time=300 DIR \
 *		tests/fuzz/corpus/filter
 *	FUZZ_LOAD=1 build/tests/fuzz-filter ... (the same)
 *
 * The first byte of an input chooses the link, the protocol and how frames in pieces are read, the rest is the filter.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf.h"
#include "bpf_insn.h"
#include "filter.h"
#include "packet.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

static void broken(const char *what, const char *text, size_t at)
{
	fprintf(stderr, "%s at instruction %zu of: %s\n", what, at, text);
	abort();
}

/* Of code for frames in one piece, or in several. */
static void check_insn(const struct bpf_insn *insns, size_t len, int pieces, size_t i,
		       const char *text)
{
	const struct bpf_insn *insn = &insns[i];
	int class = BPF_CLASS(insn->code), exit = insn->code == (BPF_JMP | BPF_EXIT);
	int width = BPF_SIZE(insn->code);
	int size = width == BPF_DW ? 8 : width == BPF_W ? 4 : width == BPF_H ? 2 : 1;
	int highest = pieces ? BPF_REG_9 : BPF_REG_5, is_memory = class == BPF_LDX || class == BPF_STX;
	int address = i + 1 < len && insn->code == (BPF_ALU64 | BPF_MOV | BPF_X) &&
		      insn[1].code == (BPF_ALU64 | BPF_ADD | BPF_K) && insn[1].dst_reg == insn->dst_reg;

	if ((insn->dst_reg > highest && insn->dst_reg != BPF_REG_9 && (class != BPF_STX || insn->dst_reg != BPF_REG_10)) ||
	    (insn->src_reg > highest && insn->src_reg != BPF_REG_9 && ((!is_memory && !address) || insn->src_reg != BPF_REG_10)))
		broken("a register that is not the filter's", text, i);
	if ((class == BPF_JMP || class == BPF_JMP32) && !exit &&
	    (insn->off < 0 || i + 1 + insn->off >= len))
		broken("a jump backwards or out of the code", text, i);
	if (exit != (i == len - 1))
		broken("an exit too many, or none at the end", text, i);
	if (class == BPF_ST || (class == BPF_STX &&
	    (insn->dst_reg != BPF_REG_10 || insn->off < -FILTER_STACK || insn->off + size > 0)))
		broken("a store outside of its stack", text, i);
}

/* r2 = scratch memory, in place of the frame; the key is in packet.reserved. Returns how many instructions. */
static size_t add_scratch(struct bpf_insn *to)
{
	static int map = -1;

	if (map < 0)
		map = bpf_map_create("fuzz", BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), SCRATCH_SIZE, 1, 0);

	const struct bpf_insn insns[] = {
		BPF_LD_MAP_FD(BPF_REG_1, map),
		BPF_MOV64_REG(BPF_REG_2, BPF_REG_10),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, (int)offsetof(struct packet, reserved) - (int)sizeof(struct packet)),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
		BPF_JMP_IMM(BPF_JNE, BPF_REG_0, 0, 1),
		BPF_EXIT_INSN(),
		BPF_MOV64_REG(BPF_REG_2, BPF_REG_0),
	};

	memcpy(to, insns, sizeof(insns));
	return sizeof(insns) / sizeof(*insns);
}

/* An XDP program that lays out struct packet as xdp_prog.c does, and calls the filter. */
static void load(const struct bpf_insn *code, size_t len, __u32 flags, int scratch, const char *text)
{
	enum { PACKET = -(int)sizeof(struct packet), ZEROED = sizeof(struct packet) / 8 };
	struct bpf_insn insns[ZEROED + 30], *all;
	struct bpf_prog_spec spec = {
		.name = "fuzz", .type = BPF_PROG_TYPE_XDP, .license = "GPL", .flags = flags,
	};
	size_t n = 0;
	int fd = -EAGAIN;

	insns[n++] = BPF_MOV64_REG(BPF_REG_6, BPF_REG_1);
	insns[n++] = BPF_LDX_MEM(BPF_W, BPF_REG_2, BPF_REG_1, 0);
	insns[n++] = BPF_LDX_MEM(BPF_W, BPF_REG_3, BPF_REG_1, 4);
	for (int i = 0; i < ZEROED; i++)
		insns[n++] = BPF_ST_MEM(BPF_DW, BPF_REG_10, PACKET + 8 * i, 0);
	insns[n++] = BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_3,
				 PACKET + (int)offsetof(struct packet, data_end));
	insns[n++] = BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_6,
				 PACKET + (int)offsetof(struct packet, ctx));
	insns[n++] = BPF_ALU64_REG(BPF_SUB, BPF_REG_3, BPF_REG_2);
	insns[n++] = BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_3,
				 PACKET + (int)offsetof(struct packet, length));
	if (scratch)
		n += add_scratch(insns + n);
	insns[n++] = BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_2,
				 PACKET + (int)offsetof(struct packet, data));
	insns[n++] = BPF_MOV64_REG(BPF_REG_1, BPF_REG_10);
	insns[n++] = BPF_ALU64_IMM(BPF_ADD, BPF_REG_1, PACKET);
	insns[n++] = BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1);
	insns[n++] = BPF_EXIT_INSN();
	all = malloc((n + len) * sizeof(*all));
	memcpy(all, insns, n * sizeof(*all));
	memcpy(all + n, code, len * sizeof(*all));
	spec.insns = all;
	spec.len = n + len;
	for (int tries = 0; fd == -EAGAIN && tries < 9; tries++)
		fd = bpf_prog_load(&spec);
	if (fd < 0)
		broken(strerror(-fd), text, len);
	close(fd);
	free(all);
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	static const __u8 protocols[] = { 0, 0, 0, 6, 17, 1 };
	struct filter filter;
	char *text;
	int err, copied;

	if (!size)
		return 0;
	text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	copied = data[0] / 18 % 2;
	err = filter_compile(&filter, text, protocols[data[0] % 6], data[0] / 6 % 3,
			     copied ? PIECES_COPIED : PIECES_ASKED_FOR);
	if (err && (filter.insns || !filter.error[0] || filter.column < 0 ||
		    (size_t)filter.column > size))
		broken("no message, or one that points nowhere", text, 0);
	for (size_t i = 0; i < filter.len; i++)
		check_insn(filter.insns, filter.len, 0, i, text);
	for (size_t i = 0; i < filter.pieces_len; i++)
		check_insn(filter.pieces, filter.pieces_len, 1, i, text);
	if (filter.len && getenv("FUZZ_LOAD")) {
		load(filter.insns, filter.len, 0, 0, text);
		if (!filter.no_pieces)
			load(filter.pieces, filter.pieces_len, BPF_F_XDP_HAS_FRAGS, copied, text);
	}
	filter_free(&filter);
	free(text);
	return 0;
}
