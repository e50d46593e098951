// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What filters select, run by a small interpreter of the instructions that they become.
 * compare-with-tcpdump has the great many filters.
 */
#include <errno.h>

#include "filter_frames.h"
#include "tap.h"

static void matches(const char *expression, const char *hex, size_t len, int wanted,
		    const char *what)
{
	struct frame f = frame(hex, len);
	struct machine m;
	int got = run(&m, expression, 0, LINK_ETHERNET, &f, 0), listed = got, mixed = got;

	if (got >= 0 && expression[strspn(expression, " \t")]) {
		listed = run(&m, lengthened(expression, 0), 0, LINK_ETHERNET, &f, 0);
		mixed = run(&m, lengthened(expression, 1), 0, LINK_ETHERNET, &f, 0);
	}
	if (!ok(got == wanted && listed == got && mixed == got, "%s: %s %s", expression, what,
		wanted ? "matches" : "does not"))
		printf("# got %d, %d and %d in long filters\n", got, listed, mixed);
}

static void test_primitives(void)
{
	matches("", TCP, 0, 1, "every frame");
	matches(" \t ", ARP, 0, 1, "every frame");
	matches("tcp", TCP, 0, 1, "TCP");
	matches("tcp", TCP6, 0, 1, "TCP over IPv6");
	matches("tcp", UDP, 0, 0, "UDP");
	matches("udp", FRAG6, 0, 1, "UDP behind a fragment header");
	matches("icmp6", HOPS6, 0, 0, "ICMPv6 behind hop-by-hop options");
	matches("ip6 protochain 58", HOPS6, 0, 1, "ICMPv6 behind hop-by-hop options");
	matches("ip6 protochain 6 or 17 or 0", HOPS6, 0, 1, "the hop-by-hop options themselves");
	matches("ip6 protochain 6 or 17", HOPS6, 0, 0, "what is not in the chain");
	matches("ip6 protochain 300 or ip6", HOPS6, 0, 1, "a number that no protocol has");
	matches("ip6 protochain 0 or arp", HOPS6, 55, 1, "what is found before the end");
	matches("not ip6 protochain 6", HOPS6, 55, 0, "a chain that is cut off");
	matches("ip protochain 99 or vlan or protochain 0", LIKE_A_TYPE, 0, 1, "another chain");
	matches("ip protochain 99 or vlan or protochain 17", LIKE_A_TYPE, 0, 0, "another chain");
	matches("vlan 1 and vlan and vlan and vlan 4 and ip6 protochain 58", TAGS4, 0, 1, "a chain behind four tags");
	matches("vlan and vlan and vlan and vlan and vlan and ip6 protochain 58", TAGS5, 0, 0, "one behind five");
	matches("vlan and vlan and vlan and vlan and vlan and protochain 0", TAGS5, 0, 1, "its first protocol");
	matches("udp", TAGGED, 0, 0, "UDP behind a tag");
	matches("vlan and udp", TAGGED, 0, 1, "UDP behind a tag");
	matches("vlan 100 and port 53", TAGGED, 0, 1, "UDP behind a tag");
	matches("vlan 101", TAGGED, 0, 0, "another tag");
	matches("vlan 5 and vlan 100 and udp", QINQ, 0, 1, "UDP behind two tags");
	matches("mpls 1024 and udp", MPLS, 0, 1, "UDP behind a label");
	matches("pppoes 7 and udp and src 10.0.0.1", PPPOE, 0, 1, "UDP in a PPPoE session");
	matches("host 10.0.0.1", ARP, 0, 1, "the sender of ARP");
	matches("dst host 10.0.0.2", ARP, 0, 1, "the target of ARP");
	matches("ip host 10.0.0.1", ARP, 0, 0, "ARP");
	matches("src net 10.0.0.0/8", TCP, 0, 1, "a network");
	matches("net 192.168", TCP, 0, 1, "a network by two numbers");
	matches("net 10.0.0.0 mask 255.0.0.0", TCP, 0, 1, "a network by mask");
	matches("net 2001:db8::/32", TCP6, 0, 1, "an IPv6 network");
	matches("dst fe80::2", TCP6, 0, 1, "an IPv6 address");
	matches("dst fe80::3", TCP6, 0, 0, "another IPv6 address");
	matches("ether src 2:0:0:0:0:1", TCP, 0, 1, "an Ethernet address");
	matches("ether dst 0200.0000.0002", TCP, 0, 1, "an Ethernet address");
	matches("port https", TCP, 0, 1, "a port by name");
	matches("port 53", OPTIONS, 0, 1, "a port behind options");
	matches("port 53", LATER, 0, 0, "a later fragment");
	matches("udp portrange 50-60", UDP, 0, 1, "a range of ports");
	matches("stp", STP, 0, 1, "spanning tree");
	matches("llc u and not ip", STP, 0, 1, "an unnumbered 802.2 frame");
	matches("tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn|tcp-ack", TCP, 0, 1, "flags");
	matches("tcp[13] & 4 != 0", TCP, 0, 0, "flags");
	matches("tcp[13] = 2", TCP6, 0, 0, "bytes of TCP over IPv6");
	matches("ip[2:2] = len - 14", TCP, 0, 1, "a length");
	matches("less 54 and greater 54", TCP, 0, 1, "a length");
}

