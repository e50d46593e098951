/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What rtnetlink sends, parsed: bytes in, links and acknowledgements out. No system call, the
 * fuzzer links this alone. Every length is checked; a message that does not fit is -EBADMSG.
 */
#ifndef XGUARD_NETLINK_PARSE_H
#define XGUARD_NETLINK_PARSE_H

#include <stddef.h>
#include <linux/types.h>

#include "netlink.h"

/* What comes back for one request. */
struct netlink_reply {
	__u32 sequence;         /* of the request; messages with another one are passed over */
	int (*each)(const struct link_info *link, void *context); /* or NULL */
	netlink_address *address; /* or NULL */
	void *context;
	int done;               /* 1: acknowledged, refused, or the end of the dump */
	int err;                /* errno, positive, of a refusal */
	int interrupted;        /* 1: links changed during the dump, which may lack some */
	char text[256];         /* of the extended acknowledgement; or empty */
};

/* The payload of one RTM_NEWLINK or RTM_DELLINK message: struct ifinfomsg, then attributes. */
int netlink_parse_link(const void *payload, size_t len, struct link_info *link);

/*
 * One datagram of an answer. Returns 0, -EBADMSG, or what reply->each or reply->address returned
 * (other than 0 ends the walk); reply->done says whether more datagrams follow.
 */
int netlink_parse(const void *datagram, size_t len, struct netlink_reply *reply);

/*
 * Copy an attribute out of a datagram's first message, whose payload begins with a header of so many
 * bytes. Returns 0, -ENOENT where there is none, -EBADMSG, or -errno of the kernel's refusal.
 */
int netlink_parse_attribute(const void *datagram, size_t len, size_t header, unsigned int type,
			    void *value, size_t size);

/* One datagram of news about links. Returns 0 or -EBADMSG. */
int netlink_parse_news(const void *datagram, size_t len, netlink_news *each, void *context);

#endif
