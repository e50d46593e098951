// SPDX-License-Identifier: GPL-2.0-or-later
/* A table of flows and a size, and the rows of text that the live view makes of them. */
#include "tap.h"
#include "../../top.c"
#include "../../top_draw.c"
#include "../../screen.c"
#include "../../terminal.c"
#include "../../environment.c"
#include "../../holder.c"
#include "../../flows.c"
#include "../../bpf.c"
#include "../../names.c"
#include "../../output.c"
#include "../../say.c"
#include "../../failure.c"

#include <arpa/inet.h>

static struct flows table;
static struct flow flow[3000];
static struct report_link links[] = { { 1, "eth0" }, { 2, "enp3s0f1np1-vf1" } };
static struct report report;
static struct output written;
static struct top top;
static __u64 now;

/* Everything anew: a terminal of this size, and no flow. */
static void begin(int rows, int cols)
{
	struct failure failure;

	top_close(&top);
	memset(&top, 0, sizeof(top));
	memset(flow, 0, sizeof(flow));
	report = (struct report){
		.by = FIELDS_DEFAULT, .prefix4 = -1, .prefix6 = -1, .links = links, .nlinks = 1,
	};
	table = (struct flows){ .flow = flow, .room = 3000 };
	output_open(&written, "/dev/null", &failure);
	top.screen.output = &written;
	ok(!top_open(&top, &report, &table, &failure), "%d rows of %d columns", rows, cols);
	screen_resize(&top.screen, rows, cols);
	now = top.began = top.looked = top.sampled_at = 1000 * SECOND;
	strcpy(top.title, "eth0 native");
}

/* Another flow. */
static struct flow *add_flow(const char *source, unsigned int protocol)
{
	struct flow *new = &flow[table.n++];
	int six = strchr(source, ':') != NULL;

	new->key.ifindex = 1;
	new->key.eth_type = htobe16(six ? 0x86dd : 0x0800);
	new->key.protocol = protocol;
	new->key.present = FIELDS_DEFAULT | (six ? FIELD_IPV6 : 0);
	inet_pton(six ? AF_INET6 : AF_INET, source, new->key.src_ip);
	return new;
}

static void count(struct flow *which, __u64 packets, __u64 bytes)
{
	which->total.packets += packets;
	which->total.bytes += bytes;
	table.total.packets += packets;
	table.total.bytes += bytes;
}

static void look_after(__u64 seconds)
{
	static const struct flow_count none;

	now += seconds * SECOND;
	top_look(&top, &none, now);
	screen_clear(&top.screen);
	top_paint(&top, now);
}

/* Row y in ASCII, as a terminal without UTF-8 has it, without blanks at its end. */
static const char *row(int y)
{
	static char text[COLS_MAX + 1];
	int len = top.screen.cols;

	for (int x = 0; x < len; x++) {
		written.len = 0;
		put_glyph(&top.screen, top.screen.cells[y * len + x].glyph);
		text[x] = written.buffer[0];
	}
	written.len = 0;
	while (len && text[len - 1] == ' ')
		len--;
	text[len] = '\0';
	return text;
}

static void is_row(int y, const char *wanted)
{
	char name[32];

	snprintf(name, sizeof(name), "row %d", y);
	is_text(row(y), wanted, name);
}

static void test_numbers(void)
{
	static const struct {
		__u64 tenths;
		const char *unit, *wanted;
	} numbers[] = {
		{ 0, "pps", "0 pps" }, { 5, "pps", "0.5 pps" }, { 40, "pps", "4 pps" },
		{ 99, "pps", "9.9 pps" }, { 105, "pps", "10 pps" }, { 9999, "pps", "999 pps" },
		{ 10000, "pps", "1.0 kpps" }, { 123456, "pps", "12.3 kpps" },
		{ 1234567, "pps", "123 kpps" }, { 41000000, "bit/s", "4.1 Mbit/s" },
		{ 400000000000, "bit/s", "40.0 Gbit/s" }, { 9990, " packets", "999 packets" },
		{ 99900, " packets", "9.9 k packets" }, { 50, "", "5  " }, { 15000, "", "1.5 k" },
		{ UINT64_MAX, "", "1.8 E" },
	};
	char text[HUMAN_LEN];

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		is_text(human(text, numbers[i].tenths, numbers[i].unit), numbers[i].wanted,
			numbers[i].wanted);
	is_text(human_rate(text, 1000, SECOND / 2, "pps"), "2.0 kpps", "1000 in half a second");
	is_text(human_rate(text, 1, 4 * SECOND, "pps"), "0.2 pps", "1 in four seconds");
	is_text(human_rate(text, 5, 0, "pps"), "0 pps", "and in no time");
	is_text(human_rate(text, 360000000000000, 3600 * SECOND, "B/s"), "100 GB/s", "large and long");
	is_text(percent(text, 1, 3), "33%", "a third");
	is_text(percent(text, 1, 300), "<1%", "less than a hundredth");
	is_text(percent(text, 0, 300), "0%", "nothing");
	is_text(percent(text, UINT64_MAX / 2, UINT64_MAX), "49%", "half of very much");
	is_text(percent(text, 0, 0), "0%", "nothing of nothing");
}

