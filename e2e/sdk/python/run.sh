#!/bin/sh
here=$(dirname "$0")
exec "$here/venv/bin/python" "$here/client.py" "$@"
