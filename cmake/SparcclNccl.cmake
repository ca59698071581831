# NCCL::nccl, for programs that make communicators of NCCL's themselves (the library finds NCCL when it
# runs). No such target where libnccl.so is not found.
find_library(NCCL_LIBRARY nccl
  HINTS $ENV{NCCL_HOME} $ENV{NCCL_ROOT} ${NCCL_INCLUDE_DIR}/.. ${CUDAToolkit_LIBRARY_ROOT}
    ${CUDAToolkit_LIBRARY_DIR}
  PATH_SUFFIXES lib lib64
  DOC "libnccl.so, for programs")
mark_as_advanced(NCCL_LIBRARY)
if(NCCL_LIBRARY AND NOT TARGET NCCL::nccl)
  add_library(NCCL::nccl SHARED IMPORTED)
  set_target_properties(NCCL::nccl PROPERTIES
    IMPORTED_LOCATION ${NCCL_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${NCCL_INCLUDE_DIR})
endif()
