// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What tests/bench needs beside a shell.
 *
 *	measure frame ipv4|ipv6 OBJECT NAME=ID...
 *	                              nanoseconds that each of these loaded XDP programs takes for a
 *	                              frame above an empty program, and beside OBJECT's plain hash map
 *	measure hold empty LINK
 *	measure hold hash LINK FLOWS OBJECT
 *	                              attach a program of ours to LINK until SIGTERM: an empty one, or
 *	                              one that counts as xguard does in a plain hash of so many flows
 *	measure start N LINK COMMAND...
 *	                              milliseconds from exec to "attached" of an xguard command, beside
 *	                              `ip link set dev LINK xdp pinned` on the same link, N times
 *
 * Each prints lines of comma-separated values; medians come with the quartiles behind them.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_link.h>

#include "bpf.h"
#include "bpf_insn.h"
#include "bpf_load.h"
#include "failure.h"
#include "netlink.h"
#include "packet.h"

#define ROUNDS 31
#define PROGRAMS 8

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

__attribute__((format(printf, 1, 2), noreturn))
static void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "measure: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

__attribute__((noreturn))
static void give_up(const struct failure *failure)
{
	die("%s: %s", failure->step, failure->reason);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* Print what, then the median and the quartiles of n values. */
static void print_median(const char *what, double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), compare);
	printf("%s,%.2f,%.2f,%.2f\n", what, values[n / 2], values[n / 4], values[n - 1 - n / 4]);
	fflush(stdout);
}

/* The same of whole numbers: in the median's place the mean of the middle half, which is finer. */
static void print_middle(const char *what, double *values, int n)
{
	double sum = 0;

	qsort(values, (size_t)n, sizeof(*values), compare);
	for (int i = n / 4; i < n - n / 4; i++)
		sum += values[i];
	printf("%s,%.1f,%.0f,%.0f\n", what, sum / (n - n / 4 * 2), values[n / 4],
	       values[n - 1 - n / 4]);
	fflush(stdout);
}

static int load(const struct bpf_insn *insns, __u32 len)
{
	const struct bpf_prog_spec spec = {
		.name = "measure", .type = BPF_PROG_TYPE_XDP, .insns = insns, .len = len,
		.license = "GPL",
	};
	int fd = bpf_prog_load(&spec);

	if (fd < 0)
		die("load a program: %s", strerror(-fd));
	return fd;
}

static int load_empty(void)
{
	const struct bpf_insn insns[] = { BPF_MOV64_IMM(BPF_REG_0, XDP_PASS), BPF_EXIT_INSN() };

	return load(insns, 2);
}

/*
 * xguard's own program with the default key, told that no CPU has a cache; file is one that was
 * compiled to ask a full hash for room each time.
 */
static int load_hash(struct bpf_maps *maps, unsigned int max_flows, unsigned int ifindex,
		     const char *file)
{
	const struct flow_key mask = { .eth_type = 0xffff, .protocol = 0xff,
				       .present = FIELDS_DEFAULT | FIELD_IPV6 };
	struct bpf_program program = { .name = file };
	struct config config = { .ifindex = ifindex, .by = FIELDS_DEFAULT, .slot_bits = 2,
				 .sample = 1 };
	struct failure failure;
	int cpus = bpf_load_cpus(&failure), fd;

	program.object = bpf_load_file(file, &program.size, &failure);
	if (!program.object)
		give_up(&failure);
	memcpy(&config.mask, &mask.eth_type, sizeof(config.mask));
	if (cpus < 0 || bpf_maps_create(maps, 1, (unsigned int)cpus, 1, max_flows, &failure))
		give_up(&failure);
	fd = bpf_load_program(&program, maps, &config, &failure);
	if (fd < 0)
		give_up(&failure);
	return fd;
}

/* --- nanoseconds a frame ------------------------------------------------------------------------ */

static const __u8 ipv4_frame[64] = {
	2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0,
	10, 0, 0, 1, 10, 0, 0, 2, 0x0f, 0xa0, 0, 9, 0, 30,
};
static const __u8 ipv6_frame[64] = {
	2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 10, 17, 64,
	0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
	0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x0f, 0xa0, 0, 9, 0, 10,
};

