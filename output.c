// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "output.h"

void output_begin(struct output *output, int fd, struct page *page, const char *name)
{
	output->fd = fd;
	output->page = page;
	output->error = 0;
	output->name = name;
	output->give_up = NULL;
	output->interrupted = NULL;
	output->len = 0;
}

int output_open(struct output *output, const char *path, struct failure *failure)
{
	int flags;

	output_begin(output, STDOUT_FILENO, NULL, path ? path : "standard output");
	if (path) {
		output->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (output->fd >= 0)
			return 0;
		fail(failure, errno, "open %s", path);
		return fail_next(failure, "name a file that may be written, in a folder that exists");
	}
	flags = fcntl(STDOUT_FILENO, F_GETFL);
	if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY)
		return 0;
	output->fd = -1;
	return fail(failure, EBADF, "open standard output");
}

/*
 * Before a write, which may wait: heed the signals that came. A write that one cut short has
 * written something and says nothing of it, so asking only after EINTR would not do.
 */
static int given_up(struct output *output)
{
	if (output->interrupted)
		output->interrupted(output->context);
	if (output->give_up && *output->give_up >= 2)
		output->error = EINTR;
	return output->error;
}

static void keep(struct output *output, const char *bytes, size_t len)
{
	struct page *page = output->page;
	char *text = page->text;

	if (len > page->room - page->len) {
		text = realloc(text, (page->len + len) * 2);
		if (!text) {
			output->error = ENOMEM;
			return;
		}
		page->text = text;
		page->room = (page->len + len) * 2;
	}
	memcpy(text + page->len, bytes, len);
	page->len += len;
}

static void write_all(struct output *output, const char *bytes, size_t len)
{
	struct pollfd ready = {.fd = output->fd, .events = POLLOUT};

	if (output->page && len && !output->error) {
		keep(output, bytes, len);
		return;
	}
	while (len && !output->error && !given_up(output)) {
		ssize_t n = write(output->fd, bytes, len);

		if (n > 0) {
			bytes += n;
			len -= n;
		} else if (n == 0) {
			output->error = EIO;
		} else if (errno == EAGAIN) {
			poll(&ready, 1, -1);
		} else if (errno != EINTR) {
			output->error = errno;
		}
	}
}

static void write_buffer(struct output *output)
{
	write_all(output, output->buffer, output->len);
	output->len = 0;
}

void output_bytes(struct output *output, const void *bytes, size_t len)
{
	if (len > sizeof(output->buffer) - output->len)
		write_buffer(output);
	if (output->error)
		return;
	if (len > sizeof(output->buffer)) {
		write_all(output, bytes, len);
		return;
	}
	memcpy(output->buffer + output->len, bytes, len);
	output->len += len;
}

void output_text(struct output *output, const char *text)
{
	output_bytes(output, text, strlen(text));
}

void output_format(struct output *output, const char *format, ...)
{
	for (int tries = 0; tries < 2 && !output->error; tries++) {
		size_t room = sizeof(output->buffer) - output->len;
		va_list args;
		int len;

		va_start(args, format);
		len = vsnprintf(output->buffer + output->len, room, format, args);
		va_end(args);
		if (len >= 0 && (size_t)len < room) {
			output->len += len;
			return;
		}
		write_buffer(output);
	}
	if (!output->error) /* longer than the whole buffer: noticed, not cut */
		output->error = EOVERFLOW;
}

/*
 * How many bytes the character at text has, where it is UTF-8 (RFC 3629: no overlong form, no
 * surrogate) and no control character of C0 or C1, so that a terminal shows it; else 0.
 */
static size_t harmless_char(const unsigned char *text, size_t len)
{
	static const unsigned int least[] = {0, 0, 0xa0, 0x800, 0x10000};
	size_t n = *text < 0xc0 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : *text < 0xf8 ? 4 : 0;
	unsigned int code;

	if (*text < 0x80)
		return *text >= 0x20 && *text != 0x7f;
	if (!n || n > len)
		return 0;
	code = *text & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < least[n] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
		return 0;
	return n;
}

