// SPDX-License-Identifier: GPL-2.0-or-later
/* Put a program on a link, take it off again: politely, and saying why not. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <linux/if_link.h>

#include "guardian_serve.h"
#include "hints.h"

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

/*
 * The name of the link on top of this one (bridge, bond, VLAN) whose program made the kernel refuse
 * to touch ours, or NULL where that was not the reason.
 */
static const char *find_upper(int nl, const struct failure *failure, struct upper *upper)
{
	if (failure->err != EEXIST || !strstr(failure->reason, "upper device"))
		return NULL;
	return netlink_links(nl, is_upper, upper, &(struct failure){ 0 }) == 1 ? upper->name : NULL;
}

/* The mode comes from the kernel: asked to detach in another one, it agrees and does nothing. */
int guardian_take_off(int nl, int ifindex, int program, __u32 program_id, struct failure *failure)
{
	struct link_info link;
	struct upper upper = { .lower = &link };
	struct failure unused;
	enum xdp_mode mode;
	const char *name;
	int err, look;

	err = netlink_link(nl, NULL, ifindex, &link, failure);
	mode = err ? XDP_MODE_NONE : netlink_mode_of(&link, program_id);
	if (mode == XDP_MODE_NONE)
		return err == -ENODEV ? 0 : err;
	err = netlink_set_xdp(nl, &link, -1, program, xdp_mode_flag(mode) |
			      (program >= 0 ? XDP_FLAGS_REPLACE : 0), failure);
	if (err == -EINVAL) /* before Linux 5.7 */
		err = netlink_set_xdp(nl, &link, -1, -1, xdp_mode_flag(mode), failure);
	look = netlink_link(nl, NULL, ifindex, &link, err ? &unused : failure);
	if (look == -ENODEV || (!look && netlink_mode_of(&link, program_id) == XDP_MODE_NONE))
		return 0;
	if (!err && !look)
		fail(failure, EBUSY, "detach from %s", link.name);
	if (!err && !look)
		fail_reason(failure, "the kernel agreed, but program %u is still attached",
			    program_id);
	name = look ? NULL : find_upper(nl, failure, &upper);
	fail_next(failure, "%s%s%srun `ip link set dev %s %s off`",
		  name ? "take the program off " : "", name ? name : "",
		  name ? " first, then " : "", link.name,
		  mode == XDP_MODE_GENERIC ? "xdpgeneric" : "xdpdrv");
	return -failure->err;
}

/* What to do next, after a refusal that is in failure. */
static void advise(int nl, const struct link_info *link, enum xdp_mode mode,
		   struct failure *failure)
{
	struct upper upper = { .lower = link };
	const char *name = find_upper(nl, failure, &upper);
	char driver[32];

	if (name) {
		fail_next(failure, "attach to %s instead, which %s is a part of", name, link->name);
		return;
	}
	netlink_driver(link->name, driver);
	hint_attach(failure->next, sizeof(failure->next), failure->err, failure->reason, driver,
		    mode, link);
}

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

int guardian_put_on(int nl, int program, enum attach_mode wanted, struct guardian_reply *reply)
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
