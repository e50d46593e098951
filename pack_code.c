// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The coding of a packed program, which unpack.S describes: matches with earlier bytes, and symbols
 * that take as many bits as they are rare. What is cheapest as a whole is sought in rounds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pack.h"

#define TRIES     1000 /* earlier places with the same two bytes to look at */
#define WAYS      8    /* to go on from, at each place */
#define LEN_MAX   256
#define BEGINNINGS 4   /* of choosing which tables to use */
#define ROUNDS    8    /* of finding the cheapest way, each with the prices of the last one's */

/* As in unpack.S. */
#define KINDS     6    /* tables for what begins a step, by the byte before and the stretch */
#define KIND_BITS 3
#define TABLES    (KINDS + 3)
#define STRETCHES 2
#define LOG_SLOTS 11
#define SLOTS     (1u << LOG_SLOTS)
#define SPREAD    1283
#define MATCH     256
#define AGAIN     272
#define SYMBOLS   288

/* A way to have the first bytes up to some place. */
struct way {
	uint32_t price;    /* UINT32_MAX: none */
	uint32_t from;     /* the way to the place before its last step: place * WAYS + which */
	uint32_t distance; /* of the last match so far; 0: none */
	uint32_t symbol;   /* with which the last step begins */
};

struct match {
	uint32_t distance, len;
};

/* What the decoder reads, in its order: a symbol of a table, or bits as they are. */
struct item {
	uint32_t table; /* TABLES: bits as they are */
	uint32_t value, bits;
};

struct packer {
	const uint8_t *image;
	uint32_t size, border;  /* the second stretch begins there */
	struct match *matches;  /* of all places, the longer the later */
	uint32_t *first_match;  /* of each place, and that of none */
	struct way *ways;       /* of each place the cheapest WAYS, each with another distance, in order */
	struct item *items;
	uint32_t n_items;
	uint8_t kinds[STRETCHES * 256];
	uint32_t counts[TABLES][SYMBOLS], prices[TABLES][SYMBOLS];
	uint32_t by_byte[STRETCHES * 256][SYMBOLS];
	uint16_t slots[TABLES][SYMBOLS][2]; /* how many a symbol has, and where its first is */
};

static void *must(void *memory)
{
	if (!memory) {
		fprintf(stderr, "pack: %s\n", strerror(ENOMEM));
		exit(1);
	}
	return memory;
}

void *grab(size_t n, size_t size)
{
	return must(calloc(n, size));
}

static unsigned int log2_floor(uint32_t number)
{
	return 31 - __builtin_clz(number);
}

/* The binary logarithm in 256ths, without floating point, which is not the same everywhere. */
static uint32_t log2_256(uint32_t number)
{
	uint32_t whole = log2_floor(number), result = whole;
	uint64_t part = ((uint64_t)number << 31) >> whole;

	for (int i = 0; i < 8; i++) {
		part = (part * part) >> 31;
		result = result << 1 | part >> 32;
		part >>= part >> 32;
	}
	return result;
}

/* A number from 0 on as one of 16 symbols, and how many bits follow it. */
static uint32_t length_symbol(uint32_t number, uint32_t *bits)
{
	*bits = number < 8 ? 0 : log2_floor(number);
	return number < 8 ? number : 5 + *bits;
}

static uint32_t distance_symbol(uint32_t distance, uint32_t *bits)
{
	*bits = log2_floor(distance + 1) - 1;
	return (*bits - 1) * 2 + ((distance + 1) >> *bits);
}

/* Shorter matches come from nearer. */
static uint32_t distance_table(uint32_t len)
{
	return KINDS + (len < 4 ? len - 2 : 2);
}

static uint32_t before(const struct packer *packer, uint32_t at)
{
	return packer->image[at - 1] + (at < packer->border ? 0 : 256);
}

static uint32_t same(const struct packer *packer, uint32_t at, uint32_t distance)
{
	uint32_t len = 0;

	while (len < LEN_MAX && at + len < packer->size &&
	       packer->image[at + len] == packer->image[at + len - distance])
		len++;
	return len;
}

