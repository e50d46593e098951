/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pcap-filter(7) expression made into the body of match() in xdp_prog.c. Text in, instructions
 * or a message out; no system call.
 */
#ifndef XGUARD_FILTER_H
#define XGUARD_FILTER_H

#include <stddef.h>
#include <linux/types.h>

struct bpf_insn;
struct output;

/* What is wanted for frames in several pieces: no code; code that asks the kernel for their bytes, or that has it
 * copy their beginning to scratch memory first (packet.h); or the last, where there are no such frames, only if a
 * filter takes less to load so. */
enum { PIECES_NONE, PIECES_ASKED_FOR, PIECES_COPIED, PIECES_IF_CHEAPER };

#define FILTER_MAX_INSNS 32768
#define FILTER_STACK     256 /* bytes */

struct filter {
	struct bpf_insn *insns;   /* from malloc; NULL: every frame matches */
	size_t len;               /* instructions */
	struct bpf_insn *pieces;  /* the same for frames of several pieces, if asked for */
	size_t pieces_len;
	int no_pieces;            /* 1: there would be too much code for frames in pieces */
	int wants_key;            /* 1: it looks at packet.key */
	int pieces_copied;        /* 1: they are for scratch memory */
	int cost;                 /* of loading all that will be, in instructions (see filter_steer.c); 0: little */
	int pieces_alone;         /* 1: is right for others, too, and it would take long to load both */
	int column;               /* of the word that error is about, from 1; 0: none */
	char error[200];
};

/*
 * Compile expression (NULL or blank: every frame) for links of one LINK_ type, and'ed with a test
 * of the decoded protocol (IPPROTO_TCP, IPPROTO_UDP; IPPROTO_ICMP takes ICMPv6 too; 0: none).
 *
 * The code is called with r1 = const struct packet * on the caller's stack and returns 0 or 1 in
 * r0. It ends with its only exit instruction, jumps forward only, and leaves r6 to r8 as it found them, so
 * that it can also stand where the call stood. Memory of its own is at most FILTER_STACK bytes below r10,
 * which is nothing but the base of loads and stores, or copied to a register to which the next instruction
 * adds a constant: so all of it can be moved.
 *
 * With pieces (PIECES_), there is code for frames in several pieces, too (xdp.frags, Linux 5.18): it is for
 * match_pieces(), has the bytes copied by the kernel, and keeps no register but r10 as it found it.
 *
 * Returns 0, or -EINVAL with error and column filled in, or -ENOMEM.
 */
int filter_compile(struct filter *filter, const char *expression, unsigned int protocol,
		   unsigned int link_type, int pieces);
void filter_free(struct filter *filter);

/* The instructions as text, a line each. */
void filter_dump(const struct filter *filter, struct output *output);

#endif
