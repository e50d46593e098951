// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/if.h>

#include "confine.h"
#include "filter.h"
#include "probe.h"
#include "run.h"
#include "say.h"
#include "status.h"

#define NEVER UINT64_MAX
#define DRAIN_NS 20000000ull /* the trace is read this often, whatever poll says of it, */
#define BUSY_NS   1000000ull /* and so soon after lines were found, */
#define NOTHING_NS 5000000000ull /* nothing counted for so long, though frames arrive: why? */
#define LOOK_NS 100000000ull /* but no longer than this without a look at everything else */

static volatile sig_atomic_t stops;   /* signals that ask for the end */
static volatile sig_atomic_t asked;   /* SIGUSR1: the summary so far */

static void on_signal(int number)
{
	if (number == SIGUSR1)
		asked = 1;
	else
		stops++;
}

static void catch_signals(sigset_t *caught)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 };
	struct sigaction action = { .sa_handler = on_signal }, old;

	signal(SIGPIPE, SIG_IGN); /* a write says EPIPE */
	sigemptyset(caught);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (numbers[i] == SIGHUP && !sigaction(SIGHUP, NULL, &old) &&
		    old.sa_handler == SIG_IGN)
			continue; /* nohup(1) */
		sigaction(numbers[i], &action, NULL);
		sigaddset(caught, numbers[i]);
	}
}

/*
 * Descriptors 0 to 2 are never ours: where one is closed, the end of an empty pipe takes its place,
 * which gives nothing and takes nothing (EBADF).
 */
static void hold_standard_descriptors(void)
{
	int fds[2];

	do {
		if (pipe(fds))
			return;
		close(fds[1]);
	} while (fds[0] <= STDERR_FILENO);
	close(fds[0]);
}

static void say_attached(const struct run *run, const struct run_link *link)
{
	const struct attach_result *how = &link->how;
	const char *name = link->info.name;

	say("attached to %s (%s%s%s, program id %u); press Ctrl+C to stop", name,
	    xdp_mode_name(how->mode), how->why_generic[0] ? ": " : "", how->why_generic,
	    how->program_id);
	if (how->replaced[0])
		say("%s: %s", name, how->replaced);
	if (!(link->info.flags & IFF_UP))
		say("%s: the link is down; its frames count once it is up", name);
	if (how->mode == XDP_MODE_GENERIC)
		say("%s: generic mode comes after GRO: a frame may be several that arrived as one",
		    name);
	if (link->spared)
		say("%s: your SSH connection comes over it, and many drivers reset the link for native "
		    "mode; --mode native insists", name);
	if (run->options.trace == TRACE_KERNEL && link->ssh_port &&
	    !(run->options.filter && strstr(run->options.filter, "port")))
		say("%s: your SSH connection comes over it: every line shown there makes more of them; "
		    "add `not port %u`", name, link->ssh_port);
	if (run->note[0] && link == &run->links[run->nlinks - 1])
		say("%s", run->note);
}

/* What a link came to so far. */
static void summarize(struct run *run, size_t i, struct report_summary *summary)
{
	const struct flow *flow;
	struct link_count sum;

	run_link_counts(run, i, &sum);
	memset(summary, 0, sizeof(*summary));
	summary->interface = run->links[i].info.name;
	summary->nanoseconds = (run->ended_at ? run->ended_at : run_now()) - run->attached_at;
	summary->counted = sum.matched;
	if (run->options.trace == TRACE_KERNEL) {
		summary->lines = run->lines;
		summary->lost = sum.lines > run->lines_read[i] ? sum.lines - run->lines_read[i] : 0;
		/* Before the end there may be lines on their way. */
		if (!run->ended_at && summary->lost > run->lost_seen + sum.unprinted)
			summary->lost = run->lost_seen + sum.unprinted;
		return;
	}
	summary->unattributed = sum.unattributed;
	summary->counted = sum.unattributed;
	for (flow = run->flows.flow; flow < run->flows.flow + run->flows.n; flow++) {
		if ((int)flow->key.ifindex != run->links[i].info.ifindex)
			continue;
		summary->flows++;
		summary->counted.packets += flow->total.packets;
		summary->counted.bytes += flow->total.bytes;
	}
}

/* The summaries of all links, on standard error, and in out (JSON) unless it is NULL. */
static void print_summaries(struct run *run, struct output *out)
{
	struct report_summary summary;
	char text[256];

	for (size_t i = 0; i < run->nlinks; i++) {
		summarize(run, i, &summary);
		report_summary(&run->report, out, &summary, run_now(), text, sizeof(text));
		if (!out || run->options.format != FORMAT_JSON)
			say("%s", text);
	}
}

