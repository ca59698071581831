// The packets of all ranks side by side, as an allgather or an all-to-all moves them.
#pragma once

#include <vector>

#include "stages.hpp"
#include "wire.hpp"

namespace sparccl {

class Packets {
 public:
  /// Which header they have.
  enum class Kind { whole, range };

  /// `size` packets of the plan, with the identity in those of [first_own, last_own). Each takes
  /// least_bytes or more.
  Packets(Backend& backend, const Plan& plan, Kind kind, int size, int first_own, int last_own,
          std::size_t least_bytes = 0);

  [[nodiscard]] std::byte* slots() const noexcept { return static_cast<std::byte*>(slots_.get()); }
  [[nodiscard]] std::byte* slot(int index) const noexcept {
    return slots() + static_cast<std::size_t>(index) * packet_bytes_;
  }
  [[nodiscard]] std::size_t packet_bytes() const noexcept { return packet_bytes_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return packet_bytes_ * views_.size(); }
  [[nodiscard]] std::span<const Packet> all() const noexcept { return views_; }
  [[nodiscard]] const Packet& operator[](int index) const noexcept {
    return views_[static_cast<std::size_t>(index)];
  }
  /// Never frees them.
  void keep() noexcept { static_cast<void>(slots_.release()); }

 private:
  Backend::Buffer slots_;
  std::size_t packet_bytes_;
  std::vector<Packet> views_;
};

/// Which field of a packet's header differs from this rank's own: "k: expected ..., found ...".
[[nodiscard]] std::string describe_bad(const Backend& backend, const Packets& packets, int own,
                                       int bad);

}  // namespace sparccl
