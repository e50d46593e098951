// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <linux/if.h>

#include "run.h"
#include "say.h"
#include "tell.h"

void tell_attached(const struct run *run, const struct run_link *link,
		   const struct failure *refused)
{
	const struct attach_result *how = &link->how;
	const char *name = link->info.name;

	if (refused) {
		say_failure(refused);
		return;
	}
	say("attached to %s (%s%s%s, program id %u); press Ctrl+C to stop", name,
	    xdp_mode_name(how->mode), how->why_generic[0] ? ": " : "", how->why_generic,
	    how->program_id);
	if (how->replaced[0])
		say("%s: %s", name, how->replaced);
	if (!(link->info.flags & IFF_UP))
		say("%s: the link is down; its frames count once it is up", name);
	if (how->mode == XDP_MODE_GENERIC)
		say("%s: generic mode comes after GRO: a frame may be several that arrived as one",
		    name);
	if (link->spared)
		say("%s: your SSH connection comes over it, and many drivers reset the link for native "
		    "mode; --mode native insists", name);
	if (run->options.trace == TRACE_KERNEL && link->ssh_port &&
	    !(run->options.filter && strstr(run->options.filter, "port")))
		say("%s: your SSH connection comes over it: every line shown there makes more of them; "
		    "add `not port %u`", name, link->ssh_port);
	if (run->note[0] && link == &run->links[run->nlinks - 1])
		say("%s", run->note);
}

void tell_counts(struct run *run, size_t i, struct report_summary *summary)
{
	const struct flow *flow;
	const struct run_link *link = &run->links[i];
	struct link_count sum;

	run_link_counts(run, i, &sum);
	memset(summary, 0, sizeof(*summary));
	summary->interface = link->info.name;
	summary->nanoseconds = (link->until ? link->until : run->ended_at ? run->ended_at :
				run_now()) - link->since;
	summary->counted = sum.matched;
	if (run->options.trace == TRACE_KERNEL) {
		summary->lines = link->lines;
		summary->lost = sum.lines > link->lines_read ? sum.lines - link->lines_read : 0;
		/* Before the end there may be lines on their way. */
		if (!run->ended_at && summary->lost > run->lost_seen + sum.unprinted)
			summary->lost = run->lost_seen + sum.unprinted;
		return;
	}
	summary->unattributed = sum.unattributed;
	summary->counted = sum.unattributed;
	for (flow = run->flows.flow; flow < run->flows.flow + run->flows.n; flow++) {
		if ((int)flow->key.ifindex != link->info.ifindex)
			continue;
		summary->flows++;
		summary->counted.packets += flow->total.packets;
		summary->counted.bytes += flow->total.bytes;
	}
}

void tell_summary(struct run *run, size_t i, struct output *out)
{
	struct report_summary summary;
	char text[256];

	tell_counts(run, i, &summary);
	report_summary(&run->report, out, &summary, run_now(), text, sizeof(text));
	if (!out || run->options.format != FORMAT_JSON)
		say("%s", text);
}

void tell_summaries(struct run *run, struct output *out)
{
	for (size_t i = 0; i < run->nlinks; i++)
		if (run->links[i].info.ifindex)
			tell_summary(run, i, out);
}

void tell_nothing(const struct run *run, const struct run_link *link, __u64 arrived)
{
	const char *name = link->info.name;

	if (run->options.filter || run->options.protocol)
		say("%s: %llu frames arrived, none matched", name, arrived);
	else
		say("%s: %llu frames arrived, none came by here. The usual reasons: hardware, a driver's "
		    "offload or another program (AF_XDP, tc) takes them first, or they belong to a link "
		    "below or above this one; try --mode %s, or that link", name, arrived,
		    link->how.mode == XDP_MODE_GENERIC ? "native" : "generic");
}
