#!/bin/sh
exec "$(dirname "$0")/program" "$@"
