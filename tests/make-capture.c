// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A pcap file of Ethernet frames of every kind that filters and the decoder know, on standard
 * output; the same at every run.
 *
 *	make-capture [SIZE] > FILE
 *
 * Every protocol in every encapsulation, some with options, extension headers and fragments; one of
 * each kind cut short after every byte; headers that lie about their lengths; random bytes; jumbo
 * frames. No frame is shorter than an Ethernet header: no driver hands such a one to XDP. With SIZE
 * random bytes make each frame at least so long.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/types.h>

#define FRAME_MAX 9018

static __u8 frame[FRAME_MAX + 64];
static size_t len;
static unsigned int nframes;
static size_t least;
static __u64 state = 0x9e3779b97f4a7c15;

/* xorshift64*: below n. */
static unsigned int pick(unsigned int n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * 0x2545f4914f6cdd1dull >> 33) % n;
}

static void put(const void *bytes, size_t n)
{
	memcpy(frame + len, bytes, n);
	len += n;
}

static void put8(unsigned int value)
{
	frame[len++] = value;
}

static void put16(unsigned int value)
{
	put8(value >> 8);
	put8(value);
}

static void put32(__u32 value)
{
	put16(value >> 16);
	put16(value & 0xffff);
}

static void put_random(size_t n)
{
	while (n--)
		put8(pick(256));
}

static void write32(__u32 value)
{
	fwrite(&value, sizeof(value), 1, stdout);
}

static void write_frame(size_t n)
{
	size_t all = n < least ? least : n;

	write32(1700000000 + nframes / 1000);
	write32(nframes % 1000 * 1000);
	write32(all);
	write32(all);
	fwrite(frame, 1, n, stdout);
	while (n++ < all)
		putchar(pick(256));
	nframes++;
}

