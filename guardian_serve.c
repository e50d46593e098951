// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "guardian_serve.h"
#include "hints.h"

#define LOOK_MS      1000 /* a program attached by a BPF link makes no news: look this often */
#define RETRY_NS     10000000
#define REMOVE_TRIES 100

/* One link that carries our program. */
struct charge {
	int ifindex;
	int program;              /* -1: not held */
	int answer;               /* the socket that answers for the link; -1: not held */
	__u32 program_id;
	char name[16];            /* as the reader knows it */
	int up;                   /* as the reader knows it */
	int dirty;                /* to be looked at */
	int moved;                /* went to another network namespace */
	enum { OURS, GONE, TAKEN } state;
	__u32 taken_by;
};

struct guard {
	int nl, events;
	struct charge *charges;
	size_t n;
	int unheard;              /* news wait for room in the reader's socket */
};

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

static struct charge *charge_of(struct guard *guard, int ifindex)
{
	for (size_t i = 0; i < guard->n; i++)
		if (guard->charges[i].ifindex == ifindex)
			return &guard->charges[i];
	return NULL;
}

/*
 * Take a program off a link, where it is still the one attached. The mode comes from the kernel:
 * asked for another one, it agrees and does nothing. And it is asked again afterwards.
 */
static int take_off(int nl, int ifindex, int program, __u32 program_id, struct failure *failure)
{
	struct link_info link;
	enum xdp_mode mode;
	int err, look;

	err = netlink_link(nl, NULL, ifindex, &link, failure);
	mode = err ? XDP_MODE_NONE : netlink_mode_of(&link, program_id);
	if (mode == XDP_MODE_NONE)
		return err == -ENODEV ? 0 : err;
	err = netlink_set_xdp(nl, &link, -1, program, XDP_FLAGS_REPLACE | xdp_mode_flag(mode),
			      failure);
	if (err == -EINVAL) /* before Linux 5.7 */
		err = netlink_set_xdp(nl, &link, -1, -1, xdp_mode_flag(mode), failure);
	look = netlink_link(nl, NULL, ifindex, &link, err ? &(struct failure){ 0 } : failure);
	if (look == -ENODEV || (!look && netlink_mode_of(&link, program_id) == XDP_MODE_NONE))
		return 0;
	if (!err && !look)
		fail(failure, EBUSY, "detach from %s", link.name);
	if (!err && !look)
		fail_reason(failure, "the kernel agreed, but program %u is still attached", program_id);
	fail_next(failure, "run `ip link set dev %s %s off`", link.name,
		  mode == XDP_MODE_GENERIC ? "xdpgeneric" : "xdpdrv");
	return -failure->err;
}

struct upper {
	const struct link_info *lower;
	char name[16];
};

static int is_upper(const struct link_info *link, void *context)
{
	struct upper *upper = context;

	if (link->ifindex != upper->lower->master &&
	    (link->lower != upper->lower->ifindex || link->lower_elsewhere))
		return 0;
	if (!link->program[XDP_MODE_NATIVE] && !link->program[XDP_MODE_GENERIC] &&
	    !link->program[XDP_MODE_OFFLOAD])
		return 0;
	memcpy(upper->name, link->name, sizeof(upper->name));
	return 1;
}

/* What to do next, after a refusal that is in failure. */
static void advise(int nl, const struct link_info *link, enum xdp_mode mode,
		   struct failure *failure)
{
	struct upper upper = { .lower = link, .name = "" };
	char driver[32];

	if (failure->err == EEXIST && strstr(failure->reason, "upper device") &&
	    netlink_links(nl, is_upper, &upper, &(struct failure){ 0 }) == 1) {
		fail_next(failure, "attach to %s instead, which %s is a part of", upper.name,
			  link->name);
		return;
	}
	netlink_driver(link->name, driver);
	hint_attach(failure->next, sizeof(failure->next), failure->err, failure->reason, driver,
		    mode, link);
}

/* Returns 0, or -errno; reply->occupied when it is because of a program that is there. */
static int put_on_in(int nl, int program, enum xdp_mode mode, struct guardian_reply *reply)
{
	struct link_info *link = &reply->link;
	struct failure *failure = &reply->failure;
	int err;

	err = netlink_set_xdp(nl, link, program, -1,
			      XDP_FLAGS_UPDATE_IF_NOEXIST | xdp_mode_flag(mode), failure);
	if (!err) {
		reply->result.mode = mode;
		return 0;
	}
	snprintf(failure->step, sizeof(failure->step), "attach to %s in %s mode", link->name,
		 xdp_mode_name(mode));
	if (!netlink_link(nl, NULL, link->ifindex, link, &(struct failure){ 0 }))
		reply->occupied = link->program[XDP_MODE_NATIVE] ||
			link->program[XDP_MODE_GENERIC] || link->program[XDP_MODE_OFFLOAD];
	if (!reply->occupied)
		advise(nl, link, mode, failure);
	return err;
}

