#!/bin/sh
# lina-plan reads the routing that was recorded, whole, and finds in it what is there: the expert at one layer tells much
# about the next, once the model has learnt.
# Usage: test_data.sh LINA_PLAN DATA-DIR
set -eu

plan=$1
cd "$2"
for file in held-*.npy.gz; do
	"$plan" evaluate --groups --experts 16 -c "$file" | awk -v file="$file" '
		/->/ { nlayers++; if (!($5 > 1.2 * substr($8, 1, length($8) - 1))) poor++ }
		END {
			if (nlayers != 7) { print file ": " nlayers + 0 " pairs of layers, not 7"; exit 1 }
			if (file ~ /00000/ ? poor < 7 : poor) { print file ": at " poor + 0 " of 7 layers the expert before tells nothing"; exit 1 }
		}'
done
"$plan" profile -m mean -c counts.json.gz -o /dev/null
steps=$(gzip -dc counts.json.gz | tr -cd '[' | wc -c)
[ "$steps" -eq $((1 + 600 + 600 * 8)) ] || { echo "counts.json.gz: $steps brackets"; exit 1; }
