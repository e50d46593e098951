// SPDX-License-Identifier: GPL-2.0-or-later
/* Lines of trace_pipe as kernels print them, hostile task names, and streams cut anywhere. */
#include <arpa/inet.h>

#include "../../failure.c"
#include "../../trace_line.c"
#include "../../trace_pipe.c"
#include "tap.h"

#define MARKER "xg0123abcd"
#define WORDS " 800114500000007 c0a8020100000000 0"
#define TEXT MARKER WORDS
#define BPF ": bpf_trace_printk: "

/* What every line with WORDS carries. */
#define KEY "if7 0x0800 17 0x45 c0a80201000000000000000000000000"

struct golden {
	const char *name;
	const char *record;
	const char *wanted;  /* "task/pid/cpu/flags/ns/key"; NULL: no line of ours */
	const char *prefix;  /* NULL: all before the marker */
};

/* A usual line up to our text, and the end of one whose task has a name of its own making. */
#define SSHD "            sshd-1594    [000] ..s2.  2042.099473" BPF
#define SSHD_SEEN "sshd/1594/0/..s2./2042099473000/"
#define EVIL "-12      [001] b..11     1.000002" BPF TEXT
#define EVIL_SEEN "/12/1/b..11/1000002000/"

static const struct golden records[] = {
	{ "5.10, four flags", "            sshd-1594    [000] ..s.  2042.099473" BPF TEXT,
	  "sshd/1594/0/..s./2042099473000/" KEY, NULL },
	{ "6.x, five flags", "            sshd-1594    [003] ..s2.  2042.099473" BPF TEXT,
	  "sshd/1594/3/..s2./2042099473000/" KEY, NULL },
	{ "idle", "          <idle>-0       [001] ..s2.     0.000001" BPF TEXT,
	  "<idle>/0/1/..s2./1000/" KEY, NULL },
	{ "a name not recorded", "           <...>-4194303 [1023] b..11 99999.000000" BPF TEXT,
	  "<...>/4194303/1023/b..11/99999000000000/" KEY, NULL },
	{ "kernel thread with a dash", "     ksoftirqd/0-16      [000] ..s.. 1.5" BPF TEXT,
	  "ksoftirqd/0/16/0/..s../1500000000/" KEY, NULL },
	{ "record-tgid", "            sshd-1594    (   1500) [000] ..s2.  2042.099473" BPF TEXT,
	  SSHD_SEEN KEY, NULL },
	{ "no tgid", "            sshd-1594    (-------) [000] ..s2.  2042.099473" BPF TEXT,
	  SSHD_SEEN KEY, NULL },
	{ "noirq-info", "            sshd-1594    [000]  2042.099473" BPF TEXT,
	  "sshd/1594/0//2042099473000/" KEY, NULL },
	{ "a clock that counts", "            sshd-1594    [000] ..s2. 123456789012" BPF TEXT,
	  "sshd/1594/0/..s2./123456789012/" KEY, NULL },
	{ "before 5.9, no symbol", "            sshd-1594  [000] ..s.  2042.099473: 0: " TEXT,
	  "sshd/1594/0/..s./2042099473000/" KEY, NULL },
	{ "before 5.9, address", "            sshd-1594  [000] ..s.  2042.099473: 0x0001: " TEXT,
	  "sshd/1594/0/..s./2042099473000/" KEY, NULL },
	{ "nocontext-info", "bpf_trace_printk: " TEXT, "/-1/-1//0/" KEY, NULL },
	{ "nothing but our text", TEXT, "/-1/-1//0/" KEY, NULL },
	{ "IPv6", SSHD MARKER
	  " 86dd3ac500000002 fe80000000000000 1", SSHD_SEEN
	  "if2 0x86dd 58 0xc5 fe800000000000000000000000000001", NULL },
	{ "all bits set", SSHD MARKER
	  " ffffffffffffffff ffffffffffffffff ffffffffffffffff", SSHD_SEEN
	  "if4294967295 0xffff 255 0xff ffffffffffffffffffffffffffffffff", NULL },
	{ "all zero", SSHD MARKER " 0 0 0",
	  SSHD_SEEN "if0 0x0000 0 0x00 00000000000000000000000000000000", NULL },

	{ "a newline in the name", "             a\nb" EVIL,
	  "a\nb" EVIL_SEEN KEY, NULL },
	{ "a name of spaces", "                " EVIL,
	  "" EVIL_SEEN KEY, NULL },
	{ "a name like the columns", " -1 [000] d.s2. " EVIL,
	  "-1 [000] d.s2. " EVIL_SEEN KEY, NULL },
	{ "a name like the label", " x bpf_trace_pri" EVIL,
	  "x bpf_trace_pri" EVIL_SEEN KEY, NULL },
	{ "a name like a LOST line", " CPU:1 [LOST 5 E" EVIL,
	  "CPU:1 [LOST 5 E" EVIL_SEEN KEY, NULL },
	{ "a name with the marker", " " MARKER " 1 2 " EVIL,
	  MARKER " 1 2 " EVIL_SEEN KEY, NULL },
	{ "a name of digits and dashes", "            -1-2" EVIL,
	  "-1-2" EVIL_SEEN KEY, NULL },
	{ "escape sequences", " \033[31m\033[2J\033]0;a\a" EVIL,
	  "\033[31m\033[2J\033]0;a\a" EVIL_SEEN KEY, NULL },
	{ "bytes that are no UTF-8", "            \377\200\300" EVIL,
	  "\377\200\300" EVIL_SEEN KEY, NULL },
	{ "what precedes the name is cut", "[LINE TOO BIG]\n" SSHD TEXT, SSHD_SEEN KEY, SSHD },

	{ "columns that make no sense", "junk [x] junk" BPF TEXT, "/-1/-1//0/" KEY, NULL },
	{ "a CPU without brackets", "            sshd-1594    000 ..s2.  2042.099473" BPF TEXT,
	  "/-1/-1//0/" KEY, NULL },
	{ "a pid too long", "            sshd-1234567890 [000] ..s2.  2042.099473" BPF TEXT,
	  "/-1/-1//0/" KEY, NULL },
	{ "a pid without a dash", "            sshd1594    [000] ..s2.  2042.099473" BPF TEXT,
	  "/-1/-1//0/" KEY, NULL },
	{ "a time without digits", "            sshd-1594    [000] ..s2.  ." BPF TEXT,
	  "/-1/-1//0/" KEY, NULL },
	{ "a fraction too long", "            sshd-1594    [000] ..s2.  1.0123456789" BPF TEXT,
	  "/-1/-1//0/" KEY, NULL },
	{ "a tgid never opened", "1594   ) [000] ..s2.  1.5" BPF TEXT, "/-1/-1//0/" KEY, NULL },

	{ "nothing", "", NULL, NULL },
	{ "the marker alone", MARKER, NULL, NULL },
	{ "two words", "x: " MARKER " 1 2", NULL, NULL },
	{ "four words", "x: " MARKER " 1 2 3 4", NULL, NULL },
	{ "a word of 17 digits", "x: " MARKER " 1 2 12345678901234567", NULL, NULL },
	{ "a word of no digits", "x: " MARKER " 1  2", NULL, NULL },
	{ "upper case", "x: " MARKER " 1 2 A", NULL, NULL },
	{ "no hexadecimal", "x: " MARKER " 1 2 g", NULL, NULL },
	{ "a space at the end", "x: " MARKER " 1 2 3 ", NULL, NULL },
	{ "another's marker", "x: xg0123abce 1 2 3", NULL, NULL },
	{ "the end of a marker", "g0123abcd 1 2 3", NULL, NULL },
	{ "a marker inside a word", "xx" MARKER " 1 2 3", NULL, NULL },
	{ "an empty record", "\n", NULL, NULL },
	{ "LOST", "CPU:1 [LOST 2550 EVENTS]", NULL, NULL },
};

