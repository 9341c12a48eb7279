#!/bin/sh
# run.sh PORT: an OpenID provider on this port of 127.0.0.1; its issuer is http://localhost:PORT.
exec node "$(dirname "$0")/node_modules/oauth2-mock-server/dist/oauth2-mock-server.mjs" -a 127.0.0.1 -p "$1"
