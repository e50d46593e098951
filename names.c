// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <strings.h>

#include "names.h"

const char *const field_names[FIELD_NAMES] = {
	"eth_type", "vlan", "src_ip", "src_port", "dst_ip", "dst_port", "protocol",
};

struct name {
	unsigned short number;
	char name[12];
};

/* IEEE 802 numbers; below 0x600 the field is a length (IEEE 802.3, 3.2.6). */
static const struct name eth_types[] = {
	{0x0800, "IPv4"},    {0x0806, "ARP"},     {0x0842, "WoL"},     {0x22f0, "AVTP"},
	{0x22f3, "TRILL"},   {0x4305, "BATMAN"},  {0x6558, "TEB"},     {0x8035, "RARP"},
	{0x809b, "AppleTalk"}, {0x80f3, "AARP"},  {0x8100, "802.1Q"},  {0x8137, "IPX"},
	{0x86dd, "IPv6"},    {0x8808, "MAC-Control"}, {0x8809, "Slow"}, {0x8847, "MPLS"},
	{0x8848, "MPLS-MC"}, {0x8863, "PPPoE-D"}, {0x8864, "PPPoE"},   {0x888e, "EAPOL"},
	{0x8892, "PROFINET"}, {0x88a2, "AoE"},    {0x88a4, "EtherCAT"}, {0x88a8, "802.1ad"},
	{0x88b8, "GOOSE"},   {0x88cc, "LLDP"},    {0x88e5, "MACsec"},  {0x88e7, "802.1ah"},
	{0x88f7, "PTP"},     {0x88fb, "PRP"},     {0x8902, "CFM"},     {0x8906, "FCoE"},
	{0x8914, "FIP"},     {0x8915, "RoCE"},    {0x892f, "HSR"},     {0x9000, "Loopback"},
};

/* IANA's protocol numbers, under the names that people know them by. */
static const struct name protocols[] = {
	{0, "HOPOPT"},      {1, "ICMP"},        {2, "IGMP"},        {4, "IPIP"},
	{6, "TCP"},         {8, "EGP"},         {9, "IGP"},         {17, "UDP"},
	{33, "DCCP"},       {41, "IPv6"},       {43, "IPv6-Route"}, {44, "IPv6-Frag"},
	{46, "RSVP"},       {47, "GRE"},        {50, "ESP"},        {51, "AH"},
	{58, "ICMPv6"},     {59, "IPv6-NoNxt"}, {60, "IPv6-Opts"},  {88, "EIGRP"},
	{89, "OSPF"},       {97, "EtherIP"},    {103, "PIM"},       {108, "IPComp"},
	{112, "VRRP"},      {115, "L2TP"},      {124, "IS-IS"},     {132, "SCTP"},
	{135, "Mobility"},  {136, "UDPLite"},   {137, "MPLS"},      {139, "HIP"},
	{140, "Shim6"},     {143, "Ethernet"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *name_of(const struct name *names, size_t n, unsigned int number)
{
	for (size_t i = 0; i < n; i++)
		if (names[i].number == number)
			return names[i].name;
	return NULL;
}

static int number_of(const struct name *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strncasecmp(names[i].name, name, strlen(name) + 1))
			return names[i].number;
	return -1;
}

char *put_decimal(char *end, __u64 number)
{
	char digits[20];
	int n = 0;

	do
		digits[n++] = '0' + number % 10;
	while (number /= 10);
	while (n)
		*end++ = digits[--n];
	return end;
}

/* At least places hexadecimal digits. */
static char *put_hex(char *end, unsigned int number, int places)
{
	int shift = 4 * (places - 1);

	while (number >> shift >> 4)
		shift += 4;
	for (; shift >= 0; shift -= 4)
		*end++ = "0123456789abcdef"[number >> shift & 15];
	return end;
}

const char *eth_type_name(char *text, unsigned int eth_type, int numeric)
{
	const char *name = numeric ? NULL : name_of(eth_types, COUNT(eth_types), eth_type);

	if (eth_type < 0x600)
		name = "802.3";
	if (name)
		strcpy(text, name);
	else
		*put_hex(stpcpy(text, "0x"), eth_type, 4) = '\0';
	return text;
}

const char *protocol_name(char *text, unsigned int protocol, int numeric)
{
	const char *name = numeric ? NULL : name_of(protocols, COUNT(protocols), protocol);

	if (name)
		strcpy(text, name);
	else
		*put_decimal(text, protocol) = '\0';
	return text;
}

int eth_type_number(const char *name)
{
	return number_of(eth_types, COUNT(eth_types), name);
}

int protocol_number(const char *name)
{
	return number_of(protocols, COUNT(protocols), name);
}

static void put_prefix(char *end, int prefix)
{
	if (prefix >= 0) {
		*end++ = '/';
		end = put_decimal(end, prefix);
	}
	*end = '\0';
}

static char *put_ipv4(char *end, const __u8 address[4])
{
	for (int i = 0; i < 4; i++) {
		if (i)
			*end++ = '.';
		end = put_decimal(end, address[i]);
	}
	return end;
}

const char *ipv4_text(char *text, const __u8 address[4], int prefix)
{
	put_prefix(put_ipv4(text, address), prefix);
	return text;
}

/*
 * The longest run of at least two zero groups, the first one of equals (RFC 5952, 4.2): returns
 * its first group and sets *length; 8 where there is none.
 */
static int zero_run(const __u8 address[16], int *length)
{
	int first = 8;

	*length = 1;
	for (int i = 0, run = 0; i < 8; i++) {
		run = address[2 * i] | address[2 * i + 1] ? 0 : run + 1;
		if (run > *length) {
			*length = run;
			first = i + 1 - run;
		}
	}
	return first;
}

const char *ipv6_text(char *text, const __u8 address[16], int prefix)
{
	static const __u8 mapped[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96 */
	int groups = memcmp(address, mapped, sizeof(mapped)) ? 8 : 6;
	int run, first = zero_run(address, &run);
	char *end = text;

	for (int i = 0; i < groups; i++) {
		if (i == first) {
			*end++ = ':';
			i += run - 1;
			if (i == groups - 1)
				*end++ = ':';
			continue;
		}
		if (i)
			*end++ = ':';
		end = put_hex(end, address[2 * i] << 8 | address[2 * i + 1], 1);
	}
	if (groups == 6) {
		*end++ = ':';
		end = put_ipv4(end, address + 12);
	}
	put_prefix(end, prefix);
	return text;
}
