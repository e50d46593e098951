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
	__u8 reached;           /* on no way, one, more */
	int transport;          /* offset of the IPv4 header whose length r5 includes, -1: none */
	int chain;              /* of which header the chain was walked: offset * 2 + is-IPv6; -1: none */
	__u32 length;           /* bytes that the frame has at least, by what is known of r2 */
	__u32 copied_length;    /* the same, by its length */
	int has_length;         /* r3 is the length of a frame in pieces */
	int stale;              /* r2 must be made anew before it is used: see filter_renew_data() */
	__u32 transport_length; /* bytes that are behind r5 at least */
};

#define FILTER_WORDS (FILTER_STACK / 8)
#define ARITH_DEPTH 14
#define COPY_SIZE   64u /* bytes of a copy at most, those in front of it included */

#define WALKS_MAX 12
#define MEETS_MAX 512

/* A chain that is walked at the beginning: of the IP header at offset, of this version, or of what its type says: 0 of
 * the one that fields are of, 4 + 6 of another one. */
struct walk {
	__u32 offset;
	__u32 base;             /* what says the type, as in a test */
	int version;
	int tests, words;       /* how many are about it; where its values are */
};

/* A header with ports and protocols that are fields in scratch memory: see filter_header.c. */
#define PORTS_MAX 128
struct header {
	__u32 offset, base;     /* as in a test */
	unsigned int fields;    /* 1 << enum field */
	__u32 at[FIELDS];       /* where they are in scratch memory */
};

struct code {
	struct compiler *c;
	int pieces;             /* the frame is in several pieces: see filter_code.c */
	int scratch;            /* and its beginning is copied to scratch memory: see filter_pieces.c */
	struct bpf_insn **insns; /* of c->filter */
	size_t len, size;       /* of them */
	int *to;                /* of each instruction: where it jumps; test + 1, MATCH, 0: not */
	int *start;             /* of each test: its first instruction */
	struct state *states;   /* of each test, at its beginning */
	struct state now;
	__u32 need;             /* bytes without which a frame will not match any more */
	int *order, norder, at; /* tests to emit, the next one of them */
	int *leaves, nleaves;   /* the same, joined ones apart */
	int used[2];            /* there are ways to MATCH, to NO_MATCH */
	__u32 copied;           /* bytes of the frame that the copy has: see filter_copy.c */

	/* Words of the stack: how many are in use, and where things stand, counted from r10. */
	int words;
	int unmade;             /* the first ones, which tests store to */
	int loaded;             /* what the kernel is asked for of a frame in pieces */
	int dooms;              /* DOOM is in use, and */
	int doomed;             /* waits there while the kernel is called */
	int asks;               /* the field that is loaded next may be missing: DOOM is told */
	int copy;
	int field[FIELDS];      /* 0: none */
	struct header headers[PORTS_MAX];
	int nheaders;
	__u32 headers_end;      /* of what they have of scratch memory */
	__u64 upper;            /* the first half of many IPv6 addresses, as in the frame */
	int upper_differs[2];   /* the bits in which the source's is another, the destination's; 0: none */
	int ones, zero;         /* a word with all bits set, and one with none: see filter_begin() */
	int begun;              /* they have been stored */
	int cost;               /* of loading, in instructions, if the filter is_mixed: see filter_steer.c */
	int chain;              /* 0: none; see filter_chain.c */
	struct walk walks[WALKS_MAX];
	int nwalks;
	size_t meets[MEETS_MAX]; /* instructions where many ways meet, beside those that begin tests */
	int nmeets;
	size_t end;             /* of all ways: the instruction behind the outcome */
	int depth[ARITH_DEPTH]; /* values of arithmetic */
	int joined, aside;      /* a number made of joined tests; it waits there now, not in a register */
};

/* Jumps to one place behind them. */
struct jumps {
	size_t from[128];
	int n;
};