/* Userspace trace: read the maps, write what grew. Returns 0 or -errno. */
static int publish(struct run *run, struct failure *failure)
{
	struct flow **list;
	__u64 now = run_now();
	long n;
	int err;

	err = flows_snapshot(&run->flows, &run->maps, failure);
	if (err)
		return err;
	run->frames = run->flows.total.packets;
	n = flows_publish(&run->flows, &list);
	if (n < 0)
		return fail(failure, -n, "sort %zu flows", run->flows.n);
	for (long i = 0; i < n; i++)
		report_flow(&run->report, &run->output, list[i], now);
	output_flush(&run->output, &stops);
	return 0;
}

static int enough(const struct run *run)
{
	if (!run->options.count)
		return 0;
	return (run->options.trace == TRACE_KERNEL ? run->lines : run->frames) >=
	       run->options.count;
}

/* Kernel trace: one line that was read. A result other than 0 ends the reading. */
static int take_line(const struct trace_line *line, void *context)
{
	struct run *run = context;
	struct run_link *link = run_link_of(run, line->key.ifindex);

	if (!link)
		return 0;
	run->lines_read[link - run->links]++;
	if (!enough(run)) {
		run->lines++;
		report_packet(&run->report, &run->output, line);
	}
	if (run->ended_at)
		return 0;
	return run->output.error || stops || asked || enough(run) || run_now() >= run->drain_end;
}

/*
 * Read what there is. A poll that waits costs the receiving CPU a wake-up a line, three times what
 * printing the line does: after a drain that found lines the next one is left some time.
 */
static int drain(struct run *run, struct failure *failure)
{
	__u64 look = run_now() + LOOK_NS;
	int n;

	run->drain_end = look < run->end ? look : run->end;
	n = trace_pipe_read(&run->trace, take_line, run, &run->lost_seen);
	if (n < 0)
		return fail(failure, -n, "read trace_pipe");
	run->busy = n > 0;
	output_flush(&run->output, &stops);
	return 0;
}

/* What the guardian says of a link that we trace. Returns 0, or -1: the run is over. */
static int hear(struct run *run, const struct guardian_news *news, struct failure *failure)
{
	struct run_link *link = run_link_of(run, news->ifindex);
	const char *name = link ? link->info.name : news->name;

	switch (news->event) {
	case LINK_IS_DOWN:
		say("%s: the link went down; still attached", name);
		return 0;
	case LINK_IS_UP:
		say("%s: the link is up", name);
		return 0;
	case LINK_IS_RENAMED:
		say("%s: the link is now called %s; still attached", name, news->name);
		return 0;
	case LINK_IS_GONE:
		fail(failure, 0, "%s", name);
		fail_reason(failure, news->moved ? "the link was moved to another network namespace, "
			    "our program with it" : "the link is gone: it was deleted");
		if (news->moved)
			fail_next(failure, "run there (`ip netns exec NAME ...` or `nsenter -t PID -n "
				  "...`): ip link set dev %s %s off", news->name,
				  link && link->how.mode == XDP_MODE_GENERIC ? "xdpgeneric" : "xdpdrv");
		break;
	case LINK_IS_TAKEN:
		fail(failure, 0, "%s", name);
		if (news->program_id)
			fail_reason(failure, "another program took our place (id %u)",
				    news->program_id);
		else
			fail_reason(failure, "our program was detached by someone else");
		break;
	case LINKS_ARE_CLEAN:
		fail(failure, 0, "the process that detaches has died");
		fail_reason(failure, "its deputy has detached from every link");
		fail_next(failure, "start xguard again to go on");
		break;
	}
	if (link)
		link->attached = 0;
	return -1;
}

static int hear_all(struct run *run, struct failure *failure)
{
	struct guardian_news news;
	int got;

	while ((got = guardian_news(&run->guardian, &news)) > 0)
		if (hear(run, &news, failure))
			return -1;
	if (got < 0) {
		guardian_end(&run->guardian);
		fail(failure, 0, "the process that detaches has died");
		fail_reason(failure, "the program stays attached");
		return fail_next(failure, "run: ip link set dev %s xdp off, for each link; "
				 "or start xguard on it again, which replaces it",
				 run->links[0].info.name);
	}
	return 0;
}

/* Wait for the trace, the guardian, the output's reader, a signal or the time. */
static int wait_for_something(struct run *run, const sigset_t *caught, __u64 until,
			      struct failure *failure)
{
	struct pollfd fds[3] = {
		{ .fd = run->guardian.socket, .events = POLLIN },
		{ .fd = run->output.fd },
		{ .fd = run->busy ? -1 : run->trace.pipe, .events = POLLIN },
	};
	__u64 now = run_now(), pause = until > now ? until - now : 0;
	struct timespec timeout = { pause / 1000000000, pause % 1000000000 };
	sigset_t old;
	int n = 0;

