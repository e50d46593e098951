// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>

#include "guardian_guard.h"
#include "say.h"
#include "terminal.h"

#define LOOK_MS      1000 /* a program attached by a BPF link makes no news: look this often */
#define GONE_MS      100  /* wait so long for the kernel's news of a link that is gone: moved? */
#define RETRY_NS     10000000
#define REMOVE_TRIES 100
#define READER_MS    10000 /* a reader that is told of the end has heard of it by then */

static __u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

static void release(struct charge *charge)
{
	if (charge->program >= 0)
		close(charge->program);
	if (charge->answer >= 0)
		close(charge->answer);
	charge->program = charge->answer = -1;
}

static void drop(struct guard *guard, struct charge *charge)
{
	release(charge);
	*charge = guard->charges[--guard->n];
}

struct charge *guard_charge_of(struct guard *guard, int ifindex)
{
	for (size_t i = 0; i < guard->n; i++)
		if (guard->charges[i].ifindex == ifindex)
			return &guard->charges[i];
	return NULL;
}

static void mark(const struct link_info *link, int gone, void *context)
{
	struct charge *charge = guard_charge_of(context, link->ifindex);

	if (!charge) {
		recruits_hear(context, link, gone);
		return;
	}
	charge->dirty = 1;
	charge->told_gone = gone;
	charge->moved = gone && link->moved;
}

/* The netlink socket is opened anew where that has failed before. Returns 0 or -errno. */
static int connected(struct guard *guard, struct failure *failure)
{
	if (guard->nl < 0)
		guard->nl = netlink_open(0, failure);
	return guard->nl < 0 ? guard->nl : 0;
}

static int take_off(struct guard *guard, const struct charge *charge, struct failure *failure)
{
	if (charge->state != OURS)
		return 0;
	if (connected(guard, failure))
		return guard->nl;
	return guardian_take_off(guard->nl, charge->ifindex, charge->program, charge->program_id,
				 failure);
}

/* Take off what can be taken off now. What remains is said where the reader has not said it. */
static void take_all_off(struct guard *guard, int silent)
{
	struct failure failure;
	struct charge *charge;

	for (size_t i = guard->n; i-- > 0;) {
		charge = &guard->charges[i];
		if (!take_off(guard, charge, &failure)) {
			drop(guard, charge);
		} else if (!silent && !charge->reported) {
			say("%s: %s", failure.step, failure.reason);
			say("%s", failure.next);
		}
	}
}

/* Returns 0, or EBUSY: trace_pipe is open, since the reader's death is not complete, for example. */
static int remove_instance(const struct guard *guard, int tries)
{
	const struct timespec pause = { .tv_nsec = RETRY_NS };

	if (guard->duties->instances < 0 || !guard->duties->instance[0])
		return 0;
	while (unlinkat(GUARDIAN_INSTANCES, guard->duties->instance, AT_REMOVEDIR)) {
		if (errno != EBUSY)
			return 0;
		if (!--tries)
			return EBUSY;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static void make_life(struct guard *guard)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, guard->life))
		guard->life[0] = -1;
}

/* The reader went without doing so. Where the terminal is stopped (Ctrl+S), wait so long. */
static void give_terminal_back(const struct guard *guard, int patience_ms)
{
	char byte;

	if (!guard->alone && guard->duties->terminal &&
	    !recv(GUARDIAN_REQUESTS, &byte, 1, MSG_PEEK | MSG_DONTWAIT))
		terminal_give_back(guard->duties->terminal, GUARDIAN_TERMINAL, patience_ms);
}

