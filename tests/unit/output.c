// SPDX-License-Identifier: GPL-2.0-or-later
/* What is written arrives whole, what fails is noticed, what others chose is harmless. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "tap.h"
#include "../../output.c"
#include "../../failure.c"

static struct output out;
static volatile sig_atomic_t signals;

static void start(int fd)
{
	memset(&out, 0, sizeof(out));
	out.fd = fd;
	out.name = "test";
}

static void pipe_pair(int *reader, int *writer, int flags)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) || fcntl(fds[1], F_SETFL, flags) ||
	    fcntl(fds[1], F_SETPIPE_SZ, 4096) < 0)
		abort();
	*reader = fds[0];
	*writer = fds[1];
}

struct sink {
	pthread_t thread;
	int fd;
	size_t len;
	char bytes[200000];
};

/* Reads slowly at first, so that the pipe is full when it begins. */
static void *drain(void *context)
{
	struct sink *sink = context;
	ssize_t n;

	usleep(50000);
	while ((n = read(sink->fd, sink->bytes + sink->len, sizeof(sink->bytes) - sink->len)) > 0)
		sink->len += n;
	return NULL;
}

/* Pieces of every length from 0 to 400, then one that is larger than the buffer. */
static void test_whole(int flags, const char *name)
{
	static char wanted[200000], piece[20000];
	static struct sink sink;
	size_t len = 0;
	int writer;

	sink.len = 0;
	pipe_pair(&sink.fd, &writer, flags);
	pthread_create(&sink.thread, NULL, drain, &sink);
	start(writer);
	memset(piece, 'x', sizeof(piece));
	for (int i = 0; i <= 400; i++) {
		piece[0] = 'a' + i % 26;
		memcpy(wanted + len, piece, i);
		len += i;
		if (i % 2)
			output_bytes(&out, piece, i);
		else
			output_format(&out, "%.*s", i, piece);
	}
	memcpy(wanted + len, piece, sizeof(piece));
	len += sizeof(piece);
	output_bytes(&out, piece, sizeof(piece));
	is_number(output_close(&out, NULL), 0, name);
	is_number(out.fd, -1, "closed");
	pthread_join(sink.thread, NULL);
	ok(sink.len == len && !memcmp(sink.bytes, wanted, len), "all %zu bytes arrived, in order",
	   len);
	close(sink.fd);
}

static void test_format(void)
{
	static char text[8192];

	memset(text, 'x', 8191);
	start(open("/dev/null", O_WRONLY | O_CLOEXEC));
	output_text(&out, "before");
	output_format(&out, "%s", text);
	is_number(out.len, 8191, "a text as long as the buffer flushes it and fits");
	is_number(output_flush(&out, NULL), 0, "without failure");
	output_format(&out, "%s%s", text, text);
	is_number(output_close(&out, NULL), -EOVERFLOW, "a longer one is a failure, not cut");
}

static void test_failures(void)
{
	int reader, writer;
	struct failure failure;

	start(open("/dev/full", O_WRONLY | O_CLOEXEC));
	output_text(&out, "text");
	is_number(output_flush(&out, NULL), -ENOSPC, "a full device");
	output_text(&out, "more");
	is_number(out.len, 0, "after a failure nothing more is taken");
	is_number(output_close(&out, NULL), -ENOSPC, "the first failure is kept");

	pipe_pair(&reader, &writer, 0);
	close(reader);
	start(writer);
	output_text(&out, "text");
	is_number(output_close(&out, NULL), -EPIPE, "a reader that went away");
	is_number(output_close(&out, NULL), -EPIPE, "closed twice");

	start(9999);
	is_number(output_close(&out, NULL), -EBADF, "a failure of close");
	is_number(output_open(&out, "/nowhere/x", &failure), -ENOENT, "no such directory");
	is_text(failure.step, "open /nowhere/x", "and says what was tried");
	is_text(failure.reason, "No such file or directory", "and why");
}

