// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "serve.h"

#define SECOND    1000000000ull
#define PATIENCE  (10 * SECOND) /* for the request and the reply together */
#define LINGER    (2 * SECOND)  /* for the client to close, after the reply */
#define THROWN_AWAY_MAX 65536   /* bytes that come after the request's head */
#define REST      9             /* after work, no request is read for so many times what it took, */
#define REST_MAX  SECOND        /* but no longer than this */
#define WORK_MAX  (SECOND / 4)  /* of CPU: who asks later waits until it has rested */

static __u64 read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

static __u64 now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static __u64 cpu_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static const char *hint(int err)
{
	switch (err) {
	case EADDRINUSE:
		return "another program listens there, which `ss -ltnp` names: end it, or choose another "
		       "port";
	case EADDRNOTAVAIL:
		return "no link of this network namespace has that address; 0.0.0.0 or [::] stands for "
		       "all that there are";
	case EACCES:
		return "a port below 1024 takes root, or CAP_NET_BIND_SERVICE: choose another one";
	}
	return "";
}

int serve_open(struct serve *serve, const char *where, struct failure *failure)
{
	struct sockaddr_in ip4 = { .sin_family = AF_INET };
	struct sockaddr_in6 ip6 = { .sin6_family = AF_INET6 };
	struct http_address address;
	const int yes = 1;
	int err;

	if (http_address(&address, where))
		return fail(failure, EINVAL, "listen at %s", where);
	ip4.sin_port = ip6.sin6_port = htons(address.port);
	memcpy(&ip4.sin_addr, address.ip, sizeof(ip4.sin_addr));
	memcpy(&ip6.sin6_addr, address.ip, sizeof(ip6.sin6_addr));
	serve->socket = socket(address.is_ipv6 ? AF_INET6 : AF_INET,
			       SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (serve->socket >= 0 &&
	    !setsockopt(serve->socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) &&
	    !bind(serve->socket, address.is_ipv6 ? (struct sockaddr *)&ip6 : (struct sockaddr *)&ip4,
		  address.is_ipv6 ? sizeof(ip6) : sizeof(ip4)) &&
	    !listen(serve->socket, SERVE_CLIENTS))
		return 0;
	err = errno;
	serve_close(serve);
	fail(failure, err, "listen at %s", where);
	return fail_next(failure, "%s", hint(err));
}

static int all_is_sent(const struct serve_client *client)
{
	return client->reply.text && client->sent == client->reply.len;
}

nfds_t serve_watch(const struct serve *serve, struct pollfd *fds)
{
	const struct serve_client *client = serve->client;
	struct pollfd *fd = fds;

	if (serve->socket <= 0)
		return 0;
	*fd++ = (struct pollfd){ serve->rest > now_ns() ? -1 : serve->socket, POLLIN, 0 };
	for (; client < serve->client + SERVE_CLIENTS; client++)
		if (client->fd)
			*fd++ = (struct pollfd){
				serve->rest > now_ns() && !client->reply.text ? -1 : client->fd,
				client->reply.text && !all_is_sent(client) ? POLLOUT : POLLIN, 0,
			};
	return fd - fds;
}

__u64 serve_wake(const struct serve *serve)
{
	const struct serve_client *client = serve->client;
	__u64 wake = UINT64_MAX;

	if (serve->socket <= 0)
		return wake;
	if (serve->rest > now_ns())
		wake = serve->rest;
	for (; client < serve->client + SERVE_CLIENTS; client++)
		if (client->fd && client->until < wake)
			wake = client->until;
	return wake;
}

static void hang_up(struct serve_client *client)
{
	if (client->fd > 0)
		close(client->fd);
	free(client->reply.text);
	memset(client, 0, offsetof(struct serve_client, head));
}

/* The reply's head; length has always ten digits, so that it can be written again once it is known. */
static int put_head(char *text, size_t size, int status, size_t length)
{
	return snprintf(text, size, "HTTP/1.1 %d %s\r\n"
			"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
			"Content-Length: %010zu\r\n"
			"%sConnection: close\r\n\r\n", status, http_reason(status), length,
			status == 405 ? "Allow: GET, HEAD\r\n" : "");
}

/* Make the reply. Returns 0, or -1: it cannot be had, for want of memory. */
static int answer(struct serve_client *client, int status, int bodiless,
		  int (*page)(void *context, struct output *out), void *context)
{
	struct page *reply = &client->reply;
	struct output out;
	char head[256];
	int len;

	output_begin(&out, -1, reply, "");
	output_bytes(&out, head, put_head(head, sizeof(head), status, 0));
	if (status != 200)
		output_format(&out, "%d %s: GET /metrics is all there is\n", status,
			      http_reason(status));
	else if (page(context, &out))
		return -1;
	if (output_flush(&out, NULL))
		return -1;
	len = put_head(head, sizeof(head), status, 0);
	put_head(head, sizeof(head), status, reply->len - len);
	memcpy(reply->text, head, len);
	if (bodiless)
		reply->len = len;
	return 0;
}

/* Read what there is of the request. Returns 0, or -1: it will not be finished. */
static int receive(struct serve_client *client, int (*page)(void *context, struct output *out),
		   void *context)
{
	ssize_t n = recv(client->fd, client->head + client->len, HTTP_HEAD_MAX - client->len,
			 MSG_DONTWAIT);
	int status, bodiless;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
	client->len += n;
	status = http_request(client->head, client->len, &bodiless);
	return status ? answer(client, status, bodiless, page, context) : 0;
}

static int transmit(struct serve_client *client)
{
	ssize_t n = send(client->fd, client->reply.text + client->sent,
			 client->reply.len - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
	__u64 until = now_ns() + LINGER;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	client->sent += n;
	if (!all_is_sent(client))
		return 0;
	shutdown(client->fd, SHUT_WR);
	client->len = 0;
	client->until = until < client->until ? until : client->until;
	return 0;
}

/*
 * The reply is on its way. Closing while there is something to read would reset the connection, and
 * the client lose the reply: what still comes is read until it closes, within bounds.
 */
static int throw_away(struct serve_client *client)
{
	ssize_t n = recv(client->fd, client->head, HTTP_HEAD_MAX, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	client->len += n;
	return n && client->len <= THROWN_AWAY_MAX ? 0 : -1;
}

/* What can be done for a client; its request is read only if there is time to answer. */
static void go_on(struct serve_client *client, int may_answer,
		  int (*page)(void *context, struct output *out), void *context)
{
	int err = client->until <= now_ns() ? -1 : 0;

	if (!err && !client->reply.text && may_answer)
		err = receive(client, page, context);
	if (!err && client->reply.text && !all_is_sent(client))
		err = transmit(client);
	if (!err && all_is_sent(client))
		err = throw_away(client);
	if (err)
		hang_up(client);
}

/*
 * A place for a new client, which those who are slow or silent must not keep out: a free one, else
 * that of the oldest which has got its reply, else has not asked yet, else is still reading.
 */
static struct serve_client *make_place(struct serve *serve)
{
	struct serve_client *client = serve->client, *best = client;
	unsigned int rank, best_rank = 4;

	for (; client < serve->client + SERVE_CLIENTS; client++) {
		rank = !client->fd ? 0 : all_is_sent(client) ? 1 : !client->reply.text ? 2 : 3;
		if (rank < best_rank || (rank == best_rank && client->until < best->until)) {
			best = client;
			best_rank = rank;
		}
	}
	hang_up(best);
	return best;
}

/* Is there time for one more request? start: of the process's CPU time, when work on clients began. */
static int has_time(const struct serve *serve, __u64 start)
{
	return serve->rest <= now_ns() && cpu_ns() - start < WORK_MAX;
}

static void let_in(struct serve *serve, int (*page)(void *context, struct output *out),
		   void *context, __u64 start)
{
	struct serve_client *client;
	int fd;

	for (int i = 0; i < SERVE_CLIENTS && has_time(serve, start); i++) {
		fd = accept4(serve->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
				serve->rest = now_ns() + SECOND; /* no descriptors: in vain for now */
			return;
		}
		client = make_place(serve);
		client->fd = fd;
		client->until = now_ns() + PATIENCE;
		go_on(client, 1, page, context);
	}
}

void serve_clients(struct serve *serve, int (*page)(void *context, struct output *out),
		   void *context)
{
	__u64 start, rest, now;

	if (serve->socket <= 0)
		return;
	start = cpu_ns();
	for (size_t i = 0; i < SERVE_CLIENTS; i++)
		if (serve->client[i].fd)
			go_on(&serve->client[i], has_time(serve, start), page, context);
	let_in(serve, page, context, start);
	/* What they cost was measured: a tenth of a CPU, or where an answer takes long a quarter. */
	rest = (cpu_ns() - start) * REST;
	now = now_ns();
	rest += serve->rest > now ? serve->rest : now;
	serve->rest = rest < now + REST_MAX ? rest : now + REST_MAX;
}

void serve_close(struct serve *serve)
{
	for (size_t i = 0; i < SERVE_CLIENTS; i++)
		hang_up(&serve->client[i]);
	if (serve->socket > 0)
		close(serve->socket);
	serve->socket = 0;
}
