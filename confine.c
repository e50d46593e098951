// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "bpf.h"
#include "confine.h"
#include "packet.h"

#define CAP(number) (1ull << (number))

/* Linux 5.8 split it off CAP_SYS_ADMIN; headers may be older. */
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

/* What the kernel calls this architecture. A sanitizer makes calls of its own: no filter there. */
#if defined(__SANITIZE_ADDRESS__)
#define ARCHITECTURE 0
#elif defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define ARCHITECTURE AUDIT_ARCH_I386
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__ARM_EABI__)
#define ARCHITECTURE (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? AUDIT_ARCH_ARMEB : AUDIT_ARCH_ARM)
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#elif defined(__s390x__)
#define ARCHITECTURE AUDIT_ARCH_S390X
#elif defined(__powerpc64__)
#define ARCHITECTURE \
	(__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? AUDIT_ARCH_PPC64 : AUDIT_ARCH_PPC64LE)
#elif defined(__mips__) && _MIPS_SIM == _ABIO32
#define ARCHITECTURE (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? AUDIT_ARCH_MIPS : AUDIT_ARCH_MIPSEL)
#elif defined(__mips__) && _MIPS_SIM == _ABI64
#define ARCHITECTURE \
	(__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? AUDIT_ARCH_MIPS64 : AUDIT_ARCH_MIPSEL64)
#else
#define ARCHITECTURE 0
#endif

/* musl's names of what a 32-bit kernel has two of. */
#ifdef SYS_clock_gettime32
#define SYS_clock_gettime SYS_clock_gettime32
#define SYS_clock_nanosleep SYS_clock_nanosleep_time32
#endif

#define ONLY(need) (0xff00 | (need)) /* what follows is let through for that alone */

/* What is let through, the frequent ones first; musl and glibc differ in which of several calls
 * they make, and 32-bit ones have got new numbers since Linux 5.1. */
static const unsigned short calls[] = {
	SYS_ppoll, SYS_read, SYS_write, SYS_rt_sigprocmask, SYS_clock_gettime,
#ifdef SYS_ppoll_time64
	SYS_ppoll_time64,
#endif
#ifdef SYS_clock_gettime64
	SYS_clock_gettime64,
#endif
	SYS_writev, SYS_rt_sigreturn, SYS_restart_syscall,
#ifdef SYS_sigreturn
	SYS_sigreturn,
#endif
#ifdef SYS_poll
	SYS_poll,
#endif
	SYS_sendto, SYS_sendmsg, SYS_recvfrom, SYS_recvmsg, /* the guardian */
#ifdef SYS_send
	SYS_send,
#endif
#ifdef SYS_recv
	SYS_recv,
#endif
#ifdef __i386__
	SYS_socketcall, /* glibc */
#endif
	SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise,
#ifdef SYS_mmap
	SYS_mmap,
#endif
#ifdef SYS_mmap2
	SYS_mmap2,
#endif
	SYS_membarrier, SYS_nanosleep, SYS_clock_nanosleep, SYS_rt_sigaction,
#ifdef SYS_clock_nanosleep_time64
	SYS_clock_nanosleep_time64,
#endif
	SYS_close, SYS_wait4, SYS_exit, SYS_exit_group,
	ONLY(CONFINE_SERVE), SYS_accept4, SYS_setsockopt, SYS_shutdown, SYS_fcntl,
#ifdef SYS_fcntl64
	SYS_fcntl64,
#endif
	ONLY(CONFINE_FILES), SYS_openat, SYS_renameat2, SYS_unlinkat,
#ifdef SYS_renameat
	SYS_renameat,
#endif
#ifdef SYS_open
	SYS_open, SYS_rename, SYS_unlink,
#endif
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* The low half of an argument: all that the kernel looks at of an int. */
#define ARGUMENT(n) (offsetof(struct seccomp_data, args[n]) + \
		     (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0))

#define LOAD(at)      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at)
#define IF(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define RETURN(what)  BPF_STMT(BPF_RET | BPF_K, what)
#define REFUSE        RETURN(SECCOMP_RET_ERRNO | EPERM)

