// A peer that sends what it should not: a transport whose transfers are changed after the fact.
#pragma once

#include <functional>

#include "forwarding.hpp"

namespace sparccl::test {

/// A transport whose transfers can be tampered with after they have taken place.
class Tampered final : public Forwarding {
 public:
  using Tamper = std::function<void(std::byte* slots, std::size_t bytes)>;

  using Forwarding::Forwarding;

  void all_gather(void* slots, std::size_t bytes, Stream stream) override {
    Forwarding::all_gather(slots, bytes, stream);
    if (on_gather) on_gather(static_cast<std::byte*>(slots), bytes);
  }
  void meet(void* slots, std::size_t bytes, Stream stream) override {
    Forwarding::meet(slots, bytes, stream);
    if (on_meet) on_meet(static_cast<std::byte*>(slots), bytes);
  }
  void all_to_all(const void* send, void* recv, std::size_t bytes, Stream stream) override {
    Forwarding::all_to_all(send, recv, bytes, stream);
    if (on_all_to_all) on_all_to_all(static_cast<std::byte*>(recv), bytes);
  }

  Tamper on_gather, on_meet, on_all_to_all;
};

}  // namespace sparccl::test
