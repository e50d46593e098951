// SPDX-License-Identifier: GPL-2.0-or-later
/* hold-link IFACE: attach a program by a BPF link and hold it until a signal ends this process. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/bpf.h>

#include "bpf.h"

unsigned int if_nametoindex(const char *name); /* <net/if.h> does not go with <linux/if.h> */

int main(int argc, char **argv)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 2 /* XDP_PASS */ },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_prog_spec spec = {
		.name = "held_by_link", .type = BPF_PROG_TYPE_XDP, .insns = code, .len = 2,
		.license = "GPL",
	};
	union bpf_attr attr;

	if (argc != 2)
		return 2;
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = bpf_prog_load(&spec);
	attr.link_create.target_ifindex = if_nametoindex(argv[1]);
	attr.link_create.attach_type = BPF_XDP;
	if (syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr)) < 0) {
		perror(argv[1]);
		return 1;
	}
	puts("held");
	fflush(stdout);
	pause();
	return 0;
}
