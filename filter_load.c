// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions, one behind the other, and loads of the frame, of both kinds: see filter_code.c for what
 * the registers hold.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

#define WINDOW_WORDS 5

enum { ETH_IP = 0x800, ETH_IP6 = 0x86dd, IP4_SOURCE = 12, IP6_HEADER = 40 };

void filter_append(struct code *code, struct bpf_insn insn)
{
	if (code->len == code->size) {
		size_t size = code->size ? 2 * code->size : 256;
		struct bpf_insn *insns;
		int *to;

		if (size > FILTER_MAX_INSNS)
			filter_too_long(code->c);
		insns = realloc(*code->insns, size * sizeof(*insns));
		if (insns)
			*code->insns = insns;
		to = realloc(code->to, size * sizeof(*to));
		if (to)
			code->c->work[5] = code->to = to;
		if (!insns || !to)
			filter_no_memory(code->c);
		code->size = size;
	}
	code->to[code->len] = 0;
	(*code->insns)[code->len++] = insn;
}

/* Where a frame is in pieces: the registers that a call leaves alone. */
static const __u8 kept[] = { BPF_REG_9, BPF_REG_6, BPF_REG_2, BPF_REG_3, BPF_REG_7, BPF_REG_8 };

static struct bpf_insn renamed(struct bpf_insn insn)
{
	int class = BPF_CLASS(insn.code), op = BPF_OP(insn.code);
	int jump = class == BPF_JMP || class == BPF_JMP32;
	int computes = jump || class == BPF_ALU || class == BPF_ALU64;

	if (!insn.code || (jump && op == BPF_JA)) /* half of a 64-bit load; no register at all */
		return insn;
	if ((class == BPF_LDX || class == BPF_STX ||
	     (computes && op != BPF_END && BPF_SRC(insn.code) == BPF_X)) && insn.src_reg != BPF_REG_10)
		insn.src_reg = kept[insn.src_reg];
	if (insn.dst_reg != BPF_REG_10)
		insn.dst_reg = kept[insn.dst_reg];
	return insn;
}

void filter_emit(struct code *code, struct bpf_insn insn)
{
	filter_append(code, code->pieces ? renamed(insn) : insn);
}

/* The instruction that was emitted last jumps to a test, to MATCH or NO_MATCH: its offset is filled in
 * at the end. */
static void leads(struct code *code, int to)
{
	code->to[code->len - 1] = to >= 0 ? to + 1 : to;
	if (to < 0)
		code->used[-2 - to] = 1;
}

void filter_jump(struct code *code, struct bpf_insn insn, int to)
{
	filter_emit(code, insn);
	leads(code, to);
}

/* reg = a constant of 64 bits. */
void filter_constant64(struct code *code, int reg, __u64 value)
{
	const struct bpf_insn load[] = { BPF_LD_IMM64(reg, value) };

	filter_emit(code, load[0]);
	filter_emit(code, load[1]);
}

int filter_width(int size)
{
	return size == 1 ? BPF_B : size == 2 ? BPF_H : size == 4 ? BPF_W : BPF_DW;
}

/* How many bytes are loaded for so many. */
int filter_loaded(int size)
{
	return size == 6 ? 8 : size;
}

struct bpf_insn filter_load(int size, int reg, int pointer, int offset)
{
	return BPF_LDX_MEM(filter_width(size), reg, pointer, offset);
}

void filter_jump_ahead(struct code *code, struct jumps *jumps, struct bpf_insn insn)
{
	filter_emit(code, insn);
	jumps->from[jumps->n++] = code->len - 1;
}

void filter_land(struct code *code, struct jumps *jumps)
{
	for (int i = 0; i < jumps->n; i++)
		(*code->insns)[jumps->from[i]].off = code->len - jumps->from[i] - 1;
	jumps->n = 0;
}

