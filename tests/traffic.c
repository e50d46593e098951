// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "traffic.h"

#define SEQUENCE_MIN (1u << 20)

__attribute__((noreturn))
static void out_of_memory(void)
{
	fprintf(stderr, "generate: out of memory\n");
	exit(1);
}

/* One's complement sum over len bytes, on top of sum; bytes in their order on the wire. */
static __u32 sum_bytes(const __u8 *bytes, size_t len, __u32 sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (__u32)bytes[i] << 8 | bytes[i + 1];
	if (len & 1)
		sum += (__u32)bytes[len - 1] << 8;
	return sum;
}

static __u16 fold(__u32 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((__u16)~sum);
}

static void put16(__u8 *at, unsigned int value)
{
	at[0] = (__u8)(value >> 8);
	at[1] = (__u8)value;
}

void traffic_build_frame(struct traffic *t)
{
	const int ipv4 = t->family == AF_INET;
	const unsigned int l4 = 14 + (ipv4 ? 20 : 40);
	__u8 *ip = t->frame + 14, *header = t->frame + l4;

	memcpy(t->frame, t->mac, 6);
	memcpy(t->frame + 6, (const __u8[]){2, 0, 0, 0, 0, 0x98}, 6);
	put16(t->frame + 12, ipv4 ? 0x0800 : 0x86dd);
	t->ip = 14;
	t->l4 = l4;
	if (ipv4) {
		ip[0] = 0x45;
		put16(ip + 2, t->size - 14);
		ip[8] = 64;
		ip[9] = (__u8)t->protocol;
		memcpy(ip + 16, t->destination, 4);
	} else {
		ip[0] = 0x60;
		put16(ip + 4, t->size - l4);
		ip[6] = (__u8)t->protocol;
		ip[7] = 64;
		memcpy(ip + 8, t->source, 16);
		memcpy(ip + 24, t->destination, 16);
	}
	put16(header, 4000);
	put16(header + 2, 9);
	t->checksum_at = l4 + 6;
	if (t->protocol == IPPROTO_UDP) {
		put16(header + 4, t->size - l4);
	} else if (t->protocol == IPPROTO_TCP) {
		header[12] = 5 << 4;
		header[13] = 0x10; /* ACK */
		t->checksum_at = l4 + 16;
	} else {
		header[0] = ipv4 ? 8 : 128; /* echo request */
		header[1] = 0;
		t->checksum_at = l4 + 2;
		put16(header + 2, 0);
	}
}

/* The address of source number i as it stands in the frame. */
static void nth_source(const struct traffic *t, __u32 i, __u8 address[16])
{
	const int last = t->family == AF_INET ? 0 : 12;
	__u32 low;

	memcpy(address, t->source, 16);
	memcpy(&low, address + last, 4);
	low = htonl(ntohl(low) + i);
	memcpy(address + last, &low, 4);
}

static void fill_entry(const struct traffic *t, __u32 i, __u32 sum_ip, __u32 sum_l4,
		       struct entry *entry)
{
	const int ipv4 = t->family == AF_INET;
	const size_t len = ipv4 ? 4 : 16;
	__u8 address[16];

	nth_source(t, i, address);
	memcpy(&entry->address, address + (ipv4 ? 0 : 12), 4);
	entry->ip_checksum = ipv4 ? fold(sum_bytes(address, len, sum_ip)) : 0;
	if (ipv4 && t->protocol == IPPROTO_ICMP) /* it has no pseudo-header */
		entry->checksum = fold(sum_l4);
	else
		entry->checksum = fold(sum_bytes(address, len, sum_l4));
	if (!entry->checksum && t->protocol == IPPROTO_UDP)
		entry->checksum = 0xffff;
}

