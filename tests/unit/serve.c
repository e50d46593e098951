// SPDX-License-Identifier: GPL-2.0-or-later
/* The HTTP responder with clients of its own process, step by step, on a clock that the test sets. */
#include <fcntl.h>
#include <time.h>

static int fake_clock(clockid_t clock, struct timespec *now);
#define clock_gettime fake_clock

#include "tap.h"
#include "../../serve.c"
#include "../../http.c"
#include "../../output.c"
#include "../../failure.c"

static __u64 seconds = 1000, spent;

static int fake_clock(clockid_t clock, struct timespec *now)
{
	*now = (struct timespec){clock == CLOCK_MONOTONIC ? seconds : 0,
				 clock == CLOCK_MONOTONIC ? 0 : (long)spent};
	return 0;
}

#define GET "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"

static struct serve serve;
static unsigned int port;
static size_t page_len = 100;
static int pages, page_fails, page_ms = 1;

static int page(void *context, struct output *out)
{
	*(int *)context += 1;
	spent += page_ms * 1000000ul; /* of CPU */
	for (size_t i = 0; i < page_len; i++)
		output_bytes(out, i % 70 == 69 ? "\n" : "x", 1);
	return page_fails ? -1 : 0;
}

/* What the loop does, with a rest that is over. */
static void turn(void)
{
	struct pollfd fds[SERVE_FDS];

	serve.rest = 0;
	poll(fds, serve_watch(&serve, fds), 20);
	serve_clients(&serve, page, &pages);
}

static int client(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return -1;
	return fd;
}

static void say(int fd, const char *text)
{
	(void)!write(fd, text, strlen(text));
}

/* What has come for a client; closed becomes 1 at the end of it. */
static const char *hear(int fd, int *closed)
{
	static char text[300000];
	size_t len = 0;
	ssize_t n = 1;

	while (len < sizeof(text) - 1 &&
	       (n = recv(fd, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT)) > 0)
		len += n;
	*closed = n == 0 || (n < 0 && errno != EAGAIN);
	text[len] = '\0';
	return text;
}

static int status_of(int fd)
{
	int closed;
	const char *text = hear(fd, &closed);

	return strncmp(text, "HTTP/1.1 ", 9) ? 0 : atoi(text + 9);
}

static int held(void)
{
	int n = 0;

	for (size_t i = 0; i < SERVE_CLIENTS; i++)
		n += serve.client[i].fd != 0;
	return n;
}

static void begin(void)
{
	struct failure failure;
	char where[30];

	for (port = 20000 + getpid() % 20000;; port++) {
		sprintf(where, "127.0.0.1:%u", port);
		if (!serve_open(&serve, where, &failure))
			return;
	}
}

static void test_busy(void)
{
	struct serve other = {.socket = 0};
	struct failure failure;
	char where[30];

	sprintf(where, "%u", port);
	is_number(serve_open(&other, where, &failure), -EADDRINUSE, "a port that is taken");
	ok(strstr(failure.next, "ss -ltnp") != NULL, "who can tell by whom");
	is_number(other.socket, 0, "nothing is held");
	is_number(serve_open(&other, "192.0.2.1:1", &failure) < 0, 1, "an address of others");
	serve_clients(&other, page, &pages);
	is_number(serve_wake(&other) == UINT64_MAX, 1, "closed, it has nothing to do");
}

