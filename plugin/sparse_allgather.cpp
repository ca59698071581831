#include <algorithm>
#include <cstring>

#include <sparccl/sparccl.hpp>

#include "communicator.hpp"
#include "group.hpp"
#include "observation.hpp"
#include "plan.hpp"
#include "wire.hpp"

namespace sparccl {

class SparseAllgather::Impl {
 public:
  Impl(std::shared_ptr<Communicator::Impl> communicator, std::string name, std::size_t count,
       DataType type, std::size_t capacity)
      : communicator_(std::move(communicator)), name_(std::move(name)) {
    const Transport& transport = communicator_->transport();
    // A plan is made of floats; here values are only moved, so any type of that size will do.
    plan_ = make_plan(name_, count, DataType::float32, {.k = capacity},
                      {transport.rank(), transport.size()});
    plan_.type = plan_.wire = type;
    plan_.exact = plan_.finite = false;
    layout_ = wire::layout(plan_);
    slots_ = communicator_->backend().allocate(world() * layout_.bytes);
    mirror_.resize(world() * layout_.bytes / sizeof(std::uint64_t));
    step_ = communicator_->backend().allocate(sizeof(std::uint64_t));
    roll_ = Communicator::Impl::Roll(communicator_->backend(), transport);
    for (std::size_t rank = 0; rank < world(); ++rank) {
      packets_.push_back(wire::view(plan_, slot(rank)));
    }
    positions_.resize(world() * plan_.k);
    sizes_.resize(world());
  }

  void run(std::span<const std::uint64_t> positions, const void* values) {
    communicator_->require_usable();
    if (communicator_->asynchronous() && in_group()) {
      throw Error(Result::invalid_usage,
                  about(name_) + "a sparse allgather: expected outside of a group, for it waits");
    }
    require_list(positions, values);
    const Range range(communicator_->backend(), name_.c_str());
    communicator_->agree({.kind = Call::Kind::sparse_allgather,
                          .name = HashedName(name_),
                          .count = plan_.count,
                          .k = plan_.k,
                          .type = plan_.type,
                          .wire = plan_.wire},
                         roll_, static_cast<const std::uint64_t*>(step_.get()), nullptr);
    std::ranges::fill(sizes_, std::size_t{0});  // nothing to be read if this fails
    pack(positions, values);
    exchange();
    const Verdict verdict = check_on_host(plan_, packets_);
    if (verdict.kind != Verdict::Kind::sum) {
      const Error error(Result::bad_packet, about(name_) + "rank " + std::to_string(verdict.rank) +
                                                " sent a bad packet: " + text_of(verdict.problem));
      communicator_->fail(error);
      throw error;
    }
    for (std::size_t rank = 0; rank < world(); ++rank) {
      unpack(rank);
      sizes_[rank] = static_cast<std::size_t>(*packets_[rank].entries);
    }
    ++steps_;
    communicator_->backend().upload(step_.get(), &steps_, sizeof(steps_));
  }

  [[nodiscard]] std::span<const std::uint64_t> positions(int rank) const {
    const std::size_t r = require_rank(rank);
    return {positions_.data() + r * plan_.k, sizes_[r]};
  }
  [[nodiscard]] const void* values(int rank) const { return packets_[require_rank(rank)].values; }

 private:
  [[nodiscard]] std::size_t world() const { return static_cast<std::size_t>(plan_.world_size); }
  [[nodiscard]] std::byte* slot(std::size_t rank) {
    return reinterpret_cast<std::byte*>(mirror_.data()) + rank * layout_.bytes;
  }

  /// The packets lie in the backend's memory while they travel, in the host's else.
  void exchange() {
    Backend& backend = communicator_->backend();
    Transport& transport = communicator_->transport();
    const auto own = static_cast<std::size_t>(plan_.rank);
    backend.upload(static_cast<std::byte*>(slots_.get()) + own * layout_.bytes, slot(own),
                   layout_.bytes);
    try {
      communicator_->carry_out(name_, [&] {
        transport.all_gather(slots_.get(), layout_.bytes, nullptr);
        backend.finish(nullptr);
      });
    } catch (...) {
      if (transport.keeps_buffers_after_failure()) static_cast<void>(slots_.release());
      throw;
    }
    communicator_->require_usable();
    backend.download(mirror_.data(), slots_.get(), world() * layout_.bytes);
  }

