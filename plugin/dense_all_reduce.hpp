// Communicator::all_reduce: the dense path, with the same agreement as the sparse one.
#pragma once

#include <memory>

#include "communicator.hpp"

namespace sparccl {

/// See Communicator::all_reduce.
void dense_all_reduce(const std::shared_ptr<Communicator::Impl>& communicator, const void* send,
                      void* recv, std::size_t count, DataType type, Reduction reduction,
                      Stream stream);

}  // namespace sparccl
