// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "loop.h"
#include "run.h"
#include "say.h"
#include "tell.h"

#define NEVER UINT64_MAX
#define DRAIN_NS 20000000ull /* the trace is read this often, whatever poll says of it, */
#define BUSY_NS   1000000ull /* and so soon after lines were found, */
#define NOTHING_NS 5000000000ull /* nothing counted for so long, though frames arrive: why? */
#define FIRST_NS 250000000ull /* the live view has something to show so soon */
#define CLOCK_NS 1000000000ull /* how far it is, and whether the clock was set, for --stop */
#define LOOK_NS 100000000ull /* but no longer than this without a look at everything else */
#define AGAIN_NS 20000000ull /* timeout(1) signals its child, then its group: still the first */

volatile sig_atomic_t loop_stops;
static volatile sig_atomic_t asked;   /* SIGUSR1: the summary so far */
static volatile sig_atomic_t resized, suspended, resumed; /* of the live view */

static void on_stop(void)
{
	static __u64 first;
	__u64 now = run_now();

	if (!loop_stops)
		first = now;
	if (!loop_stops || now - first >= AGAIN_NS)
		loop_stops++;
}

static void on_signal(int number)
{
	switch (number) {
	case SIGUSR1:
		asked = 1;
		break;
	case SIGWINCH:
		resized = 1;
		break;
	case SIGTSTP:
		suspended = 1;
		break;
	case SIGCONT:
		resumed = 1;
		break;
	default:
		on_stop();
	}
}

static void catch_signal(int number, sigset_t *caught)
{
	sigaction(number, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	sigaddset(caught, number);
}

void loop_catch_signals(sigset_t *caught)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 };
	struct sigaction old;

	signal(SIGPIPE, SIG_IGN); /* a write says EPIPE, */
	signal(SIGXFSZ, SIG_IGN); /* or EFBIG */
	sigemptyset(caught);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (numbers[i] == SIGHUP && !sigaction(SIGHUP, NULL, &old) &&
		    old.sa_handler == SIG_IGN)
			continue; /* nohup(1) */
		catch_signal(numbers[i], caught);
	}
}

void loop_catch_screen(sigset_t *caught)
{
	catch_signal(SIGWINCH, caught);
	catch_signal(SIGTSTP, caught);
	catch_signal(SIGCONT, caught);
}

/* Without a file of their own, once, at the end. Returns 0 or -errno. */
static int publish_metrics(struct run *run, struct failure *failure)
{
	if (run->options.output)
		return metrics_replace(&run->metrics, run, failure);
	if (run->ended_at)
		metrics_write(run, &run->output);
	return 0;
}

/* The frames that no flow could hold, over all links. */
static struct flow_count unattributed(const struct run *run)
{
	struct flow_count total = { 0 };
	struct link_count sum;

	for (size_t i = 0; i < run->nlinks; i++) {
		run_link_counts(run, i, &sum);
		total.packets += sum.unattributed.packets;
		total.bytes += sum.unattributed.bytes;
	}
	return total;
}

/* The live view of a snapshot: what links there are, and how they are traced. */
static void look(struct run *run, const struct flow_count *rest, __u64 now)
{
	char *title = run->top.title;
	size_t len = 0, size = sizeof(run->top.title);

	for (size_t i = 0; i < run->nlinks; i++)
		if (run->links[i].attached && len < size)
			len += snprintf(title + len, size - len, "%s%s %s", len ? ", " : "",
					run->links[i].info.name,
					xdp_mode_name(run->links[i].how.mode));
	top_look(&run->top, rest, now);
}

int loop_publish(struct run *run, struct failure *failure)
{
	struct flow_count rest;
	struct flow **list;
	__u64 now = run_now();
	long n;
	int err;

	run->flows.final = run->ended_at != 0;
	err = flows_snapshot(&run->flows, &run->maps, failure);
	if (err)
		return err;
	rest = unattributed(run);
	run->frames = run->flows.total.packets + rest.packets;
	if (run->options.format == FORMAT_METRICS)
		return publish_metrics(run, failure);
	if (run->options.top) {
		look(run, &rest, now);
		return 0;
	}
	n = flows_publish(&run->flows, &list);
	if (n < 0)
		return fail(failure, -n, "sort %zu flows", run->flows.n);
	for (long i = 0; i < n; i++)
		report_flow(&run->report, &run->output, list[i], now);
	output_flush(&run->output, &loop_stops);
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
	link->lines_read++;
	if (!enough(run)) {
		run->lines++;
		link->lines++;
		report_packet(&run->report, &run->output, line);
	}
	if (run->ended_at)
		return 0;
	return run->output.error || loop_stops || asked || enough(run) ||
	       run_now() >= run->drain_end;
}