#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000u /* Linux 4.14; to an older one that is to kill, too */
#endif

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static int filter_calls(unsigned int needs)
{
	static const struct sock_filter head[] = {
		LOAD(offsetof(struct seccomp_data, arch)),
		IF(ARCHITECTURE, 1, 0),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		LOAD(offsetof(struct seccomp_data, nr)),
		IF(SYS_bpf, 0, 6),
		LOAD(ARGUMENT(0)),
		IF(BPF_MAP_LOOKUP_ELEM, 3, 0),
		IF(BPF_MAP_GET_NEXT_KEY, 2, 0),
		IF(BPF_MAP_LOOKUP_BATCH, 1, 0),
		REFUSE,
		RETURN(SECCOMP_RET_ALLOW),
	};
	/* Not what types into a terminal (TIOCSTI); and who is suspended by Ctrl+Z does it himself. */
	const struct sock_filter terminal[] = {
		IF(SYS_ioctl, 0, 6),
		LOAD(ARGUMENT(1)),
		IF(TCGETS, 3, 0),
		IF(TCSETS, 2, 0),
		IF(TIOCGWINSZ, 1, 0),
		REFUSE,
		RETURN(SECCOMP_RET_ALLOW),
		IF(SYS_kill, 0, 4),
		LOAD(ARGUMENT(0)),
		IF(getpid(), 1, 0),
		REFUSE,
		RETURN(SECCOMP_RET_ALLOW),
	};
	struct sock_filter code[LENGTH(head) + LENGTH(terminal) + 2 * CALLS + 1], *end;
	struct sock_fprog program = { .filter = code };
	unsigned int wanted = 1;

	memcpy(code, head, sizeof(head));
	end = code + LENGTH(head);
	if (needs & CONFINE_TERMINAL)
		end = mempcpy(end, terminal, sizeof(terminal));
	for (size_t i = 0; i < CALLS; i++) {
		if (calls[i] >= ONLY(0)) {
			wanted = calls[i] & needs & 0xff;
		} else if (wanted) {
			*end++ = (struct sock_filter)IF(calls[i], 0, 1);
			*end++ = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
		}
	}
	*end++ = (struct sock_filter)REFUSE;
	program.len = end - code;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) ? -errno : 0;
}

static int ask_capabilities(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };

	return syscall(SYS_capget, &header, data) ? -errno : 0;
}

__u64 confine_capabilities(void)
{
	struct __user_cap_data_struct data[2];

	if (ask_capabilities(data))
		return 0;
	return data[0].effective | (__u64)data[1].effective << 32;
}

static int set_capabilities(__u64 effective, __u64 permitted)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	const struct __user_cap_data_struct data[2] = {
		{ .effective = effective, .permitted = permitted },
		{ .effective = effective >> 32, .permitted = permitted >> 32 },
	};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

int confine_effective(__u64 capabilities)
{
	struct __user_cap_data_struct data[2];
	int err = ask_capabilities(data);

	return err ? err : set_capabilities(capabilities, data[0].permitted |
					    (__u64)data[1].permitted << 32);
}

int confine_keep(__u64 capabilities)
{
	int err;

	capabilities &= confine_capabilities();
	err = set_capabilities(capabilities, capabilities);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !err)
		err = -errno;
	return err;
}

/*
 * By trying, not by version, since distributions backport: no capability, then CAP_BPF, and
 * CAP_SYS_ADMIN before that was split off.
 */
static __u64 wanted_for_lookups(int map)
{
	static const __u64 choice[] = { 0, CAP(CAP_BPF), CAP(CAP_SYS_ADMIN) };
	__u64 held = confine_capabilities();
	struct link_count value;
	const __u32 key = 0;

	for (size_t i = 0; i < sizeof(choice) / sizeof(choice[0]); i++)
		if (!(choice[i] & ~held) && !set_capabilities(choice[i], held) &&
		    bpf_map_lookup(map, &key, &value) != -EPERM)
			return choice[i];
	return 0;
}

void confine(int map, unsigned int needs, char *note, size_t size)
{
	int err = confine_keep(wanted_for_lookups(map));

	note[0] = '\0';
	if (err)
		snprintf(note, size, "the reader keeps its capabilities: %s", strerror(-err));
	else if (!ARCHITECTURE)
		snprintf(note, size, "no seccomp filter: this architecture's calls are not known");
	else if ((err = filter_calls(needs)))
		snprintf(note, size, "no seccomp filter: %s", strerror(-err));
}