static void test_cut(void)
{
	static const struct {
		const char *text;
		int width;
		const char *wanted;
	} cuts[] = {
		{ "10.0.0.1", 8, "10.0.0.1" }, { "10.0.0.1", 7, "10.\xa6" "0.1" },
		{ "2001:db8:1:2:3:4:5:6", 11, "2001:\xa6" ":5:6" + 0 }, { "10.0.0.1", 1, "\xa6" },
		{ "10.0.0.1", 0, "10.0.0.1" },
	};
	char text[64];

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		strcpy(text, cuts[i].text);
		cut(text, cuts[i].width);
		if (i == 2)
			is_number(strlen(text), 11, "as long as it may be");
		else
			is_text(text, cuts[i].wanted, "cut");
	}
}

static void test_wide(void)
{
	struct flow *tcp, *udp, *ping;

	begin(24, 80);
	look_after(0);
	is_row(0, " xguard  eth0 native                                                    0:00:00");
	is_row(1, " 0 pps   0 bit/s   0 packets   0 B   0 flows");
	is_row(9, " nothing has arrived yet");
	tcp = add_flow("192.168.2.1", 6);
	udp = add_flow("2001:db8::7", 17);
	ping = add_flow("10.0.0.9", 1);
	for (int i = 0; i < 4; i++) {
		count(tcp, 1000, 750000);
		count(udp, 250, 250000);
		look_after(1);
	}
	count(tcp, 500, 375000);
	count(udp, 125, 125000);
	count(ping, 1, 98);
	look_after(1);
	is_row(0, " xguard  eth0 native                                                    0:00:05");
	is_row(1, " 626 pps   4.0 Mbit/s   5.6 k packets   4.5 MB   3 flows");
	is_row(2, "                            ##    TCP       74% #######################-");
	is_row(3, "                            ##    UDP       24% ########");
	is_row(4, "                            ###   ICMP      <1% -");
	is_row(5, "                            ###");
	is_row(6, " 1 min, peak 8.0 Mbit/s");
	is_row(7, " source      proto    bit/s     pps packets    bytes share");
	is_row(8, " 192.168.2.1 TCP      3.0 M   500     4.5 k    3.3 M   74% ###############");
	is_row(9, " 2001:db8::7 UDP      1.0 M   125     1.1 k    1.1 M   24% #####");
	is_row(10, " 10.0.0.9    ICMP     784       1       1       98     <1% -");
	is_row(11, "");
	is_row(23, " q quit  s order: bits  p pause  b bytes  ? help");
}

static void test_narrow(void)
{
	struct flow *long_one;

	begin(12, 40);
	count(add_flow("192.168.100.200", 6), 10, 1000);
	long_one = add_flow("2001:db8:1111:2222:3333:4444:5555:6666", 58);
	count(long_one, 5, 900);
	look_after(1);
	is_row(0, " xguard  eth0 native            0:00:01");
	is_row(1, " 15 pps   15.2 kbit/s   15 packets");
	is_row(2, "                              #");
	is_row(3, " 1 min, peak 15.2 kbit/s");
	is_row(4, " TCP       52% #############");
	is_row(5, " source                  proto    bit/s");
	is_row(6, " 192.168.100.200         TCP      8.0 k");
	is_row(7, " 2001:db8:11~4:5555:6666 ICMPv6   7.2 k");
	is_row(11, " q quit  s order: bits  p pause  b bytes");
	for (int rows = 1; rows < 9; rows++)
		for (int cols = 1; cols < 90; cols += 11) {
			screen_resize(&top.screen, rows, cols);
			top.wide[0] = 0;
			choose(&top);
			top_paint(&top, now);
		}
	ok(1, "and in any smaller one");
}

