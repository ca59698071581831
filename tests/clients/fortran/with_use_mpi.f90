! Interfaces that ignore the type of buffers; handles are integers.
program with_use_mpi
  use mpi
  implicit none
  integer :: request
  include 'allreduce.inc'
end program
