/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An object as clang makes it of xdp_prog.c, written out by hand, small enough to know each byte.
 * Tests break one field of it at a time.
 */
#ifndef ELF_IMAGE_H
#define ELF_IMAGE_H

#include <elf.h>
#include <string.h>

#include "bpf_insn.h"
#include "packet.h"

/* Sections, symbols and relocations by number. */
enum { S_NONE, S_STRTAB, S_TEXT, S_XDP, S_RELXDP, S_MAPS, S_RODATA, S_SYMTAB, S_LICENSE, SECTIONS };
enum {
	Y_NONE, Y_PROGRAM, Y_CONFIG, Y_LINKS, Y_CACHE, Y_FLOWS, Y_MAPS, Y_RODATA, Y_MATCH, Y_HELPER,
	Y_UNUSED, Y_DEEP, SYMBOLS
};
enum { R_CONFIG, R_FLOWS, R_MATCH, R_HELPER, RELOCATIONS };

#define STRINGS                                                                                    \
	"\0.strtab\0.text\0xdp\0.relxdp\0maps\0.rodata\0.symtab\0license\0"                        \
	"xguard\0config\0links\0cache\0flows\0match\0helper\0unused\0deep"

#define TEXT_LEN 9
#define XDP_LEN  8

struct image_map {
	__u32 type, key_size, value_size, max_entries, flags;
};

struct image {
	Elf64_Ehdr header;
	Elf64_Shdr sections[SECTIONS];
	char strings[sizeof(STRINGS)];
	struct bpf_insn text[TEXT_LEN] __attribute__((aligned(8)));
	struct bpf_insn xdp[XDP_LEN];
	Elf64_Rel relocations[RELOCATIONS];
	struct image_map maps[3];
	struct config config __attribute__((aligned(8)));
	__u32 constants[2];
	Elf64_Sym symbols[SYMBOLS];
	char license[8]; /* the end: nothing is padded behind it */
};

static inline __u32 image_string(const char *name)
{
	static const char strings[] = STRINGS;

	for (__u32 i = 0; i < sizeof(strings); i++)
		if (!strcmp(strings + i, name) && (!i || !strings[i - 1]))
			return i;
	return 0;
}

static inline Elf64_Sym image_symbol(const char *name, __u8 type, __u16 section, __u64 value,
				     __u64 size)
{
	return (Elf64_Sym){ .st_name = image_string(name), .st_info = ELF64_ST_INFO(0, type),
			    .st_shndx = section, .st_value = value, .st_size = size };
}

#define IMAGE_SECTION(NAME, TYPE, FLAGS, MEMBER)                                                   \
	{ .sh_name = image_string(NAME), .sh_type = TYPE, .sh_flags = FLAGS,                        \
	  .sh_offset = offsetof(struct image, MEMBER), .sh_size = sizeof(image->MEMBER) }

