// SPDX-License-Identifier: GPL-2.0-or-later
/* Numbers and addresses, and the text that each is shown as. */
#include "tap.h"
#include "../../names.c"

static void test_eth_types(void)
{
	static const struct {
		unsigned int number;
		const char *name, *numeric;
	} golden[] = {
		{0x0000, "802.3", "802.3"},    {0x05ff, "802.3", "802.3"},
		{0x0600, "0x0600", "0x0600"},  {0x0800, "IPv4", "0x0800"},
		{0x0806, "ARP", "0x0806"},     {0x8035, "RARP", "0x8035"},
		{0x8100, "802.1Q", "0x8100"},  {0x86dd, "IPv6", "0x86dd"},
		{0x8847, "MPLS", "0x8847"},    {0x8864, "PPPoE", "0x8864"},
		{0x88a8, "802.1ad", "0x88a8"}, {0x88b5, "0x88b5", "0x88b5"},
		{0x88cc, "LLDP", "0x88cc"},    {0xffff, "0xffff", "0xffff"},
	};
	char text[NAME_LEN];

	for (size_t i = 0; i < COUNT(golden); i++) {
		is_text(eth_type_name(text, golden[i].number, 0), golden[i].name, golden[i].name);
		is_text(eth_type_name(text, golden[i].number, 1), golden[i].numeric, "numeric");
	}
}

static void test_protocols(void)
{
	static const struct {
		unsigned int number;
		const char *name;
	} golden[] = {
		{0, "HOPOPT"}, {1, "ICMP"}, {2, "IGMP"}, {6, "TCP"}, {17, "UDP"}, {41, "IPv6"},
		{47, "GRE"}, {50, "ESP"}, {51, "AH"}, {58, "ICMPv6"}, {89, "OSPF"}, {112, "VRRP"},
		{132, "SCTP"}, {253, "253"}, {255, "255"},
	};
	char text[NAME_LEN], number[NAME_LEN];

	for (size_t i = 0; i < COUNT(golden); i++) {
		is_text(protocol_name(text, golden[i].number, 0), golden[i].name, golden[i].name);
		sprintf(number, "%u", golden[i].number);
		is_text(protocol_name(text, golden[i].number, 1), number, "numeric");
	}
}

/* Every name leads back to its number, is unique whatever its case, and fits. */
static void test_back(void)
{
	char text[NAME_LEN];
	int wrong = 0;

	for (size_t i = 0; i < COUNT(eth_types); i++)
		wrong += eth_type_number(eth_types[i].name) != eth_types[i].number ||
			 strlen(eth_type_name(text, eth_types[i].number, 0)) >= NAME_LEN;
	for (size_t i = 0; i < COUNT(protocols); i++)
		wrong += protocol_number(protocols[i].name) != protocols[i].number;
	is_number(wrong, 0, "every name leads back to its number");
	is_number(eth_type_number("ipV6"), 0x86dd, "any case");
	is_number(protocol_number("tcp"), 6, "any case");
	is_number(eth_type_number("IPv"), -1, "no such Ethernet type");
	is_number(protocol_number(""), -1, "no such protocol");
	is_text(field_names[0], "eth_type", "first field");
	is_text(field_names[FIELD_NAMES - 1], "protocol", "last field");
}

static void test_ipv4(void)
{
	char text[ADDRESS_LEN];

	is_text(ipv4_text(text, (__u8[]){192, 168, 2, 1}, -1), "192.168.2.1", "IPv4");
	is_text(ipv4_text(text, (__u8[]){10, 0, 0, 0}, 8), "10.0.0.0/8", "IPv4 prefix");
	is_text(ipv4_text(text, (__u8[]){0, 0, 0, 0}, 0), "0.0.0.0/0", "IPv4, all of it");
}

static void test_ipv6(void)
{
	static const struct {
		__u16 groups[8];
		const char *text;
	} golden[] = {
		{{0}, "::"},
		{{0, 0, 0, 0, 0, 0, 0, 1}, "::1"},
		{{1}, "1::"},
		{{0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe12, 0x3456}, "fe80::5054:ff:fe12:3456"},
		{{0x2001, 0xdb8, 0, 0, 1, 0, 0, 1}, "2001:db8::1:0:0:1"},
		{{0x2001, 0xdb8, 0, 1, 0, 0, 0, 1}, "2001:db8:0:1::1"},
		{{0x2001, 0xdb8, 0, 1, 1, 1, 1, 1}, "2001:db8:0:1:1:1:1:1"},
		{{0x2001, 0xdb8, 1, 2, 3, 4, 5, 0}, "2001:db8:1:2:3:4:5:0"},
		{{0, 1, 2, 3, 4, 5, 6, 7}, "0:1:2:3:4:5:6:7"},
		{{0, 0, 2, 3, 4, 5, 6, 7}, "::2:3:4:5:6:7"},
		{{1, 2, 3, 4, 5, 6, 0, 0}, "1:2:3:4:5:6::"},
		{{0xABCD, 0xEF, 0, 0, 0, 0, 0, 0xA}, "abcd:ef::a"},
		{{0, 0, 0, 0, 0, 0xffff, 0xc0a8, 0x0201}, "::ffff:192.168.2.1"},
		{{0, 0, 0, 0, 0xffff, 0, 0xc0a8, 0x0201}, "::ffff:0:c0a8:201"},
		{{0, 0, 0, 0, 0, 0, 0xc0a8, 0x0201}, "::c0a8:201"},
		{{0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff},
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	};
	char text[ADDRESS_LEN];
	__u8 bytes[16];

	for (size_t i = 0; i < COUNT(golden); i++) {
		for (int group = 0; group < 8; group++) {
			bytes[2 * group] = golden[i].groups[group] >> 8;
			bytes[2 * group + 1] = golden[i].groups[group] & 0xff;
		}
		is_text(ipv6_text(text, bytes, -1), golden[i].text, golden[i].text);
	}
	is_text(ipv6_text(text, bytes, 128), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
		"the longest text fits");
}

int main(void)
{
	test_eth_types();
	test_protocols();
	test_back();
	test_ipv4();
	test_ipv6();
	return done();
}
