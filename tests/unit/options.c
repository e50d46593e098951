// SPDX-License-Identifier: GPL-2.0-or-later
/* Command lines, and what becomes of each: the fields that it sets, or the message. */
#include <stdarg.h>
#include <sys/mman.h>

#include "tap.h"
#include "../../options.c"
#include "../../options_rows.c"
#include "../../options_usage.c"
#include "../../moment.c"
#include "../../http.c"
#include "../../names.c"
#include "../../failure.c"
#include "../../output.c"

static char described[2000];

__attribute__((format(printf, 1, 2)))
static void add(const char *format, ...)
{
	size_t len = strlen(described);
	va_list args;

	if (len)
		described[len++] = ' ';
	va_start(args, format);
	vsnprintf(described + len, sizeof(described) - len, format, args);
	va_end(args);
}

/* The fields that differ from their default, in the order of struct options. */
static void describe_fields(const struct options *o)
{
	static const char *const actions[] = {"", "status", "detach", "probe", "dump", "help",
					      "version", "usage"};

	if (o->action)
		add("%s", actions[o->action]);
	for (size_t i = 0; i < o->ninterfaces; i++)
		add("%s", o->interfaces[i]);
	if (o->all)
		add("all links");
	if (o->trace)
		add("%s", o->trace == TRACE_KERNEL ? "kernel" : "userspace");
	if (o->format)
		add("format=%d", o->format);
	if (o->mode)
		add("mode=%d", o->mode);
	if (o->protocol)
		add("protocol=%u", o->protocol);
	if (o->by != FIELDS_DEFAULT)
		add("by=%#x", o->by);
	if (o->prefix4 != -1)
		add("prefix4=%d", o->prefix4);
	if (o->prefix6 != -1)
		add("prefix6=%d", o->prefix6);
	if (o->output)
		add("output=%s", o->output);
	if (o->listen)
		add("listen=%s", o->listen);
	if (o->max_series != 1000)
		add("max_series=%u", o->max_series);
	if (o->object)
		add("object=%s", o->object);
	if (o->interval != SECOND)
		add("interval=%llu", (unsigned long long)o->interval);
	if (o->start.word)
		add("start=%s", o->start.word);
	if (o->stop.word)
		add("stop=%s", o->stop.word);
	if (o->duration)
		add("duration=%llu", (unsigned long long)o->duration);
	if (o->count)
		add("count=%llu", (unsigned long long)o->count);
	if (o->sample != 1)
		add("sample=%u", o->sample);
	if (o->max_flows)
		add("max_flows=%u", o->max_flows);
	if (o->force)
		add("force");
	if (o->numeric)
		add("numeric");
	if (o->top)
		add("top");
	if (o->verbose)
		add("verbose");
	if (o->filter)
		add("filter='%s'", o->filter);
}

/* Parse words ('~' stands for an empty one); what came of it is in described. */
static void parse(const char *words)
{
	char copy[400], *argv[32] = {"xguard"}, *save = NULL;
	struct options options;
	struct failure failure;
	int argc = 1, ret;

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = strcmp(word, "~") ? word : "";
	described[0] = '\0';
	ret = options_parse(&options, argc, argv, &failure);
	if (ret < 0) {
		add("%s; %s", failure.reason, failure.next);
		if (ret != -EINVAL || failure.step[0] || !failure.next[0])
			add("(no misuse: %d, %s)", ret, failure.step);
		return;
	}
	describe_fields(&options);
	options_free(&options);
}

struct golden {
	const char *words, *wanted;
};

