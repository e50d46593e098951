// SPDX-License-Identifier: GPL-2.0-or-later
/* The reader's side: fork the guardian, ask it, hear its news. It does the rest. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/capability.h>

#include "bpf.h"
#include "confine.h"
#include "guardian_serve.h"
#include "holder.h"

#define ABOVE        16 /* descriptors on their way to a fixed number wait above this one */
#define PATIENCE_MS  10000 /* for a reply: a guardian that takes longer is stopped, or stuck */

/* The maps' descriptors to GUARDIAN_MAP and behind. Returns the first number that is free. */
static int settle_maps(const struct guardian_recruiter *recruiter)
{
	if (!recruiter)
		return GUARDIAN_MAP;
	for (int i = 0; i < GUARDIAN_MAPS; i++)
		*recruiter->maps[i] = fcntl(*recruiter->maps[i], F_DUPFD, ABOVE);
	for (int i = 0; i < GUARDIAN_MAPS; i++)
		*recruiter->maps[i] = dup2(*recruiter->maps[i], GUARDIAN_MAP + i);
	return GUARDIAN_MAP + GUARDIAN_MAPS;
}

/* Only what is needed stays open: no pipeline must wait for the guardian's end. */
static void settle_descriptors(int requests, int news, const struct guardian_duties *duties)
{
	int other = duties->terminal ? STDOUT_FILENO : duties->instances, first;
	struct rlimit files;

	requests = fcntl(requests, F_DUPFD, ABOVE);
	news = fcntl(news, F_DUPFD, ABOVE);
	if (other >= 0)
		other = fcntl(other, F_DUPFD, ABOVE);
	dup2(requests, GUARDIAN_REQUESTS);
	dup2(news, GUARDIAN_NEWS);
	first = settle_maps(duties->recruiter);
	if (other >= 0)
		dup2(other, GUARDIAN_INSTANCES);
	else
		close(GUARDIAN_INSTANCES);
	if (!syscall(SYS_close_range, first, ~0u, 0))
		return;
	for (int fd = prlimit(0, RLIMIT_NOFILE, NULL, &files) ? 1024 : files.rlim_cur; --fd >= first;)
		close(fd);
}

/* The kernel, out of memory, had better kill whom the guardian cleans up after. */
static void spare_from_oom(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, "-1000", 5);
	close(fd);
}

static void become_guardian(int requests, int news, const struct guardian_duties *duties)
	__attribute__((noreturn));
static void become_guardian(int requests, int news, const struct guardian_duties *duties)
{
	struct guardian_duties own = *duties;
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct rlimit files;

	setsid();
	for (int number = 1; number < NSIG; number++)
		sigaction(number, &ignore, NULL);
	prctl(PR_SET_NAME, "xguard-guardian");
	settle_descriptors(requests, news, &own);
	spare_from_oom();
	(void)!chdir("/"); /* keeps no file system busy */
	if (!prlimit(0, RLIMIT_NOFILE, NULL, &files)) { /* two descriptors a link */
		files.rlim_cur = files.rlim_max;
		prlimit(0, RLIMIT_NOFILE, &files, NULL);
	}
	confine_keep(1ull << CAP_NET_ADMIN | (own.instance[0] ? 1ull << CAP_DAC_OVERRIDE : 0) |
		     (own.recruiter ? 1ull << CAP_BPF | 1ull << CAP_PERFMON : 0));
	guardian_serve(&own);
}

int guardian_start(struct guardian *guardian, const struct guardian_duties *duties,
		   struct failure *failure)
{
	int requests[2] = { -1, -1 }, news[2] = { -1, -1 };
	sigset_t all, before;
	int err = 0;

