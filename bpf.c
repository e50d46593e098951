// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf.h"

/* The size to pass: a kernel that is older than our headers refuses what lies behind the fields
 * that it knows, unless it is zero or not passed at all. */
#define SIZE_TO(field) \
	(offsetof(union bpf_attr, field) + sizeof(((union bpf_attr *)0)->field))

static __u64 address(const void *pointer)
{
	return (__u64)(unsigned long)pointer;
}

static int bpf(int command, union bpf_attr *attr, size_t size)
{
	long result = syscall(SYS_bpf, command, attr, size);

	return result < 0 ? -errno : (int)result;
}

int bpf_map_create(const char *name, __u32 type, __u32 key_size, __u32 value_size,
		   __u32 max_entries, __u32 flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key_size;
	attr.value_size = value_size;
	attr.max_entries = max_entries;
	attr.map_flags = flags;
	snprintf(attr.map_name, sizeof(attr.map_name), "%s", name);
	return bpf(BPF_MAP_CREATE, &attr, SIZE_TO(map_name));
}

int bpf_map_lookup(int map, const void *key, void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map;
	attr.key = address(key);
	attr.value = address(value);
	return bpf(BPF_MAP_LOOKUP_ELEM, &attr, SIZE_TO(flags));
}

int bpf_map_update(int map, const void *key, const void *value, __u64 flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map;
	attr.key = address(key);
	attr.value = address(value);
	attr.flags = flags;
	return bpf(BPF_MAP_UPDATE_ELEM, &attr, SIZE_TO(flags));
}

int bpf_map_next_key(int map, const void *key, void *next)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map;
	attr.key = address(key);
	attr.next_key = address(next);
	return bpf(BPF_MAP_GET_NEXT_KEY, &attr, SIZE_TO(next_key));
}

int bpf_map_lookup_batch(int map, const void *in, void *out, void *keys, void *values,
			 __u32 *count)
{
	union bpf_attr attr;
	int err;

	memset(&attr, 0, sizeof(attr));
	attr.batch.map_fd = map;
	attr.batch.in_batch = address(in);
	attr.batch.out_batch = address(out);
	attr.batch.keys = address(keys);
	attr.batch.values = address(values);
	attr.batch.count = *count;
	err = bpf(BPF_MAP_LOOKUP_BATCH, &attr, SIZE_TO(batch.flags));
	*count = err && err != -ENOENT ? 0 : attr.batch.count;
	return err;
}

int bpf_map_freeze(int map)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map;
	return bpf(BPF_MAP_FREEZE, &attr, SIZE_TO(map_fd));
}

int bpf_prog_load(const struct bpf_prog_spec *spec)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = spec->type;
	attr.prog_flags = spec->flags;
	attr.insns = address(spec->insns);
	attr.insn_cnt = spec->len;
	attr.license = address(spec->license);
	attr.log_buf = address(spec->log);
	attr.log_size = spec->log_size;
	attr.log_level = spec->log_level;
	snprintf(attr.prog_name, sizeof(attr.prog_name), "%s", spec->name);
	return bpf(BPF_PROG_LOAD, &attr, SIZE_TO(prog_name));
}

int bpf_prog_fd_by_id(__u32 id)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_id = id;
	return bpf(BPF_PROG_GET_FD_BY_ID, &attr, SIZE_TO(open_flags));
}

int bpf_obj_info(int fd, void *info, __u32 size)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = fd;
	attr.info.info_len = size;
	attr.info.info = address(info);
	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, SIZE_TO(info));
}

int bpf_prog_test_run(int prog, const void *frame, __u32 size, __u32 repeat, __u32 *action,
		      __u32 *ns)
{
	union bpf_attr attr;
	int err;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = prog;
	attr.test.data_in = address(frame);
	attr.test.data_size_in = size;
	attr.test.repeat = repeat;
	err = bpf(BPF_PROG_TEST_RUN, &attr, SIZE_TO(test.duration));
	*action = attr.test.retval;
	*ns = attr.test.duration;
	return err;
}
