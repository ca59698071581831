// The ranks of Path::split around a Backend: every stage of every rank, one by one.
#pragma once

#include <cstdint>
#include <vector>

#include "rig.hpp"
#include "split_plan.hpp"

namespace sparccl::test {

/// What a packet of a range says. Positions are counted from where the range begins.
struct RangePacket {
  std::uint64_t entries = 0, wanted = 0;
  std::uint32_t flags = 0, blame = 0;
  Positions positions;
  Vector values;
  bool operator==(const RangePacket&) const = default;
};

/// A list of entries in position order, of the whole tensor.
struct EntryList {
  Positions positions;
  Vector values;
  bool operator==(const EntryList&) const = default;
};

class SplitRank {
 public:
  SplitRank(const BackendCase& where, const Plan& plan);

  /// accumulate, select, pack.
  void produce(const Vector& gradient, double scale = 1.0);
  void scatter();
  void reduce();
  Verdict judge();
  void restore();
  enum class Into { dense, in_place, sparse };
  /// The result; of a sparse one `positions` as well.
  Merged join(Into into, Reduction reduction);

  [[nodiscard]] EntryList own() const;
  [[nodiscard]] Vector residual() const;
  void set_residual(const Vector& values);
  /// Positions and what is kept of them.
  [[nodiscard]] EntryList history() const;
  [[nodiscard]] std::vector<std::uint64_t> bounds() const { return download(bounds_, world() + 1); }
  [[nodiscard]] std::vector<std::uint64_t> demand() const { return download(demand_, world()); }
  void set_bounds(const std::vector<std::uint64_t>& bounds) { upload(bounds_, bounds); }
  void set_demand(const std::vector<std::uint64_t>& demand) { upload(demand_, demand); }
  [[nodiscard]] std::uint64_t step() const { return download(counters_, 2)[0]; }
  [[nodiscard]] std::uint64_t call() const { return download(counters_, 2)[1]; }
  void set_counters(std::uint64_t step, std::uint64_t call) {
    upload(counters_, std::vector<std::uint64_t>{step, call});
  }
  /// From here on every step is one that the ranks disagree about.
  void refuse();

  // Packets of this rank's: to range r, from rank r, of reduced range r.
  [[nodiscard]] Bytes outgoing(int r) const { return slot(outgoing_, split_.sent, r); }
  [[nodiscard]] Bytes incoming(int r) const { return slot(incoming_, split_.sent, r); }
  [[nodiscard]] Bytes reduced(int r) const { return slot(reduced_, split_.reduced, r); }
  void set_incoming(int r, const Bytes& bytes) { set_slot(incoming_, split_.sent, r, bytes); }
  void set_reduced(int r, const Bytes& bytes) { set_slot(reduced_, split_.reduced, r, bytes); }

  [[nodiscard]] const SplitPlan& split() const { return split_; }
  [[nodiscard]] const Report& report() const { return *memory_.report; }

 private:
  [[nodiscard]] std::size_t world() const {
    return static_cast<std::size_t>(split_.whole.world_size);
  }
  Backend::Buffer& allocate(std::size_t bytes);
  template <class T>
  T* part(std::size_t count) {
    return static_cast<T*>(allocate(count * sizeof(T)).get());
  }
  template <class T>
  [[nodiscard]] std::vector<T> download(const T* from, std::size_t count) const;
  template <class T>
  void upload(T* to, const std::vector<T>& values);
  [[nodiscard]] Vector values_at(DataType type, const void* from, std::size_t count) const;
  [[nodiscard]] Bytes slot(const std::byte* slots, const Plan& plan, int r) const;
  void set_slot(std::byte* slots, const Plan& plan, int r, const Bytes& bytes);
  std::vector<Packet> views(std::byte* slots, const Plan& plan) const;

  SplitPlan split_;
  std::unique_ptr<Backend> backend_;
  std::vector<Backend::Buffer> buffers_;
  Memory memory_;
  std::byte *work_, *scratch_, *own_bytes_, *outgoing_, *incoming_, *reduced_, *gradient_;
  std::uint64_t *bounds_, *demand_, *counters_;
  std::uint32_t* refused_;
  Packet own_;
  std::vector<Packet> outgoing_views_, incoming_views_, reduced_views_;
  Step step_;
};

template <class T>
std::vector<T> SplitRank::download(const T* from, std::size_t count) const {
  std::vector<T> values(count);
  backend_->finish(nullptr);
  backend_->download(values.data(), from, count * sizeof(T));
  return values;
}

template <class T>
void SplitRank::upload(T* to, const std::vector<T>& values) {
  backend_->finish(nullptr);
  backend_->upload(to, values.data(), values.size() * sizeof(T));
}

/// What the bytes of a packet of plan `split.sent` or `split.reduced` say.
[[nodiscard]] RangePacket read_packet(const Plan& plan, const Bytes& bytes);

/// Every rank's outgoing packets to the ranks that they are for; every rank's reduced one to all.
void exchange_sent(std::vector<SplitRank>& ranks);
void exchange_reduced(std::vector<SplitRank>& ranks);

}  // namespace sparccl::test
