# The part of liblina that speaks to NCCL, to be built against the headers of any release of it.
set(LINA_LIBLINA_SOURCES a2a.c a2a_agree.c a2a_call.c a2a_combine.c a2a_dispatch.c a2a_exchange.c a2a_move.c a2a_rows.c
	cuda_packing.c element.c error.c experts_move.c sparse.c wait.c)
list(TRANSFORM LINA_LIBLINA_SOURCES PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
