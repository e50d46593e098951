/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the attach until something ends the run. */
#ifndef XGUARD_LOOP_H
#define XGUARD_LOOP_H

#include <signal.h>

struct failure;
struct run;

/* How many signals have asked for the end. */
extern volatile sig_atomic_t loop_stops;

/* Let SIGINT, SIGTERM, SIGHUP, SIGQUIT (the end) and SIGUSR1 (the summary so far) be counted, not
 * obeyed; caught becomes those. A SIGHUP that is ignored stays so. */
void loop_catch_signals(sigset_t *caught);

/* The signals of a live view, too: SIGWINCH, SIGTSTP, SIGCONT. */
void loop_catch_screen(sigset_t *caught);

/* Wait and write until something ends the run. Returns 0, or a negative value with failure filled
 * in. */
int loop(struct run *run, const sigset_t *caught, struct failure *failure);

/* Wait for the start, or for a signal, or until the reader of the output goes away. Returns 0 when it
 * is time. */
int loop_wait(struct run *run, const sigset_t *caught);

/* Userspace trace: read the maps, write what grew. Returns 0, or -errno with failure filled in. */
int loop_publish(struct run *run, struct failure *failure);

/* Kernel trace: read and write what there is. Returns 0, or -errno with failure filled in. */
int loop_drain(struct run *run, struct failure *failure);

#endif
