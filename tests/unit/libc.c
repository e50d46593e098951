// SPDX-License-Identifier: GPL-2.0-or-later
/* What stands in for libc: memory that is what it should be after any order of calls, and the rest. */
#include "tap.h"

#define malloc own_malloc
#define calloc own_calloc
#define realloc own_realloc
#define free own_free
#define strtoul own_strtoul
#define strstr own_strstr
#define qsort own_qsort
char *strstr(const char *text, const char *part);
#include "../../libc.c"

/* By the list of mappings, which an emulator of this program shows, too. */
static size_t mapped_kilobytes(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	unsigned long long from, to;
	size_t sum = 0;

	if (!file)
		return 0;
	while (fscanf(file, "%llx-%llx%*[^\n]", &from, &to) == 2)
		sum += (to - from) / 1024;
	fclose(file);
	return sum;
}

/* Every byte of a block says whose it is. */
static int intact(const unsigned char *memory, size_t size, unsigned char mark)
{
	for (size_t i = 0; i < size; i++)
		if (memory[i] != mark)
			return 0;
	return 1;
}

static size_t any_size(void)
{
	switch (random() % 8) {
	case 0:
		return random() % 300000;
	case 1:
		return 32736 + random() % 40; /* about the largest that is no mapping of its own */
	default:
		return random() % (random() % 5000 + 1);
	}
}

enum { BLOCKS = 200 };

/* Volatile, so that no compiler warns of what the tests are about. */
static volatile size_t huge = SIZE_MAX;

static void test_any_order(void)
{
	static struct { unsigned char *at; size_t size; } blocks[BLOCKS];
	int wrong = 0;

	srandom(1);
	for (int step = 0; step < 40000; step++) {
		int i = random() % BLOCKS;
		size_t size = any_size(), old = blocks[i].size;
		unsigned char *at = blocks[i].at;

		wrong += !intact(at, old, i);
		if (random() % 4 == 0) {
			own_free(at);
			at = NULL;
			size = 0;
		} else if (random() % 2) {
			at = own_realloc(at, size);
			wrong += !at || !intact(at, size < old ? size : old, i);
		} else {
			own_free(at);
			at = random() % 2 ? own_calloc(size, 1) : own_malloc(size);
			wrong += !at;
		}
		wrong += (uintptr_t)at % 16 != 0;
		if (at)
			memset(at, i, size);
		blocks[i].at = at;
		blocks[i].size = size;
	}
	is_number(wrong, 0, "blocks stay apart, aligned and whole in any order of calls");
	for (int i = 0; i < BLOCKS; i++)
		own_free(blocks[i].at);
}

static void test_calloc(void)
{
	unsigned char *at = own_malloc(100);

	memset(at, 0xff, 100);
	own_free(at);
	at = own_calloc(10, 10);
	ok(intact(at, 100, 0), "calloc clears what was used before");
	own_free(at);
	ok(!own_calloc(huge / 2, 3) && errno == ENOMEM, "calloc sees an overflow");
}

static void test_refused(void)
{
	void *at = own_malloc(40000);

	errno = 0;
	ok(!own_malloc(huge) && errno == ENOMEM, "malloc of all there is");
	ok(!own_malloc(huge / 2) && errno == ENOMEM, "malloc of half of it");
	ok(!own_realloc(at, huge - 10) && errno == ENOMEM, "realloc to all there is");
	memset(at, 1, 40000);
	ok(intact(at, 40000, 1), "the block is still there");
	own_free(at);
	own_free(NULL);
}

static void test_given_back(void)
{
	size_t before = mapped_kilobytes();
	int kept = 0;
	char *at;

	for (int i = 0; i < 100; i++) {
		at = own_malloc(10 << 20);
		at = own_realloc(at, 20 << 20);
		at[(20 << 20) - 1] = 1;
		errno = 77;
		own_free(at);
		kept += errno == 77;
	}
	ok(mapped_kilobytes() < before + 1000, "what was large is given back");
	is_number(kept, 100, "free leaves errno alone");
	for (int i = 0; i < 100000; i++)
		own_free(own_malloc(i % 3000));
	ok(mapped_kilobytes() < before + 2000, "what was small is used again");
}

static void test_strtoul(void)
{
	char *end;

	is_number(own_strtoul("  42.5", &end, 10), 42, "blanks first");
	is_text(end, ".5", "the end of the digits");
	is_number(own_strtoul("fFx", &end, 16), 255, "hexadecimal");
	is_text(end, "x", "the end of hexadecimal digits");
	is_number(own_strtoul("12a", &end, 10), 12, "a letter ends decimal digits");
	is_text(end, "a", "the letter");
	is_number(own_strtoul("\xff", &end, 10), 0, "no digits");
	is_number(own_strtoul("/:", NULL, 16), 0, "neighbours of digits");
	ok(own_strtoul("18446744073709551615", NULL, 10) == ULONG_MAX, "the largest");
	ok(own_strtoul("18446744073709551616", NULL, 10) == ULONG_MAX, "one too many");
	ok(own_strtoul("99999999999999999999999999", &end, 10) == ULONG_MAX, "far too many");
	is_text(end, "", "whose end is found all the same");
}

static void test_strstr(void)
{
	static const char text[] = "aab, aaab";

	ok(own_strstr(text, "aaab") == text + 5, "strstr after a false start");
	ok(own_strstr(text, "") == text, "the empty part");
	ok(own_strstr(text, "ab,") == text + 1, "in the middle");
	ok(!own_strstr(text, "aaaab"), "nowhere");
	ok(!own_strstr("", "a"), "nothing in nothing");
}

static int by_value(const void *a, const void *b)
{
	const int *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static void test_qsort(void)
{
	static int numbers[3000];
	int wrong = 0;

	for (size_t n = 0; n < 3000; n = n < 20 ? n + 1 : n * 2) {
		long sum = 0;

		for (size_t i = 0; i < n; i++)
			sum += numbers[i] = random() % (n + 1) - n / 2;
		own_qsort(numbers, n, sizeof(*numbers), by_value);
		for (size_t i = 0; i < n; i++) {
			sum -= numbers[i];
			wrong += i && numbers[i - 1] > numbers[i];
		}
		wrong += sum != 0;
	}
	is_number(wrong, 0, "qsort");
}

int main(void)
{
	test_any_order();
	test_calloc();
	test_refused();
	test_given_back();
	test_strtoul();
	test_strstr();
	test_qsort();
	return done();
}
