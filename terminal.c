// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "terminal.h"

struct terminal *terminal_open(int fd)
{
	struct termios modes;
	struct terminal *terminal;

	if (tcgetattr(fd, &modes))
		return NULL;
	terminal = mmap(NULL, sizeof(*terminal), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (terminal == MAP_FAILED)
		return NULL;
	terminal->saved = terminal->own = modes;
	terminal->own.c_lflag &= ~(ICANON | ECHO);
	terminal->own.c_cc[VMIN] = 1;
	terminal->own.c_cc[VTIME] = 1; /* without effect, so nobody else's: known as ours */
	return terminal;
}

int terminal_take(struct terminal *terminal, int fd)
{
	terminal->taken = 1;
	return tcsetattr(fd, TCSANOW, &terminal->own) ? -errno : 0;
}

static int is_own(const struct terminal *terminal, int fd)
{
	const struct termios *own = &terminal->own;
	struct termios now;

	return !tcgetattr(fd, &now) && now.c_lflag == own->c_lflag &&
		now.c_cc[VMIN] == own->c_cc[VMIN] && now.c_cc[VTIME] == own->c_cc[VTIME];
}

void terminal_give_back(struct terminal *terminal, int fd, int patience_ms)
{
	/* Without an alternate screen, an empty one; elsewhere that makes no difference. */
	static const char end[] = "\033[m\033[?7h\033[2J\033[H\033[?1049l\033[?25h";
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	sigset_t set, before;

	if (!terminal || !terminal->taken)
		return;
	/* A process in the background may do this too. */
	sigemptyset(&set);
	sigaddset(&set, SIGTTOU);
	sigprocmask(SIG_BLOCK, &set, &before);
	if (is_own(terminal, fd))
		tcsetattr(fd, TCSANOW, &terminal->saved);
	if (poll(&ready, 1, patience_ms) > 0 && write(fd, end, sizeof(end) - 1) > 0)
		terminal->taken = 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
}