/* Do the frames that the filter is for begin with an Ethernet header? */
static inline int filter_is_ethernet(const struct code *code)
{
	return code->c->field_header != 0;
}

/*
 * In a filter that is_mixed: bit 33 says that on this way something has been asked for that the frame is too short
 * for. Then what is loaded is something else, and no match in the end. One branch there does for all.
 */
#define DOOM     BPF_REG_9
#define DOOM_BIT 33

#define FIRST_IS_LOW (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) /* the first byte, in a register */
#define UPPER_HALF   (FIRST_IS_LOW ? 4 : 0)                      /* of a word of the stack: where it begins */
#define LOWER_HALF   (4 - UPPER_HALF)

#define ETHERNET 14 /* bytes of its header: no frame on such a link is shorter */

/* Bytes in front of the frame's first one on the stack, so that IP's header behind Ethernet's 14 is aligned. */
static inline int filter_shift(const struct code *code)
{
	return filter_is_ethernet(code) ? 2 : 0;
}

/* filter_load.c. What they do is said there. */
int filter_words(struct code *code, int n); /* so many words of the stack: where they begin */
void filter_emit(struct code *code, struct bpf_insn insn);
void filter_append(struct code *code, struct bpf_insn insn); /* registers as they are */
void filter_jump(struct code *code, struct bpf_insn insn, int to);
void filter_leads(struct code *code, int to);
void filter_from_data(struct code *code, int reg);
void filter_renew_data(struct code *code);
void filter_doom(struct code *code, int reg, __u32 end);
void filter_have(struct code *code, __u32 end);
__u32 filter_needed(const struct code *code, __u32 end);
void filter_load_frame(struct code *code, int reg, __u32 offset, int size);
void filter_load_transport(struct code *code, int reg, __u32 base, __u32 offset, int size);
#define HEADER_MAX 60u /* bytes of IPv4's; and there are no more in front of what EITHER and OR_ARP stand for */
void filter_constant64(struct code *code, int reg, __u64 value);
int filter_width(int size);
int filter_loaded(int size);
struct bpf_insn filter_load(int size, int reg, int pointer, int offset);
void filter_load_indexed(struct code *code, int reg, __u32 most, __u32 offset, int size);

/*
 * filter_pieces.c, of a frame in pieces: an instruction of other registers; have the kernel copy size bytes at offset,
 * plus what index (-1: nothing) holds; the instruction with which to jump where they are not there; and some of
 * them into reg. Have the frame's beginning in scratch memory; has that what stands ahead of end?
 */
struct bpf_insn filter_renamed(struct bpf_insn insn);
void filter_ask(struct code *code, int index, __u32 offset, int size);
#define FILTER_MISSING BPF_JMP_IMM(BPF_JNE, BPF_REG_0, 0, 0)
void filter_take(struct code *code, int reg, __u32 byte, int size);
void filter_load_piece(struct code *code, int reg, int index, __u32 offset, int size);
void filter_fill_scratch(struct code *code);
int filter_in_scratch(const struct code *code, __u32 end);

/* filter_steer.c: what ways to MATCH and to NO_MATCH lead to; then all jumps lead where they are to. And have the
 * verifier remember where ways meet, in a filter that takes long. */
void filter_finish_code(struct code *code);
void filter_steer(struct code *code);

void filter_jump_ahead(struct code *code, struct jumps *jumps, struct bpf_insn insn);
void filter_land(struct code *code, struct jumps *jumps);
void filter_meet(struct code *code);

/* The value of a test into reg; is it in host byte order then? And a constant in the order that it is in. */
void filter_load_value(struct code *code, int reg, const struct test *test);
int filter_is_ordered(const struct test *test);
__u32 filter_as_loaded(const struct test *test, __u32 k);

/*
 * filter_copy.c: copy the frame's beginning where that is of use; and load from a copy what stands in one.
 * Returns 0 where it does not. Then what filter_field.c uses, too: see there.
 */