static const struct golden accepted[] = {
	{"", "usage"},
	{"-h", "help"},
	{"--help", "help"},
	{"-V", "version"},
	{"-i eth0 -V", "version eth0"},
	{"-d -h", "help"},
	{"-d -V tcp", "version"},
	{"--interface eth0 --kernel-trace", "eth0 kernel"},
	{"--interface eth0 --userspace-trace --tcp", "eth0 userspace protocol=6"},
	{"-i eth0 -u --udp", "eth0 userspace protocol=17"},
	{"-i eth0 -u --icmp", "eth0 userspace protocol=1"},
	{"-i eth0 -i eth1 --interface=eth2 -k", "eth0 eth1 eth2 kernel"},
	{"-ieth0 -k", "eth0 kernel"},
	{"-kieth0", "eth0 kernel"},
	{"-i any -k", "any kernel"},
	{"-i eth0 -k -k", "eth0 kernel"},
	{"-i eth0 -u --tcp --tcp", "eth0 userspace protocol=6"},
	{"-i eth0 --user", "eth0 userspace"},
	{"-i eth0 -u --format text", "eth0 userspace"},
	{"-i eth0 -u --format json", "eth0 userspace format=1"},
	{"-i eth0 -k --format=csv", "eth0 kernel format=2"},
	{"-i eth0 -u --format metrics", "eth0 userspace format=3"},
	{"-i eth0 -u --format metrics --output f.prom --max-series 1",
	 "eth0 userspace format=3 output=f.prom max_series=1"},
	{"-i eth0 -u --listen 9100", "eth0 userspace listen=9100"},
	{"-i eth0 -u --listen 9100 --top -n", "eth0 userspace listen=9100 numeric top"},
	{"-i eth0 -u --listen 1", "eth0 userspace listen=1"},
	{"-i eth0 -u --listen 65535 --format csv", "eth0 userspace format=2 listen=65535"},
	{"-i eth0 -u --listen 0.0.0.0:9100", "eth0 userspace listen=0.0.0.0:9100"},
	{"-i eth0 -u --listen [::1]:9100", "eth0 userspace listen=[::1]:9100"},
	{"-i eth0 -u --listen [2001:db8:0:1:2:3:192.0.2.1]:80",
	 "eth0 userspace listen=[2001:db8:0:1:2:3:192.0.2.1]:80"},
	{"-i eth0 -k --mode auto", "eth0 kernel"},
	{"-i eth0 -k --mode native", "eth0 kernel mode=1"},
	{"-i eth0 -k --mode generic", "eth0 kernel mode=2"},
	{"-i eth0 -u --by src_ip,protocol", "eth0 userspace"},
	{"-i eth0 -u --by protocol,src_ip", "eth0 userspace"},
	{"-i eth0 -u --by vlan", "eth0 userspace by=0x3"},
	{"-i eth0 -u --by dst_port,src_port,dst_ip,src_ip,vlan,protocol", "eth0 userspace by=0x7f"},
	{"-i eth0 -u --by vlan --by src_ip", "eth0 userspace by=0x5"},
	{"-i eth0 -u --prefix4 0 --prefix6 0", "eth0 userspace prefix4=0 prefix6=0"},
	{"-i eth0 -u --prefix4 32 --prefix6 128", "eth0 userspace prefix4=32 prefix6=128"},
	{"-i eth0 -u --prefix4 08", "eth0 userspace prefix4=8"},
	{"-i eth0 -u --output /tmp/x", "eth0 userspace output=/tmp/x"},
	{"-i eth0 -u --output -", "eth0 userspace"},
	{"-i eth0 -u --object x.o", "eth0 userspace object=x.o"},
	{"-i eth0 -u --interval 2", "eth0 userspace interval=2000000000"},
	{"-i eth0 -u --interval 0.01", "eth0 userspace interval=10000000"},
	{"-i eth0 -u --interval .5", "eth0 userspace interval=500000000"},
	{"-i eth0 -u --interval 5.", "eth0 userspace interval=5000000000"},
	{"-i eth0 -k --duration 0.123456789", "eth0 kernel duration=123456789"},
	{"-i all -k", "all links kernel"},
	{"-i eth0 -i all -i any -u", "eth0 any all links userspace"},
	{"-i eth0 -k --start 22:00 --stop=2026-11-23T22:00:30+01:00",
	 "eth0 kernel start=22:00 stop=2026-11-23T22:00:30+01:00"},
	{"-i eth0 -k --stop 24:00", "--stop '24:00': not a time; write a time of day, such as 22:00 or "
	 "22:00:30, or a moment, such as 2026-11-23T22:00; for UTC, with Z at its end"},
	{"-i eth0 -k --duration 4.1", "eth0 kernel duration=4100000000"},
	{"-i eth0 -k --duration 1000000000", "eth0 kernel duration=1000000000000000000"},
	{"-i eth0 -k -c 1", "eth0 kernel count=1"},
	{"-i eth0 -u --count 18446744073709551615", "eth0 userspace count=18446744073709551615"},
	{"-i eth0 -k --sample 1000", "eth0 kernel sample=1000"},
	{"-i eth0 -k --sample 4294967295", "eth0 kernel sample=4294967295"},
	{"-i eth0 -u --max-flows 131072", "eth0 userspace max_flows=131072"},
	{"-i eth0 -u --max-flows 2147483648", "eth0 userspace max_flows=2147483648"},
	{"-i eth0 -un", "eth0 userspace numeric"},
	{"-i eth0 -uv", "eth0 userspace verbose"},
	{"--status", "status"},
	{"--status -i eth0 --format json -v", "status eth0 format=1 verbose"},
	{"--status --output f -i eth0 -i eth1", "status eth0 eth1 output=f"},
	{"--detach --force", "detach force"},
	{"--force --detach --interface eth0", "detach eth0 force"},
	{"--probe --object f -i eth0", "probe eth0 object=f"},
	{"--probe --help", "help"},
	{"-d", "dump"},
	{"-d tcp port 80", "dump filter='tcp port 80'"},
	{"-d --tcp", "dump protocol=6"},
	{"-i eth0 -k tcp and port 80", "eth0 kernel filter='tcp and port 80'"},
	{"-i eth0 tcp -k or udp", "eth0 kernel filter='tcp or udp'"},
	{"-i eth0 -k -- -1 < 2", "eth0 kernel filter='-1 < 2'"},
	{"-i eth0 -k len - 4 > 1", "eth0 kernel filter='len - 4 > 1'"},
	{"-i eth0 -k ~", "eth0 kernel filter=''"},
	{"-i eth0 -u --icmp host 1.1.1.1", "eth0 userspace protocol=1 filter='host 1.1.1.1'"},
};

