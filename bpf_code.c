// SPDX-License-Identifier: GPL-2.0-or-later
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf_code.h"
#include "bpf_insn.h"
#include "failure.h"
#include "packet.h"

/* What a map is in the object, in its section `maps`. */
struct map_definition {
	__u32 type, key_size, value_size, max_entries, flags;
};

#define NO_OFFSET SIZE_MAX

static const struct map_kind {
	const char *name;
	struct map_definition is;
	size_t fd;                /* offset in struct bpf_maps; NO_OFFSET: the program's own */
} map_kinds[] = {
	{ "cache", { BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct flow_slot), 0,
		     BPF_F_MMAPABLE }, offsetof(struct bpf_maps, cache) },
	{ "flows", { BPF_MAP_TYPE_HASH, sizeof(struct flow_key), sizeof(struct flow_count), 0, 0 },
	  offsetof(struct bpf_maps, flows) },
	{ "links", { BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct link_count), 0,
		     BPF_F_MMAPABLE }, offsetof(struct bpf_maps, links) },
	{ "scratch", { BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), SCRATCH_SIZE, 0, 0 }, NO_OFFSET },
};

int bpf_code_refuse(struct bpf_code *code, const char *why, ...)
{
	char reason[512];
	va_list args;

	va_start(args, why);
	vsnprintf(reason, sizeof(reason), why, args);
	va_end(args);
	fail(code->failure, 0, "%s", code->program->name);
	fail_reason(code->failure, "%s", reason);
	return fail_next(code->failure, "an object for --object is made of this version's "
			 "xdp_prog.c: make build/xdp_prog.o");
}

static int find_map(struct bpf_code *code, const struct map_kind *kind,
		    struct bpf_elf_symbol *symbol, struct map_definition *is)
{
	if (!code->map_defs_section ||
	    !bpf_elf_find_symbol(&code->elf, code->map_defs_section, STT_OBJECT, kind->name, 0,
				 symbol))
		return 0;
	memset(is, 0, sizeof(*is));
	if (code->map_defs.data && symbol->size == sizeof(*is))
		memcpy(is, code->map_defs.data + symbol->value, sizeof(*is));
	return 1;
}

/* The maps were made without looking at the object: it must mean the same ones. */
static int check_maps(struct bpf_code *code)
{
	for (size_t i = 0; i < sizeof(map_kinds) / sizeof(map_kinds[0]); i++) {
		const struct map_kind *kind = &map_kinds[i];
		struct map_definition is;
		struct bpf_elf_symbol symbol;

		if (!find_map(code, kind, &symbol, &is))
			continue;
		if (is.type != kind->is.type || is.key_size != kind->is.key_size ||
		    is.value_size != kind->is.value_size || is.flags != kind->is.flags)
			return bpf_code_refuse(code, "map `%s`: type %u, key %u, value %u, flags 0x%x where "
					       "type %u, key %u, value %u, flags 0x%x are wanted", kind->name,
					       is.type, is.key_size, is.value_size, is.flags, kind->is.type,
					       kind->is.key_size, kind->is.value_size, kind->is.flags);
	}
	return 0;
}

int bpf_code_open(struct bpf_code *code, const struct bpf_program *program,
		  const struct bpf_maps *maps, struct failure *failure)
{
	struct bpf_elf_section license;

	memset(code, 0, sizeof(*code));
	code->program = program;
	code->maps = maps;
	code->failure = failure;
	if (bpf_elf_open(&code->elf, program->object, program->size, program->name, failure))
		return bpf_code_refuse(code, "%s", strdupa(failure->reason));
	code->entry_section = bpf_elf_find(&code->elf, PROGRAM_SECTION, &code->entry);
	if (!code->entry.size || !(code->entry.flags & SHF_EXECINSTR))
		return bpf_code_refuse(code, "no program in a section `" PROGRAM_SECTION "`");
	code->text_section = bpf_elf_find(&code->elf, ".text", &code->text);
	if (code->text.size && !(code->text.flags & SHF_EXECINSTR))
		return bpf_code_refuse(code, "section `.text` is no code");
	code->map_defs_section = bpf_elf_find(&code->elf, "maps", &code->map_defs);
	bpf_elf_find(&code->elf, "license", &license);
	if (!license.data || !license.size || license.data[license.size - 1])
		return bpf_code_refuse(code, "no license in a section `license`");
	code->license = (const char *)license.data;
	code->entry_len = code->entry.size / sizeof(struct bpf_insn);
	code->flat_len = code->entry_len + code->text.size / sizeof(struct bpf_insn);
	return check_maps(code);
}

