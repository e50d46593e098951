// SPDX-License-Identifier: GPL-2.0-or-later
/* The maps of a run: how large, created, mapped. Part of bpf_load.h. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "bpf.h"
#include "bpf_load.h"
#include "failure.h"
#include "load_hints.h"
#include "packet.h"

#define CPUS_MAX 8192 /* no kernel is built for more */

#define SLOTS_MIN     4u /* a set of count.h */
#define CACHE_OF_CPU  (256ull << 10)
#define CACHE_OF_ALL  (8ull << 20)
#define BUDGET_MIN    (2ull << 20)
#define BUDGET_MAX    (32ull << 20)
#define FLOWS_MIN     1024u
#define FLOWS_DEFAULT 32768u /* each doubling costs: 0.8 ms at the start, 1.5, 3 ... */

/* What a preallocated hash takes (kernel/bpf/hashtab.c): a header, key and value an element, with
 * one spare element a CPU; a bucket an entry, rounded up to a power of two; and about a KiB. */
#define ELEMENT_SIZE (48 + sizeof(struct flow_key) + sizeof(struct flow_count))
#define BUCKET_SIZE  16

static int create(const char *name, __u32 type, __u32 key_size, __u32 value_size, __u32 entries,
		  __u32 flags, struct failure *failure)
{
	int fd = bpf_map_create(name, type, key_size, value_size, entries, flags);

	if (fd == -EPERM && memlock_raise())
		fd = bpf_map_create(name, type, key_size, value_size, entries, flags);
	if (fd >= 0)
		return fd;
	fail(failure, -fd, "create BPF map %s (entries: %u)", name, entries);
	load_advice(failure, NULL);
	return fd;
}

int bpf_load_cpus(struct failure *failure)
{
	const __u32 key = 0;
	__u64 *values = malloc(CPUS_MAX * sizeof(*values));
	int err, cpus = 0;
	int map;

	if (!values)
		return fail(failure, ENOMEM, "count the CPUs");
	map = create("xg_cpus", BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(key), sizeof(*values), 1, 0,
		     failure);
	if (map < 0) {
		free(values);
		return map;
	}
	memset(values, 0xff, CPUS_MAX * sizeof(*values));
	err = bpf_map_lookup(map, &key, values);
	while (cpus < CPUS_MAX && !values[cpus])
		cpus++;
	close(map);
	free(values);
	if (err) {
		fail(failure, -err, "count the CPUs by a map");
		load_advice(failure, NULL);
		return err;
	}
	return cpus;
}

static unsigned long long pages(unsigned long long bytes)
{
	unsigned long long page = getpagesize();

	return (bytes + page - 1) / page * page;
}

static unsigned int power_of_two_from(unsigned int n)
{
	unsigned int power = 1;

	while (power < n && power < 1u << 31)
		power <<= 1;
	return power;
}

static unsigned long long cache_entries(const struct bpf_maps *maps)
{
	return (unsigned long long)maps->cpus << maps->slot_bits;
}

static unsigned long long links_entries(const struct bpf_maps *maps)
{
	return (unsigned long long)maps->nlinks * (maps->cpus + 1);
}

static unsigned long long flows_memory(unsigned int entries, unsigned int cpus)
{
	return 1024 + ((unsigned long long)entries + cpus) * ELEMENT_SIZE +
	       (unsigned long long)power_of_two_from(entries) * BUCKET_SIZE;
}

/* The two arrays; an mmapable one has its header on a page of its own. */
static unsigned long long arrays_memory(const struct bpf_maps *maps)
{
	return pages(cache_entries(maps) * sizeof(struct flow_slot)) +
	       pages(links_entries(maps) * sizeof(struct link_count)) + 2 * pages(1);
}

unsigned long long bpf_maps_memory(const struct bpf_maps *maps)
{
	return arrays_memory(maps) + flows_memory(maps->max_flows, maps->cpus);
}

static unsigned long long default_budget(void)
{
	unsigned long long budget;
	struct sysinfo info;

	if (sysinfo(&info))
		return BUDGET_MIN;
	budget = (unsigned long long)info.totalram * info.mem_unit / 1000;
	return budget < BUDGET_MIN ? BUDGET_MIN : budget > BUDGET_MAX ? BUDGET_MAX : budget;
}

