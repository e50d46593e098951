// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A traffic generator: about two million frames a second onto a veth link, each counted.
 *
 *	generate [OPTION...] LINK...
 *
 *	--count N          frames to send (default 1000000), to the frame
 *	--seconds S        send for so many seconds (decimal) instead
 *	--rate N           frames a second, evenly (up to 300000 or so), through a packet socket:
 *	                   any kernel, any link (default: as fast as it goes)
 *	--sources N        number of source addresses (default 1)
 *	--order ORDER      turn: one after the other (default); uniform: drawn at random;
 *	                   zipf or zipf:S: drawn by Zipf's law of exponent S (default 1.1) over
 *	                   shuffled addresses
 *	--source ADDRESS   the first source, IPv4 or IPv6 (default 10.0.0.1); others count up from it
 *	--destination ADDRESS  (default 192.0.2.1 or 2001:db8::1)
 *	--mac ADDRESS      destination MAC (default 02:00:00:00:00:99: nobody's, the stack drops it)
 *	--protocol P       udp (default), tcp or icmp; UDP and TCP go from port 4000 to port 9
 *	--size N           bytes a frame, without FCS (default 64, 3000 at most)
 *	--batch N          frames that go to the driver at a time (default 64, 256 at most)
 *	--cpu N            run on this CPU
 *	--seed N           of the draws (default 1): equal seeds send equal frames
 *	--per-source FILE  write "ADDRESS FRAMES BYTES" a line for each source that sent
 *	--rounds N         send onto each LINK in turn, N times: a line for each (no --per-source)
 *
 * prints, when done or interrupted,
 *
 *	frames=1000000 bytes=64000000 sources=1 lost=0 milliseconds=498 rate=2008032
 *
 * where lost frames are those that the driver did not take (its ring was full). All checksums are
 * right.
 *
 * How: an XDP program, run by BPF_PROG_TEST_RUN on live frames (Linux 5.18), writes the next
 * address of a prepared sequence into the frame and redirects it onto LINK. A veth link takes such
 * frames only while its other end has an XDP program in native mode, or GRO on (ethtool -K OTHER gro
 * on).
 * Its ring has 256 places and is emptied on the CPU that sends: keep batches below that. Two
 * generators on two CPUs need a link of two queues, or one fills the ring that the other empties.
 * Status: 0 sent all, 1 failed, 2 misuse, 3 some frames were lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_packet.h>
#include <linux/types.h>

#include "bpf.h"
#include "bpf_insn.h"
#include "traffic.h"

#define LIVE_FRAMES (1u << 1)      /* BPF_F_TEST_XDP_LIVE_FRAMES, missing in older headers */
#define REPEAT_MAX 0x7fffffff

/* What the program keeps between frames. */
struct state {
	__u64 sent;
	__u64 next;                /* index into the sequence */
};

struct generator {
	struct traffic traffic;
	const char *link;              /* that is sent onto now */
	int ifindex;
	unsigned int rounds;
	double seconds;                /* 0: until count is reached */
	__u64 rate;
	unsigned int batch;
	int cpu;
	const char *per_source;

	volatile struct state *state;
	int program;                   /* flat out */
	int socket;                    /* at a rate */
};

static volatile sig_atomic_t stopped;     /* this link's time is up, or the user's signal came */
static volatile sig_atomic_t interrupted;

static void stop(int signal)
{
	stopped = 1;
	interrupted |= signal != SIGALRM;
}

__attribute__((format(printf, 1, 2), noreturn))
static void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "generate: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* An ARRAY map of n values, in our memory as well. */
static void *make_array(int *fd, __u32 n, __u32 value_size)
{
	void *memory;

	*fd = bpf_map_create("generate", BPF_MAP_TYPE_ARRAY, 4, value_size, n, BPF_F_MMAPABLE);
	if (*fd < 0)
		die("create a map: %s", strerror(-*fd));
	memory = mmap(NULL, (size_t)n * value_size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (memory == MAP_FAILED)
		die("map a map: %s", strerror(errno));
	return memory;
}

#define ABORT 0x7fff /* stands for the distance to the last two instructions */

/*
 * The program. r6: the frame, r7: struct state, r8: index of the next entry, r0: the entry.
 */
static int load_program(const struct generator *g, int sequence, int state)
{
	const int ipv4 = g->traffic.family == AF_INET;
	const int source_at = (int)g->traffic.ip + (ipv4 ? 12 : 20);
	struct bpf_insn insns[] = {
		BPF_LDX_MEM(BPF_W, BPF_REG_6, BPF_REG_1, offsetof(struct xdp_md, data)),
		BPF_LDX_MEM(BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct xdp_md, data_end)),
		BPF_MOV64_REG(BPF_REG_3, BPF_REG_6),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, (int)g->traffic.checksum_at + 2),
		BPF_JMP_REG(BPF_JGT, BPF_REG_3, BPF_REG_2, ABORT),
		BPF_LD_MAP_VALUE(BPF_REG_7, state, 0),
		BPF_LDX_MEM(BPF_DW, BPF_REG_8, BPF_REG_7, offsetof(struct state, next)),
		BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_8, -4),
		BPF_LD_MAP_FD(BPF_REG_1, sequence),
		BPF_MOV64_REG(BPF_REG_2, BPF_REG_10),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -4),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, ABORT),
		BPF_LDX_MEM(BPF_W, BPF_REG_1, BPF_REG_0, offsetof(struct entry, address)),
		BPF_STX_MEM(BPF_W, BPF_REG_6, BPF_REG_1, source_at),
		BPF_LDX_MEM(BPF_H, BPF_REG_1, BPF_REG_0, offsetof(struct entry, ip_checksum)),
		ipv4 ? BPF_STX_MEM(BPF_H, BPF_REG_6, BPF_REG_1, (int)g->traffic.ip + 10)
		     : BPF_MOV64_IMM(BPF_REG_1, 0),
		BPF_LDX_MEM(BPF_H, BPF_REG_1, BPF_REG_0, offsetof(struct entry, checksum)),
		BPF_STX_MEM(BPF_H, BPF_REG_6, BPF_REG_1, (int)g->traffic.checksum_at),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_8, 1),
		BPF_JMP_IMM(BPF_JLT, BPF_REG_8, (int)g->traffic.length, 1),
		BPF_MOV64_IMM(BPF_REG_8, 0),
		BPF_STX_MEM(BPF_DW, BPF_REG_7, BPF_REG_8, offsetof(struct state, next)),
		BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_7, offsetof(struct state, sent)),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_1, 1),
		BPF_STX_MEM(BPF_DW, BPF_REG_7, BPF_REG_1, offsetof(struct state, sent)),
		BPF_MOV64_IMM(BPF_REG_1, g->ifindex),
		BPF_MOV64_IMM(BPF_REG_2, 0),
		BPF_EMIT_CALL(BPF_FUNC_redirect),
		BPF_EXIT_INSN(),
		BPF_MOV64_IMM(BPF_REG_0, XDP_ABORTED),
		BPF_EXIT_INSN(),
	};
	const int n = sizeof(insns) / sizeof(*insns);
	const struct bpf_prog_spec spec = {
		.name = "generate", .type = BPF_PROG_TYPE_XDP, .insns = insns, .len = (__u32)n,
		.license = "GPL",
	};
	int fd;

	for (int i = 0; i < n; i++)
		if (insns[i].off == ABORT)
			insns[i].off = (__s16)(n - 2 - (i + 1));
	fd = bpf_prog_load(&spec);
	if (fd < 0)
		die("load the program: %s", strerror(-fd));
	return fd;
}

