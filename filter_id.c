// SPDX-License-Identifier: GPL-2.0-or-later
/* Addresses, ports, names and numbers as they are written. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "filter_internal.h"

/* A dotted address, or the beginning of one; returns its bits. */
static unsigned int parse_ipv4(struct compiler *c, const struct token *token, __u32 *address)
{
	const char *text = c->text + token->start;
	unsigned int bits = 8, byte = 0;

	*address = 0;
	for (size_t i = 0; i < token->len; i++) {
		if (text[i] == '.') {
			*address = (*address | byte) << 8;
			byte = 0;
			bits += 8;
			continue;
		}
		byte = byte * 10 + text[i] - '0';
		if (text[i] > '9' || byte > 255)
			filter_fail(c, token, "%.*s is no IPv4 address", TOKEN_TEXT(c, token));
	}
	*address = (*address | byte) << (32 - bits);
	return bits;
}

static int ipv4_id(struct compiler *c, const struct token *token, struct qualifiers q)
{
	__u32 address, mask;
	unsigned int bits = parse_ipv4(c, token, &address);

	if (q.kind != T_HOST && q.kind != T_NET && q.kind != KIND_DEFAULT)
		filter_fail(c, token, "%.*s is an IPv4 address: it goes with host or net",
			    TOKEN_TEXT(c, token));
	mask = 0xffffffffu << (32 - bits);
	if (c->token->type == T_MASK || filter_symbol(c->token, '/')) {
		const struct token *length = c->token + 1;

		if (q.kind != T_NET)
			filter_fail(c, c->token, "a mask goes with net");
		if (c->token++->type == T_MASK) {
			parse_ipv4(c, filter_need(c, T_IPV4), &mask);
		} else if (filter_need(c, T_NUMBER)->value <= 32) {
			mask = length->value ? 0xffffffffu << (32 - length->value) : 0;
		} else {
			filter_fail(c, length, "an IPv4 prefix has at most 32 bits");
		}
		if (address & ~mask)
			filter_fail(c, token, "%.*s has bits set that its mask leaves out",
				    TOKEN_TEXT(c, token));
	}
	return filter_host(c, token, address, mask, q);
}

static int ipv6_id(struct compiler *c, const struct token *token, struct qualifiers q)
{
	char text[INET6_ADDRSTRLEN] = "";
	struct in6_addr address;
	__u32 prefix = 128;

	memcpy(text, c->text + token->start, token->len);
	inet_pton(AF_INET6, text, &address);
	if (filter_symbol(c->token, '/')) {
		c->token++;
		prefix = filter_need(c, T_NUMBER)->value;
		if (prefix > 128)
			filter_fail(c, c->token - 1, "an IPv6 prefix has at most 128 bits");
		if (q.kind != T_NET && prefix < 128)
			filter_fail(c, token, "a prefix goes with net");
	}
	for (unsigned int bit = prefix; bit < 128; bit++)
		if (address.s6_addr[bit / 8] >> (7 - bit % 8) & 1)
			filter_fail(c, token, "%.*s has bits set that its prefix leaves out",
				    TOKEN_TEXT(c, token));
	return filter_host6(c, token, address.s6_addr, prefix, q);
}

static int mac_id(struct compiler *c, const struct token *token, struct qualifiers q)
{
	const char *text = c->text + token->start;
	int groups_of_one = memchr(text, ':', token->len) || memchr(text, '-', token->len) ||
			    text[1] == '.' || text[2] == '.';
	__u8 address[6] = { 0 };
	size_t at = 0;

	for (int i = 0; i < 6; i++) {
		char byte[3] = { text[at], 0, 0 };

		at++;
		if (at < token->len && !strchr(":-.", text[at]))
			byte[1] = text[at++];
		address[i] = strtoul(byte, NULL, 16);
		if (groups_of_one || (at < token->len && text[at] == '.'))
			at++;
	}
	return filter_mac(c, token, address, q);
}

/* The protocol that tcp, udp or sctp in front of a port stands for; 0: any of them. */
unsigned int filter_port_protocol(struct compiler *c, const struct token *token,
				  struct qualifiers q)
{
	switch (q.protocol) {
	case P_DEFAULT:
		return 0;
	case P_TCP:
		return 6;
	case P_UDP:
		return 17;
	case P_SCTP:
		return 132;
	default:
		filter_fail(c, token, "ports go with tcp, udp or sctp");
	}
}