static void test_grammar(void)
{
	matches("port 53 or 443", TCP, 0, 1, "an inherited word");
	matches("src host 1.1.1.1 or 10.0.0.1", TCP, 0, 1, "inherited words");
	matches("dst host 1.1.1.1 or 10.0.0.1", TCP, 0, 0, "inherited words");
	matches("port 80 or (udp) or 443", TCP, 0, 1, "what stands before parentheses");
	matches("(port 80) or 443", TCP, 0, -1, "nothing from inside parentheses");
	matches("host 1.1.1.1 and (udp) or 10.0.0.1", TCP, 0, 1, "what stands before parentheses");
	matches("tcp or udp and arp", TCP, 0, 0, "from left to right");
	matches("tcp or (udp and arp)", TCP, 0, 1, "parentheses");
	matches("not udp and tcp", TCP, 0, 1, "not binds tightest");
	matches("! ( udp || arp ) && tcp", TCP, 0, 1, "signs for words");
	matches("2 + 3 * 4 = 14", TCP, 0, 1, "precedence");
	matches("10 - 2 - 3 = 5", TCP, 0, 1, "from left to right");
	matches("1 << 4 | 1 = 17", TCP, 0, 1, "precedence");
	matches("ip[8] % 3 + 1 = 0", TCP, 0, 1, "% takes all that follows");
	matches("ip proto \\tcp", TCP, 0, 1, "a name that is a keyword");
	matches("src or dst host 192.168.2.1", TCP, 0, 1, "both directions");
	matches("src and dst host 192.168.2.1", TCP, 0, 0, "both directions at once");
}