/* xorshift64*, good enough for draws that must only be repeatable. */
static __u64 draw(__u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static __u32 draw_below(__u64 *state, __u32 n)
{
	return (__u32)((draw(state) >> 32) * n >> 32);
}

/* The cumulative weights of Zipf's law over n ranks, the last one 1. */
static double *zipf_weights(__u32 n, double exponent)
{
	double *cumulative = malloc(n * sizeof(*cumulative)), sum = 0;

	if (!cumulative)
		out_of_memory();
	for (__u32 i = 0; i < n; i++) {
		sum += pow(i + 1, -exponent);
		cumulative[i] = sum;
	}
	for (__u32 i = 0; i < n; i++)
		cumulative[i] /= sum;
	return cumulative;
}

static __u32 draw_rank(const double *cumulative, __u32 n, __u64 *seed)
{
	const double wanted = (double)(draw(seed) >> 11) / 9007199254740992.0; /* 2^53 */
	__u32 low = 0, high = n - 1;

	while (low < high) {
		__u32 middle = low + (high - low) / 2;

		if (cumulative[middle] > wanted)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* A random order of 0 to n - 1. */
static __u32 *shuffled(__u32 n, __u64 *seed)
{
	__u32 *list = malloc(n * sizeof(*list));

	if (!list)
		out_of_memory();
	for (__u32 i = 0; i < n; i++) {
		__u32 j = draw_below(seed, i + 1);

		list[i] = list[j];
		list[j] = i;
	}
	return list;
}

__u32 traffic_sequence_length(const struct traffic *t)
{
	__u64 length = t->sources;

	if (t->order != TURN) {
		length = 4ull * t->sources > SEQUENCE_MIN ? 4ull * t->sources : SEQUENCE_MIN;
		if (length > t->count)
			length = t->count;
	}
	return length < TRAFFIC_SEQUENCE_MAX ? (__u32)length : TRAFFIC_SEQUENCE_MAX;
}

void traffic_fill(struct traffic *t)
{
	__u64 seed = t->seed * 0x9e3779b97f4a7c15ull + 1;
	double *weights = t->order == ZIPF ? zipf_weights(t->sources, t->exponent) : NULL;
	__u32 *address_of = t->order == ZIPF ? shuffled(t->sources, &seed) : NULL;
	__u32 sum_ip = sum_bytes(t->frame + t->ip, t->l4 - t->ip, 0);
	__u32 sum_l4 = sum_bytes(t->frame + t->l4, t->size - t->l4, 0);

	if (t->family == AF_INET) {
		if (t->protocol != IPPROTO_ICMP)
			sum_l4 = sum_bytes(t->destination, 4, sum_l4);
	} else {
		sum_l4 = sum_bytes(t->destination, 16, sum_l4);
	}
	if (t->family == AF_INET6 || t->protocol != IPPROTO_ICMP)
		sum_l4 += (__u32)t->protocol + t->size - t->l4;
	for (__u32 n = 0; n < t->length; n++) {
		__u32 i = n % t->sources;

		if (t->order == UNIFORM)
			i = draw_below(&seed, t->sources);
		else if (t->order == ZIPF)
			i = address_of[draw_rank(weights, t->sources, &seed)];
		fill_entry(t, i, sum_ip, sum_l4, &t->sequence[n]);
	}
	free(weights);
	free(address_of);
}

__u32 traffic_count(const struct traffic *t, __u64 sent, FILE *file)
{
	const int last = t->family == AF_INET ? 0 : 12;
	__u64 *counts = calloc(t->sources, sizeof(*counts));
	__u32 first, used = 0;

	if (!counts)
		out_of_memory();
	memcpy(&first, t->source + last, 4);
	for (__u32 n = 0; n < t->length; n++)
		counts[ntohl(t->sequence[n].address) - ntohl(first)] +=
			sent / t->length + (n < sent % t->length);
	for (__u32 i = 0; i < t->sources; i++) {
		char text[INET6_ADDRSTRLEN];
		__u8 address[16];

		used += counts[i] != 0;
		if (!file || !counts[i])
			continue;
		nth_source(t, i, address);
		inet_ntop(t->family, address, text, sizeof(text));
		fprintf(file, "%s %llu %llu\n", text, counts[i], counts[i] * t->size);
	}
	free(counts);
	return used;
}
