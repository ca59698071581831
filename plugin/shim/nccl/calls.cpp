#include "shim/nccl/calls.hpp"

namespace sparccl::shim::nccl {

namespace {

bool is_on(int device, const void* pointer) noexcept {
  cudaPointerAttributes found{};
  if (cudaPointerGetAttributes(&found, pointer) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return false;
  }
  return found.type == cudaMemoryTypeManaged ||
         (found.type == cudaMemoryTypeDevice && found.device == device);
}

}  // namespace

Key key_of(const Arguments& arguments) noexcept {
  return {arguments.count, static_cast<DataType>(arguments.type),
          static_cast<Reduction>(arguments.op)};
}

std::uint64_t bytes_of(const Arguments& arguments) noexcept {
  const auto type = static_cast<DataType>(arguments.type);
  // The types after bfloat16 are those of 8 bits.
  return arguments.count * (type <= DataType::bfloat16 ? size_of(type) : 1);
}

bool is_capturing(cudaStream_t stream) noexcept {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  const cudaError_t code = cudaStreamIsCapturing(stream, &status);
  if (code != cudaSuccess) static_cast<void>(cudaGetLastError());
  return code != cudaSuccess || status != cudaStreamCaptureStatusNone;
}

bool on_device(const Arguments& arguments, int device) noexcept {
  return is_on(device, arguments.send) && is_on(device, arguments.recv);
}

ncclResult_t to_nccl(Result code) noexcept {
  switch (code) {
    case Result::success: return ncclSuccess;
    case Result::unhandled_cuda_error: return ncclUnhandledCudaError;
    case Result::system_error: return ncclSystemError;
    case Result::internal_error:
    case Result::in_progress: return ncclInternalError;
    case Result::invalid_argument: return ncclInvalidArgument;
    case Result::invalid_usage:
    case Result::mismatch:
    case Result::bad_state:
    case Result::non_finite: return ncclInvalidUsage;
    case Result::remote_error:
    case Result::bad_packet:
    case Result::timeout:
    case Result::aborted: return ncclRemoteError;
  }
  return ncclInternalError;
}

}  // namespace sparccl::shim::nccl
