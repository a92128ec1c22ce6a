# Draws PATH.svg from PATH.csv: time per layer and memory of each method. Usage: gnuplot -e "path='PATH'" bench_plan.gnuplot
set terminal svg size 900,420 dynamic background 'white'
set output path.'.svg'
set datafile separator comma
set multiplot layout 1,2
set logscale xy
set xlabel 'experts x devices'
set key top left
set format y '%g'
methods = 'uniform eplb lina hecate best'
set ylabel 'ms per layer'
plot for [m in methods] sprintf("< grep '^%s,' %s.csv", m, path) using ($2*$3):5 with linespoints title m
unset logscale y
set yrange [0:*]
set ylabel 'MiB, all of the process'
plot for [m in methods] sprintf("< grep '^%s,' %s.csv", m, path) using ($2*$3):6 with linespoints title m
unset multiplot
