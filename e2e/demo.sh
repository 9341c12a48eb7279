#!/usr/bin/env bash
# The main path on a real Kubernetes. `make demo` and `make demo-down` call this.
#
#   demo.sh up        install what is needed, build, start the cluster, show the path, leave it running
#   demo.sh down      remove every trace
#   demo.sh kubectl   run kubectl against the demo's own cluster; so does helm
#   demo.sh shell     a shell in its network, with kubectl and helm
#
# Environment:
#   CLUSTER=own       (default) a one-node Kubernetes in namespaces of its own, on this machine
#   CLUSTER=current   the one that kubectl points to; images are pushed to REGISTRY
#   REGISTRY=...      for CLUSTER=current: where to push to, and where that cluster pulls from
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cluster=${CLUSTER:-own}
registry=${REGISTRY:-}
programs=$(realpath -m "${CARGO_TARGET_DIR:-target}")/ci
export TRILBY_NODE_DIR=${TRILBY_NODE_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/trilby/demo}

elapsed() { printf '%dm%02ds' $((SECONDS / 60)) $((SECONDS % 60)); }
stage() { printf '\n==> %s (%s)\n' "$*" "$(elapsed)"; }
# $1: what is wrong, $2: what to do about it.
die() {
	printf '\ndemo: %s\ndemo: %s\n' "$1" "$2" >&2
	exit 1
}

check_arguments() {
	case $cluster in
	own) ;;
	current)
		[[ -n $registry ]] || die "CLUSTER=current needs a registry that the cluster can pull from" \
			"run: make demo CLUSTER=current REGISTRY=registry.example/trilby"
		;;
	*) die "CLUSTER is '$cluster'" "it is 'own' (the default) or 'current'" ;;
	esac
	[[ $cluster == current || -z $registry ]] || die "REGISTRY is only for CLUSTER=current" \
		"run: make demo CLUSTER=current REGISTRY=$registry"
}

# What would otherwise be found out only after minutes of building.
check_machine() {
	[[ $(uname -s) == Linux ]] || die "this is $(uname -s), not Linux" "use a Linux machine"
	[[ $cluster == current ]] || ((EUID == 0)) ||
		die "a cluster of its own needs root, for namespaces, mounts and packages" \
			"run it as root, or use a cluster that you have: make demo CLUSTER=current REGISTRY=..."
	command -v cargo >/dev/null || die "cargo is not on the PATH" "install Rust: https://rustup.rs"
	[[ $cluster == own ]] || return 0
	command -v go >/dev/null || die "the Go toolchain is missing; Kubernetes is built with it, once" \
		"install Go 1.26 or later (https://go.dev/dl) and put 'go' on the PATH"
	local controller
	for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
		grep -qE " cgroup [^ ]+ [^ ]*\b$controller\b" <(sed 's/.* - //; s/^/ /' /proc/self/mountinfo) ||
			die "the cgroup controller $controller is not mounted in a version 1 hierarchy, as a node here needs it" \
				"use a cluster that you have (make demo CLUSTER=current REGISTRY=...), or see e2e/README.md for machines that will do"
	done
}

install_packages() {
	if [[ $cluster == own ]]; then
		e2e/packages.sh
		return
	fi
	local package
	for package in redis-server:redis-server python3:python3 skopeo:skopeo; do
		command -v "${package%%:*}" >/dev/null && continue
		((EUID == 0)) || die "${package%%:*} is not installed" "install the package ${package#*:}"
		apt-get install -y -qq --no-install-recommends "${package#*:}" >&2 ||
			die "the package ${package#*:} cannot be installed" "install it another way"
	done
}

# For a cluster of somebody's own, the kubectl and helm of this machine will do, and save building Kubernetes.
prepare_tools() {
	if [[ $cluster == current ]] && command -v kubectl >/dev/null && command -v helm >/dev/null; then
		tools=$(mktemp -d)
		trap 'rm -rf "$tools"' EXIT
		ln -s "$(command -v kubectl)" "$(command -v helm)" "$tools"
		export TRILBY_K8S_BIN=$tools
	else
		e2e/tools.sh >/dev/null
	fi
}

build() {
	make build
	cargo build --locked --profile ci --bin demo --bin testkit-node
}

built() {
	[[ -x $programs/demo && -x $programs/testkit-node ]] ||
		die "there is no demo: its programs are not built" "run: make demo"
}

up() {
	trap 'printf "\ndemo: interrupted; make demo-down removes what runs\n" >&2; exit 130' INT TERM
	check_arguments
	stage "1 of 5: looking at this machine"
	check_machine
	stage "2 of 5: packages"
	install_packages
	stage "3 of 5: Kubernetes' programs"
	prepare_tools
	stage "4 of 5: our programs"
	build
	stage "5 of 5: the main path"
	"$programs/demo" up --cluster "$cluster" --registry "$registry" --elapsed "$SECONDS"
}

down() {
	check_arguments
	if [[ ! -x $programs/demo ]]; then
		[[ $cluster == own && ! -e $TRILBY_NODE_DIR ]] || build
	fi
	if [[ -x $programs/demo ]]; then
		prepare_tools
		"$programs/demo" down --cluster "$cluster" --registry "$registry"
	fi
}

case ${1:-} in
up) up ;;
down) down ;;
kubectl | helm)
	built
	exec "$programs/testkit-node" "$@"
	;;
shell)
	built
	PATH="$(e2e/tools.sh --print-dir):$PATH" exec "$programs/testkit-node" exec "${SHELL:-bash}"
	;;
*) die "unknown argument '${1:-}'" "it is up, down, kubectl, helm or shell" ;;
esac