static void describe(const struct trace_line *line, char *text, size_t size)
{
	const struct flow_key *key = &line->key;
	int n = snprintf(text, size, "%.*s/%d/%d/%.*s/%llu/if%u 0x%04x %u 0x%02x ",
			 (int)line->task_len, line->task, line->pid, line->cpu,
			 (int)line->flags_len, line->flags, line->nanoseconds, key->ifindex,
			 ntohs(key->eth_type), key->protocol, key->present);

	for (int i = 0; i < 16; i++)
		n += snprintf(text + n, size - n, "%02x", key->src_ip[i]);
}

/* The record in memory of exactly its size, so that a byte beyond it is caught. */
static void test_record(const struct golden *golden)
{
	size_t len = strlen(golden->record);
	char *record = malloc(len ? len : 1), text[512] = "";
	struct trace_line line;
	int ret;

	memcpy(record, golden->record, len);
	ret = trace_line_parse(record, len, MARKER, &line);
	if (!golden->wanted || ret) {
		ok(!golden->wanted && ret == -EINVAL, "%s", golden->name);
	} else {
		const char *prefix = golden->prefix ? golden->prefix : golden->record;
		size_t prefix_len = strrchr(golden->record, 'x') - golden->record;

		if (golden->prefix)
			prefix_len = strlen(prefix);
		describe(&line, text, sizeof(text));
		is_text(text, golden->wanted, golden->name);
		ok(line.task && line.flags, "%s: no null pointers", golden->name);
		ok(line.prefix_len == prefix_len && !memcmp(line.prefix, prefix, prefix_len),
		   "%s: its prefix", golden->name);
	}
	free(record);
}

