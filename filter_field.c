// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fields: what a long filter asks about again and again. At its beginning they are put on the stack. A test then
 * is one comparison of plain numbers, where else an IPv6 address takes four loads of the frame, each with a
 * check of its length, behind a test of the Ethernet type. The verifier keeps account of what is known about a
 * frame's length on every way through the filter, and would go through hundreds of addresses several times
 * over.
 *
 *	an IPv6 address         16 bytes as in the frame, and 16 bytes of mask; if many begin with the same 8 bytes,
 *	                        the bits in which the frame's differ from those
 *	an IPv4 address         a word: 32 bits as in the frame
 *	a port, a protocol      the upper half of a word, host byte order, shifted by two bits
 *
 * They are those of one header, since "vlan", "mpls" and "pppoes" shift what stands behind them; but ports and
 * protocols may be those of all: filter_header.c makes them.
 *
 * Where there is no such field (an IPv4 address in IPv6, a port in a later fragment) its word is NOTHING, and
 * where the frame ends before or within it MISSING: libpcap would fail the whole filter then when it loads it,
 * so V_VALID does, behind the first test on a way, which does not hold. IPv6 addresses have no room for either.
 * Their tests come behind one of the type; and their words are there as a whole or not at all, since libpcap loads
 * them one by one as long as they are right: the mask leaves what is not there out of the comparison, and V_VALID
 * comes behind a test that holds.
 *
 * The verifier must not know what is stored, or it would go on once for each value: so constants are
 * mixed with a zero that it takes for any number. Nor must it learn that what a test compared is what is stored:
 * so there is arithmetic in between. Words are stored half by half, of which it remembers nothing, and which is no
 * news to it (filter_steer.c).
 */
#include <stddef.h>
#include <string.h>
#include <arpa/inet.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

#define MANY 16 /* addresses */
#define ADDRESSES (1u << F_SOURCE | 1u << F_DESTINATION | 1u << F_SOURCE6 | 1u << F_DESTINATION6)

enum { ETH_IP = 0x800, ETH_ARP = 0x806, ETH_RARP = 0x8035, ETH_IP6 = 0x86dd };

static void load(struct code *code, int size, int reg, int at)
{
	filter_emit(code, BPF_LDX_MEM(size, reg, BPF_REG_10, at));
}

static void store(struct code *code, int size, int reg, int at)
{
	filter_emit(code, BPF_STX_MEM(size, BPF_REG_10, reg, at));
}

static __u64 upper_half(const struct address *address)
{
	__u64 value;

	memcpy(&value, address->bytes, sizeof(value));
	return value;
}

/* What most IPv6 addresses begin with becomes a field of its own, if they are many and there is room. */
void filter_reserve_upper(struct code *code)
{
	const struct address *addresses = code->c->addresses;
	int n = code->c->naddresses, most = MANY - 1;

	code->upper_differs[0] = code->upper_differs[1] = 0;
	for (int i = 0; i < n; i++) {
		int same = 0;

		for (int j = i; j < n; j++)
			same += addresses[j].prefix >= 64 && upper_half(&addresses[j]) == upper_half(&addresses[i]);
		if (same > most) {
			most = same;
			code->upper = upper_half(&addresses[i]);
		}
	}
	for (int i = 0; i < 2 && most >= MANY; i++)
		if (code->field[F_SOURCE6 + i] && code->words < FILTER_WORDS)
			code->upper_differs[i] = filter_words(code, 1);
}

void filter_reserve_fields(struct code *code, int of_words)
{
	unsigned int wanted = 0;

	for (int i = 0; i < code->nleaves; i++) {
		const struct test *test = &code->c->tests[code->leaves[i]];

		if (test->kind == V_FIELD && (filter_is_address(test->size) || !code->c->all_headers))
			wanted |= 1u << test->size;
	}
	if (wanted & PORTS)
		wanted |= 1u << F_PROTOCOL;
	for (int field = 0; field < FIELDS; field++) {
		int words = filter_is_address6(field) ? 4 : 1;

		if (words == of_words)
			code->field[field] = wanted >> field & 1 ? filter_words(code, words) : 0;
	}
}

