// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * protochain: whether a number is among the next-header values behind an IP header. Classic BPF
 * needs a backward jump for it; here the walk from header to header is unrolled. It goes wrong
 * where libpcap's does: behind an authentication header (RFC 4302) it goes on at that header's
 * length, counted from the IP header.
 *
 * A walk leaves the values on the stack, eight bytes, the first value wherever there is no other; and whether it came to
 * the frame's end too early. A test then is one for a byte of a word. Bytes are stored one at a time, so that the
 * verifier forgets what they are, and goes through what follows once. The first test on a way walks; but
 * in a long filter what many tests are about is walked at its beginning, where it is not known whether there is
 * such a header: then whether there are values is left, too.
 *
 *	code->chain, walk->words  0 the values  8 there are values: 1, 0  12 the walk came to the end: NO, YES
 *
 *	r0  the next-header value          r4  a header's length, or free
 *	r5  the frame's first byte plus the offset of the header in the IP packet
 */
#include <arpa/inet.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

#define HEADERS_MAX 8
#define OFFSETS 0x3fff /* has more bits than 40 + HEADERS_MAX * 256 * 8 needs */
#define EARLY   3 /* tests for which it is worth while to walk at the beginning */
#define WORDS   2
#define PRESENT 8
#define TOO_FAR 12
#define BOTH    (4 + 6)

enum { HOPOPTS = 0, ROUTING = 43, FRAGMENT = 44, AH = 51, DSTOPTS = 60 };
enum { NO = 1, YES = 2 };
enum { ETH_IP6 = 0x86dd, PPP_IP6 = 0x57 };

/* Where the type is in front of it, one walk does for both versions: no test is about the other one's. */
static struct walk *walk_of(struct code *code, const struct test *test)
{
	for (int i = 0; i < code->nwalks; i++)
		if (code->walks[i].offset == test->offset && code->walks[i].base == test->base &&
		    (code->walks[i].version == test->size ||
		     (code->walks[i].version && test->size && filter_is_ethernet(code))))
			return &code->walks[i];
	return NULL;
}

/* There is room for all: two at most for each header behind so many tags as filter_protochain() goes, and that of
 * fields. Were there none, a chain would be walked in place. */
static void count(struct code *code, const struct test *test)
{
	struct walk *walk = walk_of(code, test);

	if (walk && walk->version != test->size)
		walk->version = BOTH;
	if (!walk && code->nwalks < WALKS_MAX) {
		walk = &code->walks[code->nwalks++];
		*walk = (struct walk){ .offset = test->offset, .base = test->base, .version = test->size };
	}
	if (walk)
		walk->tests++;
}

/* What cannot do without: the walk of the header that fields are of, and one that is not done at the beginning. */
void filter_reserve_chain(struct code *code)
{
	code->chain = code->nwalks = 0;
	for (int i = 0; i < code->nleaves; i++) {
		const struct test *test = &code->c->tests[code->leaves[i]];

		if (test->kind != V_CHAIN)
			continue;
		count(code, test);
		if (test->size && !code->chain)
			code->chain = filter_words(code, WORDS);
	}
	for (int i = 0; i < code->nwalks; i++)
		if (!code->walks[i].version)
			code->walks[i].words = filter_words(code, WORDS);
}

/* In a long filter others that many tests are about, as far as there is room. */
void filter_reserve_walks(struct code *code)
{
	for (int i = 0; i < code->nwalks; i++) {
		struct walk *walk = &code->walks[i];

		if (!walk->words && code->c->is_long && walk->tests >= EARLY && code->words + WORDS <= FILTER_WORDS)
			walk->words = filter_words(code, WORDS);
	}
}

static void store_byte(struct code *code, int reg, int at)
{
	filter_emit(code, BPF_STX_MEM(BPF_B, BPF_REG_10, reg, at));
}