static void test_truncated(void)
{
	static const char record[] = "            sshd-1594    [000] ..s2.  2042.099473" BPF TEXT;
	size_t shortest = sizeof(record) - 1;
	struct trace_line line;
	int taken = 0;

	for (size_t len = 0; len < shortest; len++) {
		char *copy = malloc(len + 1);

		memcpy(copy, record, len);
		taken += !trace_line_parse(copy, len, MARKER, &line);
		free(copy);
	}
	is_number(taken, 0, "a truncated record is no line");
}

/* What a reader saw, as text; it stops after stop_at lines. */
struct seen {
	char text[65536];
	size_t len;
	int lines, stop_at;
};

static int see(const struct trace_line *line, void *context)
{
	struct seen *seen = context;

	seen->lines++;
	seen->len += snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len,
			      "%.*s|%.*s|%d|%u\n", (int)line->prefix_len, line->prefix,
			      (int)line->task_len, line->task, line->pid, line->key.ifindex);
	return seen->lines == seen->stop_at ? 77 : 0;
}

static void open_fake(struct trace_pipe *trace, int *writer, const char *instance)
{
	int ends[2];

	memset(trace, 0, sizeof(*trace));
	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC))
		exit(1);
	trace->instances = -1;
	trace->pipe = ends[0];
	*writer = ends[1];
	strcpy(trace->instance, instance);
	strcpy(trace->marker, MARKER);
}

static void close_fake(struct trace_pipe *trace, int writer)
{
	close(writer);
	close(trace->pipe);
}

/* Read stream in two parts, cut at cut. Returns the lines, or an error. */
static int read_in_parts(const char *stream, size_t len, size_t cut, const char *instance,
			 struct seen *seen, __u64 *lost)
{
	struct trace_pipe trace;
	int writer, first = 0, second;

	seen->len = seen->lines = seen->stop_at = *lost = 0;
	seen->text[0] = '\0';
	open_fake(&trace, &writer, instance);
	if (write(writer, stream, cut) != (ssize_t)cut)
		exit(1);
	first = trace_pipe_read(&trace, see, seen, lost);
	if (write(writer, stream + cut, len - cut) != (ssize_t)(len - cut))
		exit(1);
	second = trace_pipe_read(&trace, see, seen, lost);
	close_fake(&trace, writer);
	return first < 0 ? first : second < 0 ? second : first + second;
}

