#!/bin/sh
# The release preset, which is optimised across files and is what users install, builds without a warning; its module has
# the exports of the map and needs no newer C library than it says.
# Usage: release.sh SOURCE_DIR WORK_DIR CC FLOOR
set -eu

source=$1
build=$2 # kept: the next run builds what has changed
cc=$3
floor=$4

mkdir -p "$build"
if ! (cd "$source" && cmake --preset release -B "$build" -DCMAKE_C_COMPILER="$cc" -DLINA_WERROR=ON) >"$build/log" 2>&1 ||
	! cmake --build "$build" -j "$(nproc)" --target nccl-net-lina >>"$build/log" 2>&1; then
	cat "$build/log"
	exit 1
fi
sed -n 's/^-- LINA_LTO/LINA_LTO/p' "$build/log"
"$source/tests/unit/tree/exports.sh" "$build/plugin/libnccl-net-lina.so" "$source/plugin/exports.map"
"$source/tests/check/floor.sh" "$build/plugin/libnccl-net-lina.so" "$floor"
