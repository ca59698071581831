# The examples run, and train_mnist says what is wrong with its input.
add_test(NAME examples.minimal COMMAND minimal)
set_tests_properties(examples.minimal PROPERTIES
  LABELS examples
  TIMEOUT 120)

if(SPARCCL_EXAMPLES_CUDA)
  add_test(NAME examples.minimal_nccl COMMAND minimal_nccl)
  set_tests_properties(examples.minimal_nccl PROPERTIES
    LABELS "examples;gpu"
    SKIP_RETURN_CODE 77
    RESOURCE_LOCK gpu
    TIMEOUT 300)
endif()

set(environment ${SPARCCL_MPI_PROGRAM_ENVIRONMENT} OMP_NUM_THREADS=1)

set(mpirun "")
if(SPARCCL_HAVE_MPI)
  set(mpirun ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG})
  add_test(NAME examples.minimal_mpi COMMAND ${mpirun} 2 $<TARGET_FILE:minimal_mpi>)
  set_tests_properties(examples.minimal_mpi PROPERTIES
    LABELS examples
    ENVIRONMENT "${environment}"
    PROCESSORS 2
    TIMEOUT 120)
endif()

find_package(Python3 COMPONENTS Interpreter QUIET)
if(NOT Python3_FOUND)
  return()
endif()
if(TARGET toy AND TARGET linear_regression)
  add_test(NAME examples.convergence
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/convergence_test.py
      --scratch ${CMAKE_CURRENT_BINARY_DIR}/convergence_test
      --toy $<TARGET_FILE:toy> --regression $<TARGET_FILE:linear_regression>)
  set_tests_properties(examples.convergence PROPERTIES
    LABELS examples
    PROCESSORS 2
    TIMEOUT 600)
endif()

if(NOT TARGET train_mnist)
  return()
endif()
set(cuda not-built)
if(SPARCCL_EXAMPLES_CUDA)
  set(cuda built)
endif()
foreach(part Training Errors Cuda Launcher)
  string(TOLOWER ${part} name)
  add_test(NAME examples.train_mnist.${name}
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/train_mnist/train_mnist_test.py
      --part ${part}
      --scratch ${CMAKE_CURRENT_BINARY_DIR}/train_mnist_test.${name}
      --data ${CMAKE_CURRENT_SOURCE_DIR}/data/mnist
      --program $<TARGET_FILE:train_mnist> --probe $<TARGET_FILE:mnist_launcher_probe> --cuda ${cuda}
      -- ${mpirun})
  set_tests_properties(examples.train_mnist.${name} PROPERTIES
    LABELS examples
    ENVIRONMENT "${environment}"
    PROCESSORS 2
    TIMEOUT 1200)
endforeach()

# A Python with matplotlib may be another one than CMake's.
set(plot "")
foreach(python python3 /usr/bin/python3)
  execute_process(COMMAND ${python} -c "import matplotlib" RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
  if(status EQUAL 0)
    set(plot --plot ${python} ${CMAKE_CURRENT_SOURCE_DIR}/plot_study.py)
    break()
  endif()
endforeach()
add_test(NAME examples.cifar10
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/train_mnist/cifar10_test.py
    --scratch ${CMAKE_CURRENT_BINARY_DIR}/cifar10 --program $<TARGET_FILE:train_mnist>)
set_tests_properties(examples.cifar10 PROPERTIES
  LABELS examples
  PROCESSORS 2
  TIMEOUT 300)

set(study ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/train_mnist/study_test.py
  --program $<TARGET_FILE:train_mnist>)
add_test(NAME examples.mnist_study
  COMMAND ${study} --scratch ${CMAKE_CURRENT_BINARY_DIR}/mnist_study ${plot})
add_test(NAME examples.mnist_study_of_digits
  COMMAND ${study} --scratch ${CMAKE_CURRENT_BINARY_DIR}/mnist_study_of_digits --robust)
set_tests_properties(examples.mnist_study examples.mnist_study_of_digits PROPERTIES
  LABELS examples
  PROCESSORS 2
  TIMEOUT 1200)

add_test(NAME examples.train_mnist_classifier COMMAND mnist_classifier_test)
set_tests_properties(examples.train_mnist_classifier PROPERTIES
  LABELS examples
  TIMEOUT 120)
add_test(NAME examples.train_mnist_cuda_mlp COMMAND mnist_cuda_mlp_test)
set_tests_properties(examples.train_mnist_cuda_mlp PROPERTIES
  LABELS examples
  TIMEOUT 120)
