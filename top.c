// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "failure.h"
#include "report.h"
#include "say.h"
#include "top.h"

#define SECOND 1000000000ull

static struct top *speaking; /* whose screen say() is heard on */

int top_open(struct top *top, const struct report *report, const struct flows *flows,
	     struct failure *failure)
{
	size_t size = flows->room * sizeof(*top->last);

	top->report = report;
	top->flows = flows;
	top->room = flows->room;
	/* Address space only, as the flows' own. */
	top->last = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (top->last == MAP_FAILED) {
		top->last = NULL;
		return fail(failure, errno, "make room for %zu flows", flows->room);
	}
	top->growth = top->last + top->room;
	return 0;
}

void top_close(struct top *top)
{
	if (top->last)
		munmap(top->last, 2 * top->room * sizeof(*top->last));
	free(top->screen.cells);
	top->last = NULL;
	top->screen.cells = NULL;
}

/* Lines for the end; the oldest go where there are too many. */
static void hold(struct top *top, const char *line, size_t len)
{
	const char *next;

	while (top->nheld + len > sizeof(top->held)) {
		next = memchr(top->held, '\n', top->nheld);
		if (!next)
			return;
		top->nheld -= ++next - top->held;
		memmove(top->held, next, top->nheld);
	}
	memcpy(top->held + top->nheld, line, len);
	top->nheld += len;
}

/* What say() calls with a line. Returns 1: it is not to be written now. */
static int hear(const char *line, size_t len)
{
	static const char name[] = "xguard: ";
	struct top *top = speaking;
	size_t i, skip = len > sizeof(name) ? sizeof(name) - 1 : 0;

	for (i = 0; i + skip < len && line[i + skip] != '\n' && i + 1 < sizeof(top->note); i++)
		top->note[i] = line[i + skip] < ' ' || line[i + skip] >= 0x7f ? '?' :
			line[i + skip];
	top->note[i] = '\0';
	top->noted = 0;
	top->dirty = 1;
	if (!isatty(STDERR_FILENO))
		return 0;
	hold(top, line, len);
	return 1;
}

__u64 top_ratio(__u64 part, __u64 whole, __u64 times)
{
	while (part > UINT64_MAX / times) {
		part >>= 1;
		whole >>= 1;
	}
	return whole ? part * times / whole : 0;
}

__u64 top_measure(const struct top *top, const struct flow_count *growth,
		  const struct flow_count *total)
{
	const struct flow_count *count = top->order == TOP_TOTAL ? total : growth;

	return top->order == TOP_PACKETS ? count->packets : count->bytes;
}

static struct flow_count difference(const struct flow_count *a, const struct flow_count *b)
{
	return (struct flow_count){ a->packets - b->packets, a->bytes - b->bytes };
}

static void add(struct flow_count *sum, const struct flow_count *count)
{
	sum->packets += count->packets;
	sum->bytes += count->bytes;
}

__u32 top_part_id(const struct flow_key *key)
{
	return key->present & FIELD_PROTOCOL ? key->protocol :
		key->present & FIELD_ETH_TYPE ? 0x10000u | key->eth_type : 0x20000u;
}

/*
 * The sum of what has this flow's protocol, or Ethernet type; the last one takes what finds no
 * room.
 */
static struct top_part *part_of(struct top *top, const struct flow_key *key)
{
	__u32 id = top_part_id(key);
	size_t i = 0;

	while (i < top->nparts && top->parts[i].id != id)
		i++;
	if (i == TOP_SPLIT_MAX)
		return &top->parts[i - 1];
	if (i == top->nparts)
		top->parts[top->nparts++] = (struct top_part){ .id = id };
	return &top->parts[i];
}

/* Does flow a stand above flow b? */
static int above(const struct top *top, __u32 a, __u32 b)
{
	const struct flow *flow = top->flows->flow;
	__u64 of_a, of_b;

	if (top->order == TOP_ADDRESS)
		return flow_key_compare(&flow[a].key, &flow[b].key) < 0;
	of_a = top_measure(top, &top->growth[a], &flow[a].total);
	of_b = top_measure(top, &top->growth[b], &flow[b].total);
	if (of_a == of_b) { /* those that are silent */
		of_a = flow[a].total.bytes;
		of_b = flow[b].total.bytes;
	}
	return of_a != of_b ? of_a > of_b : a < b;
}

