#!/bin/sh
# A shared object needs no newer C library than it says, so that containers with an older one can load it.
# Usage: floor.sh OBJECT VERSION
set -eu

object=$1
floor=$2
needed=$(objdump -T "$object" | grep -oE 'GLIBC_[0-9.]+' | sort -u | sed 's/GLIBC_//' | sort -V)
if [ -z "$needed" ]; then
	echo "$object names no version of the C library"
	exit 1
fi
newest=$(echo "$needed" | tail -n 1)
if [ "$(printf '%s\n%s\n' "$newest" "$floor" | sort -V | tail -n 1)" != "$floor" ]; then
	echo "$object needs glibc $newest, more than $floor, for:"
	objdump -T "$object" | grep -F "GLIBC_$newest"
	exit 1
fi
echo "needs glibc $newest"
