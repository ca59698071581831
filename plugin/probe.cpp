// What messages and dense collectives cost on this communicator.
#include <algorithm>
#include <bit>

#include "calibration.hpp"
#include "probe_stages.hpp"

namespace sparccl {
namespace {

/// Buffers of a transfer. A transport that failed may go on using them for ever.
struct Buffers {
  Buffers(Communicator::Impl& of, std::size_t send_bytes, std::size_t recv_bytes)
      : communicator(of),
        send(of.backend().allocate(send_bytes)),
        recv(of.backend().allocate(recv_bytes)) {}

  template <class Transfer>
  void carry_out(const Transfer& transfer) {
    try {
      transfer();
    } catch (...) {
      if (communicator.transport().keeps_buffers_after_failure()) {
        static_cast<void>(send.release());
        static_cast<void>(recv.release());
      }
      throw;
    }
  }

  Communicator::Impl& communicator;
  Backend::Buffer send;
  Backend::Buffer recv;
};

class LinkProbe {
 public:
  LinkProbe(Communicator::Impl& communicator, ProbeClock& clock, int ranks_of_node, Stream stream)
      : communicator_(communicator), clock_(clock), stream_(stream) {
    constexpr std::size_t least = std::size_t{1} << 20;
    constexpr std::size_t most = std::size_t{1} << 24;
    constexpr std::size_t most_alone =
        4 * most;  // on a node: memory of it is not touched elsewhere
    const auto shared = (std::size_t{1} << 26) / static_cast<std::size_t>(ranks_of_node);
    const bool alone = communicator.asynchronous() || ranks_of_node == 1;
    most_bytes_ = alone ? most_alone : std::clamp(shared, least, most);
  }

  /// Of an all_gather among the ranks of `transport`: this communicator's or a group of it.
  [[nodiscard]] Link gather(Transport& transport) {
    const auto ranks = static_cast<std::size_t>(transport.size());
    if (ranks == 1) return {};
    const std::size_t most = std::max(most_bytes_ / 4 / ranks, 2 * smallest);
    const Curve curve = grow(most, enough_of_gather, [&](std::size_t bytes) {
      Buffers buffers(communicator_, ranks * bytes, 0);
      return clock_.typical([&] {
        buffers.carry_out([&] { transport.all_gather(buffers.send.get(), bytes, stream_); });
      });
    });
    Link link;
    link.latency = curve.points.front().seconds / static_cast<double>(std::bit_width(ranks - 1));
    link.seconds_per_byte = std::max(fastest, curve.slope() / static_cast<double>(ranks - 1));
    largest_ = static_cast<std::size_t>(curve.points.back().size);
    return link;
  }

  /// The link that an all_to_all finds, where ranks of a node share it; `ring` where the transport
  /// has none. After gather().
  [[nodiscard]] Link all_to_all(const Link& ring) {
    Transport& transport = communicator_.transport();
    const auto ranks = static_cast<std::size_t>(transport.size());
    const auto time = [&](std::size_t bytes) {
      Buffers buffers(communicator_, ranks * bytes, ranks * bytes);
      return clock_.typical([&] {
        buffers.carry_out(
            [&] { transport.all_to_all(buffers.send.get(), buffers.recv.get(), bytes, stream_); });
      });
    };
    Link link = ring;
    const double small = time(smallest);
    const double large = time(largest_);
    const auto peers = static_cast<double>(ranks - 1);
    const auto more = static_cast<double>(largest_ - smallest);
    link.seconds_per_byte = std::max(fastest, (large - small) / (peers * more));
    link.seconds_per_message = std::max(0.0, small - link.latency) / peers;
    return link;
  }

  [[nodiscard]] Curve all_reduce() {
    return grow(most_bytes_, enough_of_dense, [&](std::size_t bytes) {
      Buffers buffers(communicator_, bytes, bytes);
      return clock_.typical([&] {
        buffers.carry_out([&] {
          communicator_.transport().all_reduce(buffers.send.get(), buffers.recv.get(),
                                               bytes / sizeof(float), DataType::float32,
                                               Reduction::sum, stream_);
        });
      });
    });
  }

 private:
  static constexpr std::size_t smallest = 64;  // bytes
  static constexpr double fastest = 1e-13;     // seconds per byte: no link is that good
  // Seconds of a call behind which no larger one is measured. Libraries take other algorithms for
  // large tensors than for small ones: what a dense allreduce costs is told by long calls alone.
  static constexpr double enough_of_gather = 4e-3;
  static constexpr double enough_of_dense = 20e-3;

  /// From small messages on to `most` bytes, or until one takes longer than `enough` seconds.
  template <class Time>
  [[nodiscard]] Curve grow(std::size_t most, double enough, const Time& time) {
    Curve curve;
    for (std::size_t bytes = smallest;; bytes = std::min(8 * bytes, most)) {
      double seconds = time(bytes);
      // Eight times the bytes do not take sixteen times as long, unless a message was lost (TCP
      // waits for a fifth of a second then) or a burst used up: told apart by measuring again.
      if (!curve.points.empty() && seconds > 16 * curve.points.back().seconds) {
        seconds = std::min(seconds, time(bytes));
      }
      curve.points.push_back({static_cast<double>(bytes), seconds});
      if (bytes == most) return curve;
      if (seconds > enough && curve.points.size() > 3) return curve;
    }
  }

  Communicator::Impl& communicator_;
  ProbeClock& clock_;
  Stream stream_;
  std::size_t most_bytes_;          // of a buffer: beyond caches, for all ranks of a node together
  std::size_t largest_ = smallest;  // slot that gather() came to
};

/// The links between the ranks of a node, where there are several of both.
Link probe_node(Communicator::Impl& communicator, LinkProbe& links, const Machine& machine,
                const Link& network, const std::vector<int>& nodes) {
  const int each = machine.ranks_per_node;
  if (each < 2 || each == machine.world_size) return network;
  Transport& transport = communicator.transport();
  const auto group = transport.group(nodes[static_cast<std::size_t>(transport.rank())]);
  return links.gather(*group);
}

/// Where nodes have differently many ranks: all of them on one, the worst that can be.
int ranks_of_node(const Machine& machine) {
  return machine.ranks_per_node > 0 ? machine.ranks_per_node : machine.world_size;
}

}  // namespace

Costs probe(Communicator::Impl& communicator, Stream stream) {
  Costs costs;
  communicator.carry_out("calibration", [&] {
    costs.machine = machine_of(communicator);
    ProbeClock clock(communicator, stream);
    const int of_node = ranks_of_node(costs.machine);
    LinkProbe links(communicator, clock, of_node, stream);
    costs.network = links.gather(communicator.transport());
    costs.stages = probe_stages(communicator, clock, of_node, costs.network, stream);
    if (costs.machine.world_size == 1) return;
    costs.shared = links.all_to_all(costs.network);
    costs.node = probe_node(communicator, links, costs.machine, costs.network,
                            communicator.transport().nodes());
    costs.dense.curve = links.all_reduce();
    costs.dense.ranks = costs.machine.world_size;
    costs.dense.seconds_per_byte = costs.network.seconds_per_byte;
    costs.dense.latency = costs.network.latency;
  });
  return costs;
}

}  // namespace sparccl
