/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the filter compiler share.
 *
 *	text -> filter_lex.c: tokens -> filter_parse.c: grammar, qualifiers
 *	     -> filter_gen.c: tests of the frame, linked by their outcomes
 *	     -> filter_flow.c: known outcomes skipped; filter_join.c: in a long filter, tests joined
 *	     -> filter_code.c: instructions -> filter_steer.c: where all ways end, what the verifier remembers
 *
 * A filter that takes the verifier long is compiled once more, if it asks for ports behind many headers: see
 * filter_header.c.
 *
 * A test loads one value of the frame and compares it. It has two ways out; what it loads from
 * beyond the frame's end makes the whole filter fail, as in classic BPF. So the tests and the
 * order in which they come are those of libpcap's own code, which decides which frames match.
 */
#ifndef XGUARD_FILTER_INTERNAL_H
#define XGUARD_FILTER_INTERNAL_H

#include <setjmp.h>
#include <stddef.h>
#include <linux/types.h>

#include "filter.h"

enum token_type {
	T_END, T_SYMBOL, T_NUMBER, T_WORD, T_IPV4, T_IPV6, T_MAC, T_PROTOCOL, T_AND, T_OR, T_NOT,
	T_SRC, T_DST, T_HOST, T_NET, T_PORT, T_PORTRANGE, T_PROTO, T_PROTOCHAIN, T_MASK, T_LESS,
	T_GREATER, T_BYTE, T_BROADCAST, T_MULTICAST, T_LEN, T_VLAN, T_MPLS, T_PPPOED, T_PPPOES,
	T_LLC, T_UNSUPPORTED,
};

/* Symbols of two characters, in the value of T_SYMBOL; the others are their own character. */
#define SYMBOL2(a, b) ((a) << 8 | (b))

struct token {
	enum token_type type;
	__u32 value;       /* a number, a symbol, an enum protocol */
	__u32 start, len;  /* where it stands in the text */
};

enum protocol {
	P_DEFAULT, P_LINK, P_IP, P_ARP, P_RARP, P_SCTP, P_TCP, P_UDP, P_ICMP, P_IGMP, P_IGRP, P_PIM,
	P_VRRP, P_IP6, P_ICMP6, P_AH, P_ESP, P_ATALK, P_AARP, P_DECNET, P_LAT, P_SCA, P_MOPDL,
	P_MOPRC, P_ISO, P_ESIS, P_ISIS, P_CLNP, P_L1, P_L2, P_IIH, P_LSP, P_SNP, P_CSNP, P_PSNP,
	P_STP, P_IPX, P_NETBEUI,
};

/* The words in front of an address, port or number; what comes after "or" may inherit them. */
enum direction { D_DEFAULT, D_SRC, D_DST, D_OR, D_AND };
struct qualifiers {
	enum protocol protocol;
	enum direction direction;
	enum token_type kind; /* T_HOST T_NET T_PORT T_PORTRANGE T_PROTO T_PROTOCHAIN; T_END: none */
};
#define KIND_DEFAULT T_WORD /* only a direction was given */

/* An arithmetic expression: nodes of a tree, by index. */
enum { A_NUMBER, A_PACKET, A_LOAD, A_NEGATE, A_BINARY };
struct arith {
	__u8 kind;
	__u8 op;           /* A_BINARY: BPF_ADD, BPF_SUB, ... */
	__u8 size;         /* A_LOAD: bytes */
	__u8 transport;    /* A_LOAD: behind the IPv4 header that is at base, not at base itself */
	__u32 number;      /* A_NUMBER; A_PACKET: offset in struct packet */
	__u32 base;        /* A_LOAD: what the index is added to */
	int left, right;   /* A_LOAD: left is the index */
};

/* A test's op: the value is k, or one of span's halves. */
#define ANY_OF BPF_JNE

/* Exits of a group of tests that lead nowhere yet: 2 * test + outcome, linked through to[]. */
struct exits {
	int first, last;
};

/*
 * In a long filter an address, a port or a protocol may be one test of a field that is on the stack from
 * the beginning: see filter_field.c. V_VALID fails the filter if the frame ends before or within it. F_TRANSPORT is
 * the protocol of an IPv4 packet that is no later fragment; F_PROTOCOL what IP's header says; F_NUMBER the same, or
 * what the header of a fragment behind IPv6's says.
 */
enum field { F_SOURCE, F_DESTINATION, F_SOURCE6, F_DESTINATION6, F_TRANSPORT, F_SOURCE_PORT, F_DESTINATION_PORT,
	     F_PROTOCOL, F_NUMBER, FIELDS, F_CHAIN = FIELDS };

static inline int filter_is_address6(int field)
{
	return field == F_SOURCE6 || field == F_DESTINATION6;
}

static inline int filter_is_address(int field)
{
	return field <= F_DESTINATION6;
}

struct address {
	__u8 bytes[16];
	unsigned int prefix;
};

/* All bits of a value of so many bytes, 32 at most. */
static inline __u32 filter_all_bits(int size)
{
	return size >= 4 ? 0xffffffff : (1u << 8 * size) - 1;
}

