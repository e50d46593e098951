/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The modes of the user's terminal: taken for the live view, and given back, however that ends. */
#ifndef XGUARD_TERMINAL_H
#define XGUARD_TERMINAL_H

#include <termios.h>

/* Shared with the guardian, who gives the terminal back when the reader could not. */
struct terminal {
	volatile int taken;
	struct termios saved, own;
};

/*
 * Remember the modes of the terminal fd. Returns what terminal_take() and terminal_give_back()
 * want, in memory that a fork shares and an exit frees; NULL with errno set: it is no terminal.
 */
struct terminal *terminal_open(int fd);

/*
 * Keys come at once and unseen, Ctrl+C and its kin are signals as before. What is written on the
 * screen, the alternate one included, is the caller's. Returns 0 or -errno.
 */
int terminal_take(struct terminal *terminal, int fd);

/*
 * The modes of before, unless somebody has set others since; the first screen, and its cursor.
 * Where the terminal is stopped (Ctrl+S), that is waited for no longer than patience_ms, and then
 * it stays taken. Does nothing where it is not taken, or NULL.
 */
void terminal_give_back(struct terminal *terminal, int fd, int patience_ms);

#endif
