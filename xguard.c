// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "confine.h"
#include "filter.h"
#include "loop.h"
#include "probe.h"
#include "run.h"
#include "say.h"
#include "status.h"
#include "tell.h"

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

/* A run with one link has this many descriptors open at most, the guardian's on their way included. */
#define DESCRIPTORS 64

static int allow_descriptors(struct failure *failure)
{
	struct rlimit files;

	if (prlimit(0, RLIMIT_NOFILE, NULL, &files) || files.rlim_cur >= DESCRIPTORS)
		return 0;
	files.rlim_cur = files.rlim_max;
	if (files.rlim_max >= DESCRIPTORS && !prlimit(0, RLIMIT_NOFILE, &files, NULL))
		return 0;
	fail(failure, 0, "open files");
	fail_reason(failure, "%llu descriptors are allowed, up to %d are needed",
		    (unsigned long long)files.rlim_max, DESCRIPTORS);
	return fail_next(failure, "raise the hard limit first, as root: ulimit -n 1024");
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
	if (loop_stops)
		detach(run);
}

/* Detach, then the rest of the data and the summary. */
static void finish(struct run *run)
{
	struct failure failure;
	int err;

	detach(run);
	if (loop_stops > 1)
		return;
	err = run->options.trace == TRACE_KERNEL ? loop_drain(run, &failure) :
		loop_publish(run, &failure);
	if (err) {
		say_failure(&failure);
		run->failed = 1;
	}
	tell_summaries(run, &run->output);
}

static void close_output(struct run *run)
{
	int err = output_close(&run->output, &loop_stops);

	if (!err || err == -EPIPE || loop_stops > 1)
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
		.realtime_offset = real.tv_sec * 1000000000ll + real.tv_nsec - (__s64)run_now(),
		.links = run->names, /* how many: once they are known */
	};
}

/* All is open and attached; what comes takes no privilege. */
static void restrict_reader(const struct run *run)
{
	char note[128];

	confine(run->maps.links, (run->serve.socket ? CONFINE_SERVE : 0) |
		(run->metrics.path ? CONFINE_FILES : 0) |
		(run->options.top ? CONFINE_TERMINAL : 0), note, sizeof(note));
	if (note[0] && run->options.verbose)
		say("%s", note);
}

/* --top without a terminal that can show it is text. */
static void open_screen(struct run *run)
{
	char note[128];

	if (!run->options.top)
		return;
	run->options.top = !screen_open(&run->top.screen, note, sizeof(note));
	run->top.screen.output = &run->output;
	if (!run->options.top)
		say("--top: %s: text instead", note);
}

static int enter_screen(struct run *run, sigset_t *caught, struct failure *failure)
{
	int err;

	err = top_open(&run->top, &run->report, &run->flows, failure);
	if (err)
		return err;
	loop_catch_screen(caught);
	err = top_enter(&run->top, run->attached_at);
	return err ? fail(failure, -err, "--top: set up the terminal") : 0;
}

/* Where the data goes; what cannot be written or listened at is found before a link is touched. */
static int open_outputs(struct run *run, struct failure *failure)
{
	const struct options *options = &run->options;
	int err;

	if (options->format == FORMAT_METRICS && options->output) {
		run->output.fd = -1;
		err = metrics_open(&run->metrics, options->output, run, failure);
	} else {
		err = output_open(&run->output, options->output, failure);
	}
	run->progress.wanted = progress_is_wanted(run);
	if (!err && options->listen)
		err = serve_open(&run->serve, options->listen, failure);
	return err;
}

/* Whether it will work should not be left to be found out at night: a child does all but the attach. */
static int rehearse(struct run *run)
{
	struct failure failure;
	pid_t child = fork();
	int err, status = 0;

	if (!child) {
		err = run_prepare(run, &failure);
		if (err)
			say_failure(&failure);
		run_close(run);
		_exit(err != 0);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status != 0;
}

/* Returns 0 when it is time, 1 where it never will be; run->failed says whether that is a failure. */
static int wait_for_start(struct run *run, const sigset_t *caught)
{
	if (!run->options.start.word)
		return 0;
	run->failed = rehearse(run);
	if (run->failed || loop_wait(run, caught))
		return 1;
	prepare_report(run); /* the clock may have been set */
	return 0;
}

static int trace(struct run *run)
{
	struct failure failure;
	sigset_t caught;
	int err;

	loop_catch_signals(&caught);
	prepare_report(run);
	if (open_outputs(run, &failure)) {
		say_failure(&failure);
		return 1;
	}
	open_screen(run);
	if (wait_for_start(run, &caught)) {
		;
	} else if (run_open(run, tell_attached, &failure)) {
		say_failure(&failure);
		run->failed = 1;
		if (run_detach(run, &failure))
			say_failure(&failure);
	} else {
		restrict_reader(run);
		run->report.nlinks = run->nlinks;
		run->report.show_interface = run->nlinks > 1 || run->options.all;
		run->output.interrupted = on_blocked_output;
		run->output.context = run;
		if (run->options.listen)
			say("serving http://%s%s/metrics", strchr(run->options.listen, ':') ? "" :
			    "127.0.0.1:", run->options.listen);
		report_begin(&run->report, &run->output);
		output_flush(&run->output, &loop_stops);
		err = run->options.top ? enter_screen(run, &caught, &failure) : 0;
		if (!err)
			err = loop(run, &caught, &failure);
		progress_end();
		top_leave(&run->top);
		if (err) {
			say_failure(&failure);
			run->failed = 1;
		}
		finish(run);
	}
	serve_close(&run->serve);
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

	loop_catch_signals(&(sigset_t){ 0 });
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
	int err = filter_compile(filter, options->filter, options->protocol, LINK_ETHERNET, 0);

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
	run.pid = getpid();
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
		status = print(&run, &filter);
	filter_free(&filter);
	if (run.options.action == ACTION_DUMP)
		return status;
	if (window_open(&run.window, &run.options, &failure)) {
		say_failure(&failure);
		return 2;
	}
	if (allow_descriptors(&failure)) {
		say_failure(&failure);
		return 1;
	}
	return trace(&run);
}
