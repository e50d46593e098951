#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Killed at a random moment of start, run or end, in whatever way: within a second the link is clean and
# the tracing instance gone; another's program that was put there meanwhile stays. XGUARD_KILLS=N: so many
# moments (60); XGUARD_SEED=N: those of an earlier run.
. tests/lib.sh
need_root
need clang python3 awk strace
make_pair
ulimit -c 0
trap '' PIPE

seed=${XGUARD_SEED:-$(date +%s)}
kills=${XGUARD_KILLS:-60}
diag "XGUARD_SEED=$seed"

cat >"$work/pass.c" <<'END'
__attribute__((section("xdp"), used)) int others_pass(void *ctx) { (void)ctx; return 2; }
char _license[] __attribute__((section("license"), used)) = "GPL";
END
ok 'another program is compiled' clang -target bpf -O2 -c -o "$work/pass.o" "$work/pass.c"
mkdir "$work/tracing"
no_instance() {
	! unshare -m sh -c 'mount -t tracefs tracefs "$0" && ls "$0/instances"' "$work/tracing" |
		grep -Eqx "xguard-$1(-[0-9])?"
}
children_of() { cat "/proc/$1/task/$1/children" 2>/dev/null; }
program_on() { ip -n "$receiver" link show rx0 | sed -n 's|.*prog/xdp id \([0-9]*\).*|\1|p'; }
put_another() {
	ip -n "$receiver" -force link set dev rx0 xdpdrv obj "$work/pass.o" sec xdp 2>/dev/null ||
		ip -n "$receiver" link set dev rx0 xdpdrv obj "$work/pass.o" sec xdp
}
now() { date +%s%N; }

# A terminal of its own for a command; it goes away when a line comes.
cat >"$work/on-terminal" <<'END'
import os, pty, select, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
print(pid, flush=True)
while 0 not in select.select([0, fd], [], [])[0]:
    os.read(fd, 4096)
os.close(fd)
os.waitpid(pid, 0)
END

# hit HOW: kill what runs. $reader, and $guardian and $deputy where there are any by now.
# shellcheck disable=SC2086
hit() {
	guardian=$(children_of "$reader")
	guardian=${guardian%%[!0-9]*}
	deputy=
	[ -z "$guardian" ] || deputy=$(children_of "$guardian") # two, while one relieves the other
	case $1 in
	KILL | SEGV) kill "-$1" "$reader" ;;
	storm) for _ in 1 2 3 4 5 6 7 8; do kill -TERM "$reader"; kill -INT "$reader"; done ;;
	hangup) echo >&3 ;;
	guardian) kill -KILL ${guardian:-$reader} ;;
	both) kill -KILL ${guardian:+"$guardian"} "$reader" ;;
	all) kill -KILL $deputy ${guardian:+"$guardian"} "$reader" ;;
	esac 2>/dev/null
}

# moment HOW TRACE PHASE MILLISECONDS OTHER: set $trouble to what was not as it should be.
moment() {
	how=$1 trace=$2 phase=$3 delay=0.$4 other=$5 trouble=
	: >"$work/m.err"
	exec 3>&-
	if [ "$how" = hangup ]; then
		mkfifo "$work/terminal"
		ip netns exec "$receiver" python3 "$work/on-terminal" "$XGUARD" -i rx0 "-$trace" --output "$work/m.out" \
			<"$work/terminal" >"$work/m.pid" 2>&1 &
		exec 3>"$work/terminal"
		rm "$work/terminal"
		until [ -s "$work/m.pid" ]; do sleep 0.01; done
		reader=$(cat "$work/m.pid")
	else
		ip netns exec "$receiver" "$XGUARD" -i rx0 "-$trace" </dev/null >"$work/m.out" 2>"$work/m.err" &
		reader=$!
	fi
	child=$!
	children="$children $child"
	[ "$phase" = start ] || wait_for 5 has_program "$receiver" rx0
	another=
	if [ "$other" = other ]; then
		put_another
		another=$(program_on)
	fi
	[ "$phase" != end ] || kill -INT "$reader"
	sleep "$delay"
	before=$(now)
	hit "$how"
	if [ "$how" = all ]; then # one may still be in the kernel, attaching
		for process in $guardian $deputy $reader; do
			wait_for 2 ended "$process"
		done
		"clean_up_$((reader % 2))"
	fi
	if [ -n "$another" ]; then
		wait_for 2 ended "$reader"
		[ "$(program_on)" = "$another" ] || trouble="another's program is gone"
		ip -n "$receiver" link set dev rx0 xdp off
	fi
	wait_for 5 has_no_program "$receiver" rx0 || trouble='the program is there'
	wait_for 5 no_instance "$reader" || trouble="$trouble the instance is there"
	took=$((($(now) - before) / 1000000))
	[ "$took" -le 1000 ] || [ "$how" = all ] || trouble="$trouble it took $took ms"
	[ "$took" -le "$slowest" ] || [ "$how" = all ] || slowest=$took
	for process in $guardian $deputy $reader; do
		wait_for 2 ended "$process" || trouble="$trouble $process lives"
	done
	wait "$child" 2>/dev/null
	ip -n "$receiver" link set dev rx0 xdp off 2>/dev/null
}

