# How every target of this project is compiled.

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_package(Threads REQUIRED)

add_library(sparccl_options INTERFACE)
# A fused multiply-add would give other bits than the same formula elsewhere.
target_compile_options(sparccl_options INTERFACE
  "$<$<COMPILE_LANGUAGE:C,CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-ffp-contract=off>"
  $<$<AND:$<COMPILE_LANGUAGE:C,CXX>,$<BOOL:${SPARCCL_WERROR}>>:-Werror>)

# What libsparccl_mpi lacks is an error here, not at its users. (Sanitizers leave symbols open.)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  target_link_options(sparccl_options INTERFACE LINKER:--no-undefined)
endif()

# Debian and Ubuntu keep several MPIs side by side, told apart by their wrappers' suffix, and let
# `mpicxx` be any of them. Whoever has chosen already, or has another MPI first on PATH, keeps it.
if(SPARCCL_MPI_PREFER AND NOT DEFINED MPI_EXECUTABLE_SUFFIX AND NOT DEFINED MPI_CXX_COMPILER
    AND NOT DEFINED MPI_HOME AND NOT DEFINED ENV{MPI_HOME})
  find_program(sparccl_mpicxx mpicxx NO_CACHE)
  cmake_path(GET sparccl_mpicxx PARENT_PATH sparccl_mpicxx)
  if(EXISTS ${sparccl_mpicxx}/mpicxx.${SPARCCL_MPI_PREFER})
    set(MPI_EXECUTABLE_SUFFIX .${SPARCCL_MPI_PREFER})
  endif()
endif()

# SPARCCL_HAVE_MPI: whether the MPI transport is built.
if(SPARCCL_MPI STREQUAL "ON")
  find_package(MPI REQUIRED COMPONENTS CXX)
elseif(SPARCCL_MPI STREQUAL "AUTO")
  find_package(MPI COMPONENTS CXX)
endif()
if(NOT SPARCCL_MPI STREQUAL "OFF" AND MPI_CXX_FOUND)
  set(SPARCCL_HAVE_MPI TRUE)
else()
  set(SPARCCL_HAVE_MPI FALSE)
endif()
