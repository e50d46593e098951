// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/if.h>

#include "environment.h"
#include "failure.h"
#include "ssh.h"

#define STACKED_MAX   8  /* links on top of each other */

/* The server's end of a connection. */
struct server {
	unsigned char address[16];
	size_t len;              /* 4 or 16; 0: none */
	unsigned int port;
	char link[16];           /* of a link-local address: its link; else empty */
};

/* "CLIENT PORT SERVER PORT", the address perhaps with "%LINK". Returns 0, or -1. */
static int parse(char *value, struct server *server)
{
	char *words[4], *link;

	for (int i = 0; i < 4; i++) {
		words[i] = value;
		value += strcspn(value, " ");
		if (*value)
			*value++ = '\0';
	}
	link = strchr(words[2], '%');
	if (link) {
		*link++ = '\0';
		snprintf(server->link, sizeof(server->link), "%s", link);
	}
	if (inet_pton(AF_INET, words[2], server->address) == 1)
		server->len = 4;
	else if (inet_pton(AF_INET6, words[2], server->address) == 1)
		server->len = 16;
	server->port = strtoul(words[3], NULL, 10);
	return server->len && server->port && server->port <= 0xffff ? 0 : -1;
}

/* The address that frames to the outside would be sent from: nothing is sent for it. */
static void default_address(int family, struct server *server)
{
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(9) };
	socklen_t len = family == AF_INET ? sizeof(to4) : sizeof(to6);
	struct sockaddr *to = family == AF_INET ? (void *)&to4 : (void *)&to6;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, "192.0.2.1", &to4.sin_addr);
	inet_pton(AF_INET6, "2001:db8::1", &to6.sin6_addr);
	server->len = 0;
	if (fd >= 0 && !connect(fd, to, len) && !getsockname(fd, to, &len)) {
		server->len = family == AF_INET ? 4 : 16;
		memcpy(server->address, family == AF_INET ? (void *)&to4.sin_addr :
		       (void *)&to6.sin6_addr, server->len);
	}
	server->port = 22;
	if (fd >= 0)
		close(fd);
}

/* Is what arrives at the link with index upper what arrives at this link? */
static int carries(int nl, int upper, const struct link_info *link, int depth)
{
	struct failure unused;
	struct link_info other;

	if (upper == link->ifindex)
		return 1;
	if (!depth)
		return 0;
	if (link->master && !netlink_link(nl, NULL, link->master, &other, &unused) &&
	    carries(nl, upper, &other, depth - 1))
		return 1;
	return !netlink_link(nl, NULL, upper, &other, &unused) && other.lower > 0 &&
		!other.lower_elsewhere && carries(nl, other.lower, link, depth - 1);
}

struct search {
	const struct server *server;
	int found[8], nfound;    /* links that have its address; several have only link-local ones */
};

static int compare(int ifindex, const void *address, size_t len, void *context)
{
	struct search *search = context;

	if (len == search->server->len && !memcmp(address, search->server->address, len))
		search->found[search->nfound++] = ifindex;
	return search->nfound == sizeof(search->found) / sizeof(*search->found);
}

static int is_over(int nl, const struct server *server, const struct link_info *link)
{
	struct search search = { .server = server };
	struct failure unused;
	struct link_info scope;

	if (server->link[0] && !netlink_link(nl, server->link, 0, &scope, &unused))
		return carries(nl, scope.ifindex, link, STACKED_MAX);
	netlink_addresses(nl, compare, &search, &unused);
	while (search.nfound)
		if (carries(nl, search.found[--search.nfound], link, STACKED_MAX))
			return 1;
	return 0;
}

unsigned int ssh_port_over(int nl, const struct link_info *link)
{
	struct server server = { .len = 0 };
	char value[160];
	int found = environment_find("SSH_CONNECTION", value, sizeof(value));

	if (link->flags & IFF_LOOPBACK)
		return 0;
	if (found > 0)
		return !parse(value, &server) && is_over(nl, &server, link) ? server.port : 0;
	for (int i = 0; found < 0 && i < 2; i++) {
		default_address(i ? AF_INET6 : AF_INET, &server);
		if (server.len && is_over(nl, &server, link))
			return server.port;
	}
	return 0;
}

int ssh_driver_is_quiet(const struct link_info *link)
{
	static const char *const quiet[] = { "virtio_net", "veth", "tun", "hv_netvsc" };
	char driver[32];

	netlink_driver(link->name, driver);
	for (size_t i = 0; i < sizeof(quiet) / sizeof(*quiet); i++)
		if (!strcmp(driver, quiet[i]))
			return 1;
	return 0;
}
