#!/bin/sh
# The first argument is the program: client or stores. Compiled as it starts: one small file.
here=$(dirname "$0")
case $1 in
client) program=Client ;;
stores) program=Stores ;;
*)
	echo "unknown program '$1'" >&2
	exit 2
	;;
esac
shift
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx256m -cp "$here/lib/*" "$here/$program.java" "$@"
