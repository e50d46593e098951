// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A few functions of libc, made small: the binary is linked statically, and there musl's malloc,
 * strtoul, qsort and strstr alone weigh 16 KB. The linker takes these before it looks into libc.a;
 * they are weak, so that libc may still bring its own for itself. The unit tests of other files use
 * libc's.
 *
 * There are no threads in this program, and nothing here is safe where there are.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INSTEAD __attribute__((weak))

/*
 * A block of memory, and, 16 bytes on, what the caller gets. Up to LARGE a block's size is a power of
 * two; it is cut from a chunk and goes to the list of its size when freed. A larger block is a mapping
 * of its own, so that what grew large is given back, and grows without being copied.
 */
struct block {
	size_t size;          /* this header included */
	struct block *next;   /* of a free one */
} __attribute__((aligned(16)));

#define SMALLEST 5 /* the log2 of the least size */
#define LARGE    (1u << 15)
#define CHUNK    (1u << 17)

static struct block *unused[16]; /* by the log2 of their size */
static char *chunk;
static size_t chunk_left;

static void *map(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static struct block *small_block(unsigned int log2)
{
	size_t size = (size_t)1 << log2;
	struct block *block = unused[log2];

	if (block) {
		unused[log2] = block->next;
		return block;
	}
	if (chunk_left < size) { /* what is left of the old one is lost */
		chunk = map(CHUNK);
		chunk_left = chunk ? CHUNK : 0;
		if (!chunk)
			return NULL;
	}
	chunk_left -= size;
	block = (struct block *)(chunk + chunk_left);
	block->size = size;
	return block;
}

/* A block with room for size bytes; NULL with errno set. */
static struct block *take(size_t size)
{
	unsigned int log2 = SMALLEST;
	struct block *block;

	if (size > PTRDIFF_MAX - CHUNK) {
		errno = ENOMEM;
		return NULL;
	}
	size += sizeof(*block);
	if (size > LARGE) {
		block = map(size);
		if (block)
			block->size = size;
	} else {
		while (size > (size_t)1 << log2)
			log2++;
		block = small_block(log2);
	}
	return block;
}

INSTEAD void *malloc(size_t size)
{
	struct block *block = take(size);

	return block ? block + 1 : NULL;
}

INSTEAD void free(void *memory)
{
	struct block *block = memory;
	int saved = errno;

	if (!block)
		return;
	block--;
	if (block->size > LARGE) {
		munmap(block, block->size);
		errno = saved;
		return;
	}
	block->next = unused[__builtin_ctzl(block->size)];
	unused[__builtin_ctzl(block->size)] = block;
}

INSTEAD void *calloc(size_t n, size_t size)
{
	struct block *block;

	if (__builtin_mul_overflow(n, size, &size))
		size = SIZE_MAX;
	block = take(size);
	if (!block)
		return NULL;
	if (block->size <= LARGE) /* what is larger is new, and zero */
		memset(block + 1, 0, size);
	return block + 1;
}

INSTEAD void *realloc(void *memory, size_t size)
{
	struct block *block = memory;
	size_t room;
	void *moved;

	if (!block)
		return malloc(size);
	block--;
	room = block->size - sizeof(*block);
	if (block->size > LARGE && size > LARGE && size <= PTRDIFF_MAX - CHUNK) {
		block = mremap(block, block->size, size + sizeof(*block), MREMAP_MAYMOVE);
		if (block == MAP_FAILED)
			return NULL;
		block->size = size + sizeof(*block);
		return block + 1;
	}
	if (block->size <= LARGE && size <= room)
		return memory;
	moved = malloc(size);
	if (moved) {
		memcpy(moved, memory, size < room ? size : room);
		free(memory);
	}
	return moved;
}

/*
 * Bases 10 and 16, without sign and 0x; what is too large is ULONG_MAX. *end is where the digits end,
 * even where there are none.
 */
INSTEAD unsigned long strtoul(const char *text, char **end, int base)
{
	unsigned long number = 0;
	int digit, full = 0;

	while (*text == ' ' || (*text >= '\t' && *text <= '\r'))
		text++;
	for (;; text++) {
		digit = *text - '0';
		if (digit > 9)
			digit = *text < 'A' ? base : (*text | 0x20) - 'a' + 10;
		if (digit < 0 || digit >= base)
			break;
		full |= __builtin_mul_overflow(number, base, &number);
		full |= __builtin_add_overflow(number, digit, &number);
	}
	if (end)
		*end = (char *)text;
	return full ? ULONG_MAX : number;
}

INSTEAD char *strstr(const char *text, const char *part)
{
	size_t len = strlen(part);

	while (strncmp(text, part, len))
		if (!*text++)
			return NULL;
	return (char *)text;
}

static void swap(char *a, char *b, size_t size)
{
	while (size--) {
		char byte = *a;

		*a++ = *b;
		*b++ = byte;
	}
}

/* Shell's sort: gaps that shrink by 2.2. */
INSTEAD void qsort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *))
{
	char *first = base, *at;

	for (size_t gap = n; gap > 1;) {
		gap = gap < 5 ? 1 : (gap * 5 - 1) / 11;
		for (size_t i = gap; i < n; i++) {
			at = first + i * size;
			for (size_t j = i; j >= gap; j -= gap, at -= gap * size) {
				if (compare(at - gap * size, at) <= 0)
					break;
				swap(at - gap * size, at, size);
			}
		}
	}
}

#ifndef __GLIBC__
/* Libc's takes locks that only threads have a use for, and brings the code of all of them. */
INSTEAD pid_t fork(void)
{
#ifdef __s390x__
	return syscall(SYS_clone, 0, SIGCHLD, NULL, NULL, 0);
#else
	return syscall(SYS_clone, SIGCHLD, 0, NULL, NULL, 0);
#endif
}
#endif
