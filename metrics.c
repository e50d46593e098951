// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confine.h"
#include "metrics.h"
#include "run.h"

/* What a link's flows come to. */
struct sum {
	__u64 flows;
	struct flow_count other; /* of those without a series of their own */
};

static void sum_up(const struct run *run, struct sum *sums)
{
	const struct flow *flow = run->flows.flow;

	memset(sums, 0, run->nlinks * sizeof(*sums));
	for (size_t i = 0, link = 0; i < run->flows.n; i++, flow++) {
		if ((int)flow->key.ifindex != run->links[link].info.ifindex)
			for (link = run->nlinks - 1;
			     link && run->links[link].info.ifindex != (int)flow->key.ifindex; link--)
				;
		sums[link].flows++;
		if (i < run->options.max_series)
			continue;
		sums[link].other.packets += flow->total.packets;
		sums[link].other.bytes += flow->total.bytes;
	}
}

static void begin(struct output *out, const char *name, const char *type, const char *help)
{
	output_format(out, "# HELP xguard_%s %s\n# TYPE xguard_%s %s\n", name, help, name, type);
}

static void put_flow(const struct run *run, struct output *out, const struct flow_key *key,
		     const struct flow_count *count, int bytes, int other)
{
	output_text(out, bytes ? "xguard_bytes_total" : "xguard_packets_total");
	report_labels(&run->report, out, key, other);
	output_format(out, " %llu\n", bytes ? count->bytes : count->packets);
}

static void put_flows(const struct run *run, struct output *out, const struct sum *sums, int bytes)
{
	size_t n = run->options.max_series;
	struct flow_key key = { .ifindex = 0 };

	for (size_t i = 0; i < run->flows.n && i < n; i++)
		put_flow(run, out, &run->flows.flow[i].key, &run->flows.flow[i].total, bytes, 0);
	for (size_t i = 0; i < run->nlinks; i++) {
		key.ifindex = run->links[i].info.ifindex;
		if (sums[i].other.packets)
			put_flow(run, out, &key, &sums[i].other, bytes, 1);
	}
}

static void put_interface(const struct run *run, struct output *out, const char *name, size_t link)
{
	const char *interface = run->report.links[link].name;

	output_format(out, "xguard_%s{interface=", name);
	output_label(out, interface, strlen(interface));
}

void metrics_write(const struct run *run, struct output *out)
{
	static const char *const unattributed[] = { "unattributed_packets_total",
						    "unattributed_bytes_total" };
	struct sum sums[LINKS_MAX];
	struct link_count count;

	sum_up(run, sums);
	begin(out, "packets_total", "counter", "Frames that arrived, by flow.");
	put_flows(run, out, sums, 0);
	begin(out, "bytes_total", "counter", "Their lengths without frame check sequence, by flow.");
	put_flows(run, out, sums, 1);
	for (int bytes = 0; bytes < 2; bytes++) {
		begin(out, unattributed[bytes], "counter", bytes ? "The lengths of those." :
		      "Frames that arrived when the flow table had no room for their flow.");
		for (size_t i = 0; i < run->nlinks; i++) {
			if (!run->links[i].info.ifindex)
				continue;
			run_link_counts(run, i, &count);
			put_interface(run, out, unattributed[bytes], i);
			output_format(out, "} %llu\n", bytes ? count.unattributed.bytes :
				      count.unattributed.packets);
		}
	}
	begin(out, "flows", "gauge", "Flows seen since the start.");
	for (size_t i = 0; i < run->nlinks; i++) {
		if (!run->links[i].info.ifindex)
			continue;
		put_interface(run, out, "flows", i);
		output_format(out, "} %llu\n", sums[i].flows);
	}
	begin(out, "info", "gauge", "The version of xguard, and the mode of its program on the link.");
	for (size_t i = 0; i < run->nlinks; i++) {
		if (!run->links[i].how.program_id)
			continue; /* not attached yet */
		put_interface(run, out, "info", i);
		output_format(out, ",mode=\"%s\",version=\"" XGUARD_VERSION "\"} 1\n",
			      xdp_mode_name(run->links[i].how.mode));
	}
}

