// Gloo's dense allreduce over TCP, between the ranks of any transport.
#include <gloo/allreduce.h>
#include <gloo/context.h>
#include <gloo/math.h>
#include <gloo/transport/tcp/device.h>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "baselines.hpp"
#include "build.hpp"
#include "failures.hpp"
#include "settings.hpp"

namespace sparccl::perf {
namespace build {
const bool has_gloo = true;
const char* const how_to_get_gloo = "";
}  // namespace build

namespace {

constexpr std::size_t address_bytes = 1024;

/// Gloo's way is to meet at a store; ranks that can gather already need none.
class Mesh final : public gloo::Context {
 public:
  Mesh(Ranks& ranks, std::shared_ptr<gloo::transport::Device> device)
      : gloo::Context(ranks.rank(), ranks.size()) {
    device_ = std::move(device);
    transportContext_ = device_->createContext(ranks.rank(), ranks.size());
    transportContext_->setTimeout(getTimeout());
    connect(ranks);
  }

 private:
  void connect(Ranks& ranks) {
    const auto world = static_cast<std::size_t>(ranks.size());
    const auto mine = static_cast<std::size_t>(ranks.rank());
    // Of each rank, a row: where each of the others finds it.
    std::vector<char> addresses(world * world * address_bytes);
    const auto at = [&](std::size_t of, std::size_t to) {
      return addresses.data() + (of * world + to) * address_bytes;
    };
    for (std::size_t peer = 0; peer < world; ++peer) {
      if (peer == mine) continue;
      const std::vector<char> address =
          transportContext_->createPair(static_cast<int>(peer))->address().bytes();
      if (address.size() + sizeof(std::size_t) > address_bytes) {
        throw NotMeasured("baseline gloo: an address of Gloo's is longer than expected");
      }
      const std::size_t length = address.size();
      std::memcpy(at(mine, peer), &length, sizeof length);
      std::ranges::copy(address, at(mine, peer) + sizeof length);
    }
    ranks.all_gather(addresses.data(), world * address_bytes);
    for (std::size_t peer = 0; peer < world; ++peer) {
      if (peer == mine) continue;
      std::size_t length = 0;
      std::memcpy(&length, at(peer, mine), sizeof length);
      const char* const begin = at(peer, mine) + sizeof length;
      transportContext_->getPair(static_cast<int>(peer))
          ->connect(std::vector<char>(begin, begin + length));
    }
  }
};

std::shared_ptr<gloo::transport::Device> tcp_device(Ranks& ranks) {
  gloo::transport::tcp::attr where;
  if (const char* const interface = std::getenv("GLOO_SOCKET_IFNAME")) {
    where.iface = interface;
  } else if (ranks.hosts() == 1) {
    where.hostname = "127.0.0.1";
  } else {
    char name[256] = {};
    gethostname(name, sizeof name - 1);
    where.hostname = name;
  }
  return gloo::transport::tcp::CreateDevice(where);
}

template <class T>
class Gloo final : public Baseline {
 public:
  Gloo(Ranks& ranks, Reduction reduction) : ranks_(ranks), average_(reduction == Reduction::avg) {
    try {
      mesh_ = std::make_shared<Mesh>(ranks, tcp_device(ranks));
    } catch (const std::exception& error) {
      throw std::runtime_error(std::string("baseline gloo: ranks do not connect: ") + error.what() +
                               "; GLOO_SOCKET_IFNAME names the network interface to use");
    }
  }

  void operator()(const void* send, void* recv, std::size_t count) override {
    gloo::AllreduceOptions options(mesh_);
    // Without an input of its own, the output is what is reduced.
    if (send != recv) options.setInput(const_cast<T*>(static_cast<const T*>(send)), count);
    options.setOutput(static_cast<T*>(recv), count);
    options.setReduceFunction(
        static_cast<void (*)(void*, const void*, const void*, std::size_t)>(&gloo::sum<T>));
    gloo::allreduce(options);
    if (average_) divide(static_cast<T*>(recv), count, ranks_.size());
  }

 private:
  Ranks& ranks_;
  bool average_;
  std::shared_ptr<Mesh> mesh_;
};

}  // namespace

std::unique_ptr<Baseline> gloo_baseline(Ranks& ranks, const BaselineShape& shape) {
  if (shape.type == DataType::float32) return std::make_unique<Gloo<float>>(ranks, shape.reduction);
  if (shape.type == DataType::float64) {
    return std::make_unique<Gloo<double>>(ranks, shape.reduction);
  }
  throw NotMeasured(std::string("baseline gloo: timed for float and double alone, not for ") +
                    type_name(shape.type));
}

}  // namespace sparccl::perf
