# The whole project inside another one (add_subdirectory, as FetchContent does), where the default is a
# static library; then that library installed, and used through CMake and pkg-config.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)

# -O0: this is about linking.
set(CONFIG Debug)
set(mpi -D SPARCCL_MPI=OFF)
set(components)
if(HAVE_MPI)
  set(mpi -D SPARCCL_MPI=ON -D MPI_CXX_COMPILER=${MPI_CXX_COMPILER})
  set(components -D WANTED_COMPONENTS=mpi)
endif()
build_consumer(subdirectory inside -D SPARCCL_SOURCE=${PROJECT} -D SPARCCL_INSTALL=ON
  -D CMAKE_INSTALL_LIBDIR=${LIBDIR} ${mpi})
run(${WORK}/inside/consumer)
file(GLOB_RECURSE strays ${WORK}/inside/*sparccl*_test* ${WORK}/inside/*.so)
if(strays)
  message(FATAL_ERROR "a project inside another must build neither its tests nor shared libraries: ${strays}")
endif()

set(PREFIX ${WORK}/prefix-static)
file(REMOVE_RECURSE ${PREFIX})
run(${CMAKE_COMMAND} --install ${WORK}/inside --config ${CONFIG} --prefix ${PREFIX})
if(NOT EXISTS ${PREFIX}/${LIBDIR}/libsparccl.a)
  message(FATAL_ERROR "no static library in ${PREFIX}/${LIBDIR}")
endif()
build_consumer(cpp consumer-static -D CMAKE_PREFIX_PATH=${PREFIX} ${components})
run(${WORK}/consumer-static/consumer)
run(${WORK}/consumer-static/consumer_c)
if(HAVE_MPI)
  run(${MPIEXEC} ${MPIEXEC_NUMPROC_FLAG} 2 ${WORK}/consumer-static/consumer_mpi)
endif()
set(SHARED FALSE)
include(${CMAKE_CURRENT_LIST_DIR}/pkg_config.cmake)
