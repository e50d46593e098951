// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fields: what a long filter asks about again and again. At its beginning they are put into scratch, with
 * a mask beside each: which of its bytes the frame has. A test then is one comparison of plain numbers,
 * where else an IPv6 address takes four loads of the frame, each with a check of its length. The verifier
 * keeps account of what is known about a frame's length on every way through the filter, and would go
 * through hundreds of addresses several times over.
 *
 *	addresses (F_ADDRESS)        two words as in the frame     two words of mask
 *	an address (F_ADDRESS6)      16 bytes as in the frame      16 bytes of mask
 *	ports (F_PORT, F_PORT6)      two words, host byte order    two words of mask
 *
 * Of a field that the frame ends before or within, the mask leaves what is not there out of the
 * comparison; but libpcap would fail the whole filter then, so V_VALID does, behind a test that holds.
 * Words of an address are there as a whole or not at all, since libpcap loads them so. In a later
 * fragment NO_PORT stands in the ports' place. Fields are of the header that an Ethernet type leads to,
 * and nothing where the type is another: their tests come behind one of the type.
 *
 * The verifier must not know what is stored, or it would go on once for each value: so constants are
 * mixed with a zero that it takes for any number, and all words are written as a whole at the end.
 */
#include <stddef.h>
#include <string.h>
#include <arpa/inet.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

#define NO_PORT 0x10000

/* Words of scratch: where each kind of field stands. */
enum { SOURCE, DESTINATION, PORTS, PORTS6, ADDRESSES };
static const __u8 places[] = { 16, 20, 24, 26, 28 };
#define WORD(number) ((__u32)offsetof(struct packet, scratch) + 8 * (number))

static int slot_of(const struct test *test)
{
	switch (test->size) {
	case F_ADDRESS:
		return ADDRESSES;
	case F_ADDRESS6:
		return test->offset == 8 ? SOURCE : DESTINATION;
	default:
		return test->size == F_PORT ? PORTS : PORTS6;
	}
}

/* Where a test's value stands, and the mask of its last bytes. */
static __u32 value_of(const struct test *test)
{
	__u32 place = WORD(places[slot_of(test)]);

	switch (test->size) {
	case F_ADDRESS:
		return place + test->offset - 12;
	case F_ADDRESS6:
		return place;
	default:
		return place + test->offset * 2;
	}
}

static __u32 mask_of(const struct test *test)
{
	return value_of(test) + (test->size == F_ADDRESS6 ? 16 : 8);
}

static void load(struct code *code, int size, int reg, __u32 at)
{
	filter_emit(code, BPF_LDX_MEM(size, reg, BPF_REG_1, at));
}

static void store(struct code *code, int size, int reg, __u32 at)
{
	filter_emit(code, BPF_STX_MEM(size, BPF_REG_1, reg, at));
}

/* r0 = size bytes at offset, counted from r4, which are known to be there. */
static void fetch(struct code *code, __u32 offset, int size)
{
	if (code->pieces) {
		filter_ask(code, BPF_REG_4, offset, size);
		filter_take(code, BPF_REG_0, 0, size);
	} else {
		filter_emit(code, filter_load(size, BPF_REG_0, BPF_REG_4, offset));
	}
}

/* A part of a field is there. */
static void store_part(struct code *code, __u32 value, __u32 mask)
{
	store(code, BPF_W, BPF_REG_0, value);
	load(code, BPF_W, BPF_REG_0, FILTER_ONES);
	store(code, BPF_W, BPF_REG_0, mask);
}

/* size bytes of addresses: both of IPv4's, or one of IPv6's. */
static void make_address(struct code *code, __u32 offset, __u32 size, __u32 to)
{
	struct jumps is_short = { .n = 0 }, end = { .n = 0 }, done = { .n = 0 };

	if (!code->pieces) {
		filter_unless(code, offset + size, &is_short);
		for (__u32 at = 0; at < size; at += 8) {
			filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_4, offset + at));
			store(code, BPF_DW, BPF_REG_0, to + at);
		}
		load(code, BPF_DW, BPF_REG_0, FILTER_ONES);
		for (__u32 at = 0; at < size; at += 8)
			store(code, BPF_DW, BPF_REG_0, to + size + at);
		filter_jump_ahead(code, &done, BPF_JMP_A(0));
	}
	filter_land(code, &is_short);
	for (__u32 at = 0; at < size; at += 4) {
		filter_unless(code, offset + at + 4, &end);
		fetch(code, offset + at, 4);
		store_part(code, to + at, to + size + at);
	}
	filter_land(code, &end);
	filter_rewrite(code, to, size / 4);
	filter_land(code, &done);
}

