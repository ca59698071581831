# sparccl_mpi_family(<variable>): "openmpi" or "mpich" (with all that share its ABI), by the mpi.h that
# FindMPI found; "" where that cannot be told. The two differ in ABI: a program that mixes them links,
# and then crashes.
function(sparccl_mpi_family variable)
  set(family "")
  foreach(directory IN LISTS MPI_CXX_HEADER_DIR MPI_CXX_INCLUDE_DIRS)
    if(NOT EXISTS ${directory}/mpi.h)
      continue()
    endif()
    file(STRINGS ${directory}/mpi.h lines
      REGEX "^#[ \t]*define[ \t]+(OPEN_MPI|MPICH_VERSION|MPICH_NAME|I_MPI_VERSION)")
    if(lines MATCHES "OPEN_MPI")
      set(family openmpi)
    elseif(lines)
      set(family mpich)
    endif()
    break()
  endforeach()
  set(${variable} "${family}" PARENT_SCOPE)
endfunction()
