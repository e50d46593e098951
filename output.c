// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "output.h"

int output_open(struct output *output, const char *path, struct failure *failure)
{
	output->fd = STDOUT_FILENO;
	output->error = 0;
	output->name = path ? path : "standard output";
	output->give_up = NULL;
	output->len = 0;
	if (path)
		output->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	else if (fcntl(STDOUT_FILENO, F_GETFD) < 0) /* closed: another file would get its number */
		output->fd = -1;
	if (output->fd < 0)
		return fail(failure, errno, "open %s", output->name);
	return 0;
}

/* After a write or poll that failed: 1 where it is to be tried again. */
static int again(struct output *output)
{
	struct pollfd ready = {.fd = output->fd, .events = POLLOUT};

	if (errno == EAGAIN && poll(&ready, 1, -1) >= 0)
		return 1;
	if (errno == EINTR && !(output->give_up && *output->give_up >= 2))
		return 1;
	output->error = errno;
	return 0;
}

static void write_all(struct output *output, const char *bytes, size_t len)
{
	while (len && !output->error) {
		ssize_t n = write(output->fd, bytes, len);

		if (n > 0) {
			bytes += n;
			len -= n;
		} else if (n == 0) {
			output->error = EIO;
		} else if (!again(output)) {
			return;
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
