// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_arp.h>
#include <linux/membarrier.h>

#include "filter.h"
#include "run.h"
#include "ssh.h"

#define SETTLE_NS 20000000 /* two reads this far apart agree: nobody writes any more */
#define SETTLE_TRIES 50
#define MTU_OF_A_PAGE 1500 /* the largest that every driver takes without xdp.frags */

extern const unsigned char xdp_object[], xdp_object_end[];

__u64 run_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

struct run_link *run_link_of(struct run *run, int ifindex)
{
	for (size_t i = 0; i < run->nlinks; i++)
		if (run->links[i].info.ifindex == ifindex)
			return &run->links[i];
	return NULL;
}

/* How frames of this link begin. */
static unsigned int link_type(const struct link_info *link)
{
	switch (link->type) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return LINK_ETHERNET;
	case ARPHRD_NONE:
	case ARPHRD_PPP:
	case ARPHRD_RAWIP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return LINK_IP;
	}
	return LINK_UNKNOWN;
}

static int look_up_links(struct run *run, struct failure *failure)
{
	const struct options *options = &run->options;
	struct link_info info;
	int nl = netlink_open(0, failure), err = 0;

	if (nl < 0)
		return nl;
	for (size_t i = 0; i < options->ninterfaces && !err; i++) {
		err = netlink_link(nl, options->interfaces[i], 0, &info, failure);
		if (err || run_link_of(run, info.ifindex))
			continue; /* named twice: traced once */
		run->names[run->nlinks].ifindex = info.ifindex;
		memcpy(run->names[run->nlinks].name, info.name, sizeof(info.name));
		run->links[run->nlinks].program = -1;
		run->links[run->nlinks].ssh_port = ssh_port_over(nl, &info);
		run->links[run->nlinks++].info = info;
	}
	close(nl);
	return err;
}

static void random_bytes(void *bytes, size_t size)
{
	__u64 seed = run_now() ^ (__u64)getpid() << 32;
	unsigned char *byte = bytes;

	/* Only very early in a boot there may be none: a clock is better than nothing. */
	if (getrandom(bytes, size, GRND_NONBLOCK) == (ssize_t)size)
		return;
	for (size_t i = 0; i < size; i++) {
		seed = seed * 6364136223846793005 + 1442695040888963407;
		byte[i] = seed >> 56;
	}
}

/* The first bits of an address that count, as a mask in network byte order. */
static void prefix_mask(void *mask, size_t size, int prefix)
{
	unsigned char *byte = mask;

	for (size_t i = 0; i < size; i++) {
		int bits = prefix < 0 ? 8 : prefix - (int)i * 8;

		byte[i] = bits >= 8 ? 0xff : bits > 0 ? 0xff << (8 - bits) : 0;
	}
}

/* Which bits of the key make a flow. */
static void configure_masks(const struct options *options, struct config *config)
{
	struct flow_key mask = { .eth_type = 0xffff };

	mask.vlan = options->by & FIELD_VLAN ? 0xffff : 0;
	mask.protocol = options->by & FIELD_PROTOCOL ? 0xff : 0;
	mask.present = options->by | FIELD_ETH_TYPE;
	if (options->by & (FIELD_SRC_IP | FIELD_DST_IP))
		mask.present |= FIELD_IPV6;
	memcpy(&config->mask, &mask.eth_type, sizeof(config->mask));
	prefix_mask(&config->mask4, 4, options->prefix4);
	prefix_mask(&config->mask6, sizeof(config->mask6), options->prefix6);
	config->prefixed = options->prefix4 >= 0 || options->prefix6 >= 0;
}

