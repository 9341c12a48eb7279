#!/bin/sh
exec node "$(dirname "$0")/client.mjs" "$@"
