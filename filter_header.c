// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fields of a header that are no addresses, its ports and protocols: filter_field.c says what they are good for.
 *
 * They are made of one header, on the stack; or of all headers that there may be, behind each "vlan", "mpls" or
 * "pppoes" another one. There is no room for so many on the stack, so they are behind the frame's copy in scratch
 * memory, and the code is for frames that are copied. There all can be loaded that is asked for, so it does without a
 * branch, each of which costs the verifier as much as ten instructions: what a frame is too short for is garbage (what
 * the last frame had there, a type, too), and marked as missing by the frame's length alone. Of numbers that are 0 or
 * 1, AND is a product; a number below 2^63, less 1, has its last bit set if it was 0.
 */
#include <stddef.h>
#include <arpa/inet.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

enum { ETH_IP = 0x800, ETH_IP6 = 0x86dd, PPP_IP = 0x21, PPP_IP6 = 0x57 };
enum { IP_TCP = 6, IP_UDP = 17, IP_FRAGMENT = 44, IP_SCTP = 132, IP6_HEADER = 40, IP6_NEXT = 6 };

/* In the code without branches; r0, r1 and r4 are free. */
enum { DATA = BPF_REG_2, LENGTH = BPF_REG_3, FIRST = BPF_REG_5, FOUR = BPF_REG_7, SIX = BPF_REG_8, P = BPF_REG_9 };

static const __u8 protocols[] = { IP_TCP, IP_UDP, IP_SCTP };

/* These fields = size bytes at an offset from r4, which are known to be there. */
static void make(struct code *code, unsigned int fields, __u32 offset, int size)
{
	filter_fetch(code, offset, size);
	if (size == 2)
		filter_emit(code, BPF_ENDIAN(BPF_TO_BE, BPF_REG_0, 16));
	filter_emit(code, BPF_ALU64_IMM(BPF_LSH, BPF_REG_0, VALUE));
	if (UPPER_HALF == 0) /* of halves at a word's beginning the verifier remembers something: let it be any */
		filter_forget(code, BPF_REG_0, BPF_REG_5);
	for (int field = 0; field < FIELDS; field++)
		if (fields >> field & 1)
			filter_emit(code, BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_0, code->field[field] + UPPER_HALF));
}

/* Behind the IPv6 header is that of a fragment, and behind it what proto asks for; no ports are looked for there. */
static void make_fragment(struct code *code, unsigned int fields, __u32 offset, struct jumps *done)
{
	struct jumps other = { .n = 0 };

	filter_fetch(code, offset - IP6_HEADER + IP6_NEXT, 1);
	filter_jump_ahead(code, &other, BPF_JMP32_IMM(BPF_JNE, BPF_REG_0, IP_FRAGMENT, 0));
	filter_mark(code, fields & PORTS, NOTHING | NONE);
	filter_mark(code, 1u << F_NUMBER, MISSING | NONE);
	filter_unless(code, offset + 1, done);
	make(code, 1u << F_NUMBER, offset, 1);
	filter_jump_ahead(code, done, BPF_JMP_A(0));
	filter_land(code, &other);
}

/* Ports at an offset from r4, if the protocol has such; else to none. */
static void make_ports(struct code *code, unsigned int fields, __u32 offset, struct jumps *none,
		       struct jumps *done)
{
	for (int i = 0; i < 3; i++) { /* the product of all differences: one branch */
		int reg = i ? BPF_REG_5 : BPF_REG_0;

		filter_emit(code, filter_load(4, reg, BPF_REG_10, code->field[F_PROTOCOL] + UPPER_HALF));
		filter_emit(code, BPF_ALU64_IMM(BPF_XOR, reg, protocols[i] << VALUE));
		if (i)
			filter_emit(code, BPF_ALU64_REG(BPF_MUL, BPF_REG_0, BPF_REG_5));
	}
	filter_jump_ahead(code, none, BPF_JMP_IMM(BPF_JNE, BPF_REG_0, 0, 0));
	for (int i = 0; i < 2; i++) {
		if (!(fields >> (F_SOURCE_PORT + i) & 1))
			continue;
		filter_unless(code, offset + 2 * i + 2, done);
		make(code, 1u << (F_SOURCE_PORT + i), offset + 2 * i, 2);
	}
}