/* In base: the header may be one of IPv6; the packet may be one of ARP, whose addresses stand elsewhere. */
#define EITHER (1u << 16)
#define OR_ARP (1u << 17)
#define PPP    (1u << 18) /* which of EITHER's it is, a type of PPP says, */
#define LABELS (1u << 19) /* or the header's own version, behind labels */
#define BASE   0xffffu

/* A group of tests goes by the number of its first one, which holds the group's exits. */
enum test_kind { V_FRAME, V_TRANSPORT, V_PACKET, V_FIELD, V_VALID, V_ARITH, V_CHAIN, V_ALWAYS, V_BOTH };
struct test {
	__u8 kind;
	__u8 size;         /* bytes: 1, 2, 4, or 6 of an Ethernet address; V_CHAIN: 4 or 6, the version of IP, 0: of the
	                    * chain that fields are of; V_FIELD, V_VALID: enum field */
	__u8 op;           /* BPF_JEQ, BPF_JSET, BPF_JLE: from k to k + span, ANY_OF; V_ARITH: all */
	__u32 offset;      /* in the frame, behind the IPv4 header, in struct packet; V_FIELD, V_VALID: of the network
	                    * header */
	__u32 base;        /* V_TRANSPORT: offset of the IPv4 header, with some of the above; V_CHAIN, V_FIELD, V_VALID:
	                    * PPP, LABELS */
	__u32 mask;        /* of the value */
	__u32 k, span;     /* what it is compared with, host byte order; of 6 or 16 bytes the index in
	                    * c->addresses */
	int left, right;   /* V_ARITH: the operands. V_ALWAYS: left is the outcome. V_BOTH: two tests: it holds where
	                    * left ends with mask and right with span; size: how many they are made of, offset: where
	                    * what they look at ends, base: registers that it takes, of which there are four */
	int to[2];         /* next test when it fails, when it holds; or MATCH, NO_MATCH */
	int place, from;   /* of filter_flow.c: in order; 1 + 2 * test + outcome that alone leads here, 0: none yet,
	                    * -1: several */
	__u32 need;        /* bytes that a frame has which matches by any way from here */
	struct exits exits[2]; /* of the group that begins here: where it fails, where it holds */
};
#define MATCH    (-2)
#define NO_MATCH (-3)

/* What costs so much is loaded otherwise if that costs less. */
#define DEAR 10000

/* Offsets up to here fit an instruction; farther loads go the way of computed ones. */
#define FIXED_OFFSET_MAX 16000

enum link { L_ETHERNET, L_PPP, L_IP, L_UNKNOWN };

struct compiler {
	jmp_buf failed;          /* where every step goes that fails; filter.c releases all */
	struct filter *filter;
	int pieces;              /* PIECES_ */
	int err;                 /* -EINVAL, -ENOMEM */
	const char *text;
	struct token *tokens, *token;
	struct test *tests;
	int ntests, tests_size;
	struct arith *ariths;
	int nariths, ariths_size;
	int depth;               /* of parentheses */
	int is_long;             /* there are so many tests that each had better be short */
	int is_mixed;            /* so many ways that the verifier needs help: see filter_copy.c */
	int all_headers;         /* ports and protocols are fields of all headers, in scratch memory: see
	                          * filter_header.c */
	unsigned int fields;     /* 1 << enum field: such values are fields; F_CHAIN: see filter_chain.c */
	int too_long;            /* why the compiler failed */
	struct address *addresses;
	int naddresses, addresses_size;
	void *work[8];           /* memory of the steps behind the parser */
	__u32 **known;           /* likewise, ntests pointers */

	/* Where things are, at this point of the expression: vlan, mpls and pppoes shift it. */
	enum link link;
	__u32 link_header, link_type, payload;
	__u32 field_header;      /* the network header that fields are of, */
	int has_many;            /* if there are so many of them; */
	int has_ports;           /* ports and protocols are fields of what is here, too */
	__u32 network, network_802_2; /* behind payload */
	int labels;              /* MPLS labels passed */
};

