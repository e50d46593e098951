// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pack PROGRAM UNPACKER PACKED: from a static x86-64 program that is linked for a fixed address,
 * one that unpacks itself to there. UNPACKER is the code of unpack.S, which says what the format
 * is. Runs where xguard is built.
 */
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pack.h"

#define IMAGE_MAX (1u << 20)
#define PAGE      4096u
/* The unpacker's last bytes. */
struct header {
	uint32_t image, size, code, entry, calls, mark;
};

/*
 * e8 and e9, call and jmp: from a distance to a place, which repeats, its high byte first, and counted from
 * mark on; or (back) from that to a distance. Only where it is one of the calls bytes in which the calls are.
 */
static void convert_calls(uint8_t *image, uint32_t calls, uint32_t mark, int back)
{
	uint32_t number;

	for (uint32_t at = 1; at <= calls; at++) {
		if ((image[at - 1] & 0xfe) != 0xe8)
			continue;
		memcpy(&number, image + at, 4);
		number = back ? be32toh(number) - mark : le32toh(number) + at;
		if (number >= calls)
			continue;
		number = back ? htole32(number - at) : htobe32(number + mark);
		memcpy(image + at, &number, 4);
		at += 4;
	}
}

/* Make them absolute, with the first mark that nothing else looks like. Returns it; 0: there is none. */
static uint32_t mark_calls(uint8_t *image, uint32_t size, uint32_t calls)
{
	uint8_t *absolute = grab(1, size), *relative = grab(1, size);
	uint32_t mark = 0;
	int same;

	do {
		mark += IMAGE_MAX;
		memcpy(absolute, image, size);
		convert_calls(absolute, calls, mark, 0);
		memcpy(relative, absolute, size);
		convert_calls(relative, calls, mark, 1);
		same = !memcmp(relative, image, size);
	} while (!same && mark);
	memcpy(image, absolute, size);
	free(absolute);
	free(relative);
	return mark;
}

static int wrong(const char *name, const char *why)
{
	fprintf(stderr, "pack: %s: %s\n", name, why);
	return -1;
}

/* All of a file, with 16 zero bytes behind it; NULL: a message was printed. */
static uint8_t *read_file(const char *name, size_t *size)
{
	FILE *file = fopen(name, "rb");
	uint8_t *bytes = grab(1, 16 * IMAGE_MAX + 16);

	*size = file ? fread(bytes, 1, 16 * IMAGE_MAX, file) : 0;
	if (*size && !ferror(file) && !fclose(file))
		return bytes;
	wrong(name, errno ? strerror(errno) : "empty");
	return NULL;
}

struct program {
	const uint8_t *bytes;
	size_t len;
	Elf64_Phdr code, data; /* its two segments */
	Elf64_Addr entry;
	uint32_t calls;        /* bytes from code.p_vaddr to where .text's last four begin */
};

static int find_segments(struct program *program, const char *name)
{
	const Elf64_Ehdr *elf = (const void *)program->bytes;
	const Elf64_Phdr *segments = (const void *)(program->bytes + elf->e_phoff);
	int n = 0;

	if (program->len < sizeof(*elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG) ||
	    elf->e_machine != EM_X86_64 || elf->e_type != ET_EXEC)
		return wrong(name, "no x86-64 program for a fixed address");
	for (int i = 0; i < elf->e_phnum; i++) {
		if (segments[i].p_type == PT_TLS || segments[i].p_type == PT_INTERP)
			return wrong(name, "has a segment that does not outlive the packing");
		if (segments[i].p_type != PT_LOAD)
			continue;
		if (n == 2 || segments[i].p_offset + segments[i].p_filesz > program->len)
			return wrong(name, "other segments than code and data");
		(n++ ? &program->data : &program->code)[0] = segments[i];
	}
	if (n != 2 || program->code.p_flags != (PF_R | PF_X) ||
	    program->data.p_flags != (PF_R | PF_W) || program->code.p_vaddr % PAGE ||
	    program->data.p_vaddr + program->data.p_memsz - program->code.p_vaddr > IMAGE_MAX)
		return wrong(name, "other segments than code and data");
	if (program->data.p_memsz - program->data.p_filesz < 8) /* what the unpacker zeroes */
		return wrong(name, "no eight bytes behind its data that begin as zero");
	if (program->data.p_vaddr / PAGE <=
	    (program->code.p_vaddr + program->code.p_filesz - 1) / PAGE)
		return wrong(name, "code and data share a page");
	program->entry = elf->e_entry;
	return 0;
}

