# liblina-cuda.so.0, packing by kernels, where CUDA's compiler is. Its own rule and not a language of the project: nvcc is
# asked for nothing but one shared object, and a machine without it builds everything else.
find_program(LINA_NVCC nvcc PATHS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin
	DOC "CUDA's compiler, for liblina-cuda.so.0")
set(nvcc_flags -std=c++17 -O3 -cudart none -Xcompiler -fPIC,-fvisibility=hidden)
# A product and a sum are two roundings, as on the processor: results are the same bit for bit.
list(APPEND nvcc_flags -fmad=false)
if(LINA_NVCC AND NOT LINA_NVCC STREQUAL LINA_NVCC_TRIED)
	set(probe ${CMAKE_CURRENT_BINARY_DIR}/nvcc_probe.cu)
	file(WRITE ${probe} "__global__ void probe() {}\n")
	# One architecture is enough to see whether the compilers get on; does it know them all?
	execute_process(COMMAND ${LINA_NVCC} -arch=all-major --dryrun -shared -o ${probe}.so ${probe}
		COMMAND ${LINA_NVCC} ${nvcc_flags} -shared -o ${probe}.so ${probe}
		RESULTS_VARIABLE nvcc_status OUTPUT_VARIABLE nvcc_said ERROR_VARIABLE nvcc_said)
	if(nvcc_status STREQUAL "0;0")
		set(LINA_NVCC_TRIED ${LINA_NVCC} CACHE INTERNAL "nvcc that works")
	endif()
endif()
if(NOT LINA_NVCC)
	message(STATUS "liblina-cuda is not built: no nvcc; LINA_PACKING_CUDA will say so (set LINA_NVCC)")
elseif(NOT LINA_NVCC STREQUAL LINA_NVCC_TRIED)
	message(STATUS "liblina-cuda is not built: ${LINA_NVCC} fails: ${nvcc_said}")
else()
	message(STATUS "liblina-cuda: ${LINA_NVCC}")
	set(LINA_CUDA_MODULE ${CMAKE_CURRENT_BINARY_DIR}/liblina-cuda.so.0)
	add_custom_command(OUTPUT ${LINA_CUDA_MODULE}
		COMMAND ${LINA_NVCC} ${nvcc_flags} -arch=all-major -shared -Xlinker -soname,liblina-cuda.so.0 -I${PROJECT_SOURCE_DIR}
			-MD -MF ${LINA_CUDA_MODULE}.d -MT ${LINA_CUDA_MODULE}
			-o ${LINA_CUDA_MODULE} ${CMAKE_CURRENT_SOURCE_DIR}/a2a_pack.cu
		MAIN_DEPENDENCY a2a_pack.cu DEPFILE ${LINA_CUDA_MODULE}.d
		COMMENT "Building CUDA module liblina-cuda.so.0" VERBATIM)
	add_custom_target(lina_cuda ALL DEPENDS ${LINA_CUDA_MODULE})
	set_target_properties(lina_cuda PROPERTIES LINA_MODULE ${LINA_CUDA_MODULE})
	install(FILES ${LINA_CUDA_MODULE} DESTINATION ${CMAKE_INSTALL_LIBDIR} OPTIONAL)
endif()
