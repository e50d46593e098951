// SPDX-License-Identifier: GPL-2.0-or-later
/* The ELF parser against objects that are broken in one field each, or in any way at all. */
#include <stdlib.h>

#include "../../bpf_elf.c"
#include "../../failure.c"
#include "elf_image.h"
#include "tap.h"

/* Set a field to a value; the object is then accepted (NULL), or refused with these words. */
struct row {
	const char *name;
	size_t offset, size;
	__u64 value;
	const char *wanted;
};

#define ROW(NAME, FIELD, VALUE, WANTED)                                                            \
	{ NAME, offsetof(struct image, FIELD), sizeof(((struct image *)0)->FIELD), VALUE, WANTED }

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OTHER_ORDER ELFDATA2MSB
#define OTHER_TEXT  "built for big-endian machines, this one is little-endian"
#else
#define OTHER_ORDER ELFDATA2LSB
#define OTHER_TEXT  "built for little-endian machines, this one is big-endian"
#endif


static const struct row rows[] = {
	ROW("a good object", header.e_flags, 0, NULL),
	ROW("magic", header.e_ident[0], 'M', "not an ELF object"),
	ROW("32-bit class", header.e_ident[EI_CLASS], 1, "ELF class 1 where 64-bit (2) is wanted"),
	ROW("class 0", header.e_ident[EI_CLASS], 0, "ELF class 0 where 64-bit (2) is wanted"),
	ROW("the other byte order", header.e_ident[EI_DATA], OTHER_ORDER, OTHER_TEXT),
	ROW("no byte order", header.e_ident[EI_DATA], 3,
	    "byte order 3 is neither little- nor big-endian"),
	ROW("ELF version", header.e_ident[EI_VERSION], 2, "ELF version 2 where 1 is wanted"),
	ROW("another machine", header.e_machine, EM_X86_64, "built for machine 62, not for BPF (247)"),
	ROW("an executable", header.e_type, ET_EXEC,
	    "ELF type 2 where a relocatable object (1) is wanted"),
	ROW("no section headers", header.e_shnum, 0, "no section headers"),
	ROW("size of section headers", header.e_shentsize, 40,
	    "section headers of 40 bytes where 64 are wanted"),
	ROW("section headers too many", header.e_shnum, 0xffff,
	    "65535 section headers at 0x40 lie beyond the end of the file"),
	ROW("section headers beyond the end", header.e_shoff, sizeof(struct image),
	    "9 section headers at 0x"),
	ROW("section headers near 2^64", header.e_shoff, -64, "9 section headers at "
	    "0xffffffffffffffc0 lie beyond the end of the file"),
	ROW("section headers at 2^64 - 1", header.e_shoff, -1, "lie beyond the end of the file"),
	ROW("section headers over the ELF header", header.e_shoff, 0, "section"),
	ROW("section names nowhere", header.e_shstrndx, SECTIONS, "section names in section 9 of 9"),
	ROW("section names in code", header.e_shstrndx, S_XDP,
	    "section 3: type 1 where a string table (3) is wanted"),
	ROW("string table empty", sections[S_STRTAB].sh_size, 0,
	    "section 1: string table that does not end with a NUL"),
	ROW("string table without NUL", strings[sizeof(STRINGS) - 1], 'x',
	    "section 1: string table that does not end with a NUL"),
	ROW("string table beyond the end", sections[S_STRTAB].sh_offset, 1ull << 40,
	    "section 1: 113 bytes at 0x10000000000 lie beyond the end of the file"),
	ROW("string table near 2^64", sections[S_STRTAB].sh_offset, -1,
	    "section 1: 113 bytes at 0xffffffffffffffff lie beyond the end of the file"),
	ROW("string table of 2^64 - 1 bytes", sections[S_STRTAB].sh_size, -1,
	    "section 1: 18446744073709551615 bytes at 0x280 lie beyond the end of the file"),
	ROW("name of a section", sections[S_RODATA].sh_name, sizeof(STRINGS),
	    "section 6: name at 113 lies beyond the string table (113 bytes)"),
	ROW("name of a section near 2^32", sections[S_RODATA].sh_name, -1,
	    "section 6: name at 4294967295 lies beyond the string table"),
	ROW("section of 4 GiB", sections[S_MAPS].sh_size, 1ull << 32,
	    "section 5 `maps`: 4294967296 bytes at 0x"),
	ROW("section beyond the end", sections[S_MAPS].sh_offset, 0x100000,
	    "section 5 `maps`: 60 bytes at 0x100000 lie beyond the end of the file"),
	ROW("section's end near 2^64", sections[S_RODATA].sh_size, -8,
	    "section 6 `.rodata`: 18446744073709551608 bytes at 0x"),
	ROW("a section without bytes may be of any size", sections[S_LICENSE].sh_type, SHT_NOBITS,
	    NULL),
	ROW("half an instruction", sections[S_TEXT].sh_size, 12,
	    "section 2 `.text`: 12 bytes are no whole instructions"),
	ROW("code without bytes", sections[S_TEXT].sh_type, SHT_NOBITS,
	    "section 2 `.text`: 0 bytes are no whole instructions"),
	ROW("no symbol table", sections[S_SYMTAB].sh_type, SHT_PROGBITS,
	    "section 4 `.relxdp`: symbols in section 7, the symbol table is section 0"),
	ROW("two symbol tables", sections[S_LICENSE].sh_type, SHT_SYMTAB,
	    "section 8 `license`: a second symbol table"),
	ROW("size of symbols", sections[S_SYMTAB].sh_entsize, 16,
	    "section 7 `.symtab`: entries of 16 bytes where 24 are wanted"),
	ROW("size of symbols 0", sections[S_SYMTAB].sh_entsize, 0,
	    "section 7 `.symtab`: entries of 0 bytes where 24 are wanted"),
	ROW("half a symbol", sections[S_SYMTAB].sh_size, 36,
	    "section 7 `.symtab`: 36 bytes are no whole entries of 24"),
	ROW("symbols' names nowhere", sections[S_SYMTAB].sh_link, SECTIONS,
	    "section 7 `.symtab`: names in section 9 of 9"),
	ROW("symbols' names in no string table", sections[S_SYMTAB].sh_link, S_TEXT,
	    "section 2: type 1 where a string table (3) is wanted"),
	ROW("name of a symbol", symbols[Y_CONFIG].st_name, 4096,
	    "section 7 `.symtab`: symbol 2: name at 4096 lies beyond the string table (113 bytes)"),
	ROW("section of a symbol", symbols[Y_CONFIG].st_shndx, SECTIONS,
	    "section 7 `.symtab`: symbol 2: in section 9 of 9"),
	ROW("section of a symbol in a table of its own", symbols[Y_CONFIG].st_shndx, SHN_XINDEX,
	    "section 7 `.symtab`: symbol 2: in section 65535 of 9"),
	ROW("an absolute symbol", symbols[Y_UNUSED].st_shndx, SHN_ABS, NULL),
	ROW("an undefined symbol", symbols[Y_UNUSED].st_shndx, SHN_UNDEF, NULL),
	ROW("symbol beyond its section", symbols[Y_LINKS].st_value, 41,
	    "section 7 `.symtab`: symbol 3: 20 bytes at 0x29 lie beyond the end of section 5 (60 "
	    "bytes)"),
	ROW("symbol at a section's end", symbols[Y_MAPS].st_value, 60, NULL),
	ROW("symbol near 2^64", symbols[Y_LINKS].st_value, -8,
	    "section 7 `.symtab`: symbol 3: 20 bytes at 0xfffffffffffffff8 lie beyond"),
	ROW("symbol of 2^64 - 1 bytes", symbols[Y_CONFIG].st_size, -1,
	    "section 7 `.symtab`: symbol 2: 18446744073709551615 bytes at 0x0 lie beyond"),
	ROW("relocations for no section", sections[S_RELXDP].sh_info, 0,
	    "section 4 `.relxdp`: relocations for section 0 of 9"),
	ROW("relocations for a section that is not there", sections[S_RELXDP].sh_info, SECTIONS,
	    "section 4 `.relxdp`: relocations for section 9 of 9"),
	ROW("relocations with other symbols", sections[S_RELXDP].sh_link, S_STRTAB,
	    "section 4 `.relxdp`: symbols in section 1, the symbol table is section 7"),
	ROW("relocations of code with addends", sections[S_RELXDP].sh_type, SHT_RELA,
	    "section 4 `.relxdp`: relocations of code with addends"),
	ROW("size of relocations", sections[S_RELXDP].sh_entsize, 24,
	    "section 4 `.relxdp`: entries of 24 bytes where 16 are wanted"),
	ROW("half a relocation", sections[S_RELXDP].sh_size, 24,
	    "section 4 `.relxdp`: 24 bytes are no whole entries of 16"),
	ROW("symbol of a relocation", relocations[R_MATCH].r_info, ELF64_R_INFO((__u64)SYMBOLS, 10),
	    "section 4 `.relxdp`: relocation 2: symbol 12 of 12"),
	ROW("relocation beyond its section", relocations[R_MATCH].r_offset, 64,
	    "section 4 `.relxdp`: relocation 2: 0x40 lies beyond the end of section 3 (64 bytes)"),
	ROW("relocation near 2^64", relocations[R_MATCH].r_offset, -8,
	    "section 4 `.relxdp`: relocation 2: 0xfffffffffffffff8 lies beyond the end"),
	ROW("relocation within an instruction", relocations[R_MATCH].r_offset, 44,
	    "section 4 `.relxdp`: relocation 2: 0x2c is within an instruction"),
	ROW("relocations of data need no alignment", sections[S_RELXDP].sh_info, S_RODATA, NULL),
};

