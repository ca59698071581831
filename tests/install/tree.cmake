# Installs, moves what was installed, and looks at it.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)

set(first ${PREFIX}-before-the-move)
file(REMOVE_RECURSE ${first} ${PREFIX})
run(${CMAKE_COMMAND} --install ${BUILD} --config ${CONFIG} --prefix ${first})
file(RENAME ${first} ${PREFIX})

# Exactly the public headers.
file(GLOB expected RELATIVE ${PROJECT}/include/sparccl ${PROJECT}/include/sparccl/*)
if(NOT HAVE_MPI)
  list(FILTER expected EXCLUDE REGEX "^mpi\\.")
endif()
if(NOT HAVE_CUDA)
  list(FILTER expected EXCLUDE REGEX "^(cuda|nccl)\\.")
endif()
file(GLOB found RELATIVE ${PREFIX}/include/sparccl ${PREFIX}/include/sparccl/*)
if(NOT expected STREQUAL found)
  message(FATAL_ERROR "headers: expected ${expected}, found ${found}")
endif()

# Nothing names a place that may be gone.
file(GLOB_RECURSE texts ${PREFIX}/*.cmake ${PREFIX}/*.pc)
list(LENGTH texts count)
if(count LESS 4)
  message(FATAL_ERROR "no CMake package or pkg-config file among: ${texts}")
endif()
foreach(text IN LISTS texts)
  file(READ ${text} content)
  foreach(place ${first} ${PROJECT} ${BUILD})
    string(FIND "${content}" "${place}" at)
    if(NOT at EQUAL -1)
      message(FATAL_ERROR "${text} names ${place}")
    endif()
  endforeach()
endforeach()

# The other libraries find the libsparccl beside them, wherever that is.
set(others "")
if(SHARED AND HAVE_MPI)
  list(APPEND others ${PREFIX}/${LIBDIR}/libsparccl_mpi.so)
endif()
if(SHARED AND HAVE_CUDA)
  list(APPEND others ${PREFIX}/${LIBDIR}/libsparccl_cuda.so)
endif()
foreach(library IN LISTS others)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env --unset=LD_LIBRARY_PATH ldd ${library}
    OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
  string(FIND "${output}" "${PREFIX}/${LIBDIR}/libsparccl.so" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "${library} does not find its libsparccl:\n${output}")
  endif()
endforeach()
