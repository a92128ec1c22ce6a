#!/bin/sh
# A program in C++ finds every function of liblina by the name that the library has it under.
# Usage: cplusplus.sh SOURCE_DIR MAP INCLUDE_DIR...     folders of nccl.h and cuda_runtime.h
set -eu

source=$1
map=$2
shift 2
if ! command -v c++ >/dev/null || ! command -v nm >/dev/null; then
	echo 'skipped: no C++ compiler'
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
system=
for dir in "$@"; do system="$system -isystem $dir"; done

sed -n 's/^[[:space:]]*\(lina_[a-z0-9_]*\);$/\1/p' "$map" | sort >"$work/wanted"
[ -s "$work/wanted" ] || { echo "$map names no function"; exit 1; }
{
	for header in lina lina_sched lina_sparse plan_io; do echo "#include <collectives/$header.h>"; done
	echo 'extern void (*const all[])();'
	echo 'void (*const all[])() = {'
	sed 's/.*/reinterpret_cast<void (*)()>(&),/' "$work/wanted"
	echo '};'
} >"$work/all.cc"
c++ -std=c++14 -Wall -Wextra -Werror -Wno-cast-function-type -I"$source" $system -c -o "$work/all.o" "$work/all.cc"
nm -u "$work/all.o" | awk '{ print $2 }' | grep lina_ | sort >"$work/seen"
diff "$work/wanted" "$work/seen" || { echo 'these are not looked for under their names'; exit 1; }