static void test_open(void)
{
	char path[] = "/tmp/xguard-output-XXXXXX", text[20] = "";
	int fd = mkstemp(path), saved, closed, unwritable;
	struct failure failure;
	struct stat status;

	if (write(fd, "older and longer", 16) != 16)
		abort();
	is_number(output_open(&out, path, &failure), 0, "a file");
	ok(fcntl(out.fd, F_GETFD) & FD_CLOEXEC, "closed on exec");
	is_text(out.name, path, "its name");
	output_text(&out, "new\n");
	is_number(output_close(&out, NULL), 0, "written");
	is_number(pread(fd, text, sizeof(text), 0), 4, "what was there is gone");
	is_text(text, "new\n", "what was written is there");
	unlink(path);
	umask(022);
	output_open(&out, path, &failure);
	output_close(&out, NULL);
	is_number(stat(path, &status) ? 0 : status.st_mode & 07777, 0644, "the umask's mode");
	unlink(path);
	close(fd);

	is_number(output_open(&out, NULL, &failure), 0, "standard output");
	is_number(out.fd, 1, "is descriptor 1");
	is_text(out.name, "standard output", "its name");
	fflush(stdout);
	saved = fcntl(1, F_DUPFD_CLOEXEC, 3);
	close(1);
	closed = output_open(&out, NULL, &failure);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* becomes 1 */
	unwritable = output_open(&out, NULL, &failure);
	dup2(saved, 1);
	close(saved);
	is_number(fd, 1, "the lowest number");
	is_number(closed, -EBADF, "a closed standard output");
	is_number(unwritable, -EBADF, "one that cannot be written to");
}

static void count_signal(int signal)
{
	(void)signal;
	signals++;
}

static void count_interrupts(void *context)
{
	++*(int *)context;
}

/* A reader that stands still, and a user who presses Ctrl+C twice. */
static void test_give_up(int flags, const char *name)
{
	static char text[20000];
	struct itimerval often = {{0, 20000}, {0, 20000}}, never = {0};
	struct sigaction action = {.sa_handler = count_signal};
	int reader, writer, interrupts = 0;

	memset(text, 'x', sizeof(text));
	pipe_pair(&reader, &writer, flags);
	sigaction(SIGALRM, &action, NULL);
	start(writer);
	out.interrupted = count_interrupts;
	out.context = &interrupts;
	is_number(output_flush(&out, &signals), 0, "nothing to flush");
	signals = 0;
	setitimer(ITIMER_REAL, &often, NULL);
	output_bytes(&out, text, sizeof(text));
	setitimer(ITIMER_REAL, &never, NULL);
	is_number(output_close(&out, &signals), -EINTR, name);
	ok(signals >= 2, "after two signals, not one");
	ok(interrupts >= 1, "of which the first was told");
	close(reader);
}

static const char *harmless_of(const char *text, void (*put)(struct output *, const char *, size_t))
{
	static char got[400];

	start(-1);
	put(&out, text, strlen(text));
	memcpy(got, out.buffer, out.len);
	got[out.len] = '\0';
	return got;
}

