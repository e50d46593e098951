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

enum { ETH_IP = 0x800, ETH_IP6 = 0x86dd, PPP_IP6 = 0x57, IP4_SOURCE = 12, IP6_HEADER = 40 };

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

void filter_emit(struct code *code, struct bpf_insn insn)
{
	filter_append(code, code->pieces ? filter_renamed(insn) : insn);
}

/* The instruction that was emitted last jumps to a test, to MATCH or NO_MATCH: its offset is filled in
 * at the end. */
void filter_leads(struct code *code, int to)
{
	code->to[code->len - 1] = to >= 0 ? to + 1 : to;
	if (to < 0)
		code->used[-2 - to] = 1;
}

void filter_jump(struct code *code, struct bpf_insn insn, int to)
{
	filter_emit(code, insn);
	filter_leads(code, to);
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

/* Many ways meet here, where r0 is of no use: filter_steer.c has the verifier remember. */
void filter_meet(struct code *code)
{
	if (code->nmeets < MEETS_MAX)
		code->meets[code->nmeets++] = code->len;
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

/* Where a frame must have end bytes: how many it may as well be asked for, since it matches with no less. */
__u32 filter_needed(const struct code *code, __u32 end)
{
	return end > code->need ? end : code->need;
}

/* An offset in the frame becomes what loads take: an address, but where the frame is in pieces. */
void filter_from_data(struct code *code, int reg)
{
	if (!code->pieces)
		filter_emit(code, BPF_ALU64_REG(BPF_ADD, reg, BPF_REG_2));
}

/* No match if reg, which is lost, is less than end; and if its bit DOOM_BIT is set where end is 0. */
void filter_doom(struct code *code, int reg, __u32 end)
{
	if (end)
		filter_emit(code, BPF_ALU64_IMM(BPF_SUB, reg, end));
	filter_emit(code, BPF_ALU64_REG(BPF_OR, DOOM, reg));
}

/* No match unless the frame has end bytes behind pointer; reg is free. */
static void check_end(struct code *code, int reg, int pointer, __u32 end)
{
	if (code->pieces && !code->now.has_length) {
		filter_emit(code, BPF_LDX_MEM(BPF_W, BPF_REG_3, BPF_REG_1, offsetof(struct packet, length)));
		code->now.has_length = 1;
	}
	if (code->pieces && code->dooms) {
		filter_emit(code, BPF_MOV64_REG(reg, BPF_REG_3));
		filter_emit(code, BPF_ALU64_REG(BPF_SUB, reg, pointer));
		filter_doom(code, reg, end);
		return;
	}
	filter_emit(code, BPF_MOV64_REG(reg, pointer));
	filter_emit(code, BPF_ALU64_IMM(BPF_ADD, reg, end));
	filter_jump(code, BPF_JMP_REG(BPF_JGT, reg, BPF_REG_3, 0), NO_MATCH);
}

/* reg = size bytes at offset behind pointer, which are known to be there. */
static void load_behind(struct code *code, int reg, int pointer, __u32 offset, int size)
{
	if (code->pieces) {
		filter_renew_data(code);
		if (pointer != reg)
			filter_emit(code, BPF_MOV64_REG(reg, pointer));
		filter_emit(code, BPF_ALU64_REG(BPF_ADD, reg, BPF_REG_2));
		pointer = reg;
	}
	filter_emit(code, filter_load(size, reg, pointer, offset));
}

/*
 * Where ways that have seen more or less of the frame meet, a filter that is_mixed forgets what r2 is known to
 * have behind it, and so does the verifier: to it this is another pointer. r5 is lost, which holds nothing
 * where r2 is stale: it is made of r2. Of a frame in pieces r2 becomes what calls have lost.
 */
void filter_renew_data(struct code *code)
{
	if (!code->now.stale || (code->pieces && !code->scratch))
		return;
	filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_2, BPF_REG_1, offsetof(struct packet, data)));
	code->now.stale = 0;
	if (code->pieces)
		return;
	filter_emit(code, filter_load(1, BPF_REG_5, BPF_REG_10, code->zero));
	filter_emit(code, BPF_ALU64_IMM(BPF_AND, BPF_REG_5, 1));
	filter_emit(code, BPF_ALU64_REG(BPF_ADD, BPF_REG_2, BPF_REG_5));
	code->now.length = 0;
}

/* No match unless a frame in one piece has end bytes behind r2. r5 is lost. */
void filter_have(struct code *code, __u32 end)
{
	filter_renew_data(code);
	if (code->now.length < end) {
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
		filter_load_piece(code, reg, -1, offset, size);
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

/* r5 = zero if the type in front of what begins at from, or its own first byte, says that it is of this type, else
 * less. */
static void load_is_type(struct code *code, __u32 from, __u16 type)
{
	__u32 base = from & BASE;

	if (from & LABELS) {
		filter_load_frame(code, BPF_REG_5, base, 1);
		filter_emit(code, BPF_ALU32_IMM(BPF_AND, BPF_REG_5, 0xf0));
		filter_emit(code, BPF_ALU32_IMM(BPF_XOR, BPF_REG_5, 0x60));
	} else {
		filter_load_frame(code, BPF_REG_5, base - 2, 2);
		filter_emit(code, BPF_ALU32_IMM(BPF_XOR, BPF_REG_5, htons(from & PPP ? PPP_IP6 : type)));
	}
	filter_emit(code, BPF_ALU64_IMM(BPF_NEG, BPF_REG_5, 0));
}

/* r5 = the same length, or 40 if the Ethernet type in front of it says that it is one of IPv6; spare is lost. */
static void load_either_length(struct code *code, int spare, __u32 from)
{
	load_is_type(code, from, ETH_IP6);
	filter_emit(code, BPF_ALU64_IMM(BPF_ARSH, BPF_REG_5, 63)); /* no bit of IPv6, all of others */
	load_header_length(code, spare, from & BASE);
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
	if (code->pieces && !filter_in_scratch(code, base + offset + size + HEADER_MAX)) {
		filter_load_piece(code, reg, pointer, base + offset, size);
		return;
	}
	filter_from_data(code, pointer);
	check_end(code, spare, pointer, base + offset + size);
	load_behind(code, reg, pointer, base + offset, size);
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
			load_either_length(code, reg, from);
		else
			load_header_length(code, BPF_REG_5, base);
		filter_from_data(code, BPF_REG_5);
		code->now.transport = from;
		code->now.transport_length = 0;
	}
	if (code->pieces && !filter_in_scratch(code, end + HEADER_MAX)) {
		filter_load_piece(code, reg, BPF_REG_5, base + offset, size);
		return;
	}
	if (code->now.transport_length < end) {
		check_end(code, reg, BPF_REG_5, end);
		code->now.transport_length = end;
	}
	load_behind(code, reg, BPF_REG_5, base + offset, size);
}

/* The same, offset counted from what reg holds, which is most at most, and 65535 - offset - size; r4 is lost. */
void filter_load_indexed(struct code *code, int reg, __u32 most, __u32 offset, int size)
{
	if (code->pieces && (most > SCRATCH_COPY || !filter_in_scratch(code, offset + size + most))) {
		filter_load_piece(code, reg, reg, offset, size);
		return;
	}
	filter_renew_data(code);
	filter_emit(code, BPF_MOV64_REG(BPF_REG_4, reg));
	filter_from_data(code, BPF_REG_4);
	check_end(code, reg, BPF_REG_4, offset + size);
	load_behind(code, reg, BPF_REG_4, offset, size);
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
