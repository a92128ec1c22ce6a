#!/bin/sh
# A release of NCCL whose device layouts are not known is refused at compile time, by its version.
# Usage: test_unknown_release.sh COMPILER FOLDER      FOLDER: of nccl_abi.h
set -eu
compiler=$1
folder=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Compiles nccl_abi.h against an nccl.h of version code $1; what the compiler says goes to $work/out.
compile() {
	printf '#define NCCL_VERSION_CODE %s\n' "$1" >"$work/nccl.h"
	printf '#include "nccl_abi.h"\n' >"$work/try.c"
	"$compiler" -std=c11 -I"$work" -I"$folder" -fsyntax-only "$work/try.c" >"$work/out" 2>&1
}

for known in 22907 22203; do
	compile "$known" || { cat "$work/out"; echo "FAIL: $known is refused"; exit 1; }
done
for unknown in 22906 23004; do
	! compile "$unknown" || { echo "FAIL: $unknown is accepted"; exit 1; }
	grep -q "NCCL_VERSION_CODE $unknown" "$work/out" || { cat "$work/out"; echo "FAIL: no version"; exit 1; }
	grep -q "known are 2.29.7 and 2.22.3" "$work/out" || { cat "$work/out"; echo "FAIL: no reason"; exit 1; }
done
