# What users get: the module under the name that NCCL looks for, two ways to ask where it is, lina-top and lina-check.
# It is loaded with dlopen, so there is nothing to link with and no header.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lina-nccl)
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

configure_package_config_file(${CMAKE_CURRENT_SOURCE_DIR}/package/lina-nccl-config.cmake.in
	${CMAKE_CURRENT_BINARY_DIR}/lina-nccl-config.cmake
	INSTALL_DESTINATION ${package_dir}
	PATH_VARS CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/lina-nccl-config-version.cmake
	COMPATIBILITY SameMajorVersion)

# Relative, so that the installation can be moved.
file(RELATIVE_PATH LINA_PC_TO_PREFIX /${pc_dir} /)
string(REGEX REPLACE "/$" "" LINA_PC_TO_PREFIX "${LINA_PC_TO_PREFIX}")
configure_file(package/lina-nccl.pc.in lina-nccl.pc @ONLY)

install(TARGETS nccl-net-lina LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS lina-check lina-top RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES
	${CMAKE_CURRENT_BINARY_DIR}/lina-nccl-config.cmake
	${CMAKE_CURRENT_BINARY_DIR}/lina-nccl-config-version.cmake
	DESTINATION ${package_dir})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/lina-nccl.pc DESTINATION ${pc_dir})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/lina.7 DESTINATION ${CMAKE_INSTALL_MANDIR}/man7)
install(FILES man/lina-check.1 man/lina-top.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
# Where README and one another look for them.
install(FILES README.md MESSAGES.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/plugin)
install(FILES doc/engine.svg doc/both-ends.svg DESTINATION ${CMAKE_INSTALL_DOCDIR}/plugin/doc)