# All were killed: --detach, or the next start, cleans up.
clean_up_0() { on_receiver "$XGUARD" --detach -i rx0 >"$work/cleaned" 2>&1 || trouble="--detach failed"; }
clean_up_1() {
	start_xguard next "-$trace" >/dev/null || [ -n "$another" ] || trouble='the next one does not start'
	stop_xguard next
}

awk -v seed="$seed" -v kills="$kills" 'BEGIN {
	srand(seed)
	nhow = split("KILL KILL SEGV storm hangup guardian guardian both all", how)
	nphase = split("start start run end", phase)
	for (i = 0; i < kills; i++) {
		p = phase[int(rand() * nphase) + 1]
		printf "%s %s %s %03d %s\n", how[i % nhow + 1], rand() < 0.5 ? "u" : "k", p,
			rand() * (p == "run" ? 50 : 45), p == "run" && rand() < 0.3 ? "other" : "-"
	}
}' | sort >"$work/moments"

slowest=0 last= count=0 bad=0
finish_kind() {
	[ -z "$last" ] || report "$((bad > 0))" "$last: clean within a second, at $count moments"
	count=0 bad=0
}
while read -r how trace phase delay other <&4; do
	[ "$how" = "$last" ] || finish_kind
	last=$how
	moment "$how" "$trace" "$phase" "$delay" "$other"
	count=$((count + 1))
	[ -n "$trouble" ] || continue
	bad=$((bad + 1))
	diag "$how -$trace, $delay s into its $phase, $other: $trouble"
	cat "$work/m.err" "$work/next.err" "$work/cleaned" 2>/dev/null | diag
done 4<"$work/moments"
finish_kind
diag "slowest: $slowest ms"

# The reader comes to make the instance when the deputy, if there is one by then, is taking down.
late() {
	start late ip netns exec "$receiver" strace -f -o "$work/strace" -e "trace=mkdirat,$2" \
		-e "inject=mkdirat,$2:delay_enter=1000000" "$XGUARD" -i rx0 -k
	reader='' guardian='' deputy=$3
	wait_for 5 has_family
	kill -KILL "$guardian"
	stop late 0
	like "$work/late.err" "$4" "its guardian killed $1: says so"
	ok 'and leaves no instance' wait_for 5 no_instance "$reader"
}
has_family() { # strace's child, what it forks, and that one's
	reader=$(children_of "$pid")
	reader=${reader%%[!0-9]*}
	guardian=$(children_of "${reader:-0}")
	guardian=${guardian%%[!0-9]*}
	[ "$deputy" = none ] || deputy=$(children_of "${guardian:-0}")
	[ -n "$guardian" ] && [ -n "$deputy" ]
}
late 'before there is a deputy' setsid none '^xguard: nothing detaches by itself any more'
late 'before there is an instance' mkdirat '' '^xguard: the process that detaches has died: its deputy has detached'

# A reader that is stopped, and has more news waiting than its socket holds.
start_xguard flaps -k
reader=$pid
kill -STOP "$reader"
for _ in $(seq 200); do printf 'link set rx0 down\nlink set rx0 up\n'; done | ip -n "$receiver" -batch -
kill -KILL "$(child_of "$reader")"
ok 'much news: the deputy detaches' wait_for 5 has_no_program "$receiver" rx0
before=$(now)
kill -CONT "$reader"
stop_xguard flaps 0
within "$((($(now) - before) / 1000000))" 0 5000 'the reader ends soon after'
like "$work/flaps.err" '^xguard: the process that detaches has died: its deputy has detached' 'and knows why'
ok 'and leaves no instance' wait_for 5 no_instance "$reader"

# One that cannot take the program off, as long as strace is there, goes on trying; and so do its deputies.
newest_of() { children_of "$1" | tr ' ' '\n' | grep . | tail -n 1; }
has_newer() { [ -n "$(newest_of "$1")" ] && [ "$(newest_of "$1")" != "$2" ]; }
ip netns exec "$receiver" "$XGUARD" -i rx0 -u </dev/null >"$work/stuck.out" 2>"$work/stuck.err" &
reader=$!
children="$children $reader"
wait_for 5 has_program "$receiver" rx0
guardian=$(newest_of "$reader")
deputy=$(newest_of "$guardian")
start strace strace -f -o "$work/strace" -e trace=sendto -e inject=sendto:error=EACCES -p "$guardian"
await_line "$work/strace.err" attached
kill -KILL "$reader"
for generation in first second third; do
	wait_for 5 has_newer "$guardian" "$deputy"
	report $? "what cannot take the program off goes on trying: the $generation"
	[ $generation != third ] || break
	deputy=$(newest_of "$guardian")
	kill -KILL "$guardian"
	guardian=$deputy deputy=
done
has_program "$receiver" rx0
report $? 'the program is there'
stop strace
ok 'the last one takes it off when it can' wait_for 5 has_no_program "$receiver" rx0
ok 'and ends' wait_for 5 ended "$guardian"
done_testing
