// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "netlink.h"
#include "netlink_parse.h"

/* Bytes from the kernel that have not been looked at yet. */
struct span {
	const unsigned char *bytes;
	size_t len;
};

/* The one way to such bytes: cut len of them off, and step over what aligns them. */
static int cut(struct span *span, size_t len, struct span *part)
{
	size_t step;

	if (len > span->len)
		return -EBADMSG;
	step = len + (-len & 3);
	if (step > span->len)
		step = span->len;
	*part = (struct span){ span->bytes, len };
	span->bytes += step;
	span->len -= step;
	return 0;
}

/* Copy a header or a number out: foreign bytes may lie at any address. */
static int take(struct span *span, void *out, size_t len)
{
	struct span part;
	int err = cut(span, len, &part);

	if (!err)
		memcpy(out, part.bytes, len);
	return err;
}

/* Returns 1 with the next message, its payload what follows the header, 0 at the end, -EBADMSG. */
static int next_message(struct span *data, struct nlmsghdr *header, struct span *payload)
{
	struct span ahead = *data;

	if (!data->len)
		return 0;
	if (take(&ahead, header, sizeof(*header)) || cut(data, header->nlmsg_len, payload) ||
	    take(payload, header, sizeof(*header)))
		return -EBADMSG;
	return 1;
}

/* The same for attributes; *type comes without its flags. */
static int next_attribute(struct span *data, unsigned int *type, struct span *payload)
{
	struct span ahead = *data;
	struct nlattr header;

	if (!data->len)
		return 0;
	if (take(&ahead, &header, sizeof(header)) || cut(data, header.nla_len, payload) ||
	    take(payload, &header, sizeof(header)))
		return -EBADMSG;
	*type = header.nla_type & NLA_TYPE_MASK;
	return 1;
}

static int get_text(const struct span *payload, char *text, size_t size)
{
	size_t len = strnlen((const char *)payload->bytes, payload->len);

	if (len >= size)
		len = size - 1;
	memcpy(text, payload->bytes, len);
	text[len] = '\0';
	return 0;
}

static int parse_kind(struct span info, struct link_info *link)
{
	struct span payload;
	unsigned int type;
	int more;

	while ((more = next_attribute(&info, &type, &payload)) > 0)
		if (type == IFLA_INFO_KIND)
			get_text(&payload, link->kind, sizeof(link->kind));
	return more;
}

/* Linux before 4.19 tells one program and its mode, later ones each mode's program. */
static int parse_xdp(struct span xdp, struct link_info *link)
{
	struct span payload;
	unsigned char attached = XDP_ATTACHED_NONE;
	__u32 id = 0;
	unsigned int type;
	int err = 0, more;

	while (!err && (more = next_attribute(&xdp, &type, &payload)) != 0) {
		if (more < 0)
			return more;
		if (type == IFLA_XDP_ATTACHED)
			err = take(&payload, &attached, sizeof(attached));
		else if (type == IFLA_XDP_PROG_ID)
			err = take(&payload, &id, sizeof(id));
		else if (type == IFLA_XDP_DRV_PROG_ID)
			err = take(&payload, &link->program[XDP_MODE_NATIVE], sizeof(id));
		else if (type == IFLA_XDP_SKB_PROG_ID)
			err = take(&payload, &link->program[XDP_MODE_GENERIC], sizeof(id));
		else if (type == IFLA_XDP_HW_PROG_ID)
			err = take(&payload, &link->program[XDP_MODE_OFFLOAD], sizeof(id));
	}
	if (!err && attached >= XDP_ATTACHED_DRV && attached <= XDP_ATTACHED_HW)
		link->program[attached] = id;
	return err;
}

_Static_assert((int)XDP_ATTACHED_DRV == XDP_MODE_NATIVE &&
	       (int)XDP_ATTACHED_SKB == XDP_MODE_GENERIC && (int)XDP_ATTACHED_HW == XDP_MODE_OFFLOAD,
	       "the kernel's modes are ours");

static int parse_stats(struct span payload, int wide, struct link_info *link)
{
	struct rtnl_link_stats narrow;
	__u64 stats[3]; /* rx_packets, tx_packets, rx_bytes */
	int err;

	if (wide) {
		err = take(&payload, stats, sizeof(stats));
		if (!err) {
			link->rx_packets = stats[0];
			link->rx_bytes = stats[2];
		}
		return err;
	}
	memset(&narrow, 0, sizeof(narrow));
	err = take(&payload, &narrow, offsetof(struct rtnl_link_stats, rx_errors));
	if (!err) {
		link->rx_packets = narrow.rx_packets;
		link->rx_bytes = narrow.rx_bytes;
	}
	return err;
}

static int parse_attribute(unsigned int type, struct span payload, struct link_info *link,
			   int *wide)
{
	switch (type) {
	case IFLA_IFNAME:
		return get_text(&payload, link->name, sizeof(link->name));
	case IFLA_MTU:
		return take(&payload, &link->mtu, sizeof(link->mtu));
	case IFLA_LINK:
		return take(&payload, &link->lower, sizeof(link->lower));
	case IFLA_LINK_NETNSID:
		link->lower_elsewhere = 1;
		return 0;
	case IFLA_MASTER:
		return take(&payload, &link->master, sizeof(link->master));
	case IFLA_LINKINFO:
		return parse_kind(payload, link);
	case IFLA_XDP:
		return parse_xdp(payload, link);
	case IFLA_NEW_NETNSID:
		link->moved = 1;
		return 0;
	case IFLA_STATS64:
		*wide = 1;
		return parse_stats(payload, 1, link);
	case IFLA_STATS:
		return *wide ? 0 : parse_stats(payload, 0, link);
	}
	return 0;
}

