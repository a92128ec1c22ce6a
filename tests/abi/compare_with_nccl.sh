#!/bin/sh
# Compares our declarations of NCCL's net, profiler and tuner ABIs with those in NCCL's source: size of every type, offset and type of every
# field and slot, value of every constant, for the versions which that release of NCCL has.
# Usage: compare_with_nccl.sh CXX OUR_SOURCE [NCCL_SOURCE]
set -eu

cxx=$1
ours=$2
nccl=${3-}
here=$(cd "$(dirname "$0")" && pwd)

if [ -z "$nccl" ]; then
	echo 'skipped: no NCCL source given (configure with -DLINA_NCCL_SOURCE=<path of its repository>)'
	exit 77
fi
if ! command -v "$cxx" >/dev/null; then
	echo "skipped: no C++ compiler '$cxx', which NCCL's headers need"
	exit 77
fi
include=$nccl/src/include
if [ ! -e "$include/plugin/nccl_net.h" ]; then
	header=nccl_net.h
	tuner=nccl_tuner.h
	profiler=''
	sources="$include/nccl_net.h $include/nccl_tuner.h"
	[ -e "$include/$header" ] || { echo "$nccl: no NCCL source: it lacks src/include/nccl_net.h"; exit 1; }
else
	header=plugin/nccl_net.h
	tuner=plugin/nccl_tuner.h
	profiler=plugin/nccl_profiler.h
	sources=$(find "$include/plugin" -name 'net_v*.h' -o -name 'profiler_v*.h' -o -name 'tuner_v*.h')
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/stand-in"

# nccl.h is made by NCCL's build; what it wants of CUDA does not touch the net ABI.
sed -e 's/\${nccl:Major}/2/; s/\${nccl:Minor}/0/; s/\${nccl:Patch}/0/; s/\${nccl:Suffix}//; s/\${nccl:Version}/20000/' \
	"$nccl/src/nccl.h.in" >"$work/stand-in/nccl.h"
echo 'typedef struct CUstream_st *cudaStream_t;' >"$work/stand-in/cuda_runtime.h"
: >"$work/stand-in/cuda_fp16.h"
printf '#include <sys/types.h>\ntypedef pid_t ncclPid_t;\n' >"$work/stand-in/os.h"

# The rows whose type or constant this release has.
cat $sources "$include/$header" ${profiler:+"$include/$profiler"} "$include/$tuner" "$work/stand-in/nccl.h" "$include/nccl_common.h" \
	"$(find "$include" -name net_device.h | head -n 1)" >"$work/theirs.h"
values=$(cat "$ours"/plugin/nccl_abi/net.h "$ours"/plugin/nccl_abi/profiler.h "$ours"/plugin/nccl_abi/tuner.h \
	"$ours"/plugin/nccl_abi/common.h |
	grep -oE '#define NCCL_[A-Z0-9_]+ +[-(0-9]|\<(nccl[A-Z][A-Za-z]+|NCCL_[A-Z_]+) = |ncclProfilerNetEvent[A-Za-z]+' |
	sed 's/^#define //; s/ .*//' | sort -u)
for value in $values; do
	! grep -qw "$value" "$work/theirs.h" || echo "LAYOUT_VALUE($value)"
done >"$work/layout_rows.def"
cat "$ours"/plugin/nccl_abi/*_layout.def >"$work/all.def"
for type in $(sed -nE 's/^LAYOUT_TYPE\((\w+),.*/\1/p' "$work/all.def"); do
	! grep -qE "^} $type;" "$work/theirs.h" || grep -w "$type" "$work/all.def"
done >>"$work/layout_rows.def"

tables=$(grep -oE '^LAYOUT_TYPE\(nccl(Net|Profiler|Tuner)_v[0-9]+_t' "$work/layout_rows.def" | sed 's/.*(//' | tr '\n' ' ')
if [ -z "$tables" ]; then
	echo "$nccl: its headers have none of our versions"
	exit 1
fi

"$cxx" -std=c++17 -I"$work" -I"$ours" "$here/layout.cc" -o "$work/ours"
"$cxx" -std=c++17 -I"$work" -I"$work/stand-in" -I"$include" -I"$include/plugin" -include "$work/stand-in/os.h" \
	-DLINA_NCCL_NET_H="\"$header\"" -DLINA_NCCL_TUNER_H="\"$tuner\"" \
	${profiler:+-DLINA_NCCL_PROFILER_H="\"$profiler\""} "$here/layout.cc" -o "$work/theirs"
"$work/ours" >"$work/ours.txt"
"$work/theirs" >"$work/theirs.txt"
if ! diff -u --label ours --label "NCCL's" "$work/ours.txt" "$work/theirs.txt"; then
	echo "our declarations differ from NCCL's"
	exit 1
fi
echo "the same as NCCL's in $(wc -l <"$work/ours.txt") rows: $tables"