static const __u8 macs[][6] = {
	{ 0x02, 0, 0, 0, 0, 1 }, { 0x02, 0, 0, 0, 0, 2 }, { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55 },
	{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, { 0x01, 0x00, 0x5e, 0, 0, 1 },
	{ 0x33, 0x33, 0, 0, 0, 1 }, { 0x01, 0x80, 0xc2, 0, 0, 0x0e },
};
static const __u32 addresses[] = {
	0x0a000001, 0x0a000002, 0x0a010203, 0xc0a80201, 0xc0a802ff, 0xac100509, 0x7f000001,
	0xe0000001, 0xe0000005, 0xef010203, 0xffffffff, 0, 0x08080808, 0x80010101,
};
static const __u8 addresses6[][16] = {
	{ 0xfe, 0x80, [15] = 1 }, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 },
	{ 0x20, 0x01, 0x0d, 0xb8, 0, 1, [15] = 2 }, { 0xff, 0x02, [15] = 1 },
	{ 0xff, 0x02, [15] = 0xfb }, { [15] = 1 }, { 0 },
	{ [10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1 },
	{ 0xfd, 0, 0x12, 0x34, 0x56, 0x78, [8] = 0xab, [15] = 9 },
};
static const __u16 ports[] = {
	22, 53, 80, 443, 123, 67, 68, 5353, 8080, 1, 65535, 1024, 6081, 4789, 500, 25, 0, 179,
};
#define ONE_OF(array) array[pick(sizeof(array) / sizeof(*array))]

static void ethernet(unsigned int type)
{
	len = 0;
	put(ONE_OF(macs), 6);
	put(macs[pick(3)], 6);
	put16(type);
}

static void payload(size_t n)
{
	put_random(n);
}

/* What stands behind an IP header of version 4 or 6. */
static void transport(unsigned int protocol, size_t data)
{
	switch (protocol) {
	case 6:
		put16(ONE_OF(ports));
		put16(ONE_OF(ports));
		put_random(8);
		put8((5 + (pick(3) ? 0 : pick(11))) << 4);
		put8(pick(4) ? 1u << pick(8) | pick(2) << 4 : pick(256));
		put_random(6);
		break;
	case 17:
	case 136:
		put16(ONE_OF(ports));
		put16(ONE_OF(ports));
		put16(8 + data);
		put_random(2);
		break;
	case 132:
		put16(ONE_OF(ports));
		put16(ONE_OF(ports));
		put_random(8);
		put8(pick(15));
		put_random(3);
		break;
	case 1:
	case 58:
		put8(protocol == 1 ? pick(19) : pick(2) ? 128 + pick(16) : pick(5));
		put8(pick(16));
		put_random(6);
		break;
	case 2:
		put8(0x11 + pick(8));
		put_random(7);
		break;
	case 112:
		put8(0x21 + pick(2) * 0x10);
		put_random(7);
		break;
	default:
		put_random(8);
	}
	payload(data);
}

static void ah(unsigned int next)
{
	put8(next);
	put8(4);
	put_random(22);
}

enum { FRAGMENT_NONE, FRAGMENT_FIRST, FRAGMENT_LATER };

static void ipv4(unsigned int protocol, int fragment, unsigned int options, size_t data)
{
	put8(0x45 + options);
	put8(pick(256));
	put16(20 + 4 * options + 8 + data);
	put_random(2);
	put16((fragment == FRAGMENT_FIRST ? 0x2000 : 0) |
	      (fragment == FRAGMENT_LATER ? pick(2) << 13 | (1 + pick(0x1fff)) : pick(2) << 14));
	put8(pick(256));
	put8(protocol);
	put_random(2);
	put32(ONE_OF(addresses));
	put32(ONE_OF(addresses));
	put_random(4 * options);
	if (protocol == 51 && pick(2))
		ah(6);
	transport(protocol == 51 ? 6 : protocol, data);
}

/* A hop-by-hop, routing or destination options header; one in fifty has no sense in it. */
static void extension(unsigned int header, unsigned int next)
{
	static const __u8 zeros[20];
	unsigned int words = pick(3);

	put8(next);
	put8(words);
	if (!pick(50)) {
		put_random(6 + 8 * words);
	} else if (header == 43) {
		put8(253); /* a type for experiments: RFC 4727 */
		put8(pick(4));
		put_random(4 + 8 * words);
	} else {
		put8(1); /* PadN */
		put8(4 + 8 * words);
		put(zeros, 4 + 8 * words);
	}
}

/* chain: extension headers in order, 0 ends it; 255 stands for hop-by-hop. One length in fifty lies. */
static void ipv6(const __u8 *chain, unsigned int protocol, size_t data)
{
	unsigned int first, length;
	size_t start = len;

	/* libpcap's protochain may never come back from an extension header behind AH. */
	if (strchr((const char *)chain, 51) && (protocol == 0 || protocol == 44 || protocol == 51))
		protocol = 59;
	first = *chain ? *chain == 255 ? 0 : *chain : protocol;
	put32(0x60000000 | pick(0x1000000));
	put16(0);
	put8(first);
	put8(pick(256));
	put(ONE_OF(addresses6), 16);
	put(ONE_OF(addresses6), 16);
	for (; *chain; chain++) {
		unsigned int next = chain[1] ? chain[1] == 255 ? 0 : chain[1] : protocol;

		if (*chain == 51) {
			ah(next);
			continue;
		}
		if (*chain == 44) {
			put8(next);
			put8(0);
			put16(pick(2) ? 1 : (1 + pick(0x1fff)) << 3 | pick(2));
			put_random(4);
			continue;
		}
		extension(*chain, next);
	}
	transport(protocol, data);
	length = pick(50) ? len - start - 40 : pick(100);
	frame[start + 4] = length >> 8;
	frame[start + 5] = length;
}

static void arp(unsigned int type)
{
	put16(type);
	put16(0x800);
	put8(6);
	put8(4);
	put16(1 + pick(4));
	put(macs[pick(3)], 6);
	put32(ONE_OF(addresses));
	put(macs[pick(3)], 6);
	put32(ONE_OF(addresses));
	put_random(pick(19));
}

/* An 802.3 frame: a length, then what an 802.2 header begins with. */
static void ieee(unsigned int length, __u32 header, unsigned int n, size_t data)
{
	ethernet(length);
	for (; n; n--)
		put8(header >> 8 * (n - 1));
	payload(data);
}

static const __u8 protocols[] = {
	1, 2, 4, 6, 6, 6, 9, 17, 17, 17, 41, 47, 50, 51, 58, 59, 88, 89, 103, 112, 115, 132, 132,
	136, 0, 44, 255,
};
static const __u8 chains[][9] = {
	{ 0 }, { 255 }, { 44 }, { 43 }, { 60 }, { 51 }, { 255, 44 }, { 60, 43, 44, 51 },
	{ 255, 60, 43, 44, 60 }, { 44, 44 }, { 135 }, { 60, 60, 60, 60, 60, 60 },
	{ 60, 60, 60, 60, 60, 60, 60 }, { 255, 60, 43, 44, 60, 60, 60, 51 },
};

static void network(int six, unsigned int protocol, size_t data)
{
	if (six)
		ipv6(ONE_OF(chains), protocol, data);
	else
		ipv4(protocol, pick(4) ? FRAGMENT_NONE : 1 + pick(2),
		     pick(3) ? 0 : pick(11), data);
}

static void tag(unsigned int id, unsigned int type)
{
	put16(pick(8) << 13 | id);
	put16(type);
}

static void label(unsigned int number, int bottom)
{
	put32(number << 12 | pick(8) << 9 | bottom << 8 | pick(256));
}

static void pppoe(unsigned int session, unsigned int protocol)
{
	put8(0x11);
	put8(0);
	put16(session);
	put16(40);
	put16(protocol);
}

enum { PLAIN, TAGGED, PRIORITY, DOUBLE, QINQ, TRIPLE, MPLS, MPLS2, MPLS3, PPPOE, TAG_MPLS,
       TAG_PPPOE, PPPOE_MPLS, LAYERS };

/* An Ethernet header and what is between it and IP. */
static void layers(int kind, int six)
{
	static const __u16 ids[] = { 1, 5, 100, 4095, 0 };
	unsigned int type = six ? 0x86dd : 0x800, ppp = six ? 0x57 : 0x21;

	switch (kind) {
	case PLAIN:
		ethernet(type);
		break;
	case TAGGED:
		ethernet(0x8100);
		tag(ONE_OF(ids), type);
		break;
	case PRIORITY:
		ethernet(0x8100);
		tag(0, type);
		break;
	case DOUBLE:
	case QINQ:
		ethernet(kind == DOUBLE ? 0x88a8 : 0x9100);
		tag(ONE_OF(ids), 0x8100);
		tag(ONE_OF(ids), type);
		break;
	case TRIPLE:
		ethernet(0x8100);
		tag(100, 0x8100);
		tag(5, 0x8100);
		tag(1, type);
		break;
	case TAG_MPLS:
		ethernet(0x8100);
		tag(100, 0x8847);
		label(16 + pick(3), 1);
		break;
	case MPLS:
	case MPLS2:
	case MPLS3:
		ethernet(0x8847);
		for (int i = MPLS; i <= kind; i++)
			label(i == MPLS ? 1024 : 100000, i == kind);
		break;
	case PPPOE:
		ethernet(0x8864);
		pppoe(1 + pick(3), pick(5) ? ppp : 0xc021);
		break;
	case TAG_PPPOE:
		ethernet(0x8100);
		tag(100, 0x8864);
		pppoe(7, ppp);
		break;
	case PPPOE_MPLS:
		ethernet(0x8864);
		pppoe(2, 0x281);
		label(1024, 1);
		break;
	}
}

static void write_ip(void)
{
	for (int kind = 0; kind < LAYERS; kind++)
		for (size_t i = 0; i < sizeof(protocols); i++)
			for (int six = 0; six < 2; six++) {
				layers(kind, six);
				network(six, protocols[i], pick(60));
				write_frame(len);
			}
	for (size_t i = 0; i < sizeof(chains) / sizeof(*chains); i++)
		for (size_t j = 0; j < sizeof(protocols); j++) {
			ethernet(0x86dd);
			ipv6(chains[i], protocols[j], pick(40));
			write_frame(len);
		}
	for (int fragment = FRAGMENT_NONE; fragment <= FRAGMENT_LATER; fragment++)
		for (unsigned int options = 0; options <= 10; options++)
			for (int i = 0; i < 3; i++) {
				ethernet(0x800);
				ipv4(i == 0 ? 6 : i == 1 ? 17 : 1, fragment, options, pick(40));
				write_frame(len);
			}
}

static void write_other_types(void)
{
	static const __u16 types[] = {
		0x6000, 0x6001, 0x6002, 0x6003, 0x6004, 0x6007, 0x809b, 0x80f3, 0x8137, 0x8848,
		0x8863, 0x888e, 0x88a2, 0x88b5, 0x88cc, 0x88e5, 0x88f7, 0x8906, 0x9000, 0x0600,
		0x05ff, 0x05dd, 0x8100, 0x88a8, 0x86dd, 0x0800, 0x0806,
	};
	static const __u32 headers[] = { /* service access points and control */
		0x424203, 0xf0f003, 0xe0e003, 0x060603, 0xfefe03, 0xaaaa03, 0x000001, 0x000005,
		0x000009, 0x000000, 0x000002, 0x00000f, 0x00006f, 0x0000af, 0x0000e3, 0x000087,
		0x000043, 0x000063, 0xffff00, 0xffff03,
	};
	static const __u8 isis[] = { 15, 16, 17, 18, 20, 24, 25, 26, 27, 30 };

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		for (int j = 0; j < 2; j++) {
			ethernet(types[i]);
			payload(j ? 46 : pick(30));
			write_frame(len);
		}
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++)
		for (int j = 0; j < 3; j++) {
			ieee(j ? 46 : 1500, headers[i], 3, 43);
			write_frame(len);
		}
	for (size_t i = 0; i < sizeof(isis); i++) {
		ieee(60, 0xfefe03, 3, 0);
		put8(0x83);
		put_random(3);
		put8(isis[i]);
		payload(40);
		write_frame(len);
	}
	for (unsigned int i = 0x80; i < 0x84; i++) {
		ieee(60, 0xfefe03, 3, 0);
		put8(i);
		payload(40);
		write_frame(len);
	}
	for (int i = 0; i < 6; i++) { /* SNAP */
		static const __u8 snap[][5] = {
			{ 8, 0, 7, 0x80, 0x9b }, { 0, 0, 0, 0x80, 0xf3 }, { 0, 0, 0, 0x81, 0x37 },
			{ 0, 0, 0, 8, 0 }, { 0, 0, 0xc, 0x20, 0 }, { 0, 0, 0, 0x86, 0xdd },
		};

		ieee(50, 0xaaaa03, 3, 0);
		put(snap[i], 5);
		payload(40);
		write_frame(len);
	}
}

