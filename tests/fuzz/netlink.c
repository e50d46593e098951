// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: datagrams of rtnetlink. First byte: the answer to a request, with that sequence
 * number, or, 0xff, news, or, 0xfe, one message's payload.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netlink_parse.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

static void check(const struct link_info *link)
{
	if (link->ifindex > 0 && link->name[0] && !link->name[sizeof(link->name) - 1] &&
	    !link->kind[sizeof(link->kind) - 1])
		return;
	fprintf(stderr, "a link without index or name, or one that does not end\n");
	abort();
}

static int each(const struct link_info *link, void *context)
{
	check(link);
	return ++*(int *)context == 100;
}

static volatile unsigned int seen;

static int each_address(int ifindex, const void *address, size_t len, void *context)
{
	seen += ifindex;
	for (size_t i = 0; i < len; i++)
		seen += ((const __u8 *)address)[i];
	return ++*(int *)context == 100;
}

static void each_news(const struct link_info *link, int gone, void *context)
{
	check(link);
	*(int *)context += gone;
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct netlink_reply reply = { .each = each, .address = each_address };
	struct link_info link;
	int links = 0;
	__u8 *bytes;

	if (!size)
		return 0;
	bytes = malloc(size - 1 ? size - 1 : 1);
	memcpy(bytes, data + 1, size - 1);
	if (data[0] == 0xff) {
		netlink_parse_news(bytes, size - 1, each_news, &links);
	} else if (data[0] == 0xfe) {
		if (!netlink_parse_link(bytes, size - 1, &link))
			check(&link);
	} else {
		reply.context = &links;
		reply.sequence = data[0];
		if (netlink_parse(bytes, size - 1, &reply) >= 0 &&
		    (reply.err < 0 || reply.text[sizeof(reply.text) - 1]))
			abort();
	}
	free(bytes);
	return 0;
}