#define FIELDS "write some of src_ip,dst_ip,src_port,dst_port,protocol,vlan; " \
	       "Ethernet type and interface always count"
#define SECONDS(option, word) option " '" word "': not a time in seconds; " \
	"write decimal seconds from 0.01 to 1000000000, such as 0.5 or 10, " \
	"with at most nine decimals"
#define NOT_A_NUMBER(option, word, from, to) option " '" word "': not a whole number; " \
	"write a whole number from " from " to " to
#define OUT_OF_RANGE(option, word, from, to) option " '" word "': out of range; " \
	"write a whole number from " from " to " to
#define METRICS "--format metrics goes with --userspace-trace only; write text, json or csv"
#define NO_ADDRESS(word) "--listen '" word "': not a port, nor an address and a port; write 9975, " \
	"192.0.2.1:9975, [::1]:9975 or, for all addresses, 0.0.0.0:9975 or [::]:9975"
#define U64_MAX "18446744073709551615"

static const struct golden refusals[] = {
	{"-k", "no interface given; add --interface IFACE, such as -i eth0"},
	{"tcp", "no interface given; add --interface IFACE, such as -i eth0"},
	{"-i eth0", "no trace given; add --kernel-trace (-k: a line for every frame) or "
		    "--userspace-trace (-u: a line for every flow)"},
	{"-i eth0 -k -u", "--kernel-trace and --userspace-trace exclude each other; "
			  "choose one of them"},
	{"-i eth0 -u -k", "--userspace-trace and --kernel-trace exclude each other; "
			  "choose one of them"},
	{"-i eth0 -u --tcp --udp", "--tcp and --udp exclude each other; choose one of them"},
	{"-i eth0 -u --icmp --tcp", "--icmp and --tcp exclude each other; choose one of them"},
	{"-i eth0 -k --tcp", "--tcp goes with --userspace-trace only; "
			     "write it as a filter: -k tcp"},
	{"--udp -k", "--udp goes with --userspace-trace only; write it as a filter: -k udp"},
	{"-i eth0 -k --icmp port 80", "--icmp goes with --userspace-trace only; make it part of "
				      "the filter: -k '(icmp or icmp6) and (port 80)'"},
	{"-i eth0 -k --by vlan", "--by goes with --userspace-trace only; "
				 "leave it out, or choose the other trace"},
	{"-i eth0 -k --prefix4 8", "--prefix4 goes with --userspace-trace only; "
				   "leave it out, or choose the other trace"},
	{"-i eth0 -k --prefix6 8", "--prefix6 goes with --userspace-trace only; "
				   "leave it out, or choose the other trace"},
	{"-i eth0 -k --max-flows 8", "--max-flows goes with --userspace-trace only; "
				     "leave it out, or choose the other trace"},
	{"-i eth0 -u --sample 8", "--sample goes with --kernel-trace only; "
				  "leave it out, or choose the other trace"},
	{"-i eth0 --sample 1 -u", "--sample goes with --kernel-trace only; "
				  "leave it out, or choose the other trace"},
	{"-i", "--interface needs IFACE after it; xguard --help shows what it takes"},
	{"-k --interval", "--interval needs SECONDS after it; xguard --help shows what it takes"},
	{"-i ~ -k", "--interface '': the name is empty; "
		    "name a link, such as -i eth0; -i may be repeated"},
	{"--bogus", "unknown option --bogus; xguard --help lists the options"},
	{"--bogus=5 -k", "unknown option --bogus=5; xguard --help lists the options"},
	{"-i eth0 -kq", "unknown option -q; xguard --help lists the options; "
			"a FILTER that begins with '-' comes after --"},
	{"-\xc3\xa9", "unknown option -?; xguard --help lists the options; "
		      "a FILTER that begins with '-' comes after --"},
	{"-i eth0 -k --top", "--top goes with --userspace-trace only; "
			     "leave it out, or choose the other trace"},
	{"-i eth0 -u --top --format text", "--top and --format exclude each other; choose one of them"},
	{"-i eth0 -u --output f --top", "--top and --output exclude each other; choose one of them"},
	{"--status --top", "--top goes with --userspace-trace only; leave it out"},
	{"--status --detach", "--status and --detach exclude each other; choose one of them"},
	{"--probe -d", "--probe and -d exclude each other; choose one of them"},
	{"--status -i eth0 -k", "--kernel-trace does not go with --status; leave it out"},
	{"--status -k", "--kernel-trace does not go with --status; leave it out"},
	{"--detach -u --tcp", "--userspace-trace does not go with --detach; leave it out"},
	{"--probe --tcp", "--tcp goes with --userspace-trace only; leave it out"},
	{"--detach --format json", "--format does not go with --detach; leave it out"},
	{"--status --object f", "--object does not go with --status; leave it out"},
	{"--status --interval 2", "--interval does not go with --status; leave it out"},
	{"--status tcp", "FILTER 'tcp' goes with a trace only; leave it out"},
	{"--status --force", "--force goes with --detach only; leave it out"},
	{"-i eth0 -u --force", "--force goes with --detach only; leave it out"},
	{"--prefix 8", "--prefix is ambiguous: --prefix4, --prefix6; write one of them in full"},
	{"--i=eth0", "--i=eth0 is ambiguous: --interface, --icmp, --interval; "
		     "write one of them in full"},
	{"--tcp=5", "--tcp takes no argument; leave it out"},
	{"--format ~", "--format '': there is no such format; write one of: text json csv metrics"},
	{"--format jso", "--format 'jso': there is no such format; "
			 "write one of: text json csv metrics"},
	{"-i eth0 -k --format metrics", METRICS},
	{"--status --format metrics", METRICS},
	{"-i eth0 -k --max-series 5", "--max-series goes with --userspace-trace only; "
				      "leave it out, or choose the other trace"},
	{"-i eth0 -k --listen 9100", "--listen goes with --userspace-trace only; "
				     "leave it out, or choose the other trace"},
	{"--listen ~", NO_ADDRESS("")},
	{"--listen 0", NO_ADDRESS("0")},
	{"--listen 65536", NO_ADDRESS("65536")},
	{"--listen 4294967297", NO_ADDRESS("4294967297")},
	{"--listen 91x", NO_ADDRESS("91x")},
	{"--listen :9100", NO_ADDRESS(":9100")},
	{"--listen 127.0.0.1", NO_ADDRESS("127.0.0.1")},
	{"--listen 127.0.0.1:", NO_ADDRESS("127.0.0.1:")},
	{"--listen 127.1:9100", NO_ADDRESS("127.1:9100")},
	{"--listen localhost:9100", NO_ADDRESS("localhost:9100")},
	{"--listen ::1", NO_ADDRESS("::1")},
	{"--listen ::1:9100", NO_ADDRESS("::1:9100")},
	{"--listen [::1]", NO_ADDRESS("[::1]")},
	{"--listen []:1", NO_ADDRESS("[]:1")},
	{"--listen [127.0.0.1]:9100", NO_ADDRESS("[127.0.0.1]:9100")},
	{"--listen [1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]:9100",
	 NO_ADDRESS("[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]:9100")},
	{"--max-series 0", OUT_OF_RANGE("--max-series", "0", "1", "4294967295")},
	{"--mode xdp", "--mode 'xdp': there is no such mode; write one of: auto native generic"},
	{"--output ~", "--output '': the name is empty; write --output FILE"},
	{"--object ~", "--object '': the name is empty; write --object FILE"},
	{"--by ~", "--by '': there is no such field; " FIELDS},
	{"--by src_ip,", "--by '': there is no such field; " FIELDS},
	{"--by src_ip,src", "--by 'src': there is no such field; " FIELDS},
	{"--by eth_type", "--by 'eth_type': there is no such field; " FIELDS},
	{"--by vlan,src_ip,vlan", "--by 'vlan': named twice; " FIELDS},
	{"--prefix4 33", OUT_OF_RANGE("--prefix4", "33", "0", "32")},
	{"--prefix6 129", OUT_OF_RANGE("--prefix6", "129", "0", "128")},
	{"--prefix4 -1", NOT_A_NUMBER("--prefix4", "-1", "0", "32")},
	{"--prefix4 ~", NOT_A_NUMBER("--prefix4", "", "0", "32")},
	{"-c 0", OUT_OF_RANGE("--count", "0", "1", U64_MAX)},
	{"-c 18446744073709551616", OUT_OF_RANGE("--count", "18446744073709551616", "1", U64_MAX)},
	{"-c 99999999999999999999999", OUT_OF_RANGE("--count", "99999999999999999999999", "1",
						    U64_MAX)},
	{"-c 1x", NOT_A_NUMBER("--count", "1x", "1", U64_MAX)},
	{"-c 1e3", NOT_A_NUMBER("--count", "1e3", "1", U64_MAX)},
	{"-c +1", NOT_A_NUMBER("--count", "+1", "1", U64_MAX)},
	{"-c ~", NOT_A_NUMBER("--count", "", "1", U64_MAX)},
	{"-c 1.5", NOT_A_NUMBER("--count", "1.5", "1", U64_MAX)},
	{"-c 0x10", NOT_A_NUMBER("--count", "0x10", "1", U64_MAX)},
	{"--sample 4294967296", OUT_OF_RANGE("--sample", "4294967296", "1", "4294967295")},
	{"--max-flows 2147483649", OUT_OF_RANGE("--max-flows", "2147483649", "1", "2147483648")},
	{"--max-flows 0", OUT_OF_RANGE("--max-flows", "0", "1", "2147483648")},
	{"--interval 0", SECONDS("--interval", "0")},
	{"--interval 0.009999999", SECONDS("--interval", "0.009999999")},
	{"--interval ~", SECONDS("--interval", "")},
	{"--interval .", SECONDS("--interval", ".")},
	{"--interval 1x", SECONDS("--interval", "1x")},
	{"--interval 1.x", SECONDS("--interval", "1.x")},
	{"--interval 1.5.1", SECONDS("--interval", "1.5.1")},
	{"--interval -1", SECONDS("--interval", "-1")},
	{"--interval 1e3", SECONDS("--interval", "1e3")},
	{"--duration 1.0000000001", SECONDS("--duration", "1.0000000001")},
	{"--duration 1.9999999999999999999999", SECONDS("--duration", "1.9999999999999999999999")},
	{"--duration 1000000000.1", SECONDS("--duration", "1000000000.1")},
	{"--duration 18446744075", SECONDS("--duration", "18446744075")},
	{"--duration 99999999999999999999", SECONDS("--duration", "99999999999999999999")},
	{"--duration inf", SECONDS("--duration", "inf")},
};