/* task with its padding, 16 bytes */
#define HEAD(task, pid) task "-" pid "    [000] ..s2.  2042.099473" BPF

static const char stream[] =
	HEAD("            sshd", "1594") MARKER " 1 2 3\n\n"
	"CPU:1 [LOST 2550 EVENTS]\n"
	HEAD("            \na\n\n", "1595") MARKER " 2 2 3\n\n"
	"CPU:0 [LOST EVENTS]\n"
	HEAD("           x\n:1\n", "1596") MARKER " 3 2 3\n"
	" " MARKER " 1\n2\n-1597    [000] ..s2.  2042.099473" BPF MARKER " 4 2 3\n\n"
	" \nCPU:1 [LOST 5 -1598    [000] ..s2.  2042.099473" BPF MARKER " 5 2 3\n\n";

static const char stream_seen[] =
	HEAD("            sshd", "1594") "|sshd|1594|1\n"
	HEAD("            \na\n\n", "1595") "|\na\n\n|1595|2\n"
	HEAD("           x\n:1\n", "1596") "|x\n:1\n|1596|3\n"
	" " MARKER " 1\n2\n-1597    [000] ..s2.  2042.099473" BPF "|" MARKER " 1\n2\n|1597|4\n"
	" \nCPU:1 [LOST 5 -1598    [000] ..s2.  2042.099473" BPF "|\nCPU:1 [LOST 5 |1598|5\n";

static void test_cuts(void)
{
	static struct seen seen;
	size_t len = sizeof(stream) - 1, good = 0;
	__u64 lost;

	is_number(read_in_parts(stream, len, len, "xguard-1", &seen, &lost), 5, "a stream");
	is_text(seen.text, stream_seen, "newlines in names belong to their record");
	is_number(lost, 2551, "LOST lines are counted, one without a number as 1");
	for (size_t cut = 0; cut <= len; cut++)
		good += read_in_parts(stream, len, cut, "xguard-1", &seen, &lost) == 5 &&
			!strcmp(seen.text, stream_seen) && lost == 2551;
	is_number(good, len + 1, "the same lines wherever the stream is cut");
}

static void test_global(void)
{
	static const char global[] =
		"            evil-7       [000] ..s2.  1.000001" BPF "anything " MARKER " 1 2\n"
		"            sshd-1594    [000] ..s2.  2042.099473: 0: " MARKER " 1 2 3\n"
		"CPU:1 [LOST 3 EVENTS]\n"
		"            bash-8       [000] ..s2.  1.000001" BPF "xg0123abce 1 2 3\n"
		"             a\n"
		"b-9       [000] ..s2.  1.000001" BPF MARKER " 2 2 3\n";
	static struct seen seen;
	size_t len = sizeof(global) - 1, good = 0;
	__u64 lost;

	for (size_t cut = 0; cut <= len; cut++)
		good += read_in_parts(global, len, cut, "", &seen, &lost) == 2 && lost == 3 &&
			!strcmp(seen.text, "            sshd-1594    [000] ..s2.  2042.099473: 0: "
				"|sshd|1594|1\nb-9       [000] ..s2.  1.000001" BPF "|b|9|2\n");
	is_number(good, len + 1, "global: only lines with our marker, cut anywhere");
}

static void test_stop(void)
{
	static struct seen seen;
	struct trace_pipe trace;
	__u64 lost = 0;
	int writer, got = 0;

	open_fake(&trace, &writer, "xguard-1");
	if (write(writer, stream, sizeof(stream) - 1) != sizeof(stream) - 1)
		exit(1);
	for (seen.stop_at = 1; seen.stop_at <= 5; seen.stop_at++)
		got += trace_pipe_read(&trace, see, &seen, &lost) == 77;
	is_number(got, 5, "each's result stops the reading");
	is_number(trace_pipe_read(&trace, see, &seen, &lost), 0, "and nothing is read twice");
	is_text(seen.text, stream_seen, "what was left is read later");
	is_number(trace.held, 0, "nothing is held in the end");
	close_fake(&trace, writer);
}

