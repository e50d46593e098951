// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: whatever --object names, it is refused with a reason, or becomes instructions that
 * keep to their buffers. First byte: the maps' descriptors, whether there is a filter, and whether the
 * rest is the object or, three bytes each, where and what to change in a good one (tests/elf_image.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf_code.h"
#include "bpf_insn.h"
#include "failure.h"
#include "packet.h"
#include "tests/elf_image.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

static volatile unsigned int seen;

/* Touch every byte that the parser gives out: the sanitizer says where one is not the object's. */
static void walk(const struct bpf_elf *elf)
{
	struct bpf_elf_relocation relocation;
	struct bpf_elf_section section;
	struct bpf_elf_symbol symbol;

	for (unsigned int i = 0; i < elf->nsections; i++) {
		bpf_elf_section(elf, i, &section);
		seen += strlen(section.name);
		for (size_t at = 0; section.data && at < section.size; at++)
			seen += section.data[at];
		if (section.type == 9) /* SHT_REL */
			for (size_t at = 0; at < bpf_elf_relocations(&section); at++) {
				bpf_elf_relocation(&section, at, &relocation);
				seen += relocation.symbol;
			}
	}
	for (size_t i = 0; i < elf->nsymbols; i++) {
		bpf_elf_symbol(elf, i, &symbol);
		seen += strlen(symbol.name);
	}
}

static void broken(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

/* Only code that stays within itself may come out. */
static void check(const struct bpf_code *code)
{
	for (size_t i = 0; i < code->len; i++)
		if (code->insns[i].code == (BPF_JMP | BPF_CALL) &&
		    code->insns[i].src_reg == BPF_PSEUDO_CALL &&
		    (code->insns[i].imm < -(int)i - 1 ||
		     (long long)i + 1 + code->insns[i].imm >= (long long)code->len))
			broken("a call out of the code");
}

/* Bytes of their own, or reads in front of them go unseen. */
static __u8 *make_object(const __u8 *data, size_t size, int changes, size_t *object_size)
{
	struct image image;
	__u8 *object;

	*object_size = changes ? sizeof(image) : size;
	object = malloc(*object_size ? *object_size : 1);
	if (!changes) {
		memcpy(object, data, size);
		return object;
	}
	image_make(&image);
	memcpy(object, &image, sizeof(image));
	for (; size >= 3; data += 3, size -= 3)
		object[(data[0] | data[1] << 8) % sizeof(image)] = data[2];
	return object;
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	static const struct bpf_insn filter[] = { BPF_MOV64_IMM(BPF_REG_0, 1), BPF_EXIT_INSN() };
	struct bpf_program program = { .name = "object" };
	struct bpf_maps maps = { .cpus = 2, .slot_bits = 8, .nlinks = 1 };
	struct failure failure = { .reason = "" };
	struct config config = { .plain = 0 };
	struct bpf_code code;
	__u8 *object;
	int err;

	if (!size)
		return 0;
	maps.cache = data[0] & 0x3f;
	maps.flows = maps.cache + 1;
	maps.links = maps.cache + 2;
	config.plain = config.frags = data[0] & 1;
	if (data[0] & 0x80) {
		program.filter = filter;
		program.filter_len = 2;
		program.pieces = filter;
		program.pieces_len = 2;
	}
	object = make_object(data + 1, size - 1, data[0] & 0x40, &program.size);
	program.object = object;
	err = bpf_code_open(&code, &program, &maps, &failure);
	if (!err)
		walk(&code.elf);
	if (!err)
		err = bpf_code_constants(&code, &config);
	if (!err)
		err = bpf_code_lay_out(&code, 9, -1);
	if (!err)
		check(&code);
	else if (!failure.reason[0])
		broken("refused without a reason");
	bpf_code_release(&code);
	free(object);
	return 0;
}
