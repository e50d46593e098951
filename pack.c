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

#define IMAGE_MAX (1u << 20)
#define PAGE      4096u
#define TRIES     1000 /* earlier places with the same two bytes to look at */
#define LEN_MAX   1024

/* What the unpacker finds behind its code. */
struct header {
	uint32_t image, size, code, entry, calls;
};

/* The cheapest way found to have the first bytes up to some place. */
struct way {
	uint32_t bits;
	uint32_t from;     /* the place before its last step */
	uint32_t distance; /* of the last match so far; 0: none */
	int match;         /* the last step is a match, else one byte */
};

struct packer {
	const uint8_t *image;
	uint32_t size;
	uint8_t *out;
	uint32_t used, word, bits; /* word: where the current one is; bits: of it that are set */
};

static void *grab(size_t n, size_t size)
{
	void *memory = calloc(n, size);

	if (!memory) {
		fprintf(stderr, "pack: %s\n", strerror(errno));
		exit(1);
	}
	return memory;
}

static unsigned int gamma_bits(uint32_t number)
{
	unsigned int bits = 1;

	while (number >>= 1)
		bits += 2;
	return bits;
}

/* A step from one place to another, if that way is cheaper than those known. */
static void step(struct way *ways, uint32_t from, uint32_t to, uint32_t bits, uint32_t distance)
{
	bits += ways[from].bits;
	if (ways[to].bits <= bits)
		return;
	ways[to] = (struct way){bits, from, distance ? distance : ways[from].distance, !!distance};
}

static uint32_t same(const struct packer *packer, uint32_t at, uint32_t distance)
{
	uint32_t len = 0;

	while (len < LEN_MAX && at + len < packer->size &&
	       packer->image[at + len] == packer->image[at + len - distance])
		len++;
	return len;
}

/* Matches at a place with each earlier one that begins with the same two bytes. */
static void try_matches(const struct packer *packer, struct way *ways, uint32_t at,
			const uint32_t *earlier, uint32_t place)
{
	uint32_t best = 1;

	for (int tries = 0; place && tries < TRIES && best < LEN_MAX; tries++) {
		uint32_t distance = at - (place - 1), len = same(packer, at, distance);
		uint32_t bits = 2 + gamma_bits(((distance - 1) >> 8) + 1) + 8;

		for (; best < len; best++)
			step(ways, at, at + best + 1, bits + gamma_bits(best), distance);
		place = earlier[place];
	}
}

/* The cheapest way to every place, place by place: the last is that of the whole image. */
static struct way *find_ways(const struct packer *packer)
{
	uint32_t *latest = grab(1 << 16, sizeof(*latest)); /* by two bytes: their place + 1 */
	uint32_t *earlier = grab(packer->size + 1, sizeof(*earlier)); /* of the same two */
	struct way *ways = grab(packer->size + 1, sizeof(*ways));

	for (uint32_t at = 1; at <= packer->size; at++)
		ways[at].bits = UINT32_MAX;
	for (uint32_t at = 0; at < packer->size; at++) {
		uint32_t distance = ways[at].distance, len = 0;
		uint32_t *place;

		step(ways, at, at + 1, 9, 0);
		if (distance)
			len = same(packer, at, distance);
		for (uint32_t n = 1; n <= len; n++)
			step(ways, at, at + n, 2 + gamma_bits(n), distance);
		if (at + 1 == packer->size)
			break;
		place = &latest[packer->image[at] | packer->image[at + 1] << 8];
		try_matches(packer, ways, at, earlier, *place);
		earlier[at + 1] = *place;
		*place = at + 1;
	}
	free(latest);
	free(earlier);
	return ways;
}

static void put_bit(struct packer *packer, unsigned int bit)
{
	if (packer->bits == 32) {
		packer->word = packer->used;
		packer->used += 4;
		packer->bits = 0;
	}
	if (bit)
		packer->out[packer->word + 3 - packer->bits / 8] |= 0x80 >> packer->bits % 8;
	packer->bits++;
}

static void put_gamma(struct packer *packer, uint32_t number)
{
	for (unsigned int bit = gamma_bits(number) / 2; bit--;) {
		put_bit(packer, 1);
		put_bit(packer, number >> bit & 1);
	}
	put_bit(packer, 0);
}

/* Write the packed image. The first byte of all goes without its bit. */
static void put_way(struct packer *packer, const struct way *ways, const uint32_t *path,
		    uint32_t steps)
{
	packer->bits = 32;
	packer->out[packer->used++] = packer->image[0];
	for (uint32_t i = 1; i < steps; i++) {
		const struct way *way = &ways[path[i]];
		uint32_t len = path[i] - way->from;

		put_bit(packer, way->match);
		if (!way->match) {
			packer->out[packer->used++] = packer->image[way->from];
			continue;
		}
		put_bit(packer, way->distance == ways[way->from].distance);
		if (way->distance == ways[way->from].distance) {
			put_gamma(packer, len);
			continue;
		}
		put_gamma(packer, ((way->distance - 1) >> 8) + 1);
		packer->out[packer->used++] = way->distance - 1;
		put_gamma(packer, len - 1);
	}
}

/* Pack size bytes into out, which has room for 2 * size + 64. Returns how many they are. */
static uint32_t pack(const uint8_t *image, uint32_t size, uint8_t *out)
{
	struct packer packer = {.image = image, .size = size, .out = out};
	struct way *ways = find_ways(&packer);
	uint32_t *path = grab(size + 1, sizeof(*path)), steps = 0;

	for (uint32_t at = size; at; at = ways[at].from)
		path[steps++] = at;
	for (uint32_t i = 0; i < steps / 2; i++) {
		uint32_t place = path[i];

		path[i] = path[steps - 1 - i];
		path[steps - 1 - i] = place;
	}
	put_way(&packer, ways, path, steps);
	free(path);
	free(ways);
	return packer.used + 4; /* the unpacker may look at a word that is not needed */
}

/* e8 and e9, call and jmp: from a distance to a place, which repeats, its high byte first. */
static void make_calls_absolute(uint8_t *image, uint32_t size, uint32_t address)
{
	uint32_t distance, place;

	for (uint32_t at = 0; at < size;) {
		if ((image[at++] & 0xfe) != 0xe8)
			continue;
		memcpy(&distance, image + at, 4);
		place = htobe32(distance + address + at);
		memcpy(image + at, &place, 4);
		at += 4;
	}
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
	uint32_t calls;        /* bytes from code.p_vaddr to the end of .text */
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
					 program->code.p_vaddr;
}

/* The packed program in out. Returns its size. */
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
	make_calls_absolute(image, header.calls, header.image);
	memcpy(out + len, unpacker, unpacker_len);
	len += unpacker_len;
	memcpy(out + len, &header, sizeof(header));
	len += sizeof(header);
	len += pack(image, header.size, out + len);
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
	file = fopen(argv[3], "wb");
	if (!file || fwrite(out, 1, len, file) != len || fclose(file) || chmod(argv[3], 0755)) {
		wrong(argv[3], strerror(errno));
		return 1;
	}
	return 0;
}