/* Four bytes of a chain. Of those at TOO_FAR, which begin no word, the verifier does not remember what they are, or it
 * would go on once for each value. reg is lost. */
static void set(struct code *code, int at, int reg, int value)
{
	filter_emit(code, BPF_MOV32_IMM(reg, value));
	filter_emit(code, BPF_STX_MEM(BPF_W, BPF_REG_10, reg, at));
}

/* r0 = the next header's number, r4 = this one's length byte. */
static void next_header(struct code *code, __u32 base, struct jumps *too_far)
{
	if (code->pieces) {
		filter_ask(code, BPF_REG_5, base, 2);
		filter_append(code, FILTER_MISSING);
		too_far->from[too_far->n++] = code->len - 1;
		filter_take(code, BPF_REG_0, 0, 1);
		filter_take(code, BPF_REG_4, 1, 1);
		return;
	}
	filter_emit(code, BPF_MOV64_REG(BPF_REG_4, BPF_REG_5));
	filter_emit(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_4, base + 2));
	filter_jump_ahead(code, too_far, BPF_JMP_REG(BPF_JGT, BPF_REG_4, BPF_REG_3, 0));
	filter_emit(code, BPF_LDX_MEM(BPF_B, BPF_REG_0, BPF_REG_5, base));
	filter_emit(code, BPF_LDX_MEM(BPF_B, BPF_REG_4, BPF_REG_5, base + 1));
}

/* Behind IPv6: skip an extension header, if r0 says that this is one. */
static void skip_extension(struct code *code, __u32 base, struct jumps *too_far,
			   struct jumps *skipped)
{
	static const __u8 extensions[] = { HOPOPTS, DSTOPTS, ROUTING };
	struct jumps extension = { .n = 0 }, other = { .n = 0 };

	for (int i = 0; i < 3; i++)
		filter_jump_ahead(code, &extension, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, extensions[i], 0));
	filter_jump_ahead(code, &other, BPF_JMP32_IMM(BPF_JNE, BPF_REG_0, FRAGMENT, 0));
	filter_land(code, &extension);
	next_header(code, base, too_far);
	filter_emit(code, BPF_ALU32_IMM(BPF_ADD, BPF_REG_4, 1));
	filter_emit(code, BPF_ALU32_IMM(BPF_LSH, BPF_REG_4, 3));
	filter_emit(code, BPF_ALU64_REG(BPF_ADD, BPF_REG_5, BPF_REG_4));
	filter_jump_ahead(code, skipped, BPF_JMP_A(0));
	filter_land(code, &other);
}

static void skip_ah(struct code *code, __u32 base, struct jumps *too_far, struct jumps *done)
{
	filter_jump_ahead(code, done, BPF_JMP32_IMM(BPF_JNE, BPF_REG_0, AH, 0));
	next_header(code, base, too_far);
	filter_emit(code, BPF_ALU32_IMM(BPF_ADD, BPF_REG_4, 2));
	filter_emit(code, BPF_ALU32_IMM(BPF_LSH, BPF_REG_4, 2));
	filter_emit(code, BPF_MOV64_REG(BPF_REG_5, BPF_REG_4));
	filter_from_data(code, BPF_REG_5);
}

/* r0 = the first value, r5 = the first header behind IP's. */
static void begin(struct code *code, __u32 base, int six)
{
	filter_load_frame(code, BPF_REG_0, base + (six ? 6 : 9), 1);
	filter_renew_data(code);
	if (six && code->begun) { /* plus a zero, or what is learnt here would be known of r2, too */
		filter_emit(code, filter_load(1, BPF_REG_5, BPF_REG_10, code->zero));
		filter_emit(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_5, 40));
	} else if (six) {
		filter_emit(code, BPF_MOV64_IMM(BPF_REG_5, 40));
	} else {
		filter_load_frame(code, BPF_REG_5, base, 1);
		filter_emit(code, BPF_ALU32_IMM(BPF_AND, BPF_REG_5, 0xf));
		filter_emit(code, BPF_ALU32_IMM(BPF_LSH, BPF_REG_5, 2));
	}
	filter_from_data(code, BPF_REG_5);
}