/* Look at everything that the parser gives out; the sanitizers watch. */
static size_t walk(const struct bpf_elf *elf)
{
	struct bpf_elf_relocation relocation;
	struct bpf_elf_section section, target;
	struct bpf_elf_symbol symbol;
	size_t sum = 0;

	for (unsigned int i = 0; i < elf->nsections; i++) {
		bpf_elf_section(elf, i, &section);
		sum += strlen(section.name);
		for (size_t n = 0; section.data && n < section.size; n++)
			sum += section.data[n];
		for (size_t n = 0; i && section.type == SHT_REL && n < bpf_elf_relocations(&section);
		     n++) {
			bpf_elf_relocation(&section, n, &relocation);
			bpf_elf_symbol(elf, relocation.symbol, &symbol);
			bpf_elf_section(elf, section.info, &target);
			if (target.data)
				sum += target.data[relocation.offset];
		}
	}
	for (size_t n = 0; n < elf->nsymbols; n++) {
		bpf_elf_symbol(elf, n, &symbol);
		bpf_elf_section(elf, symbol.section, &section);
		sum += strlen(symbol.name);
		if (symbol.section && section.data && symbol.size)
			sum += section.data[symbol.value + symbol.size - 1];
	}
	return sum;
}

/* Open size bytes that stand at an odd address, with nothing behind them. */
static int open_copy(const void *bytes, size_t size, struct failure *failure)
{
	struct bpf_elf elf;
	char *copy = malloc(size + 1);
	int result;

	memcpy(copy + 1, bytes, size);
	result = bpf_elf_open(&elf, copy + 1, size, "file.o", failure);
	if (!result)
		walk(&elf);
	free(copy);
	return result;
}

