/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A parsed object, a configuration and a filter made into maps and loaded XDP programs. */
#ifndef XGUARD_BPF_LOAD_H
#define XGUARD_BPF_LOAD_H

#include <stddef.h>
#include <linux/types.h>

struct bpf_insn;
struct config;
struct failure;

/* The maps that all programs of a run share; -1 or NULL where not held. */
struct bpf_maps {
	int cache;                  /* ARRAY, mmapable: struct flow_slot [cpus << slot_bits] */
	int flows;                  /* HASH: struct flow_key to struct flow_count */
	int links;                  /* ARRAY, mmapable: struct link_count [nlinks * (cpus + 1)] */
	unsigned int cpus;          /* possible CPUs of this kernel */
	unsigned int slot_bits;     /* log2 of cache slots a CPU */
	unsigned int max_flows;     /* entries of flows */
	unsigned int nlinks;        /* rows of links */
	const volatile struct flow_slot *slots;   /* the cache, read-only */
	const volatile struct link_count *counts; /* the links map, read-only */
};

/*
 * A counter that the program may be adding to. A 32-bit machine reads and writes it in two halves: it is
 * good when the upper one was the same before and after the lower one.
 */
static inline __u64 read_counter(const volatile __u64 *counter)
{
#if __SIZEOF_LONG__ < 8
	const volatile __u32 *half = (const volatile __u32 *)counter;
	const int upper = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
	__u32 before, low, after = half[upper];

	do {
		before = after;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		low = half[!upper];
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		after = half[upper];
	} while (before != after);
	return (__u64)after << 32 | low;
#else
	return *counter;
#endif
}

/*
 * Possible CPUs of this kernel, without /proc and /sys: the entries that one lookup in a
 * PERCPU_ARRAY writes. Returns the number, or -errno with failure filled in (the first bpf(2) of
 * a run: missing privileges show up here).
 */
int bpf_load_cpus(struct failure *failure);

/*
 * Create the maps: max_flows entries behind the cache (rounded up to a power of two; 0: 32,768, or
 * less where 0.1% of the RAM, 2 to 32 MiB, holds no more of them beside the cache), nlinks links, and
 * slots a CPU for cpus CPUs. With userspace_trace 0 the flow maps get their smallest size. Map cache and
 * links for reading. Returns 0, or -errno with failure filled in and nothing held.
 */
int bpf_maps_create(struct bpf_maps *maps, int userspace_trace, unsigned int cpus,
		    unsigned int nlinks, unsigned int max_flows, struct failure *failure);
void bpf_maps_close(struct bpf_maps *maps);

/* Bytes of kernel memory that the maps take, as far as it can be computed. */
unsigned long long bpf_maps_memory(const struct bpf_maps *maps);

/* What to load: an ELF object of xdp_prog.c, the built-in one or that of --object. */
struct bpf_program {
	const void *object;         /* its bytes, and how many */
	size_t size;
	const char *name;           /* for messages: "built-in object" or the file's name */
	const struct bpf_insn *filter; /* match()'s body, or NULL: every frame matches */
	size_t filter_len;          /* instructions */
	const struct bpf_insn *pieces; /* match_pieces()'s, or NULL: no frame in pieces matches */
	size_t pieces_len;
};

/*
 * Load the program for one link: config (cpus, slot_bits and multipliers included) becomes the
 * frozen .rodata, filter and pieces the bodies of match() and match_pieces(). Where config->frags is not 0,
 * the program is loaded with BPF_F_XDP_HAS_FRAGS; a kernel that does not know it (before 5.18) gets it
 * without, and config.frags 0. Returns the program's file descriptor, CLOEXEC, or -errno with failure
 * filled in; a rejection by the verifier has its last lines in failure->reason.
 */
int bpf_load_program(const struct bpf_program *program, const struct bpf_maps *maps,
		     const struct config *config, struct failure *failure);

/*
 * Read a whole file into memory of its own (*size bytes, at most 16 MiB, and a NUL). Returns the
 * memory, which the caller frees, or NULL with failure filled in.
 */
void *bpf_load_file(const char *path, size_t *size, struct failure *failure);

#endif