static void test_golden(const struct golden *golden, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		parse(golden[i].words);
		is_text(described, golden[i].wanted, golden[i].words[0] ? golden[i].words :
								    "no arguments");
	}
}

static void test_many_interfaces(void)
{
	char words[400] = "-k";

	for (int i = 0; i < 9; i++)
		strcat(words, " -i a");
	parse(words);
	is_text(described, "a a a a a a a a a kernel", "nine interfaces");

	char *argv[2 * INTERFACES_MAX + 5] = {"xguard", "-k"};
	struct options options;
	struct failure failure;
	int argc = 2;

	for (int i = 0; i <= INTERFACES_MAX; i++) {
		argv[argc++] = "-i";
		argv[argc++] = "a";
	}
	is_number(options_parse(&options, argc, argv, &failure), -EINVAL, "too many interfaces");
	is_text(failure.reason, "--interface 'a': more than 64 interfaces", "and says so");
	argv[argc - 2] = NULL;
	is_number(options_parse(&options, argc - 2, argv, &failure), 0, "just as many as fit");
	options_free(&options);
}

/* The table is the one source of the usage: every option is in it, lines fit a terminal. */
static void test_usage(void)
{
	static char text[10000];
	static struct output output;
	char name[ROW_LEN + 1];
	size_t longest = 0, missing = 0;
	int fd = memfd_create("usage", 0);

	output.fd = fd;
	options_usage(&output);
	output_flush(&output, NULL);
	ok(pread(fd, text, sizeof(text) - 1, 0) > 0, "there is a usage");
	close(fd);
	for (size_t i = 0; i < option_count; i++)
		if (option_rows[i].take && !strstr(text, option_text(name, &option_rows[i])))
			missing++;
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
		if (strcspn(line, "\n") > longest)
			longest = strcspn(line, "\n");
	is_number(missing, 0, "every option is in the usage");
	ok(longest <= 80, "the usage fits 80 columns (%zu)", longest);
	ok(!strncmp(text, "usage: xguard --interface IFACE ", 32), "the usage begins as it should");
	ok(option_count < 64, "a bit for every row");
}