void filter_make_ports(struct code *code)
{
	struct jumps six = { .n = 0 }, done = { .n = 0 }, tail = { .n = 0 };
	struct jumps neither = { .n = 0 }, later = { .n = 0 }, none = { .n = 0 };
	const unsigned int fields = filter_fields_of(code) & ~0u << F_TRANSPORT;
	const unsigned int ports = fields & PORTS, transport = fields & 1u << F_TRANSPORT;
	const unsigned int protocol = fields & (1u << F_PROTOCOL | 1u << F_NUMBER);
	__u32 base = code->c->field_header;

	if (!fields)
		return;
	filter_begin(code);
	filter_mark(code, fields, MISSING | NONE);
	filter_reach_type(code, &done);
	filter_field_type(code, NULL, &six, &neither);
	filter_unless(code, base + 10, &done);
	make(code, transport | protocol, base + 9, 1);
	filter_fetch(code, base + 6, 2);
	filter_jump_ahead(code, &later, BPF_JMP32_IMM(BPF_JSET, BPF_REG_0, htons(0x1fff), 0));
	filter_fetch(code, base, 1);
	filter_emit(code, BPF_ALU32_IMM(BPF_AND, BPF_REG_0, 0xf));
	filter_emit(code, BPF_ALU32_IMM(BPF_LSH, BPF_REG_0, 2));
	filter_emit(code, BPF_ALU64_REG(BPF_ADD, BPF_REG_4, BPF_REG_0));
	filter_jump_ahead(code, &tail, BPF_JMP_A(0));

	filter_land(code, &six);
	filter_mark(code, transport, NOTHING | NONE);
	filter_unless(code, base + IP6_NEXT + 1, &done);
	make(code, protocol, base + IP6_NEXT, 1);
	if (fields & 1u << F_NUMBER)
		make_fragment(code, fields, base + IP6_HEADER, &done);
	filter_emit(code, filter_load(1, BPF_REG_4, BPF_REG_10, code->zero)); /* no more than r4 may be behind IPv4 */
	filter_emit(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_4, IP6_HEADER));
	filter_from_data(code, BPF_REG_4);

	filter_land(code, &tail);
	filter_meet(code);
	if (ports)
		make_ports(code, fields, base, &none, &done);
	filter_jump_ahead(code, &done, BPF_JMP_A(0));
	filter_land(code, &neither);
	filter_mark(code, protocol, NOTHING | NONE);
	filter_land(code, &later);
	filter_mark(code, transport, NOTHING | NONE);
	filter_land(code, &none);
	filter_mark(code, ports, NOTHING | NONE);
	filter_land(code, &done);
	filter_meet(code);
}

/*
 * Instructions as they are for a header that begins at 0: loads, and the ends of what is loaded, which are all that is
 * subtracted as a constant. What is stored is a field, by number.
 */
#define PUT(field, reg) { .code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = DATA, .src_reg = (reg), .imm = (field) }
/* reg, which may have 63 bits, becomes 1 if it is 0, else 0. */
#define IS_ZERO(reg) BPF_ALU64_IMM(BPF_ADD, reg, -1), BPF_ALU64_IMM(BPF_RSH, reg, 63)
#define IS_NOT(reg)  BPF_ALU64_IMM(BPF_XOR, reg, 1)
/* What stands for a field that is missing, if a number of bytes is negative, else 0; that is none, if 1, else 0. */
#define IS_MISSING(reg) BPF_ALU64_IMM(BPF_RSH, reg, 63), BPF_ALU64_IMM(BPF_MUL, reg, MISSING | NONE)
#define IS_NOTHING(reg) BPF_ALU64_IMM(BPF_MUL, reg, NOTHING | NONE)

/* FOUR, SIX = 0 if it is a header of that version, by the first byte; by what is in front of it. */
static const struct bpf_insn by_itself[] = {
	BPF_LDX_MEM(BPF_B, FOUR, DATA, 0),
	BPF_ALU64_IMM(BPF_AND, FOUR, 0xf0),
	BPF_MOV64_REG(SIX, FOUR),
	BPF_ALU64_IMM(BPF_XOR, FOUR, 0x40),
	BPF_ALU64_IMM(BPF_XOR, SIX, 0x60),
}, by_type[] = {
	BPF_LDX_MEM(BPF_H, FOUR, DATA, -2),
	BPF_MOV64_REG(SIX, FOUR),
};

