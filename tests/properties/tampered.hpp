// A peer that sends what it should not: a transport whose transfers are changed after the fact.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "transport/transport.hpp"

namespace sparccl::test {

/// A transport whose transfers can be tampered with after they have taken place.
class Tampered final : public Transport {
 public:
  using Tamper = std::function<void(std::byte* slots, std::size_t bytes)>;

  explicit Tampered(std::unique_ptr<Transport> inner) : inner_(std::move(inner)) {}

  [[nodiscard]] int rank() const noexcept override { return inner_->rank(); }
  [[nodiscard]] int size() const noexcept override { return inner_->size(); }
  void all_gather(void* slots, std::size_t bytes, Stream stream) override {
    inner_->all_gather(slots, bytes, stream);
    if (on_gather) on_gather(static_cast<std::byte*>(slots), bytes);
  }
  void meet(void* slots, std::size_t bytes, Stream stream) override {
    inner_->meet(slots, bytes, stream);
    if (on_meet) on_meet(static_cast<std::byte*>(slots), bytes);
  }
  void all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                  Reduction reduction, Stream stream) override {
    inner_->all_reduce(send, recv, count, type, reduction, stream);
  }
  void all_to_all(const void* send, void* recv, std::size_t bytes, Stream stream) override {
    inner_->all_to_all(send, recv, bytes, stream);
    if (on_all_to_all) on_all_to_all(static_cast<std::byte*>(recv), bytes);
  }
  void reduce_scatter(const void* send, void* recv, std::size_t count, DataType type,
                      Stream stream) override {
    inner_->reduce_scatter(send, recv, count, type, stream);
  }
  void all_gather_shards(void* data, std::size_t count, std::size_t width, Stream stream) override {
    inner_->all_gather_shards(data, count, width, stream);
  }
  [[nodiscard]] std::vector<int> nodes() override { return inner_->nodes(); }
  [[nodiscard]] std::unique_ptr<Transport> group(int color) override {
    return inner_->group(color);
  }
  void give_up(Result reason) noexcept override { inner_->give_up(reason); }
  void abort() noexcept override { inner_->abort(); }

  Tamper on_gather, on_meet, on_all_to_all;

 private:
  std::unique_ptr<Transport> inner_;
};

}  // namespace sparccl::test
