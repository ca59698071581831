#include "split_rig.hpp"

#include <algorithm>

namespace sparccl::test {
namespace {

std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

/// The positions of a list, from its block table and offsets.
Positions positions_of(const std::vector<std::uint32_t>& per_block,
                       const std::vector<std::uint16_t>& offsets) {
  Positions positions;
  std::size_t i = 0;
  for (std::size_t block = 0; block < per_block.size(); ++block) {
    for (std::uint32_t j = 0; j < per_block[block] && i < offsets.size(); ++j, ++i) {
      positions.push_back(block * block_size + offsets[i]);
    }
  }
  return positions;
}

}  // namespace

SplitRank::SplitRank(const BackendCase& where, const Plan& plan)
    : split_(make_split_plan(plan)), backend_(where.make()) {
  const std::size_t width = size_of(plan.accumulator());
  memory_.residual = part<std::byte>(plan.count * width);
  memory_.sent_per_block = part<std::uint32_t>(plan.blocks());
  memory_.sent_offsets = part<std::uint16_t>(plan.k);
  memory_.sent_ratios = part<std::byte>(plan.k * width);
  memory_.bounds = bounds_ = part<std::uint64_t>(world() + 1);
  memory_.demand = demand_ = part<std::uint64_t>(world());
  memory_.step = counters_ = part<std::uint64_t>(2);
  memory_.call = counters_ + 1;
  memory_.totals = part<Report>(1);
  buffers_.push_back(backend_->allocate_shared(sizeof(Report)));
  memory_.report = static_cast<Report*>(buffers_.back().get());
  work_ = part<std::byte>(backend_->workspace_bytes(plan));
  scratch_ = part<std::byte>(backend_->split_bytes(split_));
  own_bytes_ = part<std::byte>(wire::layout(plan).bytes);
  own_ = wire::view(plan, own_bytes_);
  gradient_ = part<std::byte>(plan.count * size_of(plan.type));
  refused_ = part<std::uint32_t>(1);
  const std::size_t sent_bytes = wire::range_layout(split_.sent).bytes;
  const std::size_t reduced_bytes = wire::range_layout(split_.reduced).bytes;
  outgoing_ = part<std::byte>(world() * sent_bytes);
  incoming_ = part<std::byte>(world() * sent_bytes);
  reduced_ = part<std::byte>(world() * reduced_bytes);
  outgoing_views_ = views(outgoing_, split_.sent);
  incoming_views_ = views(incoming_, split_.sent);
  reduced_views_ = views(reduced_, split_.reduced);
  set_bounds(equal_bounds(split_));
  std::vector<std::byte> identity(wire::range_identity_bytes());
  wire::write_range_identity(split_.sent, identity.data());
  for (std::size_t r = 0; r < world(); ++r) upload(outgoing_ + r * sent_bytes, identity);
  wire::write_range_identity(split_.reduced, identity.data());
  upload(reduced_ + index(plan.rank) * reduced_bytes, identity);
}

Backend::Buffer& SplitRank::allocate(std::size_t bytes) {
  buffers_.push_back(backend_->allocate(bytes));
  return buffers_.back();
}

Vector SplitRank::values_at(DataType type, const void* from, std::size_t count) const {
  const auto bytes = download(static_cast<const std::byte*>(from), count * size_of(type));
  return to_doubles(type, bytes.data(), count);
}

std::vector<Packet> SplitRank::views(std::byte* slots, const Plan& plan) const {
  std::vector<Packet> packets;
  for (std::size_t r = 0; r < world(); ++r) {
    packets.push_back(wire::range_view(plan, slots + r * wire::range_layout(plan).bytes));
  }
  return packets;
}

Bytes SplitRank::slot(const std::byte* slots, const Plan& plan, int r) const {
  const std::size_t bytes = wire::range_layout(plan).bytes;
  return download(slots + index(r) * bytes, bytes);
}

void SplitRank::set_slot(std::byte* slots, const Plan& plan, int r, const Bytes& bytes) {
  upload(slots + index(r) * wire::range_layout(plan).bytes, bytes);
}

void SplitRank::produce(const Vector& gradient, double scale) {
  upload(gradient_, to_bytes(split_.whole.type, gradient));
  step_.gradient = gradient_;
  step_.scale = scale;
  backend_->accumulate(split_.whole, step_, memory_, work_);
  backend_->select(split_.whole, step_, memory_, work_);
  backend_->pack(split_.whole, step_, memory_, work_, own_);
}

void SplitRank::scatter() {
  backend_->scatter(split_, step_, memory_, work_, scratch_, own_, outgoing_views_);
}

void SplitRank::reduce() {
  backend_->reduce(split_, step_, memory_, work_, scratch_, incoming_views_,
                   reduced_views_[index(split_.whole.rank)]);
}

Verdict SplitRank::judge() {
  backend_->judge(split_, step_, memory_, work_, scratch_, reduced_views_);
  backend_->finish(nullptr);
  return memory_.report->verdict;
}

void SplitRank::restore() { backend_->restore(split_.whole, step_, memory_, work_); }

Merged SplitRank::join(Into into, Reduction reduction) {
  constexpr std::size_t margin = 16;
  constexpr std::byte canary{0xa5};
  const Plan& plan = split_.whole;
  const std::size_t width = size_of(plan.type);
  const std::size_t capacity = into == Into::sparse ? plan.sparse_capacity() : plan.count;
  const std::size_t values_bytes = (capacity + 2 * margin + 1) * width;
  const std::size_t positions_bytes = (capacity + 2 * margin) * sizeof(std::uint64_t);
  const Backend::Buffer values = backend_->allocate(values_bytes);
  const Backend::Buffer positions = backend_->allocate(positions_bytes);
  auto* const all_values = static_cast<std::byte*>(values.get());
  auto* const all_positions = static_cast<std::byte*>(positions.get());
  upload(all_values, Bytes(values_bytes, canary));
  upload(all_positions, Bytes(positions_bytes, canary));
  const std::size_t begin = (margin + 1) * width;  // not aligned
  Output output;
  output.reduction = reduction;
  if (into == Into::dense) output.dense = all_values + begin;
  if (into == Into::in_place) output.dense = gradient_;
  if (into == Into::sparse) {
    output.values = all_values + begin;
    output.positions = reinterpret_cast<std::uint64_t*>(all_positions) + margin;
  }
  backend_->join(split_, step_, memory_, work_, scratch_, own_, reduced_views_, output);
  backend_->finish(nullptr);

  Merged merged;
  merged.type = plan.type;
  const auto written = static_cast<std::size_t>(memory_.report->written);
  const Bytes raw = download(all_values, values_bytes);
  const Bytes raw_positions = download(all_positions, positions_bytes);
  const auto around = [&](const Bytes& all, std::size_t from, std::size_t bytes) {
    const auto is = [&](std::byte b) { return b == canary; };
    return from + bytes <= all.size() &&
           std::all_of(all.begin(), all.begin() + std::ptrdiff_t(from), is) &&
           std::all_of(all.begin() + std::ptrdiff_t(from + bytes), all.end(), is);
  };
  const std::size_t used = into == Into::sparse ? written : into == Into::dense ? plan.count : 0;
  merged.canaries = around(raw, begin, used * width) &&
                    around(raw_positions, margin * sizeof(std::uint64_t),
                           (into == Into::sparse ? written : 0) * sizeof(std::uint64_t));
  if (into == Into::sparse) {
    merged.positions = download(output.positions, written);
    merged.values = to_doubles(plan.type, raw.data() + begin, written);
  } else {
    merged.bytes = download(static_cast<const std::byte*>(output.dense), plan.count * width);
  }
  return merged;
}

EntryList SplitRank::own() const {
  const Plan& plan = split_.whole;
  EntryList list;
  const auto entries = static_cast<std::size_t>(download(own_.entries, 1)[0]);
  list.positions =
      positions_of(download(own_.per_block, plan.blocks()), download(own_.offsets, entries));
  list.values = values_at(plan.wire, own_.values, entries);
  return list;
}

Vector SplitRank::residual() const {
  return values_at(split_.whole.accumulator(), memory_.residual, split_.whole.count);
}

void SplitRank::set_residual(const Vector& values) {
  upload(static_cast<std::byte*>(memory_.residual), to_bytes(split_.whole.accumulator(), values));
}

EntryList SplitRank::history() const {
  const Plan& plan = split_.whole;
  EntryList list;
  list.positions = positions_of(download(memory_.sent_per_block, plan.blocks()),
                                download(memory_.sent_offsets, plan.k));
  list.values = values_at(plan.accumulator(), memory_.sent_ratios, list.positions.size());
  return list;
}

void SplitRank::refuse() {
  upload(refused_, std::vector<std::uint32_t>{1});
  step_.refused = refused_;
}

RangePacket read_packet(const Plan& plan, const Bytes& bytes) {
  Bytes copy = bytes;
  const Packet packet = wire::range_view(plan, copy.data());
  RangePacket read;
  read.entries = *packet.entries;
  read.wanted = *packet.wanted;
  read.flags = *packet.flags;
  read.blame = *packet.blame;
  const std::size_t entries = std::min<std::size_t>(read.entries, plan.k);
  read.positions = positions_of({packet.per_block, packet.per_block + plan.blocks()},
                                {packet.offsets, packet.offsets + entries});
  read.values = to_doubles(plan.wire, packet.values, entries);
  return read;
}

void exchange_sent(std::vector<SplitRank>& ranks) {
  for (std::size_t to = 0; to < ranks.size(); ++to) {
    for (std::size_t from = 0; from < ranks.size(); ++from) {
      ranks[to].set_incoming(int(from), ranks[from].outgoing(int(to)));
    }
  }
}

void exchange_reduced(std::vector<SplitRank>& ranks) {
  for (std::size_t from = 0; from < ranks.size(); ++from) {
    const Bytes bytes = ranks[from].reduced(int(from));
    for (std::size_t to = 0; to < ranks.size(); ++to) {
      if (to != from) ranks[to].set_reduced(int(from), bytes);
    }
  }
}

}  // namespace sparccl::test
