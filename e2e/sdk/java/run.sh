#!/bin/sh
# Compiled as it starts: one small file.
here=$(dirname "$0")
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx256m -cp "$here/lib/*" "$here/Client.java" "$@"
