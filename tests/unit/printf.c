// SPDX-License-Identifier: GPL-2.0-or-later
/* Our formatter against libc's: a table of formats with awkward values, then random ones. */
#include <limits.h>
#include <stdlib.h>

#include "tap.h"

#define vsnprintf own_vsnprintf
#define snprintf own_snprintf
#define sprintf own_sprintf
int vsnprintf(char *to, size_t size, const char *format, va_list list);
int snprintf(char *to, size_t size, const char *format, ...);
int sprintf(char *to, const char *format, ...);
#include "../../printf.c"
#undef vsnprintf
#undef snprintf
#undef sprintf

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static int differences;

static void compare(size_t size, const char *format, ...)
{
	char own[600], libc[600];
	va_list args;
	int own_len, libc_len;

	memset(own, '~', sizeof(own));
	memset(libc, '~', sizeof(libc));
	va_start(args, format);
	own_len = own_vsnprintf(own, size, format, args);
	va_end(args);
	va_start(args, format);
	libc_len = vsnprintf(libc, size, format, args);
	va_end(args);
	if (own_len == libc_len && !memcmp(own, libc, sizeof(own)))
		return;
	differences++;
	printf("# \"%s\" in %zu bytes: got %d \"%.*s\", wanted %d \"%.*s\"\n", format, size, own_len,
	       size ? 80 : 0, own, libc_len, size ? 80 : 0, libc);
}

static const long long numbers[] = {
	0, 1, -1, 7, 9, 10, -10, 15, 16, 99, 255, 256, 4095, 65535, 65536, INT_MAX, INT_MIN, UINT_MAX,
	1ll << 32, LLONG_MAX, LLONG_MIN, -4294967296ll, 1234567890123456789ll,
};

/* format with %, flags, width and precision, but the length and the letter. */
static void compare_numbers(const char *start, long long value)
{
	static const char letters[] = "diuxX";
	char format[40];

	for (const char *letter = letters; *letter; letter++) {
		sprintf(format, "<%s%c>", start, *letter);
		compare(500, format, (int)value);
		sprintf(format, "<%sl%c>", start, *letter);
		compare(500, format, (long)value);
		sprintf(format, "<%sll%c>", start, *letter);
		compare(500, format, value);
		sprintf(format, "<%sz%c>", start, *letter);
		compare(500, format, (size_t)value);
	}
}

static void test_numbers(void)
{
	static const char *const starts[] = {
		"%", "%5", "%-5", "%05", "%#", "%#10", "%-#10", "%#010", "%.0", "%.3", "%.30",
		"%8.3", "%08.3", "%-8.3", "%#8.3", "%25", "%025", "%-025", "%3.", "%40.30", "%0",
	};

	differences = 0;
	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++)
		for (size_t j = 0; j < sizeof(numbers) / sizeof(*numbers); j++)
			compare_numbers(starts[i], numbers[j]);
	ok(!differences, "numbers");
}

static void test_texts(void)
{
	differences = 0;
	compare(500, "");
	compare(500, "plain");
	compare(500, "100%%, %c%c", 'x', 'y');
	compare(500, "<%3c|%-3c|%c>", 'a', 'b', '\0');
	compare(500, "<%s|%s>", "", "text");
	compare(500, "<%10s|%-10s|%2s|%-2s>", "text", "text", "text", "text");
	compare(500, "<%.2s|%.0s|%.9s|%5.2s|%-5.2s>", "text", "text", "text", "text", "text");
	compare(500, "<%.3s>", (char[]){'a', 'b', 'c'});
	compare(500, "<%*s|%*s|%-*s>", 6, "a", -6, "b", 6, "c");
	compare(500, "<%.*s|%.*s|%.*s>", 2, "text", 0, "text", -1, "text");
	compare(500, "<%*.*s|%-*.*s|%*.*d>", 7, 2, "text", 7, 2, "text", -9, 4, 17);
	compare(500, "%s=%u, %s=%#llx (%zu)%5d", "a", 1u, "b", 0xfeedull, (size_t)3, -4);
	ok(!differences, "texts");
}

static void test_sizes(void)
{
	differences = 0;
	for (size_t size = 0; size < 30; size++) {
		compare(size, "%s", "twelve bytes");
		compare(size, "%08x%-8d%s", 0xabcu, -12, "end");
		compare(size, "%20s|", "x");
	}
	ok(!differences, "cut where the room ends, with the whole length as result");
}

static void test_random(void)
{
	static const char flags[] = "-0#", letters[] = "diuxX";

	srandom(1);
	differences = 0;
	for (int i = 0; i < 100000 && differences < 10; i++) {
		char format[40] = "%", *end = format + 1;

		for (int bits = random() & 7, bit = 0; bit < 3; bit++)
			if (bits >> bit & 1)
				*end++ = flags[bit];
		if (random() & 1)
			end += sprintf(end, "%ld", random() % 40);
		if (random() & 1)
			end += sprintf(end, ".%ld", random() % 40);
		sprintf(end, "ll%c", letters[random() % 5]);
		compare(random() % 60, format,
			(long long)(((unsigned long long)random() << 33 ^ random() << 11) >> random() % 64));
	}
	ok(!differences, "random formats");
}

static void test_others(void)
{
	char text[20] = "";

	is_number(own_snprintf(text, sizeof(text), "%d-%s", 12, "ab"), 5, "snprintf");
	is_text(text, "12-ab", "snprintf's text");
	is_number(own_sprintf(text, "%u", 7u), 1, "sprintf");
	is_text(text, "7", "sprintf's text");
}

int main(void)
{
	test_numbers();
	test_texts();
	test_sizes();
	test_random();
	test_others();
	return done();
}