/* The verifier forgets how far a header may be, or it would go on once for each way that led there. */
static void forget(struct code *code)
{
	if (!code->pieces)
		filter_emit(code, BPF_ALU64_REG(BPF_SUB, BPF_REG_5, BPF_REG_2));
	filter_emit(code, BPF_ALU64_IMM(BPF_AND, BPF_REG_5, OFFSETS));
	filter_from_data(code, BPF_REG_5);
}

/* Walk, and leave the values. The first one stands for all that might be missing, too. */
static void walk_along(struct code *code, int chain, __u32 base, int six)
{
	struct jumps too_far = { .n = 0 }, done = { .n = 0 }, skipped = { .n = 0 };

	set(code, chain + TOO_FAR, BPF_REG_4, YES);
	filter_emit(code, BPF_MOV64_REG(BPF_REG_4, BPF_REG_0));
	filter_emit(code, BPF_ALU64_IMM(BPF_MUL, BPF_REG_4, 0x01010101));
	filter_emit(code, BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_4, chain));
	filter_emit(code, BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_4, chain + 4));
	for (int i = 0; i < HEADERS_MAX; i++) {
		if (i)
			store_byte(code, BPF_REG_0, chain + i);
		if (i == HEADERS_MAX - 1)
			break;
		if (six)
			skip_extension(code, base, &too_far, &skipped);
		skip_ah(code, base, &too_far, &done);
		filter_land(code, &skipped);
		if (six)
			forget(code);
	}
	filter_land(code, &done);
	set(code, chain + TOO_FAR, BPF_REG_4, NO);
	filter_land(code, &too_far);
}

/* Jump to yes where a byte of the values is k: then their difference has a zero byte. */
static void find(struct code *code, const struct test *test, int chain, int is_early)
{
	__u64 k = test->k;

	filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_10, chain));
	filter_constant64(code, BPF_REG_4, k * 0x0101010101010101ull);
	filter_emit(code, BPF_ALU64_REG(BPF_XOR, BPF_REG_0, BPF_REG_4));
	filter_emit(code, BPF_MOV64_REG(BPF_REG_4, BPF_REG_0));
	filter_emit(code, BPF_ALU64_IMM(BPF_XOR, BPF_REG_4, -1));
	filter_constant64(code, BPF_REG_5, 0x0101010101010101ull);
	filter_emit(code, BPF_ALU64_REG(BPF_SUB, BPF_REG_0, BPF_REG_5));
	filter_emit(code, BPF_ALU64_REG(BPF_AND, BPF_REG_0, BPF_REG_4));
	filter_constant64(code, BPF_REG_5, 0x8080808080808080ull);
	if (is_early) {
		filter_emit(code, BPF_LDX_MEM(BPF_W, BPF_REG_4, BPF_REG_10, chain + PRESENT));
		filter_emit(code, BPF_ALU64_IMM(BPF_NEG, BPF_REG_4, 0)); /* all bits, or none */
		filter_emit(code, BPF_ALU64_REG(BPF_AND, BPF_REG_0, BPF_REG_4));
	}
	filter_jump(code, BPF_JMP_REG(BPF_JSET, BPF_REG_0, BPF_REG_5, 0), test->to[1]);
}