/* A packet socket on the link that bypasses its queueing discipline and receives nothing. */
static int open_socket(const struct generator *g)
{
	const struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = g->ifindex};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		die("packet socket on %s: %s", g->link, strerror(errno));
	return fd;
}

static __u64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000 + (__u64)ts.tv_nsec;
}

static void sleep_until(__u64 ns)
{
	struct timespec ts = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR && !stopped)
		;
}

/* Send n frames through the kernel's live-frame mode; a signal may end it before. */
static void send_frames(const struct generator *g, __u32 n)
{
	union bpf_attr attr = {
		.test.prog_fd = (__u32)g->program,
		.test.data_in = (unsigned long)g->traffic.frame,
		.test.data_size_in = g->traffic.size,
		.test.repeat = n,
		.test.flags = LIVE_FRAMES,
		.test.batch_size = g->batch,
	};

	if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)) < 0 && errno != EINTR)
		die("run on live frames (Linux 5.18 and later): %s", strerror(errno));
}

/* Put the next entry into the frame, as the program does. */
static void next_frame(struct generator *g)
{
	struct traffic *t = &g->traffic;
	const struct entry *entry = &t->sequence[g->state->next];

	memcpy(t->frame + t->ip + (t->family == AF_INET ? 12 : 20), &entry->address, 4);
	if (t->family == AF_INET)
		memcpy(t->frame + t->ip + 10, &entry->ip_checksum, 2);
	memcpy(t->frame + t->checksum_at, &entry->checksum, 2);
	g->state->next = (g->state->next + 1) % t->length;
}

