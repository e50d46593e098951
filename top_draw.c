// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the live view looks like. From above: links and time; rates and totals; the last minute
 * beside, or above, the split by protocol; flows, a row each; keys, or the last message.
 */
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "report.h"
#include "top.h"

#define SECOND  1000000000ull
#define NOTE_NS (10 * SECOND) /* a message stands so long */
#define WIDE    64            /* from so many columns on, minute and split are side by side */
#define HELP_ROWS 8

/*
 * "12.3 kpps", "999 pps", "12.3 k packets": a number of tenths as three digits or so. Without a
 * unit, the last digits of numbers with and without a prefix stand in one column. Returns text.
 */
#define HUMAN_LEN 32
static char *human(char *text, __u64 tenths, const char *unit)
{
	const char *prefix = " kMGTPE";
	char fraction[3] = "";

	for (; tenths >= 10000; tenths /= 1000)
		prefix++;
	if (tenths < 1000 && (*prefix != ' ' || (tenths < 100 && tenths % 10)))
		snprintf(fraction, sizeof(fraction), ".%u", (unsigned int)(tenths % 10));
	if (*prefix != ' ' || !*unit)
		snprintf(text, HUMAN_LEN, "%llu%s %c%s", tenths / 10, fraction, *prefix, unit);
	else
		snprintf(text, HUMAN_LEN, "%llu%s%s%s", tenths / 10, fraction,
			 *unit == ' ' ? "" : " ", unit);
	return text;
}

static char *human_count(char *text, __u64 number, const char *unit)
{
	return human(text, number * 10, unit);
}

/* So many in span nanoseconds, as a rate a second. */
static char *human_rate(char *text, __u64 number, __u64 span, const char *unit)
{
	return human(text, top_ratio(number, span, 10 * SECOND), unit);
}

static __u64 in_unit(const struct top *top, __u64 bytes)
{
	return top->bytes ? bytes : bytes * 8;
}

static const char *rate_unit(const struct top *top)
{
	return top->bytes ? "B/s" : "bit/s";
}

/* Cut text to width characters: its two ends remain, which tell addresses apart. */
static void cut(char *text, int width)
{
	int len = strlen(text), tail = width / 2;

	if (len <= width || width < 1)
		return;
	text[width - 1 - tail] = GLYPH_ELLIPSIS;
	memmove(text + width - tail, text + len - tail, tail + 1);
}

static enum style color_of(__u32 id)
{
	return id == 6 ? CYAN : id == 17 ? GREEN : id == 1 || id == 58 ? YELLOW : MAGENTA;
}

/* "TCP"; of what has no protocol, or where it makes no flow, the Ethernet type. */
static const char *part_name(const struct top *top, char *text, __u32 id)
{
	if (id >= 0x20000)
		return strcpy(text, "-");
	return id < 0x10000 ? protocol_name(text, id, top->report->numeric) :
		eth_type_name(text, be16toh(id), top->report->numeric);
}

/* A bar from the left, of part/whole of width columns. */
static void put_bar(struct top *top, int y, int x, int width, enum style style, __u64 part,
		    __u64 whole)
{
	int eighths = width > 0 ? top_ratio(part, whole, width * 8) : 0;

	if (part && width > 0 && !eighths)
		eighths = 1;
	for (; eighths > 0; eighths -= 8)
		screen_glyph(&top->screen, y, x++, style,
			     GLYPH_RIGHTWARDS(eighths < 8 ? eighths : 8));
}

static char *percent(char *text, __u64 part, __u64 whole)
{
	unsigned int number = top_ratio(part, whole, 100);

	snprintf(text, HUMAN_LEN, part && !number ? "<1%%" : "%u%%", number);
	return text;
}

static void put_title(struct top *top, __u64 now)
{
	struct screen *screen = &top->screen;
	__u64 seconds = (now - top->began) / SECOND;
	char clock[40];
	int len = snprintf(clock, sizeof(clock), "%s%llu:%02u:%02u ", top->paused ? "paused  " : "",
			   seconds / 3600, (unsigned int)(seconds / 60 % 60),
			   (unsigned int)(seconds % 60));

	for (int x = 0; x < screen->cols; x++)
		screen_glyph(screen, 0, x, TITLE, ' ');
	screen_put(screen, 0, 1, TITLE, "xguard  %s", top->title);
	screen_put(screen, 0, screen->cols - len - 1, TITLE, " %s", clock);
}

