// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hints.h"
#include "netlink.h"

/*
 * The first row that fits is taken: err 0, driver NULL and text NULL fit anything; text is part of
 * the kernel's. In next, @ stands for the link's name, # for its MTU and = for the largest MTU
 * that its driver takes.
 */
struct hint {
	int err;
	const char *driver;
	const char *text;
	const char *next;
};

#define OR_GENERIC ", or use --mode generic"

static const struct hint any_mode[] = {
	{ EPERM, NULL, NULL,
	  "run it as root, or with CAP_NET_ADMIN in the user namespace that owns "
	  "this network namespace" },
	{ ENODEV, NULL, NULL, "the interface has just been removed or moved: look with `ip link`" },
	{ 0, NULL, "upper device",
	  "attach to the link that @ is a part of (bridge, bond, VLAN), or "
	  "take the program off that one" },
};

static const struct hint native[] = {
	/* veth */
	{ 0, NULL, "peer is detached", "its peer has gone: use --mode generic" },
	{ 0, NULL, "Peer MTU", "lower the MTU of its peer, `ip link set dev PEER mtu 1500`"
	  OR_GENERIC },
	{ 0, NULL, "rx queues not less than peer", "give @ as many rx queues as its peer has tx "
	  "queues (`ethtool -L @ rx N`)" OR_GENERIC },
	{ ERANGE, "veth", NULL, "lower the MTU of its peer, `ip link set dev PEER mtu 1500`"
	  OR_GENERIC },
	/* virtio_net: what the host does, the guest cannot turn off */
	{ 0, NULL, "host is implementing", "only the hypervisor can turn these offloads off: use "
	  "--mode generic" },
	{ 0, NULL, "free TX rings", "run `ethtool -L @ combined 1`" OR_GENERIC },
	{ 0, NULL, "any_header_sg",
	  "the hypervisor's device does not allow it: use --mode generic" },
	/* bonding */
	{ 0, NULL, "bonding mode", "attach to its members" OR_GENERIC },
	{ 0, NULL, "Slave device does not support", "attach to its members" OR_GENERIC },
	{ 0, NULL, "Slave has XDP program",
	  "take the program off the member (`ip -d link show master "
	  "@` shows it)" OR_GENERIC },
	/* queues */
	{ 0, NULL, "XDP queues",
	  "run `ethtool -L @ combined N`, N at most half of the maximum that "
	  "`ethtool -l @` shows" OR_GENERIC },
	{ 0, NULL, "channel count",
	  "run `ethtool -L @ combined N`, N at most half of the maximum that "
	  "`ethtool -l @` shows" OR_GENERIC },
	{ 0, NULL, "Tx resources", "run `ethtool -L @ combined N` with fewer queues" OR_GENERIC },
	{ 0, NULL, "TX queues per CPU",
	  "run `ethtool -L @ combined N` with fewer queues" OR_GENERIC },
	/* offloads */
	{ 0, NULL, "LRO", "run `ethtool -K @ lro off`" OR_GENERIC },
	{ 0, NULL, "vf_setxdp",
	  "the VF behind @ refused, `dmesg` may say why: use --mode generic" },
	{ 0, NULL, "VFs don't support", "use --mode generic" },
	/* the length of frames */
	{ 0, NULL, "XDP frags", "run `ip link set dev @ mtu 1500` (now #)" OR_GENERIC },
	{ 0, NULL, "MTU", "run `ip link set dev @ mtu =` (now #)" OR_GENERIC },
	{ 0, NULL, "mtu", "run `ip link set dev @ mtu =` (now #)" OR_GENERIC },
	{ 0, NULL, "umbo", "run `ip link set dev @ mtu =` (now #)" OR_GENERIC },
	{ ERANGE, NULL, NULL, "run `ip link set dev @ mtu =` (now #)" OR_GENERIC },
	/* drivers that tell the kernel log, or nobody */
	{ EINVAL, "ixgbe", NULL,
	  "ixgbe gives no reason; the usual ones: an MTU above = (now #), LRO "
	  "(`ethtool -K @ lro off`), SR-IOV, DCB. Without --mode, generic mode is taken" },
	{ EINVAL, "ixgbevf", NULL,
	  "ixgbevf gives no reason; the usual one: an MTU above = (now #). "
	  "Without --mode, generic mode is taken" },
	{ EINVAL, "mlx5_core", NULL,
	  "`dmesg` has the reason; the usual ones: LRO or hardware GRO is "
	  "on (`ethtool -K @ lro off rx-gro-hw off`), an MTU above = (now #)" },
	{ EINVAL, "ena", NULL,
	  "the usual reasons: an MTU above = (now #), more channels than half of "
	  "the maximum (`ethtool -l @`). Without --mode, generic mode is taken" },
	{ EOPNOTSUPP, "bnxt_en", NULL, "`dmesg` has the reason; the usual ones: rx and tx channels "
	  "that are not combined (`ethtool -L @ combined N`), an MTU above = (now #)" },
	{ EOPNOTSUPP, "gve", NULL,
	  "this queue format has no XDP in this driver: use --mode generic" },
	{ ENOMEM, NULL, NULL,
	  "the driver lacks memory or queues for it: try `ethtool -L @ combined N` "
	  "with fewer queues" OR_GENERIC },
	{ 0, NULL, NULL, "use --mode generic, or leave --mode out: then it is chosen by itself" },
};

