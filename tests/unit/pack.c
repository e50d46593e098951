// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The packer: what it packs comes out again as it was, unpacked here as unpack.S does it; and the
 * packed xguard starts, also where memory that was written must not become executable.
 */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "tap.h"
#define main pack_main
int pack_main(int argc, char **argv);
#include "../../pack.c"
#undef main
#include "../../pack_code.c"

#ifdef __x86_64__
struct reader {
	const uint8_t *packed;
	uint32_t bits, state;
	uint32_t tables[TABLES][SLOTS];
	uint8_t kinds[STRETCHES * 256];
};

/* The next bits, behind those in number. */
static uint32_t get_bits(struct reader *reader, uint32_t number, uint32_t bits)
{
	for (; bits--; reader->bits++)
		number = number << 1 |
			 (reader->packed[reader->bits / 8] >> (7 - reader->bits % 8) & 1);
	return number;
}

static void get_table(struct reader *reader, uint32_t *table)
{
	uint32_t slot = 0, left = SLOTS;

	for (uint32_t symbol = 0; left; symbol++) {
		uint32_t zeros = 0, n;

		while (!get_bits(reader, 0, 1))
			zeros++;
		n = get_bits(reader, 1, zeros) - 1;
		for (uint32_t state = n; state < 2 * n; state++) {
			table[slot] = symbol << 16 | state << 4 | (LOG_SLOTS - log2_floor(state));
			slot = (slot + SPREAD) % SLOTS;
		}
		left -= n;
	}
}

static uint32_t get_symbol(struct reader *reader, uint32_t table)
{
	uint32_t slot = reader->tables[table][reader->state - SLOTS];

	reader->state = get_bits(reader, slot >> 4 & 0xfff, slot & 15);
	return slot >> 16;
}

static uint32_t get_length(struct reader *reader, uint32_t symbol)
{
	return symbol < 8 ? symbol : get_bits(reader, 1, symbol - 5);
}

static uint32_t get_distance(struct reader *reader, uint32_t len)
{
	uint32_t symbol = get_symbol(reader, KINDS + (len > 4 ? 4 : len) - 2);

	return get_bits(reader, 2 | (symbol & 1), symbol / 2) - 1;
}

static void unpack(const uint8_t *packed, uint8_t *image, uint32_t size, uint32_t border)
{
	struct reader *reader = grab(1, sizeof(*reader));
	uint32_t distance = 0, at = 0, len, symbol;

	reader->packed = packed;
	for (int i = 0; i < TABLES; i++)
		get_table(reader, reader->tables[i]);
	for (int i = 0; i < STRETCHES * 256; i++)
		reader->kinds[i] = get_bits(reader, 0, KIND_BITS);
	image[at++] = get_bits(reader, 0, 8);
	reader->state = get_bits(reader, 1, LOG_SLOTS);
	while (at < size) {
		symbol = get_symbol(reader, reader->kinds[(at >= border) * 256 + image[at - 1]]);
		if (symbol < MATCH) {
			image[at++] = symbol;
			continue;
		}
		len = get_length(reader, symbol % 16) + (symbol < AGAIN ? 2 : 1);
		if (symbol < AGAIN)
			distance = get_distance(reader, len);
		for (; len && at < size; len--, at++)
			image[at] = distance <= at ? image[at - distance] : 0xee;
	}
	free(reader);
}

static void is_same_again(const uint8_t *image, uint32_t size, uint32_t most, const char *name)
{
	uint8_t *packed = grab(1, 2 * size + 8192), *again = grab(1, size);
	uint32_t len = pack(image, size, size / 2, packed);

	unpack(packed, again, size, size / 2);
	ok(!memcmp(image, again, size), "%s: the same again", name);
	ok(len <= most, "%s: %u bytes, at most %u", name, len, most);
	free(packed);
	free(again);
}

static void test_images(void)
{
	static uint8_t image[100000];

	is_same_again((const uint8_t *)"x", 1, 240, "one byte");
	is_same_again((const uint8_t *)"xx", 2, 260, "two bytes");
	is_same_again(image, 30000, 400, "zeros");
	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = i % 1000 < 500 ? i / 7 : i / 1000;
	is_same_again(image, 40000, 1800, "what repeats");
	srandom(1);
	for (size_t i = 0; i < 20000; i++)
		image[i] = random();
	is_same_again(image, 20000, 21400, "what does not");
	for (size_t i = 0; i < 50000; i++)
		image[i] = i > 300 && random() % 3 ? image[i - 1 - random() % 300] : random();
	is_same_again(image, 50000, 51400, "something in between");
}

