// SPDX-License-Identifier: GPL-2.0-or-later
#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bpf_elf.h"
#include "failure.h"

#define INSN_SIZE 8u

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HOST_ORDER ELFDATA2LSB
#else
#define HOST_ORDER ELFDATA2MSB
#endif

static const char *order_name(int order)
{
	return order == ELFDATA2LSB ? "little-endian" : "big-endian";
}

/* Every offset and count of the file comes through here: count entries of entry_size bytes at
 * offset lie within size bytes. Nothing is added or multiplied, so nothing can overflow. */
static int fits(__u64 size, __u64 offset, __u64 count, __u64 entry_size)
{
	return offset <= size && (entry_size == 0 || count <= (size - offset) / entry_size);
}

/* A name of the file's for a message: what could change the terminal is made a question mark. */
static const char *shown(char text[48], const char *name)
{
	size_t i;

	for (i = 0; i < 47 && name[i]; i++)
		text[i] = name[i] < 0x20 || name[i] > 0x7e ? '?' : name[i];
	text[i] = '\0';
	return text;
}

/* Reject section i. Its name is shown where it is known to be one (NULL: not yet). */
__attribute__((format(printf, 5, 6)))
static int reject(struct failure *failure, const struct bpf_elf *elf, unsigned int i,
		  const char *name, const char *why, ...)
{
	char text[48], reason[256];
	va_list args;

	va_start(args, why);
	vsnprintf(reason, sizeof(reason), why, args);
	va_end(args);
	fail(failure, 0, "%s", elf->name);
	if (!name)
		return fail_reason(failure, "section %u: %s", i, reason);
	return fail_reason(failure, "section %u `%s`: %s", i, shown(text, name), reason);
}

static void section_header(const struct bpf_elf *elf, unsigned int i, Elf64_Shdr *header)
{
	memcpy(header, elf->bytes + elf->headers + (__u64)i * sizeof(*header), sizeof(*header));
}

void bpf_elf_section(const struct bpf_elf *elf, unsigned int i, struct bpf_elf_section *section)
{
	Elf64_Shdr header, names;

	section_header(elf, i, &header);
	section_header(elf, elf->names, &names);
	section->name = (const char *)elf->bytes + names.sh_offset + header.sh_name;
	section->data = header.sh_type == SHT_NOBITS || header.sh_type == SHT_NULL
				? NULL : elf->bytes + header.sh_offset;
	section->size = header.sh_size;
	section->flags = header.sh_flags;
	section->entry_size = header.sh_entsize;
	section->type = header.sh_type;
	section->link = header.sh_link;
	section->info = header.sh_info;
}

void bpf_elf_symbol(const struct bpf_elf *elf, size_t i, struct bpf_elf_symbol *symbol)
{
	struct bpf_elf_section table, names;
	Elf64_Sym raw;

	bpf_elf_section(elf, elf->symtab, &table);
	bpf_elf_section(elf, table.link, &names);
	memcpy(&raw, table.data + i * sizeof(raw), sizeof(raw));
	symbol->name = (const char *)names.data + raw.st_name;
	symbol->value = raw.st_value;
	symbol->size = raw.st_size;
	symbol->section = raw.st_shndx < SHN_LORESERVE ? raw.st_shndx : 0;
	symbol->type = ELF64_ST_TYPE(raw.st_info);
}

size_t bpf_elf_relocations(const struct bpf_elf_section *section)
{
	return section->size / sizeof(Elf64_Rel);
}

void bpf_elf_relocation(const struct bpf_elf_section *section, size_t i,
			struct bpf_elf_relocation *relocation)
{
	Elf64_Rel raw;

	memcpy(&raw, section->data + i * sizeof(raw), sizeof(raw));
	relocation->offset = raw.r_offset;
	relocation->type = ELF64_R_TYPE(raw.r_info);
	relocation->symbol = ELF64_R_SYM(raw.r_info);
}

