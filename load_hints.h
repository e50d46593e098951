/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why the kernel refused a map or a program, and what the user should do about it. */
#ifndef XGUARD_LOAD_HINTS_H
#define XGUARD_LOAD_HINTS_H

struct failure;

/*
 * Before Linux 5.11 maps and programs count against RLIMIT_MEMLOCK, and EPERM may mean that.
 * Returns 1 where the limit was raised, so that the call is worth a second try; 0 where EPERM has
 * another cause (a capability is missing) or the limit cannot be raised.
 */
int memlock_raise(void);

/*
 * Fill in failure's next step for its errno, after a bpf(2) command that needs privileges; its
 * reason too, where errno alone misleads. log is what the verifier wrote; NULL: it was not asked.
 * Returns 1 where the log names a cause outside the program (one line of it is then enough), else 0.
 */
int load_advice(struct failure *failure, const char *log);

/*
 * Is the kernel's JIT off where that would crash the machine? Returns 0, or a negative value with
 * failure's reason and next step filled in.
 */
int load_refuse_interpreter(struct failure *failure);

/*
 * May one XDP program interrupt another, or itself, on the same CPU? With PREEMPT_RT softirqs are
 * preemptible, and since Linux 6.18 they need not wait for each other there.
 */
int load_preemptible(void);

#endif
