// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "environment.h"
#include "output.h"
#include "screen.h"

#define ROWS_MAX 256
#define COLS_MAX 512
#define PATIENCE_MS 1000 /* for a terminal that was stopped */
#define GAP_MAX  4 /* so many cells that need not be written cost no more than going around them */

/* Is this the locale of a terminal that shows UTF-8? */
static int has_utf8(const char *type)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	char value[64];
	size_t len;

	if (!strcmp(type, "linux")) /* the console's font has few of the blocks */
		return 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (environment_find(names[i], value, sizeof(value)) > 0 && value[0]) {
			len = strcspn(value, "@");
			value[len] = '\0';
			return (len > 5 && !strncasecmp(value + len - 5, "UTF-8", 5)) ||
				(len > 4 && !strncasecmp(value + len - 4, "UTF8", 4));
		}
	return 0;
}

int screen_open(struct screen *screen, char *note, size_t size)
{
	const char *type = getenv("TERM");
	char value[2];

	memset(screen, 0, sizeof(*screen));
	screen->keys = isatty(STDIN_FILENO) ? STDIN_FILENO : -1;
	if (!isatty(STDOUT_FILENO)) {
		snprintf(note, size, "standard output is no terminal");
		return -1;
	}
	if (!type || !type[0] || !strcmp(type, "dumb")) {
		snprintf(note, size, "the terminal (TERM=%s) cannot place text on a screen",
			 type ? type : "");
		return -1;
	}
	screen->terminal = terminal_open(STDOUT_FILENO);
	if (!screen->terminal) {
		snprintf(note, size, "the terminal's modes: %s", strerror(errno));
		return -1;
	}
	screen->utf8 = has_utf8(type);
	screen->color = environment_find("NO_COLOR", value, sizeof(value)) <= 0 || !value[0];
	return 0;
}

int screen_resize(struct screen *screen, int rows, int cols)
{
	struct winsize size = { 0 };
	size_t n;

	if (!rows) {
		ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
		rows = size.ws_row ? size.ws_row : 24;
		cols = size.ws_col ? size.ws_col : 80;
	}
	screen->rows = rows < ROWS_MAX ? rows : ROWS_MAX;
	screen->cols = cols < COLS_MAX ? cols : COLS_MAX;
	n = (size_t)screen->rows * screen->cols;
	free(screen->cells);
	screen->cells = malloc(2 * n * sizeof(*screen->cells));
	if (!screen->cells) {
		screen->rows = 0;
		return -ENOMEM;
	}
	screen->shown = screen->cells + n;
	screen_clear(screen);
	memcpy(screen->shown, screen->cells, n * sizeof(*screen->cells));
	if (screen->output)
		output_text(screen->output, "\033[m\033[2J");
	return 0;
}

int screen_enter(struct screen *screen)
{
	int err = terminal_take(screen->terminal, STDOUT_FILENO);

	if (err)
		return err;
	/* The alternate screen, no cursor, and no line that goes on in the next one. */
	output_text(screen->output, "\033[?1049h\033[?25l\033[?7l");
	return screen_resize(screen, 0, 0);
}

void screen_leave(struct screen *screen)
{
	terminal_give_back(screen->terminal, STDOUT_FILENO, PATIENCE_MS);
}

void screen_clear(struct screen *screen)
{
	for (int i = 0; i < screen->rows * screen->cols; i++)
		screen->cells[i] = (struct cell){ ' ', NORMAL };
}

void screen_glyph(struct screen *screen, int y, int x, enum style style, int glyph)
{
	if (y >= 0 && y < screen->rows && x >= 0 && x < screen->cols)
		screen->cells[y * screen->cols + x] = (struct cell){ glyph, style };
}

int screen_put(struct screen *screen, int y, int x, enum style style, const char *format, ...)
{
	unsigned char text[512], *at = text;
	va_list args;

	va_start(args, format);
	vsnprintf((char *)text, sizeof(text), format, args);
	va_end(args);
	for (; *at; at++) {
		if (*at < STYLES)
			style = *at;
		else if (*at >= ' ' && *at != 0x7f)
			screen_glyph(screen, y, x++, style, *at);
	}
	return x;
}

static void put_glyph(const struct screen *screen, int glyph)
{
	/* From 1/8 to 8/8 upwards, then from 7/8 to 1/8 rightwards. */
	static const char ascii[] = "_.-:=+*####===-", *other = "~";
	struct output *output = screen->output;

	if (glyph < 0x80)
		output_format(output, "%c", glyph);
	else if (screen->utf8)
		output_format(output, "\xe2%c%c", glyph < 0x90 ? 0x96 : 0x80, glyph);
	else
		output_bytes(output, glyph > 0x80 && glyph < 0x90 ? &ascii[glyph - 0x81] :
			     other, 1);
}

static const char *look(const struct screen *screen, int style)
{
	static const char looks[STYLES][5] = {
		[NORMAL] = "", [BOLD] = ";1", [DIM] = ";2", [TITLE] = ";7", [HEAD] = ";4",
		[HEAD_BOLD] = ";1;4", [NOTE] = ";1", [CYAN] = ";36", [GREEN] = ";32",
		[YELLOW] = ";33", [MAGENTA] = ";35",
	};

	if (style == TITLE && screen->color)
		return ";1;37;44";
	return style >= CYAN && !screen->color ? "" : looks[style];
}

/* Returns the style that the terminal is left in. */
static int put_cell(const struct screen *screen, const struct cell *cell, int style)
{
	if (cell->style != style)
		output_format(screen->output, "\033[0%sm", look(screen, cell->style));
	put_glyph(screen, cell->glyph);
	return cell->style;
}

void screen_flush(struct screen *screen)
{
	int end = -1, style = 0, x; /* end: the cell behind the last one that was written */

	for (int i = 0; i < screen->rows * screen->cols; i++) {
		if (!memcmp(&screen->cells[i], &screen->shown[i], sizeof(struct cell)))
			continue;
		x = i % screen->cols;
		if (end < 0 || i - end > GAP_MAX || i - end > x || end % screen->cols == 0) {
			output_format(screen->output, "\033[%d;%dH", i / screen->cols + 1, x + 1);
			end = i;
		}
		for (; end <= i; end++)
			style = put_cell(screen, &screen->cells[end], style);
		screen->shown[i] = screen->cells[i];
	}
}
