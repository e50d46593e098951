// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf.h"
#include "bpf_code.h"
#include "bpf_load.h"
#include "failure.h"
#include "load_hints.h"
#include "packet.h"

#ifndef BPF_F_XDP_HAS_FRAGS
#define BPF_F_XDP_HAS_FRAGS (1u << 5)
#endif

/*
 * Where loads must be aligned (RISC-V, MIPS) the verifier takes only those that it can prove to be, as
 * if every frame began two bytes behind a multiple of four. It is told not to: tun links have no
 * Ethernet header, filters look at any byte, and native drivers align frames in their own ways. A load
 * that is not aligned is made good there by the kernel or the firmware.
 */
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__) || defined(__arm__) || \
	defined(__s390x__) || defined(__powerpc__)
#define ALIGNMENT 0
#else
#define ALIGNMENT BPF_F_ANY_ALIGNMENT
#endif

#define FILE_MAX  (16u << 20)
#define LOG_FIRST (64u << 10)
#define LOG_MAX   (16u << 20)
#define LOG_LINES 12

/* A map of one entry that nobody can change any more: so the verifier takes its bytes for
 * constants, and drops the branches that they rule out (since 5.5). */
static int frozen_map(const void *bytes, __u32 size, struct failure *failure)
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
	fail(failure, -err, "create the map of the program's constants (%u bytes)", size);
	load_advice(failure, NULL);
	return err;
}

/* What each CPU may write to while it looks at a frame. */
static int scratch_map(struct failure *failure)
{
	int fd = bpf_map_create("xg_scratch", BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), SCRATCH_SIZE, 1, 0);

	if (fd >= 0)
		return fd;
	fail(failure, -fd, "create the map of the filter's scratch memory (%u bytes a CPU)", SCRATCH_SIZE);
	load_advice(failure, NULL);
	return fd;
}

/* Hand the code to the kernel. It says EAGAIN where a signal interrupted the verifier. */
static int hand_over(const struct bpf_code *code, __u32 flags, char *log, __u32 log_size)
{
	struct bpf_prog_spec spec = {
		.name = "xguard", .type = BPF_PROG_TYPE_XDP, .flags = flags | ALIGNMENT,
		.insns = code->insns, .len = code->len, .license = code->license, .log = log, .log_size = log_size,
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
 * lines as fit into room bytes, max at most. log is cut. */
static const char *last_lines(char *log, size_t room, int max)
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
		if (start[-1] == '\n' && ++lines == max)
			return start;
	if (start == log)
		return start;
	line = strchr(start, '\n');
	return line ? line + 1 : start;
}

static void tell(const struct bpf_code *code, int err, char *log)
{
	struct failure *failure = code->failure;
	char why[128];
	int known;

	fail(failure, -err, "load the XDP program (%s, %zu instructions)", code->program->name,
	     code->len);
	known = load_advice(failure, log);
	if (!log || !*log)
		return;
	snprintf(why, sizeof(why), "%.127s", failure->reason);
	if (known)
		fail_reason(failure, "%s (verifier: %s)", why, last_lines(log, 512, 1));
	else
		fail_reason(failure, "%s; the verifier's last lines:\n%s", why,
			    last_lines(log, sizeof(failure->reason) - 160, LOG_LINES));
}

/* The kernel refused with err: load once more with a log, and tell. Should it take the program
 * this time, that is as good. It is the first errno that counts: a full log makes ENOSPC of it. */
static int explain(const struct bpf_code *code, __u32 flags, int err)
{
	char *log = NULL;
	int fd = -ENOSPC;

	for (__u32 size = LOG_FIRST; fd == -ENOSPC && size <= LOG_MAX; size *= 4) {
		free(log);
		log = calloc(1, size);
		if (!log)
			break;
		fd = hand_over(code, flags, log, size);
		log[size - 1] = '\0';
	}
	if (fd < 0) {
		fd = err;
		tell(code, err, log);
	}
	free(log);
	return fd;
}

/* Make constants and code for a configuration, and hand them over. -EINVAL where config->frags is set is
 * not explained: the kernel may only be too old for what it says. */
static int attempt(struct bpf_code *code, const struct config *config, __u32 flags)
{
	int constants, scratch = -1, err;

	err = bpf_code_constants(code, config);
	if (err)
		return err;
	constants = frozen_map(code->constants, code->constants_size, code->failure);
	if (constants < 0)
		return constants;
	if (config->frags & FRAGS_SCRATCH)
		err = scratch = scratch_map(code->failure);
	if (err >= 0)
		err = bpf_code_lay_out(code, constants, scratch);
	if (!err) {
		err = hand_over(code, flags, NULL, 0);
		if (err < 0 && !(err == -EINVAL && config->frags))
			err = explain(code, flags, err);
	}
	close(constants);
	if (scratch >= 0)
		close(scratch);
	return err;
}

int bpf_load_program(const struct bpf_program *program, const struct bpf_maps *maps,
		     const struct config *config, struct failure *failure)
{
	__u32 flags = config->frags & FRAGS ? BPF_F_XDP_HAS_FRAGS : 0;
	struct config whole = *config;
	struct bpf_code code;
	int fd;

	fd = bpf_code_open(&code, program, maps, failure);
	if (!fd)
		fd = load_refuse_interpreter(failure);
	if (!fd)
		fd = attempt(&code, config, flags);
	if (fd == -EINVAL && config->frags) {
		whole.frags = 0;
		fd = attempt(&code, &whole, 0);
	}
	bpf_code_release(&code);
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
		bytes[*size = n] = '\0';
	else if (!failure->next[0])
		fail_next(failure, "name an object that was built from this version's xdp_prog.c");
	return bytes;
}
