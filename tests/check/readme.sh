#!/bin/sh
# Every command that README.md and plugin/README.md show is run as it is written, or has a reason here why it is not; what
# README shows of its output is its output. A command that is neither fails the test.
# Usage: readme.sh SOURCE-DIR BUILD-DIR
set -u

source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# REASON|COMMAND as its line begins. Each names where it runs instead, or why it cannot here.
elsewhere='hosts.demo runs it small; a whole one takes minutes|perf/demo
it is what runs this test|tests/run
unit.install and users.package install what was built|cmake --preset release && cmake --build --preset release
unit.install and users.package do so|cmake --install build-release
it changes the environment of the shell|export
there is no process of that number; unit.top looks at some|lina-top --pid
users.check runs it where all is well and where it is not|lina-check
a2a.install compiles the example of README.md|cc example.c
a2a.install runs what it compiled|build/tests/launch/lina-launch'

complain() {
	echo "FAILED: $*"
	failed=1
}

# Counts as a user has them: 2 layers of 64 experts, one more popular than the next.
awk 'BEGIN { print "layer,expert,count"; for (l = 0; l < 2; l++) for (e = 0; e < 64; e++) print l "," e "," int(10000 / (1 + (e * 7 + l) % 64)) }' \
	>"$work/counts.csv"
cp "$work/counts.csv" "$work/monday.csv"
awk -F, -v OFS=, 'NR > 1 { $3 = $3 + $2 } { print }' "$work/counts.csv" >"$work/tuesday.csv"
PATH="$build/collectives:$build/plugin:$PATH"
export PATH

# commands FILE: the lines of its indented blocks that are commands, without comments that follow; C is no command.
commands() {
	awk '
		/^<!-- example of liblina -->/ { skip = 1 } /^<!-- end -->/ { skip = 0 }
		skip || !/^    / { next }
		/^    (\$ |perf\/|tests\/|cmake |export |lina-|cc |build\/|NCCL_|LINA_)/ && !/^    (perf|tests|plugin)\/ +/ {
			sub(/^    (\$ )?/, ""); sub(/  +#.*$/, ""); sub(/ # .*$/, ""); print
		}' "$1"
}

# reason COMMAND: why it is not run here; nothing where it is.
reason() {
	echo "$elsewhere" | while IFS='|' read -r why begin; do
		case $1 in "$begin"*) echo "$why"; break ;; esac
	done
}

# try COMMAND. A variable is right when the plugin starts with it.
try() {
	case $1 in
	LINA_*)
		status=0
		env "$1" NCCL_SOCKET_IFNAME=lo lina-check --no-self-test --plugin "$build/plugin/libnccl-net-lina.so" || status=$?
		[ $status -le 1 ] || { sed -n 's/^FAIL/&/p' "$work/out" >&2; return 1; }
		;;
	*) sh -c "$1" ;;
	esac
}

for page in README.md plugin/README.md; do
	commands "$source/$page" >"$work/commands"
	[ "$(wc -l <"$work/commands")" -ge 4 ] || complain "$page: only these are commands: $(cat "$work/commands")"
	while IFS= read -r command; do
		why=$(reason "$command")
		if [ -n "$why" ]; then
			echo "$page: not here: $command ($why)"
		elif (cd "$work" && try "$command") </dev/null >"$work/out" 2>"$work/err"; then
			echo "$page: ran: $command"
			cp "$work/out" "$work/out.$(echo "$command" | tr -cd 'a-z' | cut -c1-40)"
		else
			complain "$page: $command: $(cat "$work/err")"
		fi
	done <"$work/commands"
done

# What `lina-plan topology` is shown to print.
awk '/^    \$ lina-plan topology/ { on = 1; next } on && !/^    / { exit } on { sub(/^    /, ""); print }' "$source/README.md" \
	>"$work/shown"
diff -u "$work/shown" "$work"/out.linaplantopology* || complain 'README shows another output of lina-plan topology'
# Of `lina-plan place` the lines; its numbers are of other counts.
awk '/^    \$ lina-plan place/ { on = 1; next } on && !/^    / { exit } on { print substr($0, 5, 16) }' "$source/README.md" >"$work/shown"
cut -c1-16 "$work"/out.linaplanplacecounts* | diff -u "$work/shown" - || complain 'README shows other lines of lina-plan place'
exit $failed