static void test_order(void)
{
	struct flow *few, *many, *old;

	begin(24, 80);
	old = add_flow("10.0.0.3", 17);
	count(old, 100, 1000000);
	look_after(1);
	few = add_flow("10.0.0.2", 17);
	many = add_flow("10.0.0.1", 17);
	count(few, 1, 1500);
	count(many, 10, 640);
	look_after(1);
	ok(strstr(row(8), "10.0.0.2") && strstr(row(9), "10.0.0.1") && strstr(row(10), "10.0.0.3"),
	   "by bits; the silent ones are the last");
	ok(strstr(row(10), "0%") && !strstr(row(10), "-"), "which have no share");
	press(&top, 's');
	top_paint(&top, now);
	ok(strstr(row(8), "10.0.0.1") && strstr(row(9), "10.0.0.2"), "by packets");
	ok(strstr(row(8), "90%") != NULL, "the share, too");
	press(&top, 's');
	top_paint(&top, now);
	ok(strstr(row(8), "10.0.0.3") && strstr(row(8), "99%"), "by total");
	press(&top, 's');
	top_paint(&top, now);
	ok(strstr(row(8), "10.0.0.1") && strstr(row(10), "10.0.0.3"), "by address");
	press(&top, 'b');
	top_paint(&top, now);
	ok(strstr(row(7), "B/s") && strstr(row(1), "2.1 kB/s"), "bytes");
	press(&top, 'p');
	count(few, 5, 10000);
	look_after(1);
	ok(strstr(row(1), "2.1 kB/s") && strstr(row(0), "paused"), "paused");
	press(&top, 'p');
	look_after(1);
	ok(strstr(row(1), "5.0 kB/s") && !strstr(row(0), "paused"), "then the mean of the pause");
	press(&top, '?');
	screen_clear(&top.screen);
	top_paint(&top, now);
	is_row(8, " q  quit, as Ctrl+C does");
	press(&top, 'q');
	ok(top.quit, "quit");
}

/* The rows are the first ones of a sorted list, whatever comes first. */
static void test_many(void)
{
	__u64 previous = UINT64_MAX, bytes;
	int good = 1;

	begin(50, 100);
	for (unsigned int i = 0; i < 3000; i++) {
		count(add_flow("10.0.0.1", 17), 1, i * 7919 % 3000);
		flow[i].key.src_ip[2] = i >> 8;
		flow[i].key.src_ip[3] = i;
	}
	look_after(1);
	for (int i = 0; i < top.nshown; i++) {
		bytes = flow[top.shown[i]].total.bytes;
		good &= bytes == 2999u - i && bytes < previous;
		previous = bytes;
	}
	is_number(top.nshown, 50, "as many as there are rows");
	ok(good, "the largest ones, in order");
}

static void test_fields(void)
{
	struct flow *one;

	begin(24, 80);
	report.by = FIELDS_ALL;
	report.nlinks = 2;
	report.show_interface = 1;
	one = add_flow("192.168.2.1", 6);
	one->key.present = FIELDS_ALL;
	one->key.vlan = 12;
	one->key.dst_ip[0] = 10;
	one->key.src_port = htobe16(443);
	one->key.dst_port = htobe16(50000);
	count(one, 1, 100);
	one = add_flow("2001:db8:1111:2222:3333:4444:5555:6666", 6);
	one->key.present = FIELDS_ALL | FIELD_IPV6;
	one->key.ifindex = 2;
	one->key.src_port = one->key.dst_port = htobe16(443);
	count(one, 1, 90);
	one = &flow[table.n++];
	one->key.eth_type = htobe16(0x88cc);
	one->key.present = FIELD_ETH_TYPE;
	one->key.ifindex = 1;
	count(one, 1, 80);
	one = &flow[table.n++];
	one->key.ifindex = 1;
	count(one, 1, 70);
	look_after(1);
	is_row(7, " link       vlan source                           destination    proto    bit/s" + 0);
	is_row(8, " eth0       12   192.168.2.1:443                  10.0.0.0:50000 TCP      800");
	is_row(9, " enp3~1-vf1 0    [2001:db8:1111:~4:5555:6666]:443 [::]:443       TCP      720");
	is_row(10, " eth0       -    -                                -              LLDP     640");
	is_row(11, " eth0       -    -                                -              -        560");
}

