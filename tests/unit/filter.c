// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What filters select, run by a small interpreter of the instructions that they become; and the
 * promises that filter.h makes about those. compare-with-tcpdump has the great many filters.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf_insn.h"
#include "filter.h"
#include "filter_machine.h"
#include "packet.h"
#include "tap.h"

#define MACS    "020000000002 020000000001 "
#define IP_TO   "0a000001 c0a80201 " /* 10.0.0.1 to 192.168.2.1 */
#define IP6_TO  "20010db8000000000000000000000001 fe800000000000000000000000000002 "
#define TCP     MACS "0800 45000028 00004000 40060000 " IP_TO "01bb1f90 00000001 00000002 50120400" \
		"00000000"
#define UDP     MACS "0800 4500001c 00000000 40110000 " IP_TO "00350400 00080000"
#define OPTIONS MACS "0800 46000020 00000000 40110000 " IP_TO "01010101 00350400 00080000"
#define LATER   MACS "0800 4500001c 00000005 40110000 " IP_TO "00350400 00080000"
#define ARP     MACS "0806 0001080006040001 020000000001 0a000001 000000000000 0a000002"
#define TCP6    MACS "86dd 60000000 00140640 " IP6_TO "01bb1f90 00000001 00000002 50020400 00000000"
#define FRAG6   MACS "86dd 60000000 00102c40 " IP6_TO "11000001 00000001 00350400 00080000"
#define BEHIND_HOPS "86dd 60000000 00100040 " IP6_TO "3a00050200000000 8000000000010001"
#define HOPS6   MACS BEHIND_HOPS
#define TAGS4   MACS "8100 0001 8100 0002 8100 0003 8100 0004 " BEHIND_HOPS
#define TAGS5   MACS "8100 0001 8100 0002 8100 0003 8100 0004 8100 0005 " BEHIND_HOPS
#define TAGGED  MACS "8100 0064 0800 4500001c 00000000 40110000 " IP_TO "00350400 00080000"
#define ARPTAG  MACS "8100 0064 0806 0001080006040001 020000000001 0a000001 000000000000 0a000002"
#define QINQ    MACS "88a8 0005 8100 0064 0800 4500001c 00000000 40110000 " IP_TO \
		"00350400 00080000"
#define MPLS    MACS "8847 00400140 4500001c 00000000 40110000 " IP_TO "00350400 00080000"
#define PPPOE   MACS "8864 11000007 001e 0021 4500001c 00000000 40110000 " IP_TO "00350400 00080000"
#define LIKE_A_TYPE MACS "0800 45000800 00000000 40110000 " IP_TO "00350400 00080000" /* in its length */
#define STP     MACS "0026 424203 0000000000"

/* The same, or -1: the filter is refused. */
static int run(struct machine *m, const char *expression, unsigned int protocol, unsigned int link,
	       const struct frame *frame, __u8 decoded)
{
	int results[2];

	for (int copied = 0; copied < 2; copied++) {
		struct filter filter;

		if (filter_compile(&filter, expression, protocol, link, copied ? PIECES_COPIED : PIECES_ASKED_FOR))
			return -1;
		results[copied] = run_compiled(m, &filter, frame, decoded);
		filter_free(&filter);
	}
	return results[0] == results[1] ? results[0] : -2;
}

/* The same filter at the beginning of one so long that what it asks about becomes fields: IPv6 addresses, of which
 * many begin alike, or all that can. */
static const char *lengthened(const char *expression, int is_mixed)
{
	static char text[8192];
	int at = sprintf(text, "(%s)", expression);

	for (int i = 1; i <= 17 && is_mixed; i++)
		at += sprintf(text + at, " or (src net 5.0.%d.0/24 and port 65000)", i);
	for (int i = 1; i <= (is_mixed ? 16 : 40); i++)
		at += sprintf(text + at, " or dst host 2001:db8::1:%d", i);
	return text;
}

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

