/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small interpreter of the instructions that filters become, and frames for it. */
#ifndef FILTER_MACHINE_H
#define FILTER_MACHINE_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf_insn.h"
#include "filter.h"
#include "packet.h"

struct frame {
	__u8 bytes[256];
	size_t len;
};

/* Hexadecimal digits and blanks; a frame is cut or filled with zeros to len, if that is not 0. */
static struct frame frame(const char *hex, size_t len)
{
	struct frame frame = { .len = 0 };
	unsigned int byte;

	for (; *hex; hex += 2) {
		while (*hex == ' ')
			hex++;
		if (sscanf(hex, "%2x", &byte) != 1)
			break;
		frame.bytes[frame.len++] = byte;
	}
	if (len)
		frame.len = len;
	return frame;
}

/* A call of bpf_xdp_load_bytes: r1 is a struct frame here. Registers 1 to 5 are lost. */
static __u64 load_bytes(__u64 r[11])
{
	const struct frame *frame = (void *)(uintptr_t)r[1];
	int there = r[2] <= 0xffff && r[2] + r[4] <= frame->len;

	if (there)
		memcpy((void *)(uintptr_t)r[3], frame->bytes + r[2], r[4]);
	memset(r + 1, 0xee, 5 * sizeof(*r));
	return there ? 0 : (__u64)-EINVAL;
}

/* What runs a filter: its registers, and a count of loads and of instructions. */
struct machine {
	__u64 r[11];
	unsigned int steps, loads, repeated;
	__u64 loaded[512];
};

static __u64 load(struct machine *m, __u64 address, int size)
{
	__u64 value = 0;
	__u32 word;
	__u16 half;

	for (unsigned int i = 0; i < m->loads; i++)
		m->repeated += m->loaded[i] == address;
	if (m->loads < 512)
		m->loaded[m->loads++] = address;
	switch (size) {
	case BPF_B:
		return *(__u8 *)(uintptr_t)address;
	case BPF_H:
		memcpy(&half, (void *)(uintptr_t)address, sizeof(half));
		return half;
	case BPF_W:
		memcpy(&word, (void *)(uintptr_t)address, sizeof(word));
		return word;
	}
	memcpy(&value, (void *)(uintptr_t)address, sizeof(value));
	return value;
}

static void store(__u64 address, __u64 value, int size)
{
	__u32 word = value;
	__u16 half = value;

	if (size == BPF_DW)
		memcpy((void *)(uintptr_t)address, &value, sizeof(value));
	else if (size == BPF_W)
		memcpy((void *)(uintptr_t)address, &word, sizeof(word));
	else if (size == BPF_H)
		memcpy((void *)(uintptr_t)address, &half, sizeof(half));
	else
		*(__u8 *)(uintptr_t)address = value;
}

static __u64 calculate(int op, __u64 a, __u64 b, int wide)
{
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_DIV:
		return b ? a / b : 0;
	case BPF_MOD:
		return b ? a % b : a;
	case BPF_AND:
		return a & b;
	case BPF_OR:
		return a | b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return a << (b & (wide ? 63 : 31));
	case BPF_RSH:
		return a >> (b & (wide ? 63 : 31));
	case BPF_ARSH:
		return wide ? (__u64)((__s64)a >> (b & 63)) : (__u64)((__s32)a >> (b & 31));
	case BPF_NEG:
		return -a;
	}
	return b;
}

static int holds(int op, __u64 a, __u64 b)
{
	switch (op) {
	case BPF_JEQ:
		return a == b;
	case BPF_JNE:
		return a != b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	case BPF_JLT:
		return a < b;
	case BPF_JLE:
		return a <= b;
	case BPF_JSET:
		return (a & b) != 0;
	}
	return 1;
}

static __u64 big_endian(__u64 value, int bits)
{
	return bits == 16 ? htons(value) : htonl(value);
}

static int interpret(const struct bpf_insn *insns, struct machine *m, const struct packet *packet)
{
	__u64 stack[FILTER_STACK / 8];

	m->r[1] = (uintptr_t)packet;
	m->r[10] = (uintptr_t)(stack + FILTER_STACK / 8);
	for (const struct bpf_insn *i = insns;; i++) {
		int class = BPF_CLASS(i->code), op = BPF_OP(i->code);
		int wide = class == BPF_ALU64 || class == BPF_JMP;
		__u64 *dst = &m->r[i->dst_reg], a = *dst;
		__u64 b = BPF_SRC(i->code) == BPF_X ? m->r[i->src_reg] : (__u64)(__s64)i->imm;

		m->steps++;
		if (!wide) {
			a = (__u32)a;
			b = (__u32)b;
		}
		if (i->code == (BPF_JMP | BPF_EXIT))
			return m->r[0];
		if (i->code == (BPF_JMP | BPF_CALL))
			m->r[0] = load_bytes(m->r);
		else if (class == BPF_JMP || class == BPF_JMP32)
			i += holds(op, a, b) ? i->off : 0;
		else if (class == BPF_LDX)
			*dst = load(m, m->r[i->src_reg] + i->off, BPF_SIZE(i->code));
		else if (class == BPF_STX)
			store(*dst + i->off, m->r[i->src_reg], BPF_SIZE(i->code));
		else if (class == BPF_LD)
			*dst = (__u32)i->imm | (__u64)(__u32)i[1].imm << 32, i++;
		else if (op == BPF_END)
			*dst = big_endian(a, i->imm);
		else
			*dst = wide ? calculate(op, a, b, 1) : (__u32)calculate(op, a, b, 0);
	}
}

/* The same of a frame in pieces, of which the first one has nothing. Scratch memory has what was there before: behind
 * the frame's end what would go on with it, as bad luck would have it. */
static int in_pieces(const struct filter *filter, const struct packet *packet,
		     const struct frame *frame)
{
	struct packet pieces = *packet;
	struct machine m = { .steps = 0 };
	__u8 *scratch = malloc(SCRATCH_SIZE);
	int result;

	memset(scratch, 0xee, SCRATCH_SIZE);
	memcpy(scratch, frame->bytes, sizeof(frame->bytes));
	memset(scratch, 0xee, frame->len);
	pieces.data = (uintptr_t)scratch;
	pieces.data_end = 0;
	pieces.ctx = (uintptr_t)frame;
	result = interpret(filter->pieces, &m, &pieces);
	free(scratch);
	return result;
}

/* 1: the frame matches, 0: it does not, -2: it depends on its pieces. */
static int run_compiled(struct machine *m, const struct filter *filter, const struct frame *frame, __u8 decoded)
{
	struct packet packet = { .length = frame->len };
	__u8 *copy; /* of its own, so that a sanitizer sees a load from beyond its end */
	int result = 1;

	memset(m, 0, sizeof(*m));
	copy = malloc(frame->len);
	memcpy(copy, frame->bytes, frame->len);
	packet.data = (uintptr_t)copy;
	packet.data_end = packet.data + frame->len;
	packet.key.protocol = decoded;
	packet.key.present = decoded ? FIELD_PROTOCOL : 0;
	if (filter->insns)
		result = interpret(filter->insns, m, &packet);
	if (filter->insns && in_pieces(filter, &packet, frame) != result)
		result = -2;
	free(copy);
	return result;
}

#endif
