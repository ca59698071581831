#include "communicator.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <sstream>
#include <type_traits>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "plan.hpp"
#include "transport/local.hpp"

namespace sparccl {
namespace {

/// What a rank tells the others about its call.
struct Descriptor {
  std::uint64_t magic;
  Call::Kind kind;
  std::int32_t type;
  std::uint64_t count;
  std::uint64_t k;
  std::uint64_t step;
  std::int32_t wire;
  std::int32_t reduction;
  std::int32_t distortion;
  std::int32_t non_finite;
  double mu;
  std::uint64_t name_hash;
  char name[64];  // cut, for messages
};
static_assert(std::is_trivially_copyable_v<Descriptor> && sizeof(Descriptor) == 136);

constexpr std::uint64_t descriptor_magic = 0x3130306c63637073;  // "spccl001": version included

Descriptor describe(const Call& call) {
  Descriptor d{};
  d.magic = descriptor_magic;
  d.kind = call.kind;
  d.type = static_cast<std::int32_t>(call.type);
  d.count = call.count;
  d.k = call.k;
  d.step = call.step;
  d.wire = static_cast<std::int32_t>(call.wire);
  d.reduction = static_cast<std::int32_t>(call.reduction);
  d.distortion = static_cast<std::int32_t>(call.distortion);
  d.non_finite = static_cast<std::int32_t>(call.non_finite);
  d.mu = call.mu;
  d.name_hash = XXH64(call.name.data(), call.name.size(), 0);
  std::memcpy(d.name, call.name.data(), std::min(call.name.size(), sizeof(d.name) - 1));
  return d;
}

const char* name_of(Call::Kind kind) {
  switch (kind) {
    case Call::Kind::sparse_allreduce: return "a sparse allreduce";
    case Call::Kind::dense_allreduce: return "a dense allreduce";
    case Call::Kind::sparse_allgather: return "a sparse allgather";
  }
  return "an unknown collective";
}

std::string show(const Descriptor& d) {
  if (d.magic != descriptor_magic) return "sent something that is not a call of this version";
  std::ostringstream text;
  text << "called " << name_of(d.kind) << " of \"" << std::string(d.name, strnlen(d.name, 64))
       << "\" (count " << d.count << ", " << name_of(static_cast<DataType>(d.type));
  if (d.kind != Call::Kind::dense_allreduce) text << ", k " << d.k << ", step " << d.step;
  if (d.kind == Call::Kind::sparse_allreduce) {
    text << ", wire " << name_of(static_cast<DataType>(d.wire)) << ", mu " << d.mu
         << ", distortion " << d.distortion << ", non-finite policy " << d.non_finite;
  }
  text << ", " << name_of(static_cast<Reduction>(d.reduction)) << ")";
  return text.str();
}

bool overlap(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
  const auto* first = static_cast<const std::byte*>(a);
  const auto* second = static_cast<const std::byte*>(b);
  const std::less<const std::byte*> before;
  return before(first, second + b_bytes) && before(second, first + a_bytes);
}

}  // namespace

Communicator::Impl::Impl(std::unique_ptr<Transport> transport, std::unique_ptr<Backend> backend)
    : transport_(std::move(transport)),
      backend_(std::move(backend)),
      descriptors_(sizeof(Descriptor) * static_cast<std::size_t>(transport_->size())) {}

void Communicator::Impl::agree(const Call& call) {
  const Descriptor own = describe(call);
  const auto rank = static_cast<std::size_t>(transport_->rank());
  std::memcpy(descriptors_.data() + rank * sizeof(own), &own, sizeof(own));
  carry_out(call.name, [&] { transport_->meet(descriptors_.data(), sizeof(own)); });
  Descriptor first;
  std::memcpy(&first, descriptors_.data(), sizeof(first));
  for (int r = 1; r < transport_->size(); ++r) {
    Descriptor other;
    std::memcpy(&other, descriptors_.data() + static_cast<std::size_t>(r) * sizeof(other),
                sizeof(other));
    if (std::memcmp(&first, &other, sizeof(first)) == 0) continue;
    throw Error(Result::mismatch, about(call.name) + "the ranks disagree: rank 0 " + show(first) +
                                      ", rank " + std::to_string(r) + " " + show(other) +
                                      "; this is rank " + std::to_string(transport_->rank()));
  }
}

void Communicator::Impl::require_usable() {
  const Result error = async_error_;
  if (error == Result::success) return;
  transport_->give_up(error);
  if (error == Result::aborted) throw Error(error, "the communicator was aborted");
  throw Error(error, "the communicator cannot be used after an earlier failure: " + reason_);
}

void Communicator::Impl::fail(const Error& error) noexcept {
  if (async_error_ != Result::success) return;  // the first reason stays
  try {
    reason_ = error.what();
  } catch (...) {  // out of memory: the code alone has to do
  }
  Result expected = Result::success;
  async_error_.compare_exchange_strong(expected, error.code());
  transport_->give_up(error.code());
}

void Communicator::Impl::abort() noexcept {
  async_error_ = Result::aborted;
  transport_->abort();
}

void require_buffers(const void* send, const void* recv, std::size_t send_bytes,
                     std::size_t recv_bytes, std::string_view tensor) {
  const auto reject = [&](const std::string& what) {
    throw Error(Result::invalid_argument, about(tensor) + what);
  };
  if (send == nullptr) reject("send buffer: expected host memory, found a null pointer");
  if (recv == nullptr) reject("receive buffer: expected host memory, found a null pointer");
  if (send != recv && overlap(send, send_bytes, recv, recv_bytes)) {
    reject("buffers: expected equal or disjoint ones, found some that overlap by a part");
  }
}

std::vector<Communicator> Communicator::local(int world_size, const CommunicatorOptions& options) {
  if (world_size < 1) {
    throw Error(Result::invalid_argument,
                "world size: expected at least 1 rank, found " + std::to_string(world_size));
  }
  std::vector<Communicator> ranks;
  for (auto& transport : make_local_transports(world_size, options)) {
    ranks.emplace_back(std::move(transport));
  }
  return ranks;
}

Communicator::Communicator(std::unique_ptr<Transport> transport)
    : impl_(std::make_shared<Impl>(std::move(transport), make_host_backend())) {}

int Communicator::rank() const noexcept { return impl_->transport().rank(); }

int Communicator::size() const noexcept { return impl_->transport().size(); }

void Communicator::all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                              Reduction reduction, Stream stream) {
  constexpr std::string_view name = "dense allreduce";
  if (stream != nullptr) {
    throw Error(
        Result::invalid_argument,
        "stream: expected a null pointer on a host communicator, found one that is not null");
  }
  impl_->require_usable();
  if (reduction < Reduction::sum || reduction > Reduction::avg) {
    throw Error(Result::invalid_argument, "reduction: expected 0 to 4, found " +
                                              std::to_string(static_cast<std::int32_t>(reduction)));
  }
  const std::size_t size = size_of(type);
  if (count > static_cast<std::size_t>(-1) / 2 / size) {
    throw Error(Result::invalid_argument, "count: " + std::to_string(count) + " entries of " +
                                              name_of(type) + " do not fit the address space");
  }
  if (count != 0) require_buffers(send, recv, count * size, count * size, name);
  impl_->agree({.kind = Call::Kind::dense_allreduce,
                .name = name,
                .count = count,
                .type = type,
                .wire = type,
                .reduction = reduction});
  if (count == 0) return;
  impl_->carry_out(
      name, [&] { impl_->transport().all_reduce(send, recv, count, type, reduction, stream); });
}

void Communicator::abort() noexcept { impl_->abort(); }

Result Communicator::async_error() const noexcept { return impl_->async_error(); }

}  // namespace sparccl