/* filter.h's promises about the code. */
static int keeps_promises(const struct filter *filter)
{
	char *reached;
	size_t n = 0;

	if (filter->pieces)
		return 0;
	reached = calloc(filter->len + 1, 1);
	reached[0] = 1;
	for (size_t i = 0; i < filter->len; i++) { /* jumps lead forward */
		const struct bpf_insn *insn = &filter->insns[i];
		int jumps = BPF_CLASS(insn->code) == BPF_JMP || BPF_CLASS(insn->code) == BPF_JMP32;

		if (jumps && BPF_OP(insn->code) != BPF_EXIT && insn->off >= 0 && i + insn->off < filter->len)
			reached[i + 1 + insn->off] = 1;
		if (insn->code != (BPF_JMP | BPF_JA))
			reached[i + 1] = 1;
		n += reached[i];
	}
	free(reached);
	if (n != filter->len) /* the verifier wants no code that nothing leads to */
		return 0;
	for (size_t i = 0; i < filter->len; i++) {
		const struct bpf_insn *insn = &filter->insns[i];
		int class = BPF_CLASS(insn->code), exit = insn->code == (BPF_JMP | BPF_EXIT);

		if ((insn->dst_reg > 5 && insn->dst_reg != 9 && (class != BPF_STX || insn->dst_reg != BPF_REG_10)) ||
		    (insn->src_reg > 5 && insn->src_reg != 9 && (class != BPF_LDX || insn->src_reg != BPF_REG_10)) ||
		    exit != (i == filter->len - 1))
			return 0;
		if ((class == BPF_JMP || class == BPF_JMP32) &&
		    (insn->off < 0 || i + insn->off >= filter->len))
			return 0;
		if (class == BPF_STX &&
		    (insn->dst_reg != BPF_REG_10 || insn->off < -FILTER_STACK || insn->off >= 0))
			return 0;
	}
	return 1;
}

static void test_code(void)
{
	static const char *const filters[] = {
		"tcp", "port 80 or 443", "ip[ip[8]] + tcp[(tcp[12] >> 2)] > udp[8] << ip[9]",
		"vlan and (host 10.0.0.1 or net fe80::/10) and not port 22", "ip6 protochain 6",
		"1 = 1", "1 = 2", "tcp and not tcp",
	};
	struct frame tcp = frame(TCP, 0), arp = frame(ARP, 0);
	struct machine m;

	for (size_t i = 0; i < sizeof(filters) / sizeof(*filters); i++) {
		struct filter filter;
		int err = filter_compile(&filter, filters[i], 0, LINK_ETHERNET, PIECES_NONE);

		ok(!err && keeps_promises(&filter), "%s: one exit, forward jumps", filters[i]);
		filter_free(&filter);
	}
	run(&m, "port 1 or port 2 or port 3 or port 4", 0, LINK_ETHERNET, &tcp, 0);
	is_number(m.repeated, 0, "no field is loaded twice for ports");
	run(&m, "host 1.1.1.1 or host 1.1.1.2 or host 1.1.1.3", 0, LINK_ETHERNET, &tcp, 0);
	is_number(m.repeated, 0, "no field is loaded twice for hosts");
	ok(m.loads <= 5, "three hosts take three loads of the frame: %u", m.loads - 2);
	run(&m, "tcp port 80 and host 10.0.0.1", 0, LINK_ETHERNET, &arp, 0);
	ok(m.steps <= 12, "an ARP frame is done with soon: %u instructions", m.steps);
}

/* How often a filter asks where the frame ends. */
static int checks(const char *expression)
{
	struct filter filter;
	int n = 0;

	if (filter_compile(&filter, expression, 0, LINK_ETHERNET, 0))
		return -1;
	for (size_t i = 0; i < filter.len; i++)
		n += filter.insns[i].code == (BPF_JMP | BPF_JGT | BPF_X) && filter.insns[i].src_reg == BPF_REG_3;
	filter_free(&filter);
	return n;
}

/* What every way to a match looks at is asked for at once, and no more than that. */
static void test_needs(void)
{
	is_number(checks("ether[1] = 1 and ether[5] = 2 and ether[9] = 3"), 1, "all of them: one check");
	is_number(checks("ether[1] = 1 or ether[5] = 2 or ether[9] = 3"), 3, "any of them: one for each");
	is_number(checks("ip and (ip[8] = 1 or ip[9] + ip[10] = 2)"), 2, "all have the type and the first byte");
	is_number(checks("not (ip and ip[8] = 1)"), 2, "a frame that is not IP matches without the byte");
}

