/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fields, Ethernet types and protocols to names and back, addresses to text. No system call. */
#ifndef XGUARD_NAMES_H
#define XGUARD_NAMES_H

#include <stddef.h>
#include <linux/types.h>

/* Room for any text that the functions below write, its NUL included. */
#define NAME_LEN    16
#define ADDRESS_LEN 50 /* an IPv6 address and "/128" */

/* The names of the fields, by the number of their FIELD_ bit: "eth_type" is field_names[0]. */
#define FIELD_NAMES 7
extern const char *const field_names[FIELD_NAMES];

/*
 * The name of an Ethernet type in host byte order: "IPv4", "ARP", "802.3" below 0x600, else (or
 * with numeric) "0x88b5". Returns text, which is NAME_LEN bytes.
 */
const char *eth_type_name(char *text, unsigned int eth_type, int numeric);

/* The name of an IP protocol ("TCP", "ICMPv6"), else (or with numeric) its number. */
const char *protocol_name(char *text, unsigned int protocol, int numeric);

/* The number of an Ethernet type or protocol by its name, any case; -1: unknown. */
int eth_type_number(const char *name);
int protocol_number(const char *name);

/*
 * An address in network byte order as text, IPv6 as RFC 5952 has it; "/prefix" is added unless
 * prefix is negative. text is ADDRESS_LEN bytes. Returns text.
 */
const char *ipv4_text(char *text, const __u8 address[4], int prefix);
const char *ipv6_text(char *text, const __u8 address[16], int prefix);

/* Write number at end, up to 20 bytes without a NUL. Returns the end of its digits. */
char *put_decimal(char *end, __u64 number);

#endif
