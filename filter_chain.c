// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * protochain: walk from header to header, comparing each next-header value. classic BPF needs a
 * backward jump for it; here the walk is unrolled. It goes wrong where libpcap's does: behind an
 * authentication header (RFC 4302) it goes on at that header's length, counted from the IP header.
 *
 *	r0  the next-header value, then the header's first byte
 *	r5  the frame's first byte plus the offset of the header in the IP packet
 *	r4  free
 */
#include "bpf_insn.h"
#include "filter_code.h"

#define HEADERS_MAX 8

enum { HOPOPTS = 0, ROUTING = 43, FRAGMENT = 44, AH = 51, NONE = 59, DSTOPTS = 60 };

/* r0 = the next header's number, r4 = this one's length byte. */
static void next_header(struct code *code, __u32 base)
{
	filter_check_end(code, BPF_REG_4, BPF_REG_5, base + 2);
	filter_emit(code, BPF_LDX_MEM(BPF_B, BPF_REG_0, BPF_REG_5, base));
	filter_emit(code, BPF_LDX_MEM(BPF_B, BPF_REG_4, BPF_REG_5, base + 1));
}

static void skip_extension(struct code *code, __u32 base)
{
	next_header(code, base);
	filter_emit(code, BPF_ALU32_IMM(BPF_ADD, BPF_REG_4, 1));
	filter_emit(code, BPF_ALU32_IMM(BPF_LSH, BPF_REG_4, 3));
	filter_emit(code, BPF_ALU64_REG(BPF_ADD, BPF_REG_5, BPF_REG_4));
}

static void skip_ah(struct code *code, __u32 base)
{
	next_header(code, base);
	filter_emit(code, BPF_ALU32_IMM(BPF_ADD, BPF_REG_4, 2));
	filter_emit(code, BPF_ALU32_IMM(BPF_LSH, BPF_REG_4, 2));
	filter_emit(code, BPF_MOV64_REG(BPF_REG_5, BPF_REG_2));
	filter_emit(code, BPF_ALU64_REG(BPF_ADD, BPF_REG_5, BPF_REG_4));
}

#define SKIP_LEN 8 /* instructions of skip_extension() */

/* Behind IPv6: an extension header is skipped, anything else falls through to the next code. */
static void skip_ipv6_extension(struct code *code, __u32 base, int ah_len)
{
	static const __u8 extensions[] = { HOPOPTS, DSTOPTS, ROUTING };

	for (int i = 0; i < 3; i++)
		filter_emit(code, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, extensions[i], 3 - i));
	filter_emit(code, BPF_JMP32_IMM(BPF_JNE, BPF_REG_0, FRAGMENT, SKIP_LEN + 1));
	skip_extension(code, base);
	filter_emit(code, BPF_JMP_A(ah_len));
}

void filter_chain(struct code *code, const struct test *test, int yes, int no)
{
	__u32 base = test->offset;
	int six = test->size == 6;

	filter_load_frame(code, BPF_REG_0, base + (six ? 6 : 9), 1);
	if (six) {
		filter_emit(code, BPF_MOV64_IMM(BPF_REG_5, 40));
	} else {
		filter_load_frame(code, BPF_REG_5, base, 1);
		filter_emit(code, BPF_ALU32_IMM(BPF_AND, BPF_REG_5, 0xf));
		filter_emit(code, BPF_ALU32_IMM(BPF_LSH, BPF_REG_5, 2));
	}
	filter_emit(code, BPF_ALU64_REG(BPF_ADD, BPF_REG_5, BPF_REG_2));
	for (int i = 0; i < HEADERS_MAX; i++) {
		filter_jump(code, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, test->k, 0), yes);
		filter_jump(code, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, NONE, 0), no);
		if (six)
			skip_ipv6_extension(code, base, SKIP_LEN + 2);
		filter_jump(code, BPF_JMP32_IMM(BPF_JNE, BPF_REG_0, AH, 0), no);
		skip_ah(code, base);
	}
	filter_jump(code, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, test->k, 0), yes);
	filter_jump(code, BPF_JMP_A(0), no);
}
