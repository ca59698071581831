// The C API's handles, errors and configs. Not installed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include <sparccl/sparccl.h>
#include <sparccl/sparccl.hpp>

namespace sparccl::c {

/// What an sparcclConfig_t asks for.
struct Config {
  Options options;
  CommunicatorOptions communicator;
};

/// A struct of the C API that begins with its size, a magic number and its version.
struct Struct {
  const char* name;
  const char* initializer;  // the macro that fills the three in
  std::size_t size;
  unsigned magic;
};

/// Throws Error(invalid_argument): "config.size: expected ..., found ...".
void require_this_version(const void* given, const Struct& expected);

/// Null: the defaults. Throws Error(invalid_argument): "config.mu: expected ..., found ...".
[[nodiscard]] Config read_config(const sparcclConfig_t* config, const Config& defaults = {});

/// An enumerator that came from C as the int that it is: reading one that is outside its
/// enumeration is undefined in C++.
template <class Enum>
int raw(const Enum& value) {
  static_assert(sizeof(Enum) == sizeof(int));
  int number = 0;
  std::memcpy(&number, &value, sizeof(number));
  return number;
}

/// Throws Error(invalid_argument).
[[nodiscard]] Path read_path(int path, const char* what);
[[nodiscard]] DataType read_type(const sparcclDataType_t& type);
[[nodiscard]] Reduction read_reduction(const sparcclRedOp_t& op);

/// What an sparcclComm_t stands for. Used by one thread at a time, but for abort and async error.
struct Comm {
  using Buffer = std::tuple<const void*, std::size_t, DataType>;

  Communicator communicator;
  Config config;                               // of tensors without one
  std::map<Buffer, SparseAllreduce> implicit;  // of sparcclAllReduce
};

/// What an sparcclTensor_t stands for. Null pointers once its communicator was destroyed.
struct Tensor {
  std::shared_ptr<SparseAllreduce> allreduce;
  std::shared_ptr<Comm> comm;
};

/// Handles are numbers that are never used twice and never followed, so that a stale or foreign one
/// is an error and not a crash. Thread-safe; its lock is never held while ranks wait.
class Registry {
 public:
  [[nodiscard]] sparcclComm_t add(Comm comm);
  [[nodiscard]] sparcclTensor_t add(Tensor tensor);

  /// The result stays valid when another thread destroys the handle. Throws
  /// Error(invalid_argument) on what never was a handle of this kind, Error(invalid_usage) on one
  /// that was destroyed.
  [[nodiscard]] std::shared_ptr<Comm> find(sparcclComm_t handle);
  [[nodiscard]] Tensor find(sparcclTensor_t handle);

  /// As find(), and forgets the handle; tensors lose their communicator with it.
  void destroy(sparcclComm_t handle);
  void destroy(sparcclTensor_t handle);

 private:
  template <class Map>
  typename Map::iterator locate(Map& map, const void* handle, const char* kind);

  std::mutex mutex_;
  std::uintptr_t next_ = 1;  // first page: following one by mistake would fault
  std::map<std::uintptr_t, std::shared_ptr<Comm>> comms_;
  std::map<std::uintptr_t, Tensor> tensors_;
};

/// Lives as long as the process: nothing is torn down behind threads that still use it.
[[nodiscard]] Registry& registry();

/// The exception in flight as a code; its sentence is kept for sparcclGetLastError.
[[nodiscard]] sparcclResult_t explain_exception() noexcept;

/// Runs a call of the C API; nothing is thrown past it.
template <class Call>
[[nodiscard]] sparcclResult_t guard(const Call& call) noexcept {
  try {
    call();
    return sparcclSuccess;
  } catch (...) {
    return explain_exception();
  }
}

/// The groups that this thread has opened by sparcclGroupStart.
[[nodiscard]] std::vector<std::unique_ptr<Group>>& open_groups();

/// Makes it what sparcclGetLastError returns on this thread.
void keep_sentence(const char* what) noexcept;

/// The sentence of the last failed call of this thread.
[[nodiscard]] const char* last_error() noexcept;

/// Throws Error(invalid_argument) that names the argument.
void require_not_null(const void* pointer, const char* name);

/// The whole of an sparcclCommInit* that makes one handle; libsparccl_mpi calls it.
[[nodiscard]] SPARCCL_API sparcclResult_t
create_comm(sparcclComm_t* comm, const sparcclConfig_t* config,
            const std::function<Communicator(const CommunicatorOptions&)>& make) noexcept;

}  // namespace sparccl::c
