// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The packer: what it packs comes out again as it was, unpacked here as unpack.S does it; and the
 * packed xguard starts, also where memory that was written must not become executable.
 */
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "tap.h"
#define main pack_main
int pack_main(int argc, char **argv);
#include "../../pack.c"
#undef main

#ifdef __x86_64__
struct reader {
	const uint8_t *at;
	uint32_t bits;
};

static unsigned int get_bit(struct reader *reader)
{
	unsigned int bit = reader->bits >> 31;

	reader->bits <<= 1;
	if (reader->bits)
		return bit;
	memcpy(&reader->bits, reader->at, 4);
	reader->at += 4;
	bit = reader->bits >> 31;
	reader->bits = reader->bits << 1 | 1;
	return bit;
}

static uint32_t get_gamma(struct reader *reader)
{
	uint32_t number = 1;

	while (get_bit(reader))
		number = number << 1 | get_bit(reader);
	return number;
}

static void unpack(const uint8_t *packed, uint8_t *image, uint32_t size)
{
	struct reader reader = {packed, 0x80000000};
	uint32_t distance = 0, at = 0, len;

	image[at++] = *reader.at++;
	while (at < size) {
		if (!get_bit(&reader)) {
			image[at++] = *reader.at++;
			continue;
		}
		if (get_bit(&reader)) {
			len = get_gamma(&reader);
		} else {
			distance = (get_gamma(&reader) - 1) << 8;
			distance += *reader.at++ + 1;
			len = get_gamma(&reader) + 1;
		}
		for (; len && at < size; len--, at++)
			image[at] = distance <= at ? image[at - distance] : 0xee;
	}
}

static void is_same_again(const uint8_t *image, uint32_t size, uint32_t most, const char *name)
{
	uint8_t *packed = grab(1, 2 * size + 64), *again = grab(1, size);
	uint32_t len = pack(image, size, packed);

	unpack(packed, again, size);
	ok(!memcmp(image, again, size), "%s: the same again", name);
	ok(len <= most, "%s: %u bytes, at most %u", name, len, most);
	free(packed);
	free(again);
}

static void test_images(void)
{
	static uint8_t image[100000];

	is_same_again((const uint8_t *)"x", 1, 8, "one byte");
	is_same_again((const uint8_t *)"xx", 2, 12, "two bytes");
	is_same_again(image, sizeof(image), 500, "zeros");
	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = i % 1000 < 500 ? i / 7 : i / 1000;
	is_same_again(image, sizeof(image), 12000, "what repeats");
	srandom(1);
	for (size_t i = 0; i < 20000; i++)
		image[i] = random();
	is_same_again(image, 20000, 23000, "what does not");
	for (size_t i = 0; i < 50000; i++)
		image[i] = i > 300 && random() % 3 ? image[i - 1 - random() % 300] : random();
	is_same_again(image, 50000, 56000, "something in between");
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
	if (is_packed()) {
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
