/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef XGUARD_SAY_H
#define XGUARD_SAY_H

#include <stddef.h>

/* A line on standard error: "xguard: ", the text, a newline, in one write; beyond 2 KB it is cut. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Where not NULL, it gets each line, with its newline, and returns 1 where that is enough, 0 where it
 * shall be written as well: while the live view has the screen.
 */
extern int (*say_elsewhere)(const char *line, size_t len);

/* What went wrong, and what to do next. */
struct failure;
void say_failure(const struct failure *failure);

#endif