/* What is the same for all links of a run. */
static void configure(const struct run *run, struct config *config)
{
	const struct options *options = &run->options;

	memset(config, 0, sizeof(*config));
	config->version = XGUARD_ABI;
	config->kernel_trace = options->trace == TRACE_KERNEL;
	config->by = options->by;
	config->cpus = run->maps.cpus;
	config->slot_bits = run->maps.slot_bits;
	config->sample = options->sample;
	config->one_word4 = run->nlinks == 1 && !(options->by & (FIELD_SRC_PORT | FIELD_DST_PORT));
	config->plain = sizeof(long) < 8;
	configure_masks(options, config);
	random_bytes(config->multiplier, sizeof(config->multiplier));
	for (size_t i = 0; i < 6; i++)
		config->multiplier[i] |= 1;
	if (config->kernel_trace)
		snprintf(config->format, sizeof(config->format), TRACE_FORMAT, run->trace.marker);
}

static int load_link(struct run *run, size_t i, struct config *config, struct failure *failure)
{
	struct run_link *link = &run->links[i];
	struct bpf_program program = run->program;
	struct filter filter;
	int err;

	config->ifindex = link->info.ifindex;
	config->link = i;
	config->link_type = link_type(&link->info);
	config->frags = link->info.mtu > MTU_OF_A_PAGE;
	err = filter_compile(&filter, run->options.filter, run->options.protocol, config->link_type);
	if (err)
		return fail(failure, 0, "%s: filter", link->info.name),
		       fail_reason(failure, "%s", filter.error);
	config->filtered = filter.insns != NULL;
	config->quick = config->link_type == LINK_ETHERNET && !config->filtered &&
			!config->kernel_trace;
	program.filter = filter.insns;
	program.filter_len = filter.len;
	link->program = bpf_load_program(&program, &run->maps, config, failure);
	filter_free(&filter);
	return link->program < 0 ? link->program : 0;
}

static int choose_object(struct run *run, struct failure *failure)
{
	run->program.object = xdp_object;
	run->program.size = xdp_object_end - xdp_object;
	run->program.name = "built-in object";
	if (!run->options.object)
		return 0;
	run->object = bpf_load_file(run->options.object, &run->program.size, failure);
	run->program.object = run->object;
	run->program.name = run->options.object;
	return run->object ? 0 : -1; /* not every reason is an errno */
}

static int load(struct run *run, struct failure *failure)
{
	struct config config;
	int cpus, err;

	cpus = bpf_load_cpus(failure);
	if (cpus < 0)
		return cpus;
	err = bpf_maps_create(&run->maps, run->options.trace == TRACE_USERSPACE, cpus, run->nlinks,
			      run->options.max_flows, failure);
	if (err)
		return err;
	configure(run, &config);
	for (size_t i = 0; i < run->nlinks; i++) {
		err = load_link(run, i, &config, failure);
		if (err)
			return err;
	}
	return 0;
}

static int open_trace(struct run *run, struct failure *failure)
{
	char marker[TRACE_MARKER_LEN + 1];
	__u32 number;

	if (run->options.trace == TRACE_USERSPACE)
		return flows_open(&run->flows, &run->maps, failure);
	random_bytes(&number, sizeof(number));
	snprintf(marker, sizeof(marker), "xg%08x", number);
	return trace_pipe_open(&run->trace, marker, run->note, failure);
}

static int attach(struct run *run,
		  void (*attached)(const struct run *run, const struct run_link *link),
		  struct failure *failure)
{
	enum attach_mode mode;
	struct run_link *link;
	int err;

	for (size_t i = 0; i < run->nlinks; i++) {
		link = &run->links[i];
		mode = run->options.mode;
		link->spared = mode == ATTACH_AUTO && link->ssh_port &&
			!ssh_driver_is_quiet(&link->info);
		if (link->spared)
			mode = ATTACH_GENERIC;
		err = guardian_attach(&run->guardian, &link->info, link->program, mode,
				      &link->how, failure);
		if (err)
			return err;
		if (link->spared)
			snprintf(link->how.why_generic, sizeof(link->how.why_generic),
				 "native mode could cut off your SSH connection");
		link->attached = 1;
		run->attached_at = run_now();
		attached(run, link);
	}
	return 0;
}

void run_begin(struct run *run)
{
	run->guardian.socket = -1;
	run->trace.pipe = run->trace.instances = run->trace.tracefs = -1;
	run->maps.cache = run->maps.flows = run->maps.links = -1;
}

