// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How many frames of a capture each filter lets through, decided by the real XDP program in the
 * running kernel (BPF_PROG_TEST_RUN), loaded by the real loader.
 *
 *	filter-count [--load | --frames] [--asked] CAPTURE EXPRESSIONS
 *
 *	CAPTURE      a pcap file of Ethernet or raw IP frames
 *	EXPRESSIONS  a filter a line; empty lines and lines that begin with # are passed over
 *	--load       only load each filter; print instructions and milliseconds, and how many instructions
 *	             the verifier went through (since Linux 5.16; else 0)
 *	--frames     print the numbers of the frames that match, as tcpdump --number counts them
 *	--asked      as where a program may be interrupted by another: without scratch memory, to which frames in pieces
 *	             are copied, and those in one piece where a filter takes less to load so
 *
 * prints a line for each filter: the number of frames that match, or "refused", a tab and the
 * message, or "rejected" and the verifier's. If a frame is longer than a page holds, then all are run as
 * on a link where frames may be in pieces. Frames of less than 14 bytes cannot be run; they are
 * passed over (no driver hands such a frame to XDP). Status: 0; 1: something failed; 2: misuse.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bpf.h"
#include "bpf_load.h"
#include "failure.h"
#include "filter.h"
#include "packet.h"

extern const unsigned char xdp_object[], xdp_object_end[];

#define WHOLE_MAX 3000

/* Of struct bpf_prog_info, which older headers have without its last field. */
#define VERIFIED_INSNS 216

struct frame {
	const __u8 *bytes;
	__u32 len;
};

static struct frame *frames;
static size_t nframes;
static unsigned int link_type;
static int preemptible;
static int in_pieces; /* a frame is longer than fits in a page */
static struct bpf_maps maps;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "filter-count: %s: %s\n", what, why);
	exit(1);
}

static __u32 word(const __u8 *bytes, int swapped)
{
	__u32 value;

	memcpy(&value, bytes, sizeof(value));
	return swapped ? __builtin_bswap32(value) : value;
}

static void read_capture(const char *path)
{
	struct failure failure;
	size_t size, at = 24;
	const __u8 *file = bpf_load_file(path, &size, &failure);
	__u32 magic;
	int swapped;

	if (!file)
		die(path, failure.reason);
	magic = size < 24 ? 0 : word(file, 0);
	swapped = magic == 0xd4c3b2a1 || magic == 0x4d3cb2a1;
	if (!swapped && magic != 0xa1b2c3d4 && magic != 0xa1b23c4d)
		die(path, "not a pcap file");
	if (word(file + 20, swapped) == 1)
		link_type = LINK_ETHERNET;
	else if (word(file + 20, swapped) == 101 || word(file + 20, swapped) == 12)
		link_type = LINK_IP;
	else
		die(path, "neither Ethernet nor raw IP");
	while (at + 16 <= size) {
		__u32 len = word(file + at + 8, swapped);

		at += 16;
		if (len > size - at)
			die(path, "cut short");
		frames = realloc(frames, (nframes + 1) * sizeof(*frames));
		frames[nframes++] = (struct frame){ file + at, len };
		if (len > WHOLE_MAX)
			in_pieces = 1;
		at += len;
	}
}

/* Everything that has been counted so far: each frame that matches is counted once. */
static __u64 counted(void)
{
	__u64 sum = 0;

	for (size_t i = 0; i < (size_t)maps.cpus << maps.slot_bits; i++)
		sum += maps.slots[i].count.packets;
	for (size_t i = 0; i < maps.nlinks * (maps.cpus + 1); i++)
		sum += maps.counts[i].unattributed.packets;
	return sum;
}

