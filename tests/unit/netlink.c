// SPDX-License-Identifier: GPL-2.0-or-later
/* Golden rtnetlink messages, good and broken, built here field by field. */
#include <errno.h>
#include <stdlib.h>

#include "../../netlink_parse.c"
#include "tap.h"

static unsigned char bytes[4096];
static size_t len;

static void add(const void *data, size_t n)
{
	memcpy(bytes + len, data, n);
	len += n;
	while (len % 4)
		bytes[len++] = 0;
}

/* An attribute, or with data NULL the start of a nest of n bytes, filled in by close_at(). */
static size_t attribute(unsigned short type, const void *data, size_t n)
{
	struct nlattr header = { .nla_len = sizeof(header) + n, .nla_type = type };
	size_t at = len;

	add(&header, sizeof(header));
	if (data)
		add(data, n);
	return at;
}

static void attribute_u32(unsigned short type, __u32 value)
{
	attribute(type, &value, sizeof(value));
}

static void close_at(size_t at)
{
	__u16 n = len - at;

	memcpy(bytes + at, &n, sizeof(n));
}

static void nest_xdp(unsigned char attached, __u32 id, __u32 native, __u32 generic)
{
	size_t at = attribute(IFLA_XDP | NLA_F_NESTED, NULL, 0);

	attribute(IFLA_XDP_ATTACHED, &attached, 1);
	if (id)
		attribute_u32(IFLA_XDP_PROG_ID, id);
	if (native)
		attribute_u32(IFLA_XDP_DRV_PROG_ID, native);
	if (generic)
		attribute_u32(IFLA_XDP_SKB_PROG_ID, generic);
	close_at(at);
}

static void link_header(int ifindex)
{
	struct ifinfomsg header = { .ifi_family = AF_UNSPEC, .ifi_type = 1, .ifi_index = ifindex,
				    .ifi_flags = 0x1043 };

	add(&header, sizeof(header));
}

/* A veth as Linux 6.18 tells of it, in short. */
static void make_veth(void)
{
	struct rtnl_link_stats narrow = { .rx_packets = 1, .rx_bytes = 2 };
	__u64 stats[25] = { 5000000001, 7, 5000000002 };
	size_t info;

	link_header(7);
	attribute(IFLA_IFNAME, "veth0", 6);
	attribute_u32(IFLA_MTU, 9000);
	attribute_u32(IFLA_LINK, 8);
	attribute_u32(IFLA_LINK_NETNSID, 0);
	attribute_u32(IFLA_MASTER, 3);
	info = attribute(IFLA_LINKINFO, NULL, 0);
	attribute(IFLA_INFO_KIND, "veth", 5);
	close_at(info);
	attribute(IFLA_STATS64, stats, sizeof(stats));
	attribute(IFLA_STATS, &narrow, sizeof(narrow));
	nest_xdp(XDP_ATTACHED_DRV, 69, 69, 0);
}

static void test_link(void)
{
	struct link_info link;

	len = 0;
	make_veth();
	is_number(netlink_parse_link(bytes, len, &link), 0, "a veth is parsed");
	is_text(link.name, "veth0", "its name");
	is_text(link.kind, "veth", "its kind");
	is_number(link.ifindex, 7, "its ifindex");
	is_number(link.flags, 0x1043, "its flags");
	is_number(link.type, 1, "its ARPHRD type");
	is_number(link.mtu, 9000, "its MTU");
	is_number(link.lower, 8, "its peer");
	is_number(link.lower_elsewhere, 1, "which is in another namespace");
	is_number(link.master, 3, "its master");
	is_number(link.rx_packets, 5000000001, "64-bit packets win over 32-bit ones");
	is_number(link.rx_bytes, 5000000002, "64-bit bytes too");
	is_number(link.program[XDP_MODE_NATIVE], 69, "its native program");
	is_number(link.program[XDP_MODE_GENERIC], 0, "no generic one");
	is_number(link.moved, 0, "it has not moved");
}