/* ./xguard -V where mprotect to executable (and with no_memfd a file in memory) is refused. */
static int run_confined(int no_memfd)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, no_memfd ? SYS_memfd_create : -1u, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(*filter), filter};
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr) ||
		    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
			_exit(77);
		execl("./xguard", "xguard", "-V", NULL);
		_exit(78);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

/* Where calls go is written in another way, and what only looks like a call stays as it was. */
static void test_calls(void)
{
	static uint8_t image[5000], was[sizeof(image)];
	uint32_t calls = sizeof(image) - 4, mark, place;

	srandom(2);
	for (uint32_t i = 0; i < sizeof(image); i++)
		image[i] = random() % 4 ? random() % 3 : 0xe8 + random() % 2;
	image[100] = 0xe8;
	memcpy(image + 101, &(uint32_t){htole32(1000 - 101)}, 4);
	memcpy(was, image, sizeof(image));
	mark = mark_calls(image, sizeof(image), calls);
	ok(mark, "calls have a mark");
	memcpy(&place, image + 101, 4);
	is_number(be32toh(place), mark + 1000, "a call by the place it goes to");
	convert_calls(image, calls, mark, 1);
	ok(!memcmp(image, was, sizeof(image)), "calls: the same again");
}

/* Lets ./xguard -V go on until it asks for executable memory: then it has unpacked itself. */
static pid_t run_until_unpacked(void)
{
	struct user_regs_struct registers = {0};
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		execl("./xguard", "xguard", "-V", NULL);
		_exit(78);
	}
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		if (!ptrace(PTRACE_GETREGS, pid, 0, &registers) && registers.orig_rax == SYS_mprotect)
			return pid;
		ptrace(PTRACE_SYSCALL, pid, 0, 0);
	}
	return -1;
}

/* What is in memory then is the program as it was linked, and zeros up to its end. */
static void test_unpacked(void)
{
	struct program program = {0};
	const Elf64_Phdr *code = &program.code, *data = &program.data;
	size_t size = 0;
	uint8_t *image, *memory;
	char name[64];
	pid_t pid;
	int fd;

	program.bytes = read_file("build/xguard.stripped", &program.len);
	if (!program.bytes || find_segments(&program, "build/xguard.stripped")) {
		ok(0, "build/xguard.stripped can be packed");
		return;
	}
	size = data->p_vaddr + data->p_memsz - code->p_vaddr;
	image = grab(1, size);
	memory = grab(1, size);
	memcpy(image, program.bytes + code->p_offset, code->p_filesz);
	memcpy(image + (data->p_vaddr - code->p_vaddr), program.bytes + data->p_offset, data->p_filesz);
	pid = run_until_unpacked();
	snprintf(name, sizeof(name), "/proc/%d/mem", pid);
	fd = open(name, O_RDONLY);
	is_number(pread(fd, memory, size, code->p_vaddr), size, "the unpacked program is in memory");
	ok(!memcmp(image, memory, size), "as it was linked");
	close(fd);
	if (pid > 0)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	free(image);
	free(memory);
	free((void *)program.bytes);
}

/* A packed program has but one section header. */
static int is_packed(void)
{
	Elf64_Ehdr elf = {0};
	FILE *file = fopen("xguard", "rb");
	int packed = file && fread(&elf, sizeof(elf), 1, file) == 1 && elf.e_shnum == 1;

	if (file)
		fclose(file);
	return packed;
}

int main(void)
{
	test_images();
	test_calls();
	if (is_packed()) {
		test_unpacked();
		is_number(run_confined(0), 0, "starts where mprotect to executable is refused");
		is_number(run_confined(1), 1, "says no where a file in memory is refused, too");
	} else {
		ok(1, "# SKIP xguard is not packed");
	}
	return done();
}
#else
int main(void)
{
	printf("1..0 # SKIP only x86-64 programs are packed\n");
	return 0;
}
#endif
