/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef XGUARD_SAY_H
#define XGUARD_SAY_H

/* A line on standard error: "xguard: ", the text, a newline, in one write; beyond 2 KB it is cut. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What went wrong, and what to do next. */
struct failure;
void say_failure(const struct failure *failure);

#endif
