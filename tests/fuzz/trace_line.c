// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: what comes out of a trace_pipe, read as xguard reads it, and each line that is
 * taken for ours written as text, JSON and CSV, which must be valid whatever a task is called.
 * First byte: an instance's pipe or the global one; the rest: what the pipe holds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "output.h"
#include "report.h"
#include "trace_pipe.h"

#define MARKER "xg01234567"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

static const struct report_link links[] = { { .ifindex = 1, .name = "rx0" } };

static void broken(const char *what, const struct output *output)
{
	fprintf(stderr, "%s: %.*s\n", what, (int)output->len, output->buffer);
	abort();
}

/* One object on one line, strings closed, nothing but what a string may hold in it. */
static void check_json(const struct output *output)
{
	int in_string = 0, depth = 0;

	for (size_t i = 0; i + 1 < output->len; i++) {
		unsigned char c = output->buffer[i];

		if (c < 0x20 || (!in_string && c >= 0x7f))
			broken("a control character in JSON", output);
		if (in_string && c == '\\' && !strchr("\"\\/bfnrtu", output->buffer[++i]))
			broken("an escape that JSON has not", output);
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string)
			depth += (c == '{') - (c == '}');
	}
	if (in_string || depth || output->buffer[output->len - 1] != '\n')
		broken("JSON that does not end", output);
}

/* One record, and a terminal gets nothing but text. */
static void check_text(const struct output *output)
{
	for (size_t i = 0; i < output->len; i++) {
		unsigned char c = output->buffer[i];

		if ((c < 0x20 && (c != '\n' || i + 1 < output->len)) || c == 0x7f)
			broken("a control character", output);
	}
}

static int each(const struct trace_line *line, void *context)
{
	static struct output output;
	struct report report = { .trace = TRACE_KERNEL, .links = links, .nlinks = 1,
				 .by = FIELDS_DEFAULT, .prefix4 = -1, .prefix6 = -1 };

	(void)context;
	for (report.format = FORMAT_TEXT; report.format <= FORMAT_CSV; report.format++) {
		output = (struct output){ .fd = -1 };
		report_packet(&report, &output, line);
		if (output.error == EBADF) /* longer than the buffer, which is written then */
			continue;
		if (output.error || !output.len)
			broken("a line that was not written", &output);
		if (report.format == FORMAT_JSON)
			check_json(&output);
		else
			check_text(&output);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	static struct trace_pipe trace;
	static int file = -1;
	__u64 lost = 0;

	if (!size)
		return 0;
	if (file < 0)
		file = memfd_create("trace_pipe", 0);
	if (ftruncate(file, 0) || pwrite(file, data + 1, size - 1, 0) != (ssize_t)size - 1 ||
	    lseek(file, 0, SEEK_SET))
		abort();
	trace.pipe = file;
	trace.held = 0;
	strcpy(trace.marker, MARKER);
	strcpy(trace.instance, data[0] & 1 ? "xguard-1" : "");
	if (trace_pipe_read(&trace, each, NULL, &lost) < 0)
		abort();
	return 0;
}