static void write_arp(void)
{
	for (int i = 0; i < 60; i++) {
		int kind = i % 4;

		ethernet(kind == 1 ? 0x8035 : kind == 2 ? 0x8100 : 0x806);
		if (kind == 2)
			tag(100, 0x806);
		arp(i % 7 ? 1 : 6);
		write_frame(len);
	}
}

/* ARP for other hardware and protocols than Ethernet and IPv4. */
static void write_other_arp(void)
{
	static const __u16 kinds[][4] = { /* hardware, protocol, the lengths of their addresses */
		{ 1, 0x86dd, 6, 16 }, { 24, 0x800, 8, 4 }, { 32, 0x800, 20, 4 }, { 1, 0x800, 6, 0 },
		{ 1, 0x809b, 6, 4 }, { 6, 0x800, 6, 4 }, { 1, 0x800, 0, 4 },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		ethernet(0x806);
		put16(kinds[i][0]);
		put16(kinds[i][1]);
		put8(kinds[i][2]);
		put8(kinds[i][3]);
		put16(1);
		put_random(2u * (kinds[i][2] + kinds[i][3]));
		write_frame(len);
	}
}

/* Tags that are followed by a length, by no type that there is, or by more tags than anyone has. */
static void write_tags(void)
{
	static const __u16 types[] = { 0x8100, 0x88a8, 0x9100 };
	static const __u16 inner[] = { 46, 0, 1500, 1501, 1535, 1536, 0x88b5, 0x8100, 0x88cc };

	for (size_t i = 0; i < 27; i++) {
		ethernet(types[i / 9]);
		tag(4095, inner[i % 9]);
		payload(46);
		write_frame(len);
	}
	for (unsigned int tags = 2; tags < 6; tags++)
		for (int i = 0; i < 9; i++) {
			ethernet(types[i / 3]);
			for (unsigned int j = 1; j < tags; j++)
				tag(j, types[i % 3]);
			tag(7, 0x800);
			ipv4(17, FRAGMENT_NONE, 0, 20);
			write_frame(len);
		}
}

