// SPDX-License-Identifier: GPL-2.0-or-later
/* Moments and time zones: golden tables, the second by the rules of TZ, and files against those. */
#include "tap.h"
#include "../../moment.c"

/* What a word means at a time, in a zone. */
static const struct golden {
	const char *word, *rule, *now, *wanted; /* now: in UTC; wanted NULL: not a moment */
} table[] = {
	{ "22:00", NULL, "2026-11-23T07:00:00Z", "2026-11-23T22:00:00Z" },
	{ "22:00:30", NULL, "2026-11-23T07:00:00Z", "2026-11-23T22:00:30Z" },
	{ "06:59:59", NULL, "2026-11-23T07:00:00Z", "2026-11-24T06:59:59Z" },
	{ "07:00", NULL, "2026-11-23T07:00:00Z", "2026-11-23T07:00:00Z" },
	{ "00:00", NULL, "2026-12-31T07:00:00Z", "2027-01-01T00:00:00Z" },
	{ "22:00Z", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-07-01T07:00:00Z", "2026-07-02T00:00:00+02:00" },
	{ "01:00+05:30", NULL, "2026-07-01T07:00:00Z", "2026-07-01T19:30:00Z" },
	{ "2026-02-28", NULL, "2026-07-01T07:00:00Z", "2026-02-28T00:00:00Z" },
	{ "2028-02-29T23:59:59", NULL, "2026-07-01T07:00:00Z", "2028-02-29T23:59:59Z" },
	{ "2100-03-01 00:00", NULL, "2026-07-01T07:00:00Z", "2100-03-01T00:00:00Z" },
	{ "2026-11-23T07:33:50.123Z", NULL, "2026-07-01T07:00:00Z", "2026-11-23T07:33:50Z" },
	{ "2026-11-23T07:33+0100", NULL, "2026-07-01T07:00:00Z", "2026-11-23T06:33:00Z" },
	{ "2026-11-23T07:33:00-08", NULL, "2026-07-01T07:00:00Z", "2026-11-23T15:33:00Z" },
	{ "1970-01-01T00:00:00Z", NULL, "2026-07-01T07:00:00Z", "1970-01-01T00:00:00Z" },
	/* summer and winter */
	{ "22:00", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-07-01T07:00:00Z", "2026-07-01T22:00:00+02:00" },
	{ "22:00", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-12-01T07:00:00Z", "2026-12-01T22:00:00+01:00" },
	{ "22:00", "EST5EDT,M3.2.0,M11.1.0", "2026-07-01T07:00:00Z", "2026-07-01T22:00:00-04:00" },
	{ "22:00", "EST5EDT,M3.2.0,M11.1.0", "2026-12-01T07:00:00Z", "2026-12-01T22:00:00-05:00" },
	{ "22:00", "AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-01-01T07:00:00Z", "2026-01-01T22:00:00+11:00" },
	{ "22:00", "AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-06-01T07:00:00Z", "2026-06-01T22:00:00+10:00" },
	{ "22:00", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2026-06-01T07:00:00Z",
	  "2026-06-01T22:00:00+10:30" },
	{ "22:00", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-06-01T07:00:00Z",
	  "2026-06-01T22:00:00-01:00" },
	{ "22:00", "<+0545>-5:45", "2026-06-01T07:00:00Z", "2026-06-01T22:00:00+05:45" },
	/* an hour that is not there, one that is there twice */
	{ "02:30", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29T00:00:00Z", "2026-03-29T03:30:00+02:00" },
	{ "02:30", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25T00:00:00Z", "2026-10-25T02:30:00+02:00" },
	{ "02:30", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25T00:45:00Z", "2026-10-25T02:30:00+01:00" },
	{ "02:30", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-25T01:45:00Z", "2026-10-26T02:30:00+01:00" },
	{ "03:30", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-28T12:00:00Z", "2026-03-29T03:30:00+02:00" },
	{ "2026-03-29T01:59:59", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-01-01T00:00:00Z",
	  "2026-03-29T01:59:59+01:00" },
	{ "2026-03-29T00:59:59Z", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-01-01T00:00:00Z",
	  "2026-03-29T01:59:59+01:00" },
	{ "2026-03-29T01:00:00Z", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-01-01T00:00:00Z",
	  "2026-03-29T03:00:00+02:00" },
	{ "2026-10-25T00:59:59Z", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-01-01T00:00:00Z",
	  "2026-10-25T02:59:59+02:00" },
	{ "2026-10-25T01:00:00Z", "CET-1CEST,M3.5.0,M10.5.0/3", "2026-01-01T00:00:00Z",
	  "2026-10-25T02:00:00+01:00" },
	/* no moments */
	{ "", NULL, NULL, NULL }, { "22", NULL, NULL, NULL }, { "22:", NULL, NULL, NULL },
	{ "24:00", NULL, NULL, NULL }, { "2:00", NULL, NULL, NULL }, { "22:60", NULL, NULL, NULL },
	{ "22:00:60", NULL, NULL, NULL }, { "22:00:", NULL, NULL, NULL }, { "22:00 ", NULL, NULL, NULL },
	{ "22:00:00:00", NULL, NULL, NULL }, { "-1:00", NULL, NULL, NULL }, { "now", NULL, NULL, NULL },
	{ "2026", NULL, NULL, NULL }, { "2026-11", NULL, NULL, NULL }, { "2026-11-31", NULL, NULL, NULL },
	{ "2026-02-29", NULL, NULL, NULL }, { "2100-02-29", NULL, NULL, NULL },
	{ "2026-13-01", NULL, NULL, NULL }, { "2026-00-01", NULL, NULL, NULL },
	{ "2026-11-23T", NULL, NULL, NULL }, { "2026-11-23T22", NULL, NULL, NULL },
	{ "2026-11-23T22:00X", NULL, NULL, NULL }, { "2026-11-23T22:00ZZ", NULL, NULL, NULL },
	{ "2026-11-23T22:00+24:00", NULL, NULL, NULL }, { "2026-11-23T22:00+1", NULL, NULL, NULL },
	{ "1969-12-31", NULL, NULL, NULL }, { "9999-01-01", NULL, NULL, NULL },
	{ "22:00.5", NULL, NULL, NULL },
};

static void test_table(void)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct golden *golden = &table[i];
		struct zone zone = { .rule = golden->rule }, utc = { .len = 0 };
		struct moment moment, now;
		char text[MOMENT_LEN], name[128];

		if (moment_parse(&moment, golden->word)) {
			ok(!golden->wanted, "'%s' is no moment", golden->word);
			continue;
		}
		if (!golden->wanted || moment_parse(&now, golden->now)) {
			ok(0, "'%s' is no moment", golden->word);
			continue;
		}
		moment_text(text, &zone, moment_resolve(&moment, &zone,
							moment_resolve(&now, &utc, 0)));
		snprintf(name, sizeof(name), "%s in %s, %s", golden->word,
			 golden->rule ? golden->rule : "UTC", golden->now);
		is_text(text, golden->wanted, name);
	}
}

/* "TZif" with these changes and types, twice, and the rule. */
static size_t make_file(unsigned char *file, const __s64 *times, const __u8 *kinds, unsigned int n,
			const int *offsets, unsigned int types, const char *rule)
{
	unsigned char *at = file;

	for (int width = 4; width <= 8; width += 4) {
		memset(at, 0, HEADER);
		memcpy(at, "TZif2", 5);
		at[35] = n;
		at[39] = types;
		at[43] = 4;
		at += HEADER;
		for (unsigned int i = 0; i < n; i++)
			for (int byte = width; byte--;)
				*at++ = (__u64)times[i] >> byte * 8;
		memcpy(at, kinds, n);
		at += n;
		for (unsigned int i = 0; i < types; i++) {
			for (int byte = 4; byte--;)
				*at++ = (__u32)offsets[i] >> byte * 8;
			*at++ = 0;
			*at++ = 0;
		}
		memcpy(at, "LMT", 4);
		at += 4;
	}
	return at - file + sprintf((char *)at, "\n%s\n", rule);
}

static void test_file(void)
{
	static const __s64 times[] = { -1000000000, 1000000000, 1800000000 };
	static const __u8 kinds[] = { 1, 2, 1 };
	static const int offsets[] = { 1234, -3600, 7200 };
	static unsigned char file[1024];
	struct zone zone = { .file = file };
	int broken = 0;

	zone.len = make_file(file, times, kinds, 3, offsets, 3, "CET-1CEST,M3.5.0,M10.5.0/3");
	ok(zone_is_valid(&zone), "a file is a zone");
	is_number(zone_offset(&zone, -2000000000), 1234, "before the first change");
	is_number(zone_offset(&zone, 0), -3600, "behind the first");
	is_number(zone_offset(&zone, 999999999), -3600, "just before the second");
	is_number(zone_offset(&zone, 1000000000), 7200, "just at it");
	is_number(zone_offset(&zone, 1799999999), 7200, "just before the last");
	is_number(zone_offset(&zone, 1800000000), 3600, "from the last on: the rule");
	is_number(zone_offset(&zone, 1815000000), 7200, "and its summer");
	zone.len = make_file(file, times, kinds, 3, offsets, 3, "");
	is_number(zone_offset(&zone, 1900000000), -3600, "where there is no rule, the last change holds");
	zone.len = make_file(file, times, kinds, 0, offsets, 1, "UTC0");
	is_number(zone_offset(&zone, 1900000000), 0, "a rule alone");
	zone.len = make_file(file, times, kinds, 3, offsets, 3, "CET-1CEST,M3.5.0,M10.5.0/3");
	for (size_t len = zone.len; len--;) { /* whatever comes of it, nothing else is read */
		unsigned char *part = malloc(len + 1);

		memcpy(part, file, len);
		part[len] = '\0';
		zone = (struct zone){ .file = part, .len = len };
		zone_offset(&zone, 1800000000);
		zone_offset(&zone, 0);
		broken += !zone_is_valid(&zone);
		free(part);
	}
	ok(broken > 150, "what is cut short is broken (%d)", broken);
	for (size_t i = 0; i < sizeof(file); i++) {
		zone.len = make_file(file, times, kinds, 3, offsets, 3, "CET-1CEST,M3.5.0,M10.5.0/3");
		zone.file = file;
		file[i] ^= 0xff;
		zone_offset(&zone, 1800000000);
		zone_offset(&zone, 0);
	}
	ok(1, "a byte that is wrong harms nobody");
}

static void test_rules(void)
{
	static const char *const bad[] = { "", "CET", "Europe/Berlin", "CET-1CEST", "CET-1CEST,M3.5.0",
					   "CET-1CEST,J60,J300", "<CET", "CET-1CEST,M3.5.0,M10.5.0/3x" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct zone zone = { .rule = bad[i] };

		ok(!zone_is_valid(&zone) && !zone_offset(&zone, 1800000000), "'%s' is no rule", bad[i]);
	}
}

int main(void)
{
	test_table();
	test_file();
	test_rules();
	return done();
}
