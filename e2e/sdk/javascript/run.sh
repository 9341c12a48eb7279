#!/bin/sh
# The first argument is the program: client or stores.
program=$1
shift
exec node "$(dirname "$0")/$program.mjs" "$@"
