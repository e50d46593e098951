// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Names to numbers. Each table is one string of "number name" pairs: less than half the size of an
 * array of pointers.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter_internal.h"

/* pcap-filter(7): offsets, ICMP types and TCP flags; behind "icmp-", "icmp6-" and "tcp-". */
static const char fields[] = "0 icmptype 1 icmpcode 0 icmp6type 1 icmp6code 13 tcpflags ";
static const char icmp_types[] =
	"0 echoreply 3 unreach 4 sourcequench 5 redirect 8 echo 9 routeradvert 10 routersolicit "
	"11 timxceed 12 paramprob 13 tstamp 14 tstampreply 15 ireq 16 ireqreply 17 maskreq "
	"18 maskreply ";
static const char icmp6_types[] =
	"1 destinationunreach 2 packettoobig 3 timeexceeded 4 parameterproblem 128 echo "
	"129 echoreply 130 multicastlistenerquery 131 multicastlistenerreportv1 "
	"132 multicastlistenerdone 133 routersolicit 134 routeradvert 135 neighborsolicit "
	"136 neighboradvert 137 redirect 138 routerrenum 139 nodeinformationquery "
	"140 nodeinformationresponse 141 ineighbordiscoverysolicit 142 ineighbordiscoveryadvert "
	"143 multicastlistenerreportv2 144 homeagentdiscoveryrequest 145 homeagentdiscoveryreply "
	"146 mobileprefixsolicit 147 mobileprefixadvert 148 certpathsolicit 149 certpathadvert "
	"151 multicastrouteradvert 152 multicastroutersolicit 153 multicastrouterterm ";
static const char tcp_flags[] = "1 fin 2 syn 4 rst 8 push 16 ack 32 urg 64 ece 128 cwr ";

/* IANA's protocol numbers, as /etc/protocols has them. */
static const char ip_protocols[] =
	"0 ip 0 hopopt 1 icmp 2 igmp 3 ggp 4 ipencap 5 st 6 tcp 8 egp 9 igp 12 pup 17 udp 20 hmp "
	"22 xns-idp 27 rdp 29 iso-tp4 33 dccp 36 xtp 37 ddp 38 idpr-cmtp 41 ipv6 43 ipv6-route "
	"44 ipv6-frag 45 idrp 46 rsvp 47 gre 50 esp 51 ah 57 skip 58 ipv6-icmp 59 ipv6-nonxt "
	"60 ipv6-opts 73 rspf 81 vmtp 88 eigrp 89 ospf 93 ax.25 94 ipip 97 etherip 98 encap "
	"103 pim 108 ipcomp 112 vrrp 115 l2tp 124 isis 132 sctp 133 fc 135 mobility-header "
	"136 udplite 137 mpls-in-ip 138 manet 139 hip 140 shim6 141 wesp 142 rohc ";

static const char ether_protocols[] =
	"33011 aarp 2054 arp 32923 atalk 24579 decnet 2048 ip 34525 ip6 24580 lat 36864 loopback "
	"24577 mopdl 24578 moprc 32821 rarp 24583 sca 254 iso 66 stp 224 ipx 240 netbeui ";

/* Well-known ports, as /etc/services has them. */
static const char tcp_ports[] =
	"1 tcpmux 11 systat 15 netstat 17 qotd 20 ftp-data 21 ftp 22 ssh 23 telnet 25 mail "
	"25 smtp 43 whois 70 gopher 79 finger 80 http 80 www 102 iso-tsap 110 pop3 113 auth "
	"113 ident 119 nntp 135 epmap 139 netbios-ssn 143 imap 143 imap2 179 bgp "
	"445 microsoft-ds 465 smtps 465 submissions 512 exec 513 login 514 shell 515 printer "
	"540 uucp 543 klogin 544 kshell 563 nntps 587 submission 631 ipp 873 rsync "
	"989 ftps-data 990 ftps 992 telnets 993 imaps 995 pop3s 1080 socks 1433 ms-sql-s "
	"2401 cvspserver 2628 dict 3260 iscsi-target 3306 mysql 3389 ms-wbt-server 3690 svn "
	"4949 munin 5222 xmpp-client 5269 xmpp-server 5432 postgresql 5671 amqps 5672 amqp "
	"6000 x11 6379 redis 6514 syslog-tls 8080 http-alt 8080 webcache 8081 tproxy "
	"8140 puppet 9418 git 10050 zabbix-agent 10051 zabbix-trapper ";
static const char udp_ports[] =
	"67 bootps 68 bootpc 69 tftp 123 ntp 137 netbios-ns 138 netbios-dgm 177 xdmcp "
	"319 ptp-event 320 ptp-general 500 isakmp 512 biff 513 who 517 talk 518 ntalk "
	"520 route 546 dhcpv6-client 547 dhcpv6-server 623 asf-rmcp 1434 ms-sql-m 1701 l2f "
	"1701 l2tp 4500 ipsec-nat-t 5353 mdns 6696 babel ";
static const char both_ports[] =
	"7 echo 9 discard 13 daytime 19 chargen 37 time 49 tacacs 53 domain 88 kerberos "
	"111 portmapper 111 sunrpc 161 snmp 162 snmp-trap 162 snmptrap 389 ldap 427 svrloc "
	"443 https 464 kpasswd 514 syslog 554 rtsp 636 ldaps 646 ldp 853 domain-s 1194 openvpn "
	"1812 radius 1813 radius-acct 2049 nfs 3493 nut 5060 sip 5061 sip-tls ";

/* Types of 802.2 frames: supervisory, unnumbered. */
static const char llc_supervisory[] = "1 rr 5 rnr 9 rej ";
static const char llc_unnumbered[] =
	"3 ui 99 ua 67 disc 15 dm 111 sabme 227 test 175 xid 135 frmr ";

int filter_find(const char *table, const char *name, size_t len)
{
	while (*table) {
		char *word;
		long number = strtoul(table, &word, 10);
		const char *end = strchr(++word, ' ');

		if ((size_t)(end - word) == len && !strncasecmp(word, name, len))
			return number;
		table = end + 1;
	}
	return -1;
}

static int find_behind(const char *prefix, const char *table, const char *name, size_t len)
{
	size_t skip = strlen(prefix);

	if (len <= skip || memcmp(name, prefix, skip))
		return -1;
	return filter_find(table, name + skip, len - skip);
}

int filter_constant(const char *name, size_t len)
{
	int number = filter_find(fields, name, len);

	if (number < 0)
		number = find_behind("icmp-", icmp_types, name, len);
	if (number < 0)
		number = find_behind("icmp6-", icmp6_types, name, len);
	if (number < 0)
		number = find_behind("tcp-", tcp_flags, name, len);
	return number;
}

int filter_port(const char *name, size_t len, unsigned int *protocols)
{
	int both = filter_find(both_ports, name, len);
	int tcp = both >= 0 ? both : filter_find(tcp_ports, name, len);
	int udp = both >= 0 ? both : filter_find(udp_ports, name, len);

	*protocols = (tcp >= 0 ? PORT_TCP : 0) | (udp >= 0 ? PORT_UDP : 0);
	return tcp >= 0 ? tcp : udp;
}

int filter_ip_protocol(const char *name, size_t len)
{
	return filter_find(ip_protocols, name, len);
}

int filter_ether_protocol(const char *name, size_t len)
{
	return filter_find(ether_protocols, name, len);
}

int filter_llc_type(const char *name, size_t len, int *unnumbered)
{
	int type = filter_find(llc_supervisory, name, len);

	*unnumbered = type < 0;
	return type >= 0 ? type : filter_find(llc_unnumbered, name, len);
}