	sigprocmask(SIG_BLOCK, caught, &old);
	if (!stops && !asked)
		n = ppoll(fds, 3, until == NEVER ? NULL : &timeout, &old);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (n <= 0)
		return 0;
	if (fds[1].revents & (POLLERR | POLLHUP))
		run->output.error = run->output.error ? run->output.error : EPIPE;
	return fds[0].revents ? hear_all(run, failure) : 0;
}

/* SIGUSR1: the summary of this moment; what is published is left to the interval. */
static int tell_so_far(struct run *run, struct failure *failure)
{
	int err = run->options.trace == TRACE_KERNEL ? drain(run, failure) :
		flows_snapshot(&run->flows, &run->maps, failure);

	if (!err)
		print_summaries(run, NULL);
	return err;
}

/* Frames arrive at a link, by its own counter, and none was counted. */
static void explain_nothing(const struct run *run, const struct run_link *link, __u64 arrived)
{
	const char *name = link->info.name;

	if (run->options.filter || run->options.protocol)
		say("%s: %llu frames arrived, none matched", name, arrived);
	else
		say("%s: %llu frames arrived, none came by here. The usual reasons: hardware, a driver's "
		    "offload or another program (AF_XDP, tc) takes them first, or they belong to a link "
		    "below or above this one; try --mode %s, or that link", name, arrived,
		    link->how.mode == XDP_MODE_GENERIC ? "native" : "generic");
}

/* Nothing counted after five seconds, and again five later. Returns 0 or -errno. */
static int look_for_nothing(struct run *run, struct failure *failure)
{
	int err = run->options.trace == TRACE_KERNEL ? 0 :
		flows_snapshot(&run->flows, &run->maps, failure);
	int first = run->look == run->attached_at + NOTHING_NS;
	struct report_summary summary;
	struct run_link *link;
	struct link_info now;

	run->look = NEVER;
	for (size_t i = 0; i < run->nlinks && !err; i++) {
		link = &run->links[i];
		summarize(run, i, &summary);
		link->explained |= summary.counted.packets > 0;
		if (link->explained || !link->attached)
			continue;
		if (first)
			say("%s: nothing seen yet; what arrives is traced (ingress only), not what this "
			    "host sends", link->info.name);
		first = 0;
		err = guardian_look(&run->guardian, link->info.ifindex, &now, failure);
		if (!err && now.rx_packets > link->how.rx_packets) {
			explain_nothing(run, link, now.rx_packets - link->how.rx_packets);
			link->explained = 1;
		} else {
			run->look = run_now() + NOTHING_NS;
		}
		if (err == -ENODEV) /* news of that will come */
			err = 0;
	}
	return err;
}

/* From the attach until something ends the run. Returns 0, or -1 with failure filled in. */
static int loop(struct run *run, const sigset_t *caught, struct failure *failure)
{
	int kernel = run->options.trace == TRACE_KERNEL, err = 0;
	__u64 period = kernel ? DRAIN_NS : run->options.interval;
	__u64 next = run->attached_at + period, now, until;

	run->end = run->options.duration ? run->attached_at + run->options.duration : NEVER;
	run->look = run->attached_at + NOTHING_NS;
	while (!err && !stops && !run->output.error && !enough(run)) {
		until = run->busy ? run_now() + BUSY_NS : next < run->look ? next : run->look;
		err = wait_for_something(run, caught, until < run->end ? until : run->end, failure);
		if (err)
			break;
		if (asked) {
			asked = 0;
			err = tell_so_far(run, failure);
			if (err)
				break;
		}
		now = run_now();
		if (now >= run->end)
			break;
		if (now >= run->look)
			err = look_for_nothing(run, failure);
		if (err)
			break;
		if (kernel)
			err = drain(run, failure);
		else if (now >= next)
			err = publish(run, failure);
		if (now >= next)
			next += ((now - next) / period + 1) * period;
	}
	return err;
}

static void detach(struct run *run)
{
	struct failure failure;

	if (!run->ended_at && run_detach(run, &failure)) {
		say_failure(&failure);
		run->failed = 1;
	}
}

/* A signal, while the output waits for its reader: the data can wait, the detach must not. */
static void on_blocked_output(void *run)
{
	if (stops)
		detach(run);
}

/* Detach, then the rest of the data and the summary. */
static void finish(struct run *run)
{
	struct failure failure;
	int err;

	detach(run);
	if (stops > 1)
		return;
	err = run->options.trace == TRACE_KERNEL ? drain(run, &failure) : publish(run, &failure);
	if (err) {
		say_failure(&failure);
		run->failed = 1;
	}
	print_summaries(run, &run->output);
}

static void close_output(struct run *run)
{
	int err = output_close(&run->output, &stops);

	if (!err || err == -EPIPE || stops > 1)
		return;
	say("%s: %s", run->output.name, strerror(-err));
	run->failed = 1;
}

