#!/bin/sh
# Every header of the product compiles alone, and twice in one file.
# Usage: headers.sh SOURCE_DIR [-isystem DIR]... COMPILER...     compilers that are missing are said so; one must be there
# Those that include NCCL's are left out, and said so, where no DIR is given.
set -eu

cd "$1"
shift
system=
while [ "$1" = -isystem ]; do
	system="$system -isystem $2"
	shift 2
done
nused=0
failed=0
headers=$(find plugin collectives priority topology -name '*.h' | sort)
if [ -z "$system" ]; then
	with_nccl=$(printf '%s\n' $headers | xargs grep -lE '#include (<nccl.h>|<cuda_runtime.h>|"collectives/(lina|error|a2a).h")')
	echo "not checked, since there is no NCCL:" $with_nccl
	headers=$(printf '%s\n' $headers | grep -vxF "$with_nccl")
fi
for cc in "$@"; do
	if ! command -v "$cc" >/dev/null; then
		echo "not checked with $cc: not installed"
		continue
	fi
	nused=$((nused + 1))
	for header in $headers; do
		if ! printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
			"$cc" -std=c11 -D_GNU_SOURCE -I. $system -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Werror \
				-fsyntax-only -x c -; then
			echo "$header does not compile alone with $cc"
			failed=1
		fi
	done
done
if [ $nused -eq 0 ]; then
	echo "none of the compilers is installed: $*"
	exit 1
fi
[ $failed -ne 0 ] || echo "$(echo "$headers" | wc -l) headers, $nused compilers"
exit $failed