static int load(const struct filter *filter, struct failure *failure)
{
	struct config config = {
		.version = XGUARD_ABI, .ifindex = 1, .link_type = link_type,
		.frags = (in_pieces ? FRAGS : 0) | (filter->pieces_alone ? FRAGS_ALONE : 0) |
			 (filter->pieces_copied ? FRAGS_SCRATCH : 0),
		.filtered = !!filter->insns, .cpus = maps.cpus, .slot_bits = maps.slot_bits,
		.sample = 1, .quick = link_type == LINK_ETHERNET, .multiplier = { 1, 3, 5, 7, 9, 11 },
	};
	struct bpf_program program = {
		.object = xdp_object, .size = xdp_object_end - xdp_object,
		.name = "built-in object", .filter = filter->insns, .filter_len = filter->len,
		.pieces = filter->pieces, .pieces_len = filter->pieces_len,
	};

	return bpf_load_program(&program, &maps, &config, failure);
}

static __u64 now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

static void run_frames(int prog, int show)
{
	__u64 before = counted(), last = before, matched;
	__u32 action, ns;

	for (size_t i = 0; i < nframes; i++) {
		int err;

		if (frames[i].len < 14)
			continue;
		err = bpf_prog_test_run(prog, frames[i].bytes, frames[i].len, 1, &action, &ns);
		if (err) {
			fprintf(stderr, "filter-count: frame %zu (%u bytes): %s\n", i + 1,
				frames[i].len, strerror(-err));
			exit(1);
		}
		if (!show)
			continue;
		matched = counted();
		if (matched != last)
			printf("%zu ", i + 1);
		last = matched;
	}
	if (!show)
		printf("%llu", (unsigned long long)(counted() - before));
	printf("\n");
}

static __u32 verified(int prog)
{
	__u64 info[32] = { 0 };
	__u32 insns;

	bpf_obj_info(prog, info, VERIFIED_INSNS + sizeof(insns));
	memcpy(&insns, (char *)info + VERIFIED_INSNS, sizeof(insns));
	return insns;
}

static void try(const char *expression, char mode)
{
	struct filter filter;
	struct failure failure;
	__u64 start = now_us(), compiled, loaded;
	int prog, pieces;

	if (in_pieces)
		pieces = preemptible ? PIECES_ASKED_FOR : PIECES_COPIED;
	else
		pieces = preemptible ? PIECES_NONE : PIECES_IF_CHEAPER;
	if (filter_compile(&filter, expression, 0, link_type, pieces)) {
		printf("refused\t%d: %s\n", filter.column, filter.error);
		return;
	}
	compiled = now_us();
	prog = load(&filter, &failure);
	loaded = now_us();
	if (prog < 0) {
		for (char *c = failure.reason; *c; c++)
			if (*c == '\n')
				*c = ';';
		printf("rejected\t%s\n", failure.reason);
	} else if (mode == 'l') {
		printf("%zu instructions, compiled in %.1f ms, loaded in %.1f ms, %u verified\n", filter.len,
		       (compiled - start) / 1e3, (loaded - compiled) / 1e3, verified(prog));
	} else {
		run_frames(prog, mode == 'f');
	}
	if (prog >= 0)
		close(prog);
	filter_free(&filter);
}

int main(int argc, char **argv)
{
	struct failure failure;
	char *line = NULL, mode = 0;
	size_t room = 0;
	FILE *file;
	int cpus;

	for (; argc > 3; argc--, argv++) {
		if (!strcmp(argv[1], "--load") || !strcmp(argv[1], "--frames"))
			mode = argv[1][2];
		else if (!strcmp(argv[1], "--asked"))
			preemptible = 1;
		else
			break;
	}
	if (argc != 3) {
		fprintf(stderr, "usage: filter-count [--load | --frames] [--asked] CAPTURE EXPRESSIONS\n");
		return 2;
	}
	read_capture(argv[1]);
	file = strcmp(argv[2], "-") ? fopen(argv[2], "r") : stdin;
	if (!file)
		die(argv[2], "cannot be opened");
	cpus = bpf_load_cpus(&failure);
	if (cpus < 0 || bpf_maps_create(&maps, 1, cpus, 1, 1024, &failure))
		die(failure.step, failure.reason);
	while (getline(&line, &room, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (*line && *line != '#')
			try(line, mode);
	}
	free(line);
	return ferror(stdout) || fclose(stdout) ? 1 : 0;
}