/*
 * A poll that waits costs the receiving CPU a wake-up a line, three times what printing the line
 * does: after a drain that found lines the next one is left some time.
 */
int loop_drain(struct run *run, struct failure *failure)
{
	__u64 look = run_now() + LOOK_NS;
	int n;

	run->drain_end = look < run->end ? look : run->end;
	n = trace_pipe_read(&run->trace, take_line, run, &run->lost_seen);
	if (n < 0)
		return fail(failure, -n, "read trace_pipe");
	run->busy = n > 0;
	output_flush(&run->output, &loop_stops);
	return 0;
}

/* A link came. It may have the row of one that is gone, which is then summed up. */
static void welcome(struct run *run, const struct guardian_news *news)
{
	struct run_link *link = &run->links[news->row];

	if (news->row < run->nlinks && link->info.ifindex) {
		link->end = &news->base;
		tell_summary(run, news->row, &run->output);
	}
	tell_attached(run, run_enlist(run, news), NULL);
	if (run->look > run_now() + NOTHING_NS)
		run->look = run_now() + NOTHING_NS;
}

/* What the guardian says of a link that we trace. Returns 0, or -1: the run is over. */
static int hear(struct run *run, const struct guardian_news *news, struct failure *failure)
{
	struct run_link *link = run_link_of(run, news->ifindex);
	const char *name = link ? link->info.name : news->name;

	switch (news->event) {
	case LINK_IS_ATTACHED:
		welcome(run, news);
		return 0;
	case LINK_IS_REFUSED:
		say_failure(&news->failure);
		return 0;
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
		guardian_is_replaced(failure);
		break;
	}
	if (link) {
		link->attached = 0;
		link->until = run_now();
	}
	if (!run->options.all || news->event == LINKS_ARE_CLEAN)
		return -1;
	say_failure(failure);
	return 0;
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

/* A client wants the metrics of this moment; what is published is left to the interval. */
static int scrape(void *context, struct output *out)
{
	struct run *run = context;
	struct failure failure;
	int err = flows_snapshot(&run->flows, &run->maps, &failure);

	metrics_write(run, out);
	return err;
}

/* Wait for the trace, the guardian, the output's reader, clients, a signal or the time. */
static int wait_for_something(struct run *run, const sigset_t *caught, __u64 until,
			      struct failure *failure)
{
	struct pollfd fds[4 + SERVE_FDS] = {
		{ .fd = run->guardian.socket, .events = POLLIN },
		{ .fd = run->output.fd },
		{ .fd = run->busy ? -1 : run->trace.pipe, .events = POLLIN },
		{ .fd = run->top.screen.keys, .events = POLLIN },
	};
	/* Clients are served when the privileges have gone. */
	nfds_t nfds = 4 + (run->attached_at ? serve_watch(&run->serve, fds + 4) : 0);
	__u64 now = run_now(), pause = until > now ? until - now : 0;
	struct timespec timeout = { pause / 1000000000, pause % 1000000000 };
	sigset_t old;
	int n = 0;

	sigprocmask(SIG_BLOCK, caught, &old);
	if (!loop_stops && !asked && !resized && !suspended && !resumed)
		n = ppoll(fds, nfds, until == NEVER ? NULL : &timeout, &old);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (n <= 0)
		return 0;
	if (fds[1].revents & (POLLERR | POLLHUP))
		run->output.error = run->output.error ? run->output.error : EPIPE;
	if (fds[3].revents)
		top_keys(&run->top);
	return fds[0].revents ? hear_all(run, failure) : 0;
}

/* Ctrl+Z stops us as if it had not been caught, but with the terminal as it was. */
static void suspend(struct run *run)
{
	top_leave(&run->top);
	signal(SIGTSTP, SIG_DFL);
	kill(run->pid, SIGTSTP);
	catch_signal(SIGTSTP, &(sigset_t){ 0 });
	suspended = 0;
	resumed = 1; /* also where there is nobody who could continue us, and so nothing stops us */
}

/* The live view, brought up to date. */
static void show(struct run *run)
{
	if (suspended)
		suspend(run);
	if (resumed) {
		resumed = 0;
		top_enter(&run->top, run_now());
	}
	if (resized) {
		resized = 0;
		top_resize(&run->top);
	}
	top_draw(&run->top, run_now());
	output_flush(&run->output, &loop_stops);
}

/* SIGUSR1: the summary of this moment; what is published is left to the interval. */
static int tell_so_far(struct run *run, struct failure *failure)
{
	int err = run->options.trace == TRACE_KERNEL ? loop_drain(run, failure) :
		flows_snapshot(&run->flows, &run->maps, failure);

	if (!err)
		tell_summaries(run, NULL);
	return err;
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
		tell_counts(run, i, &summary);
		link->explained |= summary.counted.packets > 0;
		if (link->explained || !link->attached)
			continue;
		if (first)
			say("%s: nothing seen yet; what arrives is traced (ingress only), not what this "
			    "host sends", link->info.name);
		first = 0;
		err = guardian_look(&run->guardian, link->info.ifindex, &now, failure);
		if (!err && now.rx_packets > link->how.rx_packets) {
			tell_nothing(run, link, now.rx_packets - link->how.rx_packets);
			link->explained = 1;
		} else {
			run->look = run_now() + NOTHING_NS;
		}
		if (err == -ENODEV) /* news of that will come */
			err = 0;
	}
	return err;
}

