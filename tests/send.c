// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Send frames as they are, through a packet socket.
 *
 *	send [--count N] [--repeat N] [--rate N] LINK FILE
 *
 *	FILE         a pcap file (microseconds or nanoseconds, either byte order), or text with a frame
 *	             a line in hexadecimal digits, blanks allowed, # begins a comment; -: standard input
 *	--count N    send the first N frames only
 *	--repeat N   send the whole list N times
 *	--rate N     frames a second
 *
 * prints "frames=3 bytes=192" for what was sent. Status: 0 all sent, 1 failed, 2 misuse. The
 * kernel refuses a frame that is shorter than its link's header or longer than the MTU.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_packet.h>
#include <linux/types.h>

#define FRAME_MAX 65536

struct frame {
	size_t len;
	__u8 *bytes;
};

struct frames {
	struct frame *frame;
	size_t n;
};

__attribute__((format(printf, 1, 2), noreturn))
static void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "send: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void add(struct frames *frames, const __u8 *bytes, size_t len)
{
	struct frame *frame = realloc(frames->frame, (frames->n + 1) * sizeof(*frame));
	__u8 *copy = malloc(len + 1);

	if (!frame || !copy)
		die("out of memory");
	memcpy(copy, bytes, len);
	frames->frame = frame;
	frames->frame[frames->n++] = (struct frame){len, copy};
}

/* All of a file in memory, one NUL behind it. */
static __u8 *read_file(const char *name, size_t *size)
{
	FILE *file = strcmp(name, "-") ? fopen(name, "r") : stdin;
	size_t room = 1 << 16, len = 0, n;
	__u8 *bytes = malloc(room);

	if (!file)
		die("%s: %s", name, strerror(errno));
	while (bytes && (n = fread(bytes + len, 1, room - len - 1, file)) > 0) {
		len += n;
		if (len + 1 == room)
			bytes = realloc(bytes, room *= 2);
	}
	if (!bytes)
		die("out of memory");
	if (ferror(file))
		die("%s: %s", name, strerror(errno));
	bytes[len] = '\0';
	*size = len;
	return bytes;
}

static __u32 word(const __u8 *at, int swapped)
{
	__u32 value;

	memcpy(&value, at, sizeof(value));
	return swapped ? __builtin_bswap32(value) : value;
}

/*
 * pcap: a header of 24 bytes, then for each frame one of 16 (seconds, fraction, bytes kept, bytes
 * there were) and its bytes.
 */
static void read_pcap(struct frames *frames, const char *name, const __u8 *bytes, size_t size,
		      int swapped)
{
	size_t at = 24;

	while (at + 16 <= size) {
		__u32 len = word(bytes + at + 8, swapped);

		at += 16;
		if (len > size - at || len > FRAME_MAX)
			die("%s: frame %zu is cut off", name, frames->n + 1);
		add(frames, bytes + at, len);
		at += len;
	}
	if (at != size)
		die("%s: %zu stray bytes at the end", name, size - at);
}

static int digit(int c)
{
	return isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
}

static void read_hex(struct frames *frames, const char *name, const char *text)
{
	static __u8 bytes[FRAME_MAX];
	int line = 1;

	for (; *text; text++, line++) {
		size_t digits = 0;

		for (; *text && *text != '\n' && *text != '#'; text++) {
			if (isspace((unsigned char)*text))
				continue;
			if (!isxdigit((unsigned char)*text) || digits / 2 == sizeof(bytes))
				die("%s:%d: not a frame in hexadecimal", name, line);
			bytes[digits / 2] = (__u8)(digits % 2 ? bytes[digits / 2] << 4 | digit(*text)
							      : digit(*text));
			digits++;
		}
		if (digits % 2)
			die("%s:%d: half a byte at the end", name, line);
		if (digits)
			add(frames, bytes, digits / 2);
		text += strcspn(text, "\n");
		if (!*text)
			break;
	}
}

static void read_frames(struct frames *frames, const char *name)
{
	size_t size;
	__u8 *bytes = read_file(name, &size);
	__u32 magic = size >= 24 ? word(bytes, 0) : 0;

	if (magic == 0xa1b2c3d4 || magic == 0xa1b23c4d)
		read_pcap(frames, name, bytes, size, 0);
	else if (magic == 0xd4c3b2a1 || magic == 0x4d3cb2a1)
		read_pcap(frames, name, bytes, size, 1);
	else
		read_hex(frames, name, (const char *)bytes);
	free(bytes);
}

static int open_socket(const char *link)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1;

	address.sll_ifindex = (int)if_nametoindex(link);
	if (!address.sll_ifindex)
		die("%s: %s", link, strerror(errno));
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		die("packet socket on %s: %s", link, strerror(errno));
	/* Without it frames wait in a queue; with it, each has been handed over when send() returns. */
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	return fd;
}

static void send_frame(int fd, const char *link, const struct frame *frame)
{
	while (send(fd, frame->bytes, frame->len, 0) < 0) {
		if (errno != ENOBUFS && errno != EINTR)
			die("frame of %zu bytes on %s: %s", frame->len, link, strerror(errno));
		usleep(100);
	}
}

/* Sleep until frame number n is due. */
static void keep_rate(const struct timespec *start, unsigned long long n, unsigned long rate)
{
	struct timespec due = *start;

	due.tv_sec += (time_t)(n / rate);
	due.tv_nsec += (long)(n % rate * 1000000000 / rate);
	if (due.tv_nsec >= 1000000000) {
		due.tv_nsec -= 1000000000;
		due.tv_sec++;
	}
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

static unsigned long number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || !value) {
		fprintf(stderr, "send: %s: not a number above 0\n", text);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"count", 1, NULL, 'c'}, {"repeat", 1, NULL, 'r'}, {"rate", 1, NULL, 't'},
		{NULL, 0, NULL, 0},
	};
	unsigned long count = ~0ul, repeat = 1, rate = 0;
	unsigned long long sent = 0, bytes = 0;
	struct frames frames = {0};
	struct timespec start;
	int fd, option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'c')
			count = number(optarg);
		else if (option == 'r')
			repeat = number(optarg);
		else if (option == 't')
			rate = number(optarg);
		else
			return 2;
	}
	if (optind + 2 != argc) {
		fprintf(stderr, "usage: send [--count N] [--repeat N] [--rate N] LINK FILE\n");
		return 2;
	}
	read_frames(&frames, argv[optind + 1]);
	fd = open_socket(argv[optind]);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (; repeat; repeat--) {
		for (size_t i = 0; i < frames.n && i < count; i++) {
			if (rate)
				keep_rate(&start, sent, rate);
			send_frame(fd, argv[optind], &frames.frame[i]);
			bytes += frames.frame[i].len;
			sent++;
		}
	}
	printf("frames=%llu bytes=%llu\n", sent, bytes);
	return 0;
}
