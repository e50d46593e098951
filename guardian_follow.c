// SPDX-License-Identifier: GPL-2.0-or-later
/* -i all: the guardian loads and attaches for links that come while it watches. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/if.h>

#include "bpf.h"
#include "guardian_guard.h"

#define AT_ONCE 16 /* links, half a second: then the reader may have a request */

/* A bridge or a bond has its frames from its members; a veth's IFLA_LINK is its other end. */
int guardian_follows(const struct link_info *link)
{
	static const char kinds[][8] = { "bridge", "bond", "team", "vrf", "hsr" };

	if (!(link->flags & IFF_UP) || link->flags & IFF_LOOPBACK)
		return 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(link->kind, kinds[i]))
			return 0;
	return !link->lower || link->lower == link->ifindex || link->lower_elsewhere ||
	       !strcmp(link->kind, "veth") || !strcmp(link->kind, "netkit");
}

/* Where an index stands among the refused ones; behind them: nowhere. */
static size_t place_of(const struct recruits *recruits, int ifindex)
{
	size_t i = 0;

	while (i < recruits->nrefused && recruits->refused[i] != ifindex)
		i++;
	return i;
}

/* Adds to a list. Where there is no memory, the list stays as it is: then a link is tried again. */
static void append(void *list, size_t *n, unsigned int number)
{
	unsigned int **numbers = list, *more = realloc(*numbers, (*n + 1) * sizeof(*more));

	if (!more)
		return;
	*numbers = more;
	more[(*n)++] = number;
}

void recruits_refuse(struct guard *guard, int ifindex)
{
	struct recruits *recruits = &guard->recruits;

	if (guard->duties->recruiter && place_of(recruits, ifindex) == recruits->nrefused)
		append(&recruits->refused, &recruits->nrefused, ifindex);
}

void recruits_hear(struct guard *guard, const struct link_info *link, int gone)
{
	struct recruits *recruits = &guard->recruits;
	size_t place = place_of(recruits, link->ifindex);

	if (!recruits->following)
		return;
	if (!gone && link->flags & IFF_UP)
		recruits->scan |= place == recruits->nrefused;
	else if (place < recruits->nrefused)
		recruits->refused[place] = recruits->refused[--recruits->nrefused];
}

void recruits_lose(struct guard *guard, const struct charge *charge)
{
	struct recruits *recruits = &guard->recruits;

	if (charge->state == TAKEN)
		recruits_refuse(guard, charge->ifindex);
	else if (guard->duties->recruiter && !charge->moved) /* else its program still counts */
		append(&recruits->unused, &recruits->nunused, charge->row);
}

/* Returns 0, or -ENOSPC. */
static int choose_row(struct recruits *recruits, unsigned int rows, unsigned int *row)
{
	if (recruits->rows < rows) {
		*row = recruits->rows++;
	} else if (recruits->nunused) {
		*row = recruits->unused[0];
		memmove(recruits->unused, recruits->unused + 1,
			--recruits->nunused * sizeof(*recruits->unused));
	} else {
		return -ENOSPC;
	}
	return 0;
}

static int attach(struct guard *guard, const struct link_info *link, struct charge *made,
		  struct guardian_reply *reply)
{
	const struct guardian_recruiter *recruiter = guard->duties->recruiter;
	struct guardian_request request = { .kind = REQUEST_ATTACH, .ifindex = link->ifindex,
					    .mode = recruiter->mode };
	struct bpf_prog_info info = { 0 };
	int err, fds[REQUEST_FDS] = { -1, -1 };

	fds[0] = recruiter->load(link, made->row, &made->base, recruiter->context, &reply->failure);
	if (fds[0] < 0)
		return fds[0];
	err = bpf_obj_info(fds[0], &info, sizeof(info));
	request.program_id = info.id;
	if (err)
		fail(&reply->failure, -err, "attach to %s: ask for the program's id", link->name);
	else
		err = guard_attach(guard, &request, fds, reply);
	if (err)
		close(fds[0]);
	reply->result.program_id = info.id;
	reply->result.rx_packets = reply->link.rx_packets;
	return err;
}

/* Tell the reader why not; should its socket be full, it does without. */
static void refuse(struct guard *guard, const struct link_info *link, int err,
		   struct guardian_reply *reply)
{
	struct guardian_news news = { .event = LINK_IS_REFUSED, .ifindex = link->ifindex };

	recruits_refuse(guard, link->ifindex);
	if (err == -EADDRINUSE)
		fail_reason(&reply->failure, "another xguard traces it");
	else if (reply->occupied)
		fail_reason(&reply->failure, "a program is attached to it already (id %u), and xguard "
			    "replaces nobody's", reply->link.program[XDP_MODE_NATIVE] ?
			    reply->link.program[XDP_MODE_NATIVE] :
			    reply->link.program[XDP_MODE_GENERIC] ?
			    reply->link.program[XDP_MODE_GENERIC] :
			    reply->link.program[XDP_MODE_OFFLOAD]);
	memcpy(news.name, link->name, sizeof(news.name));
	news.failure = reply->failure;
	send(GUARDIAN_NEWS, &news, sizeof(news), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int enlist(const struct link_info *link, void *context)
{
	struct guard *guard = context;
	struct recruits *recruits = &guard->recruits;
	struct guardian_reply reply = { .err = 0 };
	struct charge made = { 0 }, *charge;
	int err;

	if (!guardian_follows(link) || guard_charge_of(guard, link->ifindex) ||
	    place_of(recruits, link->ifindex) < recruits->nrefused)
		return 0;
	err = choose_row(recruits, guard->duties->recruiter->rows, &made.row);
	if (err) {
		fail(&reply.failure, 0, "attach to %s", link->name);
		fail_reason(&reply.failure, "there is no room for counters of more than %u links",
			    recruits->rows);
		refuse(guard, link, err, &reply);
		return 0;
	}
	recruits->left--;
	err = attach(guard, link, &made, &reply);
	if (err) {
		append(&recruits->unused, &recruits->nunused, made.row);
		if (err != -ENODEV)
			refuse(guard, link, err, &reply);
		return !recruits->left;
	}
	charge = &guard->charges[guard->n - 1];
	charge->row = made.row;
	charge->base = made.base;
	charge->how = reply.result;
	charge->announce = charge->dirty = 1;
	return !recruits->left;
}

void recruits_enlist(struct guard *guard)
{
	if (!guard->recruits.following || !guard->recruits.scan)
		return;
	guard->recruits.left = AT_ONCE;
	guard->recruits.scan = netlink_links(guard->nl, enlist, guard, &(struct failure){ 0 }) > 0;
}