/* A port by name or number: text of len bytes inside token. */
static __u32 named_port(struct compiler *c, const struct token *token, const char *text, size_t len,
			unsigned int *protocols)
{
	int port = 0;

	*protocols = PORT_TCP | PORT_UDP;
	for (size_t i = 0; i < len && port >= 0; i++)
		port = text[i] < '0' || text[i] > '9' || port > 65535 ? -1 :
			port * 10 + text[i] - '0';
	if (port < 0)
		port = filter_port(text, len, protocols);
	if (port < 0 || port > 65535 || !len)
		filter_fail(c, token, "%.*s is no port that is known here: give its number",
			    (int)len, text);
	return port;
}

static int port_id(struct compiler *c, const struct token *token, struct qualifiers q)
{
	const char *text = c->text + token->start, *dash = NULL;
	unsigned int protocol = filter_port_protocol(c, token, q), known, known2;
	size_t len = token->len;
	__u32 low, high;

	if (q.kind == T_PORTRANGE) {
		dash = memchr(text, '-', len);
		if (!dash)
			filter_fail(c, token, "portrange needs two ports: 80-90");
		len = dash - text;
	}
	low = high = named_port(c, token, text, len, &known);
	if (dash) {
		high = named_port(c, token, dash + 1, token->len - len - 1, &known2);
		if (known2 != known)
			known = PORT_TCP | PORT_UDP;
	}
	if ((protocol == 6 && known == PORT_UDP) || (protocol == 17 && known == PORT_TCP) ||
	    (protocol == 132 && known != (PORT_TCP | PORT_UDP)))
		filter_fail(c, token, "%.*s is a port of %s", TOKEN_TEXT(c, token),
			    known == PORT_UDP ? "udp" : "tcp");
	if (!protocol && known != (PORT_TCP | PORT_UDP))
		protocol = known == PORT_TCP ? 6 : 17;
	return filter_ports(c, token, low, high, protocol, q.direction);
}

static int name_id(struct compiler *c, const struct token *token, struct qualifiers q)
{
	const char *text = c->text + token->start;
	int number = -1;

	switch (q.kind) {
	case T_PORT:
	case T_PORTRANGE:
		return port_id(c, token, q);
	case T_PROTO:
	case T_PROTOCHAIN:
		if (q.protocol == P_LINK)
			number = filter_ether_protocol(text, token->len);
		else if (q.protocol == P_ISO)
			number = filter_find("129 clnp 130 esis 131 isis ", text, token->len);
		else
			number = filter_ip_protocol(text, token->len);
		if (number < 0)
			filter_fail(c, token, "%.*s is no protocol that is known here: give its "
				    "number", TOKEN_TEXT(c, token));
		return filter_number(c, token, number, q);
	default:
		filter_fail(c, token, "names are not looked up: give the address of %.*s",
			    TOKEN_TEXT(c, token));
	}
}

static int number_id(struct compiler *c, const struct token *token, struct qualifiers q)
{
	if (filter_symbol(c->token, '/') && q.kind == T_NET)
		filter_fail(c, token, "write all of the address's four numbers before the /");
	return filter_number(c, token, token->value, q);
}

int filter_id(struct compiler *c, struct qualifiers q)
{
	const struct token *token = c->token++;

	switch (token->type) {
	case T_NUMBER:
	case T_WORD:
	case T_IPV4:
	case T_IPV6:
	case T_MAC:
		break;
	default:
		filter_unexpected(c, token);
	}
	if (q.kind == T_END)
		filter_fail(c, token, "what is %.*s? Put host, net, port, proto ... in front of it",
			    TOKEN_TEXT(c, token));
	switch (token->type) {
	case T_NUMBER:
		return number_id(c, token, q);
	case T_IPV4:
		return ipv4_id(c, token, q);
	case T_IPV6:
		return ipv6_id(c, token, q);
	case T_MAC:
		return mac_id(c, token, q);
	default:
		return name_id(c, token, q);
	}
}
