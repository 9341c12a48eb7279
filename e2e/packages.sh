#!/usr/bin/env bash
# Installs, from Debian, the programs that a one-node cluster and the tests use beside those of tools.sh.
# Only what is missing is installed, and no service is started.
#
#   packages.sh           install what is missing
#   packages.sh --check   name what is missing and fail, install nothing
set -euo pipefail

# One package a line, with what it is for.
packages=(
	ca-certificates            # roots for the service images
	containerd                 # runs the pods
	containernetworking-plugins # their network: bridge, host-local, loopback, portmap
	iproute2                   # the node's interfaces
	iptables                   # host ports of pods
	jq                         # the schema of the chart's values, the programs of the tests
	mariadb-server             # state store of the tests
	memcached                  # state store of the tests
	mount                      # the node's mounts
	nftables                   # kube-proxy
	postgresql                 # state store of the tests
	prometheus                 # scrapes the metrics of the tests
	python3                    # the example apps' image
	python3-venv               # the SDK for Python
	rabbitmq-server            # broker of the tests
	redis-server               # state store of the tests and of the demo
	runc                       # runs the containers
	shellcheck                 # checks the scripts
	util-linux                 # unshare, nsenter
)

die() {
	printf 'packages: %s\n' "$*" >&2
	exit 1
}

command -v dpkg-query >/dev/null ||
	die "this is no Debian system; install the equivalents of: ${packages[*]}"

# Programs that may well come from elsewhere: their packages are needed only where the program is missing.
elsewhere=(
	java:openjdk-17-jdk-headless # the SDK for Java, and Zipkin
	mvn:maven                    # fetches them
	node:nodejs                  # the SDK for JavaScript, and the OpenID provider
	npm:npm                      # fetches them
)
for entry in "${elsewhere[@]}"; do
	command -v "${entry%%:*}" >/dev/null || packages+=("${entry#*:}")
done

missing=()
for package in "${packages[@]}"; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[[ $state == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
	exit 0
fi
case ${1:-} in
--check) die "missing: ${missing[*]}: run e2e/packages.sh as root" ;;
'') ;;
*) die "unknown argument '$1': none or --check" ;;
esac
((EUID == 0)) || die "missing: ${missing[*]}: installing them needs root"

# Debian starts the services it installs (containerd, redis) unless this file says no.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi

printf 'packages: installing %s\n' "${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2 || die "apt-get update failed"
apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 || die "apt-get install failed"