/* The largest MTU for native XDP, with 4 KiB pages, where frames do not come in parts. */
static const struct {
	const char *driver;
	unsigned int mtu;
} largest[] = {
	{ "ena", 3498 }, { "gve", 2032 }, { "i40e", 3046 }, { "ice", 3046 }, { "igb", 3046 },
	{ "igc", 1500 }, { "ixgbe", 3050 }, { "ixgbevf", 3050 }, { "mvpp2", 3552 },
	{ "mtk_soc_eth", 3520 }, { "mlx4_en", 3498 }, { "mlx5_core", 3498 }, { "bnxt_en", 3502 },
	{ "mana", 3506 }, { "hv_netvsc", 3506 }, { "st_gmac", 1500 }, { "netsec", 1500 },
	{ "vmxnet3", 3494 }, { "rvu_nicpf", 1508 }, { "virtio_net", 3506 }, { "veth", 3520 },
};

static unsigned int largest_mtu(const char *driver)
{
	for (size_t i = 0; i < sizeof(largest) / sizeof(*largest); i++)
		if (!strcmp(largest[i].driver, driver))
			return largest[i].mtu;
	return 1500;
}

static const char *find(const struct hint *hint, size_t n, int err, const char *text,
			const char *driver)
{
	for (; n > 0; n--, hint++)
		if ((!hint->err || hint->err == err) &&
		    (!hint->driver || !strcmp(hint->driver, driver)) &&
		    (!hint->text || strstr(text, hint->text)))
			return hint->next;
	return NULL;
}

void hint_attach(char *next, size_t size, int err, const char *text, const char *driver,
		 enum xdp_mode mode, const struct link_info *link)
{
	const char *from = find(any_mode, sizeof(any_mode) / sizeof(*any_mode), err, text, driver);
	size_t n = 0;

	if (!from && mode == XDP_MODE_NATIVE)
		from = find(native, sizeof(native) / sizeof(*native), err, text, driver);
	next[0] = '\0';
	for (; from && *from && n < size - 1; from++) {
		if (*from == '@')
			n += snprintf(next + n, size - n, "%s", link->name);
		else if (*from == '#')
			n += snprintf(next + n, size - n, "%u", link->mtu);
		else if (*from == '=')
			n += snprintf(next + n, size - n, "%u", largest_mtu(driver));
		else
			n += snprintf(next + n, size - n, "%c", *from);
	}
}

void hint_why_generic(char *why, size_t size, int err, const char *text,
		      const struct link_info *link)
{
	size_t len;

	if (strstr(text, "Peer MTU") || (err == ERANGE && !strcmp(link->kind, "veth"))) {
		snprintf(why, size, "the MTU of its peer is too large for native XDP");
	} else if (err == ERANGE || strstr(text, "MTU") || strstr(text, "mtu")) {
		snprintf(why, size, "MTU %u is too large for native XDP", link->mtu);
	} else if (err == EOPNOTSUPP &&
		   (!strcmp(text, strerror(err)) || strstr(text, "native mode"))) {
		snprintf(why, size, "the driver has no native XDP");
	} else {
		/* The kernel's sentence as a phrase; abbreviations keep their case. */
		snprintf(why, size, "%s", text);
		if (!isupper((unsigned char)why[0]) || !isupper((unsigned char)why[1]))
			why[0] = tolower((unsigned char)why[0]);
		len = strlen(why);
		if (len && why[len - 1] == '.')
			why[len - 1] = '\0';
	}
}
