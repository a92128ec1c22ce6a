# What users of liblina get: the library, shared and static, its headers, and two ways to find them.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/liblina)
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
configure_package_config_file(${CMAKE_CURRENT_SOURCE_DIR}/package/liblina-config.cmake.in
	${CMAKE_CURRENT_BINARY_DIR}/liblina-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/liblina-config-version.cmake
	COMPATIBILITY SameMajorVersion)
file(RELATIVE_PATH LINA_PC_TO_PREFIX /${pc_dir} /)
string(REGEX REPLACE "/$" "" LINA_PC_TO_PREFIX "${LINA_PC_TO_PREFIX}")
configure_file(package/liblina.pc.in liblina.pc @ONLY)

install(TARGETS lina lina_static EXPORT liblina-targets
	LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
	ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
	INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lina)
install(EXPORT liblina-targets NAMESPACE lina:: DESTINATION ${package_dir})
# Headers name one another as in the repository.
install(FILES counts.h lina.h lina_sched.h lina_sparse.h plan.h plan_io.h
	DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lina/collectives)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/liblina-config.cmake
	${CMAKE_CURRENT_BINARY_DIR}/liblina-config-version.cmake
	DESTINATION ${package_dir})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/liblina.pc DESTINATION ${pc_dir})
