#include "tensor.hpp"

#include <stdexcept>

#include "wire.hpp"

namespace sparccl::bench {

Tensor::Tensor(Backend& backend, const Plan& plan)
    : backend_(backend),
      plan_(plan),
      packet_bytes_(wire::layout(plan).bytes),
      residual_(backend.allocate(plan.count * sizeof(float))),
      step_count_(backend.allocate(2 * sizeof(std::uint64_t))),
      totals_(backend.allocate(sizeof(Report))),
      report_(backend.allocate_shared(sizeof(Report))),
      scratch_(backend.allocate(backend.workspace_bytes(plan))),
      slots_(backend.allocate(static_cast<std::size_t>(plan.world_size) * packet_bytes_)),
      roll_slots_(
          backend.allocate(static_cast<std::size_t>(plan.world_size) * Trouble::descriptor_bytes)),
      refused_(backend.allocate(sizeof(std::uint32_t))),
      trouble_(backend.allocate_shared(sizeof(Trouble))),
      descriptor_(Trouble::descriptor_bytes, std::byte{7}) {
  memory_.residual = residual_.get();
  memory_.step = static_cast<std::uint64_t*>(step_count_.get());
  memory_.call = memory_.step + 1;
  memory_.totals = static_cast<Report*>(totals_.get());
  memory_.report = static_cast<Report*>(report_.get());
  history_ = make_history(backend, plan, plan.k, memory_);
  std::vector<std::byte> identity(wire::identity_bytes());
  wire::write_identity(plan, 0, identity.data());
  for (int rank = 0; rank < plan.world_size; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    auto* const slot = static_cast<std::byte*>(slots_.get()) + r * packet_bytes_;
    backend.upload(slot, identity.data(), identity.size());
    packets_.push_back(wire::view(plan, slot));
    backend.upload(static_cast<std::byte*>(roll_slots_.get()) + r * descriptor_.size(),
                   descriptor_.data(), descriptor_.size());
  }
  roll_ = {static_cast<std::byte*>(roll_slots_.get()), static_cast<std::uint32_t*>(refused_.get()),
           plan.rank, plan.world_size};
  step_.refused = roll_.refused;
  step_.trouble = static_cast<Trouble*>(trouble_.get());
}

void Tensor::accumulate(const float* gradient, Stream stream) {
  step_.gradient = gradient;
  step_.stream = stream;
  backend_.accumulate(plan_, step_, memory_, scratch_.get());
}
void Tensor::select() { backend_.select(plan_, step_, memory_, scratch_.get()); }
void Tensor::pack(int rank) {
  backend_.pack(plan_, step_, memory_, scratch_.get(), packets_[static_cast<std::size_t>(rank)]);
}
void Tensor::check() { backend_.check(plan_, step_, memory_, scratch_.get(), packets_); }
void Tensor::restore() { backend_.restore(plan_, step_, memory_, scratch_.get()); }
void Tensor::merge(float* result) {
  backend_.merge(plan_, step_, memory_, scratch_.get(), packets_, {.dense = result});
}

void Tensor::announce(Stream stream) {
  backend_.announce(roll_, descriptor_.data(), nullptr, 0, stream);
}
void Tensor::verify(Stream stream) { backend_.verify(roll_, step_.trouble, stream); }

void Tensor::renew_packets() {
  backend_.finish(step_.stream);
  std::uint64_t step = 0;
  backend_.download(&step, memory_.call, sizeof step);
  for (const Packet& packet : packets_) backend_.upload(packet.call, &step, sizeof step);
}

void Tensor::require_sum() {
  backend_.finish(step_.stream);
  const Verdict& verdict = report().verdict;
  if (verdict.kind == Verdict::Kind::sum) return;
  throw std::runtime_error(std::string("a packet of the benchmark's own is not sound: rank ") +
                           std::to_string(verdict.rank) + ": " + text_of(verdict.problem));
}

void Tensor::zero_residual() {
  const std::vector<float> zeros(plan_.count);
  backend_.upload(memory_.residual, zeros.data(), zeros.size() * sizeof(float));
}

double Tensor::extra_bytes_per_entry() const {
  const double bytes = static_cast<double>(history_.bytes + backend_.workspace_bytes(plan_) +
                                           packets_.size() * packet_bytes_);
  return bytes / static_cast<double>(plan_.count);
}

}  // namespace sparccl::bench
