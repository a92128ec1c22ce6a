#!/bin/sh
# clang-tidy finds nothing in what is compiled. A file in which it found nothing is not looked at again, by any build of
# this user, until what the compiler sees of it changes, comments included, or the rules.
# Usage: tidy.sh SOURCE_DIR BUILD_DIR
set -eu

source=$1
build=$2
if ! command -v clang-tidy >/dev/null; then
	echo 'skipped: clang-tidy is not installed'
	exit 77
fi
if [ ! -e "$build/compile_commands.json" ]; then
	echo "$build has no compile_commands.json"
	exit 1
fi
clean=${LINA_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/lina}/tidy
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$clean"
# Files that have changed since leave their marks behind.
find "$clean" -type f -mtime +30 -delete

rules=$({
	clang-tidy --version
	cat "$source/.clang-tidy" "$source/tests/.clang-tidy"
} | sha256sum)

# A file and how it is compiled, each on a line; the same file in several programs is one.
awk -F '"' '
	/^ *"command":/ { command = $0; sub(/^ *"command": "/, "", command); sub(/",?$/, "", command); sub(/ -o [^ ]+/, "", command) }
	/^ *"file":/ && !seen[$4]++ {
		gsub(/\\\\/, "\001", command); gsub(/\\"/, "\"", command); gsub(/\001/, "\\", command)
		print $4
		print command
	}
' "$build/compile_commands.json" >"$work/files"
if [ ! -s "$work/files" ]; then
	echo "$build/compile_commands.json names no file"
	exit 1
fi

# What the compiler sees, whatever folder the tree is in.
key_of() {
	sh -c "$1 -E -CC -o '$work/seen'"
	{
		echo "$rules"
		sed "s#$build##g; s#$source##g" "$work/seen"
	} | sha256sum | cut -d ' ' -f 1
}

: >"$work/todo"
while read -r file && read -r command; do
	case $file in
	"$build"/*) ;;
	"$source"/*)
		key=$(key_of "$command")
		[ -e "$clean/$key" ] || printf '%s\n%s\n' "$key" "$file" >>"$work/todo"
		;;
	esac
done <"$work/files"

# Two lines of the list are one file; what clang-tidy says comes in one piece.
failed=0
xargs -r -d '\n' -P 2 -n 2 sh -c '
	if said=$(clang-tidy -p "$0" --quiet "$3" 2>/dev/null); then
		: >"$1/$2"
	else
		printf "%s\n" "$said"
		exit 1
	fi' "$build" "$clean" <"$work/todo" || failed=1
echo "looked at $(($(wc -l <"$work/todo") / 2)) of $(($(wc -l <"$work/files") / 2)) files"
exit $failed