/* n copies of a filter with a number in it, joined. */
static char *repeat(const char *format, const char *joint, int n)
{
	char *text = calloc(n, 128), *end = text;

	for (int i = 0; i < n; i++) {
		end += sprintf(end, "%s", i ? joint : "");
		end += sprintf(end, format, i % 250 + 1);
	}
	return text;
}

/* Does it lead nowhere, whatever it asks? */
static int is_idle_jump(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_JMP && !insn->off;
}

/* Are all words of the stack that a filter loads loaded once more at its end, one behind the other? And has the
 * verifier been made to remember that it was there? */
static int reads_again(const struct filter *filter)
{
	__u64 loaded = 0, again = 0;
	size_t end = filter->len - 1;

	for (size_t i = 0; i < filter->len; i++)
		if (BPF_CLASS(filter->insns[i].code) == BPF_LDX && filter->insns[i].src_reg == BPF_REG_10)
			loaded |= 1ull << (7 - filter->insns[i].off) / 8;
	while (end && BPF_CLASS(filter->insns[end - 1].code) == BPF_LDX)
		if (filter->insns[--end].src_reg == BPF_REG_10)
			again |= 1ull << (7 - filter->insns[end].off) / 8;
	return again == loaded &&
	       (!loaded || (is_idle_jump(&filter->insns[end - 1]) && is_idle_jump(&filter->insns[end - 2])));
}

/* Filters of three kinds of primitives in turns, as they come. */
static void test_mixed(void)
{
	static const char *const kinds[] = {
		"port %d", "tcp port %d", "host 10.0.0.%d", "src net 2001:db8:%d::/72", "protochain %d", "ip6 protochain %d",
		"vlan %d", "mpls %d", "udp[4:2] > %d", "ip6[4:4] = %d", "proto %d", "icmp6", "csnp", "tcp", "len & 3 = %d",
	};
	static const char *const forms[] = { "(%s and (%s or %s))", "(%s and %s and %s)", "(%s or not %s or %s)" };
	static const char jumps[] =
		"((protochain 1 and (udp[4:2] > 1 or ip6[4:4] = 1)))"
		" or ((udp[4:2] > 2 and (protochain 2 or vlan 2)))"
		" or ((protochain 9 and (udp[4:2] > 9 or ip6[4:4] = 9)))"
		" or ((icmp6 and (vlan 10 or protochain 10))) or ((icmp6 and (vlan 11 or protochain 11)))"
		" or ((vlan 12 and (protochain 12 or ip6[4:4] = 12)))"
		" or ((icmp6 and (protochain 13 or vlan 13))) or ((icmp6 and (ip6[4:4] = 14 or vlan 14)))"
		" or ((vlan 15 and (protochain 15 or ip6[4:4] = 15)))"
		" or ((ip6[4:4] = 16 and (vlan 16 or udp[4:2] > 16)))"
		" or ((ip6[4:4] = 18 and (icmp6 or vlan 18))) or ((protochain 19 and (icmp6 or ip6[4:4] = 19)))"
		" or ((protochain 20 and (udp[4:2] > 20 or vlan 20)))"
		" or ((vlan 21 and (udp[4:2] > 21 or protochain 21)))"
		" or ((vlan 65 and (protochain 65 or udp[4:2] > 65)))"
		" or ((icmp6 and (udp[4:2] > 66 or ip6[4:4] = 66)))";
	struct filter filter;
	int wrong = 0;

	srand(1);
	for (int n = 0; n < 50; n++) {
		const char *chosen[3], *form = forms[rand() % 3];
		char text[16384], *end = text;

		for (int i = 0; i < 3; i++)
			chosen[i] = kinds[rand() % (sizeof(kinds) / sizeof(*kinds))];
		for (int i = 1; i <= 66; i++) {
			int first = rand() % 3;
			char parts[3][64];

			for (int j = 0; j < 3; j++)
				snprintf(parts[j], sizeof(parts[j]), chosen[(first + j) % 3], i);
			end += sprintf(end, "%s", i == 1 ? "" : form == forms[2] ? " and " : " or ");
			end += sprintf(end, form, parts[0], parts[1], parts[2]);
		}
		if (!filter_compile(&filter, text, 0, LINK_ETHERNET, PIECES_NONE) && filter.insns)
			wrong += !keeps_promises(&filter);
		filter_free(&filter);
	}
	is_number(wrong, 0, "what is made of long filters keeps its promises");
	wrong = filter_compile(&filter, jumps, 0, LINK_ETHERNET, PIECES_NONE) || !keeps_promises(&filter);
	is_number(wrong, 0, "nothing is put in front of a jump that only jumps lead to");
	filter_free(&filter);
}

