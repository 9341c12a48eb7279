#!/usr/bin/env bash
# Runs every test of the workspace, compiled once. Most of them wait more than they work, so there are two lanes: what
# needs this machine's network and cluster to itself, and everything else beside it. Doc tests come last.
#
# Each program's output is printed whole when the program has ended; one that fails stops no other.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}

programs=$(mktemp)
failed=$(mktemp)
trap 'rm -f "$programs" "$failed"' EXIT

"$cargo" build --locked --bins --workspace
# A line a program: the folder of its package, its name, itself.
"$cargo" test --workspace --locked --no-run --message-format=json-render-diagnostics |
	jq -r 'select(.reason == "compiler-artifact" and .executable != null and .profile.test)
		| [(.manifest_path | sub("/Cargo.toml$"; "")), .target.name, .executable] | @tsv' >"$programs"
[[ -s $programs ]] || {
	echo 'tests: nothing was compiled' >&2
	exit 1
}

# Runs the programs of standard input one after the other.
lane() {
	local folder name program begun output result
	output=$(mktemp)
	while IFS=$'\t' read -r folder name program; do
		begun=$SECONDS
		if (cd "$folder" && CARGO_MANIFEST_DIR=$folder exec "$program") </dev/null >"$output" 2>&1; then
			result=passed
		else
			result=FAILED
			printf '%s of %s\n' "$name" "$folder" >>"$failed"
		fi
		# One write, so that the lanes do not mix.
		{
			printf '\n--- %s of %s: %s in %ss\n' "$name" "${folder#"$PWD"/}" "$result" "$((SECONDS - begun))"
			cat "$output"
		} | flock "$programs" cat
	done
	rm -f "$output"
}

alone=$PWD/e2e$'\t'
grep -F "$alone" "$programs" | lane &
cluster=$!
grep -vF "$alone" "$programs" | lane
wait "$cluster"

"$cargo" test --workspace --locked --doc --no-fail-fast || printf 'doc tests\n' >>"$failed"

if [[ -s $failed ]]; then
	printf '\ntests: these failed:\n' >&2
	cat "$failed" >&2
	exit 1
fi
