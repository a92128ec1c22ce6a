#!/bin/sh
# A program's manual page has every option that its --help has and no other, and is without fault.
# Usage: man.sh PAGE [PROGRAM]
set -eu

page=$1
program=${2-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -n "$program" ]; then
	"$program" --help | grep -oE -- '--[a-z][a-z-]+' | sort -u | grep -vxE -- '--(help|usage|version)' >"$work/help"
	grep -oE -- '(Fl|,) -[a-z][a-z-]+' "$page" | sed 's/.* -/--/' | sort -u | grep -vx -- --version >"$work/page"
	diff -u --label "$program --help" --label "$page" "$work/help" "$work/page"
fi
if ! command -v mandoc >/dev/null; then
	echo 'skipped: mandoc is not installed'
	exit 77
fi
# References to pages of the same package that this machine does not have installed are none of its business.
said=$(mandoc -T lint -W warning "$page" 2>&1 | grep -v 'referenced manual not found' || true)
if [ -n "$said" ]; then
	echo "$said"
	exit 1
fi
