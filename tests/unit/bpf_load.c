// SPDX-License-Identifier: GPL-2.0-or-later
/* Loading against a kernel of the test's own making: flags it does not know, logs, signals. */
#include "../../bpf_elf.c"
#include "../../bpf_code.c"
#include "../../bpf_fold.c"
#include "../../bpf_place.c"
#include "../../bpf_load.c"
#include "../../failure.c"
#include "elf_image.h"
#include "tap.h"

/* What the kernel does with a program, and what it was asked. */
static struct {
	int result;              /* of loads; 0: a descriptor */
	__u32 refused_flags;     /* these give EINVAL */
	int signals;             /* as many loads say EAGAIN first */
	const char *log;         /* of the verifier */
	size_t padding;          /* bytes of log before that */
	__u32 loads, logged, frozen, created, scratch;
	__u32 flags;             /* of the last load */
	struct config config;    /* of the last map of constants */
} kernel;

int bpf_map_create(const char *name, __u32 type, __u32 key_size, __u32 value_size,
		   __u32 max_entries, __u32 flags)
{
	kernel.created += !strcmp(name, "xg_rodata") && type == BPF_MAP_TYPE_ARRAY &&
			  key_size == 4 && value_size > sizeof(struct config) &&
			  max_entries == 1 && flags == BPF_F_RDONLY_PROG;
	kernel.scratch += !strcmp(name, "xg_scratch") && type == BPF_MAP_TYPE_PERCPU_ARRAY && key_size == 4 &&
			  value_size == SCRATCH_SIZE && max_entries == 1 && !flags;
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int bpf_map_update(int map, const void *key, const void *value, __u64 flags)
{
	(void)map;
	(void)key;
	(void)flags;
	memcpy(&kernel.config, value, sizeof(kernel.config));
	return 0;
}

int bpf_map_freeze(int map)
{
	(void)map;
	kernel.frozen++;
	return 0;
}

/* As kernels before 6.4 do: the log's beginning, and ENOSPC where that is not all. */
static int write_log(const struct bpf_prog_spec *spec)
{
	size_t size = kernel.padding + strlen(kernel.log) + 1;

	kernel.logged++;
	memset(spec->log, 'x', spec->log_size);
	if (size > spec->log_size) {
		spec->log[spec->log_size - 1] = '\0';
		return -ENOSPC;
	}
	for (size_t i = 99; i < kernel.padding; i += 100)
		spec->log[i] = '\n';
	memcpy(spec->log + kernel.padding, kernel.log, strlen(kernel.log) + 1);
	return kernel.result;
}

int bpf_prog_load(const struct bpf_prog_spec *spec)
{
	kernel.loads++;
	kernel.flags = spec->flags & ~ALIGNMENT; /* some machines always have it */
	if (kernel.signals-- > 0)
		return -EAGAIN;
	if (spec->flags & kernel.refused_flags)
		return -EINVAL;
	if (spec->log && kernel.log)
		return write_log(spec);
	return kernel.result ? kernel.result : open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int memlock_raise(void)
{
	return 0;
}

int load_refuse_interpreter(struct failure *failure)
{
	(void)failure;
	return 0;
}

int load_advice(struct failure *failure, const char *log)
{
	fail_next(failure, "advice");
	return log && strstr(log, "known cause");
}

static int load(int frags, struct failure *failure)
{
	static struct image image;
	const struct bpf_program program = { .object = &image, .size = sizeof(image), .name = "file.o" };
	const struct bpf_maps maps = { .cache = 1, .flows = 1, .links = 1 };
	const struct config config = { .ifindex = 5, .frags = frags };
	int fd;

	image_make(&image);
	memset(failure, 0, sizeof(*failure));
	fd = bpf_load_program(&program, &maps, &config, failure);
	if (fd >= 0)
		close(fd);
	return fd;
}

static void test_good(void)
{
	struct failure failure;

	memset(&kernel, 0, sizeof(kernel));
	ok(load(0, &failure) > 2, "a program is loaded");
	ok(kernel.created == 1 && kernel.frozen == 1, "with its constants frozen");
	is_number(kernel.config.ifindex, 5, "which hold the configuration");
	is_number(kernel.flags, 0, "without flags");
	ok(load(FRAGS, &failure) > 2 && kernel.flags == BPF_F_XDP_HAS_FRAGS && kernel.config.frags == FRAGS &&
	   !kernel.scratch, "and with fragments");
	ok(load(FRAGS | FRAGS_SCRATCH, &failure) > 2 && kernel.scratch == 1, "and with scratch memory");
	kernel.refused_flags = BPF_F_XDP_HAS_FRAGS;
	ok(load(1, &failure) > 2 && !kernel.flags && !kernel.config.frags,
	   "a kernel before 5.18 gets it without");
	kernel.signals = 3;
	kernel.loads = 0;
	ok(load(0, &failure) > 2 && kernel.loads == 4, "a signal is no refusal");
}

static void test_refused(void)
{
	struct failure failure;

	memset(&kernel, 0, sizeof(kernel));
	kernel.result = -EACCES;
	kernel.log = "one\ntwo\nprocessed 3 insns (limit 1000000)\nstack depth 8\n\n";
	is_number(load(0, &failure), -EACCES, "a refusal is told");
	is_text(failure.step, "load the XDP program (file.o, 15 instructions)", "its step");
	is_text(failure.reason, "Permission denied; the verifier's last lines:\none\ntwo",
		"the log without its statistics");
	is_text(failure.next, "advice", "its next step");
	kernel.log = "a\nb\nknown cause\nprocessed 3 insns\n";
	load(0, &failure);
	is_text(failure.reason, "Permission denied (verifier: known cause)", "a line is enough at times");
	kernel.log = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n";
	load(0, &failure);
	is_text(failure.reason, "Permission denied; the verifier's last lines:\n3\n4\n5\n6\n7\n8\n9\n10\n"
		"11\n12\n13\n14", "twelve lines");
	kernel.log = "";
	load(0, &failure);
	is_text(failure.reason, "Permission denied", "an empty log");
	kernel.log = NULL;
	kernel.result = -EPERM;
	is_number(load(1, &failure), -EPERM, "a refusal without a log");
	is_text(failure.reason, "Operation not permitted", "its reason");
	kernel.result = -EINVAL;
	kernel.loads = 0;
	is_number(load(1, &failure), -EINVAL, "refused with fragments and without");
	is_number(kernel.loads, 3, "after a load with them, one without, one with a log");
}

static void test_long_log(void)
{
	struct failure failure;

	memset(&kernel, 0, sizeof(kernel));
	kernel.result = -EINVAL;
	kernel.log = "the last line\n";
	kernel.padding = 1000000;
	is_number(load(0, &failure), -EINVAL, "a long log: the first errno is told");
	ok(strstr(failure.reason, "xxx\nthe last line") && strlen(failure.reason) < 1000,
	   "and the end of the log");
	is_number(kernel.logged, 3, "in a buffer that grows");
	kernel.padding = 100000000;
	is_number(load(0, &failure), -EINVAL, "a log beyond any buffer");
	ok(strlen(failure.reason) < 1000, "is cut");
}

static void test_file(void)
{
	char path[] = "/tmp/xguard-test-XXXXXX";
	struct failure failure;
	size_t size = 99;
	int fd = mkstemp(path);
	char *bytes;

	ok(write(fd, "four", 4) == 4, "a file");
	close(fd);
	bytes = bpf_load_file(path, &size, &failure);
	ok(bytes && size == 4 && !memcmp(bytes, "four", 4), "is read whole");
	free(bytes);
	ok(!truncate(path, (off_t)17 << 20) && !bpf_load_file(path, &size, &failure) &&
	   strstr(failure.reason, "17825792 bytes, more than an object of 16777216 can have"),
	   "too large a file is refused");
	unlink(path);
	ok(!bpf_load_file(path, &size, &failure) && failure.err == ENOENT && failure.next[0],
	   "no file");
	ok(!bpf_load_file("/dev/null", &size, &failure) &&
	   !strcmp(failure.reason, "not a regular file"), "a device");
}

int main(void)
{
	test_good();
	test_refused();
	test_long_log();
	test_file();
	return done();
}
