// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: moments in time zones. First byte odd: the rest is a zone's file, else a rule. A moment
 * that is resolved must be shown as what was asked for, but for hours that are not there.
 */
#include <stdlib.h>
#include <string.h>

#include "moment.h"

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	static const char *const words[] = { "22:00", "02:30", "2026-03-29T02:30", "2027-01-01T00:00Z" };
	char text[MOMENT_LEN], *copy;
	struct moment moment;
	struct zone zone = { .len = 0 };

	if (!size)
		return 0;
	copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	copy[size - 1] = '\0';
	if (data[0] & 1) {
		zone.file = (unsigned char *)copy;
		zone.len = size - 1;
	} else {
		zone.rule = copy;
	}
	zone_is_valid(&zone);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (moment_parse(&moment, words[i]))
			abort();
		moment_text(text, &zone, moment_resolve(&moment, &zone, 1780000000000000000));
		if (strlen(text) < strlen("2026-11-23T22:00:00Z"))
			abort();
	}
	if (!moment_parse(&moment, copy))
		moment_text(text, &(struct zone){ .len = 0 },
			    moment_resolve(&moment, &(struct zone){ .len = 0 }, 1780000000000000000));
	free(copy);
	return 0;
}
