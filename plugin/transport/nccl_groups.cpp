// The NCCL transport's groups and nodes.
#include <utility>

#include "cuda/runtime.hpp"
#include "transport/host_key.hpp"
#include "transport/nccl.hpp"
#include "transport/placement.hpp"

namespace sparccl {
namespace {

/// [count] of the present device's memory.
class Keys {
 public:
  explicit Keys(std::size_t count) : count_(count) {
    cuda::check(cudaMalloc(&data_, count * sizeof(std::uint64_t)));
  }
  ~Keys() { static_cast<void>(cudaFree(data_)); }
  Keys(const Keys&) = delete;
  Keys& operator=(const Keys&) = delete;

  [[nodiscard]] void* get() const noexcept { return data_; }
  void set(std::size_t i, const std::uint64_t& key, cudaStream_t stream) const {
    cuda::check(cudaMemcpyAsync(static_cast<std::uint64_t*>(data_) + i, &key, sizeof(key),
                                cudaMemcpyHostToDevice, stream));
  }
  [[nodiscard]] std::vector<std::uint64_t> values(cudaStream_t stream) const {
    std::vector<std::uint64_t> keys(count_);
    cuda::check(cudaMemcpyAsync(keys.data(), data_, count_ * sizeof(std::uint64_t),
                                cudaMemcpyDeviceToHost, stream));
    cuda::check(cudaStreamSynchronize(stream));
    return keys;
  }

 private:
  void* data_ = nullptr;
  std::size_t count_;
};

}  // namespace

std::vector<int> NcclTransport::nodes() {
  require_open();
  const std::uint64_t key = ranks_per_node_ == 0
                                ? host_key()
                                : static_cast<std::uint64_t>(fate_->rank() / ranks_per_node_);
  const cuda::DeviceGuard present(comm_.device());
  const cuda::OwnStream stream;
  const Keys keys(static_cast<std::size_t>(size()));
  keys.set(static_cast<std::size_t>(rank()), key, stream.get());
  all_gather(keys.get(), sizeof(key), stream.get());
  const std::vector<std::uint64_t> all = keys.values(stream.get());
  require_open();  // what was aborted has brought nothing
  return numbered_nodes(all);
}

std::unique_ptr<Transport> NcclTransport::group(int color) {
  require_open();
  if (color < 0) {
    throw Error(Result::invalid_argument, "group: " + own() + " passed color " +
                                              std::to_string(color) + ": expected 0 or more");
  }
  const cuda::DeviceGuard present(comm_.device());
  try {
    return std::unique_ptr<Transport>(new NcclTransport(*this, color));
  } catch (const Error& error) {  // other ranks may have one: unless all do, nobody can go on
    fail(error.code(), own() + ": group: " + error.what());
  }
  throw_failure();
}

}  // namespace sparccl
