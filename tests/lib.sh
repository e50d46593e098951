# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# For tests/system/*.t, POSIX shell scripts that prove(1) runs at the top of the tree:
#
#	#!/bin/sh
#	. tests/lib.sh
#	need_root
#	make_pair
#	start_xguard one -u --tcp
#	on_sender "$TESTS/send" tx0 frames.hex
#	stop_xguard one
#	is "$status" 0 'the status is 0'
#	like "$work/one.err" 'xguard: rx0: 3 packets' 'the summary counts three'
#	done_testing
#
# What a test made is removed when it ends, in whatever way. With XGUARD_NO_SKIP=1 a skip is a failure.

TESTS=$PWD/build/tests
XGUARD=${XGUARD:-$PWD/xguard}
LC_ALL=C
export LC_ALL

# --- TAP ---------------------------------------------------------------------------------------

run=0
failed=0

# report GOOD NAME: one line; GOOD is 0 as a status is. Returns GOOD.
report() {
	run=$((run + 1))
	if [ "$1" -eq 0 ]; then
		printf 'ok %d - %s\n' "$run" "$2"
	else
		failed=$((failed + 1))
		printf 'not ok %d - %s\n' "$run" "$2"
	fi
	return "$1"
}

# diag [TEXT...]: to the person who reads the log; without words, standard input.
diag() {
	if [ $# -gt 0 ]; then printf '%s\n' "$*"; else cat; fi | sed 's/^/# /'
}

# ok NAME COMMAND...: the command succeeds; what it printed is shown where it does not.
ok() {
	ok_name=$1
	shift
	"$@" >"$work/ok" 2>&1
	report "$?" "$ok_name" || { diag "failed: $*"; diag <"$work/ok"; }
}

# not_ok NAME COMMAND...: the command fails.
not_ok() {
	ok_name=$1
	shift
	! "$@" >"$work/ok" 2>&1
	report "$?" "$ok_name" || { diag "succeeded: $*"; diag <"$work/ok"; }
}

# is GOT WANTED NAME
is() {
	[ "$1" = "$2" ]
	report "$?" "$3" || { diag "got:    $1"; diag "wanted: $2"; }
}

# within GOT LOW HIGH NAME: a whole number between two others.
within() {
	[ "$1" -ge "$2" ] && [ "$1" -le "$3" ]
	report "$?" "$4" || diag "got: $1, wanted: $2 to $3"
}

# like FILE PATTERN NAME, unlike FILE PATTERN NAME: a line of the file matches the ERE, or none does.
like() {
	grep -Eq -- "$2" "$1"
	report "$?" "$3" || { diag "no line matches: $2"; diag <"$1"; }
}
unlike() {
	! grep -E -- "$2" "$1" >"$work/ok"
	report "$?" "$3" || { diag "matched: $2"; diag <"$work/ok"; }
}

# same GOT-FILE WANTED-FILE NAME
same() {
	diff -u "$2" "$1" >"$work/ok" 2>&1
	report "$?" "$3" || diag <"$work/ok"
}

# skip REASON: in place of one test. skip_all REASON: of all that would follow.
skip() {
	if [ -n "${XGUARD_NO_SKIP:-}" ]; then
		report 1 "$1"
	else
		run=$((run + 1))
		printf 'ok %d # SKIP %s\n' "$run" "$1"
	fi
}
skip_all() {
	if [ -n "${XGUARD_NO_SKIP:-}" ] || [ "$run" -gt 0 ]; then
		skip "$1"
		done_testing
	fi
	printf '1..0 # SKIP %s\n' "$1"
	exit 0
}

# need COMMAND...: skip all where one is missing. need_root: and where we may not attach.
need() {
	for need_command; do
		command -v "$need_command" >/dev/null || skip_all "$need_command is not installed"
	done
}
need_root() {
	[ "$(id -u)" -eq 0 ] || skip_all 'needs root'
	need ip ethtool
	ip netns add "$ns-try" 2>/dev/null || skip_all 'needs to make network namespaces'
	ip netns del "$ns-try"
}

# done_testing: the plan, and the end.
done_testing() {
	printf '1..%d\n' "$run"
	exit "$((failed > 0))"
}

# --- what must go away again -------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/xguard-test.XXXXXX") || exit 1
ns=xg$$
namespaces=
children=

clean_up() {
	clean_up_status=$?
	trap - EXIT
	for child in $children; do
		kill -KILL "$child" 2>/dev/null
	done
	for namespace in $namespaces; do
		ip netns pids "$namespace" 2>/dev/null | while read -r child; do
			kill -KILL "$child" 2>/dev/null
		done
		ip netns del "$namespace" 2>/dev/null
	done
	rm -rf "$work"
	exit "$clean_up_status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 131' QUIT
trap 'exit 143' TERM

# --- waiting, never longer than needed ---------------------------------------------------------

# wait_for SECONDS COMMAND...: until it succeeds. Fails, with a note, when the time is up.
wait_for() {
	wait_for_end=$(($(date +%s) + $1 + 1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$(date +%s)" -ge "$wait_for_end" ]; then
			diag "waited in vain for: $*"
			return 1
		fi
		sleep 0.02
	done
}

# await_line FILE PATTERN [SECONDS]: until a line of the file matches the ERE (10 seconds).
await_line() {
	wait_for "${3:-10}" grep -Eq -- "$2" "$1" || { diag <"$1"; return 1; }
}

# ended PID: the child has ended, though nobody waited for it yet.
ended() {
	case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in
	Z* | '') return 0 ;;
	esac
	return 1
}

# --- background processes ----------------------------------------------------------------------

# start NAME COMMAND...: run it in the background, with default signals and no input; its output goes
# to $work/NAME.out and $work/NAME.err. $pid is its process, as long as nothing forks in between.
start() {
	start_name=$1
	shift
	: >"$work/$start_name.out"
	: >"$work/$start_name.err"
	(exec env --default-signal=HUP,INT,QUIT,PIPE,TERM "$@" \
		</dev/null >"$work/$start_name.out" 2>"$work/$start_name.err") &
	pid=$!
	echo "$pid" >"$work/$start_name.pid"
	children="$children $pid"
}

# stop NAME [SIGNAL]: send INT, or that signal (0: none), and wait for the end, 10 seconds at most.
# $status becomes its exit status.
stop() {
	pid=$(cat "$work/$1.pid")
	[ "${2:-INT}" = 0 ] || kill "-${2:-INT}" "$pid"
	if ! wait_for 10 ended "$pid"; then
		diag "$1 does not end: killed"
		diag <"$work/$1.err"
		kill -KILL "$pid"
	fi
	wait "$pid"
	status=$?
	children=$(printf '%s\n' $children | grep -vx "$pid" | tr '\n' ' ')
}

# --- namespaces and links ----------------------------------------------------------------------

# quiet_namespace NAME: where IPv6 says nothing on its own.
quiet_namespace() {
	ip netns add "$1" || return 1
	namespaces="$namespaces $1"
	ip netns exec "$1" sh -c '
		cd /proc/sys/net/ipv6/conf/default || exit 0 # a kernel without IPv6
		echo 0 >accept_dad; echo 0 >dad_transmits; echo 0 >router_solicitations
		echo 0 >accept_ra; echo 0 >autoconf; echo 1 >addr_gen_mode'
}

# make_pair [--arp] [--queues N]: a veth pair between two namespaces of its own,
#
#	$sender   tx0  02:00:00:00:00:01  10.0.0.1/24  fd00::1/64
#	$receiver rx0  02:00:00:00:00:02  10.0.0.2/24  fd00::2/64
#
# and not a frame on it but what a test sends: neighbours are entered by hand and the links marked
# without ARP, so that no one asks, joins groups, looks for routers or duplicates. --arp: they do
# resolve addresses, and IPv6 reports its groups. rx0 has GRO on, so that generate(1)'s frames get
# through with no program attached as well.
make_pair() {
	arp=off queues=2
	while [ $# -gt 0 ]; do
		case $1 in
		--arp) arp=on ;;
		--queues) queues=$2; shift ;;
		esac
		shift
	done
	sender=$ns-a receiver=$ns-b
	quiet_namespace "$sender" && quiet_namespace "$receiver" || skip_all 'no namespaces'
	ip link add tx0 numtxqueues "$queues" numrxqueues "$queues" address 02:00:00:00:00:01 \
		netns "$sender" type veth peer name rx0 numtxqueues "$queues" numrxqueues "$queues" \
		address 02:00:00:00:00:02 netns "$receiver" || skip_all 'no veth links'
	make_end "$sender" tx0 1 2 && make_end "$receiver" rx0 2 1 || exit 1
	ip netns exec "$receiver" ethtool -K rx0 gro on
	wait_for 5 has_carrier "$sender" tx0
}

# make_end NAMESPACE LINK OWN-NUMBER OTHER-NUMBER
make_end() {
	ip -n "$1" link set lo up
	ip -n "$1" link set "$2" arp "$arp"
	ip -n "$1" address add "10.0.0.$3/24" dev "$2"
	ip -n "$1" link set "$2" up || return 1
	ip -n "$1" address add "fd00::$3/64" dev "$2" nodad || return 1
	[ "$arp" = off ] || return 0
	ip -n "$1" neighbour replace "10.0.0.$4" lladdr "02:00:00:00:00:0$4" dev "$2" nud permanent
	ip -n "$1" neighbour replace "fd00::$4" lladdr "02:00:00:00:00:0$4" dev "$2" nud permanent
}

has_carrier() {
	ip -n "$1" link show "$2" | grep -q 'state UP'
}

# on_sender COMMAND..., on_receiver COMMAND...: run it there.
on_sender() { ip netns exec "$sender" "$@"; }
on_receiver() { ip netns exec "$receiver" "$@"; }

# counter NAMESPACE LINK NAME: rx_packets, rx_bytes, tx_packets, rx_dropped ...
counter() {
	ip netns exec "$1" cat "/sys/class/net/$2/statistics/$3"
}

# has_program NAMESPACE LINK: an XDP program is attached to it.
has_program() {
	ip -n "$1" link show "$2" | grep -q 'prog/xdp'
}
has_no_program() { ! has_program "$@"; }

# --- traffic -----------------------------------------------------------------------------------

# send_hex LINE...: send each as a frame from the sender; "send_hex -N LINE..." all of them N times.
send_hex() {
	send_repeat=1
	case $1 in
	-[0-9]*) send_repeat=${1#-}; shift ;;
	esac
	printf '%s\n' "$@" | on_sender "$TESTS/send" --repeat "$send_repeat" tx0 -
}

# generate OPTION...: run the traffic generator (tests/generate.c) on the sender; $frames, $bytes,
# $sources and $lost become what it says. Its status is 3 where the ring dropped frames.
generate() {
	generate_before=$(counter "$receiver" rx0 rx_packets)
	on_sender "$TESTS/generate" "$@" tx0 >"$work/generate"
	generate_status=$?
	read_values <"$work/generate"
	# The last frames may still be in the link's ring.
	[ "$lost" != 0 ] || wait_for 5 arrived "$((generate_before + frames))"
	return "$generate_status"
}

# arrived N: rx0 has received N frames since it was made.
arrived() {
	[ "$(counter "$receiver" rx0 rx_packets)" -ge "$1" ]
}

# read_values: set a variable for each NAME=NUMBER word of standard input.
read_values() {
	# shellcheck disable=SC2046
	for word in $(cat); do
		case $word in
		frames=*) frames=${word#*=} ;;
		bytes=*) bytes=${word#*=} ;;
		sources=*) sources=${word#*=} ;;
		lost=*) lost=${word#*=} ;;
		esac
	done
}

# --- xguard ------------------------------------------------------------------------------------

# start_xguard NAME OPTION...: xguard on rx0 in the background, as start has it; returns once it has
# attached. "start_xguard_on NAMESPACE LINK NAME OPTION...": elsewhere.
start_xguard_on() {
	on_namespace=$1 on_link=$2 on_name=$3
	shift 3
	start "$on_name" ip netns exec "$on_namespace" "$XGUARD" -i "$on_link" "$@"
	await_line "$work/$on_name.err" "^xguard: attached to $on_link" && return 0
	diag "xguard did not attach: $*"
	return 1
}
start_xguard() {
	start_xguard_on "$receiver" rx0 "$@"
}

# stop_xguard NAME [SIGNAL]: as stop.
stop_xguard() { stop "$@"; }

# child_of PID: of a reader that is its guardian, of a guardian its deputy.
child_of() { ps -o pid= --ppid "$1" | tr -d ' '; }

# kill_all NAME: of a trace reader, guardian and deputy at once.
kill_all() {
	kill_reader=$(cat "$work/$1.pid")
	kill_guardian=$(child_of "$kill_reader")
	kill_deputy=$(child_of "$kill_guardian")
	kill -KILL "$kill_deputy" "$kill_guardian" "$kill_reader"
	stop "$1" 0
	wait_for 5 ended "$kill_guardian"
	wait_for 5 ended "$kill_deputy"
}

# hits FILE PATTERN: the last hits=N of the flow whose text line matches the ERE; 0 if there is none.
hits() {
	hits_last=$(grep -E -- "$2" "$1" | tail -n 1 | sed -n 's/.*hits=\([0-9]*\).*/\1/p')
	echo "${hits_last:-0}"
}
