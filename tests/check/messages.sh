#!/bin/sh
# plugin/MESSAGES.md has a row for every warning in the plugin's sources, and none for one that is no more.
# Usage: messages.sh SOURCE_DIR
set -eu

cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Formats of lina_warn and lina_warn_once, literals joined, conversions as three dots.
awk '
	/lina_warn(_once)?\(/ && !/#define/ { call = ""; inside = 1 }
	inside { call = call $0; if (/\);/) { print call; inside = 0 } }' plugin/*.c |
	sed -E 's/.*lina_warn(_once)?\([^"]*//
		:join; s/^("([^"\\]|\\.)*)"[[:space:]]*"/\1/; t join
		s/^("([^"\\]|\\.)*)"[[:space:]]*(PRI[a-z0-9]+|LINA_[A-Z_]+)[[:space:]]*"/\1.../; t join
		s/^"(([^"\\]|\\.)*)".*/\1/
		s/%\.\.\./.../g; s/%[-0-9.*]*(z|l|ll)?[a-z]/.../g; s/(\.\.\.)+/.../g' |
	grep -vxF ... | sort -u >"$work/said"
sed -nE 's/^\| `([^`]+)` \|.*/\1/p' plugin/MESSAGES.md | sort >"$work/explained"
if [ "$(wc -l <"$work/said")" -lt 10 ]; then
	echo 'hardly any message was found in the sources: has lina_warn another name?'
	exit 1
fi
diff -u --label 'in the sources' --label plugin/MESSAGES.md "$work/said" "$work/explained"
