// SPDX-License-Identifier: GPL-2.0-or-later
/* Writes bash's completion for xguard, from the table of options. Runs where xguard is built. */
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "options_rows.h"
#include "packet.h"

static void print_names(const struct option_row *row, const char *between)
{
	if (row->letter)
		printf("-%c", row->letter);
	if (row->name)
		printf("%s--%s", row->letter ? between : "", row->name);
}

static void print_fields(void)
{
	for (unsigned int i = 0; i < FIELD_NAMES; i++)
		if (1u << i != FIELD_ETH_TYPE)
			printf("%s ", field_names[i]);
}

/* What may stand behind an option; for a number or a time there is nothing to propose. */
static void print_argument(const struct option_row *row)
{
	printf("\t");
	print_names(row, " | ");
	printf(")\n");
	if (row->words) {
		printf("\t\tCOMPREPLY=($(compgen -W '%s' -- \"$cur\"))\n", row->words);
	} else if (!strcmp(row->argument, "IFACE")) {
		printf("\t\tCOMPREPLY=($(compgen -W \"all $(command ls /sys/class/net 2>/dev/null)\" "
		       "-- \"$cur\"))\n");
	} else if (!strcmp(row->argument, "FILE")) {
		printf("\t\tcompopt -o filenames\n"
		       "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n");
	} else if (strstr(row->argument, ",...")) {
		printf("\t\tcompopt -o nospace\n\t\tlocal before=\n"
		       "\t\t[[ $cur == *,* ]] && before=${cur%%,*},\n"
		       "\t\tCOMPREPLY=($(compgen -P \"$before\" -W '");
		print_fields();
		printf("' -- \"${cur##*,}\"))\n");
	}
	printf("\t\treturn ;;\n");
}

int main(void)
{
	printf("# bash completion for xguard(8), made from its table of options\n"
	       "_xguard()\n{\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n\n"
	       "\tCOMPREPLY=()\n"
	       "\tif [[ $cur == = ]]; then # --mode=\n\t\tcur=\n"
	       "\telif [[ $prev == = ]]; then # --mode=au\n"
	       "\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n\tfi\n"
	       "\tcase $prev in\n");
	for (size_t i = 0; i < option_count; i++)
		if (option_rows[i].take && option_rows[i].argument)
			print_argument(&option_rows[i]);
	printf("\tesac\n\t[[ $cur == -* ]] || return\n\tCOMPREPLY=($(compgen -W '");
	for (size_t i = 0; i < option_count; i++) {
		if (!option_rows[i].take)
			continue;
		print_names(&option_rows[i], " ");
		printf("%s", i + 1 < option_count ? " " : "");
	}
	printf("' -- \"$cur\"))\n}\ncomplete -F _xguard xguard\n");
	return ferror(stdout) || fflush(stdout);
}
