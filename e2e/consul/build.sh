#!/usr/bin/env bash
# Builds Consul's agent as go.mod here pins it, once, into a cache outside the checkout, and prints the directory that
# holds it. Apart from tools.sh, so that neither's change builds the other again.
#
#   build.sh              build it if it is missing, print the directory on stdout (progress goes to stderr)
#   build.sh --print-dir  print the directory, build nothing
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lock_wait_seconds=1800 # longer than a build on two slow cores

say() { printf 'consul: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

command -v go >/dev/null || die "the Go toolchain is missing: install Go 1.26 or later (https://go.dev/dl) and put 'go' on the PATH"

key() {
	{
		(cd "$here" && sha256sum go.mod go.sum build.sh main.go discover/go.mod discover/*.go discover/provider/k8s/*.go)
		(cd "$here" && go env GOVERSION GOOS GOARCH)
	} | sha256sum | cut -c1-16
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/trilby/consul
bin=$cache/$(key)

case ${1:-} in
--print-dir)
	printf '%s\n' "$bin"
	exit 0
	;;
'') ;;
*) die "unknown argument '$1': none or --print-dir" ;;
esac

if [[ ! -d $bin ]]; then
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock -w "$lock_wait_seconds" 9 || die "another build still runs after $lock_wait_seconds s: see who holds $cache/lock"
fi
if [[ ! -d $bin ]]; then
	say "building the agent: two to three minutes on two cores, once"
	rm -rf "$cache"/work.* # left by a killed build: only the holder of the lock builds
	work=$(mktemp -d "$cache/work.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	(cd "$here" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$work/consul" .) >&2 ||
		die "go build failed"
	chmod 755 "$work"
	mv -T "$work" "$bin"
	trap - EXIT
	say "it is in $bin (${SECONDS} s)"
fi
printf '%s\n' "$bin"