/* r4 goes on to where ports stand behind IPv4's header, or out where they do not. */
static void pass_header(struct code *code, __u32 base, struct jumps *none)
{
	filter_unless(code, base + 8, none);
	fetch(code, base + 6, 2);
	filter_jump_ahead(code, none, BPF_JMP32_IMM(BPF_JSET, BPF_REG_0, htons(0x1fff), 0));
	fetch(code, base, 1);
	filter_emit(code, BPF_ALU32_IMM(BPF_AND, BPF_REG_0, 0xf));
	filter_emit(code, BPF_ALU32_IMM(BPF_LSH, BPF_REG_0, 2));
	filter_emit(code, BPF_ALU64_REG(BPF_ADD, BPF_REG_4, BPF_REG_0));
}

static void make_ports(struct code *code, __u32 base, int six, __u32 to)
{
	const struct bpf_insn none[] = { BPF_LD_IMM64(BPF_REG_5, NO_PORT * 0x100000001ull) };
	__u32 offset = base + (six ? 40 : 0);
	struct jumps done = { .n = 0 };

	load(code, BPF_DW, BPF_REG_0, FILTER_ONES);
	store(code, BPF_DW, BPF_REG_0, to + 8);
	filter_emit(code, BPF_ALU64_IMM(BPF_XOR, BPF_REG_0, -1));
	filter_emit(code, none[0]);
	filter_emit(code, none[1]);
	filter_emit(code, BPF_ALU64_REG(BPF_XOR, BPF_REG_0, BPF_REG_5));
	store(code, BPF_DW, BPF_REG_0, to);
	if (!six)
		pass_header(code, base, &done);
	load(code, BPF_DW, BPF_REG_0, FILTER_ONES);
	filter_emit(code, BPF_ALU64_IMM(BPF_XOR, BPF_REG_0, -1));
	store(code, BPF_DW, BPF_REG_0, to + 8);
	for (int i = 0; i < 2; i++) {
		filter_unless(code, offset + 2 * i + 2, &done);
		fetch(code, offset + 2 * i, 2);
		filter_emit(code, BPF_ENDIAN(BPF_TO_BE, BPF_REG_0, 16));
		store_part(code, to + 4 * i, to + 8 + 4 * i);
	}
	filter_land(code, &done);
	filter_rewrite(code, to, 2);
}

/* IPv4's fields, then IPv6's, each with its ports last: r4 does not come back from there. */
static void make(struct code *code, unsigned int slots, int six)
{
	__u32 base = code->c->first_header;

	if (!six && slots >> ADDRESSES & 1)
		make_address(code, base + 12, 8, WORD(places[ADDRESSES]));
	if (six && slots >> SOURCE & 1)
		make_address(code, base + 8, 16, WORD(places[SOURCE]));
	if (six && slots >> DESTINATION & 1)
		make_address(code, base + 24, 16, WORD(places[DESTINATION]));
	if (slots >> (six ? PORTS6 : PORTS) & 1)
		make_ports(code, base, six, WORD(places[six ? PORTS6 : PORTS]));
}

/* Behind Ethernet: what the type says. */
static void make_by_type(struct code *code, unsigned int slots)
{
	const struct compiler *c = code->c;
	struct jumps done = { .n = 0 }, six = { .n = 0 };

	filter_unless(code, c->first_header, &done);
	fetch(code, c->first_header - 2, 2);
	filter_jump_ahead(code, &six, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, htons(0x86dd), 0));
	filter_jump_ahead(code, &done, BPF_JMP32_IMM(BPF_JNE, BPF_REG_0, htons(0x800), 0));
	make(code, slots, 0);
	filter_jump_ahead(code, &done, BPF_JMP_A(0));
	filter_land(code, &six);
	make(code, slots, 1);
	filter_land(code, &done);
}

