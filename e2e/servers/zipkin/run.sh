#!/bin/sh
# run.sh PORT: a Zipkin server on this port of 127.0.0.1, with spans in memory.
export STORAGE_TYPE=mem
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx256m -jar "$(dirname "$0")/lib/zipkin-server-3.4.4-exec.jar" \
	"--armeria.ports[0].ip=127.0.0.1" "--armeria.ports[0].port=$1" "--armeria.ports[0].protocols[0]=http"
