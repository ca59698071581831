#include "rig.hpp"

#include <algorithm>
#include <cstdlib>

namespace sparccl::test {
bool my_turn(std::size_t i, std::size_t of) {
  const char* const schedule = std::getenv("SPARCCL_SIMT_SEED");
  if (schedule == nullptr) return true;
  const auto seed = static_cast<std::size_t>(std::strtoul(schedule, nullptr, 10));
  // Not i itself, whose parity is that of a parameter where loops are nested.
  const std::uint64_t mixed = (i + 1) * 0x9e3779b97f4a7c15u >> 32;
  return mixed % of == (of == 2 ? seed / 4 : seed) % of;
}

Plan plan_of(const Shape& shape, int rank) {
  Plan plan;
  plan.count = shape.count;
  plan.k = shape.k;
  plan.world_size = shape.ranks;
  plan.rank = rank;
  plan.type = shape.type;
  plan.wire = shape.wire;
  plan.mu = shape.mu;
  plan.distortion = shape.distortion;
  return plan;
}

Rig::Rig(const BackendCase& where, const Plan& plan)
    : where_(where),
      backend_(where.make()),
      plan_(plan),
      packet_bytes_(wire::layout(plan).bytes),
      residual_(backend_->allocate(plan.count * size_of(plan.accumulator()))),
      per_block_(backend_->allocate(plan.blocks() * sizeof(std::uint32_t))),
      offsets_(backend_->allocate(plan.k * sizeof(std::uint16_t))),
      ratios_(backend_->allocate(plan.k * size_of(plan.accumulator()))),
      work_(backend_->allocate(backend_->workspace_bytes(plan))),
      slots_(backend_->allocate(packet_bytes_ * index(plan.world_size))),
      gradient_(backend_->allocate(plan.count * size_of(plan.type))),
      steps_(backend_->allocate(2 * sizeof(std::uint64_t))),
      totals_(backend_->allocate(sizeof(Report))),
      report_(backend_->allocate_shared(sizeof(Report))) {
  memory_.residual = residual_.get();
  memory_.sent_per_block = static_cast<std::uint32_t*>(per_block_.get());
  memory_.sent_offsets = static_cast<std::uint16_t*>(offsets_.get());
  memory_.sent_ratios = ratios_.get();
  memory_.step = static_cast<std::uint64_t*>(steps_.get());
  memory_.call = memory_.step + 1;
  memory_.totals = static_cast<Report*>(totals_.get());
  memory_.report = static_cast<Report*>(report_.get());
  for (int rank = 0; rank < plan.world_size; ++rank) {
    packets_.push_back(wire::view(plan_, slot_begin(rank)));
  }
}

std::byte* Rig::slot_begin(int rank) const {
  return static_cast<std::byte*>(slots_.get()) + packet_bytes_ * index(rank);
}

void Rig::upload(void* to, const void* from, std::size_t bytes) {
  backend_->finish(nullptr);  // what is under way still uses what was there
  backend_->upload(to, from, bytes);
}

template <class T>
std::vector<T> Rig::download(const T* from, std::size_t count) const {
  std::vector<T> values(count);
  backend_->finish(nullptr);
  backend_->download(values.data(), from, count * sizeof(T));
  return values;
}

void Rig::accumulate(const Vector& gradient, double scale, std::uint64_t seed) {
  const Bytes bytes = to_bytes(plan_.type, gradient);
  upload(gradient_.get(), bytes.data(), bytes.size());
  step_ = {gradient_.get(), scale};
  const std::uint64_t counters[] = {seed, seed};  // of steps and calls
  upload(memory_.step, counters, sizeof(counters));
  backend_->accumulate(plan_, step_, memory_, work_.get());
}

void Rig::pack() {
  Bytes identity(packets_[0].identity_bytes);
  wire::write_identity(plan_, 0, identity.data());
  upload(slot_begin(plan_.rank), identity.data(), identity.size());
  backend_->pack(plan_, step_, memory_, work_.get(), packets_[index(plan_.rank)]);
}

std::uint64_t Rig::tell_finite() {
  const Backend::Buffer flag = backend_->allocate(sizeof(std::uint64_t));
  backend_->tell_finite(plan_, step_, work_.get(), static_cast<std::uint64_t*>(flag.get()));
  return download(static_cast<const std::uint64_t*>(flag.get()), 1)[0];
}

void Rig::hear_finite(const std::vector<std::uint64_t>& flags) {
  const Backend::Buffer there = backend_->allocate(flags.size() * sizeof(std::uint64_t));
  upload(there.get(), flags.data(), flags.size() * sizeof(std::uint64_t));
  backend_->hear_finite(plan_, step_, memory_, work_.get(),
                        static_cast<const std::uint64_t*>(there.get()), flags.size());
  backend_->finish(nullptr);
}

void Rig::produce(const Vector& gradient, double scale, std::uint64_t seed) {
  accumulate(gradient, scale, seed);
  select();
  pack();
}

Verdict Rig::check() {
  backend_->check(plan_, step_, memory_, work_.get(), packets_);
  backend_->finish(nullptr);
  return memory_.report->verdict;
}

Bytes Rig::slot(int rank) const { return download(slot_begin(rank), packet_bytes_); }

void Rig::set_slot(int rank, const Bytes& bytes) {
  upload(slot_begin(rank), bytes.data(), bytes.size());
}

void Rig::receive(const Rig& from) { set_slot(from.plan_.rank, from.slot(from.plan_.rank)); }

std::uint64_t Rig::entries(int rank) const { return download(packet(rank).entries, 1)[0]; }

std::uint32_t Rig::flags(int rank) const { return download(packet(rank).flags, 1)[0]; }

Positions Rig::positions(int rank) const {
  const auto per_block = download(packet(rank).per_block, plan_.blocks());
  const auto offsets = download(packet(rank).offsets, plan_.k);
  Positions positions;
  std::size_t i = 0;
  for (std::size_t block = 0; block < per_block.size(); ++block) {
    for (const std::size_t end = i + per_block[block]; i < end && i < offsets.size(); ++i) {
      positions.push_back(block * block_size + offsets[i]);
    }
  }
  return positions;
}

Vector Rig::values(int rank) const {
  const std::size_t count = std::min<std::size_t>(entries(rank), plan_.k);
  const auto bytes =
      download(static_cast<const std::byte*>(packet(rank).values), count * size_of(plan_.wire));
  return to_doubles(plan_.wire, bytes.data(), count);
}

Vector Rig::residual() const {
  const auto bytes = download(static_cast<const std::byte*>(memory_.residual),
                              plan_.count * size_of(plan_.accumulator()));
  return to_doubles(plan_.accumulator(), bytes.data(), plan_.count);
}

void Rig::set_residual(const Vector& values) {
  const auto bytes = to_bytes(plan_.accumulator(), values);
  upload(memory_.residual, bytes.data(), bytes.size());
}

Bytes Rig::history() const {
  const auto* table = reinterpret_cast<const std::byte*>(memory_.sent_per_block);
  const auto* offsets = reinterpret_cast<const std::byte*>(memory_.sent_offsets);
  const auto* ratios = static_cast<const std::byte*>(memory_.sent_ratios);
  Bytes all = download(table, plan_.blocks() * sizeof(std::uint32_t));
  for (const auto& part : {download(offsets, plan_.k * sizeof(std::uint16_t)),
                           download(ratios, plan_.k * size_of(plan_.accumulator()))}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

Merged Rig::merge(const Verdict&, Into into, Reduction reduction, std::size_t shift) {
  constexpr std::size_t margin = 64;
  constexpr std::byte canary{0xa5};
  const std::size_t width = size_of(plan_.type);
  const std::size_t capacity = into == Into::sparse ? plan_.sparse_capacity() : plan_.count;
  const std::size_t values_bytes = (capacity + 2 * margin + shift) * width;
  const std::size_t positions_bytes = (capacity + 2 * margin) * sizeof(std::uint64_t);
  const Backend::Buffer values = backend_->allocate(values_bytes);
  const Backend::Buffer positions = backend_->allocate(positions_bytes);
  const Bytes fill(std::max(values_bytes, positions_bytes), canary);
  upload(values.get(), fill.data(), values_bytes);
  upload(positions.get(), fill.data(), positions_bytes);
  const std::size_t begin = (margin + shift) * width;  // shift: an output that is not aligned
  auto* out_values = static_cast<std::byte*>(values.get()) + begin;
  auto* out_positions = static_cast<std::uint64_t*>(positions.get()) + margin;

  Output output;
  output.reduction = reduction;
  switch (into) {
    case Into::dense: output.dense = out_values; break;
    case Into::in_place: output.dense = gradient_.get(); break;
    case Into::sparse:
      output.positions = out_positions;
      output.values = out_values;
      break;
  }
  backend_->merge(plan_, step_, memory_, work_.get(), packets_, output);
  backend_->finish(nullptr);
  const auto written = static_cast<std::size_t>(memory_.report->written);

  Merged merged;
  merged.type = plan_.type;
  const std::size_t used = into == Into::sparse ? written : into == Into::dense ? plan_.count : 0;
  const auto is_canary = [&](std::byte b) { return b == canary; };
  const auto around = [&](const Bytes& all, std::size_t first, std::size_t bytes) {
    const auto at = all.begin() + static_cast<std::ptrdiff_t>(first);
    return std::all_of(all.begin(), at, is_canary) &&
           std::all_of(at + static_cast<std::ptrdiff_t>(bytes), all.end(), is_canary);
  };
  const auto raw = download(static_cast<const std::byte*>(values.get()), values_bytes);
  const auto raw_positions =
      download(static_cast<const std::byte*>(positions.get()), positions_bytes);
  merged.canaries = used <= capacity && around(raw, begin, used * width) &&
                    around(raw_positions, margin * sizeof(std::uint64_t),
                           (into == Into::sparse ? written : 0) * sizeof(std::uint64_t));
  if (into == Into::sparse) {
    merged.positions = download(out_positions, written);
    merged.values = to_doubles(plan_.type, raw.data() + begin, written);
  } else {
    const auto* dense = static_cast<const std::byte*>(output.dense);
    merged.bytes = download(dense, plan_.count * width);
  }
  return merged;
}

void exchange(std::vector<Rig>& ranks) {
  for (Rig& to : ranks) {
    for (const Rig& from : ranks) {
      if (&from != &to) to.receive(from);
    }
  }
}

}  // namespace sparccl::test
