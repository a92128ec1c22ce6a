# Draws what perf/sweep measured of one variable. Set by the caller: format (svg, png), nets (names separated by
# spaces), base (base.tsv; picture in base.svg or base.png), variable (its name).
set datafile separator "\t"
set datafile missing "nan"
if (format eq 'svg') {
	set terminal svg size 1200, 420 dynamic background rgb 'white' font 'sans,13'
} else {
	set terminal pngcairo size 1200, 420 background rgb 'white' font 'sans,10'
}
set output base . '.' . format

label(variable) = variable eq 'allreduce' ? 'bytes of the allreduce' : \
	variable eq 'chunk' ? 'micro-chunk, bytes' : \
	variable eq 'window' ? 'window, bytes' : \
	variable eq 'rate' ? 'rate of a link, Mbit/s' : 'hosts'
# One network's lines of the table; columns are found by their names, `value` is the first.
of(net) = sprintf("< awk -F'\\t' 'NR == 1 || $2 == \"%s\"' '%s.tsv'", net, base)
colour(i) = int(word('0x909497 0x2471a3 0xc0392b 0x1e8449 0x7d3c98 0xb9770e 0x17202a 0x148f77', i))
set multiplot layout 1, 3
set xlabel label(variable)
if (variable ne 'hosts') {
	set logscale x 2
}
if (variable eq 'chunk' || variable eq 'window' || variable eq 'allreduce') {
	set format x '%.0b%B'
}
set grid ytics
set key top left
set offsets graph 0.05, graph 0.05, 0, 0
set yrange [0 : *]

set title 'all-to-all under an allreduce, over alone: median, p95 (thin)'
plot for [i = 1:words(nets)] of(word(nets, i)) using 'value':'slowdown' with linespoints lw 2 pt 7 lc rgb colour(i) title word(nets, i), \
	for [i = 1:words(nets)] of(word(nets, i)) using 'value':'slowdown_p95' with linespoints lw 1 pt 6 dt 2 lc rgb colour(i) notitle
set yrange [0 : *]
set title 'allreduce alone: rate over the reference'
plot for [i = 1:words(nets)] of(word(nets, i)) using 'value':'allreduce_rate' with linespoints lw 2 pt 7 lc rgb colour(i) title word(nets, i)
set title 'both: time needed over time taken'
plot for [i = 1:words(nets)] of(word(nets, i)) using 'value':'both_share' with linespoints lw 2 pt 7 lc rgb colour(i) title word(nets, i)
unset multiplot