/* Of each place the nearest match of each length, among those that begin with its two bytes. */
static void find_matches(struct packer *packer)
{
	uint32_t *latest = grab(1 << 16, sizeof(*latest)); /* by two bytes: their place + 1 */
	uint32_t *earlier = grab(packer->size + 1, sizeof(*earlier)); /* of the same two */
	uint32_t n = 0, room = 0;

	for (uint32_t at = 0; at + 1 < packer->size; at++) {
		uint32_t *place = &latest[packer->image[at] | packer->image[at + 1] << 8];
		uint32_t best = 1, other = *place;

		packer->first_match[at] = n;
		for (int tries = 0; other && tries < TRIES && best < LEN_MAX; tries++) {
			uint32_t len = same(packer, at, at - (other - 1));

			if (n == room) {
				room = room * 2 + 4096;
				packer->matches = must(realloc(packer->matches,
							       room * sizeof(*packer->matches)));
			}
			if (len > best)
				packer->matches[n++] = (struct match){at + 1 - other, len};
			best = len > best ? len : best;
			other = earlier[other];
		}
		earlier[at + 1] = *place;
		*place = at + 1;
	}
	packer->first_match[packer->size - 1] = packer->first_match[packer->size] = n;
	free(latest);
	free(earlier);
}

/* A step from a way to a place, if what it makes is cheaper than a way known there. */
static void step(struct packer *packer, uint32_t from, uint32_t to, uint32_t price, uint32_t distance,
		 uint32_t symbol)
{
	struct way *ways = &packer->ways[to * WAYS];
	int i = 0, last;

	price += packer->ways[from].price;
	while (i < WAYS && ways[i].price <= price && ways[i].distance != distance)
		i++;
	if (i == WAYS || ways[i].price <= price)
		return;
	for (last = i; last < WAYS - 1 && ways[last].distance != distance; last++)
		;
	memmove(&ways[i + 1], &ways[i], (last - i) * sizeof(*ways));
	ways[i] = (struct way){price, from, distance, symbol};
}

static void try_match(struct packer *packer, uint32_t at, uint32_t from, struct match match,
		      const uint32_t *prices)
{
	uint32_t more, bits, symbol = distance_symbol(match.distance, &more);

	for (uint32_t len = from; len <= match.len; len++) {
		uint32_t begin = MATCH + length_symbol(len - 2, &bits);

		step(packer, at * WAYS, at + len, prices[begin] + (bits + more) * 256 +
		     packer->prices[distance_table(len)][symbol], match.distance, begin);
	}
}

/* From a way: a byte, or what is as far back as the last match was. */
static void try_again(struct packer *packer, uint32_t at, uint32_t from, const uint32_t *prices)
{
	uint32_t distance = packer->ways[from].distance, bits;
	uint32_t len = distance ? same(packer, at, distance) : 0;

	step(packer, from, at + 1, prices[packer->image[at]], distance, packer->image[at]);
	for (uint32_t n = 1; n <= len; n++) {
		uint32_t begin = AGAIN + length_symbol(n - 1, &bits);

		step(packer, from, at + n, prices[begin] + bits * 256, distance, begin);
	}
}

/* The cheapest ways to every place, place by place: the last one's first is that of the whole image. */
static void find_ways(struct packer *packer)
{
	for (uint32_t i = 0; i < (packer->size + 1) * WAYS; i++)
		packer->ways[i] = (struct way){.price = UINT32_MAX, .distance = UINT32_MAX};
	packer->ways[WAYS] = (struct way){0};
	for (uint32_t at = 1; at < packer->size; at++) {
		const uint32_t *prices = packer->prices[packer->kinds[before(packer, at)]];
		uint32_t from = 2;

		for (int i = 0; i < WAYS && packer->ways[at * WAYS + i].price < UINT32_MAX; i++)
			try_again(packer, at, at * WAYS + i, prices);
		for (uint32_t i = packer->first_match[at]; i < packer->first_match[at + 1]; i++) {
			struct match match = packer->matches[i];

			try_match(packer, at, from <= match.len ? from : match.len, match, prices);
			from = from <= match.len ? match.len + 1 : from;
		}
	}
}

static void add_item(struct packer *packer, uint32_t table, uint32_t value, uint32_t bits)
{
	packer->items[packer->n_items++] = (struct item){table, value, bits};
}

