// SPDX-License-Identifier: GPL-2.0-or-later
/* The text of a filter made into tokens: the longest match wins, as in libpcap's scanner. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "filter_internal.h"

struct keyword {
	char word[12];
	__u8 type, value;
};

static const struct keyword keywords[] = {
	{ "and", T_AND, 0 },           { "or", T_OR, 0 },             { "not", T_NOT, 0 },
	{ "src", T_SRC, 0 },           { "dst", T_DST, 0 },           { "host", T_HOST, 0 },
	{ "net", T_NET, 0 },           { "mask", T_MASK, 0 },         { "port", T_PORT, 0 },
	{ "portrange", T_PORTRANGE, 0 }, { "proto", T_PROTO, 0 },
	{ "protochain", T_PROTOCHAIN, 0 }, { "less", T_LESS, 0 },
	{ "greater", T_GREATER, 0 },   { "byte", T_BYTE, 0 },
	{ "broadcast", T_BROADCAST, 0 }, { "multicast", T_MULTICAST, 0 },
	{ "len", T_LEN, 0 },           { "length", T_LEN, 0 },        { "vlan", T_VLAN, 0 },
	{ "mpls", T_MPLS, 0 },         { "pppoed", T_PPPOED, 0 },     { "pppoes", T_PPPOES, 0 },
	{ "llc", T_LLC, 0 },
	{ "link", T_PROTOCOL, P_LINK },     { "ether", T_PROTOCOL, P_LINK },
	{ "ppp", T_PROTOCOL, P_LINK },      { "slip", T_PROTOCOL, P_LINK },
	{ "fddi", T_PROTOCOL, P_LINK },     { "tr", T_PROTOCOL, P_LINK },
	{ "wlan", T_PROTOCOL, P_LINK },     { "ip", T_PROTOCOL, P_IP },
	{ "arp", T_PROTOCOL, P_ARP },       { "rarp", T_PROTOCOL, P_RARP },
	{ "sctp", T_PROTOCOL, P_SCTP },     { "tcp", T_PROTOCOL, P_TCP },
	{ "udp", T_PROTOCOL, P_UDP },       { "icmp", T_PROTOCOL, P_ICMP },
	{ "igmp", T_PROTOCOL, P_IGMP },     { "igrp", T_PROTOCOL, P_IGRP },
	{ "pim", T_PROTOCOL, P_PIM },       { "vrrp", T_PROTOCOL, P_VRRP },
	{ "carp", T_PROTOCOL, P_VRRP },     { "ip6", T_PROTOCOL, P_IP6 },
	{ "icmp6", T_PROTOCOL, P_ICMP6 },   { "ah", T_PROTOCOL, P_AH },
	{ "esp", T_PROTOCOL, P_ESP },       { "atalk", T_PROTOCOL, P_ATALK },
	{ "aarp", T_PROTOCOL, P_AARP },     { "decnet", T_PROTOCOL, P_DECNET },
	{ "lat", T_PROTOCOL, P_LAT },       { "sca", T_PROTOCOL, P_SCA },
	{ "mopdl", T_PROTOCOL, P_MOPDL },   { "moprc", T_PROTOCOL, P_MOPRC },
	{ "iso", T_PROTOCOL, P_ISO },       { "esis", T_PROTOCOL, P_ESIS },
	{ "es-is", T_PROTOCOL, P_ESIS },    { "isis", T_PROTOCOL, P_ISIS },
	{ "is-is", T_PROTOCOL, P_ISIS },    { "clnp", T_PROTOCOL, P_CLNP },
	{ "l1", T_PROTOCOL, P_L1 },         { "l2", T_PROTOCOL, P_L2 },
	{ "iih", T_PROTOCOL, P_IIH },       { "lsp", T_PROTOCOL, P_LSP },
	{ "snp", T_PROTOCOL, P_SNP },       { "csnp", T_PROTOCOL, P_CSNP },
	{ "psnp", T_PROTOCOL, P_PSNP },     { "stp", T_PROTOCOL, P_STP },
	{ "ipx", T_PROTOCOL, P_IPX },       { "netbeui", T_PROTOCOL, P_NETBEUI },
};

/* Words of pcap-filter(7) that are refused: other link types, host names, the sending side. */
static const char unsupported[] =
	"0 gateway 0 type 0 subtype 0 direction 0 dir 0 address1 0 addr1 0 address2 0 addr2 "
	"0 address3 0 addr3 0 address4 0 addr4 0 ra 0 ta 0 inbound 0 outbound 0 ifindex 0 geneve "
	"0 radio 0 lane 0 metac 0 bcc 0 oam 0 oamf4 0 oamf4ec 0 oamf4sc 0 sc 0 ilmic 0 vpi 0 vci "
	"0 connectmsg 0 metaconnect 0 on 0 ifname 0 rset 0 ruleset 0 rulenum 0 srnr "
	"0 subrulenum 0 reason 0 action 0 fisu 0 lssu 0 lsu 0 msu 0 hfisu 0 hlssu 0 hmsu 0 sio "
	"0 opc 0 dpc 0 sls 0 hsio 0 hopc 0 hdpc 0 hsls ";

