# Draws what perf/demo measured: one step's time line on each network, and backward passes and
# all-to-alls side by side.
# Set by the caller: format (svg, png), nets (names separated by spaces), base (base.tsv, base.spans.tsv; picture in
# base.svg or base.png), rate (of each link, Mbit/s).
set datafile separator "\t"
set datafile missing "nan"
nnets = words(nets)
if (format eq 'svg') {
	set terminal svg size 1200, 300 + 200 * nnets dynamic background rgb 'white' font 'sans,13'
} else {
	set terminal pngcairo size 1200, 300 + 200 * nnets background rgb 'white' font 'sans,10'
}
set output base . '.' . format

stats base . '.spans.tsv' using 6 skip 1 nooutput
last_ms = STATS_max
stats base . '.tsv' using 12 skip 1 nooutput
backward_ms = STATS_max
stats base . '.tsv' using 8 skip 1 nooutput
alltoall_ms = exists('STATS_max') && STATS_records > 0 ? STATS_max : 1
height = 200.0 / (300 + 200 * nnets)
set style fill solid 0.9 border lc rgb 'white'
set multiplot title 'One training step of a mixture of experts on links of ' . rate . ' Mbit/s, rank 0'

# ---- time lines
set xrange [0 : last_ms * 1.01]
set yrange [0.4 : 3.6]
set ytics ('allreduce' 1, 'all-to-all' 2, 'compute' 3) scale 0
set grid xtics
set lmargin at screen 0.10
set rmargin at screen 0.98
set key off
set xlabel 'ms' offset 0, 0.6
lane(kind) = kind eq 'alltoall' ? 2 : kind eq 'allreduce' ? 1 : 3
shade(kind) = kind eq 'alltoall' ? 0xc0392b : kind eq 'allreduce' ? 0x2471a3 : kind eq 'experts' ? 0x909497 : 0xbfc5c7
spoken(net) = net eq 'Socket' ? "NCCL's sockets" : net eq 'fifo' ? 'plugin, first come first served' : \
	net eq 'lina' ? 'plugin with priorities' : net
do for [i = 1:nnets] {
	net = word(nets, i)
	set tmargin at screen 0.93 - height * (i - 1) - 0.035
	set bmargin at screen 0.93 - height * i + 0.075
	set title spoken(net) offset 0, -0.7
	plot base . '.spans.tsv' skip 1 \
		using (strcol(1) eq net ? ($5 + $6) / 2 : NaN):(lane(strcol(2))):5:6:(lane(strcol(2)) - 0.38):(lane(strcol(2)) + 0.38):(shade(strcol(2))) \
		with boxxyerror lc rgb variable
}

# ---- bars
set xrange [-0.6 : nnets - 0.4]
set ytics auto scale 1
set xlabel ''
unset grid
set grid ytics
set tmargin at screen 0.93 - height * nnets - 0.045
set bmargin at screen 0.07
set boxwidth 0.6
set xtics ()
set for [i = 1:nnets] xtics add (word(nets, i) i - 1)

set lmargin at screen 0.10
set rmargin at screen 0.45
set key top left vertical Left reverse samplen 2
set boxwidth 0.3
set yrange [0 : 1.75 * backward_ms]
set title 'backward pass, ms: median (line: p10 to p90)' offset 0, -0.7
plot base . '.tsv' skip 1 using ($0 - 0.16):($14 + $15) with boxes lc rgb 0xbfc5c7 title 'without gradients, then a bucket', \
	'' skip 1 using ($0 + 0.16):11 with boxes lc rgb 0x2471a3 title 'with gradients', \
	'' skip 1 using ($0 + 0.16):11:10:12 with yerrorbars lc rgb 'black' pt -1 notitle, \
	'' skip 1 using ($0 + 0.16):11:(sprintf('%.0f', $11)) with labels left offset 2.2, 0 notitle

set lmargin at screen 0.55
set rmargin at screen 0.98
set key top left vertical Left reverse samplen 2
set boxwidth 0.3
set yrange [0 : 1.75 * alltoall_ms]
set title 'one all-to-all, ms: median (line: p95)' offset 0, -0.7
plot base . '.tsv' skip 1 using ($0 - 0.16):6 with boxes lc rgb 0xe6b0aa title 'alone', \
	'' skip 1 using ($0 + 0.16):7 with boxes lc rgb 0xc0392b title 'beside an allreduce', \
	'' skip 1 using ($0 + 0.16):7:7:8 with yerrorbars lc rgb 'black' pt -1 notitle
unset multiplot