static void prepare_report(struct run *run)
{
	struct timespec real;

	clock_gettime(CLOCK_REALTIME, &real);
	run->report = (struct report){
		.format = run->options.format,
		.trace = run->options.trace,
		.by = run->options.by | FIELD_ETH_TYPE,
		.prefix4 = run->options.prefix4,
		.prefix6 = run->options.prefix6,
		.numeric = run->options.numeric,
		.show_interface = run->options.ninterfaces > 1,
		.realtime_offset = real.tv_sec * 1000000000ll + real.tv_nsec - (__s64)run_now(),
		.links = run->names, /* nlinks: once they are known */
	};
}

/* All is open and attached; what comes takes no privilege. */
static void restrict_reader(const struct run *run)
{
	char note[128];

	confine(run->maps.links, 0, note, sizeof(note));
	if (note[0] && run->options.verbose)
		say("%s", note);
}

static int trace(struct run *run)
{
	struct failure failure;
	sigset_t caught;

	catch_signals(&caught);
	prepare_report(run);
	if (output_open(&run->output, run->options.output, &failure)) {
		say_failure(&failure);
		return 1;
	}
	if (run_open(run, say_attached, &failure)) {
		say_failure(&failure);
		run->failed = 1;
		if (run_detach(run, &failure))
			say_failure(&failure);
	} else {
		restrict_reader(run);
		run->report.nlinks = run->nlinks;
		run->output.interrupted = on_blocked_output;
		run->output.context = run;
		report_begin(&run->report, &run->output);
		output_flush(&run->output, &stops);
		if (loop(run, &caught, &failure)) {
			say_failure(&failure);
			run->failed = 1;
		}
		finish(run);
	}
	close_output(run);
	run_close(run);
	return run->failed;
}

/* What is done in place of a trace. Returns the exit status. */
static int act(struct run *run)
{
	const struct options *options = &run->options;
	struct failure failure;
	int ret = 0;

	catch_signals(&(sigset_t){ 0 });
	prepare_report(run);
	if (output_open(&run->output, options->output, &failure)) {
		say_failure(&failure);
		return 1;
	}
	if (options->action == ACTION_STATUS)
		ret = status_show(options, &run->report, &run->output, &failure);
	else if (options->action == ACTION_DETACH)
		ret = status_detach(options, &run->output, &failure);
	else
		ret = probe(run, &failure);
	if (ret < 0)
		say_failure(&failure);
	run->failed = ret != 0;
	close_output(run);
	options_free(&run->options);
	return run->failed;
}

/* A filter that does not parse is misuse: found before any privilege is needed. Returns the exit
 * status where there is no filter, else 0. */
static int compile(const struct options *options, struct filter *filter)
{
	struct failure failure;
	int err = filter_compile(filter, options->filter, options->protocol, LINK_ETHERNET);

	if (!err)
		return 0;
	fail(&failure, 0, "filter");
	fail_reason(&failure, "%s", err == -ENOMEM ? strerror(ENOMEM) : filter->error);
	if (filter->column && options->filter)
		fail_next(&failure, "%.*s>>> %s", filter->column - 1, options->filter,
			  options->filter + filter->column - 1);
	say_failure(&failure);
	return err == -ENOMEM ? 1 : 2;
}

/*
 * What is done in place of a trace; -d, too, needs no link and no privilege: the Ethernet kind is
 * assumed. Returns the exit status.
 */
static int print(struct run *run, const struct filter *filter)
{
	struct output *output = &run->output;
	struct failure failure;

	if (run->options.action == ACTION_USAGE) {
		output->fd = STDERR_FILENO;
	} else if (output_open(output, NULL, &failure)) {
		say_failure(&failure);
		return 1;
	}
	if (run->options.action == ACTION_DUMP)
		filter_dump(filter, output);
	else if (run->options.action == ACTION_VERSION)
		output_text(output, "xguard " XGUARD_VERSION "\n");
	else
		options_usage(output);
	close_output(run);
	return run->options.action == ACTION_USAGE ? 2 : run->failed;
}

int main(int argc, char **argv)
{
	static struct run run;
	struct failure failure;
	struct filter filter;
	int status;

	hold_standard_descriptors();
	run_begin(&run);
	if (options_parse(&run.options, argc, argv, &failure)) {
		say_failure(&failure);
		return 2;
	}
	if (run.options.action > ACTION_DUMP)
		return print(&run, NULL);
	if (run.options.action != ACTION_TRACE && run.options.action != ACTION_DUMP)
		return act(&run);
	status = compile(&run.options, &filter);
	if (status)
		return status;
	if (run.options.action == ACTION_DUMP)
		return print(&run, &filter);
	filter_free(&filter);
	return trace(&run);
}
