// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "failure.h"
#include "load_hints.h"

#define ENOTSUPP 524

/* Linux 5.8 split them off CAP_SYS_ADMIN; headers may be older. */
enum { NET_ADMIN = 12, SYS_ADMIN = 21, PERFMON = 38, BPF = 39 };

static const struct { int number; const char *name; } needed[] = {
	{ BPF, "CAP_BPF" }, { NET_ADMIN, "CAP_NET_ADMIN" }, { PERFMON, "CAP_PERFMON" },
};

static __u64 effective_capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return 0;
	return data[0].effective | (__u64)data[1].effective << 32;
}

/* The capabilities that loading an XDP program wants and this process lacks, by name; on a kernel
 * that does not know CAP_BPF that is CAP_SYS_ADMIN. Empty: nothing is missing. */
static const char *missing_capabilities(char text[64])
{
	__u64 held = effective_capabilities();

	text[0] = '\0';
	if (held & 1ull << SYS_ADMIN)
		return text;
	if (prctl(PR_CAPBSET_READ, BPF) < 0)
		return strcpy(text, "CAP_SYS_ADMIN");
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!(held & 1ull << needed[i].number))
			strcat(strcat(text, text[0] ? ", " : ""), needed[i].name);
	return text;
}

static int kernel_before(unsigned int major, unsigned int minor, char release[65])
{
	struct utsname name;
	char *end;
	unsigned long first;

	uname(&name);
	snprintf(release, 65, "%s", name.release);
	first = strtoul(name.release, &end, 10);
	return first < major || (first == major && *end == '.' && strtoul(end + 1, NULL, 10) < minor);
}