/* One program to be measured, alone or behind a ring of addresses. */
struct subject {
	const char *name;
	int fd;
	int ring;                  /* a program that writes the next address and goes on to fd */
	double ns[ROUNDS];
};

/* Addresses in a shuffled order, 4 bytes each, in a map of one value. */
static int make_addresses(__u32 n)
{
	int fd = bpf_map_create("measure", BPF_MAP_TYPE_ARRAY, 4, n * 4, 1, BPF_F_MMAPABLE);
	__u64 state = 88172645463325252ull;
	__u32 *list;

	if (fd < 0)
		die("create a map: %s", strerror(-fd));
	list = mmap(NULL, n * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (list == MAP_FAILED)
		die("map a map: %s", strerror(errno));
	for (__u32 i = 0; i < n; i++) {
		__u32 j;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		j = (__u32)(state >> 32) % (i + 1);
		list[i] = list[j];
		list[j] = __builtin_bswap32(0x0a000001 + i);
	}
	munmap(list, n * 4);
	return fd;
}

/*
 * A program that writes the next of n addresses (a power of two) into the frame at an offset, and
 * calls the one in target, which takes its place. r6: the context, r7: the frame, r8: the number.
 */
static int load_ring(int addresses, __u32 n, int offset, int target)
{
	int state = bpf_map_create("measure", BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
	int targets = bpf_map_create("measure", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1, 0);
	const __u32 key = 0;
	int err;

	if (state < 0 || targets < 0)
		die("create a map: %s", strerror(state < 0 ? -state : -targets));
	err = bpf_map_update(targets, &key, &target, BPF_ANY);
	if (err)
		die("put a program into a map: %s", strerror(-err));
	const struct bpf_insn insns[] = {
		BPF_MOV64_REG(BPF_REG_6, BPF_REG_1),
		BPF_LDX_MEM(BPF_W, BPF_REG_7, BPF_REG_1, 0),
		BPF_LDX_MEM(BPF_W, BPF_REG_2, BPF_REG_1, 4),
		BPF_MOV64_REG(BPF_REG_3, BPF_REG_7),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, 64),
		BPF_JMP_REG(BPF_JGT, BPF_REG_3, BPF_REG_2, 18),
		BPF_LD_MAP_VALUE(BPF_REG_1, state, 0),
		BPF_LDX_MEM(BPF_DW, BPF_REG_8, BPF_REG_1, 0),
		BPF_MOV64_REG(BPF_REG_2, BPF_REG_8),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, 1),
		BPF_STX_MEM(BPF_DW, BPF_REG_1, BPF_REG_2, 0),
		BPF_ALU64_IMM(BPF_AND, BPF_REG_8, (int)n - 1),
		BPF_ALU64_IMM(BPF_LSH, BPF_REG_8, 2),
		BPF_LD_MAP_VALUE(BPF_REG_1, addresses, 0),
		BPF_ALU64_REG(BPF_ADD, BPF_REG_1, BPF_REG_8),
		BPF_LDX_MEM(BPF_W, BPF_REG_2, BPF_REG_1, 0),
		BPF_STX_MEM(BPF_W, BPF_REG_7, BPF_REG_2, offset),
		BPF_MOV64_REG(BPF_REG_1, BPF_REG_6),
		BPF_LD_MAP_FD(BPF_REG_2, targets),
		BPF_MOV64_IMM(BPF_REG_3, 0),
		BPF_EMIT_CALL(BPF_FUNC_tail_call),
		BPF_MOV64_IMM(BPF_REG_0, XDP_ABORTED),
		BPF_EXIT_INSN(),
	};
	err = load(insns, sizeof(insns) / sizeof(*insns));
	close(state);
	/* targets stays open: without a descriptor a map of programs becomes empty */
	return err;
}

static double run_frames(int fd, const __u8 *frame, __u32 repeat)
{
	__u32 action, ns;
	int err = bpf_prog_test_run(fd, frame, 64, repeat, &action, &ns);

	if (err || action != XDP_PASS)
		die("run a program: %s", err ? strerror(-err) : "it does not return XDP_PASS");
	return ns;
}