/* Between two looks at the flows that are far apart, one more tells how far it is. */
static void show_progress(struct run *run)
{
	int kernel = run->options.trace == TRACE_KERNEL;
	struct failure unused;

	if (!run->progress.wanted || run_now() < run->progress.next)
		return;
	if (!kernel && run->options.interval > CLOCK_NS &&
	    !flows_snapshot(&run->flows, &run->maps, &unused))
		run->frames = run->flows.total.packets;
	progress_show(run, kernel ? run->lines : run->frames);
}

int loop_wait(struct run *run, const sigset_t *caught)
{
	struct failure failure; /* there is none: nothing is held yet that could fail */
	__s64 left;

	while (!loop_stops && !run->output.error && (left = window_left(&run->window)) > 0) {
		wait_for_something(run, caught, run_now() +
				   ((__u64)left < CLOCK_NS ? (__u64)left : CLOCK_NS), &failure);
		run->window.said &= !asked;
		asked = 0;
	}
	return loop_stops || run->output.error;
}

int loop(struct run *run, const sigset_t *caught, struct failure *failure)
{
	int kernel = run->options.trace == TRACE_KERNEL, err = 0;
	__u64 period = kernel ? DRAIN_NS : run->options.interval;
	__u64 next = run->attached_at + period, now, until, wake;
	__u64 end = run->options.duration ? run->attached_at + run->options.duration : NEVER;

	if (run->options.top && period > FIRST_NS)
		next = run->attached_at + FIRST_NS;
	run->look = run->attached_at + NOTHING_NS;
	while (!err && !loop_stops && !run->output.error && !enough(run) && !run->top.quit) {
		if (run->options.top)
			show(run);
		until = run->busy ? run_now() + BUSY_NS : next < run->look ? next : run->look;
		wake = serve_wake(&run->serve);
		until = until < wake ? until : wake;
		run->end = window_end(&run->window);
		run->end = run->end < end ? run->end : end;
		if (run->end != NEVER) {
			show_progress(run);
			if (until > run_now() + CLOCK_NS)
				until = run_now() + CLOCK_NS;
		}
		err = wait_for_something(run, caught, until < run->end ? until : run->end, failure);
		if (err)
			break;
		serve_clients(&run->serve, scrape, run);
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
			err = loop_drain(run, failure);
		else if (now >= next)
			err = loop_publish(run, failure);
		if (now >= next)
			next += ((now - next) / period + 1) * period;
	}
	return err;
}