/* It is a header only if the label in front of it says that it is the last one; then its first byte is asked, too. */
static const struct bpf_insn is_last[] = {
	BPF_LDX_MEM(BPF_B, BPF_REG_0, DATA, -2),
	BPF_ALU64_IMM(BPF_AND, BPF_REG_0, 1),
	BPF_ALU64_REG(BPF_AND, FOUR, BPF_REG_0),
	BPF_ALU64_REG(BPF_AND, SIX, BPF_REG_0),
	BPF_ALU64_IMM(BPF_LSH, BPF_REG_0, 1),
	BPF_ALU64_REG(BPF_SUB, BPF_REG_1, BPF_REG_0),
};

/* FOUR, SIX = 0 if r1, which says how many bytes are behind the type, is negative: then they are garbage. */
static const struct bpf_insn is_there[] = {
	BPF_MOV64_REG(BPF_REG_0, BPF_REG_1),
	BPF_ALU64_IMM(BPF_RSH, BPF_REG_0, 63),
	IS_NOT(BPF_REG_0),
	BPF_ALU64_REG(BPF_AND, FOUR, BPF_REG_0),
	BPF_ALU64_REG(BPF_AND, SIX, BPF_REG_0),
};

/* P = the protocol; r1 bytes are behind it. */
static const struct bpf_insn protocol[] = {
	IS_MISSING(BPF_REG_1),
	BPF_MOV64_REG(BPF_REG_0, FOUR),
	BPF_ALU64_REG(BPF_OR, BPF_REG_0, SIX),
	IS_NOT(BPF_REG_0),
	IS_NOTHING(BPF_REG_0),
	BPF_MOV64_REG(BPF_REG_4, FOUR),
	BPF_ALU64_IMM(BPF_MUL, BPF_REG_4, 9 - IP6_NEXT),
	BPF_ALU64_REG(BPF_ADD, BPF_REG_4, DATA),
	BPF_LDX_MEM(BPF_B, P, BPF_REG_4, IP6_NEXT),
	BPF_ALU64_IMM(BPF_LSH, P, VALUE),
	BPF_ALU64_REG(BPF_OR, P, BPF_REG_0),
	BPF_ALU64_REG(BPF_OR, P, BPF_REG_1),
	PUT(F_PROTOCOL, P),
};

/* The same, or what follows a fragment header that follows IPv6's. */
static const struct bpf_insn number[] = {
	BPF_MOV64_REG(BPF_REG_0, P),
	BPF_ALU64_IMM(BPF_XOR, BPF_REG_0, IP_FRAGMENT << VALUE),
	IS_ZERO(BPF_REG_0),
	BPF_ALU64_REG(BPF_AND, BPF_REG_0, SIX),
	BPF_LDX_MEM(BPF_B, BPF_REG_1, DATA, IP6_HEADER),
	BPF_ALU64_IMM(BPF_LSH, BPF_REG_1, VALUE),
	BPF_MOV64_REG(BPF_REG_4, LENGTH),
	BPF_ALU64_IMM(BPF_SUB, BPF_REG_4, IP6_HEADER + 1),
	IS_MISSING(BPF_REG_4),
	BPF_ALU64_REG(BPF_OR, BPF_REG_1, BPF_REG_4),
	BPF_ALU64_REG(BPF_MUL, BPF_REG_1, BPF_REG_0),
	IS_NOT(BPF_REG_0),
	BPF_ALU64_REG(BPF_MUL, BPF_REG_0, P),
	BPF_ALU64_REG(BPF_OR, BPF_REG_0, BPF_REG_1),
	PUT(F_NUMBER, BPF_REG_0),
};

/* FIRST = 0 in a later fragment, else 1. */
static const struct bpf_insn first[] = {
	BPF_LDX_MEM(BPF_H, FIRST, DATA, 6),
	BPF_ALU64_IMM(BPF_AND, FIRST, FIRST_IS_LOW ? 0xff1f : 0x1fff),
	BPF_ALU64_REG(BPF_MUL, FIRST, FOUR),
	IS_ZERO(FIRST),
};

/* P, but none in IPv6 (where it may be missing, and nobody asks), or a later fragment. */
static const struct bpf_insn transport[] = {
	BPF_MOV64_REG(BPF_REG_0, FOUR),
	BPF_ALU64_REG(BPF_AND, BPF_REG_0, FIRST),
	IS_NOT(BPF_REG_0),
	IS_NOTHING(BPF_REG_0),
	BPF_MOV64_REG(BPF_REG_1, SIX),
	IS_NOT(BPF_REG_1),
	BPF_ALU64_REG(BPF_MUL, BPF_REG_1, P),
	BPF_ALU64_REG(BPF_OR, BPF_REG_0, BPF_REG_1),
	PUT(F_TRANSPORT, BPF_REG_0),
};

