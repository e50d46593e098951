// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <linux/capability.h>
#include <linux/mount.h>

#include "bpf.h"
#include "confine.h"
#include "probe.h"
#include "run.h"

#ifndef BPF_F_XDP_HAS_FRAGS
#define BPF_F_XDP_HAS_FRAGS (1u << 5)
#endif

/* Linux 5.8 split them off CAP_SYS_ADMIN; headers may be older. */
enum { NET_ADMIN = 12, SYS_ADMIN = 21, PERFMON = 38, BPF = 39, DAC_OVERRIDE = 1 };

void probe_row(struct output *out, const char *name, const char *answer, const char *meaning,
	       const char *next)
{
	output_format(out, "%-22s %s%s%s\n", name, answer, *answer && *meaning ? ": " : "",
		      meaning);
	if (next && *next)
		output_format(out, "%-22s %s\n", "", next);
}

void probe_failure(struct output *out, const char *name, const struct failure *failure)
{
	output_format(out, "%-22s no: %s: %s\n", name, failure->step, failure->reason);
	if (failure->next[0])
		output_format(out, "%-22s %s\n", "", failure->next);
}

/* Those that count, held and not. */
static void say_capabilities(struct output *out)
{
	static const struct { int number; const char *name, *without; } all[] = {
		{ NET_ADMIN, "CAP_NET_ADMIN", "no trace" },
		{ BPF, "CAP_BPF", "no trace" },
		{ PERFMON, "CAP_PERFMON", "no trace" },
		{ SYS_ADMIN, "CAP_SYS_ADMIN", "no kernel trace" },
		{ DAC_OVERRIDE, "CAP_DAC_OVERRIDE", "no kernel trace" },
	};
	__u64 held = confine_capabilities();
	int old = prctl(PR_CAPBSET_READ, BPF) < 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int split = all[i].number >= PERFMON;

		if (held >> all[i].number & 1)
			probe_row(out, all[i].name, "yes", "", NULL);
		else if (split && (old || held >> SYS_ADMIN & 1))
			probe_row(out, all[i].name, "no", "CAP_SYS_ADMIN stands for it", NULL);
		else
			probe_row(out, all[i].name, "no", all[i].without,
				  "run it as root, or with that");
	}
}

static void say_lockdown(struct output *out)
{
	int fd = open("/sys/kernel/security/lockdown", O_RDONLY | O_CLOEXEC);
	char text[64] = "";
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		probe_row(out, "lockdown", "unknown", "/sys/kernel/security does not say", NULL);
	else if (strstr(text, "[confidentiality]"))
		probe_row(out, "lockdown", "confidentiality", "tracefs is closed, no kernel trace",
			  "use --userspace-trace");
	else
		probe_row(out, "lockdown", strstr(text, "[none]") ? "none" : "integrity", "", NULL);
}

static void say_frags(struct output *out)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	const struct bpf_prog_spec spec = {
		.name = PROGRAM_NAME, .type = BPF_PROG_TYPE_XDP, .flags = BPF_F_XDP_HAS_FRAGS,
		.insns = code, .len = 2, .license = "GPL",
	};
	int fd = bpf_prog_load(&spec);

	if (fd >= 0)
		close(fd);
	probe_row(out, "frames in parts", fd >= 0 ? "yes" : "no", fd >= 0 ? "" :
		  "before Linux 5.18: a large MTU means generic mode", NULL);
}

/* What there is to say once maps and a program are there. */
static void say_bpf(struct output *out, const struct run *run)
{
	struct bpf_prog_info info = { .type = 0 };
	struct flow_key key, next;
	struct flow_count count;
	__u32 n = 1;
	int err = bpf_map_lookup_batch(run->maps.flows, NULL, &next, &key, &count, &n);
	int batches = !err || err == -ENOENT;

	probe_row(out, "maps in memory", "yes", "", NULL); /* or they could not have been made */
	probe_row(out, "batches of flows", batches ? "yes" : "no", batches ? "" :
		  "before Linux 5.6: they are read one by one", NULL);
	say_frags(out);
	if (bpf_obj_info(run->links[0].program, &info, sizeof(info)))
		probe_row(out, "JIT", "unknown", "the kernel does not say", NULL);
	else if (info.jited_prog_len)
		probe_row(out, "JIT", "yes", "", NULL);
	else
		probe_row(out, "JIT", "no", "the program runs in an interpreter, several times "
			  "slower", "sysctl net.core.bpf_jit_enable=1");
}

/* The kernel trace. Returns 0, or 1 where it cannot run. */
static int try_kernel_trace(struct run *run)
{
	struct output *out = &run->output;
	struct failure failure;
	int err, fs = syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);

	probe_row(out, "tracefs unmounted", fs >= 0 ? "yes" : "no", fs >= 0 ? "" : strerror(errno),
		  fs >= 0 ? NULL : "it takes Linux 5.2 and CAP_SYS_ADMIN; else mount tracefs on "
		  "/sys/kernel/tracing");
	if (fs >= 0)
		close(fs);
	run->options.trace = TRACE_KERNEL;
	err = run_prepare(run, &failure);
	if (run->trace.pipe >= 0)
		probe_row(out, "tracing instance", run->trace.instance[0] ? "yes" : "no", run->note,
			  NULL);
	if (err)
		probe_failure(out, "kernel trace", &failure);
	else
		probe_row(out, "kernel trace", "yes", "", NULL);
	run_close(run);
	return err != 0;
}

/* The userspace trace, and the links with its program. */
static int try_userspace_trace(struct run *run, const struct link_info *links, size_t n)
{
	struct output *out = &run->output;
	struct failure failure;
	int err, bad = 0;

	run->options.trace = TRACE_USERSPACE;
	err = run_prepare(run, &failure);
	if (!err)
		say_bpf(out, run);
	if (err)
		probe_failure(out, "userspace trace", &failure);
	else
		probe_row(out, "userspace trace", "yes", "", NULL);
	for (size_t i = 0; i < n; i++) {
		struct run_link *link = err ? NULL : run_link_of(run, links[i].ifindex);

		bad |= probe_link(out, &run->guardian, &links[i], link ? link->program : -1);
	}
	run_close(run);
	return bad | (err != 0);
}

int probe(struct run *run, struct failure *failure)
{
	static struct link_info links[INTERFACES_MAX];
	struct options *options = &run->options;
	size_t n = options->ninterfaces;
	int bad, err = 0, nl = netlink_open(0, failure);
	struct utsname kernel;

	if (nl < 0)
		return nl;
	for (size_t i = 0; i < n && !err; i++)
		err = netlink_link(nl, options->interfaces[i], 0, &links[i], failure);
	close(nl);
	if (err)
		return err;
	options->all = 0;
	if (!n) /* a program is made for a link; nothing is attached to this one */
		options->interfaces[options->ninterfaces++] = "lo";
	uname(&kernel);
	probe_row(&run->output, "kernel", kernel.release, kernel.machine, NULL);
	say_capabilities(&run->output);
	say_lockdown(&run->output);
	bad = try_userspace_trace(run, links, n);
	run->nlinks = 0;
	run_begin(run);
	return try_kernel_trace(run) | bad;
}
