// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf.h"
#include "holder.h"

/* Read a small file. Returns its length, text ends with NUL; -1 where it cannot be read. */
static ssize_t read_text(int directory, const char *path, char *text, size_t size)
{
	int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd >= 0) {
		n = read(fd, text, size - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	return n;
}

/* Anyone may name programs and processes: keep the terminal out of it. */
static void copy_name(char *name, size_t size, const char *from)
{
	size_t i;

	for (i = 0; i < size - 1 && from[i] && from[i] != '\n'; i++)
		name[i] = (unsigned char)from[i] < 0x20 || (unsigned char)from[i] >= 0x7f ? '?' :
			from[i];
	name[i] = '\0';
}

/* Has a process a descriptor of the program? */
static int has_program(const char *fdinfo, __u32 id)
{
	DIR *directory = opendir(fdinfo);
	struct dirent *entry;
	char text[512], *line;
	int found = 0;

	while (directory && !found && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.' ||
		    read_text(dirfd(directory), entry->d_name, text, sizeof(text)) <= 0)
			continue;
		line = strstr(text, "prog_id:");
		found = line && strtoul(line + strlen("prog_id:"), NULL, 10) == id;
	}
	if (directory)
		closedir(directory);
	return found;
}

static void find_process(__u32 id, struct holder *holder)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char path[64], comm[32];
	pid_t pid;

	while (proc && !holder->pid && (entry = readdir(proc))) {
		pid = strtoul(entry->d_name, NULL, 10);
		if (pid <= 0 || pid == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
		if (!has_program(path, id))
			continue;
		holder->pid = pid;
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		read_text(AT_FDCWD, path, comm, sizeof(comm));
		copy_name(holder->comm, sizeof(holder->comm), comm);
	}
	if (proc)
		closedir(proc);
}

void holder_of(__u32 id, int with_process, struct holder *holder)
{
	struct bpf_prog_info info;
	int fd, err;

	memset(holder, 0, sizeof(*holder));
	memset(&info, 0, sizeof(info));
	fd = bpf_prog_fd_by_id(id);
	if (fd >= 0) {
		err = bpf_obj_info(fd, &info, sizeof(info));
		close(fd);
		if (!err) {
			copy_name(holder->program, sizeof(holder->program), info.name);
			for (size_t i = 0; i < sizeof(info.tag); i++)
				snprintf(holder->tag + 2 * i, 3, "%02x", info.tag[i]);
			holder->load_time = info.load_time;
		}
	}
	if (with_process)
		find_process(id, holder);
}

void holder_text(__u32 id, const struct holder *holder, char *text, size_t size)
{
	const char *separator = " (";
	size_t n = 0;

	n += snprintf(text, size, "program %u", id);
	if (holder->program[0] && n < size) {
		n += snprintf(text + n, size - n, "%s%s", separator, holder->program);
		separator = ", ";
	}
	if (holder->tag[0] && n < size) {
		n += snprintf(text + n, size - n, "%stag %s", separator, holder->tag);
		separator = ", ";
	}
	if (holder->pid && n < size) {
		n += snprintf(text + n, size - n, "%sheld by %s, process %d", separator,
			      holder->comm, holder->pid);
		separator = ", ";
	}
	if (separator[0] == ',' && n < size)
		snprintf(text + n, size - n, ")");
}

pid_t holder_parent(pid_t pid)
{
	char path[32], text[512], *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_text(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return 0;
	end = strrchr(text, ')'); /* PID (comm) state PPID, and comm may hold anything */
	return end && strlen(end) > 3 ? strtoul(end + 3, NULL, 10) : 0;
}