/* Where .text ends, from the start of the code. */
static void find_text(struct program *program)
{
	const Elf64_Ehdr *elf = (const void *)program->bytes;
	const Elf64_Shdr *sections = (const void *)(program->bytes + elf->e_shoff);

	for (int i = 0; i < elf->e_shnum; i++)
		if (sections[i].sh_flags & SHF_EXECINSTR)
			program->calls = sections[i].sh_addr + sections[i].sh_size -
					 program->code.p_vaddr - 4;
}

/* The packed program in out. Returns its size; 0: a message was printed. */
static size_t make_packed(const struct program *program, const uint8_t *unpacker,
			  size_t unpacker_len, uint8_t *out)
{
	const Elf64_Phdr *code = &program->code, *data = &program->data;
	struct header header = {
		.image = code->p_vaddr,
		.size = data->p_vaddr + data->p_filesz - code->p_vaddr,
		.code = (code->p_filesz + PAGE - 1) / PAGE * PAGE,
		.entry = program->entry,
		.calls = program->calls,
	};
	Elf64_Phdr segments[] = {
		{.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_align = PAGE,
		 .p_vaddr = code->p_vaddr - IMAGE_MAX, .p_paddr = code->p_vaddr - IMAGE_MAX},
		{.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_align = PAGE,
		 .p_vaddr = code->p_vaddr, .p_paddr = code->p_vaddr,
		 .p_memsz = data->p_vaddr + data->p_memsz - code->p_vaddr},
		{.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W, .p_align = 16},
	};
	Elf64_Ehdr elf = *(const Elf64_Ehdr *)program->bytes;
	size_t start = sizeof(elf) + sizeof(segments), len = start;
	uint8_t *image = grab(1, header.size);

	memcpy(image, program->bytes + code->p_offset, code->p_filesz);
	memcpy(image + data->p_vaddr - code->p_vaddr, program->bytes + data->p_offset,
	       data->p_filesz);
	header.mark = mark_calls(image, header.size, header.calls);
	if (!header.mark) {
		free(image);
		wrong("calls", "all that they could be looks like what is there");
		return 0;
	}
	memcpy(out + len, unpacker, unpacker_len);
	len += unpacker_len;
	memcpy(out + len - sizeof(header), &header, sizeof(header));
	len += pack(image, header.size, header.calls, out + len);
	free(image);

	segments[0].p_filesz = segments[0].p_memsz = len;
	elf.e_entry = segments[0].p_vaddr + start;
	elf.e_phoff = sizeof(elf);
	elf.e_phnum = sizeof(segments) / sizeof(segments[0]);
	/* One section, which is none, so that file(1) calls it stripped. */
	elf.e_shoff = (len + 7) / 8 * 8;
	elf.e_shnum = 1;
	elf.e_shstrndx = 0;
	memcpy(out, &elf, sizeof(elf));
	memcpy(out + sizeof(elf), segments, sizeof(segments));
	return elf.e_shoff + sizeof(Elf64_Shdr);
}

int main(int argc, char **argv)
{
	struct program program = {0};
	uint8_t *unpacker, *out = grab(1, 3 * IMAGE_MAX);
	size_t unpacker_len, len;
	FILE *file;

	if (argc != 4) {
		fprintf(stderr, "usage: pack PROGRAM UNPACKER PACKED\n");
		return 2;
	}
	program.bytes = read_file(argv[1], &program.len);
	unpacker = read_file(argv[2], &unpacker_len);
	if (!program.bytes || !unpacker || find_segments(&program, argv[1]))
		return 1;
	find_text(&program);
	len = make_packed(&program, unpacker, unpacker_len, out);
	if (!len)
		return 1;
	file = fopen(argv[3], "wb");
	if (!file || fwrite(out, 1, len, file) != len || fclose(file) || chmod(argv[3], 0755)) {
		wrong(argv[3], strerror(errno));
		return 1;
	}
	return 0;
}