  [[nodiscard]] std::size_t require_rank(int rank) const {
    if (rank >= 0 && rank < plan_.world_size) return static_cast<std::size_t>(rank);
    throw Error(Result::invalid_argument, about(name_) + "rank: expected 0 to " +
                                              std::to_string(plan_.world_size - 1) + ", found " +
                                              std::to_string(rank));
  }

  void require_list(std::span<const std::uint64_t> positions, const void* values) const {
    const auto reject = [&](const std::string& what) {
      throw Error(Result::invalid_argument, about(name_) + what);
    };
    if (positions.size() > plan_.k) {
      reject("positions: expected at most " + std::to_string(plan_.k) + ", found " +
             std::to_string(positions.size()));
    }
    if (!positions.empty() && (positions.data() == nullptr || values == nullptr)) {
      reject("positions and values: expected host memory, found a null pointer");
    }
    for (std::size_t i = 0; i < positions.size(); ++i) {
      if (positions[i] >= plan_.count) {
        reject("position: expected one below " + std::to_string(plan_.count) + ", found " +
               std::to_string(positions[i]));
      }
      if (i > 0 && positions[i] <= positions[i - 1]) {
        reject("positions: expected ascending ones, found " + std::to_string(positions[i]) +
               " after " + std::to_string(positions[i - 1]));
      }
    }
  }

  void pack(std::span<const std::uint64_t> positions, const void* values) {
    const auto rank = static_cast<std::size_t>(plan_.rank);
    const Packet& own = packets_[rank];
    wire::write_identity(plan_, steps_, slot(rank));
    *own.flags = 0;
    *own.entries = positions.size();
    std::fill_n(own.per_block, plan_.blocks(), 0u);
    for (std::size_t i = 0; i < positions.size(); ++i) {
      ++own.per_block[positions[i] / block_size];
      own.offsets[i] = static_cast<std::uint16_t>(positions[i] % block_size);
    }
    if (!positions.empty()) {
      std::memcpy(own.values, values, positions.size() * size_of(plan_.wire));
    }
  }

  void unpack(std::size_t rank) {
    const Packet& packet = packets_[rank];
    std::uint64_t* positions = positions_.data() + rank * plan_.k;
    std::size_t i = 0;
    for (std::size_t block = 0; block < plan_.blocks(); ++block) {
      for (const std::size_t end = i + packet.per_block[block]; i < end; ++i) {
        positions[i] = block * block_size + packet.offsets[i];
      }
    }
  }

  std::shared_ptr<Communicator::Impl> communicator_;
  std::string name_;
  Plan plan_;
  wire::Layout layout_;
  Backend::Buffer slots_{nullptr, nullptr};
  std::vector<Packet> packets_;
  std::vector<std::uint64_t> positions_;  // [P][k]
  std::vector<std::size_t> sizes_;        // [P] of the last call; 0 if it failed
  std::vector<std::uint64_t> mirror_;     // [P] packets, in host memory
  Backend::Buffer step_{nullptr, nullptr};
  std::uint64_t steps_ = 0;
  Communicator::Impl::Roll roll_;
};

SparseAllgather::SparseAllgather(const Communicator& communicator, std::string name,
                                 std::size_t count, DataType type, std::size_t capacity)
    : impl_(std::make_unique<Impl>(communicator.impl(), std::move(name), count, type, capacity)) {}

SparseAllgather::~SparseAllgather() = default;
SparseAllgather::SparseAllgather(SparseAllgather&&) noexcept = default;
SparseAllgather& SparseAllgather::operator=(SparseAllgather&&) noexcept = default;

void SparseAllgather::operator()(std::span<const std::uint64_t> positions, const void* values) {
  impl_->run(positions, values);
}

std::span<const std::uint64_t> SparseAllgather::positions(int rank) const {
  return impl_->positions(rank);
}

const void* SparseAllgather::values(int rank) const { return impl_->values(rank); }

}  // namespace sparccl