/* Returns 1 when the reader has been told, or has gone; 0 when its socket has no room now. */
static int send_news(const struct guardian_news *news)
{
	return send(GUARDIAN_NEWS, news, sizeof(*news), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
		(errno != EAGAIN && errno != ENOBUFS);
}

/*
 * The deputy's end of the reader, which is told that the links are clean and may be about to make the
 * instance, or be killed while it does: what there is to remove is known once it has hung up.
 */
static void dismiss_reader(const struct guard *guard)
{
	const struct guardian_news news = { .event = LINKS_ARE_CLEAN };
	struct pollfd reader = { .fd = GUARDIAN_NEWS, .events = POLLOUT };
	int told;

	if (guard->alone)
		return;
	told = guard->n || send_news(&news);
	close(GUARDIAN_REQUESTS);
	if (!told && poll(&reader, 1, READER_MS) > 0)
		send_news(&news);
	reader.events = 0; /* POLLHUP */
	if (!guard->n && guard->duties->instance[0])
		poll(&reader, 1, READER_MS);
	close(GUARDIAN_NEWS);
}

static void deputize(struct guard *guard);

/* Nobody waits any more, nor is anybody there to read: go on trying alone. */
static void linger(struct guard *guard)
{
	struct pollfd event = { .fd = guard->events, .events = POLLIN };

	if (!guard->alone) {
		close(GUARDIAN_REQUESTS);
		close(GUARDIAN_NEWS);
		if (guard->duties->terminal)
			close(GUARDIAN_TERMINAL);
	}
	guard->alone = 1; /* the deputies of this one inherit it */
	dup2(guard->life[0], STDERR_FILENO); /* what cannot be written to */
	deputize(guard);
	do {
		if (poll(&event, 1, LOOK_MS) > 0)
			netlink_events(guard->events, mark, guard);
		take_all_off(guard, 1);
	} while (remove_instance(guard, 1) || guard->n);
}

static void take_down(struct guard *guard) __attribute__((noreturn));

/*
 * The end. Nobody answers any more while the programs are taken off, so that an xguard that starts
 * at this moment takes them for leftovers, which they are, and not for a living one's.
 */
static void take_down(struct guard *guard)
{
	int busy;

	give_terminal_back(guard, 0);
	for (size_t i = 0; i < guard->n; i++) {
		close(guard->charges[i].answer);
		guard->charges[i].answer = -1;
	}
	take_all_off(guard, 0);
	give_terminal_back(guard, 1000);
	if (!guard->deputy)
		dismiss_reader(guard);
	busy = remove_instance(guard, REMOVE_TRIES);
	if (busy)
		say("remove the tracing instance %s: %s", guard->duties->instance, strerror(busy));
	if (guard->n || busy)
		linger(guard);
	if (guard->deputy && !kill(guard->deputy, SIGKILL))
		waitpid(guard->deputy, NULL, 0);
	_exit(0);
}

/* The deputy that was relieved has had the time of an attach to die. */
static void bury(struct guard *guard)
{
	if (guard->relieved)
		waitpid(guard->relieved, NULL, 0);
	guard->relieved = 0;
}

/*
 * Fork a deputy that knows the charges as they are now, then end the one that did not. The new one
 * says when it has let go of what the guardian alone may hold. Where there cannot be one, the guardian
 * does without.
 */
static void deputize(struct guard *guard)
{
	pid_t deputy = guard->life[0] < 0 ? -1 : fork(), before = guard->deputy;
	struct pollfd ready = { .fd = guard->life[1], .events = POLLIN };
	int shared = 0;
	char byte = 0;

	for (size_t i = 0; i < guard->n; i++)
		shared |= guard->charges[i].answer >= 0;
	if (deputy < 0)
		return;
	guard->deputy = deputy;
	if (deputy) {
		if (shared && poll(&ready, 1, LOOK_MS) > 0)
			(void)!read(guard->life[1], &byte, 1);
		bury(guard);
		guard->relieved = before;
		if (before)
			kill(before, SIGKILL);
		return;
	}
	guard->relieved = 0;
	close(guard->life[1]);
	prctl(PR_SET_NAME, "xguard-deputy");
	for (size_t i = 0; i < guard->n; i++) { /* the guardian answers */
		close(guard->charges[i].answer);
		guard->charges[i].answer = -1;
	}
	if (shared)
		(void)!write(guard->life[0], &byte, 1);
	while (read(guard->life[0], &byte, 1) < 0 && errno == EINTR)
		;
	guard->nl = netlink_open(0, &(struct failure){ 0 }); /* the other holds the dead one's replies */
	make_life(guard);
	take_down(guard);
}

/*
 * Attach one link. Its answering socket comes first: who holds it has the link for itself, also
 * against another xguard that starts at the same moment. But the deputy comes before that: it would
 * have the socket, too, and could still have it when the next attempt wants it.
 */
static int take_charge(struct guard *guard, const struct guardian_request *request,
		       const int fds[REQUEST_FDS], struct guardian_reply *reply)
{
	struct charge *charge = &guard->charges[guard->n];
	struct link_info *link = &reply->link;
	int err;

	err = netlink_link(guard->nl, NULL, request->ifindex, link, &reply->failure);
	if (err)
		return err;
	memset(charge, 0, sizeof(*charge));
	charge->ifindex = request->ifindex;
	charge->program = fds[0];
	charge->program_id = request->program_id;
	charge->up = !!(link->flags & IFF_UP);
	memcpy(charge->name, link->name, sizeof(charge->name));
	charge->answer = -1;
	guard->n++;
	deputize(guard);
	err = charge->answer = guardian_answer(request->ifindex);
	if (err < 0)
		fail(&reply->failure, -err, "attach to %s", link->name);
	else
		err = 0;
	if (!err && request->leftover_id)
		err = guardian_take_off(guard->nl, request->ifindex, fds[1], request->leftover_id,
					&reply->failure);
	if (!err)
		err = guardian_put_on(guard->nl, fds[0], request->mode, reply);
	bury(guard);
	if (err) {
		guard->n--;
		charge->program = -1; /* the caller closes it */
		release(charge);
	}
	return err;
}

int guard_attach(struct guard *guard, const struct guardian_request *request,
		 const int fds[REQUEST_FDS], struct guardian_reply *reply)
{
	struct charge *charges = realloc(guard->charges, (guard->n + 1) * sizeof(*charges));

	if (!charges)
		return fail(&reply->failure, ENOMEM, "attach to %s", reply->link.name);
	guard->charges = charges;
	return take_charge(guard, request, fds, reply);
}

/* Returns 0, or the first failure, which the reader reports; what stays on stays in charge. */
static int detach(struct guard *guard, int ifindex, struct failure *failure)
{
	struct failure unused = { 0 };
	struct charge *charge;
	int err, first = 0;
	size_t len;

	for (size_t i = guard->n; i-- > 0;) {
		charge = &guard->charges[i];
		if (ifindex && charge->ifindex != ifindex)
			continue;
		err = take_off(guard, charge, first ? &unused : failure);
		if (!err) {
			drop(guard, charge);
		} else if (!first) {
			charge->reported = 1;
			first = err;
			len = strlen(failure->next);
			snprintf(failure->next + len, sizeof(failure->next) - len,
				 "; process %d stays and does it as soon as it can", getpid());
		}
	}
	return first;
}

/* Receive one request and its descriptors. Returns 1, or 0 at the end: the reader has gone. */
static int receive_request(struct guardian_request *request, int fds[REQUEST_FDS])
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * REQUEST_FDS)];
	struct iovec iov = { request, sizeof(*request) };
	struct msghdr message;
	struct cmsghdr *cmsg;
	ssize_t n;

	fds[0] = fds[1] = -1;
	do {
		memset(&message, 0, sizeof(message));
		message.msg_iov = &iov;
		message.msg_iovlen = 1;
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		n = recvmsg(GUARDIAN_REQUESTS, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	cmsg = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(cmsg), cmsg->cmsg_len - CMSG_LEN(0));
	return n == sizeof(*request);
}

