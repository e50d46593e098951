/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A relocatable ELF64 object for the BPF machine, in the host's byte order: sections, symbols and
 * relocations. bpf_elf_open() checks all of it once; the functions behind it cannot fail. Nothing
 * is allocated or copied, no system call is made, and the bytes may stand at any address.
 */
#ifndef XGUARD_BPF_ELF_H
#define XGUARD_BPF_ELF_H

#include <stddef.h>
#include <linux/types.h>

struct failure;

/* Types of relocations: a 64-bit load's constant, a call's target. */
#define BPF_RELOC_LOAD 1u
#define BPF_RELOC_CALL 10u

struct bpf_elf {
	const __u8 *bytes;
	size_t size;
	const char *name;       /* of the object, for messages */
	__u64 headers;          /* offset of the section headers */
	unsigned int nsections; /* section 0 included, which is none */
	unsigned int names;     /* the section with the sections' names */
	unsigned int symtab;    /* the section with the symbols; 0: there are none */
	size_t nsymbols;        /* symbol 0 included, which is none */
};

struct bpf_elf_section {
	const char *name;
	const __u8 *data;       /* NULL where the file holds no bytes of it (.bss) */
	__u64 size;
	__u64 flags;            /* SHF_ */
	__u64 entry_size;
	__u32 type;             /* SHT_ */
	__u32 link;
	__u32 info;
};

struct bpf_elf_symbol {
	const char *name;
	__u64 value;            /* offset in its section */
	__u64 size;             /* value + size is within the section */
	unsigned int section;   /* 0: undefined, or not in a section */
	__u8 type;              /* STT_ */
};

struct bpf_elf_relocation {
	__u64 offset;           /* in the section that it is for: a whole instruction's, in code */
	__u32 type;             /* BPF_RELOC_ or another one */
	__u32 symbol;
};

/*
 * Check the object. Returns 0, or a negative value with failure filled in: its step is name, its
 * reason says what did not fit. elf points into bytes and to name from then on.
 */
int bpf_elf_open(struct bpf_elf *elf, const void *bytes, size_t size, const char *name,
		 struct failure *failure);

/* Section, symbol, relocation i; i is below nsections, below nsymbols, below the count of a section
 * of type SHT_REL. */
void bpf_elf_section(const struct bpf_elf *elf, unsigned int i, struct bpf_elf_section *section);
void bpf_elf_symbol(const struct bpf_elf *elf, size_t i, struct bpf_elf_symbol *symbol);
size_t bpf_elf_relocations(const struct bpf_elf_section *section);
void bpf_elf_relocation(const struct bpf_elf_section *section, size_t i,
			struct bpf_elf_relocation *relocation);

/* The first section of that name: its number, 0 where there is none (section is zeroed then). */
unsigned int bpf_elf_find(const struct bpf_elf *elf, const char *name,
			  struct bpf_elf_section *section);

/*
 * The first symbol of a type (STT_FUNC, STT_OBJECT) in a section that has that name, or, where name
 * is NULL, that value. Returns 1, or 0 where there is none.
 */
int bpf_elf_find_symbol(const struct bpf_elf *elf, unsigned int section, __u8 type,
			const char *name, __u64 value, struct bpf_elf_symbol *symbol);

#endif
