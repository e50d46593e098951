/* SPDX-License-Identifier: GPL-2.0-or-later */
/* errno, driver and kernel text to what the user should do next. Data, no system call. */
#ifndef XGUARD_HINTS_H
#define XGUARD_HINTS_H

#include <stddef.h>

#include "netlink.h"

/*
 * What to do after the kernel refused to attach a program in mode with errno value err (positive)
 * and text, which is its extended-ack text, else strerror's. driver is the name of the link's
 * driver, or "". Writes next; it becomes empty where there is nothing to add to the text.
 */
void hint_attach(char *next, size_t size, int err, const char *text, const char *driver,
		 enum xdp_mode mode, const struct link_info *link);

/*
 * Why native mode was refused, as a phrase for "attached to eth0 (generic: PHRASE, program id 69)".
 */
void hint_why_generic(char *why, size_t size, int err, const char *text,
		      const struct link_info *link);

#endif
