/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A variable of the user's environment, also where sudo has stripped it. */
#ifndef XGUARD_ENVIRONMENT_H
#define XGUARD_ENVIRONMENT_H

#include <stddef.h>

/*
 * Our own variable of this name ("NO_COLOR"), else the nearest ancestor's that has it, cut to size
 * bytes. Returns 1, 0: nobody has it, or -1: that cannot be told, since an ancestor's environment
 * cannot be read; value is empty then.
 */
int environment_find(const char *name, char *value, size_t size);

#endif
