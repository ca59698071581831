#include "paths/packets.hpp"

#include <algorithm>

namespace sparccl {

Packets::Packets(Backend& backend, const Plan& plan, Kind kind, int size, int first_own,
                 int last_own, std::size_t least_bytes)
    : slots_(nullptr, nullptr),
      packet_bytes_(std::max(least_bytes, kind == Kind::whole ? wire::layout(plan).bytes
                                                              : wire::range_layout(plan).bytes)) {
  slots_ = backend.allocate(static_cast<std::size_t>(size) * packet_bytes_);
  for (int i = 0; i < size; ++i) {
    std::byte* const at = slots() + static_cast<std::size_t>(i) * packet_bytes_;
    views_.push_back(kind == Kind::whole ? wire::view(plan, at) : wire::range_view(plan, at));
  }
  std::vector<std::byte> identity;
  if (kind == Kind::whole) {
    identity.resize(wire::identity_bytes());
    wire::write_identity(plan, 0, identity.data());  // the backend writes the number of the call
  } else {
    identity.resize(wire::range_identity_bytes());
    wire::write_range_identity(plan, identity.data());
  }
  for (int i = first_own; i < last_own; ++i) {
    backend.upload(slot(i), identity.data(), identity.size());
  }
}

std::string describe_bad(const Backend& backend, const Packets& packets, int own, int bad) {
  std::vector<std::byte> sound(wire::identity_bytes()), found(wire::identity_bytes());
  backend.download(sound.data(), packets.slot(own), sound.size());
  backend.download(found.data(), packets.slot(bad), found.size());
  return wire::describe_identity(sound.data(), found.data());
}

}  // namespace sparccl
