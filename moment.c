// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "moment.h"

#define NANOSECONDS 1000000000ll /* of a second */
#define DAY    86400
#define YEAR_MAX 2200
#define NONE   (DAY * 365l) /* no such offset */
#define HEADER 44

/* At least min digits, max at most. Returns the number, or -1; *at is behind it. */
static long number(const char **at, int min, int max)
{
	long value = 0;
	int n = 0;

	for (; n < max && **at >= '0' && **at <= '9'; n++)
		value = value * 10 + *(*at)++ - '0';
	return n < min ? -1 : value;
}

static int is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int month_length(int year, int month)
{
	return month == 2 ? 28 + is_leap(year) : 30 + ((month + (month > 7)) & 1);
}

/* Days from 1970 to a year. */
static __s64 days_to(int year)
{
	year--;
	return year * 365ll + year / 4 - year / 100 + year / 400 - 719162;
}

static __s64 days_of(int year, int month, int day)
{
	__s64 days = days_to(year) + day - 1;

	while (--month)
		days += month_length(year, month);
	return days;
}

static int year_of(__s64 seconds)
{
	int year = 1970 + seconds / (366 * DAY);

	while (year < YEAR_MAX && days_to(year + 1) * DAY <= seconds)
		year++;
	return year;
}

/* "Z", "+01:00", "+0100", "+01" or nothing. */
static int parse_offset(struct moment *moment, const char *at)
{
	int sign = *at == '+' ? 60 : *at == '-' ? -60 : 0;
	long hours = 0, minutes = 0;

	moment->zoned = *at != 0;
	if (sign) {
		at++;
		hours = number(&at, 2, 2);
		at += *at == ':';
		if (*at)
			minutes = number(&at, 2, 2);
		moment->offset = (hours * 60 + minutes) * sign;
	} else {
		at += *at == 'Z';
	}
	return *at || hours < 0 || hours > 23 || minutes < 0 || minutes > 59 ? -1 : 0;
}

int moment_parse(struct moment *moment, const char *word)
{
	static const struct {
		char before, digits;
		short least, most;
	} parts[] = { { 0, 4, 1970, YEAR_MAX }, { '-', 2, 1, 12 }, { '-', 2, 1, 31 },
		      { 'T', 2, 0, 23 }, { ':', 2, 0, 59 }, { ':', 2, 0, 59 } };
	int value[] = { 1970, 1, 1, 0, 0, 0 }, i, first;
	const char *at = word;

	*moment = (struct moment){ .word = word, .dated = strlen(word) > 4 && word[4] == '-' };
	first = moment->dated ? 0 : 3;
	for (i = first; i < 6; i++) {
		if (i > first && *at++ != parts[i].before && !(i == 3 && at[-1] == ' ')) {
			at--;
			break;
		}
		value[i] = number(&at, parts[i].digits, parts[i].digits);
		if (value[i] < parts[i].least || value[i] > parts[i].most)
			return -1;
	}
	if ((i < 6 && i != 3 && i != 5) || value[2] > month_length(value[0], value[1]))
		return -1;
	moment->seconds = days_of(value[0], value[1], value[2]) * (__s64)DAY + value[3] * 3600 +
			  value[4] * 60 + value[5];
	if (i == 6 && *at == '.') /* our own times have a fraction */
		do
			at++;
		while (*at >= '0' && *at <= '9');
	return parse_offset(moment, at);
}

/* --- rules -------------------------------------------------------------------------------------------- */

/* "CET", "<+03>". */
static void skip_name(const char **at)
{
	*at += strcspn(*at, **at == '<' ? ">" : "+-,0123456789\n");
	*at += **at == '>';
}

/* "-1", "5:30", "+26:00:00": seconds; or fallback, where nothing of that kind is there. */
static long rule_time(const char **at, long fallback)
{
	int negative = **at == '-';
	long unit = 3600, value, sum = 0;

	if (**at != '-' && **at != '+' && (**at < '0' || **at > '9'))
		return fallback;
	*at += **at == '-' || **at == '+';
	while (unit && (value = number(at, 1, 3)) >= 0) {
		sum += value * unit;
		unit /= 60;
		if (**at != ':')
			break;
		++*at;
	}
	return negative ? -sum : sum;
}

/*
 * ",M3.5.0/2": month, week, day of the week and, if not 2, the hour; to seconds from the year's start on
 * the clock of before. Behind what does not begin so the rule does not end as it should; the other forms of
 * POSIX (",J60", ",59"), which no zone has, are among that.
 */
static long rule_change(const char **at, int year)
{
	int month, week, weekday;
	long first, day;

	if ((*at)[0] != ',' || (*at)[1] != 'M') {
		*at = "?";
		return 0;
	}
	*at += 2;
	month = (number(at, 1, 2) + 11) % 12 + 1;
	*at += **at == '.';
	week = number(at, 1, 1);
	*at += **at == '.';
	weekday = number(at, 1, 1);
	first = days_of(year, month, 1);
	day = (weekday - (first + 4) % 7 + 7) % 7 + week * 7 - 7;
	if (day >= month_length(year, month))
		day -= 7;
	*at += **at == '/';
	return (first + day - days_to(year)) * DAY + rule_time(at, 7200);
}

