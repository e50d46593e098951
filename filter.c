// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "filter.h"
#include "packet.h"

static const struct bpf_insn *add(struct filter *filter, __u8 code, __u8 dst, __u8 src, __s16 off,
				  __s32 imm)
{
	struct bpf_insn *insn = &filter->insns[filter->len++];

	*insn = (struct bpf_insn){ .code = code, .dst_reg = dst, .src_reg = src, .off = off,
				   .imm = imm };
	return insn;
}

/* r0 = the decoded protocol is this one. */
static void test_protocol(struct filter *filter, unsigned int protocol)
{
	int two = protocol == IPPROTO_ICMP;

	add(filter, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	add(filter, BPF_LDX | BPF_MEM | BPF_B, 2, 1,
	    offsetof(struct packet, key) + offsetof(struct flow_key, present), 0);
	add(filter, BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, FIELD_PROTOCOL);
	add(filter, BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 3 + two, 0);
	add(filter, BPF_LDX | BPF_MEM | BPF_B, 2, 1,
	    offsetof(struct packet, key) + offsetof(struct flow_key, protocol), 0);
	if (two)
		add(filter, BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 1, IPPROTO_ICMPV6);
	add(filter, BPF_JMP | BPF_JNE | BPF_K, 2, 0, 1, protocol);
	add(filter, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
	add(filter, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

int filter_compile(struct filter *filter, const char *expression, unsigned int protocol,
		   unsigned int link_type)
{
	(void)link_type;
	memset(filter, 0, sizeof(*filter));
	if (expression && expression[strspn(expression, " \t\n")]) {
		strcpy(filter->error, "filter expressions are not supported yet");
		filter->column = 1;
		return -EINVAL;
	}
	if (!protocol)
		return 0;
	filter->insns = calloc(16, sizeof(*filter->insns));
	if (!filter->insns)
		return -ENOMEM;
	test_protocol(filter, protocol);
	return 0;
}

void filter_free(struct filter *filter)
{
	free(filter->insns);
	filter->insns = NULL;
	filter->len = 0;
}
