// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "environment.h"
#include "holder.h"

#define ANCESTORS_MAX 64 /* a /proc of another PID namespace may go round in circles */

/* The variable's value in a process's environment. Returns 1, 0 where it is not there, or -1. */
static int read_environment(pid_t pid, const char *name, char *value, size_t size)
{
	const size_t whole = strlen(name) + 1; /* with the = */
	size_t matched = 0, len = 0; /* whole + 1: it is another variable */
	char buffer[1024];
	ssize_t n = -1;
	int fd, found = 0;

	snprintf(buffer, sizeof(buffer), "/proc/%d/environ", pid);
	fd = open(buffer, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && !found && (n = read(fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < n && !found; i++) {
			if (!buffer[i]) {
				found = matched == whole;
				matched = 0;
			} else if (matched == whole) {
				value[len] = buffer[i];
				len += len < size - 1;
			} else {
				matched = matched < whole &&
					buffer[i] == (matched == whole - 1 ? '=' : name[matched]) ?
					matched + 1 : whole + 1;
			}
		}
	}
	value[len] = '\0';
	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : found;
}

int environment_find(const char *name, char *value, size_t size)
{
	const char *own = getenv(name);
	int found, hidden = 0;
	pid_t pid = getpid();

	if (own) {
		snprintf(value, size, "%s", own);
		return 1;
	}
	value[0] = '\0';
	for (int i = 0; i < ANCESTORS_MAX; i++) {
		pid_t parent = holder_parent(pid);

		if (parent <= 0) /* of another PID namespace, unless it is init's, or no /proc tells */
			return hidden || pid != 1 ? -1 : 0;
		pid = parent;
		found = read_environment(pid, name, value, size);
		if (found > 0)
			return 1;
		hidden |= found;
	}
	return hidden;
}
