// SPDX-License-Identifier: GPL-2.0-or-later
/* Heads of requests and the status of the answer, in one piece and byte by byte. */
#include <stdlib.h>

#include "tap.h"
#include "../../http.c"

struct golden {
	int status;
	const char *head;
};

#define GET "GET /metrics HTTP/1.1\r\n"
#define HOST "Host: 10.0.0.2:9100\r\n"

static const struct golden heads[] = {
	{200, GET HOST "\r\n"},
	{200, GET HOST "User-Agent: Prometheus/2.42.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n"
	      "X-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"},
	{200, "HEAD /metrics HTTP/1.1\r\n" HOST "\r\n"},
	{200, "GET /metrics HTTP/1.1\nhost:x\n\n"},
	{200, "\r\n\r\n" GET HOST "\r\n"},
	{200, "GET /metrics HTTP/1.0\r\n\r\n"},
	{200, "GET /metrics?collect[]=all HTTP/1.1\r\n" HOST "\r\n"},
	{200, "GET http://10.0.0.2:9100/metrics HTTP/1.1\r\n" HOST "\r\n"},
	{200, GET "HOST:\r\nEmpty:\r\nTab:\t x\r\nBytes: \xc3\xa9\xff\r\n\r\n"},
	{200, GET HOST "\r\n\x01\x02 what follows is not looked at"},
	{0, ""},
	{0, "\r\n"},
	{0, "G"},
	{0, GET},
	{0, GET HOST "\r"},
	{404, "GET / HTTP/1.1\r\n" HOST "\r\n"},
	{404, "GET /metric HTTP/1.1\r\n" HOST "\r\n"},
	{404, "GET /metrics/ HTTP/1.1\r\n" HOST "\r\n"},
	{404, "GET /metricsx HTTP/1.1\r\n" HOST "\r\n"},
	{404, "GET metrics HTTP/1.1\r\n" HOST "\r\n"},
	{404, "GET /../metrics HTTP/1.1\r\n" HOST "\r\n"},
	{404, "GET //metrics HTTP/1.1\r\n" HOST "\r\n"},
	{404, "GET http:// HTTP/1.1\r\n" HOST "\r\n"},
	{404, "POST /x HTTP/1.1\r\n" HOST "\r\n"},
	{405, "POST /metrics HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n\x01\x02\x03"},
	{405, "get /metrics HTTP/1.1\r\n" HOST "\r\n"},
	{405, "HEADS /metrics HTTP/1.1\r\n" HOST "\r\n"},
	{405, "OPTIONS /metrics HTTP/1.1\r\n" HOST "\r\n"},
	{505, "GET /metrics HTTP/2.0\r\n"},
	{505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	{400, "\x16\x03\x01\x02"},
	{400, "GET /metrics\r\n"},
	{400, "GET\r\n"},
	{400, "GET \r\n"},
	{400, "GET  HTTP/1.1\r\n"},
	{400, "GET  /metrics HTTP/1.1\r\n"},
	{400, "GET /metrics  HTTP/1.1\r\n"},
	{400, "GET /metrics HTTP/1.1 \r\n"},
	{400, "GET /metrics HTTP/1\r\n"},
	{400, "GET /metrics HTTP/x.1\r\n"},
	{400, "GET /metrics FTP/1.1\r\n"},
	{400, " GET /metrics HTTP/1.1\r\n"},
	{400, "G(T /metrics HTTP/1.1\r\n"},
	{400, "GET /met\rrics HTTP/1.1\r\n"},
	{404, "GET /met\trics HTTP/1.1\r\n" HOST "\r\n"},
	{400, GET "\r\n"},
	{400, GET HOST HOST "\r\n"},
	{400, GET HOST "No colon\r\n"},
	{400, GET HOST ": no name\r\n"},
	{400, GET HOST "Blank : behind the name\r\n"},
	{400, GET HOST " folded\r\n"},
	{400, GET HOST "Escape: \x1b[2J\r\n"},
	{400, GET HOST "Delete: \x7f\r\n"},
	{400, "GET / HTTP/1.1\r\n" HOST "No colon\r\n"},
};

/* With nothing behind it, so that a sanitizer sees a read there. */
static int answer(const char *head, size_t len, int *bodiless)
{
	char *copy = malloc(len ? len : 1);
	int status;

	memcpy(copy, head, len);
	status = http_request(copy, len, bodiless);
	free(copy);
	return status;
}

static void test_heads(void)
{
	char name[60];

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		const struct golden *golden = &heads[i];
		size_t len = strlen(golden->head);
		int bodiless, part, wrong = 0, whole = answer(golden->head, len, &bodiless);

		for (char *at = strcpy(name, ""); at < name + 50 && *golden->head; at++) {
			size_t n = at - name;

			if (n >= len)
				break;
			*at = golden->head[n] >= ' ' && golden->head[n] < 0x7f && golden->head[n] != '#' ?
			      golden->head[n] : '.';
			at[1] = '\0';
		}
		is_number(whole, golden->status, name);
		wrong += bodiless != (whole == 200 && !strncmp(golden->head, "HEAD", 4));
		for (size_t n = 0; n < len; n++) {
			part = answer(golden->head, n, &bodiless);
			wrong += part && part != whole;
		}
		if (wrong)
			ok(0, "%s: the same in parts", name);
	}
}

static void test_room(void)
{
	static char head[HTTP_HEAD_MAX];
	int bodiless;
	size_t len = sizeof(GET HOST "X: ") - 1;

	memset(head, 'x', sizeof(head));
	is_number(http_request(head, sizeof(head) - 1, &bodiless), 0, "a line with room for more");
	is_number(http_request(head, sizeof(head), &bodiless), 431, "a line that fills all room");
	memcpy(head, GET HOST "X: ", len);
	is_number(http_request(head, sizeof(head) - 1, &bodiless), 0, "a field with room for more");
	is_number(http_request(head, sizeof(head), &bodiless), 431, "a field that fills all room");
	memcpy(head + sizeof(head) - 4, "\r\n\r\n", 4);
	is_number(http_request(head, sizeof(head), &bodiless), 200, "a head that just fits");
	memset(head, '\n', sizeof(head));
	is_number(http_request(head, sizeof(head), &bodiless), 431, "empty lines without end");
}

/* Where it is, in tests/unit/options.c there are more. */
static void test_address(void)
{
	struct http_address address;

	is_number(http_address(&address, "9100"), 0, "a port");
	ok(!address.is_ipv6 && !memcmp(address.ip, "\x7f\0\0\1", 4) && address.port == 9100,
	   "is one of 127.0.0.1");
	is_number(http_address(&address, "192.0.2.1:80"), 0, "an address and a port");
	ok(!address.is_ipv6 && !memcmp(address.ip, "\xc0\0\2\1", 4) && address.port == 80,
	   "are those");
	is_number(http_address(&address, "[2001:db8::1]:65535"), 0, "an IPv6 address");
	ok(address.is_ipv6 && !memcmp(address.ip, " \1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16) &&
	   address.port == 65535, "is that");
}

int main(void)
{
	test_heads();
	test_room();
	test_address();
	return done();
}
