/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf(2), one function a command. Each returns 0 or a file descriptor (the kernel makes them
 * close-on-exec), or -errno; none allocates, retries or prints.
 */
#ifndef XGUARD_BPF_H
#define XGUARD_BPF_H

#include <linux/bpf.h>

int bpf_map_create(const char *name, __u32 type, __u32 key_size, __u32 value_size,
		   __u32 max_entries, __u32 flags);

/* Of a per-CPU map, value holds round_up(value_size, 8) bytes for each possible CPU. */
int bpf_map_lookup(int map, const void *key, void *value);
int bpf_map_update(int map, const void *key, const void *value, __u64 flags);

/* The key behind key (NULL: the first one). -ENOENT: that was the last. */
int bpf_map_next_key(int map, const void *key, void *next);

/*
 * As many as *count entries at once (since 5.6), from where batch `in` ended (NULL: from the
 * start); `out`, which is at least 4 bytes and of a hash at least its key's size, gets where the
 * next one goes on, and may be the same as `in`. *count becomes the entries that were read, also
 * with -ENOENT, which means that the map's end was reached. -ENOSPC: a bucket holds more entries
 * than *count, ask again with more room.
 */
int bpf_map_lookup_batch(int map, const void *in, void *out, void *keys, void *values,
			 __u32 *count);

/* No system call changes the map any more (since 5.2). */
int bpf_map_freeze(int map);

/* A program to load. log_level 0: no log, and log must be NULL. */
struct bpf_prog_spec {
	const char *name;       /* at most 15 letters, digits and underscores */
	__u32 type;             /* BPF_PROG_TYPE_ */
	__u32 flags;            /* BPF_F_ */
	const struct bpf_insn *insns;
	__u32 len;              /* instructions */
	const char *license;
	char *log;
	__u32 log_size;
	__u32 log_level;
};

int bpf_prog_load(const struct bpf_prog_spec *spec);

int bpf_prog_fd_by_id(__u32 id);

/* What the kernel knows about a program or a map: info is size bytes of struct bpf_prog_info or
 * bpf_map_info, zeroed, or with buffers for what shall be copied out. */
int bpf_obj_info(int fd, void *info, __u32 size);

/* Run an XDP program on a frame of size bytes (14 at least) repeat times; *action is what it
 * returned, *ns the mean duration. */
int bpf_prog_test_run(int prog, const void *frame, __u32 size, __u32 repeat, __u32 *action,
		      __u32 *ns);

#endif