/* The last step of a way, its items in the reverse order. Returns the way before. */
static uint32_t add_step(struct packer *packer, uint32_t which)
{
	const struct way *way = &packer->ways[which];
	uint32_t from = way->from / WAYS, len = which / WAYS - from, bits;
	uint32_t number = len - (way->symbol < AGAIN ? 2 : 1);

	if (way->symbol >= MATCH && way->symbol < AGAIN) {
		uint32_t symbol = distance_symbol(way->distance, &bits);

		add_item(packer, TABLES, way->distance + 1, bits);
		add_item(packer, distance_table(len), symbol, 0);
		packer->counts[distance_table(len)][symbol]++;
	}
	if (way->symbol >= MATCH) {
		length_symbol(number, &bits);
		add_item(packer, TABLES, number, bits);
	}
	add_item(packer, packer->kinds[before(packer, from)], way->symbol, 0);
	packer->by_byte[before(packer, from)][way->symbol]++;
	return way->from;
}

static void add_steps(struct packer *packer)
{
	memset(packer->by_byte, 0, sizeof(packer->by_byte));
	memset(packer->counts, 0, sizeof(packer->counts));
	packer->n_items = 0;
	for (uint32_t way = packer->size * WAYS; way / WAYS > 1;)
		way = add_step(packer, way);
}

static void sum_kinds(struct packer *packer)
{
	memset(packer->counts, 0, KINDS * sizeof(packer->counts[0]));
	for (int i = 0; i < STRETCHES * 256; i++)
		for (int symbol = 0; symbol < SYMBOLS; symbol++)
			packer->counts[packer->kinds[i]][symbol] += packer->by_byte[i][symbol];
}

static void find_prices(struct packer *packer, int table)
{
	uint32_t total = 0;

	for (int i = 0; i < SYMBOLS; i++)
		total += packer->counts[table][i] * 64 + 1;
	for (int i = 0; i < SYMBOLS; i++)
		packer->prices[table][i] = log2_256(total) -
					   log2_256(packer->counts[table][i] * 64 + 1);
}

/* Of each byte before, the table whose prices suit best what comes after it. Returns the sum. */
static uint64_t choose_kinds(struct packer *packer)
{
	uint64_t sum = 0;

	for (int table = 0; table < KINDS; table++)
		find_prices(packer, table);
	for (int i = 0; i < STRETCHES * 256; i++) {
		uint64_t best = UINT64_MAX;

		for (int table = 0; table < KINDS; table++) {
			uint64_t price = 0;

			for (int symbol = 0; symbol < SYMBOLS; symbol++)
				price += (uint64_t)packer->by_byte[i][symbol] *
					 packer->prices[table][symbol];
			if (price < best)
				packer->kinds[i] = table;
			best = price < best ? price : best;
		}
		sum += best;
	}
	sum_kinds(packer);
	return sum;
}

/* Where choosing ends depends on where it begins: the best of many beginnings, always the same ones. */
static void find_kinds(struct packer *packer, uint32_t seed)
{
	uint8_t kinds[sizeof(packer->kinds)];
	uint64_t least = UINT64_MAX, sum = 0;

	for (int begin = 0; begin < BEGINNINGS; begin++) {
		for (size_t i = 0; begin && i < sizeof(kinds); i++) {
			seed = seed * 1103515245 + 12345;
			packer->kinds[i] = (seed >> 16) % KINDS;
		}
		sum_kinds(packer);
		for (int i = 0; i < 8; i++)
			sum = choose_kinds(packer);
		if (sum < least)
			memcpy(kinds, packer->kinds, sizeof(kinds));
		least = sum < least ? sum : least;
	}
	memcpy(packer->kinds, kinds, sizeof(kinds));
	sum_kinds(packer);
}

