// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: what a client sends. First byte even: the head of a request, which must get the
 * same answer in one piece and byte by byte, whatever follows it. Odd: an address to listen at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void broken(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

/* Of just len bytes, so that a read behind them is seen. */
static int request(const unsigned char *data, size_t len, int *bodiless)
{
	char *head = malloc(len ? len : 1);
	int status;

	memcpy(head, data, len);
	status = http_request(head, len, bodiless);
	free(head);
	if (status && !*http_reason(status))
		broken("a status without a name");
	if (*bodiless && status && status != 200 && status != 400)
		broken("HEAD, and something else");
	if (!status && len >= HTTP_HEAD_MAX)
		broken("more, though there is no room");
	return status;
}

static void address(const unsigned char *data, size_t len)
{
	char *text = malloc(len + 1);
	struct http_address address;

	memcpy(text, data, len);
	text[len] = '\0';
	if (!http_address(&address, text) && (!address.port || address.port > 65535))
		broken("a port that is none");
	free(text);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	int status, bodiless, whole, whole_bodiless;

	if (!size)
		return 0;
	size--;
	if (*data++ & 1) {
		address(data, size);
		return 0;
	}
	size = size < HTTP_HEAD_MAX ? size : HTTP_HEAD_MAX;
	whole = request(data, size, &whole_bodiless);
	for (size_t len = 0; len < size; len++) {
		status = request(data, len, &bodiless);
		if (status && (status != whole || bodiless != whole_bodiless))
			broken("another answer to a part");
	}
	return 0;
}
