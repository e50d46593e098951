// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where all ways end; and where the verifier is to remember.
 *
 * It goes through a program depth first, straight on first, and leaves a way where it has gone on from what it
 * knows before. It may remember what it knows at conditional jumps, at what jumps lead to and behind calls, but does so
 * only if it has gone through eight instructions and two jumps since the last time (is_state_visited() in Linux's
 * kernel/bpf/verifier.c). Where it does not, what follows is gone through once more for each way that leads
 * there, as far as to where it does.
 *
 * So it is gone along with, through a filter that takes long: all that the verifier knows where ways meet is the
 * same, or filter_copy.c and filter_field.c have failed. Where it would not remember when it first comes there,
 * instructions that do nothing are put in front, as many as it takes, for the one way by which it comes. (Jumps to
 * the next instruction would cost a frame nothing: but the verifier takes them out, which takes longer.)
 */
#include <stdlib.h>
#include <string.h>

#include "bpf_insn.h"
#include "filter_code.h"
#include "packet.h"

#define INSNS 8
#define JUMPS 2
#define STEPS_MAX (1 << 18)

/* Instructions gone through, of which a jump that goes two ways counts for ten: filters that take no more load in a
 * few milliseconds. */
#define FEW 8000
#define WAY 10

/* What of the program is in front of the filter since the verifier has remembered something (xdp_prog.c), instructions
 * and jumps: of frames in one piece, in pieces, copied. */
static const int in_front[][2] = { { 16, 0 }, { 17, 1 }, { 4, 1 } };
/* And of what is behind it, which is gone through when a way first ends (as no match, or as one), and when one first
 * ends as a match; then only so much of it. */
static const int behind[][2] = { { 3, 2 }, { 49, 1 } };
#define AGAIN 3

/* Of each instruction. */
struct place {
	__u8 meet;      /* ways meet there, at the beginning of a test or where r0 is of no use, too */
	__u8 may;       /* the verifier may remember there, */
	__u8 does;      /* and does */
	__u8 seen;
	__u8 insns;     /* to put in front, behind which ways that jump there come in: such that do nothing, */
	__u8 jumps;     /* and then jumps that lead nowhere, */
	__u8 kept;      /* of which it remembers these */
	__u32 at;       /* where it is then */
};

struct steer {
	const struct bpf_insn *insns;
	struct place *places;
	__u32 *later;   /* where conditional jumps lead that have not been gone along yet */
	int nlater;
	int ninsns, njumps; /* since it has remembered something */
	int outcome;    /* r0, where a way ends */
	int ended;      /* 1 << each that a way has ended with */
	size_t end;     /* both come by here, where r0 is the only difference */
	int straight;   /* it had come straight on to where it comes from */
	int puts;       /* have it remember */
	int cost;
};

/*
 * All words of the stack are read once more where all ways end. To Linux 6.18's verifier (kernel/bpf/liveness.c) a
 * place that reads one is news, for which it goes through the whole program, but where another one that it has seen
 * reads it behind. So it is to all that stores eight bytes, but not to what stores four.
 */
static void read_again(struct code *code)
{
	for (int word = 1; word <= code->words; word++)
		filter_emit(code, filter_load(8, BPF_REG_4, BPF_REG_10, -8 * word));
	if (code->c->is_mixed || code->scratch)
		filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_4, BPF_REG_1, offsetof(struct packet, data)));
	if (!code->pieces)
		filter_emit(code, BPF_LDX_MEM(BPF_DW, BPF_REG_4, BPF_REG_1, offsetof(struct packet, data_end)));
	filter_emit(code, BPF_LDX_MEM(BPF_W, BPF_REG_4, BPF_REG_1, offsetof(struct packet, length)));
}

/* r0 = outcome. In a long filter with two jumps behind it that lead nowhere, as the verifier knows: so it remembers
 * that it has been here, and does not read all words again for each way that ends. */
static void outcome_is(struct code *code, int outcome)
{
	filter_append(code, BPF_MOV64_IMM(BPF_REG_0, outcome));
	for (int i = 0; i < 2 && code->begun; i++)
		filter_append(code, BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, !outcome, 0));
}

