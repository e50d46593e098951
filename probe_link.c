// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/if.h>
#include <linux/netlink.h>

#include "failure.h"
#include "guardian.h"
#include "holder.h"
#include "netlink_parse.h"
#include "output.h"
#include "probe.h"

/* linux/netdev.h, since Linux 6.3; headers may be older. */
#define NETDEV_CMD_DEV_GET         1
#define NETDEV_A_DEV_IFINDEX       1
#define NETDEV_A_DEV_XDP_FEATURES  3
#define NETDEV_XDP_ACT_BASIC       (1u << 0)
#define NETDEV_XDP_ACT_RX_SG       (1u << 5)

#define MTU_OF_A_PAGE 1500 /* the largest that every driver takes in one part */

/* A link's rows begin with its name, as does what the user should do about it. */
static void row(struct output *out, const struct link_info *link, const char *name,
		const char *answer, const char *meaning, const char *next)
{
	char full[96], text[160] = "", safe[64];

	harmless_text(safe, sizeof(safe), link->name);
	snprintf(full, sizeof(full), "%s: %s", safe, name);
	if (next)
		snprintf(text, sizeof(text), next, safe);
	probe_row(out, full, answer, meaning, text);
}

/* One request of generic netlink and one attribute of the answer. Returns 0 or -errno. */
static int ask(int nl, __u16 type, __u8 command, __u16 attribute, const void *value, size_t len,
	       __u16 wanted, void *out, size_t size)
{
	struct {
		struct nlmsghdr message;
		struct genlmsghdr command;
		struct nlattr attribute;
		char value[8];
	} request = {
		.message = { .nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN) + NLA_HDRLEN + NLA_ALIGN(len),
			     .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST },
		.command = { .cmd = command, .version = 1 },
		.attribute = { .nla_len = NLA_HDRLEN + len, .nla_type = attribute },
	};
	char answer[8192];
	ssize_t n;

	memcpy(request.value, value, len);
	n = send(nl, &request, request.message.nlmsg_len, 0);
	if (n >= 0)
		n = recv(nl, answer, sizeof(answer), MSG_DONTWAIT); /* it has come already */
	if (n < 0)
		return -errno;
	return netlink_parse_attribute(answer, n, sizeof(struct genlmsghdr), wanted, out, size);
}

/* What the driver says that it can, without an attach. Returns 0, or -errno where nobody says. */
static int xdp_features(int ifindex, __u64 *features)
{
	int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), err;
	__u16 family;

	if (nl < 0)
		return -errno;
	err = ask(nl, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, "netdev", 7,
		  CTRL_ATTR_FAMILY_ID, &family, sizeof(family));
	if (!err)
		err = ask(nl, family, NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, &ifindex,
			  sizeof(ifindex), NETDEV_A_DEV_XDP_FEATURES, features, sizeof(*features));
	close(nl);
	return err;
}

/*
 * An attach to these resets no hardware, and leaves nothing changed behind; even a generic one
 * turns LRO off on others, for good.
 */
static int is_quiet(const struct link_info *link, const char *driver)
{
	return link->flags & IFF_LOOPBACK || !strcmp(driver, "veth") || !strcmp(driver, "tun") ||
	       !strcmp(driver, "dummy");
}

/* Returns 0 where the attach went well. The guardian takes the program off, come what may. */
static int try_attach(struct output *out, struct guardian *guardian, const struct link_info *link,
		      int program, enum attach_mode mode, const char *name)
{
	struct attach_result result;
	struct failure failure;
	int err = guardian_attach(guardian, link, program, mode, &result, &failure);

	if (err) {
		row(out, link, name, "no", failure.reason, NULL);
		if (failure.next[0])
			probe_row(out, "", "", failure.next, NULL);
		return err;
	}
	row(out, link, name, "yes", "tried", NULL);
	return guardian_detach(guardian, link->ifindex, &failure);
}