/* What arrives now, and what came so far; as many of these as fit. */
static void put_rates(struct top *top, int y)
{
	char text[5][HUMAN_LEN], number[HUMAN_LEN];
	int x = 1;

	human_rate(text[0], top->grown.packets, top->span, "pps");
	human_rate(text[1], in_unit(top, top->grown.bytes), top->span, rate_unit(top));
	human_count(text[2], top->total.packets, " packets");
	human_count(text[3], top->total.bytes, "B");
	human_count(text[4], top->n, " flows");
	for (int i = 0; i < 5 && x + (int)strlen(text[i]) <= top->screen.cols; i++)
		x = screen_put(&top->screen, y, x, i < 2 ? BOLD : NORMAL, "%s", text[i]) + 3;
	if (top->unattributed)
		screen_put(&top->screen, y, x, NOTE, "%s",
			   human_count(number, top->unattributed, " unattributed"));
}

/* The highest rate of the seconds that a column stands for, its number counted from the start. */
static __u64 column_rate(const struct top *top, __u64 column, int seconds, __u64 end)
{
	__u64 from = column * seconds, highest = 0, rate;

	for (__u64 second = from; second < from + seconds && second < end; second++) {
		const struct flow_count *entry = &top->history[second % TOP_HISTORY];

		rate = top->order == TOP_PACKETS ? entry->packets : entry->bytes;
		if (second + TOP_HISTORY >= end && rate > highest)
			highest = rate;
	}
	return highest;
}

/* The last minute, height rows high; each column is one second or several. */
static void put_history(struct top *top, int y, int x, int width, int height)
{
	__u64 end = (top->sampled_at - top->began) / SECOND, peak = 0, rate;
	int seconds = TOP_HISTORY / width, level;
	__u64 last = (end + seconds - 1) / seconds; /* the column behind the last one */
	char number[HUMAN_LEN];

	for (int i = 1; i <= width && (__u64)i <= last; i++) {
		rate = column_rate(top, last - i, seconds, end);
		peak = rate > peak ? rate : peak;
	}
	for (int i = 1; i <= width && (__u64)i <= last; i++) {
		rate = column_rate(top, last - i, seconds, end);
		level = top_ratio(rate, peak, height * 8);
		if (rate && !level)
			level = 1;
		for (int row = y + height - 1; level > 0; row--, level -= 8)
			screen_glyph(&top->screen, row, x + width - i, CYAN,
				     GLYPH_UPWARDS(level < 8 ? level : 8));
	}
	screen_put(&top->screen, y + height, x, DIM, "1 min, peak %s", top->order == TOP_PACKETS ?
		   human_count(number, peak, "pps") :
		   human_count(number, in_unit(top, peak), rate_unit(top)));
}

/* The most frequent protocol that was not yet shown; NULL: none is left. */
static const struct top_part *next_part(const struct top *top, __u32 *done)
{
	const struct top_part *found = NULL;

	for (size_t i = 0; i < top->nparts; i++)
		if (!(*done >> i & 1) && (!found || top->parts[i].total.bytes > found->total.bytes))
			found = &top->parts[i];
	if (found)
		*done |= 1u << (found - top->parts);
	return found;
}

/*
 * A bar for each protocol, in the order of their totals; the last row, where there are several, is
 * for those that remain.
 */
static void put_split(struct top *top, int y, int x, int width, int height)
{
	__u64 whole = top_measure(top, &top->grown, &top->total), left = whole, part;
	char text[HUMAN_LEN];
	const struct top_part *found;
	const char *name;
	enum style style;
	__u32 done = 0;

	for (int row = 0; row < height && (found = next_part(top, &done)); row++) {
		part = top_measure(top, &found->growth, &found->total);
		name = part_name(top, text, found->id);
		style = color_of(found->id);
		if (row && row == height - 1 && next_part(top, &done)) {
			part = left;
			name = "others";
			style = NORMAL;
		}
		left -= part < left ? part : left;
		screen_put(&top->screen, y + row, x, style, "%.8s", name);
		screen_put(&top->screen, y + row, x + 9, NORMAL, "%4s", percent(text, part, whole));
		put_bar(top, y + row, x + 14, width - 14, style, part, whole);
	}
}

/* Address and port of one end of a flow. */
static void end_text(const struct top *top, const struct flow_key *key, int destination, char *text,
		     size_t size)
{
	unsigned int has = key->present >> (destination ? 2 : 0);
	const __u8 *address = destination ? key->dst_ip : key->src_ip;
	unsigned int port = be16toh(destination ? key->dst_port : key->src_port);
	char room[ADDRESS_LEN] = "";

	if (has & FIELD_SRC_IP && key->present & FIELD_IPV6)
		ipv6_text(room, address, top->report->prefix6);
	else if (has & FIELD_SRC_IP)
		ipv4_text(room, address, top->report->prefix4);
	if (!(has & FIELD_SRC_PORT))
		snprintf(text, size, "%s", room[0] ? room : "-");
	else if (strchr(room, ':'))
		snprintf(text, size, "[%s]:%u", room, port);
	else
		snprintf(text, size, "%s:%u", room, port);
}

