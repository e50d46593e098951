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
 *	a port, a protocol      a word, host byte order
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
 * so there is arithmetic in between.
 */
#include <stddef.h>
#include <string.h>
#include <arpa/inet.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

#define MANY 16 /* addresses */

#define NOTHING (1ull << 32)
#define MISSING (1ull << 33)

enum { ETH_IP = 0x800, ETH_ARP = 0x806, ETH_RARP = 0x8035, ETH_IP6 = 0x86dd };
enum { IP_TCP = 6, IP_UDP = 17, IP_FRAGMENT = 44, IP_SCTP = 132 };

static void load(struct code *code, int size, int reg, int at)
{
	filter_emit(code, BPF_LDX_MEM(size, reg, BPF_REG_10, at));
}

static void store(struct code *code, int size, int reg, int at)
{
	filter_emit(code, BPF_STX_MEM(size, BPF_REG_10, reg, at));
}

static int any(const struct code *code, int first, int last)
{
	for (int field = first; field <= last; field++)
		if (code->field[field])
			return 1;
	return 0;
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

void filter_reserve_fields(struct code *code)
{
	unsigned int wanted = 0;

	memset(code->field, 0, sizeof(code->field));
	for (int i = 0; i < code->nleaves; i++)
		if (code->c->tests[code->leaves[i]].kind == V_FIELD)
			wanted |= 1u << code->c->tests[code->leaves[i]].size;
	for (int field = 0; field < FIELDS; field++)
		if (wanted >> field & 1)
			code->field[field] = filter_words(code, filter_is_address6(field) ? 4 : 1);
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

/* r0 is the field. */
static void set(struct code *code, int field)
{
	if (code->field[field])
		filter_store(code, BPF_REG_0, code->field[field]);
}

/* Fields of one word become NOTHING or MISSING. r0 and r5 are lost. */
static void mark(struct code *code, int first, int last, __u64 what)
{
	if (!any(code, first, last))
		return;
	load(code, BPF_DW, BPF_REG_0, code->zero);
	filter_constant64(code, BPF_REG_5, what);
	filter_emit(code, BPF_ALU64_REG(BPF_XOR, BPF_REG_0, BPF_REG_5));
	for (int field = first; field <= last; field++)
		set(code, field);
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
	mark(code, field, field, MISSING);
	filter_unless(code, offset + 4, &is_short);
	filter_fetch(code, offset, 4);
	filter_forget(code, BPF_REG_0, BPF_REG_5);
	set(code, field);
	filter_land(code, &is_short);
	filter_renew(code);
}

/* Ports, at an offset from r4. */
static void make_ports(struct code *code, __u32 offset, struct jumps *done)
{
	for (int i = 0; i < 2; i++) {
		if (!code->field[F_SOURCE_PORT + i])
			continue;
		filter_unless(code, offset + 2 * i + 2, done);
		filter_fetch(code, offset + 2 * i, 2);
		filter_emit(code, BPF_ENDIAN(BPF_TO_BE, BPF_REG_0, 16));
		filter_forget(code, BPF_REG_0, BPF_REG_5);
		set(code, F_SOURCE_PORT + i);
	}
}

/* Behind the IPv6 header is that of a fragment, and behind it what proto asks for; no ports are looked for there. */
static void make_fragment(struct code *code, __u32 offset, struct jumps *done)
{
	struct jumps other = { .n = 0 };

	filter_jump_ahead(code, &other, BPF_JMP32_IMM(BPF_JNE, BPF_REG_0, IP_FRAGMENT, 0));
	mark(code, F_SOURCE_PORT, F_DESTINATION_PORT, NOTHING);
	mark(code, F_NUMBER, F_NUMBER, MISSING);
	filter_unless(code, offset + 1, done);
	filter_fetch(code, offset, 1);
	filter_forget(code, BPF_REG_0, BPF_REG_5);
	set(code, F_NUMBER);
	filter_jump_ahead(code, done, BPF_JMP_A(0));
	filter_land(code, &other);
}

/* The protocol, which stands at an offset, and stays in r0; fields from first on are missing without it. */
static void make_protocol(struct code *code, int first, __u32 offset, struct jumps *done)
{
	mark(code, first, F_NUMBER, MISSING);
	filter_unless(code, offset + 1, done);
	filter_fetch(code, offset, 1);
	filter_forget(code, BPF_REG_0, BPF_REG_5);
	set(code, F_PROTOCOL);
	set(code, F_NUMBER);
}

/* To done unless r0 is a protocol that has ports. */
static void need_ports(struct code *code, struct jumps *done)
{
	static const __u8 protocols[] = { IP_TCP, IP_UDP, IP_SCTP };
	struct jumps has_ports = { .n = 0 };

	for (int i = 0; i < 3; i++)
		filter_jump_ahead(code, &has_ports, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, protocols[i], 0));
	mark(code, F_SOURCE_PORT, F_DESTINATION_PORT, NOTHING);
	filter_jump_ahead(code, done, BPF_JMP_A(0));
	filter_land(code, &has_ports);
}

/* The fields of IPv4. r4 goes on to where ports stand. */
static void make4(struct code *code, struct jumps *done)
{
	__u32 base = code->c->field_header;
	struct jumps later = { .n = 0 };

	make_address(code, F_SOURCE, base + 12);
	make_address(code, F_DESTINATION, base + 16);
	if (!any(code, F_TRANSPORT, F_NUMBER))
		return;
	make_protocol(code, F_TRANSPORT, base + 9, done);
	set(code, F_TRANSPORT);
	filter_fetch(code, base + 6, 2);
	filter_jump_ahead(code, &later, BPF_JMP32_IMM(BPF_JSET, BPF_REG_0, htons(0x1fff), 0));
	filter_fetch(code, base + 9, 1);
	need_ports(code, done);
	filter_fetch(code, base, 1);
	filter_emit(code, BPF_ALU32_IMM(BPF_AND, BPF_REG_0, 0xf));
	filter_emit(code, BPF_ALU32_IMM(BPF_LSH, BPF_REG_0, 2));
	filter_emit(code, BPF_ALU64_REG(BPF_ADD, BPF_REG_4, BPF_REG_0));
	make_ports(code, base, done);
	filter_jump_ahead(code, done, BPF_JMP_A(0));
	filter_land(code, &later);
	mark(code, F_TRANSPORT, F_DESTINATION_PORT, NOTHING);
}

static void make6(struct code *code, struct jumps *done)
{
	__u32 base = code->c->field_header;

	make_address6(code, F_SOURCE6, base + 8);
	make_address6(code, F_DESTINATION6, base + 24);
	if (!any(code, F_SOURCE_PORT, F_NUMBER))
		return;
	make_protocol(code, F_SOURCE_PORT, base + 6, done);
	if (code->field[F_NUMBER])
		make_fragment(code, base + 40, done);
	need_ports(code, done);
	make_ports(code, base + 40, done);
}

void filter_reach_type(struct code *code, struct jumps *done)
{
	filter_unless(code, filter_is_ethernet(code) ? code->c->field_header : 1, done);
}

void filter_field_type(struct code *code, struct jumps *arp, struct jumps *six, struct jumps *done)
{
	__u32 base = code->c->field_header;

	if (!filter_is_ethernet(code)) { /* IP's version tells */
		filter_fetch(code, 0, 1);
		filter_emit(code, BPF_ALU32_IMM(BPF_AND, BPF_REG_0, 0xf0));
		filter_jump_ahead(code, six, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, 0x60, 0));
		filter_jump_ahead(code, done, BPF_JMP32_IMM(BPF_JNE, BPF_REG_0, 0x40, 0));
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

void filter_make_fields(struct code *code)
{
	struct jumps arp = { .n = 0 }, six = { .n = 0 }, done = { .n = 0 };
	__u32 base = code->c->field_header;
	int has_arp = filter_is_ethernet(code) && any(code, F_SOURCE, F_DESTINATION);

	if (!any(code, 0, FIELDS - 1))
		return;
	filter_begin(code);
	for (int field = F_SOURCE6; field <= F_DESTINATION6; field++)
		for (int i = 0; code->field[field] && i < 4; i++)
			filter_store(code, BPF_REG_0, code->field[field] + 8 * i);
	mark(code, F_SOURCE, F_DESTINATION, MISSING);
	mark(code, F_TRANSPORT, F_NUMBER, MISSING);
	filter_reach_type(code, &done);
	mark(code, F_SOURCE, F_DESTINATION, NOTHING);
	mark(code, F_TRANSPORT, F_NUMBER, NOTHING);
	filter_field_type(code, has_arp ? &arp : NULL, &six, &done);
	make4(code, &done);
	filter_jump_ahead(code, &done, BPF_JMP_A(0));
	if (has_arp) {
		filter_land(code, &arp);
		make_address(code, F_SOURCE, base + 14);
		make_address(code, F_DESTINATION, base + 24);
		filter_jump_ahead(code, &done, BPF_JMP_A(0));
	}
	filter_land(code, &six);
	make6(code, &done);
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

/* A field of one word. */
static void load_field(struct code *code, const struct test *test, int reg)
{
	load(code, BPF_DW, reg, code->field[test->size]);
	if (code->asks)
		filter_doom(code, reg, 0);
}

static void address_differs(struct code *code, const struct test *test, const __u8 *regs)
{
	__u32 k = htonl(test->k & test->mask);

	load_field(code, test, regs[0]);
	if (test->mask != 0xffffffff) {
		filter_constant64(code, regs[1], htonl(test->mask) | NOTHING | MISSING);
		filter_emit(code, BPF_ALU64_REG(BPF_AND, regs[0], regs[1]));
	}
	if (k > 0x7fffffff) { /* whose sign would be extended */
		filter_emit(code, BPF_MOV32_IMM(regs[1], k));
		filter_emit(code, BPF_ALU64_REG(BPF_XOR, regs[0], regs[1]));
	} else {
		filter_emit(code, BPF_ALU64_IMM(BPF_XOR, regs[0], k));
	}
}

/* One of two differences is negative where a port is outside. */
static void leaves_range(struct code *code, const struct test *test, const __u8 *regs)
{
	load_field(code, test, regs[0]);
	filter_emit(code, BPF_MOV64_REG(regs[1], regs[0]));
	filter_emit(code, BPF_ALU64_IMM(BPF_SUB, regs[0], test->k));
	filter_emit(code, BPF_ALU64_IMM(BPF_NEG, regs[1], 0));
	filter_emit(code, BPF_ALU64_IMM(BPF_ADD, regs[1], test->k + test->span));
	filter_emit(code, BPF_ALU64_REG(BPF_OR, regs[0], regs[1]));
	filter_emit(code, BPF_ALU64_IMM(BPF_RSH, regs[0], 63));
}

int filter_field_differs(struct code *code, const struct test *test, const __u8 *regs)
{
	if (filter_is_address6(test->size)) {
		address6_differs(code, test, regs);
		return 64;
	}
	if (test->span) {
		leaves_range(code, test, regs);
		return 1;
	}
	if (test->size <= F_DESTINATION) {
		address_differs(code, test, regs);
	} else {
		load_field(code, test, regs[0]);
		filter_emit(code, BPF_ALU64_IMM(BPF_XOR, regs[0], test->k));
	}
	return 34; /* MISSING is the last bit */
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
		load(code, BPF_W, reg, code->field[test->size] + UPPER_HALF);
	}
}