void filter_fetch(struct code *code, __u32 offset, int size)
{
	if (filter_in_scratch(code, offset + size)) {
		filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_2, BPF_REG_1, offsetof(struct packet, data)));
		filter_emit(code, BPF_ALU64_REG(BPF_ADD, BPF_REG_2, BPF_REG_4));
		filter_emit(code, filter_load(size, BPF_REG_0, BPF_REG_2, offset));
	} else if (code->pieces) {
		filter_ask(code, BPF_REG_4, offset, size);
		filter_take(code, BPF_REG_0, 0, size);
	} else {
		filter_emit(code, filter_load(size, BPF_REG_0, BPF_REG_4, offset));
	}
}

/* Which of them have words. */
unsigned int filter_fields_of(const struct code *code)
{
	unsigned int fields = 0;

	for (int field = 0; field < FIELDS; field++)
		if (code->field[field])
			fields |= 1u << field;
	return fields;
}

void filter_mark(struct code *code, unsigned int fields, __u32 what)
{
	if (!fields)
		return;
	load(code, BPF_W, BPF_REG_0, code->zero);
	if (what)
		filter_emit(code, BPF_ALU64_IMM(BPF_XOR, BPF_REG_0, what));
	for (int field = 0; field < FIELDS; field++)
		if (fields >> field & 1)
			store(code, BPF_W, BPF_REG_0, code->field[field] + UPPER_HALF);
}

/* 16 bytes at offset. */
static void make_address6(struct code *code, int field, __u32 offset)
{
	struct jumps is_short = { .n = 0 }, end = { .n = 0 }, done = { .n = 0 };
	int to = code->field[field];

	if (!to)
		return;
	if (!code->pieces || code->scratch) {
		filter_unless(code, offset + 16, &is_short);
		for (__u32 at = 0; at < 16; at += 8) {
			filter_fetch(code, offset + at, 8);
			filter_store(code, BPF_REG_0, to + at);
		}
		load(code, BPF_DW, BPF_REG_0, code->ones);
		for (__u32 at = 0; at < 16; at += 8)
			filter_store(code, BPF_REG_0, to + 16 + at);
		filter_jump_ahead(code, &done, BPF_JMP_A(0));
	}
	filter_land(code, &is_short);
	for (__u32 at = 0; at < 16; at += 4) {
		filter_unless(code, offset + at + 4, &end);
		filter_fetch(code, offset + at, 4);
		store(code, BPF_W, BPF_REG_0, to + at);
		load(code, BPF_W, BPF_REG_0, code->ones);
		store(code, BPF_W, BPF_REG_0, to + 16 + at);
	}
	filter_land(code, &end);
	filter_rewrite(code, to, 4);
	filter_land(code, &done);
	filter_renew(code);
}

/* 32 bits at offset. */
static void make_address(struct code *code, int field, __u32 offset)
{
	struct jumps is_short = { .n = 0 };

	if (!code->field[field])
		return;
	filter_mark(code, 1u << field, MISSING);
	filter_unless(code, offset + 4, &is_short);
	filter_fetch(code, offset, 4);
	store(code, BPF_W, BPF_REG_0, code->field[field] + LOWER_HALF);
	filter_mark(code, 1u << field, 0);
	filter_land(code, &is_short);
	filter_renew(code);
}

void filter_reach_type(struct code *code, struct jumps *done)
{
	filter_unless(code, filter_is_ethernet(code) ? code->c->field_header : 1, done);
}

void filter_tell_version(struct code *code, __u32 base, struct jumps *six, struct jumps *done)
{
	filter_fetch(code, base, 1);
	filter_emit(code, BPF_ALU32_IMM(BPF_AND, BPF_REG_0, 0xf0));
	filter_jump_ahead(code, six, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, 0x60, 0));
	filter_jump_ahead(code, done, BPF_JMP32_IMM(BPF_JNE, BPF_REG_0, 0x40, 0));
}

