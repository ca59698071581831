# What `cmake --install` lays down: headers, libraries, the CMake package, pkg-config files. All of it
# may be moved afterwards: no file names the prefix.

option(SPARCCL_INSTALL "Make install rules" ${PROJECT_IS_TOP_LEVEL})
if(NOT SPARCCL_INSTALL)
  return()
endif()

include(CMakePackageConfigHelpers)

set(sparccl_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/sparccl)
set(sparccl_pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# CMAKE_INSTALL_LIBDIR may have several parts (lib/x86_64-linux-gnu) or be absolute (NixOS), when
# nothing can be relative to the .pc file.
function(sparccl_pkgconfig_file name)
  if(IS_ABSOLUTE "${sparccl_pkgconfig_dir}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(pc_prefix ${CMAKE_INSTALL_PREFIX})
    set(pc_libdir ${CMAKE_INSTALL_FULL_LIBDIR})
    set(pc_includedir ${CMAKE_INSTALL_FULL_INCLUDEDIR})
  else()
    file(RELATIVE_PATH up /p/${sparccl_pkgconfig_dir} /p)
    string(REGEX REPLACE "/$" "" pc_prefix "\${pcfiledir}/${up}")
    set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
    set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
  endif()
  # What a C compiler driver does not link by itself, for `pkg-config --static`.
  set(pc_private -pthread)
  foreach(library IN LISTS CMAKE_CXX_IMPLICIT_LINK_LIBRARIES)
    if(NOT library IN_LIST CMAKE_C_IMPLICIT_LINK_LIBRARIES AND NOT IS_ABSOLUTE "${library}")
      string(APPEND pc_private " -l${library}")
    endif()
  endforeach()
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${sparccl_pkgconfig_dir})
endfunction()

# libsparccl
install(TARGETS sparccl EXPORT sparccl)
install(EXPORT sparccl NAMESPACE sparccl:: FILE sparcclTargets.cmake
  DESTINATION ${sparccl_cmake_dir})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/sparccl
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp"
  PATTERN "mpi.*" EXCLUDE
  PATTERN "nccl.*" EXCLUDE
  PATTERN "cuda.*" EXCLUDE)
sparccl_pkgconfig_file(sparccl)

# libsparccl_mpi: a component of its own, because it is tied to one MPI's ABI.
set(sparccl_mpi_family "")
if(SPARCCL_HAVE_MPI)
  include(${CMAKE_CURRENT_LIST_DIR}/SparcclMpiFamily.cmake)
  sparccl_mpi_family(sparccl_mpi_family)
  set_target_properties(sparccl_mpi PROPERTIES INSTALL_RPATH $ORIGIN)
  install(TARGETS sparccl_mpi EXPORT sparccl_mpi)
  install(EXPORT sparccl_mpi NAMESPACE sparccl:: FILE sparcclMpiTargets.cmake
    DESTINATION ${sparccl_cmake_dir})
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/SparcclMpiFamily.cmake DESTINATION ${sparccl_cmake_dir})
  install(FILES
    ${PROJECT_SOURCE_DIR}/include/sparccl/mpi.h
    ${PROJECT_SOURCE_DIR}/include/sparccl/mpi.hpp
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/sparccl)
  sparccl_pkgconfig_file(sparccl-mpi)
endif()

# libsparccl_cuda: a component of its own, because it holds kernels for every architecture.
if(SPARCCL_HAVE_CUDA)
  set_target_properties(sparccl_cuda PROPERTIES INSTALL_RPATH $ORIGIN)
  install(TARGETS sparccl_cuda EXPORT sparccl_cuda)
  install(EXPORT sparccl_cuda NAMESPACE sparccl:: FILE sparcclCudaTargets.cmake
    DESTINATION ${sparccl_cmake_dir})
  install(FILES
    ${PROJECT_SOURCE_DIR}/include/sparccl/cuda.hpp
    ${PROJECT_SOURCE_DIR}/include/sparccl/nccl.h
    ${PROJECT_SOURCE_DIR}/include/sparccl/nccl.hpp
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/sparccl)
  sparccl_pkgconfig_file(sparccl-cuda)
endif()

# The shims: one file each, that needs none of the others. They are loaded, not linked: no export.
foreach(shim sparccl_shim_mpi sparccl_shim_nccl)
  if(TARGET ${shim})
    install(TARGETS ${shim} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
endforeach()

# find_package(sparccl)
get_target_property(sparccl_library_type sparccl TYPE)
configure_package_config_file(
  ${PROJECT_SOURCE_DIR}/cmake/sparcclConfig.cmake.in ${PROJECT_BINARY_DIR}/sparcclConfig.cmake
  INSTALL_DESTINATION ${sparccl_cmake_dir}
  NO_SET_AND_CHECK_MACRO)
# While the major version is 0, a minor version may break its users.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sparcclConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/sparcclConfig.cmake
  ${PROJECT_BINARY_DIR}/sparcclConfigVersion.cmake
  DESTINATION ${sparccl_cmake_dir})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
