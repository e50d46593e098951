// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "http.h"

/* Bytes that are still to be read. */
struct span {
	const char *at, *end;
};

/* The next line, without its end (RFC 9112: a line feed alone will do). Returns 0: none is whole. */
static int next_line(struct span *text, struct span *line)
{
	const char *end = memchr(text->at, '\n', text->end - text->at);

	if (!end)
		return 0;
	line->at = text->at;
	line->end = end > text->at && end[-1] == '\r' ? end - 1 : end;
	text->at = end + 1;
	return 1;
}

/* Take text off the front, in any case of letters. Returns 0: something else is there. */
static int skip(struct span *span, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(span->end - span->at) < len || strncasecmp(span->at, text, len))
		return 0;
	span->at += len;
	return 1;
}

/* Take off the front what may be a method or a field's name. Returns how many bytes. */
static size_t take_token(struct span *span)
{
	const char *start = span->at;

	while (span->at < span->end &&
	       ((*span->at >= '0' && *span->at <= '9') ||
		((*span->at | 0x20) >= 'a' && (*span->at | 0x20) <= 'z') ||
		memchr("!#$%&'*+-.^_`|~", *span->at, 15)))
		span->at++;
	return span->at - start;
}

/* No control characters. */
static int is_clean(struct span line)
{
	for (; line.at < line.end; line.at++)
		if (((unsigned char)*line.at < ' ' && *line.at != '\t') || *line.at == 0x7f)
			return 0;
	return 1;
}

/* The head is not whole. */
static int ask_for_more(struct span rest, size_t len)
{
	if (rest.end > rest.at && rest.end[-1] == '\r')
		rest.end--;
	return !is_clean(rest) ? 400 : len < HTTP_HEAD_MAX ? 0 : 431;
}

/* "GET /metrics?query HTTP/1.1", or with http://HOST before the path. minor: of the version. */
static int request_line(struct span line, int *bodiless, int *minor)
{
	struct span method = line, path;

	if (!take_token(&line))
		return 400;
	method.end = line.at;
	path.at = line.at + 1;
	path.end = path.at < line.end ? memchr(path.at, ' ', line.end - path.at) : NULL;
	if (*line.at != ' ' || !path.end || path.end == path.at)
		return 400;
	line.at = path.end;
	if (!skip(&line, " HTTP/") || line.end - line.at != 3 || line.at[1] != '.' ||
	    line.at[0] < '0' || line.at[0] > '9' || line.at[2] < '0' || line.at[2] > '9')
		return 400;
	if (line.at[0] != '1')
		return 505;
	*minor = line.at[2] - '0';
	if (skip(&path, "http://"))
		while (path.at < path.end && *path.at != '/')
			path.at++;
	if (path.end - path.at < 8 || memcmp(path.at, "/metrics", 8) ||
	    (path.end - path.at > 8 && path.at[8] != '?'))
		return 404;
	*bodiless = method.end - method.at == 4 && !memcmp(method.at, "HEAD", 4);
	return *bodiless || (method.end - method.at == 3 && !memcmp(method.at, "GET", 3)) ? 200 : 405;
}

/* Of a body, if one comes, nothing is wanted: the connection is closed after the answer. */
int http_request(const char *head, size_t len, int *bodiless)
{
	struct span text = { head, head + len }, line;
	int minor = 0, hosts = 0, status;

	*bodiless = 0;
	do {
		if (!next_line(&text, &line))
			return ask_for_more(text, len);
	} while (line.at == line.end); /* robust: an empty line or more before */
	if (!is_clean(line))
		return 400;
	status = request_line(line, bodiless, &minor);
	if (status == 400 || status == 505)
		return status;
	while (next_line(&text, &line)) {
		if (line.at == line.end)
			return hosts > 1 || (minor && !hosts) ? 400 : status;
		if (!is_clean(line))
			return 400;
		hosts += skip(&line, "Host:");
		if (line.at[-1] != ':' && (!take_token(&line) || line.at == line.end || *line.at != ':'))
			return 400;
	}
	return ask_for_more(text, len);
}

const char *http_reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	}
	return "HTTP Version Not Supported";
}

int http_address(struct http_address *address, const char *text)
{
	const char *port = strrchr(text, ':');
	size_t len = port ? port - text : 0;
	char host[INET6_ADDRSTRLEN] = "127.0.0.1";

	address->is_ipv6 = port && *text == '[' && port[-1] == ']';
	if (port) {
		text += address->is_ipv6;
		len -= 2 * address->is_ipv6;
		if (len >= sizeof(host))
			return -1;
		memcpy(host, text, len);
		host[len] = '\0';
	}
	if (inet_pton(address->is_ipv6 ? AF_INET6 : AF_INET, host, address->ip) != 1)
		return -1;
	address->port = 0;
	for (text = port ? port + 1 : text; *text >= '0' && *text <= '9'; text++)
		if ((address->port = address->port * 10 + *text - '0') > 65535)
			return -1;
	return *text || !address->port ? -1 : 0;
}