/* The guardian is there before there is anything that it would have to take down. */
static int start_guardian(struct run *run, struct failure *failure)
{
	struct guardian_duties duties = { .instances = -1 };
	int err;

	if (run->options.trace == TRACE_KERNEL) {
		/* the other clock costs 20 ms */
		run->trace.any_clock = run->options.format == FORMAT_TEXT;
		err = trace_pipe_find(&run->trace, failure);
		if (err)
			return err;
		duties.instances = run->trace.instances;
		memcpy(duties.instance, run->trace.instance, sizeof(duties.instance));
	}
	return guardian_start(&run->guardian, &duties, failure);
}

int run_prepare(struct run *run, struct failure *failure)
{
	int err;

	err = choose_object(run, failure);
	if (!err)
		err = look_up_links(run, failure);
	if (!err)
		err = start_guardian(run, failure);
	if (!err && run->options.trace == TRACE_KERNEL)
		err = open_trace(run, failure);
	if (!err)
		err = load(run, failure);
	if (!err && run->options.trace == TRACE_USERSPACE)
		err = open_trace(run, failure);
	return err;
}

int run_open(struct run *run, void (*attached)(const struct run *run, const struct run_link *link),
	     struct failure *failure)
{
	int err = run_prepare(run, failure);

	return err ? err : attach(run, attached, failure);
}

void run_link_counts(const struct run *run, size_t link, struct link_count *sum)
{
	const volatile struct link_count *row = &run->maps.counts[link * (run->maps.cpus + 1)];

	memset(sum, 0, sizeof(*sum));
	for (unsigned int cpu = 0; cpu <= run->maps.cpus; cpu++, row++) {
		sum->matched.packets += read_counter(&row->matched.packets);
		sum->matched.bytes += read_counter(&row->matched.bytes);
		sum->unattributed.packets += read_counter(&row->unattributed.packets);
		sum->unattributed.bytes += read_counter(&row->unattributed.bytes);
		sum->lines += read_counter(&row->lines);
		sum->unprinted += read_counter(&row->unprinted);
	}
}

/* Sum of everything that the program writes without taking a lock. */
static __u64 counted(const struct run *run)
{
	struct link_count sum;
	__u64 total = 0;

	for (size_t i = 0; i < run->nlinks; i++) {
		run_link_counts(run, i, &sum);
		total += sum.matched.packets + sum.unattributed.packets + sum.lines;
	}
	if (run->options.trace == TRACE_USERSPACE)
		for (size_t i = 0; i < (size_t)run->maps.cpus << run->maps.slot_bits; i++)
			total += run->maps.slots[i].count.packets;
	return total;
}

/*
 * The kernel acknowledges a detach while other CPUs may still run the program for a last frame. A
 * membarrier waits for an RCU grace period, and so for them; without it, for quiet.
 */
static void settle(const struct run *run)
{
	const struct timespec pause = { .tv_nsec = SETTLE_NS };
	__u64 before, now;

	if (!syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		return;
	now = counted(run);
	for (int tries = 0; tries < SETTLE_TRIES; tries++) {
		before = now;
		nanosleep(&pause, NULL);
		now = counted(run);
		if (now == before)
			return;
	}
}

int run_detach(struct run *run, struct failure *failure)
{
	int err = run->guardian.socket < 0 ? 0 : guardian_detach(&run->guardian, 0, failure);

	if (!err)
		for (size_t i = 0; i < run->nlinks; i++)
			run->links[i].attached = 0;
	run->ended_at = run_now();
	if (run->attached_at)
		settle(run);
	return err;
}

void run_close(struct run *run)
{
	if (run->guardian.pid > 0)
		run->trace.instance[0] = '\0'; /* the guardian removes it: we may not any more */
	trace_pipe_close(&run->trace);
	guardian_end(&run->guardian);
	for (size_t i = 0; i < run->nlinks; i++)
		if (run->links[i].program >= 0)
			close(run->links[i].program);
	flows_close(&run->flows);
	bpf_maps_close(&run->maps);
	free(run->object);
	options_free(&run->options);
}