/* The columns of the flows, in their order. */
enum column {
	LINK, VLAN, SOURCE, DESTINATION, PROTOCOL, RATE, PPS, PACKETS, BYTES, SHARE, BAR, COLUMNS
};

struct layout {
	int x[COLUMNS], width[COLUMNS]; /* width 0: it is not there */
};

/* How wide the longest addresses are that have been seen: columns do not become narrower again. */
static void measure_addresses(struct top *top, int rows)
{
	char text[64];
	int len;

	for (int i = 0; i < rows; i++)
		for (int end = 0; end < 2; end++) {
			end_text(top, &top->flows->flow[top->shown[i]].key, end, text,
				 sizeof(text));
			len = strlen(text);
			if (len > top->wide[end])
				top->wide[end] = len;
		}
}

static void lay_out(const struct top *top, struct layout *layout)
{
	static const int widths[COLUMNS] = {
		[LINK] = 10, [VLAN] = 4, [PROTOCOL] = 6, [RATE] = 7, [PPS] = 7, [SHARE] = 5,
		[PACKETS] = 7, [BYTES] = 8, [BAR] = 6,
	};
	static const enum column order[] = { PPS, SHARE, PACKETS, BYTES, BAR };
	unsigned int by = top->report->by;
	int left = top->screen.cols - widths[PROTOCOL] - widths[RATE] - 4, *width = layout->width;
	int two = !!(by & (FIELD_DST_IP | FIELD_DST_PORT)), x = 1;

	memset(layout, 0, sizeof(*layout));
	width[PROTOCOL] = widths[PROTOCOL];
	width[RATE] = widths[RATE];
	width[LINK] = top->report->show_interface ? widths[LINK] : 0;
	width[VLAN] = by & FIELD_VLAN ? widths[VLAN] : 0;
	left -= width[LINK] + width[VLAN] + (width[LINK] > 0) + (width[VLAN] > 0) + two;
	width[SOURCE] = top->wide[0] > 6 ? top->wide[0] : 6;
	width[DESTINATION] = !two ? 0 : top->wide[1] > 11 ? top->wide[1] : 11;
	if (width[SOURCE] + width[DESTINATION] > left) {
		if (two) /* the shorter one has what it wants, if that is less than half */
			width[DESTINATION] = width[SOURCE] < left / 2 ? left - width[SOURCE] :
				width[DESTINATION] < left / 2 ? width[DESTINATION] : left / 2;
		width[SOURCE] = left - width[DESTINATION];
	}
	left -= width[SOURCE] + width[DESTINATION];
	for (size_t i = 0; i < sizeof(order) / sizeof(*order) && left > widths[order[i]]; i++) {
		width[order[i]] = widths[order[i]];
		left -= widths[order[i]] + 1;
	}
	if (width[BAR])
		width[BAR] += left < 40 ? left : 40;
	for (int i = 0; i < COLUMNS; i++) {
		layout->x[i] = x;
		x += width[i] ? width[i] + 1 : 0;
	}
}

/* A row of the table: what stands in each column, and how. */
struct line {
	char text[COLUMNS][64];
	enum style style[COLUMNS];
};

/* Names are on the left of their columns, numbers on the right. */
static void put_line(struct top *top, const struct layout *layout, int y, struct line *line)
{
	for (int i = 0; i < BAR; i++) {
		cut(line->text[i], layout->width[i]);
		if (layout->width[i])
			screen_put(&top->screen, y, layout->x[i], line->style[i],
				   i < RATE ? "%-*s" : "%*s", layout->width[i], line->text[i]);
	}
}

static void put_head(struct top *top, const struct layout *layout, int y)
{
	static const enum column ordered[TOP_ORDERS] = { RATE, PPS, BYTES, SOURCE };
	struct line line = {
		.text = {
			"link", "vlan", "source", "destination", "proto", "", "pps", "packets",
			"bytes", "share",
		},
	};

	if (!(top->report->by & FIELD_PROTOCOL))
		strcpy(line.text[PROTOCOL], "type");
	strcpy(line.text[RATE], rate_unit(top));
	for (int i = 0; i < COLUMNS; i++)
		line.style[i] = (enum column)i == ordered[top->order] ? HEAD_BOLD : HEAD;
	for (int x = 0; x < top->screen.cols; x++)
		screen_glyph(&top->screen, y, x, HEAD, ' ');
	put_line(top, layout, y, &line);
}

