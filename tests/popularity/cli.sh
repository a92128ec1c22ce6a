#!/bin/sh
# profile, predict, evaluate, export and import of lina-plan, from files to files.
# Usage: cli.sh LINA_PLAN
set -eu

plan=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() { echo "$*"; exit 1; }

# The last line of stderr of a command that must fail.
complains() {
	expected=$1
	shift
	if "$@" >out 2>err; then fail "succeeds: $*"; fi
	[ "$(tail -n 1 err)" = "$expected" ] || fail "says '$(tail -n 1 err)', not '$expected': $*"
}

# Tokens whose expert follows from the two layers before: 7 of 10 times, by a generator that is the same everywhere.
tokens() {
	awk -v seed="$1" -v steps="$2" 'BEGIN {
		print "step,layer0,layer1,layer2,layer3,layer4,layer5"
		for (s = 0; s < steps; s++)
			for (t = 0; t < 400; t++) {
				a = b = 0
				line = s
				for (l = 0; l < 6; l++) {
					seed = (seed * 16807) % 2147483647
					u = seed / 2147483647
					x = int(16 * u * u * u)
					seed = (seed * 16807) % 2147483647
					if (l > 1 && seed % 10 < 8) x = (2 * a + b + l) % 16
					b = a
					a = x
					line = line "," x
				}
				print line
			}
	}'
}
tokens 1 10 >train.csv
tokens 2 4 | gzip >test.csv.gz
tokens 2 4 | { zstd -q || cat; } >test.csv.zst 2>/dev/null

# Lina's Table 5: longer paths give lists that are no worse, and no more to plan again.
for length in 1 3; do
	"$plan" profile --method paths --length $length --counts train.csv --output paths$length 2>err
	"$plan" evaluate --model paths$length --counts test.csv.gz >judged$length 2>>err
	"$plan" evaluate --model paths$length --counts test.csv.zst --json >judged.json 2>>err
	[ ! -s err ] || fail "says on stderr, which is no terminal: $(cat err)"
	# layer 3, of which the path before is whole: batches, accuracy, overlap, planned again
	awk '$1 == 3 { print $2, $3, $5, $7 }' judged$length >figures$length
done
read -r batches1 accuracy1 overlap1 again1 <figures1
read -r batches3 accuracy3 overlap3 again3 <figures3
[ "$batches1 $batches3" = '4 4' ] || fail "$batches1 and $batches3 batches, not 4"
awk "BEGIN { exit !($overlap3 >= $overlap1 && $overlap3 > 80 && $again3 <= $again1) }" ||
	fail "paths of 3 layers: $(cat figures3); of 1: $(cat figures1)"

# What is predicted is what came, nearly; and is read as counts again.
"$plan" predict paths3 --counts test.csv.gz --output predicted.csv
[ "$(head -n 1 predicted.csv)" = layer,expert,count ] || fail 'no CSV is predicted'
awk -F, 'NR > 1 && $1 == 3 { sum += $3 } END { exit !(sum > 1599 && sum < 1601) }' predicted.csv ||
	fail 'the loads of layer 3 have not the sum of its 1600 tokens'
"$plan" profile --counts train.csv --window 5 --output window
# What was cut short is not counted, whatever of it can be read.
printf '\223NUMPY\001\000\101\000%-64s\n\001\002\003\004' "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }" >whole.npy
gzip -c whole.npy >whole.npy.gz
"$plan" profile -c whole.npy.gz >out || fail 'an array in gzip'
head -c -1 whole.npy.gz >cut.npy.gz
complains "lina-plan: cut.npy.gz: the gzip data end too early, after $(wc -c <cut.npy.gz) bytes" "$plan" profile -c cut.npy.gz
complains "lina-plan: whole.npy: only the lines of a CSV file can be chosen by a value, and it is vllm" \
	"$plan" profile -c whole.npy --only step=1
for half_life in 0 nan 1e300 1e9 x; do
	if "$plan" profile --method decay --half-life $half_life --counts train.csv >out 2>&1; then fail "half-life $half_life"; fi
	grep -qF -- "--half-life: must be a number above 0 and below 1e9, not '$half_life'" out ||
		{ cat out; fail "half-life $half_life"; }
done
"$plan" profile --method decay --half-life 2 --counts train.csv | "$plan" predict /dev/stdin --output decayed.csv
[ "$(wc -l <decayed.csv)" -eq 97 ] || fail 'a decayed profile has not 6 layers of 16 experts'
complains 'lina-plan: window: method window predicts without records; leave out --counts' \
	"$plan" predict window --counts test.csv.gz
complains 'lina-plan: --method paths needs the paths of tokens (megatron, vllm, or CSV with layer0,layer1,...)' \
	"$plan" profile --method paths --counts predicted.csv

