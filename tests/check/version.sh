#!/bin/sh
# A program says which release it is.
# Usage: version.sh PROGRAM VERSION
set -eu

for option in --version -V; do
	said=$("$1" $option)
	[ "$said" = "${1##*/} $2" ] || {
		echo "$1 $option says '$said', not '${1##*/} $2'"
		exit 1
	}
done
