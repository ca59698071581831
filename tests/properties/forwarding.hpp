// A transport that hands everything on to another: the base of those that change something on the
// way.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "transport/transport.hpp"

namespace sparccl::test {

class Forwarding : public Transport {
 public:
  explicit Forwarding(std::unique_ptr<Transport> inner) : inner_(std::move(inner)) {}

  [[nodiscard]] int rank() const noexcept override { return inner_->rank(); }
  [[nodiscard]] int size() const noexcept override { return inner_->size(); }
  [[nodiscard]] bool asynchronous() const noexcept override { return inner_->asynchronous(); }
  void all_gather(void* slots, std::size_t bytes, Stream stream) override {
    inner_->all_gather(slots, bytes, stream);
  }
  void meet(void* slots, std::size_t bytes, Stream stream) override {
    inner_->meet(slots, bytes, stream);
  }
  void all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                  Reduction reduction, Stream stream) override {
    inner_->all_reduce(send, recv, count, type, reduction, stream);
  }
  void all_to_all(const void* send, void* recv, std::size_t bytes, Stream stream) override {
    inner_->all_to_all(send, recv, bytes, stream);
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
  [[nodiscard]] Result async_error() noexcept override { return inner_->async_error(); }
  [[nodiscard]] std::string async_error_text() override { return inner_->async_error_text(); }
  void abort_when(std::function<bool()> failed) override { inner_->abort_when(std::move(failed)); }
  void give_up(Result reason) noexcept override { inner_->give_up(reason); }
  void abort() noexcept override { inner_->abort(); }

 private:
  std::unique_ptr<Transport> inner_;
};

}  // namespace sparccl::test
