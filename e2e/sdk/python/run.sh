#!/bin/sh
# The first argument is the program: client or stores.
here=$(dirname "$0")
program=$1
shift
exec "$here/venv/bin/python" "$here/$program.py" "$@"
