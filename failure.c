// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "failure.h"

#define ENOTSUPP 524 /* the kernel's own; it reaches user space from the BPF JITs and drivers */

static const char *errno_text(int err)
{
	return err == ENOTSUPP ? "Operation not supported (errno 524)" : strerror(err);
}

static int result(const struct failure *failure)
{
	return failure->err ? -failure->err : -1;
}

int fail(struct failure *failure, int err, const char *step, ...)
{
	va_list args;

	failure->err = err;
	va_start(args, step);
	vsnprintf(failure->step, sizeof(failure->step), step, args);
	va_end(args);
	snprintf(failure->reason, sizeof(failure->reason), "%s", err ? errno_text(err) : "");
	failure->next[0] = '\0';
	return result(failure);
}

int fail_reason(struct failure *failure, const char *reason, ...)
{
	va_list args;

	va_start(args, reason);
	vsnprintf(failure->reason, sizeof(failure->reason), reason, args);
	va_end(args);
	return result(failure);
}

int fail_next(struct failure *failure, const char *next, ...)
{
	va_list args;

	va_start(args, next);
	vsnprintf(failure->next, sizeof(failure->next), next, args);
	va_end(args);
	return result(failure);
}