unsigned int bpf_elf_find(const struct bpf_elf *elf, const char *name,
			  struct bpf_elf_section *section)
{
	for (unsigned int i = 1; i < elf->nsections; i++) {
		bpf_elf_section(elf, i, section);
		if (!strcmp(section->name, name))
			return i;
	}
	memset(section, 0, sizeof(*section));
	return 0;
}

int bpf_elf_find_symbol(const struct bpf_elf *elf, unsigned int section, __u8 type,
			const char *name, __u64 value, struct bpf_elf_symbol *symbol)
{
	for (size_t i = 1; i < elf->nsymbols; i++) {
		bpf_elf_symbol(elf, i, symbol);
		if (symbol->section == section && symbol->type == type &&
		    (name ? !strcmp(symbol->name, name) : symbol->value == value))
			return 1;
	}
	return 0;
}

static int check_header(struct bpf_elf *elf, Elf64_Ehdr *header, struct failure *failure)
{
	fail(failure, 0, "%s", elf->name);
	if (!fits(elf->size, 0, 1, sizeof(*header)))
		return fail_reason(failure, "%zu bytes are too few for an ELF header", elf->size);
	memcpy(header, elf->bytes, sizeof(*header));
	if (memcmp(header->e_ident, ELFMAG, SELFMAG))
		return fail_reason(failure, "not an ELF object");
	if (header->e_ident[EI_CLASS] != ELFCLASS64)
		return fail_reason(failure, "ELF class %u where 64-bit (%u) is wanted",
				   header->e_ident[EI_CLASS], ELFCLASS64);
	if (header->e_ident[EI_DATA] != ELFDATA2LSB && header->e_ident[EI_DATA] != ELFDATA2MSB)
		return fail_reason(failure, "byte order %u is neither little- nor big-endian",
				   header->e_ident[EI_DATA]);
	if (header->e_ident[EI_DATA] != HOST_ORDER)
		return fail_reason(failure, "built for %s machines, this one is %s",
				   order_name(header->e_ident[EI_DATA]), order_name(HOST_ORDER));
	if (header->e_ident[EI_VERSION] != EV_CURRENT)
		return fail_reason(failure, "ELF version %u where %u is wanted",
				   header->e_ident[EI_VERSION], EV_CURRENT);
	if (header->e_machine != EM_BPF)
		return fail_reason(failure, "built for machine %u, not for BPF (%u)",
				   header->e_machine, EM_BPF);
	if (header->e_type != ET_REL)
		return fail_reason(failure, "ELF type %u where a relocatable object (%u) is wanted",
				   header->e_type, ET_REL);
	return 0;
}

static int check_table(struct bpf_elf *elf, const Elf64_Ehdr *header, struct failure *failure)
{
	if (!header->e_shnum)
		return fail_reason(failure, "no section headers");
	if (header->e_shentsize != sizeof(Elf64_Shdr))
		return fail_reason(failure, "section headers of %u bytes where %zu are wanted",
				   header->e_shentsize, sizeof(Elf64_Shdr));
	if (!fits(elf->size, header->e_shoff, header->e_shnum, sizeof(Elf64_Shdr)))
		return fail_reason(failure, "%u section headers at 0x%llx lie beyond the end of the "
				   "file (%zu bytes)", header->e_shnum,
				   (unsigned long long)header->e_shoff, elf->size);
	if (header->e_shstrndx >= header->e_shnum)
		return fail_reason(failure, "section names in section %u of %u",
				   header->e_shstrndx, header->e_shnum);
	elf->headers = header->e_shoff;
	elf->nsections = header->e_shnum;
	elf->names = header->e_shstrndx;
	return 0;
}

/* Strings need no other check than that their offset is within the table: it ends with a NUL. */
static int check_strings(const struct bpf_elf *elf, unsigned int i, struct failure *failure)
{
	Elf64_Shdr header;

	section_header(elf, i, &header);
	if (header.sh_type != SHT_STRTAB)
		return reject(failure, elf, i, NULL, "type %u where a string table (%u) is wanted",
			      header.sh_type, SHT_STRTAB);
	if (!fits(elf->size, header.sh_offset, header.sh_size, 1))
		return reject(failure, elf, i, NULL, "%llu bytes at 0x%llx lie beyond the end of "
			      "the file (%zu bytes)", (unsigned long long)header.sh_size,
			      (unsigned long long)header.sh_offset, elf->size);
	if (!header.sh_size || elf->bytes[header.sh_offset + header.sh_size - 1])
		return reject(failure, elf, i, NULL, "string table that does not end with a NUL");
	return 0;
}

