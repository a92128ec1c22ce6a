#!/bin/sh
# The symbols that a library exports are those of its export map, no more and no less.
# Usage: exports.sh LIBRARY MAP
set -eu

library=$1
map=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

nm -D --defined-only "$library" | awk '{ print $NF }' | sed 's/@.*//' | sort >"$work/library"
awk '/^global:/ { on = 1; next } /^local:/ { on = 0 } on { gsub(/[; \t]/, ""); if ($0 != "") print }' "$map" |
	sort >"$work/map"
if [ ! -s "$work/map" ]; then
	echo "$map: no symbol under 'global:'"
	exit 1
fi
if ! diff -u --label "$map" --label "$library" "$work/map" "$work/library"; then
	echo "$library does not export what $map says"
	exit 1
fi
echo "$(wc -l <"$work/map") symbols: $(tr '\n' ' ' <"$work/map")"
