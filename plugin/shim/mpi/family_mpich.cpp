#include "shim/mpi/family.hpp"

namespace sparccl::shim::mpi {

const Family& family() noexcept {
  static const char* const libraries[] = {"libmpi.so.40", "libmpi.so.80", nullptr};
  static const Family own{"MPICH", "Open MPI", libraries};
  return own;
}

}  // namespace sparccl::shim::mpi