static void test_long(void)
{
	static const char *const formats[] = {
		"host 10.0.0.%d", "port %d", "net 10.%d.0.0/16", "portrange %d-999",
		"host 2001:db8::%d", "not port %d", "tcp[%d] = 3", "(host 1.1.1.%d or tcp)",
		"ether[%d] & 6 = 2", "protochain %d",
	};
	struct filter filter;

	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		char *text = repeat(formats[i], i & 1 ? " and " : " or ", 200);
		int err = filter_compile(&filter, text, 0, LINK_ETHERNET, PIECES_NONE);

		ok(!err && keeps_promises(&filter) && reads_again(&filter) && filter.len < 10000,
		   "200 times %s: %zu instructions", formats[i], filter.len);
		filter_free(&filter);
		free(text);
	}
	for (int depth = 6; depth <= 13; depth++) { /* what does not fit on the stack with fields fits without */
		char text[8192] = "protochain 17 and ", *end = text + strlen(text);
		int err;

		for (int i = 0; i < depth; i++)
			end += sprintf(end, "ip[%d]+(", i);
		end += sprintf(end, "ip[9]%.*s > 5", depth, "))))))))))))))))");
		for (int i = 1; i <= 12; i++)
			end += sprintf(end, " or (tcp src port %d and src host 9.9.9.%d) or (udp dst port %d and dst host "
				       "9.9.9.3) or src host 2001::%d or dst host 2001::%d", i, i, i, i, i);
		err = filter_compile(&filter, text, 0, LINK_ETHERNET, PIECES_ASKED_FOR);
		ok(!err && (filter.pieces || filter.no_pieces), "a long filter, and %d numbers to keep", depth);
		filter_free(&filter);
	}
	{ /* walks of chains that are done at the beginning because there is room leave the room that others need */
		const char *chains = "(ip protochain 1 or 2 or 3 or ip6 protochain 4 or 5 or 58)";
		char text[2048];
		int err;

		sprintf(text, "%s or vlan 1 and %s or vlan 2 and %s or vlan and (src host 10.0.0.1 and dst host 10.0.0.2 or "
			"src host 2001:db8::1 and dst host 2001:db8::2 or tcp src port 1 and dst port 2 or tcp dst port 5 and "
			"src port 6 or protochain 6 or 17 or 50) or ip[0] + ip[1] = 5", chains, chains, chains);
		err = filter_compile(&filter, text, 0, LINK_ETHERNET, PIECES_COPIED);
		ok(!err && filter.pieces_len, "many chains, many fields, and frames in pieces");
		filter_free(&filter);
	}
	for (int n = 100; n <= 10000; n *= 10) {
		char *text = repeat("(ip[%d] = ip[8] or ip6 protochain 7)", " and ", n);
		int err = filter_compile(&filter, text, 0, LINK_ETHERNET, PIECES_NONE);

		ok(err ? err == -EINVAL && strstr(filter.error, "too long") != NULL :
			 keeps_promises(&filter), "%d long ones: compiled, or too long", n);
		filter_free(&filter);
		free(text);
	}
}

static const char *const frames[] = { TCP, UDP, OPTIONS, LATER, ARP, TCP6, FRAG6, HOPS6, TAGGED, ARPTAG, QINQ,
				      MPLS, STP };

/* For how many frames, each cut to many lengths, does a long filter decide otherwise than a short one, of which
 * the tests are not joined? */