/* Much more than the buffer holds, without a line of ours: the next line must still be seen. */
static void test_flood(const char *instance, char filler)
{
	static struct seen seen;
	struct trace_pipe trace;
	char junk[4096];
	ssize_t first = strchr(stream, '\n') + 1 - stream;
	__u64 lost = 0;
	int writer, got = 0;

	seen.len = seen.lines = seen.stop_at = 0;
	open_fake(&trace, &writer, instance);
	memset(junk, filler, sizeof(junk));
	for (int i = 0; i < 16; i++) {
		if (write(writer, junk, sizeof(junk)) != sizeof(junk))
			exit(1);
		got += trace_pipe_read(&trace, see, &seen, &lost);
	}
	is_number(got, 0, "junk is no line");
	if (write(writer, "\n", 1) != 1 || write(writer, stream, first) != first)
		exit(1);
	is_number(trace_pipe_read(&trace, see, &seen, &lost), 1, "the line behind it is seen");
	is_text(seen.text, HEAD("            sshd", "1594") "|sshd|1594|1\n", "and it is whole");
	close_fake(&trace, writer);
}

/* A line that begins where the buffer ends, behind junk: what is kept of a full buffer is its end. */
static void test_full(void)
{
	static struct seen seen;
	struct trace_pipe trace;
	char junk[sizeof(trace.buffer) - 60];
	__u64 lost = 0;
	int writer;

	seen.len = seen.lines = seen.stop_at = 0;
	open_fake(&trace, &writer, "xguard-1");
	memset(junk, 'x', sizeof(junk));
	if (write(writer, junk, sizeof(junk)) != sizeof(junk) ||
	    write(writer, stream, sizeof(stream) - 1) != sizeof(stream) - 1)
		exit(1);
	is_number(trace_pipe_read(&trace, see, &seen, &lost), 5, "lines behind a full buffer");
	is_text(seen.text, stream_seen, "and they are whole");
	close_fake(&trace, writer);
}

static void test_failing_read(void)
{
	static struct seen seen;
	struct trace_pipe trace;
	__u64 lost = 0;
	int writer;

	open_fake(&trace, &writer, "xguard-1");
	is_number(trace_pipe_read(&trace, see, &seen, &lost), 0, "nothing there");
	close(writer);
	is_number(trace_pipe_read(&trace, see, &seen, &lost), 0, "end of file");
	close_fd(&trace.pipe);
	is_number(trace_pipe_read(&trace, see, &seen, &lost), -EBADF, "an error of read");
	trace_pipe_close(&trace);
	trace_pipe_close(&trace);
	ok(trace.pipe == -1 && trace.instances == -1, "closing what is not held");
}

static void test_owner(void)
{
	is_number(owner("xguard-12"), 12, "an instance's owner");
	is_number(owner("xguard-12-3"), 12, "the owner of a second instance");
	is_number(owner("xguard-12a"), 0, "a user's own instance: letters");
	is_number(owner("xguard-"), 0, "a user's own instance: no number");
	is_number(owner("xguard--1"), 0, "a user's own instance: negative");
	is_number(owner("xguard- 12"), 0, "a user's own instance: a space");
	is_number(owner("xguard-012"), 0, "a user's own instance: a zero in front");
	is_number(owner("xguard-99999999999999999999"), 0, "a user's own instance: too large");
	is_number(owner("myxguard-12"), 0, "a user's own instance: another name");
}

int main(void)
{
	for (size_t i = 0; i < sizeof(records) / sizeof(*records); i++)
		test_record(&records[i]);
	test_truncated();
	test_cuts();
	test_global();
	test_stop();
	test_flood("xguard-1", 'x');
	test_flood("xguard-1", '\n');
	test_flood("", 'x');
	test_flood("", '\n');
	test_full();
	test_failing_read();
	test_owner();
	return done();
}
