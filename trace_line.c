// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A line of the kernel trace, taken apart. What the kernel puts in front of our text begins with
 * the name of the task that was interrupted, which any user chooses: up to 15 bytes of anything,
 * newlines included. So a line is read from its end, where every column is the kernel's or ours:
 *
 *	            sshd-1594    [000] ..s2.  2042.099473: bpf_trace_printk: xg01234567 1 2 3
 *	            TASK-PID     [CPU] FLAGS  TIME: LABEL: MARKER WORD WORD WORD
 *
 * TASK is padded to 16 bytes, a (TGID) and the FLAGS are there if options say so, LABEL was "0" or
 * an address before Linux 5.9.
 *
 * A false marker in a name cannot pass for a line: marker and words take at least 16 bytes.
 */
#include <errno.h>
#include <string.h>

#include "trace_pipe.h"

#define TASK_WIDTH 16 /* the kernel pads the name to this; it has at most TASK_COMM_LEN - 1 bytes */

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Take the hexadecimal word that ends at *end, and the space before it. */
static int take_word(const char *start, const char **end, __u64 *value)
{
	const char *p = *end;
	unsigned int shift = 0;

	for (*value = 0; p > start && p[-1] != ' '; shift += 4) {
		char c = *--p;
		__u64 digit = is_digit(c) ? c - '0' : c - 'a' + 10;

		if ((!is_digit(c) && (c < 'a' || c > 'f')) || shift > 60)
			return -EINVAL;
		*value |= digit << shift;
	}
	if (!shift || p == start)
		return -EINVAL;
	*end = p - 1;
	return 0;
}

/* The column before *end: returns its start, and *end loses the spaces that follow it. */
static const char *column(const char *start, const char **end)
{
	const char *p = *end;

	while (p > start && p[-1] == ' ')
		p--;
	*end = p;
	while (p > start && p[-1] != ' ')
		p--;
	return p;
}

/* A decimal number of at most digits digits that fills [p, end); -1 for anything else. */
static long long decimal(const char *p, const char *end, int digits)
{
	long long value = 0;

	if (p == end || end - p > digits)
		return -1;
	for (; p < end; p++) {
		if (!is_digit(*p))
			return -1;
		value = value * 10 + (*p - '0');
	}
	return value;
}

/* "2042.099473" in seconds; without a point the trace clock counts something of its own. */
static int parse_time(const char *p, const char *end, __u64 *nanoseconds)
{
	const char *point = memchr(p, '.', end - p);
	long long whole = decimal(p, point ? point : end, point ? 10 : 18);
	long long fraction = point ? decimal(point + 1, end, 9) : 0;

	if (whole < 0 || fraction < 0)
		return -EINVAL;
	if (!point) {
		*nanoseconds = whole;
		return 0;
	}
	for (int digits = end - point - 1; digits < 9; digits++)
		fraction *= 10;
	*nanoseconds = whole * 1000000000ULL + fraction;
	return 0;
}

/* The columns between the task's PID and the time: "(tgid)" and flags only where options say so. */
static int parse_middle(const char *start, const char **end, struct trace_line *line)
{
	const char *p = column(start, end);

	if (*p != '[') {
		line->flags = p;
		line->flags_len = *end - p;
		*end = p;
		p = column(start, end);
	}
	if (*end - p < 3 || *p != '[' || (*end)[-1] != ']')
		return -EINVAL;
	line->cpu = decimal(p + 1, *end - 1, 9);
	*end = p;
	p = column(start, end);
	if (p < *end && (*end)[-1] == ')') {
		p = memrchr(start, '(', *end - start);
		if (!p)
			return -EINVAL;
		*end = p;
	}
	return line->cpu < 0 ? -EINVAL : 0;
}

/* TASK-PID. What stands before the padded name belongs to no line of ours: cut off. */
static int parse_task(const char *start, const char *end, struct trace_line *line)
{
	const char *dash, *after = line->prefix + line->prefix_len;

	column(start, &end);
	for (dash = end; dash > start && is_digit(dash[-1]); dash--)
		;
	if (dash == start || *--dash != '-')
		return -EINVAL;
	line->pid = decimal(dash + 1, end, 9);
	if (line->pid < 0)
		return -EINVAL;
	if (dash - start > TASK_WIDTH)
		start = dash - TASK_WIDTH;
	line->prefix = start;
	line->prefix_len = after - start;
	while (start < dash && *start == ' ')
		start++;
	line->task = start;
	line->task_len = dash - start;
	return 0;
}

static int parse_columns(struct trace_line *line)
{
	const char *start = line->prefix, *end = start + line->prefix_len, *p;

	p = column(start, &end); /* "bpf_trace_printk:", before 5.9 "0:" or an address */
	if (p == end || end[-1] != ':')
		return -EINVAL;
	end = p;
	p = column(start, &end);
	if (p == end || end[-1] != ':' || parse_time(p, end - 1, &line->nanoseconds))
		return -EINVAL;
	end = p;
	if (parse_middle(start, &end, line))
		return -EINVAL;
	return parse_task(start, end, line);
}

static void store_be64(__u8 *to, __u64 value)
{
	for (int i = 7; i >= 0; i--, value >>= 8)
		to[i] = value;
}

static void unpack_key(struct flow_key *key, const __u64 words[3])
{
	__u8 eth_type[2] = { words[0] >> 56, words[0] >> 48 };

	memcpy(&key->eth_type, eth_type, sizeof(key->eth_type));
	key->protocol = words[0] >> 40;
	key->present = words[0] >> 32;
	key->ifindex = words[0];
	store_be64(key->src_ip, words[1]);
	store_be64(key->src_ip + 8, words[2]);
}

int trace_line_parse(const char *record, size_t len, const char *marker, struct trace_line *line)
{
	const char *end = record + len;
	__u64 words[3];

	for (int i = 2; i >= 0; i--)
		if (take_word(record, &end, &words[i]))
			return -EINVAL;
	if (end - record < TRACE_MARKER_LEN)
		return -EINVAL;
	end -= TRACE_MARKER_LEN;
	if (memcmp(end, marker, TRACE_MARKER_LEN) || (end > record && end[-1] != ' '))
		return -EINVAL;

	memset(line, 0, sizeof(*line));
	line->prefix = line->task = line->flags = record;
	line->prefix_len = end - record;
	unpack_key(&line->key, words);
	if (parse_columns(line)) { /* the options of the global trace_pipe can leave columns out */
		line->pid = line->cpu = -1;
		line->nanoseconds = 0;
		line->task_len = line->flags_len = 0;
	}
	return 0;
}