/* The manual page, which tests run beside, knows every option, and no other one. */
static void test_manual(void)
{
	FILE *file = fopen("xguard.8", "r");
	static char text[100000];
	char wanted[60];
	size_t missing = 0, known = 0, long_options = 0;

	if (!ok(file != NULL, "xguard.8 is there"))
		return;
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_rows[i];

		if (!row->take)
			continue;
		if (row->name && row->letter)
			sprintf(wanted, ".It Fl %c , Fl -%s", row->letter, row->name);
		else if (row->name)
			sprintf(wanted, ".It Fl -%s", row->name);
		else
			sprintf(wanted, ".It Fl %c", row->letter);
		if (row->argument)
			sprintf(wanted + strlen(wanted), " Ar %.5s", row->argument);
		if (!strstr(text, wanted)) {
			printf("# missing: %s\n", wanted);
			missing++;
		}
	}
	is_number(missing, 0, "every option is in the manual");
	for (const char *at = text; (at = strstr(at, "Fl -")); at += 4) {
		size_t len = strspn(at + 4, "abcdefghijklmnopqrstuvwxyz0123456789-");

		long_options++;
		for (size_t i = 0; i < option_count; i++)
			if (option_rows[i].name && strlen(option_rows[i].name) == len &&
			    !strncmp(option_rows[i].name, at + 4, len))
				known++;
	}
	is_number(known, long_options, "every long option of the manual is known");
}

int main(void)
{
	test_golden(accepted, sizeof(accepted) / sizeof(accepted[0]));
	test_golden(refusals, sizeof(refusals) / sizeof(refusals[0]));
	test_many_interfaces();
	test_usage();
	test_manual();
	return done();
}