/* Fail with a message about a token (NULL: about the whole), printf-like. */
_Noreturn void filter_fail(struct compiler *c, const struct token *token, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
_Noreturn void filter_no_memory(struct compiler *c);
_Noreturn void filter_too_long(struct compiler *c);
/* An array of the compiler's that has n elements, with room for one more; *size: for how many. */
void *filter_grow(struct compiler *c, void *array, int n, int *size, size_t element);

/* filter_lex.c. */
void filter_lex(struct compiler *c);
#define TOKEN_TEXT(c, token) (int)(token)->len, (c)->text + (token)->start

/*
 * filter_names.c. Numbers by name, -1 if unknown. A port by name has the protocols that it is
 * registered for in *protocols (PORT_TCP, PORT_UDP).
 */
#define PORT_TCP 1
#define PORT_UDP 2
int filter_find(const char *table, const char *name, size_t len);
int filter_constant(const char *name, size_t len);
int filter_port(const char *name, size_t len, unsigned int *protocols);
int filter_ip_protocol(const char *name, size_t len);
int filter_ether_protocol(const char *name, size_t len);
int filter_llc_type(const char *name, size_t len, int *unnumbered);

/* filter_parse.c: the whole expression; and what its helpers need of the tokens. */
int filter_parse(struct compiler *c);
int filter_symbol(const struct token *token, __u32 symbol);
void filter_expect(struct compiler *c, __u32 symbol);
const struct token *filter_need(struct compiler *c, enum token_type type);
_Noreturn void filter_unexpected(struct compiler *c, const struct token *token);

/* filter_id.c: an address, port, name or number at the next token, with what stands before it. */
int filter_id(struct compiler *c, struct qualifiers q);
unsigned int filter_port_protocol(struct compiler *c, const struct token *token,
				  struct qualifiers q);

/* filter_arith.c: "ip[0] & 0xf > 5" and the like; whether a token is an operator of it. */
int filter_relation(struct compiler *c);
int filter_operator(const struct token *token);

/* filter.c: are ports and protocols fields, from the next token on, as far as where all is shifted again? */
void filter_look_ahead(struct compiler *c);

/* filter_gen.c: groups of tests, and what joins them. token is what a message points at. */
int filter_and(struct compiler *c, int a, int b);
int filter_or(struct compiler *c, int a, int b);
int filter_not(struct compiler *c, int a);
void filter_finish(struct compiler *c, int group);
int filter_always(struct compiler *c, int outcome);
int filter_masked(struct compiler *c, enum test_kind kind, __u32 offset, int size,
		  __u32 mask, int op, __u32 k);
int filter_compare(struct compiler *c, enum test_kind kind, __u32 offset, int size, int op,
		   __u32 k);
int filter_between(struct compiler *c, enum test_kind kind, __u32 offset, int size, __u32 low,
		   __u32 high);
int filter_any_of(struct compiler *c, __u32 offset, int size, __u32 a, __u32 b, __u32 other);
/* Where the Ethernet type does not say which version of IP it is: what does. */
__u32 filter_tells_version(const struct compiler *c);
int filter_has_field(const struct compiler *c, enum field field);
int filter_field(struct compiler *c, enum field field, __u32 mask, __u32 k, __u32 span);
int filter_fields(struct compiler *c, enum field source, enum direction direction, __u32 mask, __u32 k,
		  __u32 span);
int filter_relate(struct compiler *c, int left, int right, int op);
int filter_is_length(struct compiler *c);
int filter_ethertype(struct compiler *c, const struct token *token, __u32 type);

/* filter_protocol.c. */
int filter_protocol(struct compiler *c, const struct token *token, enum protocol protocol);
int filter_transport(struct compiler *c, const struct token *token, enum protocol protocol);
int filter_ip_number(struct compiler *c, const struct token *token, __u32 number,
		     enum protocol protocol);
int filter_iso(struct compiler *c, const struct token *token, __u32 number, int isis);

/* filter_host.c. */
int filter_number(struct compiler *c, const struct token *token, __u32 number,
		  struct qualifiers q);
int filter_host(struct compiler *c, const struct token *token, __u32 address, __u32 mask,
		struct qualifiers q);
int filter_host6(struct compiler *c, const struct token *token, const __u8 address[16],
		 unsigned int prefix, struct qualifiers q);
int filter_mac(struct compiler *c, const struct token *token, const __u8 address[6],
	       struct qualifiers q);
int filter_first_fragment(struct compiler *c);
int filter_ports(struct compiler *c, const struct token *token, __u32 low, __u32 high,
		 unsigned int protocol, enum direction direction);
int filter_protochain(struct compiler *c, const struct token *token, __u32 number,
		      enum protocol protocol);
int filter_length(struct compiler *c, int op, __u32 k);
int filter_decoded(struct compiler *c, unsigned int protocol);

/* filter_link.c: what is about the link layer, or changes where things are. */
int filter_cast(struct compiler *c, const struct token *token, enum protocol protocol,
		int multicast);
int filter_vlan(struct compiler *c, const struct token *token, const struct token *id);
int filter_mpls(struct compiler *c, const struct token *token, const struct token *label);
int filter_pppoes(struct compiler *c, const struct token *token, const struct token *id);
int filter_llc(struct compiler *c, const struct token *token, const struct token *type);

/* filter_flow.c: the tests that can be reached, in order. */
int filter_order(struct compiler *c, int *head, int **order);
int filter_same_value(const struct test *a, const struct test *b);

/* filter_join.c: tests that may be one; what of a test's value is known to stand in the frame ends there. */
#define FILTER_TOGETHER 8 /* tests at most: no frame is asked for much more than it would have been */
int filter_join(struct compiler *c, int *order, int n);
int filter_goes_with(const struct test *first, const struct test *second, __u32 has);
__u32 filter_end(const struct test *test);
int filter_registers(const struct test *test);

/* filter_code.c: the tests from head on made into c->filter's instructions, of both kinds. */
void filter_code(struct compiler *c, int head);

#endif