void filter_field_type(struct code *code, struct jumps *arp, struct jumps *six, struct jumps *done)
{
	__u32 base = code->c->field_header;

	if (!filter_is_ethernet(code)) {
		filter_tell_version(code, 0, six, done);
		return;
	}
	filter_fetch(code, base - 2, 2);
	filter_jump_ahead(code, six, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, htons(ETH_IP6), 0));
	if (arp) {
		filter_jump_ahead(code, arp, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, htons(ETH_ARP), 0));
		filter_jump_ahead(code, arp, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, htons(ETH_RARP), 0));
	}
	filter_jump_ahead(code, done, BPF_JMP32_IMM(BPF_JNE, BPF_REG_0, htons(ETH_IP), 0));
}

/* r0 and r5 are lost. */
static void make_upper(struct code *code, int field)
{
	int to = code->upper_differs[field - F_SOURCE6];

	if (!to)
		return;
	load(code, BPF_DW, BPF_REG_0, code->field[field]);
	filter_constant64(code, BPF_REG_5, code->upper);
	filter_emit(code, BPF_ALU64_REG(BPF_XOR, BPF_REG_0, BPF_REG_5));
	load(code, BPF_DW, BPF_REG_5, code->field[field] + 16);
	filter_emit(code, BPF_ALU64_REG(BPF_AND, BPF_REG_0, BPF_REG_5));
	filter_store(code, BPF_REG_0, to);
}

void filter_make_addresses(struct code *code)
{
	struct jumps arp = { .n = 0 }, six = { .n = 0 }, done = { .n = 0 };
	const unsigned int fields = filter_fields_of(code), four = fields & (1u << F_SOURCE | 1u << F_DESTINATION);
	__u32 base = code->c->field_header;
	int has_arp = filter_is_ethernet(code) && four;

	if (!(fields & ADDRESSES))
		return;
	filter_begin(code);
	for (int field = F_SOURCE6; field <= F_DESTINATION6; field++)
		for (int i = 0; code->field[field] && i < 4; i++)
			filter_store(code, BPF_REG_0, code->field[field] + 8 * i);
	filter_mark(code, four, MISSING);
	filter_reach_type(code, &done);
	filter_mark(code, four, NOTHING);
	filter_field_type(code, has_arp ? &arp : NULL, &six, &done);
	make_address(code, F_SOURCE, base + 12);
	make_address(code, F_DESTINATION, base + 16);
	filter_jump_ahead(code, &done, BPF_JMP_A(0));
	if (has_arp) {
		filter_land(code, &arp);
		make_address(code, F_SOURCE, base + 14);
		make_address(code, F_DESTINATION, base + 24);
		filter_jump_ahead(code, &done, BPF_JMP_A(0));
	}
	filter_land(code, &six);
	make_address6(code, F_SOURCE6, base + 8);
	make_address6(code, F_DESTINATION6, base + 24);
	filter_land(code, &done);
	filter_meet(code);
	make_upper(code, F_SOURCE6);
	make_upper(code, F_DESTINATION6);
}

/* reg = the bits in which half of an address differs; spare is lost. Returns 0 where none counts. */
static int differ(struct code *code, const struct test *test, int half, int reg, int spare)
{
	const struct address *address = &code->c->addresses[test->k];
	__u8 mask[8] = { 0 }, bytes[8];
	__u64 value, ones;
	int bits = (int)address->prefix - 64 * half, differs = code->upper_differs[test->size - F_SOURCE6];

	if (bits <= 0)
		return 0;
	if (!half && bits >= 64 && differs && upper_half(address) == code->upper) {
		load(code, BPF_DW, reg, differs);
		return 1;
	}
	for (int i = 0; i < 64 && i < bits; i++)
		mask[i / 8] |= 0x80 >> i % 8;
	for (int i = 0; i < 8; i++)
		bytes[i] = address->bytes[8 * half + i] & mask[i];
	memcpy(&value, bytes, sizeof(value));
	memcpy(&ones, mask, sizeof(ones));
	load(code, BPF_DW, reg, code->field[test->size] + 8 * half);
	filter_constant64(code, spare, value);
	filter_emit(code, BPF_ALU64_REG(BPF_XOR, reg, spare));
	load(code, BPF_DW, spare, code->field[test->size] + 16 + 8 * half);
	filter_emit(code, BPF_ALU64_REG(BPF_AND, reg, spare));
	if (bits < 64) {
		filter_constant64(code, spare, ones);
		filter_emit(code, BPF_ALU64_REG(BPF_AND, reg, spare));
	}
	return 1;
}