static void test_variants(void)
{
	struct rtnl_link_stats narrow = { .rx_packets = 1, .rx_bytes = 2 };
	struct link_info link;

	len = 0;
	link_header(1);
	attribute(IFLA_IFNAME, "lo", 3);
	attribute(IFLA_STATS, &narrow, sizeof(narrow));
	nest_xdp(XDP_ATTACHED_SKB, 5, 0, 0);
	is_number(netlink_parse_link(bytes, len, &link), 0, "one id and its mode (before 4.19)");
	is_number(link.program[XDP_MODE_GENERIC], 5, "make a generic program");
	is_number(link.rx_packets + link.rx_bytes, 3, "32-bit counters where there are no others");

	len = 0;
	link_header(1);
	attribute(IFLA_IFNAME, "lo", 3);
	nest_xdp(XDP_ATTACHED_MULTI, 0, 11, 12);
	netlink_parse_link(bytes, len, &link);
	ok(link.program[XDP_MODE_NATIVE] == 11 && link.program[XDP_MODE_GENERIC] == 12,
	   "programs in several modes");

	len = 0;
	link_header(1);
	attribute(IFLA_IFNAME, "a-name-that-is-much-too-long", 28);
	is_number(netlink_parse_link(bytes, len, &link), 0, "a name without NUL, longer than any");
	is_text(link.name, "a-name-that-is-", "is cut off");

	len = 0;
	link_header(1);
	attribute(IFLA_IFNAME, "gone", 5);
	attribute_u32(IFLA_NEW_NETNSID, 0);
	netlink_parse_link(bytes, len, &link);
	is_number(link.moved, 1, "a link that moves away says so");
}

/* Attributes that are shorter than what they carry. */
static void test_short(void)
{
	static const struct {
		const char *name;
		unsigned short type;
		size_t n;
	} rows[] = {
		{ "MTU of 3 bytes", IFLA_MTU, 3 },
		{ "lower link of 2 bytes", IFLA_LINK, 2 },
		{ "master of no bytes", IFLA_MASTER, 0 },
		{ "64-bit counters of 23 bytes", IFLA_STATS64, 23 },
		{ "32-bit counters of 15 bytes", IFLA_STATS, 15 },
		{ "XDP nest of 3 bytes", IFLA_XDP, 3 },
		{ "link info of 1 byte", IFLA_LINKINFO, 1 },
	};
	static const unsigned char zeroes[64];
	struct link_info link;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		len = 0;
		link_header(1);
		attribute(IFLA_IFNAME, "lo", 3);
		attribute(rows[i].type, zeroes, rows[i].n);
		is_number(netlink_parse_link(bytes, len, &link), -EBADMSG, rows[i].name);
	}
	len = 0;
	link_header(1);
	is_number(netlink_parse_link(bytes, len, &link), -EBADMSG, "no name");
	len = 0;
	link_header(0);
	attribute(IFLA_IFNAME, "lo", 3);
	is_number(netlink_parse_link(bytes, len, &link), -EBADMSG, "ifindex 0");
}

/* Lengths that lie: in turn each 16-bit word that is one gets other values. */
static void test_lies(void)
{
	static const __u16 lies[] = { 0, 1, 3, 4, 5, 0x7fff, 0xfffc, 0xffff };
	struct link_info link;
	size_t whole, at;
	unsigned char *copy;
	int bad = 0, tried = 0;

	len = 0;
	make_veth();
	whole = len;
	for (at = 16; at < whole; at += 2) {
		for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
			copy = malloc(whole); /* its end is watched by the sanitizer */
			memcpy(copy, bytes, whole);
			memcpy(copy + at, &lies[i], 2);
			netlink_parse_link(copy, whole, &link);
			bad += link.name[15] || link.kind[15];
			tried++;
			free(copy);
		}
	}
	ok(tried && !bad, "%d messages with a false length are survived", tried);
}

