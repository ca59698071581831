! Handles are types, buffers may come with a descriptor, and the error may be left out.
program with_use_mpi_f08
  use mpi_f08
  implicit none
  type(MPI_Request) :: request
  include 'allreduce.inc'
end program
