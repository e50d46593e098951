/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the guardian knows of the links in its charge. Between guardian_serve.c and guardian_follow.c. */
#ifndef XGUARD_GUARDIAN_GUARD_H
#define XGUARD_GUARDIAN_GUARD_H

#include <sys/types.h>

#include "guardian_serve.h"

/* One link that carries our program. */
struct charge {
	int ifindex;
	int program;              /* -1: not held */
	int answer;               /* the socket that answers for the link; -1: not held */
	__u32 program_id;
	char name[16];            /* as the reader knows it */
	int up;                   /* as the reader knows it */
	int dirty;                /* to be looked at */
	int reported;             /* the reader knows that it could not be taken off */
	enum { OURS, GONE, TAKEN } state;
	__u64 missed_at;          /* GONE: since when, in ms */
	int told_gone;            /* the kernel's own news of it have come, */
	int moved;                /* and say that it is in another network namespace now */
	__u32 taken_by;
	unsigned int row;         /* of the counters */
	int announce;             /* the reader knows nothing of it yet: */
	struct link_count base;
	struct attach_result how;
};

struct guard {
	const struct guardian_duties *duties;
	int nl, events;
	struct charge *charges;
	size_t n;
	int alone;                /* what led to the reader is closed, and other things may be in its place */
	int unheard;              /* news wait for room in the reader's socket */
	int life[2];              /* the deputies' end, the guardian's: end of file is its death */
	pid_t deputy;             /* 0: none, and to be one itself */
	pid_t relieved;           /* the one before, killed and still to be waited for; 0: none */
	struct recruits {
		int following;            /* 1: the reader wants links that come */
		int scan;                 /* 1: one may have come */
		int left;                 /* how many more to attach to before others have their turn */
		int *refused;             /* indices of links that are left alone until they come up again */
		size_t nrefused;
		unsigned int *unused;     /* rows of links that were deleted, the oldest first */
		size_t nunused;
		unsigned int rows;        /* those from here on were never used */
	} recruits;
};

struct charge *guard_charge_of(struct guard *guard, int ifindex);

/*
 * Attach a link and take charge of it: the last of guard->charges then, which fds[0] belongs to. Returns
 * 0, or -errno with reply's failure filled in.
 */
int guard_attach(struct guard *guard, const struct guardian_request *request,
		 const int fds[REQUEST_FDS], struct guardian_reply *reply);

/* News of a link that is not in charge; and of one that is no more, or could not be. */
void recruits_hear(struct guard *guard, const struct link_info *link, int gone);
void recruits_refuse(struct guard *guard, int ifindex);
void recruits_lose(struct guard *guard, const struct charge *charge);

/* Attach to what has come. */
void recruits_enlist(struct guard *guard);

#endif
