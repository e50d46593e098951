// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "say.h"

void say(const char *format, ...)
{
	char line[2048] = "xguard: ", *text = line + strlen(line), *last = line + sizeof(line) - 1;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, last - text, format, args);
	va_end(args);
	if (len >= last - text)
		len = last - text - 1;
	text[len] = '\n';
	/* Nothing can be done where this fails, and a second attempt could block for ever. */
	if (write(STDERR_FILENO, line, text + len + 1 - line) < 0)
		return;
}

void say_failure(const struct failure *failure)
{
	say("%s%s%s", failure->step, failure->step[0] ? ": " : "", failure->reason);
	if (failure->next[0])
		say("%s", failure->next);
}