static int put_on(int nl, int program, enum attach_mode wanted, struct guardian_reply *reply)
{
	struct attach_result *result = &reply->result;
	struct failure *failure = &reply->failure;
	struct failure native, generic;
	int err;

	if (wanted == ATTACH_GENERIC)
		return put_on_in(nl, program, XDP_MODE_GENERIC, reply);
	err = put_on_in(nl, program, XDP_MODE_NATIVE, reply);
	if (!err || wanted == ATTACH_NATIVE || reply->occupied || err == -EPERM || err == -ENODEV ||
	    strstr(failure->reason, "upper device"))
		return err;
	hint_why_generic(result->why_generic, sizeof(result->why_generic), failure->err,
			 failure->reason, &reply->link);
	native = *failure;
	err = put_on_in(nl, program, XDP_MODE_GENERIC, reply);
	if (!err || reply->occupied)
		return err;
	generic = *failure;
	snprintf(failure->step, sizeof(failure->step), "attach to %s", reply->link.name);
	return fail_reason(failure, "native mode: %s; generic mode: %s", native.reason,
			   generic.reason);
}

/*
 * Attach one link. Its answering socket comes first: who holds it has the link for itself, also
 * against another xguard that starts at the same moment.
 */
static int attach(struct guard *guard, const struct guardian_request *request,
		  const int fds[REQUEST_FDS], struct guardian_reply *reply)
{
	struct charge *charge = &guard->charges[guard->n];
	struct link_info *link = &reply->link;
	int err;

	err = netlink_link(guard->nl, NULL, request->ifindex, link, &reply->failure);
	if (err)
		return err;
	*charge = (struct charge){ request->ifindex, fds[0], -1, request->program_id, "",
				   !!(link->flags & IFF_UP), 0, 0, OURS, 0 };
	memcpy(charge->name, link->name, sizeof(charge->name));
	charge->answer = guardian_answer(request->ifindex);
	if (charge->answer < 0)
		return fail(&reply->failure, -charge->answer, "attach to %s", link->name);
	if (request->leftover_id)
		err = take_off(guard->nl, request->ifindex, fds[1], request->leftover_id,
			       &reply->failure);
	if (!err)
		err = put_on(guard->nl, fds[0], request->mode, reply);
	if (err) {
		charge->program = -1; /* the caller closes it */
		release(charge);
		return err;
	}
	guard->n++;
	return 0;
}

static int make_room(struct guard *guard, struct guardian_reply *reply)
{
	struct charge *charges = realloc(guard->charges, (guard->n + 1) * sizeof(*charges));

	if (!charges)
		return fail(&reply->failure, ENOMEM, "attach to %s", reply->link.name);
	guard->charges = charges;
	return 0;
}

/* Returns 0, or the last failure; what could not be taken off stays in charge. */
static int detach(struct guard *guard, int ifindex, struct failure *failure)
{
	struct charge *charge;
	int err, last = 0;

	for (size_t i = guard->n; i-- > 0;) {
		charge = &guard->charges[i];
		if (ifindex && charge->ifindex != ifindex)
			continue;
		err = charge->state != OURS ? 0 :
			take_off(guard->nl, charge->ifindex, charge->program, charge->program_id,
				 failure);
		if (err)
			last = err;
		else
			drop(guard, charge);
	}
	return last;
}

