// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who answers for a link: the abstract unix socket "xguard/IFINDEX". It needs no file system, is
 * as wide as the network namespace, crosses PID namespaces and vanishes with its holder.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "guardian_serve.h"

#define BACKLOG    64
#define BIND_TRIES 5

static socklen_t make_address(struct sockaddr_un *address, int ifindex)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	return offsetof(struct sockaddr_un, sun_path) + 1 +
		snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "xguard/%d",
			 ifindex);
}

int guardian_answerer(int ifindex, pid_t *pid, uid_t *uid)
{
	const struct timeval patience = { .tv_sec = 2 }; /* a full backlog is emptied each second */
	struct sockaddr_un address;
	socklen_t len = make_address(&address, ifindex), size = sizeof(struct ucred);
	struct ucred peer = { 0 };
	int fd, err;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	err = connect(fd, (struct sockaddr *)&address, len) ||
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) ? -errno : 0;
	close(fd);
	if (err)
		return err;
	*pid = peer.pid;
	*uid = peer.uid;
	return 0;
}

pid_t guardian_alive(int ifindex)
{
	pid_t pid;
	uid_t uid;
	int err = guardian_answerer(ifindex, &pid, &uid);

	if (err == -EAGAIN)
		return -1;
	if (err || (uid != 0 && uid != geteuid()))
		return 0;
	return pid ? pid : -1;
}

int guardian_answer(int ifindex)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct sockaddr_un address;
	socklen_t len = make_address(&address, ifindex);
	int fd, err, tries = 0;
	pid_t pid;
	uid_t uid;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	while ((err = bind(fd, (struct sockaddr *)&address, len) ? -errno : 0) == -EADDRINUSE) {
		/* Bound, but nobody listens: another one is just starting or ending. */
		if (guardian_answerer(ifindex, &pid, &uid) != -ECONNREFUSED ||
		    ++tries == BIND_TRIES)
			break;
		nanosleep(&pause, NULL);
	}
	if (!err && listen(fd, BACKLOG))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}