int filter_words(struct code *code, int n)
{
	code->words += n;
	if (code->words > FILTER_WORDS) {
		code->c->too_long = 1; /* without fields it may do */
		filter_fail(code->c, NULL, "the filter is too complicated");
	}
	return -8 * code->words;
}

/* Call the kernel for r4 bytes at r2, to a place on the stack. */
void filter_call(struct code *code, int to)
{
	filter_append(code, BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_6, offsetof(struct packet, ctx)));
	filter_append(code, BPF_MOV64_REG(BPF_REG_3, BPF_REG_10));
	filter_append(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, to));
	filter_append(code, BPF_EMIT_CALL(BPF_FUNC_xdp_load_bytes));
}

static void ask(struct code *code, int index, __u32 offset, int size, int to)
{
	if (index < 0) {
		filter_append(code, BPF_MOV64_IMM(BPF_REG_2, offset));
	} else {
		filter_append(code, BPF_MOV64_REG(BPF_REG_2, kept[index]));
		filter_append(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, offset));
	}
	filter_append(code, BPF_MOV64_IMM(BPF_REG_4, size));
	filter_call(code, to);
}

void filter_ask(struct code *code, int index, __u32 offset, int size)
{
	ask(code, index, offset, size, code->loaded);
}

void filter_take(struct code *code, int reg, __u32 byte, int size)
{
	filter_emit(code, filter_load(size, reg, BPF_REG_10, code->loaded + byte));
}

/* size bytes at offset, plus what index holds, into reg, or no match. */
static void load_piece(struct code *code, int reg, int index, __u32 offset, int size)
{
	filter_ask(code, index, offset, size);
	filter_append(code, FILTER_MISSING);
	leads(code, NO_MATCH);
	filter_take(code, reg, 0, size);
}

/* Where a frame must have end bytes: how many it may as well be asked for, since it matches with no less. */
__u32 filter_needed(const struct code *code, __u32 end)
{
	return end > code->need ? end : code->need;
}

/* Bytes between where a word of the stack begins, laid out as copies are, and an offset in the frame. */
static __u32 misplaced(const struct code *code, __u32 offset)
{
	return (offset + filter_shift(code)) % 8;
}

void filter_reserve_window(struct code *code)
{
	code->window = 0;
	if (!code->pieces || code->words + WINDOW_WORDS > FILTER_WORDS)
		return;
	for (int i = 0; i < code->nleaves && !code->window; i++) {
		const struct test *test = &code->c->tests[code->leaves[i]];

		if (test->kind == V_FRAME && test->offset >= COPY_SIZE)
			code->window = filter_words(code, WINDOW_WORDS);
	}
}

/* Have what is at an offset in the window, and all behind it up to end that has room. */
static void ask_window(struct code *code, __u32 offset, __u32 end)
{
	__u32 start = offset - misplaced(code, offset);

	if (end > start + 8 * WINDOW_WORDS)
		end = start + 8 * WINDOW_WORDS;
	ask(code, -1, start, end - start, code->window);
	filter_append(code, FILTER_MISSING);
	leads(code, NO_MATCH);
	code->now.window = start;
	code->now.window_end = end;
}

/*
 * The same at a fixed offset, with one call for this and all that every way to a match loads from behind it.
 * Returns 0 where there is no more than this.
 */
static int load_window(struct code *code, int reg, __u32 offset, int size)
{
	const struct state *now = &code->now;
	__u32 end = filter_needed(code, offset + size);

	if (!code->window || offset < COPY_SIZE || misplaced(code, offset) % size)
		return 0;
	if (offset < now->window || offset + size > now->window_end) {
		if (end == offset + size)
			return 0;
		ask_window(code, offset, end);
	}
	filter_emit(code, filter_load(size, reg, BPF_REG_10, code->window + (int)(offset - now->window)));
	return 1;
}

/* An offset in the frame becomes what loads take: an address, but where the frame is in pieces. */
void filter_from_data(struct code *code, int reg)
{
	if (!code->pieces)
		filter_emit(code, BPF_ALU64_REG(BPF_ADD, reg, BPF_REG_2));
}

