/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The head of an HTTP request, and the address to listen at, from text. No system call. */
#ifndef XGUARD_HTTP_H
#define XGUARD_HTTP_H

#include <stddef.h>

#define HTTP_HEAD_MAX 2048 /* the request line and all header fields */

/*
 * Look at what has come of a request so far, len bytes at head. Returns 0 while more must come, or
 * the status of the answer: 200, 400, 404, 405, 431 or 505. *bodiless becomes 1 for HEAD, else 0.
 * A line that is no request line, or a byte that no head may have, is answered without waiting for the end.
 */
int http_request(const char *head, size_t len, int *bodiless);

/* What a status is called, such as "Not Found". */
const char *http_reason(int status);

/* Where to listen. */
struct http_address {
	unsigned char ip[16];  /* network byte order */
	int is_ipv6;
	unsigned int port;
};

/* "9100", "0.0.0.0:9100" or "[::1]:9100"; without address, 127.0.0.1. Returns 0 or -1. */
int http_address(struct http_address *address, const char *text);

#endif
