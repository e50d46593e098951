/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one process that attaches and detaches. It is forked before there is anything to take down,
 * lives in a session of its own, ignores every signal that can be ignored and outlives the reader: end
 * of file on its socket means that the reader has gone, in whatever way, and that everything must be
 * taken down. Should it be killed itself, its own child, the deputy, does that.
 */
#ifndef XGUARD_GUARDIAN_H
#define XGUARD_GUARDIAN_H

#include <sys/types.h>
#include <linux/types.h>

#include "failure.h"
#include "netlink.h"
#include "packet.h"

#define PROGRAM_NAME "xguard" /* of ours, on whatever link */

struct guardian {
	int socket;     /* news arrive here: poll it; close-on-exec; -1: not held */
	int requests;   /* SOCK_SEQPACKET, the one for requests and replies */
	pid_t pid;      /* 0: none, and then the rest is not held, whatever it is */
};

enum attach_mode { ATTACH_AUTO, ATTACH_NATIVE, ATTACH_GENERIC };

#define GUARDIAN_MAPS 3 /* descriptors that the loading takes */

/*
 * How the guardian comes by programs for links that appear, inherited at the fork. Each link has a row
 * of counters for itself; one whose link has been deleted is given to another link when all have been
 * used.
 */
struct guardian_recruiter {
	/* Load the program for a link; base becomes what its row holds already. Returns the program's
	 * descriptor, or a negative value with failure filled in. */
	int (*load)(const struct link_info *link, unsigned int row, struct link_count *base,
		    void *context, struct failure *failure);
	void *context;
	int *maps[GUARDIAN_MAPS]; /* where load() finds its descriptors: other numbers in the guardian */
	unsigned int rows;
	enum attach_mode mode;
};

struct terminal;

/* What the guardian must take down beside programs, inherited at the fork. */
struct guardian_duties {
	int instances;        /* directory descriptor of tracefs' instances, or -1 */
	char instance[32];    /* name of the tracing instance to remove there, made or not, or empty */
	struct terminal *terminal; /* standard output, to be given back; or NULL. Never with an instance */
	const struct guardian_recruiter *recruiter; /* NULL: it only attaches what it is given */
};

/* How an attach went. */
struct attach_result {
	enum xdp_mode mode;
	__u32 program_id;
	__u64 rx_packets;         /* of the link's own counter, before the attach */
	char why_generic[256];    /* "the driver has no native XDP"; empty: asked for, or native */
	char replaced[128];       /* a note about an xguard's leftover that was removed; or empty */
};

/* Something happened to a link that carries our program. */
enum link_event {
	LINK_IS_DOWN,      /* IFF_UP was cleared; the program stays */
	LINK_IS_UP,
	LINK_IS_GONE,      /* deleted, or moved to another network namespace: no longer ours */
	LINK_IS_TAKEN,     /* another program is attached in place of ours, or none is */
	LINK_IS_RENAMED,   /* name is the new one */
	LINKS_ARE_CLEAN,   /* the guardian was killed, and its deputy has detached from all links */
	LINK_IS_ATTACHED,  /* one that came while links are followed */
	LINK_IS_REFUSED,   /* such a one could not be attached to: failure says why */
};

struct guardian_news {
	enum link_event event;
	int ifindex;
	char name[16];
	int moved;         /* LINK_IS_GONE: 1: it is in another network namespace now */
	__u32 program_id;  /* LINK_IS_TAKEN: the program that is there now, 0 for none */
	union {
		struct {             /* LINK_IS_ATTACHED */
			unsigned int row;
			int up;
			struct link_count base;
			struct attach_result how;
		};
		struct failure failure; /* LINK_IS_REFUSED */
	};
};

/*
 * Fork the guardian. It keeps CAP_NET_ADMIN, the standard error and what duties name, and closes
 * other descriptors that it needs not. Returns 0, or -errno.
 */
int guardian_start(struct guardian *guardian, const struct guardian_duties *duties,
		   struct failure *failure);

/*
 * Attach a loaded program to a link, and say how. mode ATTACH_AUTO is native, and generic where
 * the driver refuses for whatever reason. A program of another owner is never displaced
 * (-EBUSY or -EEXIST, failure names it: id, name, mode, holder); a dead xguard's is replaced.
 * Returns 0, or -errno with failure filled in.
 */
int guardian_attach(struct guardian *guardian, const struct link_info *link, int program_fd,
		    enum attach_mode mode, struct attach_result *result, struct failure *failure);

/*
 * Detach from one link, or from all (ifindex 0), and wait until the kernel says that our programs
 * are no longer attached. Returns 0, or -errno with failure filled in (the link and what to run).
 */
int guardian_detach(struct guardian *guardian, int ifindex, struct failure *failure);

/*
 * From now on attach to every link that guardian_follows(), too, those that come later included; it
 * makes news of each. What has been attached so far has the rows 0, 1, 2 ... in that order. A link that
 * refused is tried again when it comes up again. Returns 0, or -errno with failure filled in.
 */
int guardian_follow(struct guardian *guardian, struct failure *failure);

/*
 * Is this one of `all` links? One that is up, but no loopback, and none that is stacked on another link
 * of this namespace (VLAN, bridge, bond), or a frame would be counted twice.
 */
int guardian_follows(const struct link_info *link);

/* Ask the kernel for a link that carries our program. Returns 0, or -errno with failure filled in. */
int guardian_look(struct guardian *guardian, int ifindex, struct link_info *link,
		  struct failure *failure);

/*
 * Read one piece of news, when the socket is readable. Returns 1 with news filled in, 0 when
 * there is none, -EPIPE when the guardian and its deputy have died: nobody will detach then but the
 * user. After LINKS_ARE_CLEAN there is no guardian any more, and no socket.
 */
int guardian_news(struct guardian *guardian, struct guardian_news *news);

/* What LINKS_ARE_CLEAN means, for the user. */
void guardian_is_replaced(struct failure *failure);

/*
 * Tell the guardian to end (what is still attached is detached first) and wait for that, ten seconds
 * at most. One that the kernel does not let detach stays, and goes on trying.
 */
void guardian_end(struct guardian *guardian);

/*
 * The process that answers for xguard's program on this link, in this network namespace: its pid,
 * -1 when somebody does whose pid cannot be seen from here (another PID namespace), 0 when nobody
 * does. (An abstract unix socket that its guardian holds; one of another user does not count.)
 */
pid_t guardian_alive(int ifindex);

#endif
