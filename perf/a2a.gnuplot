# Draws PATH.svg from PATH.tsv: 95th percentiles of each layout, layer by layer. Usage: gnuplot -e "path='PATH'" a2a.gnuplot
set terminal svg size 900,420 dynamic background 'white'
set output path.'.svg'
set datafile separator tab
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set ylabel 'dispatch + combine, p95, ms'
set yrange [0:*]
set key outside right
layouts = system("awk -F '\t' 'NR > 1 && !seen[$3]++ { print $3 }' ".path.".tsv")
plot for [layout in layouts] \
	sprintf("< awk -F '\t' -v OFS='\t' '$3 == \"%s\"' %s.tsv", layout, path) \
	using 5:xtic(sprintf('layer %d, skew %.1f', column(1), column(2))) title layout