/* "prometheus", from /etc/passwd, else "user 107". */
static void name_user(char *name, size_t size, uid_t uid)
{
	char text[8192], wanted[16], *line = text, *rest;
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC), len;
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	snprintf(name, size, "user %u", uid);
	snprintf(wanted, sizeof(wanted), ":%u:", uid);
	for (; line; line = strchr(rest, '\n')) {
		line += *line == '\n';
		len = strcspn(line, ":\n");
		rest = line + len + (line[len] == ':');
		rest += strcspn(rest, ":\n"); /* behind the password */
		if (!strncmp(rest, wanted, strlen(wanted))) {
			snprintf(name, size, "%.*s", len, line);
			return;
		}
	}
}

/* Why it could not be: a folder of somebody else's is the usual reason. */
static int not_replaced(struct metrics_file *file, int err, struct failure *failure)
{
	char owner[40], user[40];

	file->broken = 1;
	fail(failure, err, "replace %s", file->path);
	if (err != EACCES && err != EPERM)
		return -err;
	name_user(owner, sizeof(owner), file->owner);
	name_user(user, sizeof(user), geteuid());
	return fail_next(failure, "its folder belongs to %s (mode %u%u%u), and xguard, as %s, gives up "
			 "all privileges before it writes there: choose a folder that %s may write to",
			 owner, file->mode >> 6 & 7, file->mode >> 3 & 7, file->mode & 7, user, user);
}

/* A new file under the other name, complete. Returns 0 or a positive errno. */
static int write_temporary(const struct metrics_file *file, const struct run *run)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	struct output out;
	int fd = openat(file->folder, file->temporary, flags, 0666);

	if (fd < 0 && errno == EEXIST) { /* of one that was killed */
		unlinkat(file->folder, file->temporary, 0);
		fd = openat(file->folder, file->temporary, flags, 0666);
	}
	if (fd < 0)
		return errno;
	output_begin(&out, fd, NULL, file->path);
	metrics_write(run, &out);
	return -output_close(&out, NULL);
}

int metrics_replace(struct metrics_file *file, const struct run *run, struct failure *failure)
{
	int err;

	if (file->broken)
		return 0;
	err = write_temporary(file, run);
	if (!err && renameat(file->folder, file->temporary, file->folder, file->name))
		err = errno;
	if (!err)
		return 0;
	unlinkat(file->folder, file->temporary, 0);
	return not_replaced(file, err, failure);
}

static int find_folder(struct metrics_file *file, struct failure *failure)
{
	const char *slash = strrchr(file->path, '/');
	char folder[4096];
	struct stat status;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - file->path) + 1 : 1,
		 slash ? file->path : ".");
	file->name = slash ? slash + 1 : file->path;
	file->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (file->folder < 0 || fstat(file->folder, &status))
		return fail(failure, errno, "open %s", folder);
	file->owner = status.st_uid;
	file->mode = status.st_mode;
	if (!fstatat(file->folder, *file->name ? file->name : ".", &status, AT_SYMLINK_NOFOLLOW) &&
	    !S_ISREG(status.st_mode)) {
		fail(failure, 0, "replace %s", file->path);
		fail_reason(failure, "it is there already, and is no regular file");
		return fail_next(failure, "name a file; without --output, metrics are written once, at "
				 "the end, to standard output");
	}
	return 0;
}

int metrics_open(struct metrics_file *file, const char *path, const struct run *run,
		 struct failure *failure)
{
	__u64 capabilities = confine_capabilities();
	int err;

	file->path = path;
	err = find_folder(file, failure);
	if (err)
		return err;
	snprintf(file->temporary, sizeof(file->temporary), "%s.%d.tmp", file->name, getpid());
	confine_effective(0);
	err = metrics_replace(file, run, failure);
	confine_effective(capabilities);
	return err;
}
