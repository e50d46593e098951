// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>

#include "failure.h"
#include "netlink.h"
#include "netlink_parse.h"

#define DATAGRAM_MAX 32768 /* no dump's datagram is longer, and a link without its VFs never is */
#define DUMP_TRIES   10

struct request {
	struct nlmsghdr header;
	struct ifinfomsg link;
	unsigned char attributes[192]; /* an altname has up to 128 bytes */
};

static void request_init(struct request *request, int type, int flags, int ifindex)
{
	memset(request, 0, sizeof(*request));
	request->header.nlmsg_len = offsetof(struct request, attributes);
	request->header.nlmsg_type = type;
	request->header.nlmsg_flags = NLM_F_REQUEST | flags;
	request->link.ifi_family = AF_UNSPEC;
	request->link.ifi_index = ifindex;
}

/* Append an attribute; the caller knows that there is room. Returns its offset. */
static size_t put(struct request *request, unsigned short type, const void *data, size_t len)
{
	struct nlattr header = { .nla_len = sizeof(header) + len, .nla_type = type };
	size_t at = request->header.nlmsg_len;

	memcpy((unsigned char *)request + at, &header, sizeof(header));
	if (len)
		memcpy((unsigned char *)request + at + sizeof(header), data, len);
	request->header.nlmsg_len = NLA_ALIGN(at + header.nla_len);
	return at;
}

/* Receive one datagram of the kernel's. Returns its length, or -errno. */
static ssize_t receive(int nl, void *buffer, size_t size, int flags)
{
	struct sockaddr_nl from;
	struct iovec iov = { buffer, size };
	struct msghdr message;
	ssize_t n;

	do {
		memset(&message, 0, sizeof(message));
		message.msg_name = &from;
		message.msg_namelen = sizeof(from);
		message.msg_iov = &iov;
		message.msg_iovlen = 1;
		n = recvmsg(nl, &message, flags);
	} while ((n < 0 && errno == EINTR) ||
		 (n >= 0 && (message.msg_namelen != sizeof(from) || from.nl_pid != 0)));
	if (n < 0)
		return -errno;
	return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
}

