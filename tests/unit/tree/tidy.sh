#!/bin/sh
# clang-tidy finds nothing in what is compiled. A file whose last run found nothing is not looked at again until it, a
# header, the rules or its command change.
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
clean=$build/tidy
mkdir -p "$clean"

# What every file depends on; a change of any header looks at all again, which is rare enough.
common=$({
	clang-tidy --version
	cat "$source/.clang-tidy"
	find "$source/plugin" "$source/collectives" "$source/priority" "$source/topology" "$source/tests" "$source/perf" \
		-name '*.[h]' -exec cat {} +
} | sha256sum)

key_of() {
	{
		echo "$common"
		cat "$1"
	} | sha256sum | cut -d ' ' -f 1
}

sed -nE 's/^ *"file": "(.*)",?$/\1/p' "$build/compile_commands.json" | sort -u >"$clean/files"
if [ ! -s "$clean/files" ]; then
	echo "$build/compile_commands.json names no file"
	exit 1
fi
: >"$clean/todo"
while read -r file; do
	case $file in
	"$build"/*) ;;
	"$source"/*)
		key=$(key_of "$file")
		[ -e "$clean/$key" ] || printf '%s\n%s\n' "$key" "$file" >>"$clean/todo"
		;;
	esac
done <"$clean/files"

# Two lines of the list are one file; what clang-tidy says comes in one piece.
failed=0
xargs -r -d '\n' -P 2 -n 2 sh -c '
	if said=$(clang-tidy -p "$0" --quiet "$2" 2>/dev/null); then
		: >"$0/tidy/$1"
	else
		printf "%s\n" "$said"
		exit 1
	fi' "$build" <"$clean/todo" || failed=1
echo "looked at $(($(wc -l <"$clean/todo") / 2)) of $(wc -l <"$clean/files") files"
exit $failed
