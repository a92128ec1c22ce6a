#!/bin/sh
# For each command that the manual page of lina-plan describes, the page has every option that its --help has, and no
# other; options of records are described once for all commands.
# Usage: man.sh LINA_PLAN PAGE
set -eu

plan=$1
page=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
section() { awk -v name="$1" '/^\.S[hs]/ { on = $0 == ".Ss " name } on' "$page"; }
options() { grep -oE -- '(Fl|,) -[a-z][a-z-]+ ?(Ns|$)' | sed -E 's/.* -([a-z-]+).*/--\1/' | sort -u; }

section 'Records of routing' | grep '^\.It' | options >"$work/records"
failed=0
commands=$(awk '/^\.Sh/ { on = $2 == "COMMANDS" } on && /^\.Ss/ { print $2 }' "$page")
for command in $commands; do
	"$plan" "$command" --help | grep -oE -- '^ +(-[a-zA-Z], +)?--[a-z][a-z-]+' | grep -oE -- '--[a-z-]+' |
		sort -u | grep -vxE -- '--(help|usage|version)' >"$work/help"
	section "$command" | grep '^\.It' | options >"$work/page"
	if "$plan" "$command" --help | grep -q -- --only=; then
		sort -u "$work/page" "$work/records" -o "$work/page"
	fi
	diff -u --label "$command --help" --label "$page" "$work/help" "$work/page" || failed=1
done
echo "$(echo "$commands" | wc -w) commands"
exit $failed
