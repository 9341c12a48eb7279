#!/usr/bin/env bash
# Runs fuzz targets under libFuzzer.
#
#   run.sh TARGET SECONDS   one target, or `all` of them in turn
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[[ $# -eq 2 && $2 =~ ^[0-9]+$ ]] || {
	echo "usage: run.sh TARGET|all SECONDS" >&2
	exit 2
}
cargo +nightly fuzz --version >/dev/null || {
	echo "run.sh: cargo-fuzz and a nightly toolchain are needed: cargo install cargo-fuzz" >&2
	exit 1
}
targets=("$1")
[[ $1 != all ]] || mapfile -t targets < <(cd "$here/corpus" && printf '%s\n' *)
for target in "${targets[@]}"; do
	[[ -d $here/corpus/$target ]] || {
		echo "run.sh: there is no target $target" >&2
		exit 2
	}
	# New inputs go to a folder outside the corpus, which is read only.
	found=$here/libfuzzer/found/$target
	mkdir -p "$found"
	FUZZ_TARGET=$target cargo +nightly fuzz run --fuzz-dir "$here/libfuzzer" any \
		"$found" "$here/corpus/$target" -- -max_total_time="$2" -max_len=4096
done