/* As many slots as their share, of all SLOTS, for each symbol that there is. */
static void share_slots(struct packer *packer, int table)
{
	uint32_t *counts = packer->counts[table], total = 0, most = 0;
	uint16_t (*slots)[2] = packer->slots[table];
	int left = SLOTS;

	for (int i = 0; i < SYMBOLS; i++)
		total += counts[i];
	if (!total)
		total = counts[0] = 1;
	for (int i = 0; i < SYMBOLS; i++) {
		slots[i][0] = ((uint64_t)counts[i] * SLOTS + total / 2) / total;
		if (counts[i] && !slots[i][0])
			slots[i][0] = 1;
		left -= slots[i][0];
		most = counts[i] > counts[most] ? (uint32_t)i : most;
	}
	for (; left < 0; left++) {
		uint32_t loss = UINT32_MAX;

		for (int i = 0; i < SYMBOLS; i++)
			if (slots[i][0] > 1 && counts[i] * 4096 / (slots[i][0] - 1) < loss) {
				loss = counts[i] * 4096 / (slots[i][0] - 1);
				most = i;
			}
		slots[most][0]--;
	}
	slots[most][0] += left;
	for (int i = 0, at = 0; i < SYMBOLS; at += slots[i++][0])
		slots[i][1] = at;
}

static void put_bits(uint8_t *out, uint32_t *used, uint32_t value, uint32_t bits)
{
	for (; bits--; ++*used)
		out[*used / 8] |= (value >> bits & 1) << (7 - *used % 8);
}

static void put_tables(const struct packer *packer, uint8_t *out, uint32_t *used)
{
	for (int table = 0; table < TABLES; table++) {
		uint32_t number, left = SLOTS;

		for (int i = 0; left; i++) {
			number = packer->slots[table][i][0] + 1;
			put_bits(out, used, number, 2 * log2_floor(number) + 1);
			left -= number - 1;
		}
	}
	for (int i = 0; i < STRETCHES * 256; i++)
		put_bits(out, used, packer->kinds[i], KIND_BITS);
	put_bits(out, used, packer->image[0], 8);
}

/* The items are reversed: each symbol becomes the bits of a state that its successor finds. */
static void put_items(struct packer *packer, uint8_t *out, uint32_t *used)
{
	uint32_t state = SLOTS;

	for (uint32_t i = 0; i < packer->n_items; i++) {
		struct item *item = &packer->items[i];
		const uint16_t *slots;
		uint32_t bits = 0;

		if (item->table == TABLES)
			continue;
		slots = packer->slots[item->table][item->value];
		while (state >> bits >= 2u * slots[0])
			bits++;
		*item = (struct item){TABLES, state, bits};
		state = SLOTS + ((state >> bits) - slots[0] + slots[1]) * SPREAD % SLOTS;
	}
	put_bits(out, used, state, LOG_SLOTS);
	for (uint32_t i = packer->n_items; i--;)
		put_bits(out, used, packer->items[i].value, packer->items[i].bits);
}

uint32_t pack(const uint8_t *image, uint32_t size, uint32_t border, uint8_t *out)
{
	struct packer *packer = grab(1, sizeof(*packer));
	uint32_t used = 0;

	*packer = (struct packer){.image = image, .size = size, .border = border};
	packer->first_match = grab(size + 1, sizeof(*packer->first_match));
	packer->ways = grab(size + 2, WAYS * sizeof(*packer->ways));
	packer->items = grab(size + 1, 4 * sizeof(*packer->items));
	find_matches(packer);
	for (int i = 0; i < STRETCHES * 256; i++)
		packer->kinds[i] = i * KINDS / (STRETCHES * 256);
	for (int table = 0; table < TABLES; table++)
		for (int i = 0; i < SYMBOLS; i++)
			packer->prices[table][i] = table < KINDS && i < MATCH ? 7 * 256 : 5 * 256;
	for (int round = 0; round < ROUNDS; round++) {
		find_ways(packer);
		add_steps(packer);
		sum_kinds(packer);
		if (round < ROUNDS - 1)
			find_kinds(packer, round);
		for (int table = 0; table < TABLES; table++)
			find_prices(packer, table);
	}
	for (int table = 0; table < TABLES; table++)
		share_slots(packer, table);
	put_tables(packer, out, &used);
	put_items(packer, out, &used);
	free(packer->first_match);
	free(packer->matches);
	free(packer->ways);
	free(packer->items);
	free(packer);
	return used / 8 + 5; /* the unpacker reads four bytes where one may be the last */
}