/*
 * The first flows of the order, no more than there are rows: most are compared with the last one
 * only.
 */
static void choose(struct top *top)
{
	int rows = top->screen.rows < TOP_ROWS_MAX ? top->screen.rows : TOP_ROWS_MAX, at;

	top->nshown = 0;
	for (size_t i = 0; i < top->n; i++) {
		if (top->nshown < rows)
			at = top->nshown++;
		else if (rows && above(top, i, top->shown[rows - 1]))
			at = rows - 1;
		else
			continue;
		for (; at && above(top, i, top->shown[at - 1]); at--)
			top->shown[at] = top->shown[at - 1];
		top->shown[at] = i;
	}
}

int top_enter(struct top *top, __u64 now)
{
	int err = screen_enter(&top->screen);

	if (err) {
		screen_leave(&top->screen);
		return err;
	}
	choose(top);
	if (!top->began)
		top->began = top->looked = top->sampled_at = now;
	top->dirty = 1;
	speaking = top;
	say_elsewhere = hear;
	return 0;
}

void top_leave(struct top *top)
{
	screen_leave(&top->screen);
	say_elsewhere = NULL;
	if (top->nheld && write(STDERR_FILENO, top->held, top->nheld) < 0)
		return;
	top->nheld = 0;
}

void top_resize(struct top *top)
{
	screen_resize(&top->screen, 0, 0);
	top->wide[0] = top->wide[1] = 0;
	choose(top);
	top->dirty = 1;
}

/* Whole seconds that have passed get their entry, each the same rate where it is several. */
static void remember(struct top *top, __u64 now)
{
	__u64 second = (now - top->began) / SECOND, from = (top->sampled_at - top->began) / SECOND;
	struct flow_count grown = difference(&top->total, &top->sampled);

	if (second == from)
		return;
	grown.packets = top_ratio(grown.packets, now - top->sampled_at, SECOND);
	grown.bytes = top_ratio(grown.bytes, now - top->sampled_at, SECOND);
	if (second - from > TOP_HISTORY)
		from = second - TOP_HISTORY;
	while (from < second)
		top->history[from++ % TOP_HISTORY] = grown;
	top->sampled = top->total;
	top->sampled_at = now;
}

void top_look(struct top *top, const struct flow_count *unattributed, __u64 now)
{
	const struct flow *flow = top->flows->flow;
	struct flow_count total = top->flows->total;
	struct top_part *part;

	if (top->paused)
		return;
	add(&total, unattributed);
	top->grown = difference(&total, &top->total);
	top->total = total;
	top->unattributed = unattributed->packets;
	top->span = now - top->looked;
	top->looked = now;
	top->nparts = 0;
	top->n = top->flows->n;
	for (size_t i = 0; i < top->n; i++, flow++) {
		top->growth[i] = difference(&flow->total, &top->last[i]);
		top->last[i] = flow->total;
		part = part_of(top, &flow->key);
		add(&part->growth, &top->growth[i]);
		add(&part->total, &flow->total);
	}
	remember(top, now);
	choose(top);
	top->dirty = 1;
}

static void press(struct top *top, char key)
{
	switch (key | 0x20) {
	case 'q':
		top->quit = 1;
		break;
	case 's':
		top->order = (top->order + 1) % TOP_ORDERS;
		choose(top);
		break;
	case 'p':
		top->paused = !top->paused;
		break;
	case 'b':
		top->bytes = !top->bytes;
		break;
	case '?':
	case 'h':
		top->help = !top->help;
		return;
	case 'L' - '@' + 0x20: /* Ctrl+L */
		top_resize(top);
		break;
	}
	top->help = 0;
}

void top_keys(struct top *top)
{
	char keys[64];
	ssize_t n = read(top->screen.keys, keys, sizeof(keys));

	if (n <= 0)
		top->screen.keys = -1; /* the terminal has gone */
	for (ssize_t i = 0; i < n && keys[i] != '\033'; i++) /* no arrows and the like */
		press(top, keys[i]);
	top->dirty = 1;
}

void top_draw(struct top *top, __u64 now)
{
	if (!top->dirty)
		return;
	top->dirty = 0;
	screen_clear(&top->screen);
	top_paint(top, now);
	screen_flush(&top->screen);
}