/* Serve one request. Returns 1, or 0 at the end. */
static int serve(struct guard *guard)
{
	struct guardian_request request = { .ifindex = 0 };
	struct guardian_reply reply;
	int fds[REQUEST_FDS], kept = 0;

	if (!receive_request(&request, fds))
		return 0;
	memset(&reply, 0, sizeof(reply));
	memcpy(reply.link.name, request.name, sizeof(reply.link.name));
	reply.err = connected(guard, &reply.failure);
	if (reply.err) {
		;
	} else if (request.kind == REQUEST_LOOK) {
		reply.err = netlink_link(guard->nl, NULL, request.ifindex, &reply.link,
					 &reply.failure);
	} else if (request.kind == REQUEST_DETACH) {
		guard->recruits.following = guard->recruits.scan = 0;
		reply.err = detach(guard, request.ifindex, &reply.failure);
	} else if (request.kind == REQUEST_FOLLOW) {
		guard->recruits.following = guard->recruits.scan = 1;
	} else if (guard_charge_of(guard, request.ifindex)) {
		reply.err = fail(&reply.failure, EEXIST, "attach to %s", request.name);
		fail_reason(&reply.failure, "it is traced by this xguard already");
	} else {
		reply.err = guard_attach(guard, &request, fds, &reply);
		kept = !reply.err;
		if (kept)
			guard->charges[guard->n - 1].row = guard->recruits.rows++;
		else
			recruits_refuse(guard, request.ifindex);
	}
	reply.result.program_id = request.program_id;
	for (int i = kept; i < REQUEST_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	/* A reader that gets no answer would wait for ever. */
	return send(GUARDIAN_REQUESTS, &reply, sizeof(reply), MSG_NOSIGNAL) >= 0;
}

/* Returns 1 when the reader has been told, or has gone; 0 when its socket has no room now. */
static int tell(struct guard *guard, const struct charge *charge, enum link_event event)
{
	struct guardian_news news = { .event = event, .ifindex = charge->ifindex,
				      .moved = charge->moved, .program_id = charge->taken_by };

	memcpy(news.name, charge->name, sizeof(news.name));
	if (event == LINK_IS_ATTACHED) {
		news.row = charge->row;
		news.up = charge->up;
		news.base = charge->base;
		news.how = charge->how;
	}
	if (send_news(&news))
		return 1;
	guard->unheard = 1;
	return 0;
}

/* What has become of our program on this link? */
static void check(struct guard *guard, struct charge *charge, struct link_info *link)
{
	int err = netlink_link(guard->nl, NULL, charge->ifindex, link, &(struct failure){ 0 });

	if (err == -ENODEV) {
		charge->state = GONE;
		charge->missed_at = now_ms();
	} else if (!err && netlink_mode_of(link, charge->program_id) == XDP_MODE_NONE) {
		charge->state = TAKEN;
		for (int mode = XDP_MODE_OFFLOAD; mode >= XDP_MODE_NATIVE; mode--)
			if (link->program[mode])
				charge->taken_by = link->program[mode];
	} else if (err) { /* no memory, say: the next look will tell */
		memcpy(link->name, charge->name, sizeof(link->name));
		link->flags = charge->up ? IFF_UP : 0;
	}
}

/* Compare a link with what the reader knows, and tell it. Returns 1 when the charge has ended. */
static int look_at(struct guard *guard, struct charge *charge)
{
	struct charge now = *charge;
	struct link_info link;

	if (charge->announce && tell(guard, charge, LINK_IS_ATTACHED))
		charge->announce = 0;
	if (charge->announce)
		return 0;
	if (charge->state == OURS)
		check(guard, charge, &link);
	if (charge->state == TAKEN)
		return tell(guard, charge, LINK_IS_TAKEN);
	if (charge->state == GONE)
		return (charge->told_gone || now_ms() - charge->missed_at >= GONE_MS) &&
			tell(guard, charge, LINK_IS_GONE);
	memcpy(now.name, link.name, sizeof(now.name));
	now.up = !!(link.flags & IFF_UP);
	if (strcmp(now.name, charge->name) && tell(guard, &now, LINK_IS_RENAMED))
		memcpy(charge->name, now.name, sizeof(now.name));
	if (now.up != charge->up && tell(guard, charge, now.up ? LINK_IS_UP : LINK_IS_DOWN))
		charge->up = now.up;
	return 0;
}

/*
 * Look at every charge that is dirty, or at all; then let go those who asked who answers, too.
 * Returns how many milliseconds there are until the next look; -1: none is due.
 */
static int look_around(struct guard *guard, int all)
{
	struct charge *charge;
	int fd, unheard = 0, pause = LOOK_MS;

	for (size_t i = guard->n; i-- > 0;) {
		charge = &guard->charges[i];
		while (all && (fd = accept4(charge->answer, NULL, NULL, SOCK_CLOEXEC)) >= 0)
			close(fd);
		if (!all && !charge->dirty && charge->state == OURS)
			continue;
		guard->unheard = 0;
		if (look_at(guard, charge)) {
			recruits_lose(guard, charge);
			drop(guard, charge);
			continue;
		}
		charge->dirty = guard->unheard;
		unheard |= guard->unheard;
		if (charge->state == GONE)
			pause = GONE_MS;
	}
	guard->unheard = unheard;
	return guard->n ? pause : -1;
}

void guardian_serve(const struct guardian_duties *duties)
{
	struct guard guard = { .duties = duties, .life = { -1, -1 } };
	struct failure failure;
	struct pollfd fds[3];
	__u64 looked = 0;
	int n, all, pause = -1;

	signal(SIGCHLD, SIG_DFL); /* a deputy's id stays its own */
	make_life(&guard);
	if (duties->instance[0])
		deputize(&guard);
	guard.nl = netlink_open(0, &failure);
	guard.events = netlink_open(RTMGRP_LINK, &failure);
	while (1) {
		fds[0] = (struct pollfd){ GUARDIAN_REQUESTS, POLLIN, 0 };
		fds[1] = (struct pollfd){ guard.events, POLLIN, 0 };
		fds[2] = (struct pollfd){ GUARDIAN_NEWS, guard.unheard ? POLLOUT : 0, 0 };
		n = poll(fds, guard.unheard ? 3 : 2, pause);
		all = n <= 0 || now_ms() - looked >= LOOK_MS;
		if (n > 0 && fds[1].revents && netlink_events(guard.events, mark, &guard)) {
			all = 1;
			guard.recruits.scan = guard.recruits.following;
		}
		if (n > 0 && fds[0].revents && !serve(&guard))
			break;
		recruits_enlist(&guard);
		pause = look_around(&guard, all);
		if (guard.recruits.scan)
			pause = 0;
		if (all)
			looked = now_ms();
	}
	take_down(&guard);
}
