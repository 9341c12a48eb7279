#!/bin/sh
# run.sh FILE: a Collector with the configuration of this file.
exec "$(dirname "$0")/program" --config "$1"