/* The last minute: a column a second, or the highest of two. */
static void test_history(void)
{
	struct flow *one;

	begin(9, 120);
	one = add_flow("10.0.0.1", 17);
	for (int i = 1; i <= 70; i++) {
		count(one, i % 8, i % 8 * 100);
		look_after(1);
	}
	is_row(2, " -:=+# _.-:=+# _.-:=+# _.-:=+# _.-:=+# _.-:=+# _.-:=+# _.-:=+   UDP      100% "
		  "#########################################");
	begin(9, 120);
	one = add_flow("10.0.0.1", 17);
	count(one, 80, 800);
	look_after(10);
	ok(!strncmp(row(2) + 48, "   ##########   UDP", 19), "ten seconds between looks are ten columns");
	count(one, 80, 80000);
	look_after(1000);
	ok(strspn(row(2) + 1, "#") == 60, "and a thousand are all");
	begin(9, 80);
	one = add_flow("10.0.0.1", 17);
	count(one, 80, 800);
	look_after(1);
	count(one, 80, 1600);
	look_after(1);
	count(one, 80, 800);
	look_after(1);
	ok(!strncmp(row(2) + 27, "  #:   UDP", 10), "the higher one of two seconds");
}

/* What is written: differences, and no more moves than needed. */
static void test_flush(void)
{
	begin(3, 20);
	written.len = 0;
	screen_put(&top.screen, 1, 2, NORMAL, "one \002two");
	screen_flush(&top.screen);
	written.buffer[written.len] = '\0';
	is_text(written.buffer, "\033[2;3H\033[0mone \033[0;1mtwo", "text");
	written.len = 0;
	screen_put(&top.screen, 1, 2, NORMAL, "ane \002twa");
	screen_flush(&top.screen);
	written.buffer[written.len] = '\0';
	is_text(written.buffer, "\033[2;3H\033[0ma\033[2;9H\033[0;1ma", "two letters");
	written.len = 0;
	screen_flush(&top.screen);
	is_number(written.len, 0, "nothing");
	screen_put(&top.screen, 0, 0, NORMAL, "a\033[31m\x7f\x9b\xff\n");
	screen_flush(&top.screen);
	ok(!memchr(written.buffer + 10, '\033', written.len - 10) &&
	   !memchr(written.buffer, '\x9b', written.len), "foreign bytes are harmless");
	top.screen.utf8 = 1;
	written.len = 0;
	screen_glyph(&top.screen, 2, 0, GREEN, GLYPH_UPWARDS(3));
	screen_glyph(&top.screen, 2, 1, GREEN, GLYPH_RIGHTWARDS(1));
	screen_glyph(&top.screen, 2, 2, GREEN, GLYPH_ELLIPSIS);
	screen_flush(&top.screen);
	written.buffer[written.len] = '\0';
	is_text(written.buffer, "\033[3;1H\033[0m\u2583\u258f\u2026", "UTF-8, without colours");
}

static void test_messages(void)
{
	static char line[300];

	begin(24, 80);
	speaking = &top;
	for (int i = 0; i < 100; i++) {
		snprintf(line, sizeof(line), "xguard: message %d%*s\n", i, i, "");
		hold(&top, line, strlen(line));
	}
	ok(top.nheld < sizeof(top.held) && top.held[top.nheld - 1] == '\n' &&
	   !memcmp(top.held, "xguard: message ", 16), "the last messages are kept");
	hear("xguard: eth0: \033[31m\xc3\xa9\n", 22);
	look_after(1);
	is_row(23, " eth0: ?[31m??");
	look_after(11);
	is_row(23, " q quit  s order: bits  p pause  b bytes  ? help");
}

int main(void)
{
	test_numbers();
	test_cut();
	test_wide();
	test_narrow();
	test_order();
	test_many();
	test_fields();
	test_history();
	test_flush();
	test_messages();
	return done();
}
