#!/usr/bin/env bash
# Installs what the tests put around a sidecar and Debian does not have: clients made with the official SDKs, and servers.
# A peer is a directory below this one. Its lock file says how it is made, and its run.sh how it starts. Each is made once,
# in a directory of a cache outside the checkout that is named for what it is made from, so a changed pin is a new directory.
#
#   peers.sh                   install what is missing
#   peers.sh --print-dir PEER  print the directory of PEER (sdk/go, servers/zipkin, ...), install nothing
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=(sdk/{python,go,javascript,java} servers/{collector,kafka,mongodb,oidc,openbao,redis-modules,zipkin})
limit=15m # for one peer, on a slow network

say() { printf 'peers: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

# What makes the peer in $1, and its version: a compiled program or a virtual environment does not survive a change of it.
maker() {
	if [[ -e $1/go.mod ]]; then
		go env GOVERSION GOOS GOARCH
	elif [[ -e $1/requirements.txt ]]; then
		python3 --version
	elif [[ -e $1/package-lock.json ]]; then
		node --version
	elif [[ -e $1/pom.xml ]]; then
		printf 'java 17 or later\n'
	else
		die "$1 has no lock file"
	fi
}

# Where peer $1 is, or will be.
directory() {
	local key
	[[ -e $here/$1/run.sh ]] || die "there is no peer '$1'"
	key=$({
		declare -f make_peer
		cd "$here/$1" && find . -type f | sort | xargs sha256sum
		maker .
	} | sha256sum | cut -c1-16)
	printf '%s/%s-%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}/trilby/peers" "$1" "$key"
}

# Makes the peer in the current directory, which holds a copy of its files. Its steps are chained: its caller asks for its
# status, which turns off errexit.
make_peer() {
	if [[ -e go.mod ]]; then
		CGO_ENABLED=0 timeout "$limit" go build -trimpath -buildvcs=false -ldflags '-s -w' -o program .
	elif [[ -e package-lock.json ]]; then
		timeout "$limit" npm ci --silent --no-audit --no-fund --ignore-scripts
	elif [[ -e pom.xml ]]; then
		timeout "$limit" mvn --quiet --batch-mode -Dstyle.color=never dependency:copy-dependencies -DoutputDirectory=lib -DincludeScope=runtime &&
			sha256sum --quiet --check jars.sha256
	else
		python3 -m venv venv &&
			timeout "$limit" venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps \
				-r requirements.txt
	fi
}

# The directory is where it stays from the start, since a virtual environment knows its own path.
install_peer() {
	local peer=$1 to=$2 began=$SECONDS
	mkdir -p "${to%/*}"
	exec 9>"$to.lock"
	flock -w 3600 9 || die "another installation of $peer does not end: see who holds $to.lock"
	[[ ! -e $to/complete ]] || return 0
	rm -rf "$to" # left by a killed installation: only the holder of the lock installs
	cp -r "$here/$peer" "$to"
	(cd "$to" && make_peer) >&2 || die "$peer could not be installed"
	touch "$to/complete"
	say "$peer ($((SECONDS - began))s)"
}

case ${1:-} in
--print-dir) directory "${2:?the name of a peer}" ;;
'')
	for program in go java mvn node npm python3; do
		command -v "$program" >/dev/null || die "$program is missing: install Go 1.26 or later, and run e2e/packages.sh as root"
	done
	for peer in "${peers[@]}"; do
		to=$(directory "$peer")
		[[ -e $to/complete ]] || install_peer "$peer" "$to"
	done
	;;
*) die "unknown argument '$1': none or --print-dir" ;;
esac
