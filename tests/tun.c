// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Let a tun device receive packets, as if from the wire.
 *
 *	tun NAME < FILE
 *
 *	NAME   a persistent device, made by `ip tuntap add dev NAME mode tun pi`, that is up
 *	FILE   a packet a line in hexadecimal digits, blanks allowed
 *
 * prints "frames=3 bytes=192" for what was written. Status: 0 all written, 1 failed, 2 misuse. The
 * device takes packets of any bytes, of one byte too.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/if_tun.h>
#include <linux/types.h>

static void die(const char *what)
{
	fprintf(stderr, "tun: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int digit(int c)
{
	return isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
}

/* A line's bytes; -1: it has something else than digits and blanks, or too many, or half a byte. */
static ssize_t read_hex(__u8 *bytes, size_t room, const char *line)
{
	size_t digits = 0;

	for (; *line; line++) {
		if (isspace((unsigned char)*line))
			continue;
		if (!isxdigit((unsigned char)*line) || digits / 2 == room)
			return -1;
		bytes[digits / 2] = (__u8)(bytes[digits / 2] << 4 | digit(*line));
		digits++;
	}
	return digits % 2 ? -1 : (ssize_t)(digits / 2);
}

int main(int argc, char **argv)
{
	/* Without IFF_NO_PI four bytes come first, flags and Ethernet type, and no byte is looked at. */
	struct ifreq request = { .ifr_flags = IFF_TUN };
	static struct {
		struct tun_pi header;
		__u8 bytes[9000];
	} packet;
	unsigned long long frames = 0, bytes = 0;
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (argc != 2) {
		fprintf(stderr, "usage: tun NAME < FILE\n");
		return 2;
	}
	strncpy(request.ifr_name, argv[1], sizeof(request.ifr_name) - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		die(argv[1]);
	while (getline(&line, &room, stdin) > 0) {
		len = read_hex(packet.bytes, sizeof(packet.bytes), line);
		if (len < 0) {
			fprintf(stderr, "tun: not a packet in hexadecimal: %s", line);
			return 1;
		}
		if (!len)
			continue;
		packet.header.proto = packet.bytes[0] >> 4 == 6 ? 0xdd86 : 0x0008;
		if (write(fd, &packet, sizeof(packet.header) + len) < 0)
			die(line);
		frames++;
		bytes += len;
	}
	free(line);
	printf("frames=%llu bytes=%llu\n", frames, bytes);
	return 0;
}
