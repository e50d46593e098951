// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel trace's way out of the kernel. bpf_trace_printk is a trace event since Linux 5.9, so
 * a tracing instance of our own can have it: no other reader loses lines to us. Before that, or
 * where no instance can be made, it is the global trace_pipe. Everything is reached from a
 * directory descriptor, so that no mount point, /proc or /sys is needed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <linux/capability.h>
#include <linux/mount.h>

#include "failure.h"
#include "trace_pipe.h"

#define NO_TRACE "--kernel-trace is impossible on this kernel"
#define EVENT "events/bpf_trace/bpf_trace_printk"
#define PREFIX "xguard-"

/* Kept back of a full buffer in which no line ended: more than a line of ours can have. */
#define LINE_MAX_OURS 512

/* What a new instance may inherit of the global options and would change our lines. */
static const char *const options[] = {
	"context-info", "irq-info", "nolatency-format", "noraw", "nohex", "nobin", "nofields",
	"nostacktrace", "nouserstacktrace",
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int write_at(int dir, const char *path, const char *text)
{
	int ret = 0, fd = openat(dir, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* The first bytes of a small file as a string; empty where it cannot be read. */
static void read_at(int dir, const char *path, char *text, size_t size)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	text[got > 0 ? got : 0] = '\0';
	close_fd(&fd);
}

/* tracefs on a mount of our own that no path leads to, gone with its last descriptor. */
static int mount_tracefs(void)
{
	int ret, fs = syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);

	if (fs < 0)
		return -errno;
	ret = syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (!ret)
		ret = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	if (ret < 0)
		ret = -errno;
	close(fs);
	return ret;
}

static int open_directory(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* What the errors of tracefs' files mean: lockdown gives EPERM, file permissions give EACCES. */
static int explain(struct failure *failure, int err)
{
	switch (err) {
	case EPERM:
		fail_reason(failure, "kernel lockdown (confidentiality) closes tracefs");
		return fail_next(failure, NO_TRACE " so; use --userspace-trace");
	case EACCES:
		return fail_next(failure, "run as root, or add CAP_DAC_OVERRIDE; where that is "
				 "there, a security module (SELinux, AppArmor) denies it");
	case EBUSY:
		fail_reason(failure, "another process is reading it");
		return fail_next(failure, "stop that process, or use --userspace-trace");
	}
	return -err;
}

static int holds(int capability)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	return !syscall(SYS_capget, &header, data) && data[0].effective >> capability & 1;
}

/* Why there is no way into tracefs at all. */
static int no_tracefs(int err, struct failure *failure)
{
	fail(failure, err, "open tracefs");
	switch (err) {
	case EPERM:
	case ENOSYS: /* before 5.2, or filtered by seccomp */
		if (holds(CAP_SYS_ADMIN))
			return fail_next(failure, "mount tracefs on /sys/kernel/tracing first; "
					 "in a user namespace or a container with a seccomp "
					 "filter, run xguard as root of the host instead");
		return fail_next(failure, "run as root, or with CAP_SYS_ADMIN%s; or mount tracefs "
				 "on /sys/kernel/tracing first", holds(CAP_DAC_OVERRIDE) ? "" :
				 " and CAP_DAC_OVERRIDE");
	case ENODEV:
		fail_reason(failure, "no tracefs in this kernel (built without CONFIG_TRACING)");
		return fail_next(failure, NO_TRACE "; use --userspace-trace");
	case ENOENT: /* there, and empty: locked down at boot */
		return explain(failure, EPERM);
	}
	return explain(failure, err);
}

/* Open the directory of instances of tracefs. Returns tracefs, or -errno and tracefs closed. */
static int with_instances(int tracefs, int *instances)
{
	int ret;

	if (tracefs < 0)
		return tracefs;
	ret = open_directory(tracefs, "instances");
	if (ret < 0) {
		close(tracefs);
		return ret;
	}
	*instances = ret;
	return tracefs;
}

static int open_tracefs(int *instances, struct failure *failure)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	int tracefs = with_instances(mount_tracefs(), instances);

	for (int i = 0; tracefs < 0 && i < 2; i++) {
		int other = with_instances(open_directory(AT_FDCWD, places[i]), instances);

		/* Any other error here only says that nothing is mounted there. */
		if (other >= 0 || other == -EACCES)
			tracefs = other;
	}
	return tracefs < 0 ? no_tracefs(-tracefs, failure) : tracefs;
}

static int older_than_5_9(void)
{
	struct utsname kernel;
	unsigned long major;
	char *end;

	if (uname(&kernel))
		return 0;
	major = strtoul(kernel.release, &end, 10);
	return major < 5 || (major == 5 && *end == '.' && strtoul(end + 1, NULL, 10) < 9);
}

