// SPDX-License-Identifier: GPL-2.0-or-later
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf.h"
#include "bpf_elf.h"
#include "bpf_insn.h"
#include "bpf_load.h"
#include "failure.h"
#include "load_hints.h"
#include "packet.h"

#ifndef BPF_F_XDP_HAS_FRAGS
#define BPF_F_XDP_HAS_FRAGS (1u << 5)
#endif

#define FILE_MAX      (16u << 20)
#define FUNCTIONS_MAX 256u /* the kernel takes no more */
#define LOG_FIRST     (64u << 10)
#define LOG_MAX       (16u << 20)
#define LOG_LINES     12

#define PROGRAM_SECTION "xdp"
#define FILTER_FUNCTION "match"

/* A function of the object, and where it stands in what is loaded; both in instructions. */
struct function {
	size_t from;    /* in load.flat */
	size_t len;     /* in load.code */
	size_t to;      /* in load.code */
	int replaced;   /* by the filter: its calls, if any, are its own */
};

struct load {
	const struct bpf_program *program;
	const struct bpf_maps *maps;
	struct failure *failure;
	struct bpf_elf elf;
	struct bpf_elf_section entry, text, map_defs;
	unsigned int entry_section, text_section, map_defs_section;
	const char *license;
	int rodata;               /* map of one entry, or -1 */
	struct bpf_insn *flat;    /* section xdp, then .text, relocated */
	size_t entry_len, flat_len;
	struct bpf_insn *code;    /* the functions that are reached */
	size_t len, room;
	struct function functions[FUNCTIONS_MAX];
	unsigned int nfunctions;
};

/* What a map is in the object, in its section `maps`. */
struct map_definition {
	__u32 type, key_size, value_size, max_entries, flags;
};

static const struct map_kind {
	const char *name;
	struct map_definition is;
	size_t fd;                /* offset in struct bpf_maps */
} map_kinds[] = {
	{ "cache", { BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct flow_slot), 0,
		     BPF_F_MMAPABLE }, offsetof(struct bpf_maps, cache) },
	{ "flows", { BPF_MAP_TYPE_HASH, sizeof(struct flow_key), sizeof(struct flow_count), 0, 0 },
	  offsetof(struct bpf_maps, flows) },
	{ "links", { BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct link_count), 0,
		     BPF_F_MMAPABLE }, offsetof(struct bpf_maps, links) },
};

/* The object is not what xguard can load. Returns a negative value. */
__attribute__((format(printf, 2, 3)))
static int refuse(struct load *load, const char *why, ...)
{
	char reason[512];
	va_list args;

	va_start(args, why);
	vsnprintf(reason, sizeof(reason), why, args);
	va_end(args);
	fail(load->failure, 0, "%s", load->program->name);
	fail_reason(load->failure, "%s", reason);
	return fail_next(load->failure, "an object for --object is made of this version's "
			 "xdp_prog.c: make build/xdp_prog.o");
}

static int find_map(struct load *load, const struct map_kind *kind,
		    struct bpf_elf_symbol *symbol, struct map_definition *is)
{
	if (!load->map_defs_section ||
	    !bpf_elf_find_symbol(&load->elf, load->map_defs_section, STT_OBJECT, kind->name, 0,
				 symbol))
		return 0;
	memset(is, 0, sizeof(*is));
	if (load->map_defs.data && symbol->size == sizeof(*is))
		memcpy(is, load->map_defs.data + symbol->value, sizeof(*is));
	return 1;
}

/* The maps were made without looking at the object: it must mean the same ones. */
static int check_maps(struct load *load)
{
	for (size_t i = 0; i < sizeof(map_kinds) / sizeof(map_kinds[0]); i++) {
		const struct map_kind *kind = &map_kinds[i];
		struct map_definition is;
		struct bpf_elf_symbol symbol;

		if (!find_map(load, kind, &symbol, &is))
			continue;
		if (is.type != kind->is.type || is.key_size != kind->is.key_size ||
		    is.value_size != kind->is.value_size || is.flags != kind->is.flags)
			return refuse(load, "map `%s`: type %u, key %u, value %u, flags 0x%x where "
				      "type %u, key %u, value %u, flags 0x%x are wanted", kind->name,
				      is.type, is.key_size, is.value_size, is.flags, kind->is.type,
				      kind->is.key_size, kind->is.value_size, kind->is.flags);
	}
	return 0;
}