static int check_section(const struct bpf_elf *elf, unsigned int i, struct failure *failure)
{
	struct bpf_elf_section section;
	Elf64_Shdr header, names;

	section_header(elf, i, &header);
	section_header(elf, elf->names, &names);
	if (!fits(names.sh_size, header.sh_name, 1, 1))
		return reject(failure, elf, i, NULL, "name at %u lies beyond the string table (%llu "
			      "bytes)", header.sh_name, (unsigned long long)names.sh_size);
	if (header.sh_type != SHT_NOBITS && header.sh_type != SHT_NULL &&
	    !fits(elf->size, header.sh_offset, header.sh_size, 1))
		return reject(failure, elf, i, (const char *)elf->bytes + names.sh_offset +
			      header.sh_name, "%llu bytes at 0x%llx lie beyond the end of the "
			      "file (%zu bytes)", (unsigned long long)header.sh_size,
			      (unsigned long long)header.sh_offset, elf->size);
	bpf_elf_section(elf, i, &section);
	if (section.flags & SHF_EXECINSTR && (!section.data || section.size % INSN_SIZE))
		return reject(failure, elf, i, section.name, "%llu bytes are no whole instructions",
			      (unsigned long long)(section.data ? section.size : 0));
	return 0;
}

/* Tables of records: of the size that we read, and whole. */
static int check_records(const struct bpf_elf *elf, unsigned int i,
			 const struct bpf_elf_section *section, size_t record,
			 struct failure *failure)
{
	if (section->entry_size != record)
		return reject(failure, elf, i, section->name, "entries of %llu bytes where %zu are "
			      "wanted", (unsigned long long)section->entry_size, record);
	if (section->size % record)
		return reject(failure, elf, i, section->name, "%llu bytes are no whole entries of "
			      "%zu", (unsigned long long)section->size, record);
	return 0;
}

static int check_symbol(const struct bpf_elf *elf, size_t i, const struct bpf_elf_section *table,
			__u64 names, struct failure *failure)
{
	struct bpf_elf_section section;
	struct bpf_elf_symbol symbol;
	Elf64_Sym raw;

	memcpy(&raw, table->data + i * sizeof(raw), sizeof(raw));
	if (!fits(names, raw.st_name, 1, 1))
		return reject(failure, elf, elf->symtab, table->name, "symbol %zu: name at %u lies "
			      "beyond the string table (%llu bytes)", i, raw.st_name,
			      (unsigned long long)names);
	if (raw.st_shndx >= elf->nsections && raw.st_shndx != SHN_ABS &&
	    raw.st_shndx != SHN_COMMON)
		return reject(failure, elf, elf->symtab, table->name, "symbol %zu: in section %u "
			      "of %u", i, raw.st_shndx, elf->nsections);
	bpf_elf_symbol(elf, i, &symbol);
	if (!symbol.section)
		return 0;
	bpf_elf_section(elf, symbol.section, &section);
	if (!fits(section.size, symbol.value, symbol.size, 1))
		return reject(failure, elf, elf->symtab, table->name, "symbol %zu: %llu bytes at "
			      "0x%llx lie beyond the end of section %u (%llu bytes)", i,
			      (unsigned long long)symbol.size, (unsigned long long)symbol.value,
			      symbol.section, (unsigned long long)section.size);
	return 0;
}

