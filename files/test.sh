#!/bin/sh
# SPDX-License-Identifier: MIT
# What OpenWrt's CI runs once the package is installed in a container of each architecture, where neither procd nor ubus
# is: the binary checks a configuration, reports a refused connection, and keeps two directories in sync.
# Usage: test.sh NAME VERSION. In a feed, copy it to the directory of the package's Makefile.
# Output stays visible: no `grep -q`.
set -eu

work=$(mktemp -d)
pids=
finish() {
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	wait
	rm -rf "$work"
}
trap finish EXIT
fail() {
	echo "FAILED: $*"
	cat "$work"/*.log 2>/dev/null || true
	exit 1
}
# Waits until a command succeeds, at most a minute: what is emulated is slow.
within_a_minute() {
	for _ in $(seq 60); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 1
	done
	fail "waited a minute for: $*"
}

owsync --version | grep -F "$2"

# A configuration is checked, with all errors at once, and without being put in force.
printf 'sync_dir=%s\ninclude=*\nplain_mode=1\npeer=127.0.0.1:1\n' "$work" >"$work/good.conf"
owsync check -c "$work/good.conf"
printf 'sync_dir=%s\nbind_host=\n[share one]\ndir=relative\nsymlinks=perhaps\n' "$work" >"$work/bad.conf"
if owsync check -c "$work/bad.conf" >"$work/errors" 2>&1; then fail "a wrong configuration is taken"; fi
cat "$work/errors"
grep symlinks "$work/errors"

# Nothing listens there: connect ends, and fails.
mkdir "$work/alone"
status=0
timeout 60 owsync connect 127.0.0.1:1 --plain --dir "$work/alone" --db "$work/alone.db" -i '*' || status=$?
[ "$status" = 1 ] || fail "a refused connection ended with $status"

# Two daemons with one key. The kernel chooses the ports: others may be testing on this machine.
node() {
	mkdir "$work/$1"
	printf 'sync_dir=%s\ndatabase=%s\nkey_file=%s\ninclude=*\nbind_host=127.0.0.1\nport=0\n' "$work/$1" "$work/$1.db" "$work/key" >"$work/$1.conf"
	[ -z "${2-}" ] || echo "peer=127.0.0.1:$2" >>"$work/$1.conf"
	owsync daemon -f -c "$work/$1.conf" >"$work/$1.log" 2>&1 &
	pids="$pids $!"
	within_a_minute owsync shares -c "$work/$1.conf"
}
same() { cmp -s "$work/one/$1" "$work/two/$1"; }
gone() { [ ! -e "$work/one/$1" ] && [ ! -e "$work/two/$1" ]; }

(umask 077 && owsync genkey >"$work/key")
node one
port=$(owsync status --json -c "$work/one.conf" | grep -o '"127\.0\.0\.1:[0-9]*"' | head -n 1 | tr -dc '0-9:' | cut -d : -f 2)
node two "$port"

# A large file, so that it comes in pieces, with every byte value in it.
head -c 3000000 /dev/urandom >"$work/one/large"
echo small >"$work/two/small"
chmod 0640 "$work/two/small"
within_a_minute same large
within_a_minute same small
ls -l "$work/one"
[ -n "$(find "$work/one/small" -perm 640)" ] || fail "the mode was not synced"
rm "$work/one/small"
within_a_minute gone small
within_a_minute owsync status -c "$work/two.conf"

# They end when they get SIGTERM.
for pid in $pids; do
	kill "$pid"
	wait "$pid" || fail "the daemon ended with $?"
done
pids=
echo "owsync $2 works"
