# SPARCCL_HAVE_CUDA: whether the CUDA backend and the NCCL transport are built. Of NCCL only the header
# is needed: the library and the driver are found when a program runs.

# The first that knows all of CMAKE_CUDA_ARCHITECTURES' usual values, and cudaStreamGetDevice.
set(sparccl_cuda_least 12.8)

# What is missing, or "". Sets CMAKE_CUDA_COMPILER and NCCL_INCLUDE_DIR.
function(sparccl_find_cuda missing)
  find_program(nvcc NAMES ${CMAKE_CUDA_COMPILER} $ENV{CUDACXX} nvcc NAMES_PER_DIR NO_CACHE
    HINTS ${CUDAToolkit_ROOT} $ENV{CUDAToolkit_ROOT} $ENV{CUDA_PATH} $ENV{CUDA_HOME}
    PATHS /usr/local/cuda
    PATH_SUFFIXES bin)
  if(NOT nvcc)
    set(${missing} "no nvcc on PATH, in CUDACXX, CUDA_PATH or /usr/local/cuda" PARENT_SCOPE)
    return()
  endif()

  execute_process(COMMAND ${nvcc} --version OUTPUT_VARIABLE words ERROR_QUIET RESULT_VARIABLE status)
  if(NOT status EQUAL 0 OR NOT words MATCHES "release ([0-9.]+)")
    set(${missing} "${nvcc} --version does not say which it is" PARENT_SCOPE)
    return()
  elseif(CMAKE_MATCH_1 VERSION_LESS sparccl_cuda_least)
    set(${missing} "${nvcc} is of CUDA ${CMAKE_MATCH_1}, at least ${sparccl_cuda_least} is needed"
      PARENT_SCOPE)
    return()
  endif()
  set(version ${CMAKE_MATCH_1})

  file(REAL_PATH ${nvcc} toolkit)
  cmake_path(GET toolkit PARENT_PATH toolkit)
  cmake_path(GET toolkit PARENT_PATH toolkit)
  find_path(NCCL_INCLUDE_DIR nccl.h
    HINTS $ENV{NCCL_HOME} $ENV{NCCL_ROOT} ${toolkit}
    PATH_SUFFIXES include
    DOC "Where nccl.h is")
  mark_as_advanced(NCCL_INCLUDE_DIR)
  if(NOT NCCL_INCLUDE_DIR)
    set(${missing} "no nccl.h; set NCCL_HOME or NCCL_INCLUDE_DIR" PARENT_SCOPE)
    return()
  endif()

  # A host compiler that this nvcc does not take would end the configuration.
  if(NOT DEFINED CACHE{CMAKE_CUDA_COMPILER})
    set(probe ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/sparccl_nvcc)
    file(WRITE ${probe}.cu "#include <bit>\n__global__ void probe() {}\n")
    set(host_compiler "")
    if(CMAKE_CUDA_HOST_COMPILER)
      set(host_compiler -ccbin=${CMAKE_CUDA_HOST_COMPILER})
    endif()
    execute_process(
      COMMAND ${nvcc} -std=c++20 ${host_compiler} -c ${probe}.cu -o ${probe}.o
      OUTPUT_VARIABLE words ERROR_VARIABLE words RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
      string(STRIP "${words}" words)
      set(${missing} "${nvcc} does not compile C++20:\n${words}" PARENT_SCOPE)
      return()
    endif()
  endif()

  set(${missing} "" PARENT_SCOPE)
  set(CMAKE_CUDA_COMPILER ${nvcc} PARENT_SCOPE)
  set(sparccl_cuda_found "CUDA ${version} (${nvcc}), NCCL's header in ${NCCL_INCLUDE_DIR}"
    PARENT_SCOPE)
endfunction()

set(SPARCCL_HAVE_CUDA FALSE)
if(NOT SPARCCL_CUDA STREQUAL "OFF")
  sparccl_find_cuda(sparccl_cuda_missing)
  if(NOT sparccl_cuda_missing STREQUAL "")
    if(SPARCCL_CUDA STREQUAL "ON")
      message(FATAL_ERROR "SPARCCL_CUDA=ON: ${sparccl_cuda_missing}")
    endif()
    message(STATUS "Without CUDA: ${sparccl_cuda_missing}")
  else()
    message(STATUS "With ${sparccl_cuda_found}")
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    find_package(Python3 QUIET COMPONENTS Interpreter)
    set(SPARCCL_HAVE_CUDA TRUE)
  endif()
endif()

# Every target with .cu files: dialect, warnings, and a record of what ptxas says of each kernel, beside
# the object file, for script/kernel-resources.
function(sparccl_cuda_target target)
  # CMake 3.25 does not know that nvcc knows C++20; later ones do, and nvcc takes the flag only once.
  set(options "")
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    list(APPEND options -std=c++20)
  endif()
  # relaxed-constexpr: std::bit_cast and std::numeric_limits in device code. fmad, ffp-contract: hosts
  # and devices give the same bits. Pedantic warnings would be about what nvcc itself generates.
  list(APPEND options --expt-relaxed-constexpr -fmad=false
    -Xcompiler=-Wall,-Wextra,-Wshadow,-Wconversion,-ffp-contract=off)
  if(SPARCCL_WERROR)
    list(APPEND options -Werror=all-warnings -Xcompiler=-Werror)
  endif()
  if(Python3_Interpreter_FOUND)
    list(APPEND options -Xptxas=-v)
    set(launcher ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/script/kernel-resources compile
      ${CMAKE_CUDA_COMPILER_LAUNCHER})
    set_target_properties(${target} PROPERTIES CUDA_COMPILER_LAUNCHER "${launcher}")
  endif()
  set_target_properties(${target} PROPERTIES
    CUDA_STANDARD 20
    CUDA_STANDARD_REQUIRED OFF
    CUDA_EXTENSIONS OFF
    CUDA_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${options}>")
endfunction()