static void test_cut_off(void)
{
	struct link_info link;
	unsigned char *copy;
	int good = 0;

	len = 0;
	make_veth();
	for (size_t at = 0; at < len; at++) {
		copy = malloc(at + 1);
		memcpy(copy, bytes, at);
		good += netlink_parse_link(copy, at, &link) == 0;
		free(copy);
	}
	/* between two of its nine attributes, and in the two bytes that pad its name */
	is_number(good, 8 + 2, "a message cut off anywhere but between attributes is refused");
}

static size_t message(unsigned short type, unsigned short flags, __u32 sequence)
{
	struct nlmsghdr header = { .nlmsg_type = type, .nlmsg_flags = flags,
				   .nlmsg_seq = sequence };
	size_t at = len;

	add(&header, sizeof(header));
	return at;
}

static void end_message(size_t at)
{
	__u32 n = len - at;

	memcpy(bytes + at, &n, sizeof(n));
}

/* The header of a request of 56 bytes comes back, and the rest of it where it is not capped. */
static void make_ack(int error, unsigned short flags, const char *text)
{
	struct nlmsghdr request = { .nlmsg_len = 56 };
	size_t echoed = flags & NLM_F_CAPPED ? 0 : 40;
	static const unsigned char zeroes[64];
	size_t at = message(NLMSG_ERROR, flags, 9);

	add(&error, sizeof(error));
	add(&request, sizeof(request));
	add(zeroes, echoed);
	if (text)
		attribute(NLMSGERR_ATTR_MSG, text, strlen(text) + 1);
	end_message(at);
}

static int count(const struct link_info *link, void *context)
{
	*(int *)context += link->ifindex;
	return 0;
}

static int refuse(const struct link_info *link, void *context)
{
	(void)link;
	(void)context;
	return -ENOMEM;
}

static void test_ack(void)
{
	struct netlink_reply reply = { .sequence = 9 };

	len = 0;
	make_ack(0, NLM_F_CAPPED, NULL);
	is_number(netlink_parse(bytes, len, &reply), 0, "an acknowledgement");
	ok(reply.done && !reply.err && !reply.text[0], "ends the talk without error");

	reply = (struct netlink_reply){ .sequence = 9 };
	len = 0;
	make_ack(-EBUSY, NLM_F_CAPPED | NLM_F_ACK_TLVS, "XDP program already attached");
	is_number(netlink_parse(bytes, len, &reply), 0, "a refusal, capped");
	is_number(reply.err, EBUSY, "with its errno");
	is_text(reply.text, "XDP program already attached", "and the kernel's text");

	reply = (struct netlink_reply){ .sequence = 9 };
	len = 0;
	make_ack(-ERANGE, NLM_F_ACK_TLVS, "Peer MTU is too large to set XDP");
	is_number(netlink_parse(bytes, len, &reply), 0, "a refusal that echoes the request");
	is_text(reply.text, "Peer MTU is too large to set XDP", "has its text behind it");

	reply = (struct netlink_reply){ .sequence = 9 };
	len = 0;
	make_ack(-ERANGE, NLM_F_ACK_TLVS, "text");
	bytes[23] = 0x7f; /* the echoed length's top byte */
	is_number(netlink_parse(bytes, len, &reply), -EBADMSG, "an echo longer than its message");

	reply = (struct netlink_reply){ .sequence = 9 };
	len = 0;
	make_ack(-ERANGE, NLM_F_CAPPED, "text");
	is_number(netlink_parse(bytes, len, &reply), 0, "attributes that no flag announces");
	is_text(reply.text, "", "are not read");

	reply = (struct netlink_reply){ .sequence = 9 };
	len = 0;
	make_ack(0, NLM_F_CAPPED, NULL);
	make_ack(-ERANGE, NLM_F_CAPPED, NULL);
	netlink_parse(bytes, len, &reply);
	is_number(reply.err, 0, "the first acknowledgement counts");

	reply = (struct netlink_reply){ .sequence = 9 };
	len = 0;
	make_ack(5, NLM_F_CAPPED, NULL);
	is_number(netlink_parse(bytes, len, &reply), -EBADMSG, "an error above zero");
}