/* "CET-1CEST,M3.5.0,M10.5.0/3". Returns 0, or -1: broken. */
static int rule_offset(const char *rule, __s64 utc, int *offset)
{
	int year, standard, summer;
	__s64 from, to;

	skip_name(&rule);
	standard = -rule_time(&rule, NONE);
	if (standard == -NONE)
		return -1;
	*offset = standard;
	if (*rule > ' ') {
		skip_name(&rule);
		summer = -rule_time(&rule, -standard - 3600);
		year = year_of(utc + standard);
		utc -= days_to(year) * (__s64)DAY;
		from = rule_change(&rule, year) - standard;
		to = rule_change(&rule, year) - summer;
		if (from < to ? utc >= from && utc < to : utc >= from || utc < to)
			*offset = summer;
	}
	return *rule > ' ' ? -1 : 0;
}

/* --- files -------------------------------------------------------------------------------------------- */

static __s64 big_endian(const unsigned char *bytes, int width)
{
	__u64 value = bytes[0] & 0x80 ? -1ull : 0;

	while (width--)
		value = value << 8 | *bytes++;
	return value;
}

/*
 * A header: "TZif", 16 bytes, six counts of 4, those of changes and of types in the fourth and fifth place.
 * Then of each change its time, of each change its type, the types (offset 4, two more). All this comes
 * twice (since 2005): times are 4 bytes wide, then 8. The last line is the rule for what is later.
 */
static int file_offset(const struct zone *zone, __s64 utc, int *offset)
{
	const unsigned char *end = zone->file + zone->len, *at = zone->file, *types, *rule;
	size_t changes, i = 0;

	do
		at++;
	while (end - at >= HEADER && memcmp(at, "TZif", 4));
	changes = end - at < HEADER ? SIZE_MAX : (size_t)big_endian(at + 32, 4);
	if (changes > zone->len || (size_t)(end - at) < HEADER + changes * 9 + 6)
		return -1;
	at += HEADER;
	types = at + changes * 9;
	while (i < changes && big_endian(at + i * 8, 8) <= utc)
		i++;
	for (rule = end - 1; rule > types && rule[-1] != '\n';)
		rule--;
	if (i == changes && *rule > ' ')
		return rule_offset((const char *)rule, utc, offset);
	if (i)
		types += at[changes * 8 + i - 1] * 6;
	if (end - types < 6)
		return -1;
	*offset = big_endian(types, 4);
	return 0;
}

static int look_up(const struct zone *zone, __s64 utc, int *offset)
{
	*offset = 0;
	if (zone->len)
		return file_offset(zone, utc, offset);
	return zone->rule ? rule_offset(zone->rule, utc, offset) : 0;
}

int zone_offset(const struct zone *zone, __s64 utc)
{
	int offset;

	return look_up(zone, utc, &offset) ? 0 : offset;
}

int zone_is_valid(const struct zone *zone)
{
	int offset;

	return !look_up(zone, 0, &offset);
}

/* --- moments ------------------------------------------------------------------------------------------ */

/* A local time to UTC: by the offset of a day before, or of a day after. */
static __s64 to_utc(const struct zone *zone, __s64 local, __s64 from)
{
	__s64 before = local - zone_offset(zone, local - DAY);
	__s64 after = local - zone_offset(zone, local + DAY);
	int good = before + zone_offset(zone, before) == local;

	if (after + zone_offset(zone, after) == local && (!good || before < from))
		return after;
	return before;
}

__s64 moment_resolve(const struct moment *moment, const struct zone *zone, __s64 now)
{
	__s64 seconds = moment->seconds, from = now / NANOSECONDS, day, at = 0;

	if (moment->dated) {
		at = moment->zoned ? seconds - moment->offset : to_utc(zone, seconds, from);
		return at * NANOSECONDS;
	}
	day = (from + (moment->zoned ? moment->offset : zone_offset(zone, from))) / DAY - 1;
	for (int i = 0; i < 4; i++, day++) {
		at = day * DAY + seconds;
		at = moment->zoned ? at - moment->offset : to_utc(zone, at, from);
		if (at >= from)
			break;
	}
	return at * NANOSECONDS;
}

const char *moment_text(char text[MOMENT_LEN], const struct zone *zone, __s64 nanoseconds)
{
	__s64 seconds = nanoseconds / NANOSECONDS;
	int offset = zone_offset(zone, seconds), minutes = offset / 60, month = 1, year, of_day;
	long day;

	seconds += offset;
	year = year_of(seconds);
	day = seconds / DAY - days_to(year);
	of_day = seconds % DAY;
	for (; day >= month_length(year, month); month++)
		day -= month_length(year, month);
	snprintf(text, MOMENT_LEN, "%04d-%02d-%02ldT%02d:%02d:%02d%s", year, month, day + 1,
		 of_day / 3600, of_day / 60 % 60, of_day % 60, "Z");
	if (offset)
		snprintf(text + strlen(text) - 1, 16, "%c%02d:%02d", offset < 0 ? '-' : '+',
			 abs(minutes) / 60, abs(minutes) % 60);
	return text;
}
