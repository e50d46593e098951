// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bpf.h"
#include "guardian_serve.h"
#include "report.h"
#include "say.h"
#include "status.h"

/* Whose program is it? */
enum owner {
	OTHERS,
	LIVING,    /* a running xguard's */
	LEFTOVER,  /* an xguard's that nobody answers for */
	UNKNOWN,   /* its name is not told to us */
};

/* What a walk over the links is about. */
struct walk {
	int nl;
	const struct options *options;
	const struct report *report;
	struct output *out;
	int remaining;
};

static __u64 now_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* Of the guardian's pid the reader's: that one a user can end. */
static pid_t reader_of(pid_t guardian)
{
	pid_t parent = guardian > 0 ? holder_parent(guardian) : 0;

	return parent > 1 ? parent : guardian > 0 ? guardian : 0;
}

static enum owner find_owner(const struct link_info *link, __u32 id, struct holder *holder)
{
	pid_t guardian = guardian_alive(link->ifindex);
	int named;

	holder_of(id, 0, holder);
	named = holder->tag[0] != '\0';
	if (named && strcmp(holder->program, PROGRAM_NAME)) {
		holder_of(id, 1, holder);
		return OTHERS;
	}
	if (!guardian)
		return named ? LEFTOVER : UNKNOWN;
	strcpy(holder->comm, PROGRAM_NAME);
	holder->pid = reader_of(guardian);
	return LIVING;
}