#define PORT(field, at) \
	BPF_LDX_MEM(BPF_H, BPF_REG_1, FIRST, at), \
	BPF_ENDIAN(BPF_TO_BE, BPF_REG_1, 16), \
	BPF_ALU64_IMM(BPF_LSH, BPF_REG_1, VALUE), \
	BPF_MOV64_REG(BPF_REG_4, SIX), \
	BPF_ALU64_IMM(BPF_SUB, BPF_REG_4, (at) + 2), \
	IS_MISSING(BPF_REG_4), \
	BPF_ALU64_REG(BPF_OR, BPF_REG_1, BPF_REG_4), \
	BPF_ALU64_REG(BPF_MUL, BPF_REG_1, BPF_REG_0), \
	BPF_ALU64_REG(BPF_OR, BPF_REG_1, P), \
	PUT(field, BPF_REG_1)

static const struct bpf_insn ports[] = {
	/* r0 = 1 if there are such, else 0; P = what stands for them if not. */
	BPF_MOV64_REG(BPF_REG_0, P),
	BPF_ALU64_IMM(BPF_XOR, BPF_REG_0, IP_TCP << VALUE),
	BPF_MOV64_REG(BPF_REG_1, P),
	BPF_ALU64_IMM(BPF_XOR, BPF_REG_1, IP_UDP << VALUE),
	BPF_ALU64_REG(BPF_MUL, BPF_REG_0, BPF_REG_1),
	BPF_MOV64_REG(BPF_REG_1, P),
	BPF_ALU64_IMM(BPF_XOR, BPF_REG_1, IP_SCTP << VALUE),
	BPF_ALU64_REG(BPF_MUL, BPF_REG_0, BPF_REG_1),
	IS_ZERO(BPF_REG_0),
	BPF_ALU64_REG(BPF_AND, BPF_REG_0, FIRST),
	BPF_MOV64_REG(BPF_REG_1, BPF_REG_0),
	IS_NOT(BPF_REG_1),
	IS_NOTHING(BPF_REG_1),
	BPF_ALU64_IMM(BPF_AND, P, MISSING),
	BPF_ALU64_REG(BPF_OR, P, BPF_REG_1),
	/* FIRST = where IP's header ends, in scratch memory, SIX = how many bytes are behind it. */
	BPF_LDX_MEM(BPF_B, FIRST, DATA, 0),
	BPF_ALU64_IMM(BPF_AND, FIRST, 0xf),
	BPF_ALU64_IMM(BPF_LSH, FIRST, 2),
	BPF_ALU64_REG(BPF_MUL, FIRST, FOUR),
	BPF_ALU64_IMM(BPF_MUL, SIX, IP6_HEADER),
	BPF_ALU64_REG(BPF_ADD, FIRST, SIX),
	BPF_MOV64_REG(SIX, LENGTH),
	BPF_ALU64_REG(BPF_SUB, SIX, FIRST),
	BPF_ALU64_REG(BPF_ADD, FIRST, DATA),
	PORT(F_SOURCE_PORT, 0),
	PORT(F_DESTINATION_PORT, 2),
};

static void emit_all(struct code *code, const struct header *header, const struct bpf_insn *insns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct bpf_insn insn = insns[i];

		if (BPF_CLASS(insn.code) == BPF_LDX)
			insn.off += header->offset;
		if (insn.code == (BPF_ALU64 | BPF_SUB | BPF_K))
			insn.imm += header->offset;
		if (BPF_CLASS(insn.code) == BPF_STX) {
			if (!(header->fields >> insn.imm & 1))
				continue;
			insn.off = header->at[insn.imm] + UPPER_HALF;
			insn.imm = 0;
		}
		filter_append(code, insn);
	}
}
#define EMIT(insns) emit_all(code, header, insns, sizeof(insns) / sizeof(*(insns)))

/* FOUR, SIX = 1 if it is a header of that version, else 0, or (if the type may not be there, and all but F_TRANSPORT is
 * missing then, whatever they are) either; r1 = how many bytes are behind the protocol, or behind what says that there
 * is none. */
