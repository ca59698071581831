// Training on GPUs: cuBLAS for the algebra, NCCL for the ranks, one stream for all of a rank's
// work.
#include "backend.hpp"

#include <sparccl/nccl.hpp>

#include <array>
#include <cstring>

#include "cuda/mlp.hpp"
#include "cuda/nccl.hpp"
#include "cuda/owners.hpp"
#include "cuda/placement.hpp"

namespace mnist {
namespace cuda {
namespace {

using sparccl::Communicator;
using sparccl::DataType;
using sparccl::Reduction;

ncclUniqueId id_of_rank_0(World& world) {
  ncclUniqueId id{};
  std::string error;
  if (world.rank() == 0) {
    if (const ncclResult_t code = ncclGetUniqueId(&id); code != ncclSuccess) {
      error = std::string("NCCL: ") + ncclGetErrorString(code) + ": " + ncclGetLastError(nullptr);
    }
  }
  world.agree(error);
  const std::vector<std::byte> all = world.all_gather(std::as_bytes(std::span(&id, 1)));
  std::memcpy(&id, all.data(), sizeof id);
  return id;
}

std::string version_of_nccl() {
  int number = 0;
  check(ncclGetVersion(&number));
  return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." +
         std::to_string(number % 100);
}

std::string described(const Placement& placement, int ranks) {
  const bool alone = placement.different == 1;
  return std::to_string(ranks) + (ranks == 1 ? " rank on " : " ranks on ") +
         std::to_string(placement.different) + (alone ? " GPU, " : " GPUs, ") + placement.name +
         ", NCCL " + version_of_nccl();
}

/// Measures with events on the stream: the host waits for none until a few steps later. What an
/// allreduce waits for, ranks or bytes, only the device sees; so both are in `allreduce`.
class EventClock final : public StepClock {
 public:
  explicit EventClock(cudaStream_t stream) : stream_(stream) {}

  void begin() override {
    Marks& marks = ring_[steps_ % ring_.size()];
    if (steps_ >= ring_.size()) add(marks);
    marks.begin.record(stream_);
  }
  void gradient_done() override { ring_[steps_ % ring_.size()].gradient.record(stream_); }
  void average_done() override { ring_[steps_ % ring_.size()].average.record(stream_); }
  void update_done() override { ring_[steps_++ % ring_.size()].update.record(stream_); }

  StepSeconds sums() override {
    for (; added_ < steps_;) add(ring_[added_ % ring_.size()]);
    return sums_;
  }

 private:
  struct Marks {
    Event begin, gradient, average, update;
  };

  void add(const Marks& marks) {
    marks.update.wait();
    sums_.compute += marks.gradient.seconds_since(marks.begin);
    sums_.allreduce += marks.average.seconds_since(marks.gradient);
    sums_.compute += marks.update.seconds_since(marks.average);
    ++added_;
  }

  cudaStream_t stream_;
  std::array<Marks, 4> ring_;
  std::size_t steps_ = 0;
  std::size_t added_ = 0;  ///< steps whose time is in sums_
  StepSeconds sums_;
};

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(World& world)
      : placement_(choose_device(world)),
        nccl_(world.rank(), world.size(), id_of_rank_0(world)),
        communicator_(sparccl::nccl_communicator(nccl_.get())),
        numbers_(most_numbers) {}

  const Communicator& communicator() const noexcept override { return communicator_; }
  sparccl::Stream stream() const noexcept override { return stream_.get(); }

  std::unique_ptr<Model> model(const Network& network, const Data& data,
                               std::uint64_t seed) override {
    return std::make_unique<Mlp>(network, data, seed, stream_.get());
  }

  std::unique_ptr<StepClock> clock() override {
    return std::make_unique<EventClock>(stream_.get());
  }

  void all_reduce(void* values, std::size_t count, DataType type, Reduction reduction) override {
    const std::size_t bytes = count * sparccl::size_of(type);
    if (bytes > numbers_.size()) throw std::logic_error("all_reduce: expected a few numbers");
    auto* const host = static_cast<std::byte*>(values);
    copy(numbers_.data(), host, bytes, stream_.get());
    communicator_.all_reduce(numbers_.data(), numbers_.data(), count, type, reduction,
                             stream_.get());
    copy(host, numbers_.data(), bytes, stream_.get());
    check(cudaStreamSynchronize(stream_.get()));
    if (communicator_.async_error() != sparccl::Result::success) {
      throw std::runtime_error(communicator_.async_error_text());
    }
  }

  std::string device() const override { return described(placement_, communicator_.size()); }

 private:
  static constexpr std::size_t most_numbers = 64;  // bytes

  Placement placement_;
  Stream stream_;
  NcclCommunicator nccl_;
  Communicator communicator_;  // ends before NCCL's own
  DeviceArray<std::byte> numbers_;
};

}  // namespace
}  // namespace cuda

std::string cuda_is_missing() { return {}; }

std::unique_ptr<Backend> cuda_backend(World& world) {
  return std::make_unique<cuda::CudaBackend>(world);
}

}  // namespace mnist
