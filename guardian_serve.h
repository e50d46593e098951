/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the reader (guardian.c) and its guardian (guardian_serve.c) say to each other. Two
 * SOCK_SEQPACKET pairs: requests and replies, one at a time, on the first; news, struct
 * guardian_news each, on the second, so that waiting for a reply never loses or delays any.
 */
#ifndef XGUARD_GUARDIAN_SERVE_H
#define XGUARD_GUARDIAN_SERVE_H

#include <linux/types.h>

#include "guardian.h"

enum request_kind {
	REQUEST_ATTACH,      /* comes with the program's descriptor, and the leftover's behind it */
	REQUEST_DETACH,      /* ifindex 0: from all links */
	REQUEST_LOOK,        /* what the kernel says of the link now */
	REQUEST_FOLLOW,      /* attach to what comes */
};

#define REQUEST_FDS 2

struct guardian_request {
	enum request_kind kind;
	int ifindex;
	char name[16];       /* for messages */
	enum attach_mode mode;
	__u32 program_id;
	__u32 leftover_id;   /* a dead xguard's program that is to be replaced; 0: none */
};

struct guardian_reply {
	int err;             /* 0 or -errno; -EADDRINUSE: somebody answers for the link */
	int occupied;        /* 1: link shows a program that stands in the way */
	struct link_info link;
	struct attach_result result;
	struct failure failure;
};

/* Where the guardian has its descriptors; 2 stays the standard error. */
enum {
	GUARDIAN_REQUESTS = 0, GUARDIAN_NEWS = 1, GUARDIAN_INSTANCES = 3, GUARDIAN_TERMINAL = 3,
	GUARDIAN_MAP = 4,
};

/*
 * The guardian's life, in the forked child, with the descriptors above and no others open. It has a
 * child itself, the deputy, who does nothing but wait for the guardian's death, to take down in its
 * place. Ends the process when the requests' end of file comes and all is taken down. What could not
 * be taken down is said on the standard error, since nobody else is left to say it, and tried again
 * until it can, with the standard error and the reader's sockets closed.
 */
void guardian_serve(const struct guardian_duties *duties) __attribute__((noreturn));

/*
 * Attach to reply->link, which is fresh, in the mode wanted; fills in reply's result, or its
 * failure, link and occupied. Returns 0 or -errno.
 */
int guardian_put_on(int nl, int program, enum attach_mode wanted, struct guardian_reply *reply);

/*
 * Take a program off a link where it is still the one attached, and ask the kernel again
 * afterwards. program is a descriptor of it, or -1: then whatever is there goes. Returns 0, also
 * when it was not there any more, or -errno with failure filled in.
 */
int guardian_take_off(int nl, int ifindex, int program, __u32 program_id, struct failure *failure);

/*
 * The abstract unix socket that answers for a link, bound and listening. Returns it, or -errno:
 * -EADDRINUSE when somebody, perhaps not an xguard, has it.
 */
int guardian_answer(int ifindex);

/* Who has it, whoever that is. Returns 0 with pid (0: not visible from here) and uid, or -errno. */
int guardian_answerer(int ifindex, pid_t *pid, uid_t *uid);

#endif