void filter_finish_code(struct code *code)
{
	int match = code->len, no_match, skip = 0;

	if (code->used[0]) {
		if (code->dooms) {
			filter_emit(code, BPF_ALU64_IMM(BPF_RSH, DOOM, DOOM_BIT));
			filter_jump(code, BPF_JMP_IMM(BPF_JSET, DOOM, 1, 0), NO_MATCH);
		}
		outcome_is(code, 1);
		if (code->used[1])
			filter_append(code, BPF_JMP_A(0));
		skip = code->len;
	}
	no_match = code->len;
	if (code->used[1])
		outcome_is(code, 0);
	if (code->used[0] && code->used[1])
		(*code->insns)[skip - 1].off = code->len - skip;
	code->end = code->len;
	if (code->begun)
		read_again(code);
	filter_append(code, BPF_EXIT_INSN());
	for (size_t i = 0; i < code->len; i++) {
		int to = code->to[i];

		if (to)
			(*code->insns)[i].off = (to == MATCH ? match : to == NO_MATCH ? no_match :
						 code->start[to - 1]) - (int)i - 1;
	}
}

static int is_of_jumps(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_JMP || BPF_CLASS(insn->code) == BPF_JMP32;
}

static int is_exit(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_EXIT);
}

static int is_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL);
}

static int is_jump(const struct bpf_insn *insn)
{
	return is_of_jumps(insn) && !is_exit(insn) && !is_call(insn);
}

static int is_always(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_JA);
}

static void look(struct steer *steer, const struct code *code)
{
	for (size_t i = 0; i < code->len; i++) {
		const struct bpf_insn *insn = &steer->insns[i];

		if (is_call(insn))
			steer->places[i + 1].may = 1;
		if (!is_jump(insn))
			continue;
		steer->places[i + 1 + insn->off].may = 1;
		steer->places[i].may |= !is_always(insn);
	}
	for (int i = 0; i < code->nmeets; i++)
		steer->places[code->meets[i]].meet = 1;
	for (int i = 0; i < code->norder; i++)
		if (code->states[code->order[i]].reached > 1)
			steer->places[code->start[code->order[i]]].meet = 1;
}

/*
 * The verifier comes from one instruction to another, or (from the same) by way of a conditional jump. Where is what
 * is put in front on that way? NULL: there is no such place, since jumps come in behind it.
 */
static struct place *on_way(struct steer *steer, size_t from, size_t to)
{
	if (from == to)
		return NULL;
	if (!is_always(&steer->insns[from]))
		return &steer->places[to];
	return steer->straight ? &steer->places[from] : NULL;
}

/* Go through what is put in front on that way, where it may remember at jumps, too. */
static void pass(struct steer *steer, struct place *way)
{
	steer->ninsns += way->insns;
	for (int i = 0; i < way->jumps; i++) {
		if (steer->ninsns >= INSNS && steer->njumps >= JUMPS && !(way->kept >> i & 1)) {
			way->kept |= 1 << i;
			steer->ninsns = steer->njumps = 0;
		}
		steer->ninsns++;
		steer->njumps++;
	}
}

/* Returns 1 if it has been there and remembers: then it goes no further. */
static int come(struct steer *steer, size_t from, size_t to)
{
	struct place *place = &steer->places[to], *way = on_way(steer, from, to);
	int insns, jumps;

	if (way)
		pass(steer, way);
	insns = INSNS - steer->ninsns;
	jumps = JUMPS - steer->njumps;
	if (place->does && (to != steer->end || steer->ended >> steer->outcome & 1)) {
		steer->ninsns++;
		return 1;
	}
	if (!place->may)
		return 0;
	if (insns > 0 || jumps > 0) {
		if (!steer->puts || !place->meet || place->seen || !way)
			return 0;
		way->jumps = jumps > 0 ? jumps : 0;
		insns -= way->jumps;
		way->insns = insns > 0 ? insns : jumps > 0; /* one that the jumps ask about */
	}
	place->does = 1;
	steer->ninsns = steer->njumps = 0;
	return 0;
}