static void tell(struct code *code, const struct header *header)
{
	int labels = header->base & LABELS, is_typed = !labels && header->offset, is_ppp = header->base & PPP;
	const struct bpf_insn type[] = {
		BPF_ALU64_IMM(BPF_XOR, FOUR, htons(is_ppp ? PPP_IP : ETH_IP)),
		BPF_ALU64_IMM(BPF_XOR, SIX, htons(is_ppp ? PPP_IP6 : ETH_IP6)),
	};
	const struct bpf_insn is[] = {
		IS_ZERO(FOUR),
		IS_ZERO(SIX),
		BPF_MOV64_REG(BPF_REG_1, LENGTH),
		BPF_ALU64_IMM(BPF_SUB, BPF_REG_1, labels ? -1 : !is_typed),
	};
	const struct bpf_insn more[] = {
		BPF_MOV64_REG(BPF_REG_0, FOUR),
		BPF_ALU64_IMM(BPF_MUL, BPF_REG_0, 9 + is_typed),
		BPF_ALU64_REG(BPF_SUB, BPF_REG_1, BPF_REG_0),
		BPF_MOV64_REG(BPF_REG_0, SIX),
		BPF_ALU64_IMM(BPF_MUL, BPF_REG_0, IP6_NEXT + is_typed),
		BPF_ALU64_REG(BPF_SUB, BPF_REG_1, BPF_REG_0),
	};

	if (is_typed) {
		EMIT(by_type);
		EMIT(type);
	} else {
		EMIT(by_itself);
	}
	EMIT(is);
	if (labels)
		EMIT(is_last);
	if (header->fields >> F_TRANSPORT & 1)
		EMIT(is_there);
	EMIT(more);
}

static void make_header(struct code *code, const struct header *header)
{
	tell(code, header);
	EMIT(protocol);
	if (header->fields >> F_NUMBER & 1)
		EMIT(number);
	if (header->fields & (PORTS | 1u << F_TRANSPORT))
		EMIT(first);
	if (header->fields >> F_TRANSPORT & 1)
		EMIT(transport);
	if (header->fields & PORTS)
		EMIT(ports);
}

/* By its offset: each shift leads further behind. */
static struct header *find(struct code *code, const struct test *test)
{
	struct header *header = code->headers;

	while (header < code->headers + code->nheaders && header->offset != test->offset)
		header++;
	return header;
}

static void want(struct code *code, const struct test *test)
{
	struct header *header = find(code, test);

	if (header == code->headers + PORTS_MAX)
		filter_too_long(code->c);
	if (header == code->headers + code->nheaders) {
		code->nheaders++;
		*header = (struct header){ .offset = test->offset, .base = test->base };
	}
	if (header->fields >> test->size & 1)
		return;
	header->fields |= 1u << test->size;
	header->at[test->size] = code->headers_end;
	code->headers_end += 8;
	if (code->headers_end > SCRATCH_SIZE)
		filter_too_long(code->c);
}

void filter_make_headers(struct code *code)
{
	code->nheaders = 0;
	code->headers_end = SCRATCH_COPY;
	for (int i = 0; i < code->nleaves; i++) {
		const struct test *test = &code->c->tests[code->leaves[i]];

		if (test->kind == V_FIELD && !filter_is_address(test->size))
			want(code, test);
	}
	if (!code->nheaders)
		return;
	/* Have the verifier remember, whatever it has come by so far: see filter_steer.c. */
	for (int i = 0; i < 8; i++)
		filter_append(code, BPF_MOV64_IMM(BPF_REG_0, 0));
	for (int i = 0; i < 2; i++)
		filter_append(code, BPF_JMP_IMM(BPF_JNE, BPF_REG_0, 0, 0));
	filter_append(code, BPF_LDX_MEM(BPF_DW, DATA, BPF_REG_6, offsetof(struct packet, data)));
	filter_append(code, BPF_LDX_MEM(BPF_W, LENGTH, BPF_REG_6, offsetof(struct packet, length)));
	for (int i = 0; i < code->nheaders; i++)
		make_header(code, &code->headers[i]);
}

void filter_load_field(struct code *code, const struct test *test, int reg, int size)
{
	int at = size == 4 ? UPPER_HALF : 0;

	if (!code->c->all_headers || filter_is_address(test->size)) {
		filter_emit(code, filter_load(size, reg, BPF_REG_10, code->field[test->size] + at));
		return;
	}
	filter_renew_data(code);
	filter_emit(code, filter_load(size, reg, BPF_REG_2, find(code, test)->at[test->size] + at));
}
