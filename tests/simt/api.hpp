// What every call of the runtime API begins and ends with.
#pragma once

#include "grid.hpp"
#include "machine.hpp"

namespace simt::detail {

/// Why no call can succeed now.
inline cudaError_t refused(const Machine& m) {
  if (m.fail_all != cudaSuccess) return m.fail_all;
  if (in_host_function || self != nullptr) return cudaErrorNotPermitted;
  return cudaSuccess;
}

inline cudaError_t sticky(const Machine& m) {
  return m.devices[static_cast<std::size_t>(present_device)].sticky;
}

inline cudaError_t remember(cudaError_t code) {
  if (code != cudaSuccess) last_error = code;
  return code;
}

/// call(machine, lock), unless the present device is broken, also by what it ran in this call.
template <class Call>
cudaError_t call(const Call& call) {
  Machine& m = machine();
  Lock lock(m.mutex);
  cudaError_t code = refused(m);
  if (code == cudaSuccess) code = sticky(m);
  if (code == cudaSuccess) code = call(m, lock);
  if (code == cudaSuccess) code = sticky(m);
  return remember(code);
}

/// The same for calls that give something back, which they do on a broken device too.
template <class Call>
cudaError_t call_to_free(const Call& call) {
  Machine& m = machine();
  Lock lock(m.mutex);
  cudaError_t code = refused(m);
  if (code == cudaSuccess) code = call(m, lock);
  if (code == cudaSuccess) code = sticky(m);
  return remember(code);
}

/// The same for calls that no device takes part in.
template <class Call>
cudaError_t call_without_device(const Call& call) {
  Machine& m = machine();
  Lock lock(m.mutex);
  cudaError_t code = refused(m);
  if (code == cudaSuccess) code = call(m, lock);
  return remember(code);
}

/// The stream comes after an event that was recorded in a capture, and so becomes part of it.
cudaError_t join_capture(const StreamPointer& stream, const Event& event);

/// Of one multiprocessor; 0: never.
int blocks_at_once(unsigned threads, std::size_t shared_bytes);

inline void count_synchronisation(Machine& m) {
  ++m.synchronisations;
  ++own_synchronisations;
}

}  // namespace simt::detail
