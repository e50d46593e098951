/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files that write code share: the code as it is being written. */
#ifndef XGUARD_FILTER_CODE_H
#define XGUARD_FILTER_CODE_H

#include "filter_internal.h"

struct bpf_insn;

/* What holds at some point of the code. */
struct state {
	int value[2];           /* of r0, r4: a test whose value it is, -1: none */
	__u8 ordered[2];        /* that value is in host byte order */
	__u8 next;              /* which of the two to load into next */
	__u8 reached;
	int transport;          /* offset of the IPv4 header whose length r5 includes, -1: none */
	int chain;              /* scratch has the chain of headers at this offset * 2 + is-IPv6, -1: no */
	__u32 length;           /* bytes that the frame has at least, by what is known of r2 */
	__u32 copied_length;    /* the same, by its length */
	__u32 transport_length; /* bytes that are behind r5 at least */
};

struct code {
	struct compiler *c;
	int pieces;             /* the frame is in several pieces: see filter_code.c */
	struct bpf_insn **insns; /* of c->filter */
	size_t len, size;       /* of them */
	int *to;                /* of each instruction: where it jumps; test + 1, MATCH, 0: not */
	int *start;             /* of each test: its first instruction */
	struct state *states;   /* of each test, at its beginning */
	struct state now;
	int *order, norder, at; /* tests to emit, the next one of them */
	int used[2];            /* there are ways to MATCH, to NO_MATCH */
	__u32 copied[2];        /* bytes of the frame that two copies have: see filter_copy.c */
};

/* Jumps to one place behind them. */
struct jumps {
	size_t from[128];
	int n;
};

/* filter_load.c. What they do is said there. */
void filter_emit(struct code *code, struct bpf_insn insn);
void filter_append(struct code *code, struct bpf_insn insn); /* registers as they are */
void filter_jump(struct code *code, struct bpf_insn insn, int to);
void filter_from_data(struct code *code, int reg);
void filter_load_frame(struct code *code, int reg, __u32 offset, int size);
void filter_load_transport(struct code *code, int reg, __u32 base, __u32 offset, int size);
int filter_width(int size);
struct bpf_insn filter_load(int size, int reg, int pointer, __u32 offset);
void filter_load_indexed(struct code *code, int reg, __u32 offset, int size);

/* A frame in pieces: have the kernel copy size bytes at offset, plus what index (-1: nothing) holds;
 * the instruction with which to jump where they are not there; and some of them into reg. */
void filter_ask(struct code *code, int index, __u32 offset, int size);
void filter_call(struct code *code, __u32 to);
#define FILTER_MISSING BPF_JMP_IMM(BPF_JNE, BPF_REG_0, 0, 0)
void filter_take(struct code *code, int reg, __u32 byte, int size);

void filter_jump_ahead(struct code *code, struct jumps *jumps, struct bpf_insn insn);
void filter_land(struct code *code, struct jumps *jumps);

/*
 * filter_copy.c: copy the frame's beginning where that is of use; and load from a copy what stands in one.
 * Returns 0 where it does not. Then what filter_field.c uses, too: see there.
 */
void filter_copy(struct code *code);
int filter_load_copy(struct code *code, int reg, __u32 offset, int size);
#define FILTER_ONES ((__u32)offsetof(struct packet, scratch[30])) /* a word with all bits set */
void filter_begin(struct code *code);
void filter_unless(struct code *code, __u32 end, struct jumps *to);
void filter_rewrite(struct code *code, __u32 from, int words);

/*
 * filter_field.c: put the fields that tests are about into scratch; r0 = 0 if the field is what the test
 * wants, or at most its span; r0 = 0 if the frame ends before or within it. r0, r4, r5 are lost.
 */
void filter_make_fields(struct code *code);
void filter_match_field(struct code *code, const struct test *test);
void filter_field_valid(struct code *code, const struct test *test);

/* filter_eval.c: an arithmetic expression into r0, with scratch[depth] and up free; r4 is lost. */
void filter_evaluate(struct code *code, int node, int depth);

/* filter_chain.c: jump to to[1] if a chain of headers holds k; else go on. r0, r4, r5 are lost. */
#define CHAIN_SCRATCH 14 /* the first of the two words of scratch that it takes */
void filter_chain(struct code *code, const struct test *test);

#endif
