#!/bin/sh
# run.sh PROPERTIES: a Kafka server with the settings of this file, on the files below its directory, which are made when it
# has none. USERS are users of SCRAM that it knows from the start, as arguments of kafka.tools.StorageTool.
run() {
	java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx512m -cp "$(dirname "$0")/lib/*" "$@"
}
# shellcheck disable=SC2086 # USERS are several arguments
[ -e "$(dirname "$1")/data/meta.properties" ] ||
	run kafka.tools.StorageTool format -t AAAAAAAAAAAAAAAAAAAAAQ -c "$1" $USERS || exit
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx512m -cp "$(dirname "$0")/lib/*" kafka.Kafka "$1"
