# A C++ and a C program that call find_package(sparccl), and what it refuses.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)

build_consumer(cpp consumer-cpp -D CMAKE_PREFIX_PATH=${PREFIX})
run(${WORK}/consumer-cpp/consumer)
run(${WORK}/consumer-cpp/consumer_c)

# expect_refusal(<what it must say> <arguments>...): the C++ program must not configure.
function(expect_refusal reason)
  file(REMOVE_RECURSE ${WORK}/refused)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -S ${SOURCE}/cpp -B ${WORK}/refused -G ${GENERATOR}
      -D CMAKE_PREFIX_PATH=${PREFIX} -D CMAKE_CXX_COMPILER=${CXX} ${ARGN}
    OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
  string(REGEX REPLACE "[ \n]+" " " output "${output}")
  if(result EQUAL 0 OR NOT output MATCHES "${reason}")
    message(FATAL_ERROR "${ARGN}: expected a refusal that says '${reason}', found ${result}: ${output}")
  endif()
endfunction()
expect_refusal("compatible with requested version" -D WANTED_VERSION=99)
expect_refusal("compatible with requested version" -D WANTED_VERSION=0.0)
expect_refusal("component teleport: there is no such component" -D WANTED_COMPONENTS=teleport)
if(NOT HAVE_MPI)
  expect_refusal("component mpi: this sparccl was built without MPI" -D WANTED_COMPONENTS=mpi)
endif()
if(NOT HAVE_CUDA)
  expect_refusal("component cuda: this sparccl was built without CUDA" -D WANTED_COMPONENTS=cuda)
  return()
endif()
build_consumer(cpp consumer-cuda -D CMAKE_PREFIX_PATH=${PREFIX} -D WANTED_COMPONENTS=cuda)
run(${WORK}/consumer-cuda/consumer_cuda)
run(${WORK}/consumer-cuda/consumer_nccl_c)