	guardian->socket = guardian->requests = -1;
	guardian->pid = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, requests) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, news)) {
		err = fail(failure, errno, "start the guardian");
		goto cleanup;
	}
	/* No signal may end the child before it ignores them all. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	guardian->pid = fork();
	if (guardian->pid == 0)
		become_guardian(requests[1], news[1], duties);
	if (guardian->pid < 0) {
		fail(failure, errno, "start the guardian");
		err = fail_next(failure, "there are too many processes, or too little memory: look at "
				"`ulimit -u` and pids.max of the cgroup");
		guardian->pid = 0;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (err)
		goto cleanup;
	guardian->requests = requests[0];
	guardian->socket = news[0];
	requests[0] = news[0] = -1;
cleanup:
	for (int i = 0; i < 2; i++) {
		if (requests[i] >= 0)
			close(requests[i]);
		if (news[i] >= 0)
			close(news[i]);
	}
	return err;
}

static int send_request(const struct guardian *guardian, const struct guardian_request *request,
			const int *fds, size_t nfds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * REQUEST_FDS)] = { 0 };
	struct iovec iov = { (void *)request, sizeof(*request) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg = (struct cmsghdr *)control;
	ssize_t n;

	if (nfds) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nfds);
	}
	do
		n = sendmsg(guardian->requests, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

/* Wait until something can be read, end of file included. Returns 0 when PATIENCE_MS have passed. */
static int wait_for(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	long long left, end = now_ms() + PATIENCE_MS;
	int n;

	do { /* signals do not make it longer */
		left = end - now_ms();
		n = poll(&ready, 1, left > 0 ? left : 0);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

static void hang_up(struct guardian *guardian)
{
	if (guardian->requests >= 0)
		close(guardian->requests);
	if (guardian->socket >= 0)
		close(guardian->socket);
	guardian->requests = guardian->socket = -1;
}

void guardian_is_replaced(struct failure *failure)
{
	fail(failure, 0, "the process that detaches has died");
	fail_reason(failure, "its deputy has detached from every link");
	fail_next(failure, "start xguard again to go on");
}

/* No reply came. Returns 0 where the deputy has done what was asked for. */
static int no_reply(struct guardian *guardian, const struct guardian_request *request, int silent,
		    struct failure *failure)
{
	struct guardian_news news = { .event = LINK_IS_UP };

	if (silent) {
		fail_reason(failure, "the guardian, process %d, does not answer", guardian->pid);
		fail_next(failure, "if it was stopped, `kill -CONT %d` makes it detach; "
			  "`kill -KILL %d` makes its deputy detach", guardian->pid, guardian->pid);
		hang_up(guardian); /* the reply is not to be mistaken for another one's */
		return -ETIMEDOUT;
	}
	while (wait_for(guardian->socket) && guardian_news(guardian, &news) > 0 &&
	       news.event != LINKS_ARE_CLEAN)
		;
	if (news.event == LINKS_ARE_CLEAN && request->kind == REQUEST_DETACH)
		return 0;
	hang_up(guardian);
	if (news.event == LINKS_ARE_CLEAN) {
		guardian_is_replaced(failure);
		return -EPIPE;
	}
	fail_reason(failure, "the guardian, process %d, has died", guardian->pid);
	fail_next(failure, "nothing detaches by itself any more: run `ip link set dev %s xdp off`",
		  request->name[0] ? request->name : "IFACE");
	return -EPIPE;
}

/* Ask and wait for the reply, which is 5 to 30 ms of the kernel's for an attach. */
static int ask(struct guardian *guardian, const struct guardian_request *request,
	       const int *fds, size_t nfds, struct guardian_reply *reply, struct failure *failure)
{
	static const char *const what[] = { "attach to", "detach from", "look at", "follow" };
	int heard, err = send_request(guardian, request, fds, nfds);
	ssize_t n = 0;

	heard = err || wait_for(guardian->requests);
	while (!err && heard && (n = recv(guardian->requests, reply, sizeof(*reply), 0)) < 0 &&
	       errno == EINTR)
		;
	if (n == sizeof(*reply)) {
		*failure = reply->failure;
		return reply->err;
	}
	fail(failure, EPIPE, "%s %s", what[request->kind],
	     request->name[0] ? request->name : "all links");
	return no_reply(guardian, request, !heard, failure);
}

/* Somebody has the socket that answers for the link: an xguard, or somebody who wants to annoy. */
static int say_who(int ifindex, const char *name, struct failure *failure)
{
	pid_t pid = 0, parent;
	uid_t uid = 0;
	int err = guardian_answerer(ifindex, &pid, &uid);

	fail(failure, EBUSY, "attach to %s", name);
	if (err == -ECONNREFUSED) {
		fail_reason(failure, "another xguard has just ended");
		return fail_next(failure, "try again");
	}
	if (err || (uid != 0 && uid != geteuid())) {
		fail_reason(failure, "process %d of user %u, no xguard of root's or yours, holds "
			    "the socket @xguard/%d", pid, uid, ifindex);
		if (err)
			fail_reason(failure, "a process that does not answer holds the socket "
				    "@xguard/%d", ifindex);
		return fail_next(failure, "end that process (`ss -xlp` shows it), then try again");
	}
	parent = pid > 0 ? holder_parent(pid) : 0; /* the guardian cannot be asked to end */
	if (parent > 1)
		pid = parent;
	if (pid <= 0) {
		fail_reason(failure, "%s is traced by another xguard, in another PID namespace",
			    name);
		return fail_next(failure, "end that one, then try again");
	}
	fail_reason(failure, "%s is traced by another xguard, process %d", name, pid);
	return fail_next(failure, "end that one (kill %d), then try again", pid);
}

/* A program is in the way: returns 1 when it is a dead xguard's, 0 with failure naming it. */
static int is_leftover(const struct link_info *link, struct guardian_request *request,
		       struct failure *failure)
{
	enum xdp_mode mode = XDP_MODE_OFFLOAD;
	struct holder holder;
	char text[160];
	__u32 id;

	while (mode > XDP_MODE_NATIVE && !link->program[mode])
		mode--;
	id = link->program[mode];
	holder_of(id, 0, &holder);
	if (!strcmp(holder.program, PROGRAM_NAME)) {
		request->leftover_id = id;
		return 1;
	}
	holder_of(id, 1, &holder);
	holder_text(id, &holder, text, sizeof(text));
	fail(failure, EBUSY, "attach to %s", link->name);
	fail_reason(failure, "%s is attached to it in %s mode already, and xguard replaces "
		    "nobody's program", text, xdp_mode_name(mode));
	fail_next(failure, "look at it with `bpftool prog show id %u` or `ip -d link show dev %s`; "
		  "who started it can take it off%s", id, link->name, holder.tag[0] ? "" :
		  ". Its name is told to root only: run as root, xguard replaces what a killed "
		  "xguard has left");
	return 0;
}

int guardian_attach(struct guardian *guardian, const struct link_info *link, int program_fd,
		    enum attach_mode mode, struct attach_result *result, struct failure *failure)
{
	struct guardian_request request = { .kind = REQUEST_ATTACH, .ifindex = link->ifindex,
					    .mode = mode };
	int fds[REQUEST_FDS] = { program_fd, -1 };
	struct guardian_reply reply;
	struct bpf_prog_info info;
	int err;

	memset(result, 0, sizeof(*result));
	memset(&info, 0, sizeof(info));
	memcpy(request.name, link->name, sizeof(request.name));
	err = bpf_obj_info(program_fd, &info, sizeof(info));
	if (err)
		return fail(failure, -err, "attach to %s: ask for the program's id", link->name);
	request.program_id = info.id;
	err = ask(guardian, &request, fds, 1, &reply, failure);
	if (err && err != -EADDRINUSE && err != -EPIPE && err != -ETIMEDOUT && reply.occupied) {
		if (!is_leftover(&reply.link, &request, failure))
			return err;
		fds[1] = bpf_prog_fd_by_id(request.leftover_id);
		err = ask(guardian, &request, fds, fds[1] >= 0 ? 2 : 1, &reply, failure);
		if (fds[1] >= 0)
			close(fds[1]);
		if (!err)
			snprintf(reply.result.replaced, sizeof(reply.result.replaced),
				 "removed program %u, which an xguard that was killed had left "
				 "on %s", request.leftover_id, link->name);
	}
	if (err == -EADDRINUSE)
		return say_who(link->ifindex, link->name, failure);
	if (!err)
		*result = reply.result;
	if (!err)
		result->rx_packets = reply.link.rx_packets;
	return err;
}

int guardian_detach(struct guardian *guardian, int ifindex, struct failure *failure)
{
	struct guardian_request request = { .kind = REQUEST_DETACH, .ifindex = ifindex };
	struct guardian_reply reply;

	return ask(guardian, &request, NULL, 0, &reply, failure);
}

int guardian_follow(struct guardian *guardian, struct failure *failure)
{
	struct guardian_request request = { .kind = REQUEST_FOLLOW };
	struct guardian_reply reply;

	return ask(guardian, &request, NULL, 0, &reply, failure);
}

int guardian_look(struct guardian *guardian, int ifindex, struct link_info *link,
		  struct failure *failure)
{
	struct guardian_request request = { .kind = REQUEST_LOOK, .ifindex = ifindex };
	struct guardian_reply reply;
	int err = ask(guardian, &request, NULL, 0, &reply, failure);

	if (!err)
		*link = reply.link;
	return err;
}

int guardian_news(struct guardian *guardian, struct guardian_news *news)
{
	ssize_t n;

	do
		n = recv(guardian->socket, news, sizeof(*news), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == sizeof(*news)) {
		if (news->event == LINKS_ARE_CLEAN)
			hang_up(guardian);
		return 1;
	}
	return n < 0 && errno == EAGAIN ? 0 : -EPIPE;
}

/* Its end of file on the news comes when it has done all it could; it may have to stay even so. */
void guardian_end(struct guardian *guardian)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	struct guardian_news news;

	if (guardian->pid <= 0)
		return;
	if (guardian->requests >= 0)
		close(guardian->requests);
	guardian->requests = -1;
	while (guardian->socket >= 0 && wait_for(guardian->socket) &&
	       guardian_news(guardian, &news) > 0)
		;
	hang_up(guardian);
	for (int i = 0; i < 20 && !waitpid(guardian->pid, NULL, WNOHANG); i++)
		nanosleep(&pause, NULL);
	guardian->pid = 0;
}
