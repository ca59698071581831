#include "communicator.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <sstream>
#include <type_traits>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "calibration.hpp"
#include "dense_all_reduce.hpp"
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
  std::int32_t path;
  std::uint32_t course;
  std::uint64_t name_hash;
  std::uint32_t route_began;
  char name[60];  // cut, for messages
};
static_assert(std::is_trivially_copyable_v<Descriptor> &&
              sizeof(Descriptor) == Trouble::descriptor_bytes);

constexpr std::uint64_t descriptor_magic = 0x3230306c63637073;  // "spccl002": version included

Descriptor describe(const Call& call) {
  Descriptor d{};
  d.magic = descriptor_magic;
  d.kind = call.kind;
  d.type = static_cast<std::int32_t>(call.type);
  d.count = call.count;
  d.k = call.k;
  d.wire = static_cast<std::int32_t>(call.wire);
  d.reduction = static_cast<std::int32_t>(call.reduction);
  d.distortion = static_cast<std::int32_t>(call.distortion);
  d.non_finite = static_cast<std::int32_t>(call.non_finite);
  d.mu = call.mu;
  d.path = static_cast<std::int32_t>(call.path);
  d.course = call.course;
  d.route_began = call.route_began;
  d.name_hash = call.name.hash;
  std::memcpy(d.name, call.name.text.data(), std::min(call.name.text.size(), sizeof(d.name) - 1));
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
  text << "called " << name_of(d.kind) << " of \""
       << std::string(d.name, strnlen(d.name, sizeof(d.name))) << "\" (count " << d.count << ", "
       << name_of(static_cast<DataType>(d.type));
  if (d.kind != Call::Kind::dense_allreduce) text << ", k " << d.k << ", step " << d.step;
  if (d.kind == Call::Kind::sparse_allreduce) {
    text << ", wire " << name_of(static_cast<DataType>(d.wire)) << ", mu " << d.mu
         << ", distortion " << d.distortion << ", non-finite policy " << d.non_finite << ", path "
         << name_of(static_cast<Path>(d.path));
    if (d.course >= Call::loaded_ranges) {
      text << " with ranges of a saved state, checksum " << d.course - Call::loaded_ranges;
    } else if (d.course != 0) {
      text << " being tried by auto, call " << d.course;
    }
    if (d.route_began != 0) text << " begun at step " << d.route_began - 1;
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

HashedName::HashedName(std::string_view name) noexcept
    : text(name), hash(XXH64(name.data(), name.size(), 0)) {}

Communicator::Impl::Roll::Roll(Backend& backend, const Transport& transport)
    : slots_(backend.allocate(static_cast<std::size_t>(transport.size()) * sizeof(Descriptor))),
      refused_(backend.allocate(sizeof(std::uint32_t))),
      roll_{static_cast<std::byte*>(slots_.get()), static_cast<std::uint32_t*>(refused_.get()),
            transport.rank(), transport.size()} {}

Communicator::Impl::Impl(std::unique_ptr<Transport> transport, std::unique_ptr<Backend> backend,
                         const CommunicatorOptions& options)
    : options_(options),
      backend_(std::move(backend)),
      trouble_buffer_(backend_->allocate_shared(sizeof(Trouble))),
      trouble_(static_cast<Trouble*>(trouble_buffer_.get())),
      transport_(std::move(transport)) {
  transport_->abort_when([trouble = trouble_] { return is_set(*trouble); });
}

void Communicator::Impl::announce(const Call& call, Roll& roll, const std::uint64_t* step,
                                  Stream stream) {
  const Descriptor own = describe(call);
  carry_out(call.name.text, [&] {
    backend_->announce(roll.get(), &own, step, offsetof(Descriptor, step), stream);
  });
}

void Communicator::Impl::meet(std::string_view tensor, Roll& roll, Stream stream) {
  carry_out(tensor, [&] { transport_->meet(roll.get().slots, sizeof(Descriptor), stream); });
}

void Communicator::Impl::verify(std::string_view tensor, Roll& roll, Stream stream) {
  carry_out(tensor, [&] {
    backend_->verify(roll.get(), trouble_, stream);
    if (!asynchronous()) backend_->finish(stream);
  });
  if (asynchronous()) return;
  if (!is_set(*trouble_)) return;
  const Error error = trouble_error();
  *trouble_ = {};  // nothing has happened: the communicator goes on
  throw Error(error.code(), about(tensor) + error.what());
}

void Communicator::Impl::agree(const Call& call, Roll& roll, const std::uint64_t* step,
                               Stream stream) {
  announce(call, roll, step, stream);
  meet(call.name.text, roll, stream);
  verify(call.name.text, roll, stream);
}

// A roll that is given back may still be under way: the next call on its stream comes behind it.
Communicator::Impl::Roll& Communicator::Impl::spare_roll(Stream stream) {
  Rolls& rolls = rolls_[stream];
  if (rolls.spare.empty()) {
    rolls.all.push_back(std::make_unique<Roll>(*backend_, *transport_));
    rolls.spare.reserve(rolls.all.size());
    return *rolls.all.back();
  }
  Roll* const roll = rolls.spare.back();
  rolls.spare.pop_back();
  return *roll;
}

void Communicator::Impl::give_back(Roll& roll, Stream stream) noexcept {
  rolls_.find(stream)->second.spare.push_back(&roll);
}

Hierarchy& Communicator::Impl::hierarchy(std::string_view tensor) {
  if (!hierarchy_) hierarchy_ = make_hierarchy(*transport_, tensor);
  return *hierarchy_;
}

const std::optional<Costs>& Communicator::Impl::costs(Stream stream) {
  if (!calibrated_) {
    costs_ = calibrate(*this, options_, stream);
    calibrated_ = true;
  }
  return costs_;
}

std::uint32_t Communicator::Impl::add_tensor(std::string name) {
  const std::lock_guard lock(mutex_);
  tensors_.push_back(std::move(name));
  return static_cast<std::uint32_t>(tensors_.size() - 1);
}

/// Without the tensor where that follows from who asks.
Error Communicator::Impl::trouble_error() {
  const std::string rank = std::to_string(trouble_->rank);
  if (trouble_->kind == Verdict::Kind::refused) {
    Descriptor first, other;
    std::memcpy(&first, trouble_->descriptors[0], sizeof(first));
    std::memcpy(&other, trouble_->descriptors[1], sizeof(other));
    return Error(Result::mismatch, "the ranks disagree: rank 0 " + show(first) + ", rank " + rank +
                                       " " + show(other) + "; this is rank " +
                                       std::to_string(transport_->rank()));
  }
  const std::lock_guard lock(mutex_);
  return Error(Result::bad_packet, about(tensors_.at(trouble_->tensor)) + "rank " + rank +
                                       " sent a bad packet: " + text_of(trouble_->problem));
}

Result Communicator::Impl::async_error() noexcept {
  const Result known = async_error_;
  if (known != Result::success || !asynchronous()) return known;
  // The transport first: what it aborts looks like trouble to the kernels that follow.
  const Result transports = transport_->async_error();
  if (transports != Result::success || !is_set(*trouble_)) return transports;
  return trouble_->kind == Verdict::Kind::refused ? Result::mismatch : Result::bad_packet;
}

/// Trouble that a kernel has found ends the communicator, so that the next call fails for a reason
/// of its own: the cause is the trouble.
Error Communicator::Impl::cause_of(Result code, std::string_view tensor, const char* what) {
  if (asynchronous() && is_set(*trouble_) && transport_->async_error() == Result::success) {
    return trouble_error();
  }
  return Error(code, about(tensor) + what);
}

std::string Communicator::Impl::async_error_text() {
  const Result error = async_error();
  if (error == Result::success) return {};
  if (error == Result::aborted) return "the communicator was aborted";
  {
    const std::lock_guard lock(mutex_);
    if (async_error_ != Result::success) return reason_;
  }
  if (transport_->async_error() != Result::success) return transport_->async_error_text();
  return trouble_error().what();
}

void Communicator::Impl::require_usable() {
  const Result error = async_error();
  if (error == Result::success) return;
  if (async_error_ == Result::success) fail(Error(error, async_error_text()));
  transport_->give_up(error);
  if (error == Result::aborted) throw Error(error, "the communicator was aborted");
  throw Error(error,
              "the communicator cannot be used after an earlier failure: " + async_error_text());
}

void Communicator::Impl::fail(const Error& error) noexcept {
  if (async_error_ != Result::success) return;  // the first reason stays
  try {
    const std::lock_guard lock(mutex_);
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

void require_buffers(const Backend& backend, const void* send, const void* recv,
                     std::size_t send_bytes, std::size_t recv_bytes, std::string_view tensor) {
  naming(tensor, [&] {
    backend.require_memory(send, "send buffer");
    backend.require_memory(recv, "receive buffer");
    if (send != recv && overlap(send, send_bytes, recv, recv_bytes)) {
      throw Error(Result::invalid_argument,
                  "buffers: expected equal or disjoint ones, found some that overlap by a part");
    }
  });
}

void require_aligned(const void* pointer, std::size_t width, const char* what,
                     std::string_view tensor) {
  // Of types, which are powers of two wide: a division by a variable takes longer than the rest.
  if ((reinterpret_cast<std::uintptr_t>(pointer) & (width - 1)) == 0) return;
  std::ostringstream text;
  text << about(tensor) << what << ": expected an address that is a multiple of " << width
       << ", found " << pointer;
  throw Error(Result::invalid_argument, text.str());
}

std::vector<Communicator> Communicator::local(int world_size, const CommunicatorOptions& options) {
  if (world_size < 1) {
    throw Error(Result::invalid_argument,
                "world size: expected at least 1 rank, found " + std::to_string(world_size));
  }
  std::vector<Communicator> ranks;
  for (auto& transport : make_local_transports(world_size, options)) {
    ranks.emplace_back(std::move(transport), options);
  }
  return ranks;
}

Communicator::Communicator(std::unique_ptr<Transport> transport, const CommunicatorOptions& options)
    : Communicator(std::move(transport), make_host_backend(), options) {}

Communicator::Communicator(std::unique_ptr<Transport> transport, std::unique_ptr<Backend> backend,
                           const CommunicatorOptions& options)
    : impl_(std::make_shared<Impl>(std::move(transport), std::move(backend), options)) {}

int Communicator::rank() const noexcept { return impl_->transport().rank(); }

int Communicator::size() const noexcept { return impl_->transport().size(); }

void Communicator::all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                              Reduction reduction, Stream stream) {
  dense_all_reduce(impl_, send, recv, count, type, reduction, stream);
}

void Communicator::abort() noexcept { impl_->abort(); }

Result Communicator::async_error() const noexcept { return impl_->async_error(); }

std::string Communicator::async_error_text() const { return impl_->async_error_text(); }

}  // namespace sparccl