/* "12 s", "3 min", "5 h", "2 d"; "-" where it is not known. */
static const char *age_text(char text[24], __u64 age)
{
	static const struct { __u64 seconds; const char *name; } units[] = {
		{ 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" },
	};
	size_t i = 0;

	while (i < 3 && age / 1000000000 < 2 * units[i].seconds)
		i++;
	snprintf(text, 24, age ? "%llu %s" : "-", age / 1000000000 / units[i].seconds,
		 units[i].name);
	return text;
}

static void holder_phrase(char *text, size_t size, enum owner owner, const struct holder *holder)
{
	if (owner == LEFTOVER)
		snprintf(text, size, "left over; xguard --detach removes it");
	else if (holder->pid)
		snprintf(text, size, "%s, process %d", holder->comm, holder->pid);
	else if (owner == LIVING)
		snprintf(text, size, "xguard, in another PID namespace");
	else
		strcpy(text, "-");
}

#define ROW "%-15s %-8s %-7s %-15s %-16s %6s  %s\n"

static void show(const struct walk *walk, const struct report_program *program, enum owner owner)
{
	char id[16], age[24], name[64], phrase[64];

	if (walk->report->format != FORMAT_TEXT) {
		report_program(walk->report, walk->out, program, now_of(CLOCK_MONOTONIC));
		return;
	}
	harmless_text(name, sizeof(name), program->interface);
	if (!program->mode) {
		output_format(walk->out, "%-15s -\n", name);
		return;
	}
	snprintf(id, sizeof(id), "%u", program->id);
	holder_phrase(phrase, sizeof(phrase), owner, &program->holder);
	output_format(walk->out, ROW, name, program->mode, id,
		      program->holder.program[0] ? program->holder.program : "-",
		      program->holder.tag[0] ? program->holder.tag : "-",
		      age_text(age, program->age), phrase);
}

static int show_link(const struct link_info *link, void *context)
{
	struct report_program program = { .interface = link->name };
	enum owner owner;

	for (int mode = XDP_MODE_NATIVE; mode <= XDP_MODE_OFFLOAD; mode++) {
		if (!link->program[mode])
			continue;
		program.mode = xdp_mode_name(mode);
		program.id = link->program[mode];
		owner = find_owner(link, program.id, &program.holder);
		program.leftover = owner == UNKNOWN ? -1 : owner == LEFTOVER;
		program.age = program.holder.load_time ?
			now_of(CLOCK_BOOTTIME) - program.holder.load_time : 0;
		show(context, &program, owner);
	}
	if (!program.mode)
		show(context, &program, OTHERS);
	return 0;
}

static int walk_links(struct walk *walk, int (*each)(const struct link_info *link, void *context),
		      struct failure *failure)
{
	const struct options *options = walk->options;
	struct link_info link;
	int err;

	walk->nl = err = netlink_open(0, failure);
	if (err < 0)
		return err;
	err = options->ninterfaces ? 0 : netlink_links(walk->nl, each, walk, failure);
	for (size_t i = 0; i < options->ninterfaces && !err; i++) {
		err = netlink_link(walk->nl, options->interfaces[i], 0, &link, failure);
		if (!err)
			each(&link, walk);
	}
	close(walk->nl);
	return err;
}

int status_show(const struct options *options, const struct report *report, struct output *out,
		struct failure *failure)
{
	struct walk walk = { .options = options, .report = report, .out = out };

	report_begin(report, out);
	if (report->format == FORMAT_TEXT)
		output_format(out, ROW, "LINK", "MODE", "ID", "NAME", "TAG", "AGE", "HOLDER");
	return walk_links(&walk, show_link, failure);
}

/* What is left alone, and why. Returns 1 where it is xguard's, or may be. */
static int leave(const char *name, enum owner owner, const struct holder *holder,
		 const char *text)
{
	if (owner == OTHERS) {
		say("%s: %s is not xguard's: left alone; --force takes it off", name, text);
		return 0;
	}
	if (owner == UNKNOWN)
		say("%s: whose %s is, is told to root only: left alone; run as root, or --force "
		    "takes it off", name, text);
	else if (holder->pid)
		say("%s: %s is a running xguard's: left alone; end that one (kill %d), or --force "
		    "takes it off", name, text, holder->pid);
	else
		say("%s: %s is that of an xguard which runs in another PID namespace: left alone; "
		    "end that one, or --force takes it off", name, text);
	return 1;
}

static int take_off(const struct walk *walk, const struct link_info *link, __u32 id,
		    const struct holder *holder)
{
	struct failure failure;
	int program = bpf_prog_fd_by_id(id);
	int err = guardian_take_off(walk->nl, link->ifindex, program, id, &failure);

	if (program >= 0)
		close(program);
	if (err == -EPERM)
		fail_next(&failure, "run it as root, or with CAP_NET_ADMIN");
	else if (err == -EBUSY && holder->pid)
		fail_next(&failure, "process %d (%s) holds it by a BPF link: it goes when that "
			  "process ends", holder->pid, holder->comm);
	else if (err == -EBUSY)
		fail_next(&failure, "a BPF link holds it: it goes when its process ends, or its "
			  "pin in /sys/fs/bpf is removed");
	if (err)
		say_failure(&failure);
	return err;
}

static int detach_link(const struct link_info *link, void *context)
{
	struct walk *walk = context;
	struct holder holder;
	char text[160], name[64];

	harmless_text(name, sizeof(name), link->name);
	for (int mode = XDP_MODE_NATIVE; mode <= XDP_MODE_OFFLOAD; mode++) {
		__u32 id = link->program[mode];
		enum owner owner;

		if (!id)
			continue;
		owner = find_owner(link, id, &holder);
		holder_text(id, &holder, text, sizeof(text));
		if (owner != LEFTOVER && !walk->options->force)
			walk->remaining += leave(name, owner, &holder, text);
		else if (take_off(walk, link, id, &holder))
			walk->remaining++;
		else
			output_format(walk->out, "%s: removed %s%s (%s mode)\n", name, text,
				      owner == LEFTOVER ? ", left by an xguard that was killed" :
				      "", xdp_mode_name(mode));
	}
	return 0;
}

int status_detach(const struct options *options, struct output *out, struct failure *failure)
{
	struct walk walk = { .options = options, .out = out };
	struct failure unused;
	int err, instances;

	err = walk_links(&walk, detach_link, failure);
	instances = trace_pipe_sweep(&unused); /* who may not look there has left none */
	if (instances > 0)
		output_format(out, "removed %d tracing instance%s of xguards that were killed\n",
			      instances, instances == 1 ? "" : "s");
	return err ? err : walk.remaining;
}