/* Is bpf_trace_printk a trace event here? 1, 0 where it is older than that, or -errno. */
static int has_event(int tracefs, struct failure *failure)
{
	struct stat info; /* access(2) would ask for the real user, without capabilities */

	if (!fstatat(tracefs, EVENT, &info, 0))
		return 1;
	fail(failure, errno, "open tracefs: " EVENT);
	if (failure->err != ENOENT)
		return explain(failure, failure->err);
	if (older_than_5_9())
		return 0;
	fail_reason(failure, "this kernel has no bpf_trace_printk");
	return fail_next(failure, NO_TRACE " (built without CONFIG_BPF_EVENTS); "
			 "use --userspace-trace");
}

/* The process that instance "xguard-PID" or "xguard-PID-N" names; 0: not one of ours. */
static long owner(const char *name)
{
	unsigned long pid;
	char *end;

	if (strncmp(name, PREFIX, sizeof(PREFIX) - 1))
		return 0;
	name += sizeof(PREFIX) - 1;
	if (*name < '1' || *name > '9')
		return 0;
	pid = strtoul(name, &end, 10);
	return (*end && *end != '-') || pid > INT_MAX ? 0 : pid;
}

/*
 * Remove what dead xguards left. An id may be a living one's in another PID namespace, but an
 * instance whose trace_pipe is open cannot be removed. Returns how many there were.
 */
