#!/bin/sh
# What one user has measured keeps no other from measuring: the scripts of perf/ on loopback, which need no root.
# Usage: two_users.sh SOURCE-DIR
set -eu

if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >/dev/null; then
	echo 'skipped: being two users needs root and setpriv'
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/build/tests/launch" "$work/perf"
mkdir -m 1777 "$work/tmp"
cp "$1/perf/ranks.sh" "$work/perf"
printf '#!/bin/sh\necho "[0] measured by $(id -u)"\n' >"$work/build/tests/launch/lina-launch"
chmod 755 "$work/build/tests/launch/lina-launch"
cat >"$work/perf/bench" <<-END
	set -eu
	name=perf/bench
	cd "$work"
	. perf/ranks.sh
	start
	run_ranks linatwo 2 loopback 10 program
END

export TMPDIR="$work/tmp"
for user in 0 65534 0; do
	setpriv --reuid $user --regid $user --clear-groups sh "$work/perf/bench" >"$work/said" 2>&1 &&
		grep -qx "measured by $user" "$work/said" || { cat "$work/said"; echo "user $user cannot measure"; exit 1; }
done
