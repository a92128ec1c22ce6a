# liblina, the all-to-all for users: needs the public headers of NCCL and CUDA, and links neither. Built for NCCL's on
# this machine; tests build it again for each release that they run on.
include(liblina.cmake)
find_path(LINA_NCCL_INCLUDE nccl.h PATHS ENV NCCL_HOME PATH_SUFFIXES include DOC "Folder of nccl.h")
find_path(LINA_CUDA_INCLUDE cuda_runtime.h
	PATHS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES include
	DOC "Folder of cuda_runtime.h (CUDA 12 or 13)")
if(NOT LINA_NCCL_INCLUDE OR NOT LINA_CUDA_INCLUDE)
	message(STATUS "liblina is not built: no nccl.h or no cuda_runtime.h; set LINA_NCCL_INCLUDE and LINA_CUDA_INCLUDE")
	return()
endif()
message(STATUS "liblina: ${LINA_NCCL_INCLUDE}/nccl.h")
set(sources ${LINA_LIBLINA_SOURCES})
foreach(part lina_plan lina_collectives lina_planner)
	get_target_property(part_sources ${part} SOURCES)
	list(APPEND sources ${part_sources})
endforeach()
# Once for both, with what the map names visible; and compiled to the end, since whatever users have links the archive.
set(CMAKE_INTERPROCEDURAL_OPTIMIZATION OFF)
add_library(lina_objects OBJECT ${sources})
target_link_libraries(lina_objects PRIVATE lina_options)
target_include_directories(lina_objects SYSTEM PRIVATE ${LINA_NCCL_INCLUDE} ${LINA_CUDA_INCLUDE})
set_target_properties(lina_objects PROPERTIES C_VISIBILITY_PRESET default)
add_library(lina SHARED $<TARGET_OBJECTS:lina_objects>)
add_library(lina_static STATIC $<TARGET_OBJECTS:lina_objects>)
set_target_properties(lina PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} SKIP_RPATH ON
	LINKER_LANGUAGE C LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/liblina.map)
set_target_properties(lina_static PROPERTIES OUTPUT_NAME lina LINKER_LANGUAGE C)
target_link_libraries(lina PRIVATE m ${CMAKE_DL_LIBS})
target_link_libraries(lina_static PUBLIC m ${CMAKE_DL_LIBS})
target_link_options(lina PRIVATE -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/liblina.map)
include(install.cmake)
include(cuda_module.cmake)