static int sweep(int instances)
{
	int fd = open_directory(instances, ".");
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int removed = 0;

	if (!dir) {
		close_fd(&fd);
		return 0;
	}
	while ((entry = readdir(dir))) {
		long pid = owner(entry->d_name);

		if (pid && kill(pid, 0) && errno == ESRCH)
			removed += !unlinkat(instances, entry->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
	return removed;
}

/*
 * One with our name already is a leftover of a process that had our id, or it is in use in another
 * PID namespace: then a number makes the difference.
 */
static void choose_name(struct trace_pipe *trace)
{
	struct stat info;

	for (int i = 1; i < 10; i++) {
		snprintf(trace->instance, sizeof(trace->instance),
			 i == 1 ? PREFIX "%d" : PREFIX "%d-%d", (int)getpid(), i);
		if (fstatat(trace->instances, trace->instance, &info, 0) ||
		    !unlinkat(trace->instances, trace->instance, AT_REMOVEDIR))
			break;
	}
}

/* Buffer, clock, format and filter of the instance in dir; the event is switched on last. */
static int set_up_instance(struct trace_pipe *trace, int dir)
{
	static const char *const sizes[] = { "512", "256", "128", "64" };
	char filter[64];
	int ret;

	for (int i = 0; i < 4 && write_at(dir, "buffer_size_kb", sizes[i]) == -ENOMEM; i++)
		;
	/* Another clock empties the buffers, behind up to four RCU grace periods. */
	trace->monotonic = !trace->any_clock && !write_at(dir, "trace_clock", "mono");
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		write_at(dir, "trace_options", options[i]); /* not every kernel has all */
	snprintf(filter, sizeof(filter), "bpf_string ~ \"%s*\"", trace->marker);
	ret = write_at(dir, EVENT "/filter", filter);
	return ret ? ret : write_at(dir, EVENT "/enable", "1");
}

static int open_pipe(int dir)
{
	int fd = openat(dir, "trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* trace_pipe is opened first: from then on no sweep in another PID namespace can remove it. */
static int open_instance(struct trace_pipe *trace)
{
	int dir, ret;

	if (mkdirat(trace->instances, trace->instance, 0700)) {
		ret = -errno;
		trace->instance[0] = '\0';
		return ret;
	}
	ret = dir = open_directory(trace->instances, trace->instance);
	if (dir >= 0)
		ret = trace->pipe = open_pipe(dir);
	if (ret >= 0)
		ret = set_up_instance(trace, dir);
	close_fd(&dir);
	if (ret < 0) {
		close_fd(&trace->pipe);
		unlinkat(trace->instances, trace->instance, AT_REMOVEDIR);
		trace->instance[0] = '\0';
	}
	return ret;
}

/* why: what the instance failed with, 0 where the kernel is too old for one. */
static int open_global(struct trace_pipe *trace, int why, char note[256], struct failure *failure)
{
	int tracefs = trace->tracefs;
	char text[128];

	trace->pipe = open_pipe(tracefs);
	if (trace->pipe < 0) {
		fail(failure, -trace->pipe, "open tracefs: trace_pipe");
		return explain(failure, failure->err);
	}
	read_at(tracefs, "trace_clock", text, sizeof(text));
	trace->monotonic = strstr(text, "[mono]") != NULL;
	read_at(tracefs, "tracing_on", text, sizeof(text));
	snprintf(note, 256,
		 "reading the global trace_pipe, whose other readers lose lines to it: %s%s%s",
		 why ? "no tracing instance: " : "this kernel is older than 5.9",
		 why ? strerror(-why) : "",
		 *text == '0' ? "; tracing_on is 0 there: nothing is printed before it is 1" : "");
	return 0;
}

int trace_pipe_sweep(struct failure *failure)
{
	int instances = -1, tracefs = open_tracefs(&instances, failure), removed;

	if (tracefs < 0)
		return tracefs;
	removed = sweep(instances);
	close(instances);
	close(tracefs);
	return removed;
}

void trace_pipe_close(struct trace_pipe *trace)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	char path[128];

	if (*trace->instance) {
		snprintf(path, sizeof(path), "%s/" EVENT "/enable", trace->instance);
		write_at(trace->instances, path, "0");
	}
	close_fd(&trace->pipe);
	for (int i = 0; i < 20 && *trace->instance; i++) {
		if (!unlinkat(trace->instances, trace->instance, AT_REMOVEDIR) || errno != EBUSY)
			break;
		nanosleep(&pause, NULL);
	}
	trace->instance[0] = '\0';
	trace->held = 0;
	close_fd(&trace->instances);
	close_fd(&trace->tracefs);
}

int trace_pipe_find(struct trace_pipe *trace, struct failure *failure)
{
	int ret;

	*trace = (struct trace_pipe){
		.pipe = -1, .instances = -1, .any_clock = trace->any_clock,
	};
	ret = trace->tracefs = open_tracefs(&trace->instances, failure);
	if (ret >= 0)
		ret = has_event(trace->tracefs, failure);
	if (ret > 0) {
		sweep(trace->instances);
		choose_name(trace);
	}
	if (ret < 0)
		trace_pipe_close(trace);
	return ret < 0 ? ret : 0;
}

int trace_pipe_open(struct trace_pipe *trace, const char *marker, char note[256],
		    struct failure *failure)
{
	int ret = 0, why = 0;

	snprintf(trace->marker, sizeof(trace->marker), "%s", marker);
	*note = '\0';
	if (*trace->instance)
		why = open_instance(trace);
	if (!*trace->instance)
		ret = open_global(trace, why, note, failure);
	close_fd(&trace->tracefs);
	if (ret < 0)
		trace_pipe_close(trace);
	return ret;
}

/* "CPU:1 [LOST 5 EVENTS]", between lines; "[LOST EVENTS]", where the kernel has no number, is 1. */
static int lost_events(const char *p, const char *end, __u64 *lost)
{
	static const char text[] = " [LOST ";
	const size_t len = sizeof(text) - 1;
	__u64 count = 0;

	if (end - p < 4 || memcmp(p, "CPU:", 4))
		return 0;
	for (p += 4; p < end && *p >= '0' && *p <= '9'; p++)
		;
	if ((size_t)(end - p) < len || memcmp(p, text, len))
		return 0;
	for (p += len; p < end && *p >= '0' && *p <= '9'; p++)
		count = count * 10 + (*p - '0');
	*lost += count ? count : 1;
	return 1;
}

/*
 * Take what begins at p: an empty line, a LOST line, or a line of the program, which sets *found.
 * Behind the filter of an instance, all up to our text is one record, a newline in the task's name
 * included; in the global trace_pipe a record is a line, and may be another's. Returns the bytes
 * taken, 0 when the record is not yet whole.
 */
static size_t take_record(const struct trace_pipe *trace, const char *p, const char *end,
			  struct trace_line *line, int *found, __u64 *lost)
{
	const char *newline = p;

	while ((newline = memchr(newline, '\n', end - newline))) {
		if (newline == p || lost_events(p, newline, lost))
			break;
		*found = !trace_line_parse(p, newline - p, trace->marker, line);
		if (*found || !*trace->instance)
			break;
		newline++;
	}
	return newline ? newline + 1 - p : 0;
}

/* Hand every whole line in the buffer to each. Returns 0, or each's result that is not. */
static int take_records(struct trace_pipe *trace,
			int (*each)(const struct trace_line *line, void *context), void *context,
			__u64 *lost, int *lines)
{
	const char *p = trace->buffer, *end = p + trace->held;
	int ret = 0;

	while (!ret) {
		struct trace_line line;
		int found = 0;
		size_t taken = take_record(trace, p, end, &line, &found, lost);

		if (!taken)
			break;
		p += taken;
		*lines += found;
		if (found)
			ret = each(&line, context);
	}
	trace->held = end - p;
	if (trace->held == sizeof(trace->buffer)) { /* no line in all this: keep the begin of one */
		trace->held = LINE_MAX_OURS;
		p = end - LINE_MAX_OURS;
	}
	memmove(trace->buffer, p, trace->held);
	return ret;
}

int trace_pipe_read(struct trace_pipe *trace,
		    int (*each)(const struct trace_line *line, void *context), void *context,
		    __u64 *lost)
{
	int lines = 0;

	for (;;) {
		int ret = take_records(trace, each, context, lost, &lines);
		ssize_t got;

		if (ret)
			return ret;
		got = read(trace->pipe, trace->buffer + trace->held,
			   sizeof(trace->buffer) - trace->held);
		if (got > 0)
			trace->held += got;
		else if (!got || errno == EAGAIN)
			return lines;
		else if (errno != EINTR)
			return -errno;
	}
}
