#!/bin/sh
# The packages hold what is installed, and what is in the tarball works where it is unpacked.
# Usage: package.sh BUILD_DIR VERSION
set -eu

build=$1
version=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

DESTDIR=$work/staged cmake --install "$build" --prefix /usr >"$work/log" || { cat "$work/log"; exit 1; }
(cd "$work/staged/usr" && find . -type f | sort) >"$work/expected"
generators=TGZ
! command -v dpkg-deb >/dev/null || generators='TGZ;DEB'
cpack --config "$build/CPackConfig.cmake" -G "$generators" -B "$work" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

# same PACKAGE: the files found below the current folder are those that are installed.
same() {
	find . -type f | sort >"$work/found"
	diff -u --label installed --label "$1" "$work/expected" "$work/found"
}

mkdir "$work/unpacked"
tar -xzf "$work/lina-nccl-$version-Linux.tar.gz" -C "$work/unpacked" --strip-components=1
(cd "$work/unpacked" && same tarball)
status=0
said=$(NCCL_SOCKET_IFNAME=lo "$work/unpacked/bin/lina-check" --no-self-test \
	--plugin "$(find "$work/unpacked" -name libnccl-net-lina.so)") || status=$?
if [ "$status" -gt 1 ]; then
	echo "$said"
	exit 1
fi
case $generators in
*DEB)
	dpkg-deb -x "$work"/lina-nccl_"$version"_*.deb "$work/debian"
	(cd "$work/debian/usr" && same 'Debian package')
	;;
*) echo 'the Debian package was not tried: dpkg-deb is missing' ;;
esac