void filter_copy(struct code *code);
int filter_is_copied(const struct code *code, __u32 offset, int size);
int filter_load_copy(struct code *code, int reg, __u32 offset, int size);
void filter_begin(struct code *code);
void filter_renew(struct code *code);
void filter_unless(struct code *code, __u32 end, struct jumps *to);
void filter_rewrite(struct code *code, int from, int words);
void filter_store(struct code *code, int reg, int at);
void filter_forget(struct code *code, int reg, int spare);

/*
 * filter_field.c: have words for the fields that tests are about, those of so many words each; put addresses there.
 * The upper halves of the words of these fields = what; r0 is lost. regs[0] = 0 if the field is
 * what the test wants, of so many bits as are returned; the other two are lost. And reg with bit 1 set if the frame
 * ends before or within it; of an IPv6 address also reg = 0 if so, else not.
 */
void filter_reserve_fields(struct code *code, int of_words);
void filter_reserve_upper(struct code *code);
void filter_make_addresses(struct code *code);
void filter_mark(struct code *code, unsigned int fields, __u32 what);
unsigned int filter_fields_of(const struct code *code);
#define PORTS (1u << F_SOURCE_PORT | 1u << F_DESTINATION_PORT)
int filter_field_differs(struct code *code, const struct test *test, const __u8 *regs);
void filter_field_missing(struct code *code, const struct test *test, int reg);
void filter_field_mask(struct code *code, int field, int reg);

/* In the upper half of a word: there is no such field; the frame ends before or within it. Of what is no address with
 * a bit beyond all values, which are shifted, so that it is in no range. */
#define NOTHING 1u
#define MISSING 2u
#define VALUE   2          /* bits */
#define NONE    (1u << 20)

/*
 * filter_header.c: put ports and protocols there, at the beginning, of the header that fields are of; or in scratch
 * memory, those of all headers. And reg = such a field: of a word, size bytes, 4 for its upper half.
 */
void filter_make_ports(struct code *code);
void filter_make_headers(struct code *code);
void filter_load_field(struct code *code, const struct test *test, int reg, int size);

/* Jump to done unless the frame has what tells the type of what stands at code->c->field_header; and then to
 * arp (NULL: to done), six or done, or go on if it is IPv4. */
void filter_reach_type(struct code *code, struct jumps *done);
void filter_field_type(struct code *code, struct jumps *arp, struct jumps *six, struct jumps *done);
/* r0 = size bytes at offset, counted from r4, which are known to be there. */
void filter_fetch(struct code *code, __u32 offset, int size);
/* To six or done by IP's version, which is known to be there, or go on if it is 4. r0 is lost. */
void filter_tell_version(struct code *code, __u32 base, struct jumps *six, struct jumps *done);

/* filter_both.c: have a word for joined tests; regs[0] = 0 if one has the outcome that is returned; the other two
 * are lost. */
void filter_reserve_joined(struct code *code);
int filter_both(struct code *code, const struct test *test, const __u8 *regs);
int filter_product(struct code *code, const struct test *test, int product, int value, int ordered);

/* filter_eval.c: an arithmetic expression into r0, or two of them, see there; what is at
 * code->depth[depth] and up is lost, and r4. */
void filter_reserve_arith(struct code *code);
__u32 filter_most(const struct compiler *c, int node);
void filter_evaluate(struct code *code, int node, int depth);
void filter_evaluate_both(struct code *code, int left, int right, int depth, int reg);

/*
 * filter_chain.c: have words for chains of headers, of what cannot do without and of the rest; walk those that are
 * walked at the beginning; jump to to[1] if a chain holds k; else go on. r0, r4, r5 are lost.
 */
void filter_reserve_chain(struct code *code);
void filter_reserve_walks(struct code *code);
void filter_make_chains(struct code *code);
void filter_chain(struct code *code, const struct test *test);

#endif