static int check_symbols(struct bpf_elf *elf, unsigned int i, struct failure *failure)
{
	struct bpf_elf_section table, names;
	int err;

	bpf_elf_section(elf, i, &table);
	if (elf->symtab)
		return reject(failure, elf, i, table.name, "a second symbol table");
	err = check_records(elf, i, &table, sizeof(Elf64_Sym), failure);
	if (err)
		return err;
	if (table.link >= elf->nsections)
		return reject(failure, elf, i, table.name, "names in section %u of %u", table.link,
			      elf->nsections);
	err = check_strings(elf, table.link, failure);
	if (err)
		return err;
	bpf_elf_section(elf, table.link, &names);
	elf->symtab = i;
	elf->nsymbols = table.size / sizeof(Elf64_Sym);
	for (size_t n = 0; n < elf->nsymbols && !err; n++)
		err = check_symbol(elf, n, &table, names.size, failure);
	return err;
}

/* In code a relocation is for a whole instruction; in other sections (debugging data, if any) for
 * bytes that nobody here looks at. */
static int check_relocation(const struct bpf_elf *elf, unsigned int i,
			    const struct bpf_elf_section *table, size_t n, struct failure *failure)
{
	struct bpf_elf_relocation relocation;
	struct bpf_elf_section target;
	int code;

	bpf_elf_section(elf, table->info, &target);
	bpf_elf_relocation(table, n, &relocation);
	code = !!(target.flags & SHF_EXECINSTR);
	if (relocation.symbol >= elf->nsymbols)
		return reject(failure, elf, i, table->name, "relocation %zu: symbol %u of %zu", n,
			      relocation.symbol, elf->nsymbols);
	if (!fits(target.size, relocation.offset, 1, code ? INSN_SIZE : 1))
		return reject(failure, elf, i, table->name, "relocation %zu: 0x%llx lies beyond the "
			      "end of section %u (%llu bytes)", n,
			      (unsigned long long)relocation.offset, table->info,
			      (unsigned long long)target.size);
	if (code && relocation.offset % INSN_SIZE)
		return reject(failure, elf, i, table->name, "relocation %zu: 0x%llx is within an "
			      "instruction", n, (unsigned long long)relocation.offset);
	return 0;
}

static int check_relocations(const struct bpf_elf *elf, unsigned int i, struct failure *failure)
{
	struct bpf_elf_section table, target;
	int err;

	bpf_elf_section(elf, i, &table);
	if (!table.info || table.info >= elf->nsections)
		return reject(failure, elf, i, table.name, "relocations for section %u of %u",
			      table.info, elf->nsections);
	bpf_elf_section(elf, table.info, &target);
	if (table.type == SHT_RELA && target.flags & SHF_EXECINSTR)
		return reject(failure, elf, i, table.name, "relocations of code with addends, which "
			      "no BPF compiler writes");
	if (table.type == SHT_RELA)
		return 0;
	if (!elf->symtab || table.link != elf->symtab)
		return reject(failure, elf, i, table.name, "symbols in section %u, the symbol table "
			      "is section %u", table.link, elf->symtab);
	err = check_records(elf, i, &table, sizeof(Elf64_Rel), failure);
	for (size_t n = 0; !err && n < bpf_elf_relocations(&table); n++)
		err = check_relocation(elf, i, &table, n, failure);
	return err;
}

int bpf_elf_open(struct bpf_elf *elf, const void *bytes, size_t size, const char *name,
		 struct failure *failure)
{
	struct bpf_elf_section section;
	Elf64_Ehdr header;
	int err;

	memset(elf, 0, sizeof(*elf));
	elf->bytes = bytes;
	elf->size = size;
	elf->name = name;
	err = check_header(elf, &header, failure);
	if (!err)
		err = check_table(elf, &header, failure);
	if (!err)
		err = check_strings(elf, elf->names, failure);
	for (unsigned int i = 0; !err && i < elf->nsections; i++)
		err = check_section(elf, i, failure);
	for (unsigned int i = 1; !err && i < elf->nsections; i++) {
		bpf_elf_section(elf, i, &section);
		if (section.type == SHT_SYMTAB)
			err = check_symbols(elf, i, failure);
	}
	for (unsigned int i = 1; !err && i < elf->nsections; i++) {
		bpf_elf_section(elf, i, &section);
		if (section.type == SHT_REL || section.type == SHT_RELA)
			err = check_relocations(elf, i, failure);
	}
	return err;
}
