// SPDX-License-Identifier: GPL-2.0-or-later
/* The instructions that filters become: the promises that filter.h makes about them; and what long ones are spared. */
#include <errno.h>

#include "filter_frames.h"
#include "tap.h"

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

/* The words of the stack that a filter reads, a bit each. */
static __u64 words_read(const struct filter *filter)
{
	__u64 words = 0;

	for (size_t i = 0; i < filter->len; i++)
		if (BPF_CLASS(filter->insns[i].code) == BPF_LDX && filter->insns[i].src_reg == BPF_REG_10)
			words |= 1ull << (7 - filter->insns[i].off) / 8;
	return words;
}

/* Are all words of the stack that a filter loads loaded once more at its end, one behind the other? And has the
 * verifier been made to remember that it was there? */
static int reads_again(const struct filter *filter)
{
	__u64 loaded = words_read(filter), again = 0;
	size_t end = filter->len - 1;

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

/* Is it written so that the verifier comes where ways meet with no more knowledge by one than by another? Then what
 * has been asked for in vain waits in r9. */
static int is_for_many_ways(const char *format, int n)
{
	char *text = repeat(format, " or ", n);
	struct filter filter;
	int is = filter_compile(&filter, text, 0, LINK_ETHERNET, PIECES_NONE) ? -1 : 0;

	for (size_t i = 0; i < filter.len; i++)
		is |= filter.insns[i].dst_reg == BPF_REG_9;
	filter_free(&filter);
	free(text);
	return is;
}

static void test_ways(void)
{
	static const char *const many[] = {
		"not (host 10.0.0.%d or ip[6] = 3)", "(host 10.0.0.%d or not udp)", "tcp dst portrange 1-%d", "mpls %d",
		"pppoes %d", "ip6[8] = %d", "(host 2001:db8::%1$d or ip6 host 2001:db8::%1$d)",
	};
	static const char *const few[] = { "host 10.0.0.%d", "tcp port %d", "ip6 host 2001:db8::%d", "net 10.%d.0.0/16",
					   "net 2001:db8:%d::/48", "ether host 2:0:0:0:9:%x", "protochain %d" };

	for (size_t i = 0; i < sizeof(many) / sizeof(*many); i++)
		ok(is_for_many_ways(many[i], 40) == 1, "%s: many ways", many[i]);
	for (size_t i = 0; i < sizeof(few) / sizeof(*few); i++)
		ok(!is_for_many_ways(few[i], 240), "%s: few ways", few[i]);
}

/* Of chains behind tags: two words for each header, and for one that is walked in place; and what all long ones have. */
static void test_walks(void)
{
	char *text = repeat("(protochain %d and len > 9)", " or ", 5), all[2048];
	struct filter filter;
	int err;

	sprintf(all, "%s or vlan or %s or vlan or %s or vlan or %s or vlan or %s", text, text, text, text, text);
	err = filter_compile(&filter, all, 0, LINK_ETHERNET, PIECES_NONE);
	ok(!err && keeps_promises(&filter), "chains behind four tags");
	is_number(__builtin_popcountll(words_read(&filter)), 18, "one walk does for both versions of IP");
	filter_free(&filter);
	free(text);
}

/* A word that is stored whole is news to the verifier: not so what waits while the kernel is called. */
static void test_calls(void)
{
	char *text = repeat("(ether[1200] = %d or port 5)", " and ", 40);
	struct filter filter;
	int err = filter_compile(&filter, text, 0, LINK_ETHERNET, PIECES_COPIED), calls = 0, whole = 0;

	for (size_t i = 1; i < filter.pieces_len; i++) {
		if (filter.pieces[i].code != (BPF_JMP | BPF_CALL))
			continue;
		calls++;
		whole += filter.pieces[i - 1].code == (BPF_STX | BPF_MEM | BPF_DW);
	}
	ok(!err && calls > 40, "bytes that are not copied: %d calls", calls);
	is_number(whole, 0, "no word is stored whole in front of them");
	filter_free(&filter);
	free(text);
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
		"tcp portrange 0-5000",
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

/* A packet behind so many labels or tags, or a session and labels in it. */
static struct frame behind(const char *packet, int outer, int n)
{
	static const char *const begins[] = { "", "8100 0001 ", "8847", "8864 11000001 0028 " };
	struct frame f = frame(packet, 0);
	char text[512];
	int at = sprintf(text, "%s", MACS), six = f.bytes[12] == 0x86;

	for (int i = 1; i < n && outer == 1; i++)
		at += sprintf(text + at, "8100 0001 ");
	at += sprintf(text + at, "%s", begins[outer]);
	if (outer == 3)
		at += sprintf(text + at, n ? "0281" : six ? "0057" : "0021");
	for (int i = 0; i < n && outer > 1; i++)
		at += sprintf(text + at, "00001%x40", i == n - 1);
	if (outer < 2)
		at += sprintf(text + at, six ? "86dd" : "0800");
	for (size_t i = 14; i < f.len; i++)
		at += sprintf(text + at, "%02x", f.bytes[i]);
	return frame(text, 0);
}

/* Frames of which the code for all headers says something else than that for frames in one piece. */
static int headers_differ(const char *expression)
{
	static const char *const packets[] = { TCP, UDP, OPTIONS, LATER, SHORT_IHL, TCP6, FRAG6, HOPS6 };
	char *more = repeat("(mpls and not tcp portrange 5-%1$d or not tcp port %1$d or udp port %1$d or "
			    "not udp portrange 9-%1$d or sctp port %1$d)", " and ", 40), text[16384];
	struct filter filter;
	int differ, stores = 0;

	snprintf(text, sizeof(text), "%s or (less 1 and %s)", expression, more);
	free(more);
	differ = filter_compile(&filter, text, 0, LINK_ETHERNET, PIECES_COPIED);
	for (size_t i = 0; i < filter.pieces_len; i++)
		stores += BPF_CLASS(filter.pieces[i].code) == BPF_STX && filter.pieces[i].dst_reg != BPF_REG_10;
	differ += !stores || !filter.pieces_alone;
	for (size_t i = 0; i < sizeof(packets) / sizeof(*packets); i++)
		for (int outer = 0; outer < 4; outer++)
			for (int n = !outer; n < (outer ? 4 : 2); n++) {
				struct frame f = behind(packets[i], outer, n);
				struct machine m;

				for (; f.len >= 14 && !differ; f.len--)
					differ += run_compiled(&m, &filter, &f, 0) < 0;
			}
	filter_free(&filter);
	return differ;
}

/* Where there are ports behind many tags or labels, those of all headers are put into scratch memory first. */
static void test_headers(void)
{
	static const char *const outer[] = { "vlan and vlan and vlan", "mpls", "mpls 1 and mpls and mpls", "pppoes",
					     "pppoes 1 and mpls and mpls" };
	static const char *const inner[] = {
		"(port 443 or tcp port 8080)", "not (src port 53 or dst portrange 1000-2000)",
		"(tcp portrange 1-65000 or not portrange 0-52)",
		"(tcp[13] = 18 or port 1 or port 2)", "(not tcp[13] = 18 or port 1 or port 2)",
		"(proto 17 or ip6 proto 17 or src port 7 or src port 8)",
		"(sctp port 5 or ip6 protochain 0 or not udp src port 53)",
	};
	char text[256];

	for (size_t i = 0; i < sizeof(outer) / sizeof(*outer); i++) {
		int differ = 0;

		for (size_t j = 0; j < sizeof(inner) / sizeof(*inner); j++) {
			snprintf(text, sizeof(text), "%s and %s", outer[i], inner[j]);
			if (headers_differ(text) && ++differ)
				printf("# %s\n", inner[j]);
		}
		ok(!differ, "%s: the same frames with the ports of all headers", outer[i]);
	}
}

int main(void)
{
	test_code();
	test_needs();
	test_long();
	test_mixed();
	test_ways();
	test_walks();
	test_calls();
	test_joined();
	test_headers();
	return done();
}