/* A load from beyond the end ends it all, in the order in which things are written. */
static void test_short_frames(void)
{
	matches("arp or ether[200] = 1", ARP, 0, 1, "what comes first");
	matches("ether[200] = 1 or arp", ARP, 0, 0, "what cannot be loaded");
	matches("not ether[200] = 1", ARP, 0, 0, "what cannot be loaded");
	matches("not tcp", TCP, 20, 0, "a cut header");
	matches("ip", TCP, 14, 1, "the Ethernet header alone");
	matches("src 10.0.0.1", TCP, 30, 1, "all that is needed");
	matches("src 10.0.0.1", TCP, 29, 0, "a byte too few");
	matches("src 10.0.0.9 or ip", TCP, 29, 0, "a byte too few");
	matches("host 10.0.0.1 or arp", TCP, 30, 1, "the source alone");
	matches("src 2001:db8::1", TCP6, 38, 1, "all that is needed");
	matches("src 2001:db8::1 or ip6", TCP6, 37, 0, "a byte too few");
	matches("src net 2001:db8::/32 or ip6", TCP6, 37, 0, "a byte too few, though it does not count");
	matches("dst fe80::3 or ip6", TCP6, 53, 0, "a word too few, and the others are right");
	matches("dst fe80::1:0:3 or ip6", TCP6, 53, 1, "a word too few, but others are wrong");
	matches("dst fe80::3 or ip6", TCP6, 41, 0, "nothing of it");
	matches("src port 443 or ip6", TCP6, 56, 1, "all that is needed");
	matches("port 8080 or ip6", TCP6, 57, 0, "a byte too few");
	matches("src port 443", TCP, 36, 1, "all that is needed");
	matches("dst port 443 or ip", TCP, 37, 0, "a byte too few");
	matches("not portrange 1-2", LATER, 0, 1, "a later fragment");
	matches("not portrange 0-65535", LATER, 0, 1, "a later fragment");
	matches("src port 16384 and not dst host 10.0.0.3", SHORT_IHL, 30, 0, "a port in front of an address");
	matches("udp[0:2] = 53", LATER, 0, 0, "a later fragment");
	matches("proto 44", FRAG6, 0, 1, "a fragment header is one, too");
	matches("ip6 proto 44", FRAG6, 54, 1, "the first fragment header alone");
	matches("proto 17", FRAG6, 55, 1, "all that is needed");
	matches("proto 17 or ip6", FRAG6, 54, 0, "a byte too few");
	matches("tcp[0:2] = 443", TCP, 36, 1, "all that is needed");
	matches("tcp[0:2] = 443 or ip", TCP, 35, 0, "a byte too few");
	matches("ether[len - 1] = 0", TCP, 0, 1, "the last byte");
	matches("ether[len] = 0 or ip", TCP, 0, 0, "the byte behind it");
	matches("ip[8] / (ip[8] - 64) = 1 or ip", TCP, 0, 0, "division by zero");
	matches("tcp[0 - 2 : 2] = 0x0201", TCP, 0, 1, "an index that wraps round");
	matches("ip[0 - 2 : 2] = 0x0800 or ip", TCP, 0, 0, "an index that does not");
	matches("ether[70000] = 1 or ip", TCP, 0, 0, "a byte that no frame has");
}

static void test_refusals(void)
{
	static const struct {
		const char *expression;
		int column;
		const char *says;
	} refusals[] = {
		{ "tcp and", 8, "too early" },
		{ "host example.org", 6, "names are not looked up" },
		{ "10.0.0.1", 1, "Put host, net, port" },
		{ "tcp or 80", 8, "Put host, net, port" },
		{ "host 10.0.0.256", 6, "no IPv4 address" },
		{ "net 10.0.0.1/8", 5, "bits set" },
		{ "net 10/8", 5, "four numbers" },
		{ "net 10.0.0.0/33", 14, "at most 32" },
		{ "net 2001:db8::/129", 16, "at most 128" },
		{ "port 65536", 6, "65535" },
		{ "port nosuch", 6, "give its number" },
		{ "tcp port ntp", 10, "udp" },
		{ "inbound", 1, "not supported" },
		{ "tcp and gateway x", 9, "not supported" },
		{ "geneve", 1, "not supported" },
		{ "ip host fe80::1", 9, "IPv6" },
		{ "tcp host 10.0.0.1", 10, "goes with ip" },
		{ "vlan 4096", 6, "4095" },
		{ "mpls and arp", 10, "behind mpls" },
		{ "ether[0:3] = 1", 9, "1, 2 or 4" },
		{ "ether[0] / 0 = 1", 10, "division by zero" },
		{ "ip[0] << 32 = 1", 7, "31 bits" },
		{ "ah[0] = 1", 1, "cannot be looked at" },
		{ "tcp # 5", 5, "means nothing" },
		{ "(tcp", 5, "too early" },
		{ "tcp)", 4, "not expected" },
		{ "4294967296 = len", 1, "32 bits" },
		{ "08 = len", 1, "octal" },
		{ "host 1:2:3", 6, "neither" },
		{ "less tcp", 6, "not expected" },
		{ "src proto 6", 5, "no direction" },
		{ "ip6 broadcast", 5, "goes with" },
	};

	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		struct filter filter;
		int err = filter_compile(&filter, refusals[i].expression, 0, LINK_ETHERNET, PIECES_COPIED);

		if (!ok(err == -EINVAL && filter.column == refusals[i].column &&
			strstr(filter.error, refusals[i].says) && !filter.insns,
			"%s: refused at column %d", refusals[i].expression, refusals[i].column))
			printf("# %d, column %d: %s\n", err, filter.column, filter.error);
		filter_free(&filter);
	}
}