void filter_make_fields(struct code *code)
{
	static const __u8 words[] = { 4, 4, 2, 2, 2 };
	unsigned int slots = 0;

	for (int i = 0; i < code->norder; i++)
		if (code->c->tests[code->order[i]].kind == V_FIELD)
			slots |= 1u << slot_of(&code->c->tests[code->order[i]]);
	if (!slots)
		return;
	filter_begin(code);
	for (int slot = 0; slot < 5; slot++)
		for (int i = 0; slots >> slot & 1 && i < words[slot]; i++)
			store(code, BPF_DW, BPF_REG_0, WORD(places[slot]) + 8 * i);
	if (code->c->first_header) { /* Ethernet */
		make_by_type(code, slots);
	} else {
		make(code, slots, 1);
		filter_begin(code);
		make(code, slots, 0);
	}
}

/* r0 = the port's distance from the least one that is wanted. */
static void match_port(struct code *code, const struct test *test)
{
	load(code, BPF_W, BPF_REG_0, value_of(test));
	filter_emit(code, BPF_ALU32_IMM(BPF_SUB, BPF_REG_0, test->k));
	load(code, BPF_W, BPF_REG_4, mask_of(test));
	filter_emit(code, BPF_ALU32_REG(BPF_AND, BPF_REG_0, BPF_REG_4));
}

static void match_address(struct code *code, const struct test *test)
{
	load(code, BPF_W, BPF_REG_0, value_of(test));
	filter_emit(code, BPF_ALU32_IMM(BPF_XOR, BPF_REG_0, htonl(test->k & test->mask)));
	if (test->mask != 0xffffffff)
		filter_emit(code, BPF_ALU32_IMM(BPF_AND, BPF_REG_0, htonl(test->mask)));
	load(code, BPF_W, BPF_REG_4, mask_of(test));
	filter_emit(code, BPF_ALU32_REG(BPF_AND, BPF_REG_0, BPF_REG_4));
}

static void operate(struct code *code, int op, int reg, __u64 value)
{
	const struct bpf_insn load[] = { BPF_LD_IMM64(BPF_REG_4, value) };

	filter_emit(code, load[0]);
	filter_emit(code, load[1]);
	filter_emit(code, BPF_ALU64_REG(op, reg, BPF_REG_4));
}

/* reg = the bits in which half of an address differs; bits: how many count. Returns how many registers
 * that took. */
static int differ(struct code *code, const struct test *test, int half, int reg)
{
	const struct address *address = &code->c->addresses[test->k];
	__u8 mask[8] = { 0 }, bytes[8];
	__u64 value, ones;
	int bits = (int)address->prefix - 64 * half;

	if (bits <= 0)
		return 0;
	for (int i = 0; i < 64 && i < bits; i++)
		mask[i / 8] |= 0x80 >> i % 8;
	for (int i = 0; i < 8; i++)
		bytes[i] = address->bytes[8 * half + i] & mask[i];
	memcpy(&value, bytes, sizeof(value));
	memcpy(&ones, mask, sizeof(ones));
	load(code, BPF_DW, reg, value_of(test) + 8 * half);
	operate(code, BPF_XOR, reg, value);
	load(code, BPF_DW, BPF_REG_4, value_of(test) + 16 + 8 * half);
	filter_emit(code, BPF_ALU64_REG(BPF_AND, reg, BPF_REG_4));
	if (bits < 64)
		operate(code, BPF_AND, reg, ones);
	return 1;
}

void filter_match_field(struct code *code, const struct test *test)
{
	if (test->size == F_ADDRESS) {
		match_address(code, test);
		return;
	}
	if (test->size != F_ADDRESS6) {
		match_port(code, test);
		return;
	}
	if (!differ(code, test, 0, BPF_REG_0))
		filter_emit(code, BPF_MOV64_IMM(BPF_REG_0, 0));
	if (differ(code, test, 1, BPF_REG_5))
		filter_emit(code, BPF_ALU64_REG(BPF_OR, BPF_REG_0, BPF_REG_5));
}

void filter_field_valid(struct code *code, const struct test *test)
{
	load(code, BPF_W, BPF_REG_0, mask_of(test) + (test->size == F_ADDRESS6 ? 12 : 0));
}