static void test_harmless(void)
{
	static const struct {
		const char *text, *harmless, *json, *csv;
	} golden[] = {
		{"", "", "\"\"", ""},
		{"sshd", "sshd", "\"sshd\"", "sshd"},
		{"a b", "a b", "\"a b\"", "a b"},
		{"a,b", "a,b", "\"a,b\"", "\"a,b\""},
		{"\"", "\"", "\"\\\"\"", "\"\"\"\""},
		{"\\", "\\", "\"\\\\\"", "\\"},
		{"a\n", "a\\x0a", "\"a\\u000a\"", "a\\x0a"},
		{"\x1b[0m", "\\x1b[0m", "\"\\u001b[0m\"", "\\x1b[0m"},
		{"\x7f", "\\x7f", "\"\\u007f\"", "\\x7f"},
		{"\xc3\xa9", "\xc3\xa9", "\"\xc3\xa9\"", "\xc3\xa9"},
		{"\xe2\x82\xac", "\xe2\x82\xac", "\"\xe2\x82\xac\"", "\xe2\x82\xac"},
		{"\xf0\x9f\x90\xa7", "\xf0\x9f\x90\xa7", "\"\xf0\x9f\x90\xa7\"",
		 "\xf0\x9f\x90\xa7"},
		{"\x80", "\\x80", "\"\\\\x80\"", "\\x80"},
		{"\xc2\x9b", "\\xc2\\x9b", "\"\\\\xc2\\\\x9b\"", "\\xc2\\x9b"}, /* C1: CSI */
		{"\xc2\xa0", "\xc2\xa0", "\"\xc2\xa0\"", "\xc2\xa0"},
		{"\xc0\xaf", "\\xc0\\xaf", "\"\\\\xc0\\\\xaf\"", "\\xc0\\xaf"}, /* overlong */
		{"\xe0\x80\xaf", "\\xe0\\x80\\xaf", "\"\\\\xe0\\\\x80\\\\xaf\"", "\\xe0\\x80\\xaf"},
		{"\xed\xa0\x80", "\\xed\\xa0\\x80", "\"\\\\xed\\\\xa0\\\\x80\"", "\\xed\\xa0\\x80"},
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\"\\\\xf4\\\\x90\\\\x80\\\\x80\"",
		 "\\xf4\\x90\\x80\\x80"},
		{"\xe2\x82", "\\xe2\\x82", "\"\\\\xe2\\\\x82\"", "\\xe2\\x82"}, /* cut short */
		{"\xff,", "\\xff,", "\"\\\\xff,\"", "\"\\xff,\""},
	};
	char text[64];

	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		is_text(harmless_of(golden[i].text, output_harmless), golden[i].harmless,
			"as text");
		is_text(harmless_text(text, sizeof(text), golden[i].text), golden[i].harmless,
			"in a message");
		is_text(harmless_of(golden[i].text, output_json), golden[i].json, "as JSON");
		is_text(harmless_of(golden[i].text, output_csv), golden[i].csv, "as CSV");
	}
	start(-1);
	output_harmless(&out, "\xe2\x82\xac", 2);
	ok(out.len == 8 && !memcmp(out.buffer, "\\xe2\\x82", 8), "nothing is read past the end");
	is_text(harmless_text(text, 9, "\x1b\x1b\x1b"), "\\x1b\\x1b", "cut between characters");
	is_text(harmless_text(text, 5, "abcdefgh"), "a", "cut to little room");
}

/* 1 where text, of len bytes, is a JSON string of printable ASCII (RFC 8259). */
static int is_json_string(const char *text, size_t len)
{
	if (len < 2 || text[0] != '"' || text[len - 1] != '"')
		return 0;
	for (size_t i = 1; i < len - 1; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e || text[i] == '"')
			return 0;
		if (text[i] != '\\')
			continue;
		i++;
		if (i == len - 1 || !strchr("\"\\u", text[i]))
			return 0;
		if (text[i] == 'u' && strspn(text + i + 1, "0123456789abcdef") < 4)
			return 0;
	}
	return 1;
}

/* Every pair of bytes, of which none is a character of two bytes, so that all of it is ASCII. */
static void test_every_byte(void)
{
	int bad_json = 0, bad_text = 0;

	for (int i = 0; i < 65536; i++) {
		char pair[] = {i >> 8, i & 0xff, 'z'};

		if ((unsigned char)pair[0] >= 0xc2 && (unsigned char)pair[0] < 0xe0)
			continue;
		start(-1);
		output_json(&out, pair, 3);
		bad_json += !is_json_string(out.buffer, out.len);
		start(-1);
		output_harmless(&out, pair, 3);
		for (size_t at = 0; at < out.len; at++)
			bad_text += out.buffer[at] < 0x20 || out.buffer[at] > 0x7e;
	}
	is_number(bad_json, 0, "every byte makes a valid JSON string");
	is_number(bad_text, 0, "every byte makes a harmless text");
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	signal(SIGPIPE, SIG_IGN);
	/* Signals before threads: of threads' memory qemu-i386 7.2 keeps one pointer for all, and a signal takes it. */
	test_give_up(0, "a reader that stands still, given up");
	test_give_up(O_NONBLOCK, "the same where it does not block");
	test_whole(0, "a pipe that fills up");
	test_whole(O_NONBLOCK, "a pipe that fills up and does not block");
	test_format();
	test_failures();
	test_open();
	test_harmless();
	test_every_byte();
	return done();
}
