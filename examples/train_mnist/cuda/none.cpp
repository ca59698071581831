// In place of the CUDA backend, in builds without one.
#include <stdexcept>

#include "backend.hpp"

namespace mnist {

std::string cuda_is_missing() {
  return "--backend cuda: this program was built without CUDA. Where nvcc, cuBLAS and NCCL are "
         "installed: cmake --preset cuda && cmake --build --preset cuda --target train_mnist";
}

std::unique_ptr<Backend> cuda_backend(World&) { throw std::logic_error(cuda_is_missing()); }

}  // namespace mnist