/* The length of text up to the first byte that is harmful, or one of the two special ones. */
static size_t harmless_len(const char *text, size_t len, const char special[2])
{
	size_t at = 0;

	while (at < len && text[at] != special[0] && text[at] != special[1]) {
		size_t n = harmless_char((const unsigned char *)text + at, len - at);

		if (!n)
			break;
		at += n;
	}
	return at;
}

/* prefix and the byte's two hexadecimal digits. Returns escaped. */
static const char *escape(char escaped[8], const char *prefix, unsigned char byte)
{
	static const char hex[] = "0123456789abcdef";
	char *end = stpcpy(escaped, prefix);

	*end++ = hex[byte >> 4];
	*end++ = hex[byte & 15];
	*end = '\0';
	return escaped;
}

const char *harmless_text(char *to, size_t size, const char *text)
{
	char *end = to, *last = to + size - 5, escaped[8]; /* room for four bytes and the NUL */
	size_t len = strlen(text);

	while (len && end <= last) {
		size_t n = harmless_char((const unsigned char *)text, len);

		if (n)
			end = mempcpy(end, text, n);
		else
			end = stpcpy(end, escape(escaped, "\\x", *text));
		n += !n;
		text += n;
		len -= n;
	}
	*end = '\0';
	return to;
}

/* How one byte that cannot stand as it is leaves. */
typedef const char *(*escape_fn)(char escaped[8], unsigned char byte);

static void output_escaped(struct output *output, const char *text, size_t len,
			   const char special[2], escape_fn escaper)
{
	char escaped[8];

	for (;;) {
		size_t n = harmless_len(text, len, special);

		output_bytes(output, text, n);
		if (n == len)
			return;
		output_text(output, escaper(escaped, text[n]));
		text += n + 1;
		len -= n + 1;
	}
}

static const char *escape_text(char escaped[8], unsigned char byte)
{
	return byte == '"' ? "\"\"" : escape(escaped, "\\x", byte);
}

/* What Prometheus would not take leaves as the text \xHH. */
static const char *escape_label(char escaped[8], unsigned char byte)
{
	if (byte != '"' && byte != '\\')
		return escape(escaped, "\\\\x", byte);
	escaped[0] = '\\';
	escaped[1] = byte;
	escaped[2] = '\0';
	return escaped;
}

static const char *escape_json(char escaped[8], unsigned char byte)
{
	if (byte == '"' || byte == '\\')
		return escape_label(escaped, byte);
	/* A control character stays itself; of what is no character, the byte is shown. */
	return escape(escaped, byte < 0x80 ? "\\u00" : "\\\\x", byte);
}

void output_harmless(struct output *output, const char *text, size_t len)
{
	output_escaped(output, text, len, "\0", escape_text);
}

void output_json(struct output *output, const char *text, size_t len)
{
	output_bytes(output, "\"", 1);
	output_escaped(output, text, len, "\"\\", escape_json);
	output_bytes(output, "\"", 1);
}

void output_label(struct output *output, const char *text, size_t len)
{
	output_bytes(output, "\"", 1);
	output_escaped(output, text, len, "\"\\", escape_label);
	output_bytes(output, "\"", 1);
}

void output_csv(struct output *output, const char *text, size_t len)
{
	int quoted = memchr(text, ',', len) || memchr(text, '"', len);

	if (quoted)
		output_bytes(output, "\"", 1);
	output_escaped(output, text, len, "\"", escape_text);
	if (quoted)
		output_bytes(output, "\"", 1);
}

int output_flush(struct output *output, const volatile sig_atomic_t *give_up)
{
	output->give_up = give_up;
	write_buffer(output);
	return -output->error;
}

int output_close(struct output *output, const volatile sig_atomic_t *give_up)
{
	if (output->fd < 0)
		return -output->error;
	output_flush(output, give_up);
	/* Linux has closed the descriptor when close() returns EINTR. */
	if (close(output->fd) < 0 && errno != EINTR && !output->error)
		output->error = errno;
	output->fd = -1;
	return -output->error;
}