static void set(struct image *image, const struct row *row)
{
	__u64 value = row->value;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	value <<= 64 - 8 * row->size;
#endif
	memcpy((char *)image + row->offset, &value, row->size);
}

static void test_row(const struct row *row)
{
	struct failure failure = { 0 };
	struct image image;
	int result;

	image_make(&image);
	set(&image, row);
	result = open_copy(&image, sizeof(image), &failure);
	if (!row->wanted) {
		if (!ok(!result, "%s: accepted", row->name))
			printf("# got: %s\n", failure.reason);
		return;
	}
	if (!ok(result < 0 && strstr(failure.reason, row->wanted) && !strcmp(failure.step, "file.o"),
		"%s", row->name))
		printf("# result: %d\n# got:    %s: %s\n# wanted: %s\n", result, failure.step,
		       failure.reason, row->wanted);
}

static void test_truncated(void)
{
	struct failure failure;
	struct image image;
	size_t wrong = 0;

	image_make(&image);
	for (size_t size = 0; size < sizeof(image); size++) {
		memset(&failure, 0, sizeof(failure));
		if (open_copy(&image, size, &failure) >= 0 || !failure.reason[0])
			wrong++;
	}
	is_number(wrong, 0, "cut off at any length it is refused");
}

static void test_any_byte(void)
{
	static const __u8 values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	struct failure failure;
	struct image image;
	unsigned int refused = 0;

	for (size_t i = 0; i < sizeof(image); i++) {
		for (size_t n = 0; n < sizeof(values); n++) {
			image_make(&image);
			((__u8 *)&image)[i] = values[n];
			refused += open_copy(&image, sizeof(image), &failure) < 0;
		}
	}
	ok(refused > 500, "any byte changed: no harm (%u refused)", refused);
}