int memlock_raise(void)
{
	struct rlimit limit, wanted = { RLIM_INFINITY, RLIM_INFINITY };
	char text[65];

	if (*missing_capabilities(text) || !kernel_before(5, 11, text))
		return 0;
	if (prlimit(0, RLIMIT_MEMLOCK, NULL, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return 0;
	if (!prlimit(0, RLIMIT_MEMLOCK, &wanted, NULL))
		return 1;
	if (limit.rlim_cur == limit.rlim_max)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	return !prlimit(0, RLIMIT_MEMLOCK, &limit, NULL);
}

/* 1: this process is in a user namespace of its own, where capabilities do not count for bpf(2).
 * 0: it is not, or /proc does not say. */
static int in_user_namespace(void)
{
	char map[64] = "";
	int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
	char *at = map;
	unsigned long inside, outside;

	if (fd < 0)
		return 0;
	if (read(fd, map, sizeof(map) - 1) < 0)
		map[0] = '\0';
	close(fd);
	inside = strtoul(at, &at, 10);
	outside = strtoul(at, &at, 10);
	return *map && (inside || outside || strtoul(at, NULL, 10) != 4294967295u);
}

static void lacking(struct failure *failure, const char *missing)
{
	int split = prctl(PR_CAPBSET_READ, BPF) >= 0;

	fail_reason(failure, "%s: %s missing", strerror(failure->err), missing);
	fail_next(failure, "run it as root, or: setcap %s+ep xguard",
		  split ? "cap_bpf,cap_net_admin,cap_perfmon" : "cap_sys_admin,cap_net_admin");
}

/* EPERM, and EACCES without a word of the verifier: first what is most often the cause. */
static void denied(struct failure *failure)
{
	struct rlimit limit = { 0, 0 };
	char missing[64], release[65];
	int charged = kernel_before(5, 11, release);

	if (in_user_namespace()) {
		fail_next(failure, "a user namespace has no say over bpf(2): run xguard as root of "
			  "the host (container: --privileged, without --userns)");
	} else if (*missing_capabilities(missing)) {
		lacking(failure, missing);
	} else if (failure->err == EACCES) {
		fail_next(failure, "a security module denies it; SELinux: ausearch -m avc -c xguard");
	} else if (prctl(PR_GET_SECCOMP) == 2) {
		fail_next(failure, "a seccomp filter keeps bpf(2) from this process: allow it in the "
			  "container's profile (docker: --security-opt seccomp=unconfined)");
	} else if (charged && !prlimit(0, RLIMIT_MEMLOCK, NULL, &limit) &&
		   limit.rlim_cur != RLIM_INFINITY) {
		fail_reason(failure, "%s: more locked memory than the limit of %llu KiB, and it "
			    "cannot be raised without CAP_SYS_RESOURCE", strerror(failure->err),
			    (unsigned long long)limit.rlim_cur / 1024);
		fail_next(failure, "ulimit -l unlimited, or a smaller --max-flows");
	} else {
		fail_next(failure, "something beside capabilities keeps bpf(2) from this process: a "
			  "security module, or kernel lockdown on an old kernel (see dmesg)");
	}
}

static int says(const char *log, const char *text)
{
	return log && strstr(log, text);
}

#define JIT_ADVICE "switch the kernel's BPF JIT on: sysctl -w net.core.bpf_jit_enable=1"

/* The verifier's refusals that have a cause outside the program. Returns 1 where one is known. */
static int refused(struct failure *failure, const char *log)
{
	/* "unknown func ...", "cannot use helper ..."; a call that is taken shows as "call ..." */
	int no_printk;
	char missing[64];

	if (says(log, "requires BPF JIT")) {
		fail_next(failure, JIT_ADVICE);
		return 1;
	}
	no_printk = says(log, "func bpf_trace_printk#") || says(log, "helper bpf_trace_printk#");
	if (!no_printk && !says(log, "prohibited"))
		return 0;
	if (*missing_capabilities(missing)) {
		lacking(failure, missing);
		return 1;
	}
	if (!no_printk)
		return 0;
	fail_next(failure, "this kernel is built without CONFIG_BPF_EVENTS, which the kernel trace "
		  "needs: use --userspace-trace");
	return 1;
}

/* No privilege is missing, and the cause is not known better: what the kernel is. */
static void other(struct failure *failure, int program)
{
	char release[65];

	kernel_before(0, 0, release);
	switch (failure->err) {
	case ENOSYS:
		fail_next(failure, "this kernel (%s) is built without CONFIG_BPF_SYSCALL", release);
		break;
	case ENOTSUPP:
		fail_next(failure, "this CPU's BPF JIT cannot compile the program, and the kernel is "
			  "built without the interpreter (CONFIG_BPF_JIT_ALWAYS_ON)");
		break;
	case ENOMEM:
		fail_next(failure, "the kernel has no room for it (a memory cgroup's limit counts "
			  "too)%s", program ? "" : ": try a smaller --max-flows");
		break;
	case E2BIG:
		if (!program)
			fail_reason(failure, "more than this kernel can hold in one map");
		fail_next(failure, program ? "it is more than this kernel's verifier looks through: "
			  "try a shorter filter" : "try a smaller --max-flows");
		break;
	case EMFILE:
	case ENFILE:
		fail_next(failure, "each link takes some: raise the limit (ulimit -n), or trace fewer links");
		break;
	default:
		fail_next(failure, "Linux 5.10 and later are known to take what xguard is built "
			  "with, this is %s: please report it", release);
	}
}

int load_advice(struct failure *failure, const char *log)
{
	if (refused(failure, log))
		return 1;
	if (failure->err == EPERM || (failure->err == EACCES && !(log && *log)))
		denied(failure);
	else
		other(failure, log != NULL);
	return 0;
}

int load_preemptible(void)
{
	struct utsname name;
	char release[65];

	return !uname(&name) && strstr(name.version, "PREEMPT_RT") && !kernel_before(6, 18, release);
}

#if defined(__riscv) || defined(__aarch64__)
/*
 * Since Linux 6.10 these JITs make the CPU's number themselves, and the verifier leaves the helper's
 * call to them, JIT or no JIT: the interpreter then calls what is no function. 7.2 refuses to load.
 */
int load_refuse_interpreter(struct failure *failure)
{
	int fd = open("/proc/sys/net/core/bpf_jit_enable", O_RDONLY | O_CLOEXEC);
	char off = '1', release[65];

	if (fd < 0)
		return 0;
	if (read(fd, &off, 1) != 1)
		off = '1';
	close(fd);
	if (off != '0' || kernel_before(6, 10, release))
		return 0;
	fail(failure, EINVAL, "load the XDP program");
	fail_reason(failure, "Linux %s cannot interpret it", release);
	fail_next(failure, JIT_ADVICE);
	return -EINVAL;
}
#else
int load_refuse_interpreter(struct failure *failure)
{
	(void)failure;
	return 0;
}
#endif
