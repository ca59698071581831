// From NCCL's arguments to a call of the shim's, and from its errors to NCCL's.
#pragma once

#include <cuda_runtime.h>
#include <nccl.h>

#include <cstddef>
#include <cstdint>

#include "shim/call.hpp"

namespace sparccl::shim::nccl {

/// The arguments of ncclAllReduce, as they came.
struct Arguments {
  const void* send = nullptr;
  void* recv = nullptr;
  std::size_t count = 0;
  ncclDataType_t type = ncclFloat32;
  ncclRedOp_t op = ncclSum;
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
};

/// Of any type and operation, those included that the program or a later NCCL has made.
[[nodiscard]] Key key_of(const Arguments& arguments) noexcept;

/// Of one rank's buffer.
[[nodiscard]] std::uint64_t bytes_of(const Arguments& arguments) noexcept;

/// Whether the stream is being captured, or cannot be asked: then it is left alone, too.
[[nodiscard]] bool is_capturing(cudaStream_t stream) noexcept;

/// Whether both buffers are memory of that device, or managed.
[[nodiscard]] bool on_device(const Arguments& arguments, int device) noexcept;

[[nodiscard]] ncclResult_t to_nccl(Result code) noexcept;

}  // namespace sparccl::shim::nccl