/*
 * By default the cache has 8 MiB, or 256 KiB a CPU where that is more, but no more than half of the
 * budget, and the second level what is left of it. Who asks for many flows wants them to be fast,
 * too: then the cache has half as much memory as the second level, if that is more.
 */
static void choose_sizes(struct bpf_maps *maps, unsigned int max_flows)
{
	unsigned long long budget = default_budget(), room = maps->cpus * CACHE_OF_CPU;
	unsigned int slots = SLOTS_MIN;

	maps->max_flows = power_of_two_from(max_flows ? max_flows : FLOWS_MIN);
	if (room < CACHE_OF_ALL)
		room = CACHE_OF_ALL;
	if (!max_flows && room > budget / 2)
		room = budget / 2;
	if (max_flows && room < flows_memory(maps->max_flows, maps->cpus) / 2)
		room = flows_memory(maps->max_flows, maps->cpus) / 2;
	while (slots * 2ull * sizeof(struct flow_slot) * maps->cpus <= room &&
	       (!max_flows || slots < maps->max_flows))
		slots *= 2;
	maps->slot_bits = __builtin_ctz(slots);
	while (!max_flows && maps->max_flows < FLOWS_DEFAULT && arrays_memory(maps) +
	       flows_memory(maps->max_flows * 2, maps->cpus) <= budget)
		maps->max_flows *= 2;
}

static int create_all(struct bpf_maps *maps, struct failure *failure)
{
	if (arrays_memory(maps) > SIZE_MAX) { /* a 32-bit xguard on a large machine */
		fail(failure, ENOMEM, "map xg_cache into memory");
		return fail_next(failure, "try a smaller --max-flows");
	}
	maps->flows = create("xg_flows", BPF_MAP_TYPE_HASH, sizeof(struct flow_key),
			     sizeof(struct flow_count), maps->max_flows, 0, failure);
	if (maps->flows < 0)
		return maps->flows;
	maps->cache = create("xg_cache", BPF_MAP_TYPE_ARRAY, sizeof(__u32),
			     sizeof(struct flow_slot), cache_entries(maps), BPF_F_MMAPABLE, failure);
	if (maps->cache < 0)
		return maps->cache;
	maps->links = create("xg_links", BPF_MAP_TYPE_ARRAY, sizeof(__u32),
			     sizeof(struct link_count), links_entries(maps), BPF_F_MMAPABLE, failure);
	return maps->links < 0 ? maps->links : 0;
}

/* Map an array for reading; NULL with failure filled in. */
static const volatile void *map_array(int fd, size_t bytes, const char *name,
				      struct failure *failure)
{
	void *memory = mmap(NULL, pages(bytes), PROT_READ, MAP_SHARED, fd, 0);

	if (memory != MAP_FAILED)
		return memory;
	fail(failure, errno, "map %s into memory", name);
	load_advice(failure, NULL);
	return NULL;
}

static void unmap_array(const volatile void *memory, size_t bytes)
{
	if (memory)
		munmap((void *)memory, pages(bytes));
}

void bpf_maps_close(struct bpf_maps *maps)
{
	int *fds[] = { &maps->cache, &maps->flows, &maps->links };

	unmap_array(maps->slots, cache_entries(maps) * sizeof(struct flow_slot));
	unmap_array(maps->counts, links_entries(maps) * sizeof(struct link_count));
	maps->slots = NULL;
	maps->counts = NULL;
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

int bpf_maps_create(struct bpf_maps *maps, int userspace_trace, unsigned int cpus,
		    unsigned int nlinks, unsigned int max_flows, struct failure *failure)
{
	int err;

	*maps = (struct bpf_maps){ .cache = -1, .flows = -1, .links = -1, .cpus = cpus,
				   .nlinks = nlinks, .max_flows = 1 };
	if (userspace_trace)
		choose_sizes(maps, max_flows);
	err = create_all(maps, failure);
	if (!err) {
		maps->slots = map_array(maps->cache, cache_entries(maps) * sizeof(struct flow_slot),
					"xg_cache", failure);
		maps->counts = maps->slots ? map_array(maps->links, links_entries(maps) *
						       sizeof(struct link_count), "xg_links",
						       failure) : NULL;
		err = maps->counts ? 0 : -failure->err;
	}
	if (err)
		bpf_maps_close(maps);
	return err;
}
