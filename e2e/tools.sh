#!/usr/bin/env bash
# Builds the programs of Kubernetes that go.mod pins, once, into a cache outside the checkout, and prints the directory
# that holds them. The directory is named for what they are built from, so a changed pin is a new directory.
#
#   tools.sh              build what is missing, print the directory on stdout (progress goes to stderr)
#   tools.sh --print-dir  print the directory, build nothing
#   tools.sh --check      succeed if everything is built
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kubernetes_version=v1.35.0
helm_version=v3.19.4
lock_wait_seconds=3600 # longer than a build from nothing on two slow cores

say() { printf 'tools: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}
elapsed() { printf '%dm%02ds' $((SECONDS / 60)) $((SECONDS % 60)); }

command -v go >/dev/null || die "the Go toolchain is missing: install Go 1.26 or later (https://go.dev/dl) and put 'go' on the PATH"

key() {
	{
		(cd "$here" && sha256sum go.mod go.sum tools.sh coredns/*.go pause/*.go)
		(cd "$here" && go env GOVERSION GOOS GOARCH)
	} | sha256sum | cut -c1-16
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/trilby/k8s
home=$cache/$(key)
bin=$home/bin

case ${1:-} in
--print-dir)
	printf '%s\n' "$bin"
	exit 0
	;;
--check)
	[[ -d $bin ]] || die "not built yet: run e2e/tools.sh"
	exit 0
	;;
'') ;;
*) die "unknown argument '$1': none, --print-dir or --check" ;;
esac

# $1: what, for the progress lines; $2: where to (a directory, or a file for one program); the rest: packages.
build() {
	local what=$1 output=$2 total log compiler next_line=$SECONDS status=0
	shift 2
	say "$what: resolving ($(elapsed))"
	log=$(mktemp "$work/build.XXXXXX")
	total=$(cd "$here" && CGO_ENABLED=0 go list -deps "$@" 2>"$log" | wc -l) ||
		{ cat "$log" >&2; die "$what: go list failed"; }
	(
		cd "$here"
		CGO_ENABLED=0 exec go build -v -trimpath -buildvcs=false -ldflags "$ldflags" -o "$output" "$@"
	) 2>"$log" &
	compiler=$!
	while kill -0 "$compiler" 2>/dev/null; do
		if ((SECONDS >= next_line)); then
			say "$what: $(wc -l <"$log") of at most $total packages compiled ($(elapsed))"
			next_line=$((SECONDS + 15))
		fi
		sleep 1
	done
	wait "$compiler" || status=$?
	if ((status != 0)); then
		grep -v '^[a-z0-9./_-]*$' "$log" >&2 || tail -n 20 "$log" >&2
		die "$what: go build failed with status $status"
	fi
	say "$what: done ($(elapsed))"
}

ldflags="-s -w"
ldflags+=" -X k8s.io/component-base/version.gitVersion=$kubernetes_version"
ldflags+=" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35"
ldflags+=" -X helm.sh/helm/v3/internal/version.version=$helm_version"
ldflags+=" -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=35"
ldflags+=" -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=35"

if [[ ! -d $bin ]]; then
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	if ! flock -n 9; then
		say "another build is running; waiting for it"
		flock -w "$lock_wait_seconds" 9 || die "the other build still runs after $lock_wait_seconds s: see who holds $cache/lock"
	fi
fi
if [[ ! -d $bin ]]; then
	say "building Kubernetes $kubernetes_version, etcd, helm $helm_version and CoreDNS: 5 to 12 minutes on two cores, once"
	rm -rf "$cache"/work.* # left by a killed build: only the holder of the lock builds
	work=$(mktemp -d "$cache/work.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	mkdir "$work/bin"
	build etcd "$work/bin/etcd" go.etcd.io/etcd/server/v3
	build kubernetes "$work/bin/" k8s.io/kubernetes/cmd/{kubectl,kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy}
	build helm "$work/bin/" helm.sh/helm/v3/cmd/helm
	build coredns "$work/bin/coredns" ./coredns
	build pause "$work/bin/pause" ./pause
	mkdir -p "$home"
	mv -T "$work/bin" "$bin"
	say "all programs are in $bin ($(elapsed))"
fi
printf '%s\n' "$bin"