static const char digits[] = "0123456789abcdefABCDEF";
#define DECIMAL 10 /* of digits */

static int is_one_of(char character, const char *set, size_t len)
{
	return character && memchr(set, character, len);
}

/* How many characters of text, at most most, are hexadecimal digits. */
static size_t span_hex(const char *text, size_t most)
{
	size_t len = 0;

	while (len < most && is_one_of(text[len], digits, sizeof(digits) - 1))
		len++;
	return len;
}

/* Groups of 1 to most hexadecimal digits with a separator between them, count times. */
static int is_groups(const char *text, size_t len, char separator, int count, size_t least,
		     size_t most)
{
	size_t at = 0;

	for (int i = 0; i < count; i++) {
		size_t n = span_hex(text + at, most);

		if (n < least || (i && at > len))
			return 0;
		at += n;
		if (i + 1 < count && separator && text[at++] != separator)
			return 0;
	}
	return at == len;
}

static int is_mac(const char *text, size_t len)
{
	return is_groups(text, len, ':', 6, 1, 2) || is_groups(text, len, '-', 6, 1, 2) ||
	       is_groups(text, len, '.', 6, 1, 2) || is_groups(text, len, '.', 3, 4, 4) ||
	       is_groups(text, len, 0, 3, 4, 4);
}

/* The length of the number at text: decimal, or 0x and hexadecimal. */
static size_t span_number(const char *text)
{
	size_t len = 0;

	if (text[0] == '0' && (text[1] | 0x20) == 'x' && span_hex(text + 2, 1))
		return 2 + span_hex(text + 2, (size_t)-1);
	while (is_one_of(text[len], digits, DECIMAL))
		len++;
	return len;
}

/* One to four numbers with dots between them; returns how many, 0: something else. */
static int count_dotted(const char *text, size_t len)
{
	size_t at = 0;

	for (int i = 1; i <= 4; i++) {
		size_t n = span_number(text + at);

		at += n;
		if (!n || at > len)
			return 0;
		if (at == len)
			return i;
		if (text[at++] != '.')
			return 0;
	}
	return 0;
}

static __u32 parse_number(struct compiler *c, const struct token *token)
{
	const char *text = c->text + token->start;
	unsigned int base = *text != '0' || token->len == 1 ? 10 : (text[1] | 0x20) == 'x' ? 16 : 8;
	__u64 number = 0;

	for (size_t i = base == 16 ? 2 : 0; i < token->len; i++) {
		unsigned int digit = text[i] <= '9' ? text[i] - '0' : (text[i] | 0x20) - 'a' + 10;

		if (digit >= base)
			filter_fail(c, token, "%.*s begins with 0, but is not octal",
				    TOKEN_TEXT(c, token));
		number = number * base + digit;
		if (number > 0xffffffff)
			filter_fail(c, token, "%.*s needs more than 32 bits",
				    TOKEN_TEXT(c, token));
	}
	return number;
}

static void lex_word(struct compiler *c, struct token *token)
{
	const char *text = c->text + token->start;
	int constant = filter_constant(text, token->len);

	token->type = T_WORD;
	if (constant >= 0) {
		token->type = T_NUMBER;
		token->value = constant;
	} else if (filter_find(unsupported, text, token->len) >= 0) {
		token->type = T_UNSUPPORTED;
	}
	for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++) {
		const struct keyword *keyword = &keywords[i];

		if (strlen(keyword->word) == token->len &&
		    !memcmp(keyword->word, text, token->len)) {
			token->type = keyword->type;
			token->value = keyword->value;
		}
	}
}