/* Send n frames through a packet socket, each handed to the driver before the next one. */
static void write_frames(struct generator *g, __u64 n)
{
	for (; n && !stopped; n--) {
		next_frame(g);
		while (send(g->socket, g->traffic.frame, g->traffic.size, 0) < 0)
			if (errno != ENOBUFS && errno != EINTR)
				die("send on %s: %s", g->link, strerror(errno));
		g->state->sent++;
	}
}

/* The frames that are due by the rate, a millisecond's worth at a time. */
static void run_at_rate(struct generator *g)
{
	const __u64 start = now();
	__u64 wake = start;

	while (!stopped && g->state->sent < g->traffic.count) {
		__u64 due;

		wake += 1000000;
		sleep_until(wake);
		due = (__u64)((double)(now() - start) * 1e-9 * (double)g->rate);
		if (due > g->traffic.count)
			due = g->traffic.count;
		if (due > g->state->sent)
			write_frames(g, due - g->state->sent);
	}
}

static void run_flat_out(const struct generator *g)
{
	while (!stopped && g->state->sent < g->traffic.count) {
		__u64 left = g->traffic.count - g->state->sent;

		send_frames(g, left < REPEAT_MAX ? (__u32)left : REPEAT_MAX);
	}
}

/* Send until the count is reached, the time is up or a signal comes. */
static void run(struct generator *g)
{
	const double seconds = g->seconds;
	const struct itimerval timer = {
		.it_value = {(time_t)seconds, (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)},
	};

	if (seconds > 0)
		setitimer(ITIMER_REAL, &timer, NULL);
	if (g->rate)
		run_at_rate(g);
	else
		run_flat_out(g);
}

/* A counter of the link; 0 where there is no /sys. */
static __u64 link_counter(const struct generator *g, const char *name)
{
	unsigned long long value = 0;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s", g->link, name);
	file = fopen(path, "r");
	if (file) {
		if (fscanf(file, "%llu", &value) != 1)
			value = 0;
		fclose(file);
	}
	return value;
}

/* Frames that never reached the other end; it may still be at work on the last ones. */
static __u64 count_lost(const struct generator *g, __u64 sent, __u64 before)
{
	__u64 arrived = 0;

	for (int tries = 0; tries < 100; tries++) {
		arrived = link_counter(g, "tx_packets") - before;
		if (arrived >= sent)
			return 0;
		usleep(5000);
	}
	return sent - arrived;
}

static void misuse(const char *option, const char *value)
{
	fprintf(stderr, "generate: --%s %s: not understood; see the top of tests/generate.c\n",
		option, value);
	exit(2);
}

