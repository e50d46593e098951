/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtnetlink, as much of it as an XDP tool needs: links, their XDP programs, attach and detach. */
#ifndef XGUARD_NETLINK_H
#define XGUARD_NETLINK_H

#include <stddef.h>
#include <linux/types.h>

struct failure;

enum xdp_mode { XDP_MODE_NONE, XDP_MODE_NATIVE, XDP_MODE_GENERIC, XDP_MODE_OFFLOAD };

/* One link, from RTM_NEWLINK. */
struct link_info {
	int ifindex;
	unsigned int flags;        /* IFF_UP, IFF_LOOPBACK ... of linux/if.h */
	unsigned int mtu;
	unsigned short type;       /* ARPHRD_ of linux/if_arp.h */
	int lower;                 /* IFLA_LINK: what it is stacked on, or a veth's peer; else 0 */
	int lower_elsewhere;       /* 1: lower is an index of another network namespace */
	int master;                /* IFLA_MASTER, else 0 */
	char name[16];
	char kind[16];             /* IFLA_INFO_KIND: "veth", "bond", "vlan" ...; empty for a NIC */
	__u32 program[4];          /* ids of the programs attached, by enum xdp_mode; 0: none */
	int moved;                 /* in news of a link's end: it went to another namespace */
	__u64 rx_packets;          /* IFLA_STATS64, else IFLA_STATS */
	__u64 rx_bytes;
};

/* An rtnetlink socket, CLOEXEC, with NETLINK_EXT_ACK and NETLINK_CAP_ACK where the kernel has
 * them. groups: RTMGRP_ bits to join, or 0. Returns the descriptor or -errno. */
int netlink_open(unsigned int groups, struct failure *failure);

/*
 * Look a link up in this network namespace: by name (an altname too, and "eth0@if5" as `ip a`
 * shows it) or, where name is NULL, by ifindex. Returns 0, or -errno with failure filled in:
 * -ENODEV for no such link, with the names of those that there are in the reason.
 */
int netlink_link(int nl, const char *name, int ifindex, struct link_info *link,
		 struct failure *failure);

/* Call each(link, context) for every link of this network namespace, in the kernel's order; a
 * result other than 0 ends the walk and is returned. Else 0, or -errno with failure filled in. The
 * list is complete before the first call, so that each may use nl. */
int netlink_links(int nl, int (*each)(const struct link_info *link, void *context), void *context,
		  struct failure *failure);

/* Call each(ifindex, address, len, context) for every address of this network namespace, in network
 * byte order, until it returns other than 0, which is returned. Else 0, or -errno with failure
 * filled in. each must not use nl. */
typedef int netlink_address(int ifindex, const void *address, size_t len, void *context);
int netlink_addresses(int nl, netlink_address *each, void *context, struct failure *failure);

/*
 * Set the program of a link: program_fd, or -1 to detach. flags: XDP_FLAGS_ of linux/if_link.h, the
 * mode among them. expected_fd: with XDP_FLAGS_REPLACE, the program that must be the one attached
 * (Linux 5.7), else -1. Returns 0, or -errno with failure filled in; its reason is the kernel's
 * extended-ack text where there is one.
 */
int netlink_set_xdp(int nl, const struct link_info *link, int program_fd, int expected_fd,
		    unsigned int flags, struct failure *failure);

/* Called for each piece of news about a link; gone: deleted, or (link->moved) moved away. */
typedef void netlink_news(const struct link_info *link, int gone, void *context);

/*
 * Read, without waiting, what a socket opened with RTMGRP_LINK got. A program that is attached by
 * a BPF link makes no news. Returns 0, 1 when news were lost (look at all links), or -errno.
 */
int netlink_events(int nl, netlink_news *each, void *context);

/* An ethtool command, its struct's first member filled in. Returns 0 or -errno. */
int netlink_ethtool(const char *name, void *command);

/* The name of the driver behind a link ("virtio_net"), by an ioctl. Returns 0, or -errno and "". */
int netlink_driver(const char *name, char driver[32]);

/* The mode in which a program with this id is attached to the link, or XDP_MODE_NONE. */
enum xdp_mode netlink_mode_of(const struct link_info *link, __u32 program_id);

/* "native", "generic", "offload" or "none". */
const char *xdp_mode_name(enum xdp_mode mode);

/* XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE, XDP_FLAGS_HW_MODE or 0. */
unsigned int xdp_mode_flag(enum xdp_mode mode);

#endif
