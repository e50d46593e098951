// SPDX-License-Identifier: GPL-2.0-or-later
#include "../../hints.c"
#include "tap.h"

static const struct link_info eth0 = { .name = "eth0", .mtu = 9000 };
static const struct link_info veth = { .name = "veth0", .kind = "veth", .mtu = 1500 };

/* text NULL: the kernel gave none, and strerror's stands for it */
static const struct {
	int err;
	const char *text;
	const struct link_info *link;
	const char *why;
} generic[] = {
	{ EOPNOTSUPP, NULL, &eth0, "the driver has no native XDP" },
	{ EOPNOTSUPP, "Underlying driver does not support XDP in native mode", &eth0,
	  "the driver has no native XDP" },
	{ EOPNOTSUPP, "virtio_net: Can't set XDP while host is implementing GRO_HW/CSUM, disable "
	  "GRO_HW/CSUM first", &eth0, "virtio_net: Can't set XDP while host is implementing GRO_HW/"
	  "CSUM, disable GRO_HW/CSUM first" },
	{ EOPNOTSUPP, "No native XDP support for the current bonding mode", &eth0,
	  "no native XDP support for the current bonding mode" },
	{ ERANGE, NULL, &eth0, "MTU 9000 is too large for native XDP" },
	{ ERANGE, NULL, &veth, "the MTU of its peer is too large for native XDP" },
	{ ERANGE, "veth: Peer MTU is too large to set XDP", &veth,
	  "the MTU of its peer is too large for native XDP" },
	{ EINVAL, "MTU too large to enable XDP", &eth0, "MTU 9000 is too large for native XDP" },
	{ EOPNOTSUPP, "XDP: mtu too large", &eth0, "MTU 9000 is too large for native XDP" },
	{ ENOMEM, "Too few free TX rings available.", &eth0, "too few free TX rings available" },
	{ EOPNOTSUPP, "XDP: not support LRO", &eth0, "XDP: not support LRO" },
};

static const struct {
	int err;
	const char *text;
	const char *driver;
	enum xdp_mode mode;
	const char *part;           /* of the hint; "": there must be none */
} hints[] = {
	{ EPERM, NULL, "", XDP_MODE_NATIVE, "CAP_NET_ADMIN" },
	{ EPERM, NULL, "", XDP_MODE_GENERIC, "CAP_NET_ADMIN" },
	{ EEXIST, "Cannot attach when an upper device already has a program", "", XDP_MODE_GENERIC,
	  "the link that eth0 is a part of" },
	{ EOPNOTSUPP, "Underlying driver does not support XDP in native mode", "", XDP_MODE_NATIVE,
	  "use --mode generic" },
	{ ENOTCONN, "Cannot set XDP when peer is detached", "veth", XDP_MODE_NATIVE,
	  "peer has gone" },
	{ ERANGE, "Peer MTU is too large to set XDP", "veth", XDP_MODE_NATIVE, "MTU of its peer" },
	{ ENOSPC, "XDP expects number of rx queues not less than peer tx queues", "veth",
	  XDP_MODE_NATIVE, "ethtool -L eth0 rx" },
	{ EOPNOTSUPP, "Can't set XDP while host is implementing LRO", "virtio_net", XDP_MODE_NATIVE,
	  "only the hypervisor" },
	{ ENOMEM, "Too few free TX rings available", "virtio_net", XDP_MODE_NATIVE, "combined 1" },
	{ EINVAL, "Failed to set xdp program, the Rx/Tx channel count should be at most half of "
	  "the maximum allowed channel count", "ena", XDP_MODE_NATIVE, "ethtool -l eth0" },
	{ EINVAL, NULL, "ena", XDP_MODE_NATIVE, "above 3498 (now 9000)" },
	{ EOPNOTSUPP, "XDP: not support LRO", "hv_netvsc", XDP_MODE_NATIVE,
	  "ethtool -K eth0 lro off" },
	{ EINVAL, NULL, "mlx5_core", XDP_MODE_NATIVE, "`dmesg`" },
	{ EOPNOTSUPP, NULL, "bnxt_en", XDP_MODE_NATIVE, "not combined" },
	{ EINVAL, NULL, "ixgbe", XDP_MODE_NATIVE, "an MTU above 3050 (now 9000), LRO" },
	{ EINVAL, "MTU too large for XDP", "i40e", XDP_MODE_NATIVE, "mtu 3046` (now 9000)" },
	{ EINVAL, "Jumbo frames not supported", "stmmac", XDP_MODE_NATIVE, "mtu 1500` (now 9000)" },
	{ EOPNOTSUPP, "prog does not support XDP frags", "mvneta", XDP_MODE_NATIVE, "mtu 1500`" },
	{ EOPNOTSUPP, "Slave device does not support XDP, please remove it", "", XDP_MODE_NATIVE,
	  "its members" },
	{ EOPNOTSUPP, "VFs don't support XDP", "qede", XDP_MODE_NATIVE, "--mode generic" },
	{ EINVAL, NULL, "", XDP_MODE_NATIVE, "--mode generic" },
	{ EINVAL, NULL, "ixgbe", XDP_MODE_GENERIC, "" },
	{ ENOMEM, NULL, "", XDP_MODE_GENERIC, "" },
};

static void test_next(void)
{
	char next[512], tiny[20];
	const char *text;

	for (size_t i = 0; i < sizeof(hints) / sizeof(*hints); i++) {
		text = hints[i].text ? hints[i].text : strerror(hints[i].err);
		strcpy(next, "left as it was");
		hint_attach(next, sizeof(next), hints[i].err, text, hints[i].driver, hints[i].mode,
			    &eth0);
		if (!ok(*hints[i].part ? !!strstr(next, hints[i].part) : !*next,
			"%s: %s (%s)", hints[i].driver, text,
			hints[i].mode == XDP_MODE_NATIVE ? "native" : "generic"))
			printf("# got: %s\n", next);
	}
	hint_attach(tiny, sizeof(tiny), EINVAL, "", "ixgbe", XDP_MODE_NATIVE, &eth0);
	is_text(tiny, "ixgbe gives no reas", "a hint that does not fit is cut off");
}

int main(void)
{
	char why[256], tiny[8];
	const char *text;

	for (size_t i = 0; i < sizeof(generic) / sizeof(*generic); i++) {
		text = generic[i].text ? generic[i].text : strerror(generic[i].err);
		hint_why_generic(why, sizeof(why), generic[i].err, text, generic[i].link);
		is_text(why, generic[i].why, text);
	}
	hint_why_generic(tiny, sizeof(tiny), ERANGE, "", &eth0);
	is_text(tiny, "MTU 900", "a phrase that does not fit is cut off");
	test_next();
	return done();
}