static int run_on(const char *expression, unsigned int protocol, unsigned int link, const char *hex,
		  __u8 decoded)
{
	struct frame f = frame(hex, 0);
	struct machine m;

	return run(&m, expression, protocol, link, &f, decoded);
}

static void test_decoded_protocol(void)
{
	is_number(run_on(NULL, 6, LINK_ETHERNET, TAGGED, 6), 1, "--tcp: what was decoded");
	is_number(run_on(NULL, 6, LINK_ETHERNET, TAGGED, 17), 0, "--tcp: not UDP");
	is_number(run_on(NULL, 6, LINK_ETHERNET, TCP, 0), 0, "--tcp: not what was not decoded");
	is_number(run_on(NULL, 1, LINK_ETHERNET, TCP, 1), 1, "--icmp: ICMP");
	is_number(run_on(NULL, 1, LINK_ETHERNET, TCP, 58), 1, "--icmp: ICMPv6");
	is_number(run_on("port 443", 6, LINK_ETHERNET, TCP, 6), 1, "--tcp goes with a filter by and");
	is_number(run_on("port 444", 6, LINK_ETHERNET, TCP, 6), 0, "--tcp goes with a filter by and");
	is_number(run_on("vlan or ip", 6, LINK_ETHERNET, TCP, 17), 0, "--tcp goes with all of an or");
	is_number(run_on(" ", 17, LINK_UNKNOWN, TCP, 17), 1, "--udp on a link of an unknown kind");
}

static void test_links(void)
{
	static const char ip[] = "45000028 00004000 40060000 " IP_TO "01bb1f90 00000001";
	static const char ip6[] = "60000000 00140640 " IP6_TO "01bb1f90 00000001";

	is_number(run_on("tcp and src 10.0.0.1", 0, LINK_IP, ip, 0), 1, "an address, raw IP");
	is_number(run_on("port 443", 0, LINK_IP, ip, 0), 1, "a port, raw IP");
	is_number(run_on("ip6 and port 443", 0, LINK_IP, ip6, 0), 1, "a port, raw IPv6");
	is_number(run_on("arp", 0, LINK_IP, ip, 0), 0, "no ARP in raw IP");
	is_number(run_on("link[0] = 0x45", 0, LINK_IP, ip, 0), 1, "a byte of raw IP");
	is_number(run_on("ether src 2:0:0:0:0:1", 0, LINK_IP, ip, 0), -1, "no Ethernet in raw IP");
	is_number(run_on("vlan", 0, LINK_IP, ip, 0), -1, "no tags in raw IP");
	is_number(run_on("broadcast", 0, LINK_IP, ip, 0), -1, "no broadcast in raw IP");
	is_number(run_on("greater 20", 0, LINK_UNKNOWN, ip, 0), 1, "a length, link unknown");
	is_number(run_on("link[0] = 0x45", 0, LINK_UNKNOWN, ip, 0), 1, "a byte, link unknown");
	is_number(run_on("ip", 0, LINK_UNKNOWN, ip, 0), -1, "no types, link unknown");
}

int main(void)
{
	test_primitives();
	test_grammar();
	test_short_frames();
	test_refusals();
	test_decoded_protocol();
	test_links();
	return done();
}