static void test_random(void)
{
	__u64 random = 88172645463325252ull;
	struct failure failure;
	struct image image;
	unsigned int accepted = 0;

	for (int i = 0; i < 100000; i++) {
		image_make(&image);
		for (int n = i % 4; n >= 0; n--) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			memcpy((char *)&image + random % (sizeof(image) - 8), &random,
			       1 + (random >> 32) % 8);
		}
		accepted += !open_copy(&image, sizeof(image), &failure);
	}
	ok(accepted > 1000 && accepted < 99000, "random bytes: no harm (%u accepted)", accepted);
}

static void test_find(void)
{
	struct bpf_elf_section section;
	struct bpf_elf_symbol symbol;
	struct failure failure;
	struct image image;
	struct bpf_elf elf;

	image_make(&image);
	bpf_elf_open(&elf, &image, sizeof(image), "good", &failure);
	is_number(bpf_elf_find(&elf, ".rodata", &section), S_RODATA, "a section by name");
	is_number(section.size, sizeof(struct config) + 8, "its size");
	is_number(bpf_elf_find(&elf, ".data", &section), 0, "no section of that name");
	ok(!section.data && !section.size, "and nothing in it");
	ok(bpf_elf_find_symbol(&elf, S_MAPS, STT_OBJECT, "flows", 0, &symbol) && symbol.value == 20,
	   "a symbol by name");
	ok(bpf_elf_find_symbol(&elf, S_TEXT, STT_FUNC, NULL, 40, &symbol) &&
	   !strcmp(symbol.name, "helper"), "a symbol by value");
	ok(!bpf_elf_find_symbol(&elf, S_XDP, STT_FUNC, NULL, 40, &symbol), "none in another section");
	ok(!bpf_elf_find_symbol(&elf, S_TEXT, STT_OBJECT, NULL, 40, &symbol), "none of another type");
}

/* A name that would clear the screen. */
static void test_terminal(void)
{
	struct failure failure = { 0 };
	struct image image;

	image_make(&image);
	memcpy(image.strings + image_string(".rodata"), "\033[2J\n\x9b", 6);
	image.sections[S_RODATA].sh_size = -1;
	open_copy(&image, sizeof(image), &failure);
	ok(strstr(failure.reason, "`?[2J??a`") != NULL, "a name cannot reach the terminal's controls");
}

int main(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		test_row(&rows[i]);
	test_truncated();
	test_any_byte();
	test_random();
	test_find();
	test_terminal();
	return done();
}