/* Letters, digits, dots, hyphens: a number, an address, a keyword or a name. */
static void lex_plain(struct compiler *c, struct token *token)
{
	const char *text = c->text + token->start;
	int dotted;

	token->len = 0;
	while (is_one_of(text[token->len] | 0x20, "abcdefghijklmnopqrstuvwxyz", 26) ||
	       is_one_of(text[token->len], "0123456789-_.", 13))
		token->len++;
	while (token->len > 1 &&
	       (text[token->len - 1] == '-' || text[token->len - 1] == '_'))
		token->len--;
	dotted = count_dotted(text, token->len);
	if (is_mac(text, token->len)) {
		token->type = T_MAC;
	} else if (dotted == 1) {
		token->type = T_NUMBER;
		token->value = parse_number(c, token);
	} else if (dotted) {
		token->type = T_IPV4;
	} else {
		lex_word(c, token);
	}
}

/* An address with colons in it; returns 0 where there is none. */
static int lex_colons(struct compiler *c, struct token *token)
{
	const char *text = c->text + token->start;
	char copy[INET6_ADDRSTRLEN];
	struct in6_addr address;
	unsigned int colons = 0;
	size_t len = 0;

	while (is_one_of(text[len], digits, sizeof(digits) - 1) || text[len] == ':' ||
	       text[len] == '.')
		colons += text[len++] == ':';
	if (colons < 2)
		return 0;
	token->len = len;
	if (len < sizeof(copy)) {
		memcpy(copy, text, len);
		copy[len] = '\0';
		if (inet_pton(AF_INET6, copy, &address) == 1) {
			token->type = T_IPV6;
			return 1;
		}
	}
	if (!is_mac(text, len))
		filter_fail(c, token, "%.*s is neither an IPv6 nor an Ethernet address",
			    TOKEN_TEXT(c, token));
	token->type = T_MAC;
	return 1;
}

static void lex_symbol(struct compiler *c, struct token *token)
{
	static const char pairs[][3] = { ">=", "<=", "!=", "==", "<<", ">>", "&&", "||" };
	const char *text = c->text + token->start;

	token->type = *text == '!' ? T_NOT : T_SYMBOL;
	token->value = *text;
	token->len = 1;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		if (memcmp(text, pairs[i], 2))
			continue;
		token->len = 2;
		token->type = i == 6 ? T_AND : i == 7 ? T_OR : T_SYMBOL;
		token->value = i == 3 ? '=' : SYMBOL2(text[0], text[1]);
		return;
	}
	if (!is_one_of(*text, "+-*/%:[]!<>()&|^=", 17))
		filter_fail(c, token, "'%.1s' means nothing in a filter", text);
}

/* \name: a name, even where it is a keyword. */
static void lex_escaped(struct compiler *c, struct token *token)
{
	token->start++;
	token->len = strcspn(c->text + token->start, " !()\n\t");
	token->type = T_WORD;
	if (!token->len)
		filter_fail(c, token, "'\\' stands before a name");
}

void filter_lex(struct compiler *c)
{
	size_t at = 0;

	c->tokens = calloc(strlen(c->text) + 1, sizeof(*c->tokens));
	if (!c->tokens)
		filter_no_memory(c);
	for (struct token *token = c->tokens;; token++) {
		char first;

		while (c->text[at] && strchr(" \r\n\t", c->text[at]))
			at++;
		token->start = at;
		first = c->text[at];
		if (!first)
			return; /* calloc made it a T_END */
		if (is_one_of(first | 0x20, "abcdefghijklmnopqrstuvwxyz", 26) ||
		    is_one_of(first, digits, DECIMAL) || first == ':') {
			if (!lex_colons(c, token)) {
				if (first == ':')
					lex_symbol(c, token);
				else
					lex_plain(c, token);
			}
		} else if (first == '\\') {
			lex_escaped(c, token);
		} else {
			lex_symbol(c, token);
		}
		at = token->start + token->len;
	}
}