/* Every subject in turn, round by round; the first one is the empty program. */
static void measure_subjects(struct subject *subjects, int n, const char *family, __u32 sources,
			     const __u8 *frame)
{
	char what[96];

	for (int round = -1; round < ROUNDS; round++) {
		double empty = 0;

		for (int i = 0; i < n; i++) {
			struct subject *s = &subjects[i];
			__u32 repeat = strncmp(s->name, "kernel", 6) ? 400000 : 20000;
			double ns = run_frames(s->ring >= 0 ? s->ring : s->fd, frame, repeat);

			if (!i)
				empty = ns;
			if (round >= 0)
				s->ns[round] = i ? ns - empty : ns;
		}
	}
	for (int i = 0; i < n; i++) {
		snprintf(what, sizeof(what), "frame,%s,%s,%u", subjects[i].name, family, sources);
		print_middle(what, subjects[i].ns, ROUNDS);
	}
}

static void measure_ring(struct subject *subjects, int n, const char *family, __u32 sources,
			 const __u8 *frame, int offset)
{
	int addresses = sources > 1 ? make_addresses(sources) : -1;

	for (int i = 0; i < n; i++)
		subjects[i].ring = sources > 1 ? load_ring(addresses, sources, offset, subjects[i].fd)
					       : -1;
	measure_subjects(subjects, n, family, sources, frame);
	for (int i = 0; i < n; i++)
		close(subjects[i].ring);
	close(addresses);
}

static int frame_main(int argc, char **argv)
{
	static struct subject subjects[PROGRAMS + 2];
	static const __u32 sources[] = { 1, 4096, 65536 };
	const int ipv4 = !strcmp(argv[0], "ipv4");
	struct bpf_maps maps;
	int n = 2;

	subjects[0] = (struct subject){ .name = "empty", .fd = load_empty() };
	subjects[1] = (struct subject){ .name = "hash", .fd = load_hash(&maps, 131072, 1, argv[1]) };
	for (int i = 2; i < argc && n < PROGRAMS + 2; i++, n++) {
		char *id = strchr(argv[i], '=');

		if (!id)
			die("%s: not NAME=ID", argv[i]);
		*id++ = '\0';
		subjects[n] = (struct subject){ .name = argv[i],
						.fd = bpf_prog_fd_by_id((__u32)atoi(id)) };
		if (subjects[n].fd < 0)
			die("program %s: %s", id, strerror(-subjects[n].fd));
	}
	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++)
		measure_ring(subjects, n, argv[0], sources[i], ipv4 ? ipv4_frame : ipv6_frame,
			     ipv4 ? 26 : 34);
	return 0;
}

/* --- a program that stays attached -------------------------------------------------------------- */

static void print_counts(const struct bpf_maps *maps)
{
	__u64 packets = 0, unattributed = 0;
	struct flow_count count;
	struct flow_key key, *previous = NULL;

	for (unsigned int i = 0; i <= maps->cpus; i++)
		unattributed += maps->counts[i].unattributed.packets;
	while (!bpf_map_next_key(maps->flows, previous, &key)) {
		if (!bpf_map_lookup(maps->flows, &key, &count))
			packets += count.packets;
		previous = &key;
	}
	printf("counted=%llu unattributed=%llu\n", packets, unattributed);
}