/* No match unless the frame has end bytes behind pointer; reg is free. */
static void check_end(struct code *code, int reg, int pointer, __u32 end)
{
	filter_emit(code, BPF_MOV64_REG(reg, pointer));
	filter_emit(code, BPF_ALU64_IMM(BPF_ADD, reg, end));
	filter_jump(code, BPF_JMP_REG(BPF_JGT, reg, BPF_REG_3, 0), NO_MATCH);
}

/*
 * Where ways that have seen more or less of the frame meet, a filter that is_mixed forgets what r2 is known to
 * have behind it, and so does the verifier: to it this is another pointer. r5 is lost, which holds nothing
 * where r2 is stale: it is made of r2.
 */
void filter_renew_data(struct code *code)
{
	if (!code->now.stale || code->pieces)
		return;
	filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_2, BPF_REG_1, offsetof(struct packet, data)));
	filter_emit(code, filter_load(1, BPF_REG_5, BPF_REG_10, code->zero));
	filter_emit(code, BPF_ALU64_IMM(BPF_AND, BPF_REG_5, 1));
	filter_emit(code, BPF_ALU64_REG(BPF_ADD, BPF_REG_2, BPF_REG_5));
	code->now.stale = 0;
	code->now.length = 0;
}

/* No match unless a frame in one piece has end bytes behind r2; of one in pieces have those from offset on in the
 * window, as many as there is room for. r5 is lost. */
void filter_have(struct code *code, __u32 offset, __u32 end)
{
	filter_renew_data(code);
	if (code->pieces && code->window && (offset < code->now.window || end > code->now.window_end)) {
		ask_window(code, offset, filter_needed(code, end));
	} else if (!code->pieces && code->now.length < end) {
		code->now.length = end;
		check_end(code, BPF_REG_5, BPF_REG_2, end);
	}
}

/* size bytes at a fixed offset of the frame, as they are, into reg. */
void filter_load_frame(struct code *code, int reg, __u32 offset, int size)
{
	if (filter_load_copy(code, reg, offset, size))
		return;
	if (code->pieces) {
		if (!load_window(code, reg, offset, size))
			load_piece(code, reg, -1, offset, size);
		return;
	}
	filter_renew_data(code);
	if (code->now.length < offset + size) {
		code->now.length = filter_needed(code, offset + size);
		check_end(code, reg, BPF_REG_2, code->now.length);
	}
	filter_emit(code, filter_load(size, reg, BPF_REG_2, offset));
}

/* reg = the length of the IPv4 header that is at base. */
static void load_header_length(struct code *code, int reg, __u32 base)
{
	filter_load_frame(code, reg, base, 1);
	filter_emit(code, BPF_ALU32_IMM(BPF_AND, reg, 0xf));
	filter_emit(code, BPF_ALU32_IMM(BPF_LSH, reg, 2));
}

/* r5 = zero if the Ethernet type in front of base is this one, else less. */
static void load_is_type(struct code *code, __u32 base, __u16 type)
{
	filter_load_frame(code, BPF_REG_5, base - 2, 2);
	filter_emit(code, BPF_ALU32_IMM(BPF_XOR, BPF_REG_5, htons(type)));
	filter_emit(code, BPF_ALU64_IMM(BPF_NEG, BPF_REG_5, 0));
}

/* r5 = the same length, or 40 if the Ethernet type in front of it says that it is one of IPv6; spare is lost. */
static void load_either_length(struct code *code, int spare, __u32 base)
{
	load_is_type(code, base, ETH_IP6);
	filter_emit(code, BPF_ALU64_IMM(BPF_ARSH, BPF_REG_5, 63)); /* no bit of IPv6, all of others */
	load_header_length(code, spare, base);
	filter_emit(code, BPF_ALU64_IMM(BPF_XOR, spare, IP6_HEADER));
	filter_emit(code, BPF_ALU64_REG(BPF_AND, BPF_REG_5, spare));
	filter_emit(code, BPF_ALU64_IMM(BPF_XOR, BPF_REG_5, IP6_HEADER));
}

