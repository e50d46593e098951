// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "output.h"
#include "say.h"

int (*say_elsewhere)(const char *line, size_t len);

/* Names of links and tasks, paths and what the kernel quotes may hold anything but a new line. */
static size_t make_harmless(char *to, size_t size, char *text)
{
	size_t len = 0;
	char *next;

	do {
		next = strchr(text, '\n');
		if (next)
			*next++ = '\0';
		if (len + 5 < size)
			harmless_text(to + len, size - len - 1, text);
		len += strlen(to + len);
		to[len++] = '\n';
		to[len] = '\0';
		text = next;
	} while (text && len + 1 < size);
	return len;
}

void say(const char *format, ...)
{
	static const char name[] = "xguard: ";
	char text[2048], line[2048];
	va_list args;
	size_t len;

	va_start(args, format);
	vsnprintf(text, sizeof(text) - sizeof(name), format, args);
	va_end(args);
	memcpy(line, name, sizeof(name));
	len = sizeof(name) - 1;
	len += make_harmless(line + len, sizeof(line) - len, text);
	if (say_elsewhere && say_elsewhere(line, len))
		return;
	/* Nothing can be done where this fails, and a second attempt could block for ever. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

void say_failure(const struct failure *failure)
{
	say("%s%s%s", failure->step, failure->step[0] ? ": " : "", failure->reason);
	if (failure->next[0])
		say("%s", failure->next);
}
