#include <memory>
#include <string>

#include "api.hpp"

using namespace simt::detail;

namespace {

/// True when it is this one's turn to fail.
bool count_down(std::uint64_t& n) { return n != 0 && --n == 0; }

cudaError_t allocate(void** pointer, std::size_t bytes, Allocation::Kind kind) {
  return call([&](Machine& m, Lock&) {
    if (pointer == nullptr) return cudaErrorInvalidValue;
    if (!m.allows_unsafe_calls()) return cudaErrorStreamCaptureUnsupported;
    *pointer = nullptr;
    if (bytes == 0) return cudaSuccess;
    const bool on_device = kind == Allocation::Kind::device;
    if (count_down(on_device ? m.fail_device_allocation : m.fail_host_allocation))
      return cudaErrorMemoryAllocation;
    const AllocationPointer made = memory().allocate(kind, present_device, bytes);
    if (made == nullptr) return cudaErrorMemoryAllocation;
    *pointer = reinterpret_cast<void*>(made->begin);
    return cudaSuccess;
  });
}

/// Waits for the device, as CUDA does.
cudaError_t free(void* pointer, Allocation::Kind kind) {
  return call_to_free([&](Machine& m, Lock& lock) {
    if (pointer == nullptr) return cudaSuccess;
    if (!m.allows_unsafe_calls()) return cudaErrorStreamCaptureUnsupported;
    const AllocationPointer found = memory().find(reinterpret_cast<std::uintptr_t>(pointer));
    if (found == nullptr || found->begin != reinterpret_cast<std::uintptr_t>(pointer) ||
        found->kind != kind)
      return cudaErrorInvalidValue;
    count_synchronisation(m);
    m.drain_device(lock, found->device);
    return memory().free(pointer, kind) ? cudaSuccess : cudaErrorInvalidValue;
  });
}

bool on_device(const void* pointer) {
  const auto found = memory().find(reinterpret_cast<std::uintptr_t>(pointer));
  return found != nullptr && found->kind == Allocation::Kind::device;
}
bool pageable(const void* pointer) {
  return memory().find(reinterpret_cast<std::uintptr_t>(pointer)) == nullptr;
}

bool suits(cudaMemcpyKind kind, bool to_device, bool from_device) {
  switch (kind) {
    case cudaMemcpyHostToHost: return !to_device && !from_device;
    case cudaMemcpyHostToDevice: return to_device && !from_device;
    case cudaMemcpyDeviceToHost: return !to_device && from_device;
    case cudaMemcpyDeviceToDevice: return to_device && from_device;
    case cudaMemcpyDefault: return true;
  }
  return false;
}

cudaError_t ended(bool well, const char* what) {
  if (well) return cudaSuccess;
  record_fault(std::string(what) + ": the memory was freed before the stream came to it");
  return cudaErrorIllegalAddress;
}

Work copying(void* to, const void* from, std::size_t bytes, bool staged) {
  if (!staged) {
    return [=](std::uint64_t) { return ended(copy_bytes(to, from, bytes), "cudaMemcpyAsync"); };
  }
  const auto* const begin = static_cast<const std::byte*>(from);
  auto copy = std::make_shared<const std::vector<std::byte>>(begin, begin + bytes);
  return
      [=](std::uint64_t) { return ended(copy_bytes(to, copy->data(), bytes), "cudaMemcpyAsync"); };
}

cudaError_t copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                 cudaStream_t handle, bool blocking) {
  return call([&](Machine& m, Lock& lock) {
    if (blocking && !m.allows_unsafe_calls()) return cudaErrorStreamCaptureUnsupported;
    const StreamPointer stream = m.stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (bytes == 0) return cudaSuccess;
    if (to == nullptr || from == nullptr || !in_one_piece(to, bytes) ||
        !in_one_piece(from, bytes) || !suits(kind, on_device(to), on_device(from)))
      return cudaErrorInvalidValue;
    // From pageable memory CUDA copies at once, to it it waits.
    const bool captured = stream->capture != nullptr;
    const bool waits =
        (blocking && !(on_device(to) && on_device(from))) || (!captured && pageable(to));
    const bool staged = !captured && !waits && pageable(from);
    const cudaError_t code = m.enqueue(stream, {copying(to, from, bytes, staged), false, {}});
    if (code == cudaSuccess && waits) {
      count_synchronisation(m);
      m.drain(lock, stream, stream->enqueued);
    }
    return code;
  });
}

}  // namespace

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  return allocate(pointer, bytes, Allocation::Kind::device);
}
cudaError_t cudaFree(void* pointer) { return free(pointer, Allocation::Kind::device); }

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned flags) {
  if (flags > 7) return remember(cudaErrorInvalidValue);
  return allocate(pointer, bytes, Allocation::Kind::pinned);
}
cudaError_t cudaMallocHost(void** pointer, std::size_t bytes, unsigned flags) {
  return cudaHostAlloc(pointer, bytes, flags);
}
cudaError_t cudaFreeHost(void* pointer) { return free(pointer, Allocation::Kind::pinned); }

cudaError_t cudaHostRegister(void* pointer, std::size_t bytes, unsigned flags) {
  return call([&](Machine&, Lock&) {
    if (pointer == nullptr || bytes == 0 || flags > 15) return cudaErrorInvalidValue;
    if (!pageable(pointer)) return cudaErrorHostMemoryAlreadyRegistered;
    return memory().allocate(Allocation::Kind::registered, present_device, bytes, pointer) !=
                   nullptr
               ? cudaSuccess
               : cudaErrorMemoryAllocation;
  });
}
cudaError_t cudaHostUnregister(void* pointer) {
  return call_to_free([&](Machine& m, Lock& lock) {
    m.drain_device(lock, present_device);
    return memory().free(pointer, Allocation::Kind::registered) ? cudaSuccess
                                                                : cudaErrorHostMemoryNotRegistered;
  });
}
cudaError_t cudaHostGetDevicePointer(void** on_device_too, void* on_host, unsigned flags) {
  return call([&](Machine&, Lock&) {
    if (on_device_too == nullptr || flags != 0 || on_device(on_host) || pageable(on_host))
      return cudaErrorInvalidValue;
    *on_device_too = on_host;
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return call([&](Machine&, Lock&) {
    if (attributes == nullptr) return cudaErrorInvalidValue;
    void* const plain = const_cast<void*>(pointer);
    const auto found = memory().find(reinterpret_cast<std::uintptr_t>(pointer));
    if (found == nullptr) {
      *attributes = {cudaMemoryTypeUnregistered, cudaInvalidDeviceId, nullptr, plain};
    } else if (found->kind == Allocation::Kind::device) {
      *attributes = {cudaMemoryTypeDevice, found->device, plain, nullptr};
    } else {
      *attributes = {cudaMemoryTypeHost, found->device, plain, plain};
    }
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return copy(to, from, bytes, kind, nullptr, true);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return copy(to, from, bytes, kind, stream, false);
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  return cudaMemsetAsync(to, value, bytes, nullptr);
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t handle) {
  return call([&](Machine& m, Lock&) {
    const StreamPointer stream = m.stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (bytes == 0) return cudaSuccess;
    if (to == nullptr || pageable(to) || !in_one_piece(to, bytes)) return cudaErrorInvalidValue;
    return m.enqueue(stream, {[=](std::uint64_t) {
                                return ended(fill_bytes(to, value, bytes), "cudaMemsetAsync");
                              },
                              false,
                              {}});
  });
}