static void put_flow(struct top *top, const struct layout *layout, int y, __u32 i)
{
	const struct flow *flow = &top->flows->flow[i];
	const struct flow_count *growth = &top->growth[i];
	__u64 whole = top_measure(top, &top->grown, &top->total);
	__u64 part = top_measure(top, growth, &flow->total);
	enum style color = color_of(top_part_id(&flow->key));
	struct line line = { .text = { [LINK] = "-", [VLAN] = "-" } };

	for (int column = 0; column < COLUMNS; column++)
		line.style[column] = growth->packets ? NORMAL : DIM;
	if (growth->packets)
		line.style[PROTOCOL] = color;
	for (size_t link = 0; link < top->report->nlinks; link++)
		if (top->report->links[link].ifindex == (int)flow->key.ifindex)
			strcpy(line.text[LINK], top->report->links[link].name);
	if (flow->key.present & FIELD_VLAN)
		snprintf(line.text[VLAN], 8, "%u", flow->key.vlan);
	for (int end = 0; end < 2; end++)
		end_text(top, &flow->key, end, line.text[SOURCE + end], sizeof(line.text[0]));
	part_name(top, line.text[PROTOCOL], top_part_id(&flow->key));
	human_rate(line.text[RATE], in_unit(top, growth->bytes), top->span, "");
	human_rate(line.text[PPS], growth->packets, top->span, "");
	human_count(line.text[PACKETS], flow->total.packets, "");
	human_count(line.text[BYTES], flow->total.bytes, "");
	percent(line.text[SHARE], part, whole);
	put_line(top, layout, y, &line);
	put_bar(top, y, layout->x[BAR], layout->width[BAR], color, part, whole);
}

static void put_help(struct top *top, int y)
{
	static const char *const lines[HELP_ROWS] = {
		"\002q\001  quit, as Ctrl+C does",
		"\002s\001  order by bits, packets, total or address",
		"\002p\001  pause the screen; the counting goes on",
		"\002b\001  rates in bits or bytes",
		"\002?\001  this help",
		"",
		"Rates are of the last look, shares of what the",
		"flows are ordered by. Seen is what arrives here.",
	};

	for (int i = 0; i < HELP_ROWS; i++)
		screen_put(&top->screen, y + i, 1, NORMAL, "%s", lines[i]);
}

static void put_status(struct top *top, int y, __u64 now)
{
	static const char *const orders[TOP_ORDERS] = { "bits", "packets", "total", "address" };

	if (top->note[0] && !top->noted)
		top->noted = now;
	if (now - top->noted > NOTE_NS)
		top->note[0] = '\0';
	if (top->note[0])
		screen_put(&top->screen, y, 1, NOTE, "%s", top->note);
	else
		screen_put(&top->screen, y, 1, DIM,
			   "\002q\003 quit  \002s\003 order: %s  \002p\003 %s  \002b\003 %s  "
			   "\002?\003 help",
			   orders[top->order], top->paused ? "go on" : "pause",
			   top->bytes ? "bits" : "bytes");
}

void top_paint(struct top *top, __u64 now)
{
	int rows = top->screen.rows, cols = top->screen.cols, wide = cols >= WIDE;
	int high = rows >= 20 ? 4 : rows >= 14 ? 3 : rows >= 11 ? 2 : rows >= 9;
	int width = cols >= 110 ? 60 : 30, y = 2, flows;
	struct layout layout;

	put_title(top, now);
	put_rates(top, 1);
	if (high && wide) {
		put_history(top, y, 1, width, high);
		width += 4;
		put_split(top, y, width, (cols < 124 ? cols : 124) - width - 1, high);
		y += high + 1;
	} else if (high) {
		put_history(top, y, 1, width, 1);
		put_split(top, y + 2, 1, cols - 2, high - 1);
		y += high + 1;
	}
	flows = rows - y - 2 < top->nshown ? rows - y - 2 : top->nshown;
	measure_addresses(top, flows);
	lay_out(top, &layout);
	put_head(top, &layout, y++);
	if (top->help)
		put_help(top, y);
	else if (!flows && !top->nshown)
		screen_put(&top->screen, y + 1, 1, DIM, "nothing has arrived yet");
	for (int i = 0; i < flows && !top->help; i++)
		put_flow(top, &layout, y + i, top->shown[i]);
	put_status(top, rows - 1, now);
}