static void say_native(struct output *out, const struct link_info *link, int known, __u64 features)
{
	static const char name[] = "native XDP";

	if (!known)
		row(out, link, name, "unknown", "before Linux 6.3 drivers do not say, and an "
		    "attach may reset the link", "xguard -i %s -u --mode native tries it");
	else if (!(features & NETDEV_XDP_ACT_BASIC))
		row(out, link, name, "no", "the driver has none: generic mode is taken", NULL);
	else if (link->mtu > MTU_OF_A_PAGE && !(features & NETDEV_XDP_ACT_RX_SG))
		row(out, link, name, "perhaps", "the driver has it, but takes no long frames: "
		    "where it refuses, generic mode is taken", "ip link set dev %s mtu 1500");
	else
		row(out, link, name, "yes", "says the driver", NULL);
}

/* A program that is there already. *taken: it is in the way of ours. Returns 1 if there is one. */
static int say_program(struct output *out, const struct link_info *link, int *taken)
{
	struct holder holder;
	char text[160];
	__u32 id = 0;
	int ours;

	for (int mode = XDP_MODE_NATIVE; mode <= XDP_MODE_OFFLOAD && !id; mode++)
		id = link->program[mode];
	if (!id)
		return 0;
	holder_of(id, 1, &holder);
	holder_text(id, &holder, text, sizeof(text));
	ours = !strcmp(holder.program, PROGRAM_NAME) && !guardian_alive(link->ifindex);
	row(out, link, "free", ours ? "yes" : "no", text, ours ?
	    "left by an xguard that was killed; the next one on %s replaces it" :
	    "xguard replaces nobody's program; xguard --status -i %s shows whose it is");
	*taken = !ours;
	return 1;
}

static void say_ring(struct output *out, const struct link_info *link)
{
	struct ethtool_ringparam ring = { .cmd = ETHTOOL_GRINGPARAM };
	char text[32];

	if (netlink_ethtool(link->name, &ring) || !ring.rx_max_pending) {
		row(out, link, "rx ring", "unknown", "the driver does not say", NULL);
		return;
	}
	snprintf(text, sizeof(text), "%u", ring.rx_pending);
	row(out, link, "rx ring", text, "frames wait there in a burst", ring.rx_pending <
	    ring.rx_max_pending ? "more fit in: ethtool -G %s rx N" : NULL);
}

static void say_offloads(struct output *out, const struct link_info *link)
{
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS }, gro = { .cmd = ETHTOOL_GGRO };

	if (netlink_ethtool(link->name, &flags))
		row(out, link, "VLAN tags", "unknown", "the driver does not say", NULL);
	else if (flags.data & ETH_FLAG_RXVLAN)
		row(out, link, "VLAN tags", "no", "taken off on receipt: neither --by vlan nor a "
		    "filter sees them", "ethtool -K %s rxvlan off");
	else
		row(out, link, "VLAN tags", "yes", "", NULL);
	if (!netlink_ethtool(link->name, &gro) && gro.data)
		row(out, link, "GRO", "on", "in generic mode a frame may be several that arrived "
		    "as one", "ethtool -K %s gro off");
}

int probe_link(struct output *out, struct guardian *guardian, const struct link_info *link,
	       int program)
{
	__u64 features = 0;
	int known = !xdp_features(link->ifindex, &features), bad = 0, occupied;
	char driver[32], mtu[24];

	snprintf(mtu, sizeof(mtu), "MTU %u", link->mtu);
	netlink_driver(link->name, driver);
	row(out, link, "driver", driver[0] ? driver : "unknown", mtu, NULL);
	occupied = say_program(out, link, &bad);
	if (!occupied && program >= 0 && is_quiet(link, driver)) {
		bad = try_attach(out, guardian, link, program, ATTACH_NATIVE, "native XDP") != 0;
		bad &= try_attach(out, guardian, link, program, ATTACH_GENERIC, "generic XDP") != 0;
	} else {
		say_native(out, link, known, features);
		row(out, link, "generic XDP", "yes", occupied ? "not tried: the place is taken" :
		    program < 0 ? "not tried: there is no program to try with" :
		    "not tried: that would turn LRO off for good", NULL);
	}
	if (features & NETDEV_XDP_ACT_RX_SG)
		row(out, link, "long frames", "yes", "in native mode", NULL);
	else if (features & NETDEV_XDP_ACT_BASIC)
		row(out, link, "long frames", "no", "a large MTU means generic mode", NULL);
	say_ring(out, link);
	say_offloads(out, link);
	return bad;
}