/* r0 = the first value, r5 = the first header behind IP's; neither is known to be there before. */
static void begin_early(struct code *code, const struct walk *walk, int six, struct jumps *done)
{
	__u32 base = walk->offset;

	filter_unless(code, base + (six ? 7 : 10), done);
	if (six) { /* from r4 on, or what is learnt here would be known of r2, too */
		filter_emit(code, BPF_MOV64_REG(BPF_REG_5, BPF_REG_4));
		filter_emit(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_5, 40));
	} else {
		filter_fetch(code, base, 1);
		filter_emit(code, BPF_MOV64_REG(BPF_REG_5, BPF_REG_0));
		filter_emit(code, BPF_ALU32_IMM(BPF_AND, BPF_REG_5, 0xf));
		filter_emit(code, BPF_ALU32_IMM(BPF_LSH, BPF_REG_5, 2));
		filter_from_data(code, BPF_REG_5);
	}
	filter_fetch(code, base + (six ? 6 : 9), 1);
	set(code, walk->words + PRESENT, BPF_REG_4, 1);
}

/* On to what IPv4 is to do, or to six. Nothing is asked of what is neither. */
static void tell_version(struct code *code, const struct walk *walk, struct jumps *six, struct jumps *done)
{
	if (walk->base & LABELS) {
		filter_unless(code, walk->offset + 1, done);
		filter_fetch(code, walk->offset, 1);
		filter_emit(code, BPF_ALU32_IMM(BPF_AND, BPF_REG_0, 0xf0));
		filter_jump_ahead(code, six, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, 0x60, 0));
	} else {
		filter_unless(code, walk->offset, done);
		filter_fetch(code, walk->offset - 2, 2);
		filter_jump_ahead(code, six, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0,
			htons(walk->base & PPP ? PPP_IP6 : ETH_IP6), 0));
	}
}

/* That header's walk; or, where its type is to tell, one of the two. Of what has no such type nothing is asked. */
static void make_chain(struct code *code, const struct walk *walk)
{
	struct jumps six = { .n = 0 }, done = { .n = 0 };
	struct walk at = *walk;

	filter_begin(code);
	for (int word = 0; word < WORDS; word++)
		filter_store(code, BPF_REG_0, at.words + 8 * word);
	set(code, at.words + TOO_FAR, BPF_REG_5, YES);
	if (!at.version) {
		at.offset = code->c->field_header;
		filter_reach_type(code, &done);
		set(code, at.words + TOO_FAR, BPF_REG_5, NO);
		filter_field_type(code, NULL, &six, &done);
		set(code, at.words + TOO_FAR, BPF_REG_5, YES);
	} else if (at.version == BOTH) {
		tell_version(code, walk, &six, &done);
	}
	for (int version = 4; version <= 6; version += 2) {
		if (at.version != version && at.version % BOTH)
			continue;
		if (at.version % BOTH == 0 && version == 6) {
			filter_jump_ahead(code, &done, BPF_JMP_A(0));
			filter_land(code, &six);
			set(code, at.words + TOO_FAR, BPF_REG_5, YES);
		}
		begin_early(code, &at, version == 6, &done);
		walk_along(code, at.words, at.offset, version == 6);
	}
	filter_land(code, &done);
	filter_meet(code);
	filter_rewrite(code, at.words, WORDS);
}

void filter_make_chains(struct code *code)
{
	for (int i = 0; i < code->nwalks; i++)
		if (code->walks[i].words)
			make_chain(code, &code->walks[i]);
}

void filter_chain(struct code *code, const struct test *test)
{
	int walked = test->offset * 2 + (test->size == 6), chain = code->chain;
	const struct walk *early = walk_of(code, test);

	if (early && early->words) {
		chain = early->words;
	} else if (code->now.chain != walked) {
		begin(code, test->offset, test->size == 6);
		walk_along(code, chain, test->offset, test->size == 6);
		filter_meet(code);
		code->now.chain = walked;
	}
	code->now.value[0] = code->now.value[1] = code->now.transport = -1;
	if (test->k <= 0xff)
		find(code, test, chain, chain != code->chain);
	filter_emit(code, BPF_LDX_MEM(BPF_W, BPF_REG_0, BPF_REG_10, chain + TOO_FAR));
	filter_jump(code, BPF_JMP32_IMM(BPF_JEQ, BPF_REG_0, YES, 0), NO_MATCH);
}
