// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * drop CAPABILITY KIB COMMAND...: run it without the capability of that number, for good, and with a
 * limit of so many KiB of locked memory. For guests that have nothing else that can.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rlimit limit;

	if (argc < 4) {
		fputs("usage: drop CAPABILITY KIB COMMAND...\n", stderr);
		return 2;
	}
	limit.rlim_cur = limit.rlim_max = strtoul(argv[2], NULL, 10) * 1024;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) ||
	    prctl(PR_CAPBSET_DROP, strtoul(argv[1], NULL, 10), 0, 0, 0)) {
		perror("drop");
		return 1;
	}
	execvp(argv[3], argv + 3);
	perror(argv[3]);
	return 1;
}