static inline void image_sections(struct image *image)
{
	const Elf64_Shdr sections[SECTIONS] = {
		[S_STRTAB] = IMAGE_SECTION(".strtab", SHT_STRTAB, 0, strings),
		[S_TEXT] = IMAGE_SECTION(".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, text),
		[S_XDP] = IMAGE_SECTION("xdp", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, xdp),
		[S_RELXDP] = IMAGE_SECTION(".relxdp", SHT_REL, SHF_INFO_LINK, relocations),
		[S_MAPS] = IMAGE_SECTION("maps", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, maps),
		[S_RODATA] = IMAGE_SECTION(".rodata", SHT_PROGBITS, SHF_ALLOC, config),
		[S_SYMTAB] = IMAGE_SECTION(".symtab", SHT_SYMTAB, 0, symbols),
		[S_LICENSE] = IMAGE_SECTION("license", SHT_PROGBITS, SHF_ALLOC, license),
	};

	memcpy(image->sections, sections, sizeof(sections));
	image->sections[S_RODATA].sh_size += sizeof(image->constants);
	image->sections[S_RELXDP].sh_link = S_SYMTAB;
	image->sections[S_RELXDP].sh_info = S_XDP;
	image->sections[S_RELXDP].sh_entsize = sizeof(Elf64_Rel);
	image->sections[S_SYMTAB].sh_link = S_STRTAB;
	image->sections[S_SYMTAB].sh_entsize = sizeof(Elf64_Sym);
}

static inline void image_symbols(struct image *image)
{
	const __u64 def = sizeof(struct image_map), insn = sizeof(struct bpf_insn);
	const Elf64_Sym symbols[SYMBOLS] = {
		[Y_PROGRAM] = image_symbol("xguard", STT_FUNC, S_XDP, 0, XDP_LEN * insn),
		[Y_CONFIG] = image_symbol("config", STT_OBJECT, S_RODATA, 0, sizeof(struct config)),
		[Y_CACHE] = image_symbol("cache", STT_OBJECT, S_MAPS, 0, def),
		[Y_FLOWS] = image_symbol("flows", STT_OBJECT, S_MAPS, def, def),
		[Y_LINKS] = image_symbol("links", STT_OBJECT, S_MAPS, 2 * def, def),
		[Y_MAPS] = image_symbol("", STT_SECTION, S_MAPS, 0, 0),
		[Y_RODATA] = image_symbol("", STT_SECTION, S_RODATA, 0, 0),
		[Y_UNUSED] = image_symbol("unused", STT_FUNC, S_TEXT, 0, 2 * insn),
		[Y_MATCH] = image_symbol("match", STT_FUNC, S_TEXT, 2 * insn, 3 * insn),
		[Y_HELPER] = image_symbol("helper", STT_FUNC, S_TEXT, 5 * insn, 2 * insn),
		[Y_DEEP] = image_symbol("deep", STT_FUNC, S_TEXT, 7 * insn, 2 * insn),
	};
	const Elf64_Rel relocations[RELOCATIONS] = {
		[R_CONFIG] = { 0 * insn, ELF64_R_INFO(Y_RODATA, 1) },
		[R_FLOWS] = { 2 * insn, ELF64_R_INFO(Y_MAPS, 1) },
		[R_MATCH] = { 5 * insn, ELF64_R_INFO(Y_MATCH, 10) },
		[R_HELPER] = { 6 * insn, ELF64_R_INFO(Y_HELPER, 10) },
	};

	memcpy(image->symbols, symbols, sizeof(symbols));
	memcpy(image->relocations, relocations, sizeof(relocations));
}

/* .text: unused, match (which calls deep), helper, deep. The program calls match and helper. */
static inline void image_code(struct image *image)
{
	const struct bpf_insn text[TEXT_LEN] = {
		BPF_MOV64_IMM(BPF_REG_0, 10), BPF_EXIT_INSN(),
		BPF_MOV64_IMM(BPF_REG_0, 11), BPF_CALL_REL(3), BPF_EXIT_INSN(),
		BPF_MOV64_IMM(BPF_REG_0, 12), BPF_EXIT_INSN(),
		BPF_MOV64_IMM(BPF_REG_0, 13), BPF_EXIT_INSN(),
	};
	const struct bpf_insn xdp[XDP_LEN] = {
		BPF_LD_IMM64(BPF_REG_1, sizeof(struct config)), BPF_LD_IMM64(BPF_REG_2, 20),
		BPF_EMIT_CALL(BPF_FUNC_get_smp_processor_id), BPF_CALL_REL(-1), BPF_CALL_REL(-1),
		BPF_EXIT_INSN(),
	};

	memcpy(image->text, text, sizeof(text));
	memcpy(image->xdp, xdp, sizeof(xdp));
}

static inline void image_make(struct image *image)
{
	const struct image_map maps[3] = {
		{ BPF_MAP_TYPE_ARRAY, 4, sizeof(struct flow_slot), 0, BPF_F_MMAPABLE },
		{ BPF_MAP_TYPE_HASH, sizeof(struct flow_key), sizeof(struct flow_count), 0, 0 },
		{ BPF_MAP_TYPE_ARRAY, 4, sizeof(struct link_count), 0, BPF_F_MMAPABLE },
	};

	memset(image, 0, sizeof(*image));
	memcpy(image->header.e_ident, ELFMAG, SELFMAG);
	image->header.e_ident[EI_CLASS] = ELFCLASS64;
	image->header.e_ident[EI_DATA] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
						 ? ELFDATA2LSB : ELFDATA2MSB;
	image->header.e_ident[EI_VERSION] = EV_CURRENT;
	image->header.e_type = ET_REL;
	image->header.e_machine = EM_BPF;
	image->header.e_shoff = offsetof(struct image, sections);
	image->header.e_shentsize = sizeof(Elf64_Shdr);
	image->header.e_shnum = SECTIONS;
	image->header.e_shstrndx = S_STRTAB;
	memcpy(image->strings, STRINGS, sizeof(STRINGS));
	memcpy(image->maps, maps, sizeof(maps));
	memcpy(image->license, "GPL", 4);
	image->config.version = XGUARD_ABI;
	image->constants[0] = 0x11223344;
	image_sections(image);
	image_symbols(image);
	image_code(image);
}

#endif
