/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames that the tests of filters look at, and a filter run over one of them. */
#ifndef XGUARD_TESTS_FILTER_FRAMES_H
#define XGUARD_TESTS_FILTER_FRAMES_H

#include <stdlib.h>
#include <string.h>

#include "bpf_insn.h"
#include "filter.h"
#include "filter_machine.h"
#include "packet.h"

#define MACS    "020000000002 020000000001 "
#define IP_TO   "0a000001 c0a80201 " /* 10.0.0.1 to 192.168.2.1 */
#define IP6_TO  "20010db8000000000000000000000001 fe800000000000000000000000000002 "
#define TCP     MACS "0800 45000028 00004000 40060000 " IP_TO "01bb1f90 00000001 00000002 50120400" \
		"00000000"
#define UDP     MACS "0800 4500001c 00000000 40110000 " IP_TO "00350400 00080000"
#define OPTIONS MACS "0800 46000020 00000000 40110000 " IP_TO "01010101 00350400 00080000"
#define LATER   MACS "0800 4500001c 00000005 40110000 " IP_TO "00350400 00080000"
#define SHORT_IHL MACS "0800 40000035 00500000 40060000 " IP_TO
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
static inline int run(struct machine *m, const char *expression, unsigned int protocol, unsigned int link,
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
static inline const char *lengthened(const char *expression, int is_mixed)
{
	static char text[8192];
	int at = sprintf(text, "(%s)", expression);

	for (int i = 1; i <= 17 && is_mixed; i++)
		at += sprintf(text + at, " or (src net 5.0.%d.0/24 and port 65000)", i);
	for (int i = 1; i <= (is_mixed ? 16 : 40); i++)
		at += sprintf(text + at, " or dst host 2001:db8::1:%d", i);
	return text;
}

#endif