static __u64 number(const char *option, const char *text, __u64 min, __u64 max)
{
	char *end;
	__u64 value = strtoull(text, &end, 10);

	if (end == text || *end || value < min || value > max)
		misuse(option, text);
	return value;
}

static void parse_source(struct generator *g, const char *text)
{
	if (inet_pton(AF_INET, text, g->traffic.source) == 1)
		g->traffic.family = AF_INET;
	else if (inet_pton(AF_INET6, text, g->traffic.source) == 1)
		g->traffic.family = AF_INET6;
	else
		misuse("source", text);
}

static void parse_order(struct generator *g, const char *text)
{
	char *end = NULL;

	if (!strcmp(text, "turn"))
		g->traffic.order = TURN;
	else if (!strcmp(text, "uniform"))
		g->traffic.order = UNIFORM;
	else if (!strcmp(text, "zipf"))
		g->traffic.order = ZIPF;
	else if (!strncmp(text, "zipf:", 5) && (g->traffic.exponent = strtod(text + 5, &end)) > 0 && !*end)
		g->traffic.order = ZIPF;
	else
		misuse("order", text);
}

static void parse_mac(struct generator *g, const char *text)
{
	unsigned int b[6];

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", b, b + 1, b + 2, b + 3, b + 4, b + 5) != 6)
		misuse("mac", text);
	for (int i = 0; i < 6; i++)
		g->traffic.mac[i] = (__u8)b[i];
}

static void parse_protocol(struct generator *g, const char *text)
{
	if (!strcmp(text, "udp"))
		g->traffic.protocol = IPPROTO_UDP;
	else if (!strcmp(text, "tcp"))
		g->traffic.protocol = IPPROTO_TCP;
	else if (!strcmp(text, "icmp"))
		g->traffic.protocol = IPPROTO_ICMP;
	else
		misuse("protocol", text);
}

static const struct option options[] = {
	{"count", 1, NULL, 'c'}, {"seconds", 1, NULL, 't'}, {"rate", 1, NULL, 'r'},
	{"sources", 1, NULL, 'n'}, {"order", 1, NULL, 'o'}, {"source", 1, NULL, 's'},
	{"destination", 1, NULL, 'd'}, {"mac", 1, NULL, 'm'}, {"protocol", 1, NULL, 'p'},
	{"size", 1, NULL, 'l'}, {"batch", 1, NULL, 'b'}, {"cpu", 1, NULL, 'C'},
	{"seed", 1, NULL, 'e'}, {"per-source", 1, NULL, 'f'}, {"rounds", 1, NULL, 'R'},
	{NULL, 0, NULL, 0},
};

/* Take one option; the destination's text is looked at when its family is known. */
static void take(struct generator *g, int option, char *value, const char **destination)
{
	switch (option) {
	case 'c': g->traffic.count = number("count", value, 1, ~0ull); break;
	case 't':
		g->seconds = strtod(value, NULL);
		g->traffic.count = ~0ull;
		break;
	case 'r': g->rate = number("rate", value, 1, ~0u); break;
	case 'n': g->traffic.sources = (__u32)number("sources", value, 1, TRAFFIC_SEQUENCE_MAX); break;
	case 'o': parse_order(g, value); break;
	case 's': parse_source(g, value); break;
	case 'd': *destination = value; break;
	case 'm': parse_mac(g, value); break;
	case 'p': parse_protocol(g, value); break;
	case 'l': g->traffic.size = (unsigned int)number("size", value, 60, 3000); break;
	case 'b': g->batch = (unsigned int)number("batch", value, 1, 256); break;
	case 'C': g->cpu = (int)number("cpu", value, 0, CPU_SETSIZE - 1); break;
	case 'e': g->traffic.seed = number("seed", value, 0, ~0ull); break;
	case 'f': g->per_source = value; break;
	case 'R': g->rounds = (unsigned int)number("rounds", value, 1, 1000000); break;
	default: exit(2);
	}
}