/*
 * The address that is at offset behind base in a packet of IPv4, or else of ARP: the sender's stands two bytes
 * further than the source, the target's eight further than the destination, after which r5 is not needed any more.
 * (All bits or none AND a constant, which would be shorter, is two ways to the verifier since Linux 6.18.)
 */
static void load_address(struct code *code, int reg, __u32 base, __u32 offset, int size)
{
	int is_source = offset == IP4_SOURCE;
	int pointer = is_source ? reg : BPF_REG_5, spare = pointer == BPF_REG_0 ? BPF_REG_4 : BPF_REG_0;

	if (code->now.transport != (int)(base | OR_ARP)) {
		filter_renew_data(code);
		load_is_type(code, base, ETH_IP);
		filter_emit(code, BPF_ALU64_IMM(BPF_RSH, BPF_REG_5, 63));
	}
	code->now.transport = is_source ? (int)(base | OR_ARP) : -1;
	code->now.value[0] = code->now.value[1] = -1;
	if (is_source)
		filter_emit(code, BPF_MOV64_REG(reg, BPF_REG_5));
	filter_emit(code, BPF_ALU64_IMM(BPF_LSH, pointer, is_source ? 1 : 3));
	if (code->pieces) {
		load_piece(code, reg, pointer, base + offset, size);
		return;
	}
	filter_from_data(code, pointer);
	check_end(code, spare, pointer, base + offset + size);
	filter_emit(code, filter_load(size, reg, pointer, base + offset));
}

/* Likewise, offset counted from the end of the IPv4 header that is at `from`, or what else that says. */
void filter_load_transport(struct code *code, int reg, __u32 from, __u32 offset, int size)
{
	__u32 base = from & BASE, end = base + offset + size;

	if (from & OR_ARP) {
		load_address(code, reg, base, offset, size);
		return;
	}
	if (code->now.transport != (int)from) {
		filter_renew_data(code);
		if (from & EITHER)
			load_either_length(code, reg, base);
		else
			load_header_length(code, BPF_REG_5, base);
		filter_from_data(code, BPF_REG_5);
		code->now.transport = from;
		code->now.transport_length = 0;
	}
	if (code->pieces) {
		load_piece(code, reg, BPF_REG_5, base + offset, size);
		return;
	}
	if (code->now.transport_length < end) {
		check_end(code, reg, BPF_REG_5, end);
		code->now.transport_length = end;
	}
	filter_emit(code, filter_load(size, reg, BPF_REG_5, base + offset));
}

/* The same, offset counted from what reg holds, which is at most 65535 - offset - size; r4 is lost. */
void filter_load_indexed(struct code *code, int reg, __u32 offset, int size)
{
	if (code->pieces) {
		load_piece(code, reg, reg, offset, size);
		return;
	}
	filter_renew_data(code);
	filter_emit(code, BPF_MOV64_REG(BPF_REG_4, reg));
	filter_from_data(code, BPF_REG_4);
	check_end(code, reg, BPF_REG_4, offset + size);
	filter_emit(code, filter_load(size, reg, BPF_REG_4, offset));
}

void filter_load_value(struct code *code, int reg, const struct test *test)
{
	if (test->kind == V_FRAME)
		filter_load_frame(code, reg, test->offset, filter_loaded(test->size));
	else if (test->kind == V_TRANSPORT)
		filter_load_transport(code, reg, test->base, test->offset, test->size);
	else
		filter_emit(code, filter_load(test->size, reg, BPF_REG_1, test->offset));
}

int filter_is_ordered(const struct test *test)
{
	return test->kind == V_PACKET || test->size == 1;
}

__u32 filter_as_loaded(const struct test *test, __u32 k)
{
	if (filter_is_ordered(test))
		return k;
	return test->size == 2 ? htons(k) : htonl(k);
}
