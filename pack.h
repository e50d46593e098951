/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACK_H
#define PACK_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed memory; without it the program ends. */
void *grab(size_t n, size_t size);

/*
 * Pack size bytes, at most 1 MiB, into out, which is zero and has room for 2 * size + 8192. The second
 * stretch, of bytes that look otherwise, begins at border. Returns how many bytes were written.
 */
uint32_t pack(const uint8_t *image, uint32_t size, uint32_t border, uint8_t *out);

#endif
