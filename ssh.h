/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is it the user's own SSH connection that a link carries? Then it must not be reset. */
#ifndef XGUARD_SSH_H
#define XGUARD_SSH_H

#include "netlink.h"

/*
 * Does the connection that SSH_CONNECTION tells of, in our environment or the nearest ancestor's that
 * has it (sudo strips it), come over this link, or over one that is made of it? Where an ancestor's
 * environment cannot be read, a link is assumed to carry one if the default route leads over it.
 * nl is an rtnetlink socket. Returns the server's port (22 where it is assumed), or 0: it does not.
 */
unsigned int ssh_port_over(int nl, const struct link_info *link);

/* 1: the link's driver attaches and detaches in native mode without a reset of the link. */
int ssh_driver_is_quiet(const struct link_info *link);

#endif
