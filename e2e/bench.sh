#!/usr/bin/env bash
# The figures of docs/performance.md: our release build, and beside it any other directory with the same five programs.
#
#   bench.sh [DIRECTORY ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

e2e/packages.sh
e2e/tools.sh >/dev/null
make release
# Fixtures (sentry, operator) come from the same build.
export TRILBY_BIN_DIR=${CARGO_TARGET_DIR:-$PWD/target}/release
cargo bench --locked -p trilby-e2e --bench footprint -- "$TRILBY_BIN_DIR" "$@"
cargo bench --locked -p trilby-e2e --bench invocation -- "$TRILBY_BIN_DIR/daprd" "${@/%//daprd}"
cargo bench --locked -p trilby-e2e --bench invocation -- --endurance "$TRILBY_BIN_DIR/daprd" "${@/%//daprd}"
cargo bench --locked -p trilby-sentry --bench certificates -- "$TRILBY_BIN_DIR/sentry" "${@/%//sentry}"
