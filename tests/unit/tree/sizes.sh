#!/bin/sh
# Files under 500 lines; functions: 99 of 100 under 60 lines, none over 80, counted from brace to brace.
# Usage: sizes.sh SOURCE_DIR
set -eu

cd "$1"
files=$(find plugin collectives priority topology tests perf \( -name '*.[ch]' -o -name '*.cc' -o -name '*.sh' \
	-o -name '*.def' \) | sort)

# Functions are those that the formatter leaves with both braces in the first column.
awk '
	FNR == 1 { open = 0; if (file != "") check_file(); file = FILENAME }
	{ nlines = FNR }
	/^{/ { open = FNR; head = last }
	/^}/ && open {
		n++
		length_of = FNR - open - 1
		if (length_of >= 60) { nlong++; long = long sprintf("%s:%d: %d lines: %s\n", FILENAME, open, length_of, head) }
		if (length_of > 80) too_long = too_long sprintf("%s:%d: %d lines, over 80\n", FILENAME, open, length_of)
		open = 0
	}
	/[^ \t]/ { last = $0 }
	function check_file() {
		if (nlines >= 500) { printf "%s: %d lines, must be under 500\n", file, nlines; failed = 1 }
	}
	END {
		check_file()
		if (n == 0) { print "no function found"; failed = 1 }
		printf "%s", too_long
		if (too_long != "") failed = 1
		if (nlong * 100 > n) {
			printf "%s%d of %d functions have 60 lines or more, must be at most 1 of 100\n", long, nlong, n
			failed = 1
		}
		if (!failed) printf "%d functions, %d of 60 lines or more\n", n, nlong
		exit failed
	}
' $files
