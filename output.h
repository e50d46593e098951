/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The data's way out: a buffer, and a write whose every failure is noticed. */
#ifndef XGUARD_OUTPUT_H
#define XGUARD_OUTPUT_H

#include <signal.h>
#include <stddef.h>

struct failure;

/* Text that is kept in memory, malloced; all zero: nothing yet. */
struct page {
	char *text;
	size_t len, room;
};

struct output {
	int fd;
	struct page *page;        /* where what is written goes instead; or NULL */
	int error;                /* errno of the first write that failed; EPIPE: the reader went */
	const char *name;         /* "standard output" or the file's */
	const volatile sig_atomic_t *give_up; /* of the last flush; a full buffer heeds it too */
	void (*interrupted)(void *context); /* before each write: has a signal come? or NULL */
	void *context;
	size_t len;
	char buffer[8192];
};

/* path: a file to create or truncate, or NULL: standard output, which must be open for writing.
 * Sets everything; interrupted and context may be set afterwards. Returns 0 or -errno. */
int output_open(struct output *output, const char *path, struct failure *failure);

/* Begin with a descriptor that is open, or with a page, to which is appended (fd -1). */
void output_begin(struct output *output, int fd, struct page *page, const char *name);

/* Append bytes, or formatted text. After an error nothing more is written. */
void output_bytes(struct output *output, const void *bytes, size_t len);
void output_text(struct output *output, const char *text);
void output_format(struct output *output, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Append text that others chose, made fit to be seen: what is no valid UTF-8, and control
 * characters (below 0x20, 0x7f, U+0080 to U+009f), become \xHH, byte by byte. In JSON, a string
 * with its quotes, control characters below 0x80 become \u00HH; in CSV, a value quoted where RFC
 * 4180 wants it; in metrics, a label's value with its quotes.
 */
void output_harmless(struct output *output, const char *text, size_t len);
void output_json(struct output *output, const char *text, size_t len);
void output_csv(struct output *output, const char *text, size_t len);
void output_label(struct output *output, const char *text, size_t len);

/* The same for a message: text, made harmless, in size bytes (at least 5) at to, cut where it does
 * not fit. Returns to. */
const char *harmless_text(char *to, size_t size, const char *text);

/*
 * Write what is buffered. EINTR is tried again, unless *give_up (a count of signals) has reached
 * two. Returns 0, or -errno of the first failure, kept in error.
 */
int output_flush(struct output *output, const volatile sig_atomic_t *give_up);

/* Flush and close; a failure of close counts too. Returns 0 or -errno. */
int output_close(struct output *output, const volatile sig_atomic_t *give_up);

#endif
