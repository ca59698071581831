# The mpi component: a C++ program through find_package, and a C program through pkg-config and mpicc.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
set(mpirun ${MPIEXEC} ${MPIEXEC_NUMPROC_FLAG} 2)

# No hint which MPI: the package must find the one that it was built with.
build_consumer(cpp consumer-mpi -D CMAKE_PREFIX_PATH=${PREFIX} -D WANTED_COMPONENTS=mpi)
run(${mpirun} ${WORK}/consumer-mpi/consumer_mpi)

# The other MPI, where there is one, is refused: it would link, and crash.
get_filename_component(directory ${MPI_CXX_COMPILER} DIRECTORY)
foreach(other openmpi mpich)
  if(EXISTS ${directory}/mpicxx.${other} AND NOT MPI_CXX_COMPILER MATCHES "\\.${other}$")
    file(REMOVE_RECURSE ${WORK}/refused-mpi)
    execute_process(
      COMMAND ${CMAKE_COMMAND} -S ${SOURCE}/cpp -B ${WORK}/refused-mpi -G ${GENERATOR}
        -D CMAKE_PREFIX_PATH=${PREFIX} -D CMAKE_CXX_COMPILER=${CXX}
        -D WANTED_COMPONENTS=mpi -D MPI_EXECUTABLE_SUFFIX=.${other}
      OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
    string(REGEX REPLACE "[ \n]+" " " output "${output}")
    if(result EQUAL 0 OR NOT output MATCHES "was built with .*, but this project uses ${other}")
      message(FATAL_ERROR "${other} was not refused: ${result}: ${output}")
    endif()
  endif()
endforeach()

set(ENV{PKG_CONFIG_PATH} ${PREFIX}/${LIBDIR}/pkgconfig)
set(ENV{LD_LIBRARY_PATH} ${PREFIX}/${LIBDIR}:$ENV{LD_LIBRARY_PATH})
if(SHARED)
  string(REGEX REPLACE "mpi(cxx|c\\+\\+|CC)([^/]*)$" "mpicc\\2" mpicc ${MPI_CXX_COMPILER})
  capture(flags pkg-config --cflags --libs sparccl-mpi)
  run(${mpicc} -std=c11 -Wall -Wextra -Werror ${c_flags} ${SOURCE}/consumer_mpi.c
    -o ${WORK}/consumer-mpi-pkg-config ${flags})
  run(${mpirun} ${WORK}/consumer-mpi-pkg-config)
endif()