static void add_link(unsigned short type, unsigned short flags, __u32 sequence, int ifindex,
		     unsigned char family)
{
	size_t at = message(type, flags, sequence), payload = len;

	link_header(ifindex);
	bytes[payload] = family;
	attribute(IFLA_IFNAME, "eth0", 5);
	if (type == RTM_DELLINK)
		attribute_u32(IFLA_NEW_NETNSID, 1);
	end_message(at);
}

static void test_dump(void)
{
	int sum = 0, zero = 0;
	struct netlink_reply reply = { .sequence = 9, .each = count, .context = &sum };
	size_t at, whole;

	len = 0;
	add_link(RTM_NEWLINK, NLM_F_MULTI, 9, 1, AF_UNSPEC);
	add_link(RTM_NEWLINK, NLM_F_MULTI, 8, 100, AF_UNSPEC);
	add_link(RTM_NEWLINK, NLM_F_MULTI | NLM_F_DUMP_INTR, 9, 2, AF_UNSPEC);
	whole = len;
	is_number(netlink_parse(bytes, len, &reply), 0, "a dump's datagram");
	is_number(sum, 3, "its links, and not those of another request");
	ok(!reply.done && reply.interrupted, "more follows, and the dump is not consistent");
	at = message(NLMSG_DONE, NLM_F_MULTI, 9);
	add(&zero, sizeof(zero));
	end_message(at);
	is_number(netlink_parse(bytes, len, &reply), 0, "its end");
	ok(reply.done && !reply.err, "is seen");

	reply = (struct netlink_reply){ .sequence = 9, .each = refuse };
	is_number(netlink_parse(bytes, len, &reply), -ENOMEM, "what the callback says is returned");

	sum = 0;
	reply = (struct netlink_reply){ .sequence = 9, .each = count, .context = &sum };
	is_number(netlink_parse(bytes, whole - 1, &reply), -EBADMSG,
		  "a cut off message is refused");
	is_number(sum, 1, "what came before it is not");
	bytes[0] = 15;
	is_number(netlink_parse(bytes, len, &reply), -EBADMSG, "a message shorter than its header");
	bytes[0] = bytes[1] = bytes[2] = bytes[3] = 0xff;
	is_number(netlink_parse(bytes, len, &reply), -EBADMSG, "a length that wraps");
}

static char addresses[200];

static int list_address(int ifindex, const void *address, size_t n, void *context)
{
	(void)context;
	snprintf(addresses + strlen(addresses), sizeof(addresses) - strlen(addresses), "%d:%zu:%d ",
		 ifindex, n, n ? ((const unsigned char *)address)[n - 1] : -1);
	return ifindex == 99 ? 7 : 0;
}

/* IFA_ADDRESS and IFA_LOCAL, each ending in a number; 0: left out. */
static void add_address(int ifindex, unsigned char address, unsigned char local, size_t n)
{
	struct ifaddrmsg header = { .ifa_family = n == 4 ? AF_INET : AF_INET6, .ifa_index = ifindex };
	unsigned char value[16] = { 10 };
	size_t at = message(RTM_NEWADDR, NLM_F_MULTI, 9);

	add(&header, sizeof(header));
	value[n - 1] = address;
	if (address)
		attribute(IFA_ADDRESS, value, n);
	value[n - 1] = local;
	if (local)
		attribute(IFA_LOCAL, value, n);
	end_message(at);
}