int netlink_parse_link(const void *message, size_t len, struct link_info *link)
{
	struct span data = { message, len }, payload;
	struct ifinfomsg header;
	unsigned int type;
	int err, more, wide = 0;

	memset(link, 0, sizeof(*link));
	err = take(&data, &header, sizeof(header));
	if (err)
		return err;
	link->ifindex = header.ifi_index;
	link->flags = header.ifi_flags;
	link->type = header.ifi_type;
	while ((more = next_attribute(&data, &type, &payload)) > 0) {
		err = parse_attribute(type, payload, link, &wide);
		if (err)
			return err;
	}
	if (more < 0 || !link->name[0] || link->ifindex <= 0)
		return -EBADMSG;
	return 0;
}

/* struct ifaddrmsg, then attributes. Of a point-to-point link, IFA_ADDRESS is the other end's. */
static int parse_address(struct span data, const struct netlink_reply *reply)
{
	struct span payload, found = { NULL, 0 };
	struct ifaddrmsg header;
	unsigned int type;
	int more;

	if (take(&data, &header, sizeof(header)))
		return -EBADMSG;
	while ((more = next_attribute(&data, &type, &payload)) > 0)
		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !found.bytes))
			found = payload;
	if (more < 0 || !found.bytes)
		return more;
	return reply->address(header.ifa_index, found.bytes, found.len, reply->context);
}

/* struct nlmsgerr, the request (its header alone where capped), then attributes. */
static int parse_ack(const struct nlmsghdr *header, struct span payload,
		     struct netlink_reply *reply)
{
	struct nlmsghdr request;
	struct span rest;
	unsigned int type;
	int error, more;

	if (take(&payload, &error, sizeof(error)) || error > 0 || error < -4095)
		return -EBADMSG;
	reply->done = 1;
	reply->err = -error;
	if (header->nlmsg_type == NLMSG_ERROR) {
		rest = payload;
		if (take(&rest, &request, sizeof(request)) ||
		    cut(&payload, header->nlmsg_flags & NLM_F_CAPPED ? sizeof(request) :
			request.nlmsg_len, &rest))
			return -EBADMSG;
	}
	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return 0;
	while ((more = next_attribute(&payload, &type, &rest)) > 0)
		if (type == NLMSGERR_ATTR_MSG)
			get_text(&rest, reply->text, sizeof(reply->text));
	return more;
}

int netlink_parse(const void *datagram, size_t len, struct netlink_reply *reply)
{
	struct span data = { datagram, len }, payload;
	struct nlmsghdr header;
	struct link_info link;
	int err = 0, more;

	while (!err && !reply->done && (more = next_message(&data, &header, &payload)) != 0) {
		if (more < 0)
			return more;
		if (header.nlmsg_seq != reply->sequence)
			continue;
		if (header.nlmsg_flags & NLM_F_DUMP_INTR)
			reply->interrupted = 1;
		if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) {
			err = parse_ack(&header, payload, reply);
		} else if (header.nlmsg_type == RTM_NEWLINK && reply->each) {
			err = netlink_parse_link(payload.bytes, payload.len, &link);
			if (!err)
				err = reply->each(&link, reply->context);
		} else if (header.nlmsg_type == RTM_NEWADDR && reply->address) {
			err = parse_address(payload, reply);
		}
	}
	return err;
}

int netlink_parse_attribute(const void *datagram, size_t len, size_t header, unsigned int type,
			    void *value, size_t size)
{
	struct span data = { datagram, len }, payload, part;
	struct nlmsghdr message;
	unsigned int found;
	int error, more;

	if (next_message(&data, &message, &payload) <= 0)
		return -EBADMSG;
	if (message.nlmsg_type == NLMSG_ERROR)
		return take(&payload, &error, sizeof(error)) || error >= 0 || error < -4095 ?
			-EBADMSG : error;
	more = cut(&payload, header, &part);
	while (!more && (more = next_attribute(&payload, &found, &part)) > 0) {
		if (found == type)
			return take(&part, value, size);
		more = 0;
	}
	return more ? more : -ENOENT;
}

int netlink_parse_news(const void *datagram, size_t len, netlink_news *each, void *context)
{
	struct span data = { datagram, len }, payload;
	struct nlmsghdr header;
	struct link_info link;
	int err = 0, more;

	while (!err && (more = next_message(&data, &header, &payload)) != 0) {
		if (more < 0)
			return more;
		if (header.nlmsg_type != RTM_NEWLINK && header.nlmsg_type != RTM_DELLINK)
			continue;
		/* A bridge tells of its ports in AF_BRIDGE: such a one's end is no link's end. */
		if (payload.len && payload.bytes[0] != AF_UNSPEC)
			continue;
		err = netlink_parse_link(payload.bytes, payload.len, &link);
		if (!err)
			each(&link, header.nlmsg_type == RTM_DELLINK, context);
	}
	return err;
}