/* Go through one instruction. Returns the next one, or at an end the same. */
static size_t step(struct steer *steer, size_t at)
{
	const struct bpf_insn *insn = &steer->insns[at];

	steer->ninsns++;
	steer->njumps += is_of_jumps(insn);
	steer->cost++;
	if (is_exit(insn)) {
		steer->ninsns += AGAIN;
		if (steer->outcome >= steer->ended) { /* the first one, or the first match */
			steer->ninsns = behind[steer->outcome][0];
			steer->njumps = behind[steer->outcome][1];
		}
		steer->ended |= 1 << steer->outcome;
		return at;
	}
	if (insn->code == (BPF_ALU64 | BPF_MOV | BPF_K))
		steer->outcome = insn->imm & 1;
	if (is_always(insn))
		return at + 1 + insn->off;
	if (is_jump(insn) && insn->off) { /* else the verifier knows that it leads nowhere */
		steer->cost += WAY - 1;
		steer->later[steer->nlater++] = at + 1 + insn->off;
	}
	return at + (insn->code == (BPF_LD | BPF_IMM | BPF_DW) ? 2 : 1);
}

static void go_along(struct steer *steer, const struct code *code)
{
	size_t from = 0, at = 0;
	int straight = 0;

	steer->ninsns = in_front[code->pieces + code->scratch][0];
	steer->njumps = in_front[code->pieces + code->scratch][1];
	steer->outcome = steer->ended = 0;
	for (int steps = 0; steps < STEPS_MAX; steps++) {
		int done;

		done = come(steer, from, at);
		from = at;
		if (!done) {
			steer->places[at].seen = 1;
			at = step(steer, at);
			steer->straight = straight;
			straight = !is_always(&steer->insns[from]);
			done = at == from;
		}
		if (!done)
			continue;
		if (!steer->nlater)
			return;
		from = at = steer->later[--steer->nlater];
		straight = 0;
	}
}

/* Put in what has been found. */
static void spread(struct code *code, struct steer *steer)
{
	size_t len = code->len, more = 0;

	for (size_t i = 0; i < len; i++) {
		more += steer->places[i].insns + steer->places[i].jumps;
		steer->places[i].at = i + more;
	}
	if (len + more > FILTER_MAX_INSNS)
		return;
	for (size_t i = 0; i < more; i++)
		filter_append(code, BPF_EXIT_INSN());
	for (size_t i = len; i--;) {
		const struct place *place = &steer->places[i];
		struct bpf_insn insn = (*code->insns)[i], *to = *code->insns + place->at;

		if (is_jump(&insn))
			insn.off = steer->places[i + 1 + insn.off].at - place->at - 1;
		*to = insn;
		for (int n = 0; n < place->jumps; n++)
			*--to = (struct bpf_insn)BPF_JMP_IMM(BPF_JNE, BPF_REG_0, 0, 0);
		for (int n = 0; n < place->insns; n++)
			*--to = (struct bpf_insn)BPF_MOV64_IMM(BPF_REG_0, 0);
	}
}

void filter_steer(struct code *code)
{
	struct steer steer = { .insns = *code->insns, .end = code->end };

	code->cost = 0;
	if (!code->c->is_mixed)
		return;
	steer.places = code->c->work[7] = calloc(code->len, sizeof(*steer.places) + sizeof(*steer.later));
	if (!steer.places)
		filter_no_memory(code->c);
	steer.later = (__u32 *)(steer.places + code->len);
	look(&steer, code);
	go_along(&steer, code);
	code->cost = steer.cost;
	if (steer.cost > FEW) {
		for (size_t i = 0; i < code->len; i++)
			steer.places[i].does = steer.places[i].seen = 0;
		steer.puts = 1;
		steer.cost = 0;
		go_along(&steer, code);
		code->cost = steer.cost;
		spread(code, &steer);
	}
	free(steer.places);
	code->c->work[7] = NULL;
}
