/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A terminal as rows of cells: draw all of them anew, and only what differs is written. */
#ifndef XGUARD_SCREEN_H
#define XGUARD_SCREEN_H

#include <stddef.h>

#include "terminal.h"

struct output;

/* How a cell looks. In a text for screen_put() a byte of this value is what follows' style. */
enum style {
	NORMAL = 1, BOLD, DIM, TITLE, HEAD, HEAD_BOLD, NOTE,
	CYAN, /* these four are a colour and nothing else: */
	GREEN = 11, YELLOW, MAGENTA, /* 9 and 10 would be characters of a text */
	STYLES
};

/*
 * What a cell holds: an ASCII character, or one of these. In UTF-8, all but the ellipsis are E2 96
 * and this byte.
 */
#define GLYPH_UPWARDS(eighths) (0x80 + (eighths)) /* 1 to 8: filled from below */
#define GLYPH_RIGHTWARDS(eighths) (0x90 - (eighths)) /* 1 to 8: filled from the left */
#define GLYPH_ELLIPSIS 0xa6

struct cell {
	unsigned char glyph, style;
};

struct screen {
	struct terminal *terminal;   /* NULL: there is none */
	struct output *output;
	int keys;                    /* descriptor that the keys come from: poll it; -1: none */
	int utf8, color;
	int rows, cols;
	struct cell *cells;          /* rows * cols of them: what is to be seen; */
	struct cell *shown;          /* what the terminal shows */
};

/*
 * Is standard output a terminal that can show a screen, and in which way? NO_COLOR and the locale
 * are looked for with the ancestors' help. Nothing is changed yet. Returns 0, or -1 with note
 * saying why not.
 */
int screen_open(struct screen *screen, char *note, size_t size);

/* Take the terminal, and be blank. Also anew, after others had it. Returns 0 or -errno. */
int screen_enter(struct screen *screen);

/* Give it back; what was on it before is seen again. Does nothing where it is not taken. */
void screen_leave(struct screen *screen);

/*
 * Ask for the size, where rows is 0 (a serial line that knows none: 24 rows of 80), or take this
 * one; and be blank. Returns 0 or -ENOMEM.
 */
int screen_resize(struct screen *screen, int rows, int cols);

/* All cells blank. */
void screen_clear(struct screen *screen);

/*
 * Text, printf-like, at row y from column x, as far as there is a screen. Control characters are
 * not written, nor other bytes that are no glyph. Returns the column behind the text.
 */
int screen_put(struct screen *screen, int y, int x, enum style style, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* A glyph. */
void screen_glyph(struct screen *screen, int y, int x, enum style style, int glyph);

/* Write what differs. */
void screen_flush(struct screen *screen);

#endif