/* One frame of each kind, cut short after every byte up to its 80th, and of one all of its bytes. */
static void write_truncated(void)
{
	for (int kind = 0; kind < 14; kind++) {
		switch (kind) {
		case 0:
		case 1:
		case 2:
			ethernet(0x800);
			ipv4(kind == 0 ? 6 : kind == 1 ? 17 : 132, FRAGMENT_NONE, kind * 2, 60);
			break;
		case 3:
		case 4:
		case 5:
			ethernet(0x86dd);
			ipv6(chains[kind == 5 ? 7 : 0], kind == 3 ? 6 : 58, 60);
			break;
		case 6:
			ethernet(0x806);
			arp(1);
			break;
		case 7:
			ethernet(0x8035);
			arp(1);
			break;
		case 8:
			layers(TAGGED, 0);
			ipv4(17, FRAGMENT_NONE, 0, 60);
			break;
		case 9:
			layers(DOUBLE, 1);
			ipv6(chains[2], 6, 60);
			break;
		case 10:
			layers(MPLS2, 0);
			ipv4(6, FRAGMENT_NONE, 0, 60);
			break;
		case 11:
			layers(TAG_PPPOE, 0);
			ipv4(6, FRAGMENT_NONE, 1, 60);
			break;
		case 12:
			ieee(60, 0xfefe03, 3, 60);
			break;
		case 13:
			ethernet(0x800);
			ipv4(1, FRAGMENT_LATER, 0, 60);
			break;
		}
		for (size_t n = 14; (n <= 80 || kind == 5) && n <= len; n++)
			write_frame(n);
	}
}

