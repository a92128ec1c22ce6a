#!/bin/sh
# What is installed is what is meant to be, says where it is wherever it is moved to, and loads.
# Usage: install.sh BUILD_DIR LIBDIR VERSION CC
set -eu

build=$1
libdir=$2
version=$3
cc=$4
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

DESTDIR=$work/staged cmake --install "$build" --prefix /opt/lina >"$work/log" || { cat "$work/log"; exit 1; }

# Only below the prefix, and nothing that nobody expects.
cat >"$work/expected" <<END
./opt/lina/bin/lina-check
./opt/lina/bin/lina-plan
./opt/lina/bin/lina-top
./opt/lina/$libdir/cmake/lina-nccl/lina-nccl-config-version.cmake
./opt/lina/$libdir/cmake/lina-nccl/lina-nccl-config.cmake
./opt/lina/$libdir/libnccl-net-lina.so
./opt/lina/$libdir/pkgconfig/lina-nccl.pc
./opt/lina/share/doc/lina-nccl/LICENSE
./opt/lina/share/doc/lina-nccl/README.md
./opt/lina/share/doc/lina-nccl/plugin/MESSAGES.md
./opt/lina/share/doc/lina-nccl/plugin/README.md
./opt/lina/share/doc/lina-nccl/plugin/doc/both-ends.svg
./opt/lina/share/doc/lina-nccl/plugin/doc/engine.svg
./opt/lina/share/man/man1/lina-check.1
./opt/lina/share/man/man1/lina-plan.1
./opt/lina/share/man/man1/lina-top.1
./opt/lina/share/man/man5/lina-placement.5
./opt/lina/share/man/man7/lina.7
END
# Its kernels are there where CUDA's compiler is.
[ ! -e "$build/collectives/liblina-cuda.so.0" ] || echo "./opt/lina/$libdir/liblina-cuda.so.0" >>"$work/expected"
# liblina is there where NCCL's header was.
if [ -e "$build/collectives/liblina.so" ]; then
	for file in cmake/liblina/liblina-config-version.cmake cmake/liblina/liblina-config.cmake \
		cmake/liblina/liblina-targets.cmake cmake/liblina/liblina-targets-*.cmake liblina.a liblina.so \
		liblina.so.${version%%.*} "liblina.so.$version" pkgconfig/liblina.pc; do
		echo "./opt/lina/$libdir/$file"
	done >>"$work/expected"
	for header in counts lina lina_sched lina_sparse plan plan_io; do
		echo "./opt/lina/include/lina/collectives/$header.h"
	done >>"$work/expected"
fi
sort -o "$work/expected" "$work/expected"
(cd "$work/staged" && find . -type f -o -type l | sed 's/liblina-targets-[a-z]*\.cmake/liblina-targets-*.cmake/' | sort) \
	>"$work/found"
if ! diff -u --label expected --label installed "$work/expected" "$work/found"; then
	echo 'these files are installed, and not those'
	exit 1
fi

# As if unpacked somewhere else.
root=$work/elsewhere
mv "$work/staged/opt/lina" "$root"
plugin=$root/$libdir/libnccl-net-lina.so
if readelf -d "$plugin" | grep -E 'RPATH|RUNPATH'; then
	echo "$plugin looks for libraries where it was built"
	exit 1
fi

if command -v pkg-config >/dev/null; then
	export PKG_CONFIG_PATH="$root/$libdir/pkgconfig"
	said=$(pkg-config --variable=plugin lina-nccl)
	if [ ! "$said" -ef "$plugin" ] || [ "$(pkg-config --modversion lina-nccl)" != "$version" ]; then
		echo "pkg-config says plugin $said, version $(pkg-config --modversion lina-nccl)"
		exit 1
	fi
else
	echo 'not checked with pkg-config: not installed'
fi

cmake -S "$here" -B "$work/user" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$root" -DVERSION="$version" \
	>"$work/log" 2>&1 && cmake --build "$work/user" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
grep -q "lina-nccl_DIR.*$root" "$work/user/CMakeCache.txt" || { echo 'find_package found another installation'; exit 1; }
name=$("$work/user/user")
if [ "$name" != lina ]; then
	echo "the installed plugin calls itself '$name'"
	exit 1
fi
