#!/bin/sh
# run.sh serve PORT DIR [FLAG...]: a server of MongoDB's protocol on this port of 127.0.0.1, with its data in DIR.
# run.sh command PORT DATABASE JSON: has it carry out a command and prints the answer, both as extended JSON.
here=$(dirname "$0")
kind=$1 port=$2 what=$3
shift 3
case $kind in
serve) exec "$here/venv/bin/secantusd-py" --host 127.0.0.1 --port "$port" --storage-path "$what" --log-level WARNING "$@" ;;
command) exec "$here/venv/bin/python" "$here/command.py" "$port" "$what" "$@" ;;
*)
	echo "run.sh: serve or command" >&2
	exit 1
	;;
esac