static int hold_main(int argc, char **argv)
{
	int hash = argc > 3 && !strcmp(argv[0], "hash");
	struct sigaction action = { .sa_handler = stop };
	struct failure failure;
	struct link_info link;
	struct bpf_maps maps;
	sigset_t caught, old;
	int nl, fd;

	if (argc < 2)
		die("hold empty LINK | hash LINK FLOWS OBJECT");
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigemptyset(&caught);
	sigaddset(&caught, SIGTERM);
	sigaddset(&caught, SIGINT);
	sigprocmask(SIG_BLOCK, &caught, &old);
	nl = netlink_open(0, &failure);
	if (nl < 0 || netlink_link(nl, argv[1], 0, &link, &failure))
		give_up(&failure);
	fd = hash ? load_hash(&maps, (unsigned int)atoi(argv[2]), (unsigned int)link.ifindex,
			      argv[3]) : load_empty();
	if (netlink_set_xdp(nl, &link, fd, -1, XDP_FLAGS_DRV_MODE, &failure))
		give_up(&failure);
	puts("attached");
	fflush(stdout);
	while (!stopped)
		sigsuspend(&old);
	if (netlink_set_xdp(nl, &link, -1, -1, XDP_FLAGS_DRV_MODE, &failure))
		give_up(&failure);
	if (hash)
		print_counts(&maps);
	return 0;
}

/* --- from exec to attached ---------------------------------------------------------------------- */

/* Start a command, with its standard error in a pipe where fd is not NULL. */
static pid_t spawn(char **argv, int *fd)
{
	int ends[2] = { -1, -1 };
	pid_t child;

	if (fd && pipe2(ends, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	child = vfork();
	if (child < 0)
		die("fork: %s", strerror(errno));
	if (!child) {
		if (fd)
			dup2(ends[1], STDERR_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (fd) {
		close(ends[1]);
		*fd = ends[0];
	}
	return child;
}

static int wait_for(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			die("wait: %s", strerror(errno));
	return status;
}

/* Milliseconds until an xguard says "attached"; it is ended then. */
static double time_xguard(char **argv)
{
	char text[4096];
	size_t len = 0;
	double start = now(), took = -1;
	ssize_t n;
	int fd;
	pid_t child = spawn(argv, &fd);

	while (len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0) {
		len += (size_t)n;
		text[len] = '\0';
		if (took < 0 && strstr(text, "xguard: attached to")) {
			took = (now() - start) / 1e6;
			kill(child, SIGTERM);
		}
	}
	close(fd);
	wait_for(child);
	if (took < 0)
		die("%s did not attach: %s", argv[0], len ? text : "no word");
	return took;
}

static double time_ip(char *link, char *pin)
{
	char *set[] = { "ip", "link", "set", "dev", link, "xdp", "pinned", pin, NULL };
	char *off[] = { "ip", "link", "set", "dev", link, "xdp", "off", NULL };
	double start = now(), took;

	if (wait_for(spawn(set, NULL)))
		die("ip link set dev %s xdp pinned %s failed", link, pin);
	took = (now() - start) / 1e6;
	wait_for(spawn(off, NULL));
	return took;
}

/* The empty program under a name in a bpffs that only we see. */
static char *pin_empty(void)
{
	static char path[] = "/sys/fs/bpf/measure";
	union bpf_attr attr = { .bpf_fd = (__u32)load_empty(), .pathname = (unsigned long)path };

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) ||
	    syscall(SYS_bpf, BPF_OBJ_PIN, &attr, sizeof(attr)))
		die("pin a program: %s", strerror(errno));
	return path;
}

static int start_main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[0]) : 0;
	double *xguard = calloc((size_t)rounds, sizeof(double));
	double *ip = calloc((size_t)rounds, sizeof(double));
	double *above = calloc((size_t)rounds, sizeof(double));
	char *pin;

	if (rounds < 1 || !xguard || !ip || !above)
		die("start N LINK COMMAND...");
	pin = pin_empty();
	for (int i = -1; i < rounds; i++) {
		double a = time_ip(argv[1], pin), b = time_xguard(argv + 2);

		if (i < 0)
			continue;
		ip[i] = a;
		xguard[i] = b;
		above[i] = b - a;
	}
	print_median("start,ip", ip, rounds);
	print_median("start,xguard", xguard, rounds);
	print_median("start,above", above, rounds);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "frame"))
		return frame_main(argc - 2, argv + 2);
	if (argc > 3 && !strcmp(argv[1], "hold"))
		return hold_main(argc - 2, argv + 2);
	if (argc > 4 && !strcmp(argv[1], "start"))
		return start_main(argc - 2, argv + 2);
	fprintf(stderr, "usage: see the top of tests/measure.c\n");
	return 2;
}