static void test_addresses(void)
{
	struct netlink_reply reply = { .sequence = 9, .address = list_address };
	size_t at;

	len = 0;
	add_address(1, 1, 1, 4);
	add_address(2, 2, 0, 16);
	add_address(3, 33, 3, 4); /* point to point: 33 is the other end */
	add_address(4, 0, 0, 4);
	is_number(netlink_parse(bytes, len, &reply), 0, "a datagram of addresses");
	is_text(addresses, "1:4:1 2:16:2 3:4:3 ", "our own end of each, whatever the family");
	add_address(99, 5, 0, 4);
	add_address(5, 5, 0, 4);
	is_number(netlink_parse(bytes, len, &reply), 7, "what the callback says ends it");
	len = 0;
	at = message(RTM_NEWADDR, NLM_F_MULTI, 9);
	add("\2\x18\0\0", 4);
	end_message(at);
	is_number(netlink_parse(bytes, len, &reply), -EBADMSG, "an address message cut off");
	reply.address = NULL;
	is_number(netlink_parse(bytes, len, &reply), 0, "which is not looked at where nobody asks");
}

/* One attribute behind a header of four bytes, as generic netlink has it. */
static void test_attribute(void)
{
	__u32 value = 0, header = 0x01020304;
	__u16 narrow = 0;
	size_t at, whole;

	len = 0;
	at = message(0x14, 0, 1);
	add(&header, sizeof(header));
	attribute_u32(1, 11);
	attribute_u32(3, 33);
	end_message(at);
	whole = len;
	is_number(netlink_parse_attribute(bytes, len, 4, 3, &value, 4), 0, "an attribute is found");
	is_number(value, 33, "and its value");
	is_number(netlink_parse_attribute(bytes, len, 4, 3, &narrow, 2), 0, "part of it, too");
	is_number(netlink_parse_attribute(bytes, len, 4, 2, &value, 4), -ENOENT, "one is not there");
	is_number(netlink_parse_attribute(bytes, len, 4, 3, &(__u64){ 0 }, 8), -EBADMSG,
		  "more than it has is not to be had");
	for (len = 0; len < whole; len++)
		if (netlink_parse_attribute(bytes, len, 4, 3, &value, 4) != -EBADMSG)
			break;
	is_number(len, whole, "cut off anywhere it is bad");
	is_number(netlink_parse_attribute(bytes, whole, 400, 3, &value, 4), -EBADMSG,
		  "a header longer than the message is bad");
	len = 0;
	make_ack(-ENOENT, 0, NULL);
	is_number(netlink_parse_attribute(bytes, len, 4, 3, &value, 4), -ENOENT, "a refusal");
	len = 0;
	make_ack(0, 0, NULL);
	is_number(netlink_parse_attribute(bytes, len, 4, 3, &value, 4), -EBADMSG,
		  "an acknowledgement has no attribute");
}

static int moved, gone_links, seen;

static void note(const struct link_info *link, int gone, void *context)
{
	(void)context;
	seen += link->ifindex;
	gone_links += gone;
	moved += gone && link->moved;
}

static void test_news(void)
{
	len = 0;
	add_link(RTM_NEWLINK, 0, 0, 4, AF_UNSPEC);
	add_link(RTM_DELLINK, 0, 0, 50, AF_BRIDGE);
	add_link(RTM_DELLINK, 0, 77, 600, AF_UNSPEC);
	message(RTM_NEWADDR, 0, 0);
	end_message(len - 16);
	is_number(netlink_parse_news(bytes, len, note, NULL), 0, "news of any sequence number");
	is_number(seen, 604, "of links, but not of a bridge's ports");
	ok(gone_links == 1 && moved == 1, "a link that went to another namespace");
	is_number(netlink_parse_news(bytes, len - 17, note, NULL), -EBADMSG, "cut off news");
}

int main(void)
{
	test_link();
	test_variants();
	test_short();
	test_lies();
	test_cut_off();
	test_ack();
	test_dump();
	test_addresses();
	test_attribute();
	test_news();
	return done();
}