static void parse(struct generator *g, int argc, char **argv)
{
	const char *destination = NULL;
	int option;

	parse_source(g, "10.0.0.1");
	parse_mac(g, "02:00:00:00:00:99");
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		take(g, option, optarg, &destination);
	if (optind == argc) {
		fprintf(stderr, "usage: generate [OPTION...] LINK...\n");
		exit(2);
	}
	if (!destination)
		destination = g->traffic.family == AF_INET ? "192.0.2.1" : "2001:db8::1";
	if (inet_pton(g->traffic.family, destination, g->traffic.destination) != 1)
		misuse("destination", destination);
	if (g->traffic.family == AF_INET6 && g->traffic.protocol == IPPROTO_ICMP)
		g->traffic.protocol = IPPROTO_ICMPV6;
	if (g->traffic.family == AF_INET6 && g->traffic.protocol == IPPROTO_TCP && g->traffic.size < 74)
		misuse("size", "below 74 with TCP over IPv6");
}

static void prepare(struct generator *g, int *sequence, int *state)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(g->cpu < 0 ? 0 : g->cpu, &cpus);
	if (g->cpu >= 0 && sched_setaffinity(0, sizeof(cpus), &cpus))
		die("CPU %d: %s", g->cpu, strerror(errno));
	traffic_build_frame(&g->traffic);
	g->traffic.length = traffic_sequence_length(&g->traffic);
	g->traffic.sequence = make_array(sequence, g->traffic.length, sizeof(*g->traffic.sequence));
	g->state = make_array(state, 1, sizeof(*g->state));
	traffic_fill(&g->traffic);
}

/* Send onto one link, and say what came of it. Returns how many frames were lost. */
static __u64 send_onto(struct generator *g, const char *link, int sequence, int state)
{
	__u64 before, start, elapsed, sent, lost;
	FILE *file = NULL;
	__u32 sources;

	g->link = link;
	g->ifindex = (int)if_nametoindex(link);
	if (!g->ifindex)
		die("%s: %s", link, strerror(errno));
	if (g->per_source && !(file = fopen(g->per_source, "w")))
		die("%s: %s", g->per_source, strerror(errno));
	if (g->rate)
		g->socket = open_socket(g);
	else
		g->program = load_program(g, sequence, state);
	g->state->sent = 0;
	before = link_counter(g, "tx_packets");
	start = now();
	run(g);
	elapsed = now() - start;
	close(g->rate ? g->socket : g->program);
	sent = g->state->sent;
	lost = count_lost(g, sent, before);
	sources = traffic_count(&g->traffic, sent, file);
	if (file && fclose(file))
		die("%s: %s", g->per_source, strerror(errno));
	if (g->rounds)
		printf("link=%s ", link);
	printf("frames=%llu bytes=%llu sources=%u lost=%llu milliseconds=%llu rate=%llu\n", sent,
	       sent * g->traffic.size, sources, lost, elapsed / 1000000,
	       (__u64)((double)sent * 1e9 / (double)(elapsed ? elapsed : 1)));
	fflush(stdout);
	if (lost > sent / 2)
		fprintf(stderr, "generate: most did not arrive: the other end of %s needs an XDP program "
			"in native mode, or GRO on\n", link);
	return lost;
}

int main(int argc, char **argv)
{
	static struct generator g = {
		.traffic = {
			.count = 1000000, .sources = 1, .exponent = 1.1, .seed = 1,
			.protocol = IPPROTO_UDP, .size = 64,
		},
		.batch = 64, .cpu = -1,
	};
	struct sigaction action = {.sa_handler = stop};
	int sequence, state;
	__u64 lost = 0;

	parse(&g, argc, argv);
	prepare(&g, &sequence, &state);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	for (unsigned int round = 0; round < (g.rounds ? g.rounds : 1); round++)
		for (int i = optind; i < argc && !interrupted; i++) {
			stopped = 0;
			lost += send_onto(&g, argv[i], sequence, state);
		}
	return lost ? 3 : 0;
}
