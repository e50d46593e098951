// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

#include "options_rows.h"
#include "output.h"

/* The second and later lines of help are set under the first. */
static void print_row(struct output *output, const struct option_row *row)
{
	const char *line = row->help, *end;
	char name[40], letter[] = "   ";

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c%s", row->letter, row->name ? "," : " ");
	snprintf(name, sizeof(name), "%s %s%s%s%s", letter, row->name ? "--" : "",
		 row->name ? row->name : "", row->argument ? " " : "",
		 row->argument ? row->argument : "");
	output_format(output, "  %-25s", name);
	while ((end = strchr(line, '\n'))) {
		output_format(output, " %.*s\n%27s", (int)(end - line), line, "");
		line = end + 1;
	}
	output_format(output, " %s\n", line);
}

void options_usage(struct output *output)
{
	output_text(output,
		    "usage: xguard --interface IFACE --kernel-trace | --userspace-trace\n"
		    "              [--tcp | --udp | --icmp] [OPTION...] [FILTER]\n"
		    "       xguard --status | --detach [--force] | --probe [--interface IFACE]...\n\n"
		    "Shows what arrives at a network interface, seen in its driver (XDP).\n"
		    "FILTER is an expression as tcpdump takes it; see pcap-filter(7) and xguard(8).\n");
	for (size_t i = 0; i < option_count; i++) {
		if (option_rows[i].take)
			print_row(output, &option_rows[i]);
		else
			output_format(output, "\n%s\n", option_rows[i].help);
	}
}