/* Send a request and read until it is answered. Returns 0, or -errno: the kernel's or our own. */
static int talk(int nl, struct request *request, struct netlink_reply *reply)
{
	static __u32 sequence;
	unsigned char buffer[DATAGRAM_MAX];
	ssize_t n;
	int err = 0;

	request->header.nlmsg_seq = reply->sequence = ++sequence;
	do
		n = send(nl, request, request->header.nlmsg_len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	while (!err && !reply->done) {
		n = receive(nl, buffer, sizeof(buffer), 0);
		err = n < 0 ? (int)n : netlink_parse(buffer, n, reply);
	}
	return err ? err : -reply->err;
}

int netlink_open(unsigned int groups, struct failure *failure)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int nl, err, on = 1;

	nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (nl < 0) {
		fail(failure, errno, "open a netlink socket");
		return fail_next(failure, "a seccomp filter (of systemd's RestrictAddressFamilies= or "
				 "of a container) must let AF_NETLINK through");
	}
	/* Without these (before Linux 4.12, 4.3) there are no texts, and acks echo the request. */
	setsockopt(nl, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(nl, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	if (bind(nl, (struct sockaddr *)&address, sizeof(address)) == 0)
		return nl;
	err = fail(failure, errno, "bind a netlink socket");
	close(nl);
	return err;
}

static int keep(const struct link_info *link, void *context)
{
	*(struct link_info *)context = *link;
	return 0;
}

/* Ask for one link, by an attribute that names it or by ifindex. */
static int ask(int nl, int ifindex, unsigned short attribute, const char *name, size_t len,
	       struct link_info *link)
{
	struct netlink_reply reply = { .each = keep, .context = link };
	struct request request;
	char text[ALTIFNAMSIZ];
	int err;

	request_init(&request, RTM_GETLINK, NLM_F_ACK, ifindex);
	if (attribute) {
		memcpy(text, name, len);
		text[len] = '\0';
		put(&request, attribute, text, len + 1);
	}
	link->ifindex = 0;
	err = talk(nl, &request, &reply);
	return err || link->ifindex ? err : -ENODEV;
}

/*
 * Since Linux 5.5 IFLA_IFNAME finds altnames too; those too long for it have an attribute of their
 * own, without which an older kernel sees no name at all (EINVAL).
 */
static int ask_by_name(int nl, const char *name, size_t len, struct link_info *link)
{
	int err;

	if (len == 0 || len >= ALTIFNAMSIZ)
		return -ENODEV;
	err = ask(nl, 0, len < IFNAMSIZ ? IFLA_IFNAME : IFLA_ALT_IFNAME, name, len, link);
	return err == -EINVAL ? -ENODEV : err;
}

struct names {
	char text[512];
	size_t len;
};

static int add_name(const struct link_info *link, void *context)
{
	struct names *names = context;
	size_t left = sizeof(names->text) - names->len;
	int enough = left <= sizeof(link->name) + sizeof(", , ...");

	names->len += snprintf(names->text + names->len, left, "%s%s", names->len ? ", " : "",
			       enough ? "..." : link->name);
	return enough;
}

static int no_such_link(int nl, struct failure *failure)
{
	struct names names = { .len = 0 };
	struct failure unused;

	fail_next(failure, "name one of them; links of another network namespace are reached with "
		  "`nsenter -t PID -n xguard ...` or `ip netns exec NAME xguard ...`");
	if (netlink_links(nl, add_name, &names, &unused) < 0 || !names.len)
		return fail_reason(failure, "no such link in this network namespace");
	return fail_reason(failure, "no such link in this network namespace; there are: %s",
			   names.text);
}

int netlink_link(int nl, const char *name, int ifindex, struct link_info *link,
		 struct failure *failure)
{
	const char *at;
	int err;

	if (name) {
		err = ask_by_name(nl, name, strlen(name), link);
		at = strrchr(name, '@');
		if (err == -ENODEV && at)
			err = ask_by_name(nl, name, at - name, link);
	} else {
		err = ifindex > 0 ? ask(nl, ifindex, 0, NULL, 0, link) : -ENODEV;
	}
	if (!err)
		return 0;
	if (name)
		fail(failure, -err, "interface %s", name);
	else
		fail(failure, -err, "interface %d", ifindex);
	return err == -ENODEV && name ? no_such_link(nl, failure) : err;
}

struct list {
	struct link_info *links;
	size_t n, room;
};

static int append(const struct link_info *link, void *context)
{
	struct list *list = context;
	struct link_info *links;

	if (list->n == list->room) {
		links = realloc(list->links, (list->room * 2 + 16) * sizeof(*links));
		if (!links)
			return -ENOMEM;
		list->links = links;
		list->room = list->room * 2 + 16;
	}
	list->links[list->n++] = *link;
	return 0;
}

int netlink_links(int nl, int (*each)(const struct link_info *link, void *context), void *context,
		  struct failure *failure)
{
	struct list list = { .links = NULL };
	struct netlink_reply reply;
	struct request request;
	int err, tries = 0;
	size_t i;

	do {
		list.n = 0;
		memset(&reply, 0, sizeof(reply));
		reply.each = append;
		reply.context = &list;
		request_init(&request, RTM_GETLINK, NLM_F_DUMP, 0);
		err = talk(nl, &request, &reply);
	} while (!err && reply.interrupted && ++tries < DUMP_TRIES);
	if (err)
		fail(failure, -err, "list the links");
	for (i = 0; !err && i < list.n; i++)
		err = each(&list.links[i], context);
	free(list.links);
	return err;
}

int netlink_addresses(int nl, netlink_address *each, void *context, struct failure *failure)
{
	struct netlink_reply reply = { .address = each, .context = context };
	struct request request;
	int err;

	request_init(&request, RTM_GETADDR, NLM_F_DUMP, 0);
	err = talk(nl, &request, &reply);
	return err < 0 ? fail(failure, -err, "list the addresses") : err;
}

int netlink_set_xdp(int nl, const struct link_info *link, int program_fd, int expected_fd,
		    unsigned int flags, struct failure *failure)
{
	struct netlink_reply reply = { .each = NULL };
	struct request request;
	struct nlattr nest;
	size_t at;
	int err;

	request_init(&request, RTM_SETLINK, NLM_F_ACK, link->ifindex);
	at = put(&request, IFLA_XDP | NLA_F_NESTED, NULL, 0);
	put(&request, IFLA_XDP_FD, &program_fd, sizeof(program_fd));
	put(&request, IFLA_XDP_FLAGS, &flags, sizeof(flags));
	if (flags & XDP_FLAGS_REPLACE)
		put(&request, IFLA_XDP_EXPECTED_FD, &expected_fd, sizeof(expected_fd));
	nest.nla_len = request.header.nlmsg_len - at;
	nest.nla_type = IFLA_XDP | NLA_F_NESTED;
	memcpy((unsigned char *)&request + at, &nest, sizeof(nest));
	err = talk(nl, &request, &reply);
	if (!err)
		return 0;
	fail(failure, -err, program_fd >= 0 ? "attach to %s" : "detach from %s", link->name);
	if (reply.text[0])
		fail_reason(failure, "%s", reply.text);
	return err;
}

int netlink_events(int nl, netlink_news *each, void *context)
{
	unsigned char buffer[DATAGRAM_MAX];
	ssize_t n;
	int lost = 0;

	do {
		n = receive(nl, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n == -ENOBUFS || n == -EMSGSIZE ||
		    (n > 0 && netlink_parse_news(buffer, n, each, context)))
			lost = 1;
	} while (n >= 0 || n == -ENOBUFS || n == -EMSGSIZE);
	return n == -EAGAIN ? lost : (int)n;
}

int netlink_ethtool(const char *name, void *command)
{
	struct ifreq request;
	int fd, err;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	memset(&request, 0, sizeof(request));
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	request.ifr_data = command;
	err = ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
	close(fd);
	return err;
}

int netlink_driver(const char *name, char driver[32])
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	int err = netlink_ethtool(name, &info);

	snprintf(driver, 32, "%.31s", err ? "" : info.driver);
	return err;
}

enum xdp_mode netlink_mode_of(const struct link_info *link, __u32 program_id)
{
	int mode;

	for (mode = XDP_MODE_NATIVE; program_id && mode <= XDP_MODE_OFFLOAD; mode++)
		if (link->program[mode] == program_id)
			return mode;
	return XDP_MODE_NONE;
}

const char *xdp_mode_name(enum xdp_mode mode)
{
	static const char *const names[] = { "none", "native", "generic", "offload" };

	return names[mode];
}

unsigned int xdp_mode_flag(enum xdp_mode mode)
{
	static const unsigned char flags[] = {
		0, XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE, XDP_FLAGS_HW_MODE,
	};

	return flags[mode];
}
