#!/bin/sh
# The README's table of knobs is what lina-knobs prints. With "update" as third argument it is made so.
# Usage: knobs_in_readme.sh LINA_KNOBS README [update]
set -eu

knobs=$1
readme=$2
begin='<!-- knobs: made by lina-knobs; a test compares -->'
end='<!-- end of knobs -->'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for marker in "$begin" "$end"; do
	if [ "$(grep -cxF -- "$marker" "$readme")" -ne 1 ]; then
		echo "$readme: not exactly one line '$marker'"
		exit 1
	fi
done
"$knobs" >"$work/table"
awk -v begin="$begin" -v end="$end" -v table="$work/table" '
	$0 == end { inside = 0 }
	!inside { print }
	$0 == begin { inside = 1; while ((getline line < table) > 0) print line }
' "$readme" >"$work/readme"

if [ "${3-}" = update ]; then
	cat "$work/readme" >"$readme"
elif ! diff -u "$readme" "$work/readme"; then
	echo "the table of knobs in $readme is out of date; run: $0 $knobs $readme update"
	exit 1
fi