static void test_answers(void)
{
	int fd = client(), closed;
	char wanted[600];

	say(fd, "GET /metr");
	turn();
	is_text(hear(fd, &closed), "", "half a request: no answer");
	say(fd, "ics HTTP/1.1\r\nHost: x\r\n\r\n");
	turn();
	sprintf(wanted, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
		"Content-Length: 0000000100\r\nConnection: close\r\n\r\n%.69s\n%.30s",
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	is_text(hear(fd, &closed), wanted, "the other half: the page");
	is_number(closed, 1, "and the end");
	is_number(held(), 1, "the client may still say something");
	close(fd);
	turn();
	is_number(held(), 0, "until it closes");

	fd = client();
	say(fd, "HEAD /metrics HTTP/1.0\r\n\r\n");
	turn();
	*strstr(wanted, "xx") = '\0';
	is_text(hear(fd, &closed), wanted, "HEAD: the same without the page");
	close(fd);
	turn();
	fd = client();
	say(fd, "POST /metrics HTTP/1.0\r\n\r\n");
	turn();
	ok(strstr(hear(fd, &closed), "\r\nAllow: GET, HEAD\r\n") != NULL, "POST: what is allowed");
	close(fd);
	turn();

	page_fails = 1;
	fd = client();
	say(fd, GET);
	turn();
	is_text(hear(fd, &closed), "", "no page to be had: no answer");
	ok(closed && !held(), "but an end");
	page_fails = 0;
	close(fd);
}

/* A page that no buffer holds goes out bit by bit. */
static void test_long(void)
{
	int fd = client(), closed = 0;
	size_t len = 0, turns = 0;

	page_len = 20000000;
	say(fd, GET);
	turn();
	is_number(serve.client[0].sent < serve.client[0].reply.len, 1, "a long page waits for its reader");
	for (; !closed && turns < 100000; turns++) {
		len += strlen(hear(fd, &closed));
		if (!closed)
			turn();
	}
	is_number(len > 20000000 && len < 20000300, 1, "who gets it whole");
	close(fd);
	turn();
	is_number(held(), 0, "and is forgotten");
	page_len = 100;
}

static void test_patience(void)
{
	int fd = client(), closed;

	turn();
	is_number(serve_wake(&serve) == (seconds + 10) * SECOND, 1, "who says nothing has ten seconds");
	seconds += 9;
	turn();
	say(fd, "G");
	turn();
	hear(fd, &closed);
	is_number(closed, 0, "after nine it is there");
	seconds++;
	turn();
	hear(fd, &closed);
	is_number(closed, 1, "after ten it is not, whatever it said");
	close(fd);
	fd = client();
	say(fd, GET);
	turn();
	is_number(status_of(fd), 200, "who has got an answer");
	serve.rest = 0;
	is_number(serve_wake(&serve) == (seconds + 2) * SECOND, 1, "has two seconds to go");
	for (int i = 0; i < 40; i++) {
		char noise[2000] = { 0 };

		(void)!send(fd, noise, sizeof(noise), MSG_NOSIGNAL);
		turn();
	}
	is_number(held(), 0, "and is not listened to for ever");
	close(fd);
	for (int i = 0; i < 2; i++) { /* a reset, before and after the answer */
		fd = client();
		say(fd, i ? GET : "GET");
		turn();
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
		close(fd);
		turn();
		is_number(held(), 0, "a reset is an end");
	}
}

static void test_crowd(void)
{
	int fd[SERVE_CLIENTS * 3], more, closed, n = 0;

	for (size_t i = 0; i < SERVE_CLIENTS * 3; i++) {
		fd[i] = client();
		seconds += i == SERVE_CLIENTS;
		if (i % 8 == 7)
			turn();
	}
	turn();
	is_number(held(), SERVE_CLIENTS, "a crowd: so many are held");
	more = client();
	say(more, GET);
	turn();
	is_number(status_of(more), 200, "who comes then, and asks, is answered");
	close(more);
	for (size_t i = 0; i < SERVE_CLIENTS * 3; i++) {
		hear(fd[i], &closed);
		n += closed;
		if (i < SERVE_CLIENTS && !closed)
			ok(0, "the oldest went first");
	}
	is_number(n, 2 * SERVE_CLIENTS + 1, "others had to go");
	for (size_t i = 0; i < SERVE_CLIENTS * 3; i++)
		close(fd[i]);
	turn();
	turn();
	is_number(held(), 0, "and then all have gone");
}

/* Those who were let in when they had asked for nothing yet, and ask all at once: a round has its bound, too. */
static void test_round(void)
{
	struct pollfd fds[SERVE_FDS];
	int fd[8], before;

	for (int i = 0; i < 8; i++)
		fd[i] = client();
	turn();
	is_number(held(), 8, "eight are let in");
	for (int i = 0; i < 8; i++)
		say(fd[i], GET);
	page_ms = 100;
	before = pages;
	serve.rest = 0;
	serve_clients(&serve, page, &pages);
	is_number(pages - before, 3, "as many are answered as take a quarter of a second");
	is_number(serve.rest - seconds * SECOND, SECOND, "then it rests for a second");
	serve_watch(&serve, fds);
	is_number(fds[4].fd, -1, "and does not look at who waits");
	serve_clients(&serve, page, &pages);
	is_number(pages - before, 3, "nor reads from him");
	for (int i = 0; i < 2; i++) {
		seconds++;
		serve_clients(&serve, page, &pages);
	}
	is_number(pages - before, 8, "who is answered in a later round");
	for (int i = 0; i < 8; i++)
		close(fd[i]);
	page_ms = 1;
	turn();
	turn();
	is_number(held(), 0, "and then all have gone");
}

static void test_rest(void)
{
	struct pollfd fds[SERVE_FDS];
	int fd = client(), next;

	say(fd, GET);
	serve.rest = 0;
	serve_clients(&serve, page, &pages);
	is_number(serve.rest - seconds * SECOND, 9000000, "after a millisecond of work a rest of nine");
	is_number(serve_wake(&serve) == serve.rest, 1, "until which nothing is due");
	serve_watch(&serve, fds);
	is_number(fds[0].fd, -1, "and nobody is let in");
	next = client();
	serve_clients(&serve, page, &pages);
	is_number(held(), 1, "even who is there");
	seconds++;
	serve_clients(&serve, page, &pages);
	is_number(held(), 2, "before it is over");
	close(fd);
	close(next);
	serve_close(&serve);
	is_number(held() + serve.socket, 0, "closed, nothing is held");
	is_number(fcntl(20, F_GETFD), -1, "no descriptor is lost");
}

int main(void)
{
	hear(-1, &(int){ 0 });
	begin();
	test_busy();
	test_answers();
	test_long();
	test_patience();
	test_crowd();
	test_round();
	test_rest();
	return done();
}
