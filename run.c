// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/membarrier.h>

#include "filter.h"
#include "load_hints.h"
#include "run.h"
#include "say.h"
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

void run_link_counts(const struct run *run, size_t link, struct link_count *sum)
{
	const volatile struct link_count *row = &run->maps.counts[link * (run->maps.cpus + 1)];
	const volatile __u64 *from = (const volatile __u64 *)row;
	const size_t n = sizeof(*sum) / sizeof(__u64);
	__u64 *to = (__u64 *)sum;

	memset(sum, 0, sizeof(*sum));
	if (run->links[link].end)
		*sum = *run->links[link].end;
	else
		for (size_t i = 0; i < n * (run->maps.cpus + 1); i++)
			to[i % n] += read_counter(&from[i]);
	for (size_t i = 0; i < n; i++)
		to[i] -= ((const __u64 *)&run->links[link].base)[i];
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

static void set_link(struct run *run, size_t i, const struct link_info *info)
{
	run->links[i] = (struct run_link){ .info = *info, .program = -1 };
	run->names[i].ifindex = info->ifindex;
	memcpy(run->names[i].name, info->name, sizeof(info->name));
}

struct looker {
	struct run *run;
	int nl;
};

static int add_link(const struct link_info *info, void *context)
{
	const struct looker *looker = context;
	struct run *run = looker->run;

	if (run_link_of(run, info->ifindex) || run->nlinks == LINKS_MAX)
		return 0; /* named twice: traced once */
	set_link(run, run->nlinks, info);
	run->links[run->nlinks++].ssh_port = ssh_port_over(looker->nl, info);
	return 0;
}

static int add_followed(const struct link_info *info, void *context)
{
	return guardian_follows(info) ? add_link(info, context) : 0;
}

static int look_up_links(struct run *run, struct failure *failure)
{
	struct options *options = &run->options;
	struct looker looker = { run, netlink_open(0, failure) };
	struct link_info info;
	const char *name;
	int err = 0;

	if (looker.nl < 0)
		return looker.nl;
	for (size_t i = 0; i < options->ninterfaces && !err; i++) {
		name = options->interfaces[i];
		err = netlink_link(looker.nl, name, 0, &info, failure);
		if (err == -ENODEV && !strcmp(name, "any"))
			err = !(options->all = 1);
		else if (!err)
			add_link(&info, &looker);
	}
	if (options->all && !err) {
		run->report.show_interface = 1;
		err = netlink_links(looker.nl, add_followed, &looker, failure);
		if (!err && !run->nlinks) {
			err = fail(failure, 0, "interface all");
			fail_reason(failure, "no link is up, but lo and links stacked on others");
			fail_next(failure, "set one up (ip link set dev IFACE up), or name one");
		}
	}
	close(looker.nl);
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
static void configure(struct run *run)
{
	struct config *config = &run->config;
	const struct options *options = &run->options;

	memset(config, 0, sizeof(*config));
	config->version = XGUARD_ABI;
	config->kernel_trace = options->trace == TRACE_KERNEL;
	config->by = options->by;
	config->cpus = run->maps.cpus;
	config->slot_bits = run->maps.slot_bits;
	config->sample = options->sample;
	config->one_word4 = run->nlinks == 1 && !options->all && !(options->by & (FIELD_SRC_PORT | FIELD_DST_PORT));
	config->plain = sizeof(long) < 8;
	config->preemptible = load_preemptible();
	configure_masks(options, config);
	random_bytes(config->multiplier, sizeof(config->multiplier));
	for (size_t i = 0; i < 6; i++)
		config->multiplier[i] |= 1;
	if (config->kernel_trace)
		snprintf(config->format, sizeof(config->format), TRACE_FORMAT, run->marker);
}

static int load_link(struct run *run, size_t i, struct failure *failure)
{
	struct config *config = &run->config;
	struct run_link *link = &run->links[i];
	struct bpf_program program = run->program;
	struct filter filter;
	int pieces, err;

	config->ifindex = link->info.ifindex;
	config->link = i;
	config->link_type = link_type(&link->info);
	config->frags = link->info.mtu > MTU_OF_A_PAGE ? FRAGS : 0;
	if (config->preemptible) /* what may be interrupted on its CPU has no memory there to itself */
		pieces = config->frags ? PIECES_ASKED_FOR : PIECES_NONE;
	else
		pieces = config->frags ? PIECES_COPIED : PIECES_IF_CHEAPER;
	err = filter_compile(&filter, run->options.filter, run->options.protocol, config->link_type, pieces);
	if (err)
		return fail(failure, 0, "%s: filter", link->info.name),
		       fail_reason(failure, "%s", filter.error);
	if (filter.no_pieces)
		say("%s: the filter is too long to look into frames of several pieces, as jumbo frames may be: "
		    "of those none matches", link->info.name);
	config->filtered = filter.insns ? 1 + filter.wants_key : 0;
	config->frags |= (filter.pieces_alone ? FRAGS_ALONE : 0) | (filter.pieces_copied ? FRAGS_SCRATCH : 0);
	config->quick = config->link_type == LINK_ETHERNET && config->filtered < 2 &&
			!config->kernel_trace;
	program.filter = filter.insns;
	program.filter_len = filter.len;
	program.pieces = filter.pieces;
	program.pieces_len = filter.pieces_len;
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

static int make_maps(struct run *run, struct failure *failure)
{
	int cpus, err;

	cpus = bpf_load_cpus(failure);
	if (cpus < 0)
		return cpus;
	err = bpf_maps_create(&run->maps, run->options.trace == TRACE_USERSPACE, cpus,
			      run->options.all ? LINKS_MAX : run->nlinks, run->options.max_flows,
			      failure);
	if (!err)
		configure(run);
	return err;
}

/* Of all links, those that cannot be traced (an ARP filter on a tunnel) give way to the others: the
 * guardian says why when it tries them again. */
static int load(struct run *run, struct failure *failure)
{
	int err;

	for (size_t i = 0; i < run->nlinks; i++) {
		err = load_link(run, i, failure);
		if (err && (!run->options.all || run->nlinks == 1))
			return err;
		if (!err)
			continue;
		run->nlinks--;
		memmove(&run->links[i], &run->links[i + 1], (run->nlinks - i) * sizeof(*run->links));
		memmove(&run->names[i], &run->names[i + 1], (run->nlinks - i) * sizeof(*run->names));
		i--;
	}
	return 0;
}

/* In the guardian. */
static int recruit(const struct link_info *link, unsigned int row, struct link_count *base,
		   void *context, struct failure *failure)
{
	struct run *run = context;
	int err;

	set_link(run, row, link);
	run_link_counts(run, row, base);
	err = load_link(run, row, failure);
	return err ? err : run->links[row].program;
}

static int open_trace(struct run *run, struct failure *failure)
{
	if (run->options.trace == TRACE_USERSPACE)
		return flows_open(&run->flows, &run->maps, failure);
	return trace_pipe_open(&run->trace, run->marker, run->note, failure);
}

static int attach_link(struct run *run, struct run_link *link, struct failure *failure)
{
	enum attach_mode mode = run->options.mode;
	int err;

	link->spared = mode == ATTACH_AUTO && link->ssh_port && !ssh_driver_is_quiet(&link->info);
	if (link->spared)
		mode = ATTACH_GENERIC;
	err = guardian_attach(&run->guardian, &link->info, link->program, mode, &link->how, failure);
	if (err)
		return err;
	if (link->spared)
		snprintf(link->how.why_generic, sizeof(link->how.why_generic),
			 "native mode could cut off your SSH connection");
	link->attached = 1;
	link->since = run->attached_at = run_now();
	return 0;
}

static int attach(struct run *run, run_told *told, struct failure *failure)
{
	int err = 0, all = run->options.all;

	for (size_t i = 0; i < run->nlinks; i++) {
		err = attach_link(run, &run->links[i], failure);
		if (err && (!all || err == -EPIPE || err == -ETIMEDOUT))
			return err;
		told(run, &run->links[i], err ? failure : NULL);
		if (err)
			run->links[i].info.ifindex = run->names[i].ifindex = 0;
	}
	if (all && !run->attached_at) {
		fail(failure, 0, "interface all");
		return fail_reason(failure, "no link could be attached to");
	}
	return all ? guardian_follow(&run->guardian, failure) : 0;
}

struct run_link *run_enlist(struct run *run, const struct guardian_news *news)
{
	struct run_link *link = &run->links[news->row];
	struct link_info info = { .ifindex = news->ifindex, .flags = news->up ? IFF_UP : 0 };

	memcpy(info.name, news->name, sizeof(info.name));
	set_link(run, news->row, &info);
	link->attached = 1;
	link->since = run_now();
	link->base = news->base;
	link->how = news->how;
	if (news->row >= run->nlinks)
		run->report.nlinks = run->nlinks = news->row + 1;
	return link;
}

void run_begin(struct run *run)
{
	run->guardian.socket = run->top.screen.keys = -1;
	run->trace.pipe = run->trace.instances = run->trace.tracefs = -1;
	run->maps.cache = run->maps.flows = run->maps.links = -1;
}

/* The guardian is there before there is anything that it would have to take down. */
static int start_guardian(struct run *run, struct failure *failure)
{
	struct guardian_duties duties = { .instances = -1, .terminal = run->top.screen.terminal };
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
	if (run->options.all) {
		run->recruiter = (struct guardian_recruiter){
			.load = recruit, .context = run, .rows = LINKS_MAX,
			.maps = { &run->maps.cache, &run->maps.flows, &run->maps.links },
			.mode = run->options.mode,
		};
		duties.recruiter = &run->recruiter;
	}
	return guardian_start(&run->guardian, &duties, failure);
}

int run_prepare(struct run *run, struct failure *failure)
{
	__u32 number;
	int err, all;

	random_bytes(&number, sizeof(number));
	snprintf(run->marker, sizeof(run->marker), "xg%08x", number);
	err = choose_object(run, failure);
	if (!err)
		err = look_up_links(run, failure);
	all = run->options.all; /* then the guardian loads, too, and takes the maps with it */
	if (!err && all) {
		memlock_raise(); /* it may not, later */
		err = make_maps(run, failure);
	}
	if (!err)
		err = start_guardian(run, failure);
	if (!err && run->options.trace == TRACE_KERNEL)
		err = open_trace(run, failure);
	if (!err && !all)
		err = make_maps(run, failure);
	if (!err)
		err = load(run, failure);
	if (!err && run->options.trace == TRACE_USERSPACE)
		err = open_trace(run, failure);
	return err;
}

int run_open(struct run *run, run_told *told, struct failure *failure)
{
	int err = run_prepare(run, failure);

	return err ? err : attach(run, told, failure);
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
	if (run->guardian.pid > 0 && run->guardian.requests >= 0)
		run->trace.instance[0] = '\0'; /* the guardian lives, and removes it */
	trace_pipe_close(&run->trace);
	guardian_end(&run->guardian);
	for (size_t i = 0; i < run->nlinks; i++)
		if (run->links[i].program >= 0)
			close(run->links[i].program);
	top_close(&run->top);
	flows_close(&run->flows);
	bpf_maps_close(&run->maps);
	free(run->object);
	options_free(&run->options);
}
