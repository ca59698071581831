#include "shim/mpi/family.hpp"

namespace sparccl::shim::mpi {

const Family& family() noexcept {
  static const char* const libraries[] = {"libmpich.so.12", "libmpi.so.12", nullptr};
  static const Family own{"Open MPI", "MPICH", libraries};
  return own;
}

}  // namespace sparccl::shim::mpi
