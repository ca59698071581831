! The oldest binding: no interfaces, handles are integers.
program with_mpif_h
  implicit none
  include 'mpif.h'
  integer :: request
  include 'allreduce.inc'
end program