static void address6_differs(struct code *code, const struct test *test, const __u8 *regs)
{
	if (!differ(code, test, 0, regs[0], regs[1]))
		filter_emit(code, BPF_MOV64_IMM(regs[0], 0));
	if (differ(code, test, 1, regs[2], regs[1]))
		filter_emit(code, BPF_ALU64_REG(BPF_OR, regs[0], regs[2]));
}

/* A field of one word; of what is no address, its upper half. */
static void load_field(struct code *code, const struct test *test, int reg)
{
	int is_address = test->size <= F_DESTINATION;

	if (!is_address && !code->asks) {
		filter_load_field(code, test, reg, 4);
		return;
	}
	filter_load_field(code, test, reg, 8);
	if (code->asks)
		filter_doom(code, reg, 0);
	if (!is_address)
		filter_emit(code, BPF_ALU64_IMM(BPF_RSH, reg, 32));
}

static void address_differs(struct code *code, const struct test *test, const __u8 *regs)
{
	__u32 k = htonl(test->k & test->mask);

	load_field(code, test, regs[0]);
	if (test->mask != 0xffffffff) {
		filter_constant64(code, regs[1], htonl(test->mask) | (__u64)(NOTHING | MISSING) << 32);
		filter_emit(code, BPF_ALU64_REG(BPF_AND, regs[0], regs[1]));
	}
	if (k > 0x7fffffff) { /* whose sign would be extended */
		filter_emit(code, BPF_MOV32_IMM(regs[1], k));
		filter_emit(code, BPF_ALU64_REG(BPF_XOR, regs[0], regs[1]));
	} else {
		filter_emit(code, BPF_ALU64_IMM(BPF_XOR, regs[0], k));
	}
}

/* One bit if a port is outside: to 32 bits what is below is far above. */
static void leaves_range(struct code *code, const struct test *test, int reg)
{
	load_field(code, test, reg);
	filter_emit(code, BPF_ALU32_IMM(BPF_SUB, reg, test->k << VALUE));
	filter_emit(code, BPF_ALU64_IMM(BPF_NEG, reg, 0));
	filter_emit(code, BPF_ALU64_IMM(BPF_ADD, reg, test->span << VALUE));
	filter_emit(code, BPF_ALU64_IMM(BPF_RSH, reg, 63));
}

int filter_field_differs(struct code *code, const struct test *test, const __u8 *regs)
{
	if (filter_is_address6(test->size)) {
		address6_differs(code, test, regs);
		return 64;
	}
	if (test->span) {
		leaves_range(code, test, regs[0]);
		return 1;
	}
	if (test->size <= F_DESTINATION) {
		address_differs(code, test, regs);
		return 34; /* MISSING is the last bit */
	}
	load_field(code, test, regs[0]);
	filter_emit(code, BPF_ALU64_IMM(BPF_XOR, regs[0], test->k << VALUE));
	return 21; /* NONE is */
}

/* Both load half a word, of which the verifier does not know that it is the same as the word's. What of an address
 * is not there has no mask. */
void filter_field_mask(struct code *code, int field, int reg)
{
	load(code, BPF_W, reg, code->field[field] + 28);
}

void filter_field_missing(struct code *code, const struct test *test, int reg)
{
	if (filter_is_address6(test->size)) {
		filter_field_mask(code, test->size, reg);
		filter_emit(code, BPF_ALU32_IMM(BPF_XOR, reg, -1));
	} else {
		filter_load_field(code, test, reg, 4);
	}
}
