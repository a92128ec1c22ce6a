#!/bin/sh
# Who may include whom: topology, priority <- collectives, plugin <- tests, perf. plugin and collectives know of one
# another the placement table's format alone, and in plugin only the adapters know NCCL.
# Usage: arrows.sh SOURCE_DIR
set -eu

cd "$1"

# Quoted includes as "file: header".
includes() {
	find "$1" -name '*.[ch]' -exec grep -HoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"[^"]+"' {} + |
		sed -E 's/:[^"]*"/: /; s/"$//'
}

refuse() {
	if [ -n "$2" ]; then
		echo "$1:"
		echo "$2"
		failed=1
	fi
}

failed=0
for rule in 'topology topology' 'priority priority' 'collectives collectives|topology|priority' \
	'plugin plugin|topology|priority|collectives/plan_io.h'; do
	part=${rule%% *}
	allowed=${rule#* }
	refuse "$part may include from $(echo "$allowed" | tr '|' ' ') only" \
		"$(includes "$part" | grep -vE ": ($allowed)(/[^.]|$)" || true)"
done
refuse 'only *_abi.c may include the declarations of NCCL' "$(includes plugin |
	grep ': plugin/nccl_abi/' | grep -vE '^plugin/(nccl_abi/[a-z_]+\.[ch]|[a-z_]+_abi\.c): ' || true)"
refuse 'only the adapters may speak in ncclResult_t' "$(find plugin -name '*.[ch]' \
	! -path 'plugin/nccl_abi/*' ! -name '*_abi.c' -exec grep -Hn '\<ncclResult_t\>' {} + || true)"
exit $failed
