/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An object of xdp_prog.c, a configuration and a filter to the instructions and constants that the
 * kernel is given. Bytes in, bytes out: no system call. Part of bpf_load.c.
 */
#ifndef XGUARD_BPF_CODE_H
#define XGUARD_BPF_CODE_H

#include "bpf_elf.h"
#include "bpf_load.h"

#define PROGRAM_SECTION "xdp"
#define CODE_FUNCTIONS_MAX 256u /* the kernel takes no more */
#define CODE_FILTER_CALLS  2u   /* of each kind of filter: before and behind the decoder */

/* A function of the object, and where it stands in what is loaded; all in instructions. */
struct code_function {
	size_t from, size;         /* in flat */
	size_t len;                /* in insns */
	size_t to;                 /* in insns */
	const struct bpf_insn *filter; /* what it is replaced by; NULL: it is as it was compiled */
};

struct bpf_code {
	struct bpf_insn *insns;    /* what to load: the program, then the functions that it reaches */
	size_t len;                /* instructions */
	void *constants;           /* the value of the map that holds the object's .rodata */
	__u32 constants_size;
	int constants_fd;          /* of that map */
	int scratch_fd;            /* of a map of scratch memory; -1: there is none */
	const char *license;
	int frags;                 /* config.frags: there may be frames in pieces */

	const struct bpf_program *program;
	const struct bpf_maps *maps;
	struct failure *failure;
	struct bpf_elf elf;
	struct bpf_elf_section entry, text, map_defs;
	unsigned int entry_section, text_section, map_defs_section;
	size_t entry_len, flat_len;
	struct bpf_insn *flat;     /* section xdp, then .text, relocated */
	size_t room;               /* of insns */
	struct code_function functions[CODE_FUNCTIONS_MAX];
	unsigned int nfunctions;
};

/*
 * Parse the object and check that it means our maps. The arguments must live as long as code does.
 * Returns 0, or a negative value with failure filled in; release it in any case.
 */
int bpf_code_open(struct bpf_code *code, const struct bpf_program *program,
		  const struct bpf_maps *maps, struct failure *failure);

/* Make constants of the object's .rodata, with config in its place. May be called again for another
 * config. Returns 0, or a negative value with failure filled in. */
int bpf_code_constants(struct bpf_code *code, const struct config *config);

/* Make insns, which refer to the maps, to a map of the constants and to one of scratch memory (-1: none) by
 * their descriptors. Returns 0, or a negative value with failure filled in. */
int bpf_code_lay_out(struct bpf_code *code, int constants_fd, int scratch_fd);

/* bpf_fold.c: leave out of a function, whose calls need not be in their final form yet, what its constants
 * rule out. Returns its new length, or a negative value with failure filled in. */
long bpf_code_fold(struct bpf_code *code, struct bpf_insn *insns, size_t len);
int bpf_code_is_jump(const struct bpf_insn *insn);

/* bpf_place.c: put the functions that flat's program reaches into insns, the program first, the filter
 * in its place. Returns 0, or a negative value with failure filled in. */
int bpf_code_place(struct bpf_code *code);

/* The object is not what xguard can load: say why. Returns a negative value. */
int bpf_code_refuse(struct bpf_code *code, const char *why, ...)
	__attribute__((format(printf, 2, 3)));

void bpf_code_release(struct bpf_code *code);

#endif