static int differing(const char *expression)
{
	struct filter filter, asked, copied;
	const char *long_one = lengthened(expression, 1);
	int differ = filter_compile(&filter, expression, 0, LINK_ETHERNET, PIECES_COPIED) ||
		     filter_compile(&asked, long_one, 0, LINK_ETHERNET, PIECES_ASKED_FOR) ||
		     filter_compile(&copied, long_one, 0, LINK_ETHERNET, PIECES_COPIED);

	for (size_t i = 0; i < sizeof(frames) / sizeof(*frames) && !differ; i++) {
		struct frame f = frame(frames[i], 0);
		struct machine m;

		for (size_t len = f.len; len >= 14; len -= 5) {
			int result;

			f.len = len;
			result = run_compiled(&m, &filter, &f, 0);
			differ += run_compiled(&m, &asked, &f, 0) != result || run_compiled(&m, &copied, &f, 0) != result;
		}
	}
	filter_free(&filter);
	filter_free(&asked);
	filter_free(&copied);
	return differ;
}

/* How often a filter branches: jumps that lead nowhere are for the verifier alone. */
static int branches(const char *expression)
{
	struct filter filter;
	int n = 0;

	if (filter_compile(&filter, expression, 0, LINK_ETHERNET, 0))
		return -1;
	for (size_t i = 0; i < filter.len; i++)
		n += (BPF_CLASS(filter.insns[i].code) == BPF_JMP || BPF_CLASS(filter.insns[i].code) == BPF_JMP32) &&
		     filter.insns[i].off && BPF_OP(filter.insns[i].code) != BPF_JA && BPF_OP(filter.insns[i].code) != BPF_EXIT;
	filter_free(&filter);
	return n;
}

/* In a filter of many ways, tests that lead to the same become one. */
static void test_joined(void)
{
	static const char *const primitives[] = {
		"tcp", "arp", "port 53", "src and dst portrange 53-1024", "tcp dst portrange 8000-9000",
		"src host 10.0.0.1", "net 192.168.2.0/24", "dst net 128.0.0.0/1", "host 2001:db8::1", "dst net fe80::/10",
		"ether src 2:0:0:0:0:1", "ether multicast", "ip[6:2] & 0x1fff = 0", "ip[8] > 63", "ether[12:4] >= 0x86dd6000",
		"len > 60", "stp", "vlan 100 and port 53", "vlan and host 10.0.0.2", "vlan and src net 10.0.0.0/30",
		"ip broadcast", "tcp[tcpflags] & tcp-syn != 0", "atalk",
		"host 0.0.0.0", "host ::", "src net 0.0.0.0/1", "ip[0] < 0", "len >= 0",
	};
	static const char *const forms[] = {
		"%s and %s", "not (%s) and not (%s)", "not (%s) or (%s)",
		"(%1$s and not (%2$s)) or (%2$s and not (%1$s))",
	};
	static const struct {
		const char *format;
		int most;
	} repeated[] = {
		{ "(host 10.0.0.%1$d and port %1$d)", 4 }, { "(vlan %1$d and port %1$d)", 6 }, { "vlan %d", 2 },
		{ "(vlan %1$d and host 10.0.0.%1$d)", 6 },
		{ "(ipx and atalk or len = %d)", 4 }, { "(l1 or host 10.0.0.%d)", 2 },
		{ "(port %d and tcp[tcpflags] & tcp-syn != 0)", 6 },
	};
	char text[256];

	for (size_t form = 0; form < sizeof(forms) / sizeof(*forms); form++) {
		int differ = 0;

		for (size_t i = 0; i < sizeof(primitives) / sizeof(*primitives); i++)
			for (size_t j = i; j < sizeof(primitives) / sizeof(*primitives); j++) {
				snprintf(text, sizeof(text), forms[form], primitives[i], primitives[j]);
				if (differing(text) && differ++ < 5)
					printf("# %s\n", text);
			}
		ok(!differ, "%s: the same frames as one by one", forms[form]);
	}
	for (size_t i = 0; i < sizeof(repeated) / sizeof(*repeated); i++) {
		char *few = repeat(repeated[i].format, " or ", 50), *many = repeat(repeated[i].format, " or ", 100);
		int n = branches(many) - branches(few);

		ok(n > 0 && n <= 50 * repeated[i].most, "%s: %d branches for fifty of it", repeated[i].format, n);
		free(few);
		free(many);
	}
}

int main(void)
{
	test_primitives();
	test_grammar();
	test_short_frames();
	test_refusals();
	test_decoded_protocol();
	test_links();
	test_code();
	test_needs();
	test_long();
	test_mixed();
	test_joined();
	return done();
}