# A placement, what it costs, and as others read it.
{
	printf 'lina-placement 1\nlayers 6\nexperts 16\ndevices 4\ndevices-per-node 2\nslots-per-device 4\ngeneration 0\n'
	for layer in 0 1 2 3 4 5; do
		printf 'layer %d\ndevice 0: 0 1 2 3\ndevice 1: 4 5 6 7\ndevice 2: 8 9 10 11\ndevice 3: 12 13 14 15\n' $layer
	done
	echo end
} >table
sed 's/device 0: 0 1/device 0: 1 0/; s/device 2: 8 9 10 11/device 2: 8 9 10 15/; s/13 14 15/13 14 11/' table >other
"$plan" evaluate table --counts test.csv.gz --against other --csv >costs.csv
awk -F, 'NR > 1 { n++; bad += $3 != 400 || $2 < $4 || $4 < $3 || $11 != 2 } END { exit n != 6 || bad }' costs.csv ||
	fail "1600 tokens on 4 devices, with 2 experts moved: $(cat costs.csv)"
for rate in 0 1e-300 1e13 nan; do
	if "$plan" evaluate table --counts test.csv.gz --port-gbps $rate >out 2>&1; then fail "rate $rate"; fi
	grep -qF -- "--port-gbps: must be a number from 1e-9 to 1e12, not '$rate'" out || { cat out; fail "rate $rate"; }
done
status=0
"$plan" evaluate table --counts test.csv.gz --json --csv >out 2>&1 || status=$?
[ "$status" -eq 64 ] && grep -q 'one of them only' out || { cat out; fail "both --json and --csv: status $status"; }
"$plan" evaluate table --counts test.csv.gz --json | grep -q '"layer": 5' || fail 'JSON has no layer 5'
slow=$("$plan" evaluate table --counts predicted.csv --topology '2 nodes, 2 gpus, nvlink 300 GB/s, 2 nics 5 GB/s' | tail -n 1)
fast=$("$plan" evaluate table --counts predicted.csv --topology '2 nodes, 2 gpus, nvlink 300 GB/s, 2 nics 50 GB/s' | tail -n 1)
[ "$(echo "$slow" | awk '{ print int($5) }')" -gt "$(echo "$fast" | awk '{ print int($5) }')" ] ||
	fail "NICs a tenth as fast: $slow; $fast"
if command -v gnuplot >/dev/null; then
	"$plan" evaluate table --counts test.csv.gz --plot map.svg | grep -q '^worst max/mean' || fail 'no table'
	grep -q '<svg' map.svg || fail 'no picture'
	# One layer, or one device: a box for each number, and no complaint.
	printf 'layer,expert,count\n0,0,5\n0,1,3\n' >one.csv
	printf '0,0,5\n0,1,3\n1,0,1\n' >two.csv
	for case in one.csv:2 two.csv:1; do
		"$plan" place -c "${case%:*}" --devices "${case#*:}" -o small >/dev/null
		"$plan" evaluate small -c "${case%:*}" --plot small.svg >/dev/null 2>said
		[ ! -s said ] || { cat said; fail "$case: gnuplot complains"; }
		grep -q 'polygon fill' small.svg || fail "$case: an empty picture"
	done
else
	echo 'pictures are not checked: gnuplot is not installed'
fi
for format in eplb sglang trtllm; do
	"$plan" export --format $format table --output exported
	"$plan" import --format $format --devices 4 --nodes 2 exported | cmp - table
done
"$plan" export --format nccl-tests --counts test.csv.gz --layer 3 --token-bytes 16 table --output matrix
awk 'NF != 4 { exit 1 } { for (i = 1; i <= NF; i++) sum += $i } END { exit NR != 4 || sum != 1600 * 16 }' matrix ||
	fail "not 1600 tokens of 16 bytes: $(cat matrix)"
"$plan" import --format nccl-tests matrix | awk -F, 'NR > 1 { s += $2; r += $3 } END { exit NR != 5 || s != r }' ||
	fail 'what is sent is not what is received'

# What is wrong is said with its place.
printf 'layer,expert,count\n0,1,2\n0,x,2\n' >bad.csv
complains "lina-plan: bad.csv:3:3: expected an expert from 0 to 16383, not 'x'" \
	"$plan" evaluate table --counts bad.csv
complains 'lina-plan: table has 6 layers of 16 experts, but the records have 1 of 16 (see --experts)' \
	"$plan" evaluate table --counts - <<END
0,1,5
END
complains 'lina-plan: --topology: it has 2 devices, but table has 4' \
	"$plan" evaluate table --counts predicted.csv --topology '2 nodes, 1 gpu, 1 nic 5 GB/s'
complains 'lina-plan: nowhere.csv: No such file or directory' "$plan" profile --counts nowhere.csv

# Ctrl-C while it reads leaves the file that was there, and nothing else.
mkfifo slow
mkdir there
echo before >there/model
# (A shell has its background commands ignore it.)
env --default-signal=INT "$plan" profile --counts slow --output there/model &
reader=$!
{ echo layer,expert,count; echo 0,1,5; sleep 0.2; kill -INT $reader; } >slow
if wait $reader; then fail 'Ctrl-C does not end it'; fi
[ "$(ls there) $(cat there/model)" = 'model before' ] || fail "Ctrl-C leaves $(ls there)"
echo "layer 3, paths of 1 layer: accuracy $accuracy1 %, planned again $again1 %; of 3: $accuracy3 %, $again3 %"
