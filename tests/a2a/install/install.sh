#!/bin/sh
# The example of README builds against the installed liblina, shared and static and with pkg-config, and runs on two
# ranks of real NCCL.
# Usage: install.sh SOURCE_DIR LIBDIR CC NCCL_DIR CUDA_INCLUDE LAUNCH
#   NCCL_DIR: nccl.h, libnccl.so.2 and libcudart.so.12
set -eu

source=$1
libdir=$2
cc=$3
nccl=$4
cuda=$5
launch=$6
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

try() {
	"$@" >"$work/log" 2>&1 || { tail -n 40 "$work/log"; echo "failed: $*"; exit 1; }
}

# What a user has: no tests, and one folder with NCCL's headers.
mkdir -p "$work/nccl/include"
cp "$cuda"/*.h "$nccl/nccl.h" "$work/nccl/include/"
for library in libnccl.so.2 libcudart.so.12 libcudart.so.13 libnvidia-ml.so.1; do
	[ ! -e "$nccl/$library" ] || ln -s "$(readlink -f "$nccl/$library")" "$work/nccl/$library"
done
ln -s libnccl.so.2 "$work/nccl/libnccl.so"
try cmake -S "$source" -B "$work/build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_BUILD_TYPE=Release -DLINA_TESTS=OFF \
	-DLINA_NCCL_INCLUDE="$work/nccl/include" -DLINA_CUDA_INCLUDE="$work/nccl/include"
try cmake --build "$work/build" --target lina lina_static lina-plan
try cmake --install "$work/build/collectives" --prefix "$work/elsewhere/lina"

sed -n '/^<!-- example of liblina -->/,/^<!-- end -->/{/^    /s/^    //p;/^$/p;}' "$source/README.md" >"$work/example.c"
[ -s "$work/example.c" ] || { echo 'README has no example of liblina'; exit 1; }
try cmake -S "$here" -B "$work/user" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$work/elsewhere/lina" \
	-DEXAMPLE="$work/example.c" -DNCCL="$work/nccl"
try cmake --build "$work/user"
if command -v pkg-config >/dev/null; then
	flags=$(PKG_CONFIG_PATH="$work/elsewhere/lina/$libdir/pkgconfig" pkg-config --cflags --libs liblina)
	try "$cc" -o "$work/user/example_pc" -I"$work/nccl/include" "$work/example.c" $flags -L"$work/nccl" -lnccl \
		-l:libcudart.so.12 -Wl,--allow-shlib-undefined -Wl,-rpath,"$work/nccl:$work/elsewhere/lina/$libdir"
else
	echo 'not checked with pkg-config: not installed'
fi
for example in "$work"/user/example_*; do
	[ -x "$example" ] || continue
	try "$launch" -n 2 -t 60 -- "$example"
	grep -q '\[1\] rank 1: 3 tokens came for expert [0-9]' "$work/log" || { cat "$work/log"; exit 1; }
done
