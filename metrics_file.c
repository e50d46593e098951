// SPDX-License-Identifier: GPL-2.0-or-later
/* A file that is replaced by what was counted, each time as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confine.h"
#include "metrics.h"

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