/* Headers that lie, random bytes, and large frames. */
static void write_odd(void)
{
	static const __u16 sizes[] = { 1514, 1518, 3000, 3400, 4096, 9014, 2000, 1500, 1280 };

	for (int i = 0; i < 256; i++) {
		ethernet(pick(2) ? 0x800 : 0x86dd);
		ipv4(ONE_OF(protocols), FRAGMENT_NONE, 0, 20);
		frame[14] = i;
		write_frame(len);
	}
	for (int i = 0; i < 200; i++) {
		ethernet(pick(3) ? 0x800 : 0x86dd);
		put_random(pick(80));
		write_frame(len);
	}
	for (int i = 0; i < 150; i++) {
		len = 0;
		put_random(14 + pick(100));
		write_frame(len);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (int six = 0; six < 2; six++) {
			layers(i & 1 ? TAGGED : PLAIN, six);
			network(six, 6, 0);
			payload(sizes[i] - len);
			write_frame(len);
		}
}

int main(int argc, char **argv)
{
	static const __u16 version[] = { 2, 4 };

	least = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	write32(0xa1b2c3d4);
	fwrite(version, sizeof(version), 1, stdout);
	write32(0);
	write32(0);
	write32(262144);
	write32(1);
	write_ip();
	write_other_types();
	write_arp();
	write_other_arp();
	write_tags();
	write_truncated();
	write_odd();
	return ferror(stdout) || fclose(stdout) ? 1 : 0;
}
