/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The HTTP responder: GET and HEAD of /metrics, one request a connection. Nothing here ever waits,
 * and everything has a bound: connections, bytes of a request, time, and the share of a CPU.
 */
#ifndef XGUARD_SERVE_H
#define XGUARD_SERVE_H

#include <poll.h>
#include <linux/types.h>

#include "failure.h"
#include "http.h"
#include "output.h"

#define SERVE_CLIENTS 16
#define SERVE_FDS     (SERVE_CLIENTS + 1)

/* All zero: nobody. (Descriptor 0 is never one of ours.) */
struct serve_client {
	int fd;
	__u64 until;              /* CLOCK_MONOTONIC nanoseconds: when it is hung up on */
	struct page reply;        /* no text before the request's head is whole */
	size_t sent;              /* of the reply */
	size_t len;               /* of head; once all is sent, what was read and thrown away */
	char head[HTTP_HEAD_MAX];
};

/* All zero: closed. */
struct serve {
	int socket;               /* listens, without blocking; close-on-exec */
	__u64 rest;               /* until then nobody else is let in, nor read from */
	struct serve_client client[SERVE_CLIENTS];
};

/* Listen at an address that http_address() takes. Returns 0, or -errno with failure filled in. */
int serve_open(struct serve *serve, const char *where, struct failure *failure);

/* What to poll for, in up to SERVE_FDS elements of fds. Returns how many. */
nfds_t serve_watch(const struct serve *serve, struct pollfd *fds);

/* When to call serve_clients() at the latest, though the poll found nothing; UINT64_MAX: never. */
__u64 serve_wake(const struct serve *serve);

/*
 * Do for each client what can be done without waiting. page(context, out) writes the metrics, and
 * returns 0 or a negative value.
 */
void serve_clients(struct serve *serve, int (*page)(void *context, struct output *out),
		   void *context);

/* Hang up on everybody. Does nothing where nothing is open. */
void serve_close(struct serve *serve);

#endif