/* Constants: compilers spread them over .rodata, .rodata.cst16 and the like. */
static int is_rodata(const struct bpf_elf_section *section)
{
	return section->data && section->flags & SHF_ALLOC &&
	       !(section->flags & (SHF_WRITE | SHF_EXECINSTR)) &&
	       !strncmp(section->name, ".rodata", 7);
}

/* Where a section's constants stand in the map: one after the other, aligned to 16 bytes. With
 * section 0, how large the map is. */
static __u64 rodata_offset(const struct bpf_code *code, unsigned int section)
{
	struct bpf_elf_section other;
	__u64 offset = 0;

	for (unsigned int i = 1; i < code->elf.nsections && i != section; i++) {
		bpf_elf_section(&code->elf, i, &other);
		if (is_rodata(&other))
			offset += (other.size + 15) / 16 * 16;
	}
	return offset;
}

/* The offset of `config` in the map, or a negative value: the object is of another version. */
static long find_config(struct bpf_code *code)
{
	struct bpf_elf_section rodata;
	struct bpf_elf_symbol symbol;
	unsigned int section = bpf_elf_find(&code->elf, ".rodata", &rodata);
	__u32 version;

	if (!section || !is_rodata(&rodata) ||
	    !bpf_elf_find_symbol(&code->elf, section, STT_OBJECT, "config", 0, &symbol) ||
	    symbol.size < sizeof(version))
		return bpf_code_refuse(code, "no `config` in a section `.rodata`");
	memcpy(&version, rodata.data + symbol.value, sizeof(version));
	if (version != XGUARD_ABI)
		return bpf_code_refuse(code, "built from another version's xdp_prog.c (0x%x, this one's is "
				       "0x%x)", version, XGUARD_ABI);
	if (symbol.size != sizeof(struct config))
		return bpf_code_refuse(code, "`config` has %llu bytes where %zu are wanted",
				       (unsigned long long)symbol.size, sizeof(struct config));
	return rodata_offset(code, section) + symbol.value;
}

int bpf_code_constants(struct bpf_code *code, const struct config *config)
{
	__u64 size = rodata_offset(code, 0);
	long at = find_config(code);
	struct config ours = *config;
	struct bpf_elf_section section;
	__u8 *bytes;

	if (at < 0)
		return at;
	bytes = calloc(1, size);
	if (!bytes)
		return fail(code->failure, ENOMEM, "load %s", code->program->name);
	for (unsigned int i = 1; i < code->elf.nsections; i++) {
		bpf_elf_section(&code->elf, i, &section);
		if (is_rodata(&section))
			memcpy(bytes + rodata_offset(code, i), section.data, section.size);
	}
	ours.version = XGUARD_ABI;
	code->frags = ours.frags;
	memcpy(bytes + at, &ours, sizeof(ours));
	free(code->constants);
	code->constants = bytes;
	code->constants_size = size;
	return 0;
}

/* The map whose definition stands at an offset of section `maps`, in *fd (-1: not made). Returns 0 if it is none
 * of ours. */
static int map_at(struct bpf_code *code, __u64 offset, int *fd)
{
	for (size_t i = 0; i < sizeof(map_kinds) / sizeof(map_kinds[0]); i++) {
		struct map_definition is;
		struct bpf_elf_symbol symbol;

		if (!find_map(code, &map_kinds[i], &symbol, &is) || symbol.value != offset)
			continue;
		*fd = map_kinds[i].fd == NO_OFFSET ? code->scratch_fd :
			*(const int *)((const char *)code->maps + map_kinds[i].fd);
		return 1;
	}
	return 0;
}

/* A 64-bit load's constant becomes a map, or an address in the map of constants. */
static int relocate_load(struct bpf_code *code, struct bpf_insn *insn,
			 const struct bpf_elf_symbol *symbol, int constants_fd)
{
	struct bpf_elf_section section;
	__u64 offset = symbol->value + (__s64)insn->imm;
	int fd;

	bpf_elf_section(&code->elf, symbol->section, &section);
	if (offset >= section.size)
		return bpf_code_refuse(code, "the code refers to 0x%llx in section %u (%llu bytes)",
				       (unsigned long long)offset, symbol->section,
				       (unsigned long long)section.size);
	if (symbol->section == code->map_defs_section) {
		if (!map_at(code, offset, &fd))
			return bpf_code_refuse(code, "the code refers to a map that xguard does not have");
		insn[0].src_reg = fd < 0 ? 0 : BPF_PSEUDO_MAP_FD; /* what is not made is not used: folded away */
		insn[0].imm = fd < 0 ? 0 : fd;
		insn[1].imm = 0;
		return 0;
	}
	if (!is_rodata(&section))
		return bpf_code_refuse(code, "the code refers to section %u, which holds neither maps nor "
				       "constants", symbol->section);
	insn[0].src_reg = BPF_PSEUDO_MAP_VALUE;
	insn[0].imm = constants_fd;
	insn[1].imm = rodata_offset(code, symbol->section) + offset;
	return 0;
}

