# Draws what perf/nccl-tests measured: bus bandwidth of each collective by size, NCCL's own transport and the plugin.
# Set by the caller: format (svg, png), base (base.tsv; picture in base.svg or base.png), collectives (separated by spaces).
set datafile separator "\t"
set datafile missing "nan"
n = words(collectives)
rows = (n + 2) / 3
if (format eq 'svg') {
	set terminal svg size 1200, 60 + 320 * rows dynamic noenhanced background rgb 'white' font 'sans,13'
} else {
	set terminal pngcairo size 1200, 60 + 320 * rows noenhanced background rgb 'white' font 'sans,10'
}
set output base . '.' . format
set multiplot layout rows, 3 title "Bus bandwidth, GB/s, by bytes: NCCL's own transport and the plugin"
set logscale x 2
set format x '%.0b%B'
set yrange [0 : *]
set grid
set key bottom right
do for [i = 1:n] {
	collective = word(collectives, i)
	set title collective
	plot for [net in 'own lina'] base . '.tsv' skip 1 \
		using (strcol(1) eq 'alone' && strcol(2) eq collective && strcol(4) eq net ? $3 : NaN):8 \
		with linespoints pt 7 lw 2 lc rgb (net eq 'own' ? 0x909497 : 0x2471a3) title (net eq 'own' ? "NCCL's own" : 'plugin')
}
unset multiplot