/* Receive one request and its descriptors. Returns 1, or 0 at the end: the reader has gone. */
static int receive_request(struct guardian_request *request, int fds[REQUEST_FDS])
{
	char control[CMSG_SPACE(sizeof(int) * REQUEST_FDS)];
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
	struct guardian_request request;
	struct guardian_reply reply;
	int fds[REQUEST_FDS], kept = 0;

	if (!receive_request(&request, fds))
		return 0;
	memset(&reply, 0, sizeof(reply));
	memcpy(reply.link.name, request.name, sizeof(reply.link.name));
	if (guard->nl < 0)
		reply.err = guard->nl = netlink_open(0, &reply.failure);
	if (guard->nl < 0) {
		;
	} else if (request.kind == REQUEST_DETACH) {
		reply.err = detach(guard, request.ifindex, &reply.failure);
	} else if (charge_of(guard, request.ifindex)) {
		reply.err = fail(&reply.failure, EEXIST, "attach to %s", request.name);
		fail_reason(&reply.failure, "it is traced by this xguard already");
	} else {
		reply.err = make_room(guard, &reply);
		if (!reply.err)
			reply.err = attach(guard, &request, fds, &reply);
		kept = !reply.err;
	}
	reply.result.program_id = request.program_id;
	for (int i = kept; i < REQUEST_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	send(GUARDIAN_REQUESTS, &reply, sizeof(reply), MSG_NOSIGNAL);
	return 1;
}

/* Returns 1 when the reader has been told, or has gone; 0 when its socket has no room now. */
static int tell(struct guard *guard, const struct charge *charge, enum link_event event)
{
	struct guardian_news news = { .event = event, .ifindex = charge->ifindex,
				      .moved = charge->moved, .program_id = charge->taken_by };

	memcpy(news.name, charge->name, sizeof(news.name));
	if (send(GUARDIAN_NEWS, &news, sizeof(news), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
	    (errno != EAGAIN && errno != ENOBUFS))
		return 1;
	guard->unheard = 1;
	return 0;
}

/* Compare a link with what the reader knows, and tell it. Returns 1 when the charge has ended. */
static int look_at(struct guard *guard, struct charge *charge)
{
	struct charge now = *charge;
	struct link_info link;
	int err;

	if (charge->state == OURS) {
		err = netlink_link(guard->nl, NULL, charge->ifindex, &link, &(struct failure){ 0 });
		if (err && err != -ENODEV)
			return 0;
		if (err) {
			charge->state = GONE;
		} else if (netlink_mode_of(&link, charge->program_id) == XDP_MODE_NONE) {
			charge->state = TAKEN;
			for (int mode = XDP_MODE_OFFLOAD; mode >= XDP_MODE_NATIVE; mode--)
				if (link.program[mode])
					charge->taken_by = link.program[mode];
		}
	}
	if (charge->state != OURS)
		return tell(guard, charge, charge->state == GONE ? LINK_IS_GONE : LINK_IS_TAKEN);
	memcpy(now.name, link.name, sizeof(now.name));
	now.up = !!(link.flags & IFF_UP);
	if (strcmp(now.name, charge->name) && tell(guard, &now, LINK_IS_RENAMED))
		memcpy(charge->name, now.name, sizeof(now.name));
	if (now.up != charge->up && tell(guard, charge, now.up ? LINK_IS_UP : LINK_IS_DOWN))
		charge->up = now.up;
	return 0;
}

/* Look at every charge that is dirty, or at all; and let go those who asked who answers. */
static void look_around(struct guard *guard, int all)
{
	struct charge *charge;
	int fd;

	guard->unheard = 0;
	for (size_t i = guard->n; i-- > 0;) {
		charge = &guard->charges[i];
		while ((fd = accept4(charge->answer, NULL, NULL, SOCK_CLOEXEC)) >= 0)
			close(fd);
		if (!all && !charge->dirty && charge->state == OURS)
			continue;
		charge->dirty = 0;
		if (look_at(guard, charge))
			drop(guard, charge);
	}
}

static void mark(const struct link_info *link, int gone, void *context)
{
	struct charge *charge = charge_of(context, link->ifindex);

	if (!charge)
		return;
	charge->dirty = 1;
	charge->moved = gone && link->moved;
}

static void remove_instance(const struct guardian_duties *duties)
{
	const struct timespec pause = { .tv_nsec = RETRY_NS };

	if (duties->instances < 0 || !duties->instance[0])
		return;
	/* EBUSY: the reader's death has not closed its trace_pipe yet. */
	for (int i = 0; i < REMOVE_TRIES; i++) {
		if (!unlinkat(GUARDIAN_INSTANCES, duties->instance, AT_REMOVEDIR) || errno != EBUSY)
			return;
		nanosleep(&pause, NULL);
	}
	dprintf(STDERR_FILENO, "xguard: remove the tracing instance %s: %s\n", duties->instance,
		strerror(EBUSY));
}

/*
 * The end. Nobody answers any more while the programs are taken off, so that an xguard that starts
 * at this moment takes them for leftovers, which they are, and not for a living one's.
 */
static void take_down(struct guard *guard, const struct guardian_duties *duties)
{
	struct failure failure;
	struct charge *charge;

	for (size_t i = 0; i < guard->n; i++) {
		close(guard->charges[i].answer);
		guard->charges[i].answer = -1;
	}
	detach(guard, 0, &failure);
	remove_instance(duties);
	for (size_t i = guard->n; i-- > 0;) {
		charge = &guard->charges[i];
		if (take_off(guard->nl, charge->ifindex, charge->program, charge->program_id,
			     &failure))
			dprintf(STDERR_FILENO, "xguard: %s: %s\nxguard: %s\n", failure.step,
				failure.reason, failure.next);
	}
}

static __u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

void guardian_serve(const struct guardian_duties *duties)
{
	struct guard guard = { .charges = NULL };
	struct failure failure;
	struct pollfd fds[3];
	__u64 looked = 0;
	int n, all;

	guard.nl = netlink_open(0, &failure);
	guard.events = netlink_open(RTMGRP_LINK, &failure);
	while (1) {
		fds[0] = (struct pollfd){ GUARDIAN_REQUESTS, POLLIN, 0 };
		fds[1] = (struct pollfd){ guard.events, POLLIN, 0 };
		fds[2] = (struct pollfd){ GUARDIAN_NEWS, guard.unheard ? POLLOUT : 0, 0 };
		n = poll(fds, guard.unheard ? 3 : 2, guard.n ? LOOK_MS : -1);
		all = n <= 0 || fds[2].revents || now_ms() - looked >= LOOK_MS;
		if (n > 0 && fds[1].revents && netlink_events(guard.events, mark, &guard))
			all = 1;
		if (n > 0 && fds[0].revents && !serve(&guard))
			break;
		look_around(&guard, all);
		if (all)
			looked = now_ms();
	}
	take_down(&guard, duties);
	_exit(0);
}