/* A call's distance. The symbol says which section; it and the constant, less one, where in it. */
static int relocate_call(struct bpf_code *code, size_t at, const struct bpf_elf_symbol *symbol)
{
	struct bpf_insn *insn = &code->flat[at];
	__s64 target = (__s64)(symbol->value / sizeof(*insn)) + insn->imm + 1;

	if (!code->text_section || symbol->section != code->text_section)
		return bpf_code_refuse(code, "the code calls into section %u, which is not `.text`",
				       symbol->section);
	if (target < 0 || target >= (__s64)(code->flat_len - code->entry_len))
		return bpf_code_refuse(code, "the code calls instruction %lld of `.text`, which has %zu",
				       (long long)target, code->flat_len - code->entry_len);
	insn->imm = (__s64)code->entry_len + target - ((__s64)at + 1);
	return 0;
}

static int relocate(struct bpf_code *code, size_t base, size_t len,
		    const struct bpf_elf_relocation *relocation, int constants_fd)
{
	size_t at = base + relocation->offset / sizeof(struct bpf_insn);
	struct bpf_insn *insn = &code->flat[at];
	struct bpf_elf_symbol symbol;

	bpf_elf_symbol(&code->elf, relocation->symbol, &symbol);
	if (!symbol.section)
		return bpf_code_refuse(code, "symbol %u of the code is not defined", relocation->symbol);
	if (relocation->type == BPF_RELOC_LOAD && insn->code == (BPF_LD | BPF_DW | BPF_IMM) &&
	    at + 1 < base + len)
		return relocate_load(code, insn, &symbol, constants_fd);
	if (relocation->type == BPF_RELOC_CALL && insn->code == (BPF_JMP | BPF_CALL) &&
	    insn->src_reg == BPF_PSEUDO_CALL)
		return relocate_call(code, at, &symbol);
	return bpf_code_refuse(code, "relocation of type %u for an instruction of code 0x%02x",
			       relocation->type, insn->code);
}

/* Copy a section's code to flat, from base on, and apply the relocations that are for it. */
static int flatten(struct bpf_code *code, unsigned int section, size_t base, int constants_fd)
{
	struct bpf_elf_relocation relocation;
	struct bpf_elf_section from, table;
	int err = 0;

	if (!section)
		return 0;
	bpf_elf_section(&code->elf, section, &from);
	if (from.size) /* an empty .bss has no data at all */
		memcpy(code->flat + base, from.data, from.size);
	for (unsigned int i = 1; i < code->elf.nsections; i++) {
		bpf_elf_section(&code->elf, i, &table);
		if (table.type != SHT_REL || table.info != section)
			continue;
		for (size_t n = 0; !err && n < bpf_elf_relocations(&table); n++) {
			bpf_elf_relocation(&table, n, &relocation);
			err = relocate(code, base, from.size / sizeof(struct bpf_insn), &relocation,
				       constants_fd);
		}
	}
	return err;
}

int bpf_code_lay_out(struct bpf_code *code, int constants_fd, int scratch_fd)
{
	int err;

	free(code->flat);
	free(code->insns);
	code->room = code->flat_len +
		     CODE_FILTER_CALLS * (code->program->filter_len + code->program->pieces_len);
	code->len = code->nfunctions = 0;
	code->constants_fd = constants_fd;
	code->scratch_fd = scratch_fd;
	code->flat = calloc(code->flat_len, sizeof(*code->flat));
	code->insns = calloc(code->room, sizeof(*code->insns));
	if (!code->flat || !code->insns)
		return fail(code->failure, ENOMEM, "load %s", code->program->name);
	err = flatten(code, code->entry_section, 0, constants_fd);
	if (!err)
		err = flatten(code, code->text_section, code->entry_len, constants_fd);
	if (!err)
		err = bpf_code_place(code);
	return err;
}

void bpf_code_release(struct bpf_code *code)
{
	free(code->constants);
	free(code->flat);
	free(code->insns);
	code->constants = code->flat = code->insns = NULL;
}
