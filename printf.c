// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * snprintf and its kin in place of libc's, whose floating point alone weighs 10 KB in a static
 * binary. They have the standard's names, so that the compiler checks every format, and the linker
 * takes them before it looks into libc.a; weak, so that libc may still bring its own for itself.
 *
 * Understood: %, flags - 0 #, width or *, .precision or .*, l ll or z, and one of d i u x X c s %.
 * What the standard says of these holds. Any other letter stands for itself, and takes no argument.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define INSTEAD __attribute__((weak))

struct text {
	char *to;
	size_t size, len; /* len: as if there were room for all */
};

/* What stands between % and the letter. */
struct spec {
	int left, zero, alternate, longs;
	int width, precision; /* precision -1: none */
};

/* n bytes: those at from, or, where that is NULL, n times same. */
static void put(struct text *text, const char *from, char same, int n)
{
	for (; n > 0; n--, text->len++) {
		if (from)
			same = *from++;
		if (text->len < text->size)
			text->to[text->len] = same;
	}
}

/* Blanks, prefix, zeros, body, blanks. */
static void put_padded(struct text *text, const struct spec *spec, const char *prefix, int zeros,
		       const char *body, int len)
{
	int prefix_len = strlen(prefix), blanks = spec->width - prefix_len - len;

	if (spec->zero && zeros < blanks)
		zeros = blanks;
	if (zeros > 0)
		blanks -= zeros;
	if (!spec->left)
		put(text, NULL, ' ', blanks);
	put(text, prefix, 0, prefix_len);
	put(text, NULL, '0', zeros);
	put(text, body, 0, len);
	if (spec->left)
		put(text, NULL, ' ', blanks);
}

static void put_number(struct text *text, struct spec *spec, char letter, uintmax_t value)
{
	unsigned int base = (letter | 0x20) == 'x' ? 16 : 10;
	char digits[24], *end = digits + sizeof(digits), *at = end;
	char prefix[3] = "";

	if (base == 10 && letter != 'u' && (intmax_t)value < 0) {
		prefix[0] = '-';
		value = -value;
	} else if (base == 16 && spec->alternate && value) {
		prefix[0] = '0';
		prefix[1] = letter;
	}
	for (; value; value /= base) {
		char digit = value % base;

		*--at = digit < 10 ? '0' + digit : letter - 'x' + 'a' + digit - 10;
	}
	if (spec->left || spec->precision >= 0)
		spec->zero = 0;
	if (spec->precision < 0)
		spec->precision = 1;
	put_padded(text, spec, prefix, spec->precision - (end - at), at, end - at);
}

/* A number, or, for *, the next argument. */
static int parse_number(const char **at, va_list *args)
{
	int number = 0;

	if (**at == '*') {
		++*at;
		return va_arg(*args, int);
	}
	for (; **at >= '0' && **at <= '9'; ++*at)
		number = number * 10 + **at - '0';
	return number;
}

/* Returns the letter's place. */
static const char *parse_spec(struct spec *spec, const char *at, va_list *args)
{
	*spec = (struct spec){.precision = -1};
	for (;; at++) {
		if (*at == '-')
			spec->left = 1;
		else if (*at == '0')
			spec->zero = 1;
		else if (*at == '#')
			spec->alternate = 1;
		else
			break;
	}
	spec->width = parse_number(&at, args);
	if (spec->width < 0) {
		spec->left = 1;
		spec->width = -spec->width;
	}
	if (*at == '.') {
		at++;
		spec->precision = parse_number(&at, args);
	}
	for (; *at == 'l' || *at == 'z'; at++)
		spec->longs++;
	return at;
}

static void put_argument(struct text *text, struct spec *spec, char letter, va_list *args)
{
	const char *body = &letter;
	uintmax_t value;
	int len = 1;

	switch (letter) {
	case 'd':
	case 'i':
		value = spec->longs > 1 ? va_arg(*args, long long) :
			spec->longs ? va_arg(*args, long) : va_arg(*args, int);
		put_number(text, spec, letter, value);
		return;
	case 'u':
	case 'x':
	case 'X':
		value = spec->longs > 1 ? va_arg(*args, unsigned long long) :
			spec->longs ? va_arg(*args, unsigned long) : va_arg(*args, unsigned int);
		put_number(text, spec, letter, value);
		return;
	case 'c':
		letter = va_arg(*args, int);
		break;
	case 's':
		body = va_arg(*args, const char *);
		len = strnlen(body, spec->precision < 0 ? INT32_MAX : spec->precision);
	}
	spec->zero = 0;
	put_padded(text, spec, "", 0, body, len);
}

INSTEAD int vsnprintf(char *to, size_t size, const char *format, va_list list)
{
	struct text text = {.to = to, .size = size};
	struct spec spec;
	va_list args;

	va_copy(args, list); /* a parameter of this type may be no va_list that has an address */
	for (; *format; format++) {
		if (*format != '%') {
			put(&text, NULL, *format, 1);
			continue;
		}
		format = parse_spec(&spec, format + 1, &args);
		if (!*format)
			break;
		put_argument(&text, &spec, *format, &args);
	}
	va_end(args);
	if (size)
		to[text.len < size ? text.len : size - 1] = '\0';
	return text.len;
}

INSTEAD int snprintf(char *to, size_t size, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(to, size, format, args);
	va_end(args);
	return len;
}

INSTEAD int sprintf(char *to, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(to, INT32_MAX, format, args);
	va_end(args);
	return len;
}