static int open_object(struct load *load)
{
	const struct bpf_program *program = load->program;
	struct bpf_elf_section license;

	if (bpf_elf_open(&load->elf, program->object, program->size, program->name, load->failure))
		return refuse(load, "%s", strdupa(load->failure->reason));
	load->entry_section = bpf_elf_find(&load->elf, PROGRAM_SECTION, &load->entry);
	if (!load->entry.size || !(load->entry.flags & SHF_EXECINSTR))
		return refuse(load, "no program in a section `" PROGRAM_SECTION "`");
	load->text_section = bpf_elf_find(&load->elf, ".text", &load->text);
	if (load->text.size && !(load->text.flags & SHF_EXECINSTR))
		return refuse(load, "section `.text` is no code");
	load->map_defs_section = bpf_elf_find(&load->elf, "maps", &load->map_defs);
	bpf_elf_find(&load->elf, "license", &license);
	if (!license.data || !license.size || license.data[license.size - 1])
		return refuse(load, "no license in a section `license`");
	load->license = (const char *)license.data;
	load->entry_len = load->entry.size / sizeof(struct bpf_insn);
	load->flat_len = load->entry_len + load->text.size / sizeof(struct bpf_insn);
	return check_maps(load);
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
static __u64 rodata_offset(const struct load *load, unsigned int section)
{
	struct bpf_elf_section other;
	__u64 offset = 0;

	for (unsigned int i = 1; i < load->elf.nsections && i != section; i++) {
		bpf_elf_section(&load->elf, i, &other);
		if (is_rodata(&other))
			offset += (other.size + 15) / 16 * 16;
	}
	return offset;
}

/* The offset of `config` in the map, or a negative value: the object is of another version. */
static long find_config(struct load *load)
{
	struct bpf_elf_section rodata;
	struct bpf_elf_symbol symbol;
	unsigned int section = bpf_elf_find(&load->elf, ".rodata", &rodata);
	__u32 version;

	if (!section || !is_rodata(&rodata) ||
	    !bpf_elf_find_symbol(&load->elf, section, STT_OBJECT, "config", 0, &symbol) ||
	    symbol.size < sizeof(version))
		return refuse(load, "no `config` in a section `.rodata`");
	memcpy(&version, rodata.data + symbol.value, sizeof(version));
	if (version != XGUARD_ABI)
		return refuse(load, "built from another version's xdp_prog.c (0x%x, this one's is "
			      "0x%x)", version, XGUARD_ABI);
	if (symbol.size != sizeof(struct config))
		return refuse(load, "`config` has %llu bytes where %zu are wanted",
			      (unsigned long long)symbol.size, sizeof(struct config));
	return rodata_offset(load, section) + symbol.value;
}

/* A map of one entry that nobody can change any more: so the verifier takes its bytes for
 * constants, and drops the branches that they rule out (since 5.5). */
static int frozen_map(struct load *load, const void *bytes, __u32 size)
{
	const __u32 key = 0;
	int fd = bpf_map_create("xg_rodata", BPF_MAP_TYPE_ARRAY, sizeof(key), size, 1,
				BPF_F_RDONLY_PROG);
	int err = fd;

	if (fd >= 0)
		err = bpf_map_update(fd, &key, bytes, BPF_ANY);
	if (!err)
		err = bpf_map_freeze(fd);
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	fail(load->failure, -err, "create the map of the program's constants (%u bytes)", size);
	load_advice(load->failure, NULL);
	return err;
}

static int create_rodata(struct load *load, const struct config *config)
{
	__u64 size = rodata_offset(load, 0);
	long at = find_config(load);
	__u8 *bytes;

	if (at < 0)
		return at;
	bytes = calloc(1, size);
	if (!bytes)
		return fail(load->failure, ENOMEM, "load %s", load->program->name);
	for (unsigned int i = 1; i < load->elf.nsections; i++) {
		struct bpf_elf_section section;

		bpf_elf_section(&load->elf, i, &section);
		if (is_rodata(&section))
			memcpy(bytes + rodata_offset(load, i), section.data, section.size);
	}
	memcpy(bytes + at, config, sizeof(*config));
	memcpy(bytes + at + offsetof(struct config, version), &(__u32){ XGUARD_ABI }, sizeof(__u32));
	load->rodata = frozen_map(load, bytes, size);
	free(bytes);
	return load->rodata < 0 ? load->rodata : 0;
}

/* The map whose definition stands at an offset of section `maps`; -1: none of ours. */
static int map_at(struct load *load, __u64 offset)
{
	for (size_t i = 0; i < sizeof(map_kinds) / sizeof(map_kinds[0]); i++) {
		struct map_definition is;
		struct bpf_elf_symbol symbol;

		if (find_map(load, &map_kinds[i], &symbol, &is) && symbol.value == offset)
			return *(const int *)((const char *)load->maps + map_kinds[i].fd);
	}
	return -1;
}

/* A 64-bit load's constant becomes a map, or an address in the map of constants. */
static int relocate_load(struct load *load, struct bpf_insn *insn,
			 const struct bpf_elf_symbol *symbol)
{
	struct bpf_elf_section section;
	__u64 offset = symbol->value + (__s64)insn->imm;
	int fd;

	bpf_elf_section(&load->elf, symbol->section, &section);
	if (offset >= section.size)
		return refuse(load, "the code refers to 0x%llx in section %u (%llu bytes)",
			      (unsigned long long)offset, symbol->section,
			      (unsigned long long)section.size);
	if (symbol->section == load->map_defs_section) {
		fd = map_at(load, offset);
		if (fd < 0)
			return refuse(load, "the code refers to a map that xguard does not have");
		insn[0].src_reg = BPF_PSEUDO_MAP_FD;
		insn[0].imm = fd;
		insn[1].imm = 0;
		return 0;
	}
	if (!is_rodata(&section))
		return refuse(load, "the code refers to section %u, which holds neither maps nor "
			      "constants", symbol->section);
	insn[0].src_reg = BPF_PSEUDO_MAP_VALUE;
	insn[0].imm = load->rodata;
	insn[1].imm = rodata_offset(load, symbol->section) + offset;
	return 0;
}

/* A call's distance: the symbol says which section, it and the constant say where in it, less one. */
static int relocate_call(struct load *load, size_t at, const struct bpf_elf_symbol *symbol)
{
	struct bpf_insn *insn = &load->flat[at];
	__s64 target = (__s64)(symbol->value / sizeof(*insn)) + insn->imm + 1;

	if (!load->text_section || symbol->section != load->text_section)
		return refuse(load, "the code calls into section %u, which is not `.text`",
			      symbol->section);
	if (target < 0 || target >= (__s64)(load->flat_len - load->entry_len))
		return refuse(load, "the code calls instruction %lld of `.text`, which has %zu",
			      (long long)target, load->flat_len - load->entry_len);
	insn->imm = (__s64)load->entry_len + target - ((__s64)at + 1);
	return 0;
}

static int relocate(struct load *load, size_t base, size_t len,
		    const struct bpf_elf_relocation *relocation)
{
	size_t at = base + relocation->offset / sizeof(struct bpf_insn);
	struct bpf_insn *insn = &load->flat[at];
	struct bpf_elf_symbol symbol;

	bpf_elf_symbol(&load->elf, relocation->symbol, &symbol);
	if (!symbol.section)
		return refuse(load, "symbol %u of the code is not defined", relocation->symbol);
	if (relocation->type == BPF_RELOC_LOAD && insn->code == (BPF_LD | BPF_DW | BPF_IMM) &&
	    at + 1 < base + len)
		return relocate_load(load, insn, &symbol);
	if (relocation->type == BPF_RELOC_CALL && insn->code == (BPF_JMP | BPF_CALL) &&
	    insn->src_reg == BPF_PSEUDO_CALL)
		return relocate_call(load, at, &symbol);
	return refuse(load, "relocation of type %u for an instruction of code 0x%02x",
		      relocation->type, insn->code);
}

/* Copy a section's code to load.flat, and apply the relocations that are for it. */
static int flatten(struct load *load, const struct bpf_elf_section *code, unsigned int section,
		   size_t base)
{
	struct bpf_elf_relocation relocation;
	struct bpf_elf_section table;
	int err = 0;

	if (code->size)
		memcpy(load->flat + base, code->data, code->size);
	for (unsigned int i = 1; section && i < load->elf.nsections; i++) {
		bpf_elf_section(&load->elf, i, &table);
		if (table.type != SHT_REL || table.info != section)
			continue;
		for (size_t n = 0; !err && n < bpf_elf_relocations(&table); n++) {
			bpf_elf_relocation(&table, n, &relocation);
			err = relocate(load, base, code->size / sizeof(struct bpf_insn), &relocation);
		}
	}
	return err;
}

/* Append the function that begins at an instruction of load.flat, unless it is there already.
 * Returns where it stands in load.code, or a negative value. */
static long place(struct load *load, size_t from)
{
	int in_text = from >= load->entry_len;
	__u64 value = (from - (in_text ? load->entry_len : 0)) * sizeof(struct bpf_insn);
	const struct bpf_insn *source = load->flat + from;
	struct function *function = &load->functions[load->nfunctions];
	struct bpf_elf_symbol symbol;

	for (unsigned int i = 0; i < load->nfunctions; i++)
		if (load->functions[i].from == from)
			return load->functions[i].to;
	if (!bpf_elf_find_symbol(&load->elf, in_text ? load->text_section : load->entry_section,
				 STT_FUNC, NULL, value, &symbol) ||
	    !symbol.size || symbol.size % sizeof(*source))
		return refuse(load, "no function begins at instruction %llu of `%s`",
			      (unsigned long long)value / sizeof(*source),
			      in_text ? ".text" : PROGRAM_SECTION);
	if (load->nfunctions == FUNCTIONS_MAX)
		return refuse(load, "more than %u functions", FUNCTIONS_MAX);
	*function = (struct function){ from, symbol.size / sizeof(*source), load->len, 0 };
	if (load->program->filter && in_text && !strcmp(symbol.name, FILTER_FUNCTION)) {
		source = load->program->filter;
		function->len = load->program->filter_len;
		function->replaced = 1;
	}
	if (function->len > load->room - load->len)
		return refuse(load, "functions that overlap");
	memcpy(load->code + load->len, source, function->len * sizeof(*source));
	load->len += function->len;
	load->nfunctions++;
	return function->to;
}

/* Every call of one function gets its new distance, and the functions that it calls a place. */
static int place_callees(struct load *load, const struct function *function)
{
	for (size_t i = 0; i < function->len; i++) {
		struct bpf_insn *insn = &load->code[function->to + i];
		__s64 target = (__s64)(function->from + i + 1) + insn->imm;
		long to;

		if (insn->code != (BPF_JMP | BPF_CALL) || insn->src_reg != BPF_PSEUDO_CALL)
			continue;
		if (target < 0 || target >= (__s64)load->flat_len)
			return refuse(load, "a call leaves the code");
		to = place(load, target);
		if (to < 0)
			return to;
		insn->imm = to - (long)(function->to + i + 1);
	}
	return 0;
}

/* The program first, then what it calls; the kernel refuses functions that nobody calls. */
static int lay_out(struct load *load)
{
	long err = 0;

	load->room = load->flat_len + load->program->filter_len;
	load->len = load->nfunctions = 0;
	load->flat = calloc(load->flat_len, sizeof(*load->flat));
	load->code = calloc(load->room, sizeof(*load->code));
	if (!load->flat || !load->code)
		return fail(load->failure, ENOMEM, "load %s", load->program->name);
	err = flatten(load, &load->entry, load->entry_section, 0);
	if (!err)
		err = flatten(load, &load->text, load->text_section, load->entry_len);
	if (!err)
		err = place(load, 0);
	for (unsigned int i = 0; err >= 0 && i < load->nfunctions; i++)
		if (!load->functions[i].replaced)
			err = place_callees(load, &load->functions[i]);
	return err < 0 ? err : 0;
}

static void release(struct load *load)
{
	if (load->rodata >= 0)
		close(load->rodata);
	load->rodata = -1;
	free(load->flat);
	free(load->code);
	load->flat = load->code = NULL;
}

/* Hand the code to the kernel. It says EAGAIN where a signal interrupted the verifier. */
static int hand_over(const struct load *load, __u32 flags, char *log, __u32 log_size)
{
	struct bpf_prog_spec spec = {
		.name = "xguard", .type = BPF_PROG_TYPE_XDP, .flags = flags, .insns = load->code,
		.len = load->len, .license = load->license, .log = log, .log_size = log_size,
		.log_level = !!log,
	};
	int fd = -EAGAIN;

	for (int tries = 0; fd == -EAGAIN && tries < 5; tries++)
		fd = bpf_prog_load(&spec);
	if (fd == -EPERM && memlock_raise())
		fd = bpf_prog_load(&spec);
	return fd;
}

/* The last lines of the verifier's log that say something: not its statistics, and as many whole
 * lines as fit into room bytes. log is cut. */
static const char *last_lines(char *log, size_t room)
{
	char *end = log + strlen(log), *start, *line;
	int lines = 0;

	for (;;) {
		while (end > log && end[-1] == '\n')
			end--;
		*end = '\0';
		line = strrchr(log, '\n');
		line = line ? line + 1 : log;
		if (line == log || (strncmp(line, "processed ", 10) &&
				    strncmp(line, "verification time", 17) &&
				    strncmp(line, "stack depth", 11)))
			break;
		end = line;
	}
	for (start = end; start > log && (size_t)(end - start) < room; start--)
		if (start[-1] == '\n' && ++lines == LOG_LINES)
			return start;
	if (start == log)
		return start;
	line = strchr(start, '\n');
	return line ? line + 1 : start;
}

/* The kernel refused with err: load once more with a log, and tell. Should it take the program
 * this time, that is as good. The first errno is the one to tell: a full log makes the second ENOSPC. */
static int explain(struct load *load, __u32 flags, int err)
{
	struct failure *failure = load->failure;
	char *log = NULL;
	int fd = -ENOSPC;

	for (__u32 size = LOG_FIRST; fd == -ENOSPC && size <= LOG_MAX; size *= 4) {
		free(log);
		log = calloc(1, size);
		if (!log)
			break;
		fd = hand_over(load, flags, log, size);
		log[size - 1] = '\0';
	}
	if (fd < 0) {
		fd = err;
		fail(failure, -err, "load the XDP program (%s, %zu instructions)",
		     load->program->name, load->len);
		load_advice(failure, log);
		if (log && *log)
			fail_reason(failure, "%s; the verifier's last lines:\n%s",
				    strdupa(failure->reason),
				    last_lines(log, sizeof(failure->reason) - 128));
	}
	free(log);
	return fd;
}

/* Make constants and code for a configuration, and hand them over; *flags is what was asked for. */
static int attempt(struct load *load, const struct config *config, __u32 flags)
{
	int err;

	release(load);
	err = create_rodata(load, config);
	if (!err)
		err = lay_out(load);
	if (err) {
		load->len = 0;
		return err;
	}
	return hand_over(load, flags, NULL, 0);
}

int bpf_load_program(const struct bpf_program *program, const struct bpf_maps *maps,
		     const struct config *config, struct failure *failure)
{
	__u32 flags = config->frags ? BPF_F_XDP_HAS_FRAGS : 0;
	struct config without = *config;
	struct load load;
	int fd;

	memset(&load, 0, sizeof(load));
	load.program = program;
	load.maps = maps;
	load.failure = failure;
	load.rodata = -1;
	fd = open_object(&load);
	if (!fd)
		fd = attempt(&load, config, flags);
	if (fd == -EINVAL && flags && load.len) {
		flags = without.frags = 0;
		fd = attempt(&load, &without, flags);
	}
	if (fd < 0 && load.len)
		fd = explain(&load, flags, fd);
	release(&load);
	return fd;
}

static ssize_t read_all(int fd, char *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, bytes + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (!n)
			break;
		done += n;
	}
	return done;
}

void *bpf_load_file(const char *path, size_t *size, struct failure *failure)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *bytes = NULL;
	struct stat is;
	ssize_t n = -1;

	if (fd < 0 || fstat(fd, &is)) {
		fail(failure, errno, "open %s", path);
	} else if (!S_ISREG(is.st_mode)) {
		fail(failure, 0, "%s", path);
		fail_reason(failure, "not a regular file");
	} else if (is.st_size > FILE_MAX) {
		fail(failure, 0, "%s", path);
		fail_reason(failure, "%lld bytes, more than an object of %u can have",
			    (long long)is.st_size, FILE_MAX);
	} else {
		bytes = malloc(is.st_size + 1);
		n = bytes ? read_all(fd, bytes, is.st_size) : -1;
		if (n < 0) {
			fail(failure, bytes ? errno : ENOMEM, "read %s", path);
			free(bytes);
			bytes = NULL;
		}
	}
	if (fd >= 0)
		close(fd);
	if (bytes)
		*size = n;
	else if (!failure->next[0])
		fail_next(failure, "name an object that was built from this version's xdp_prog.c");
	return bytes;
}
