#include "transport/callbacks.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "dense.hpp"
#include "transport/placement.hpp"

namespace sparccl {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1}
                                    << 20;  // of a rank, in what is gathered for others

/// The caller's functions, and whether they may still be called: of the ranks' transport and of its
/// groups.
struct Functions {
  explicit Functions(const sparcclTransport_t& functions) : f(functions) {}
  const sparcclTransport_t f;
  std::atomic<bool> aborted = false;
  bool gave_up = false;
};

/// All ranks, or a group of them. Of the caller's functions only allGather has to be there: all
/// else is made of it, and a group gathers from all ranks and keeps what its members sent.
class CallbackTransport final : public Transport {
 public:
  /// members: [size] ranks of the caller's.
  CallbackTransport(std::shared_ptr<Functions> functions, std::vector<int> members, int rank,
                    int ranks_per_node)
      : functions_(std::move(functions)),
        members_(std::move(members)),
        rank_(rank),
        ranks_per_node_(ranks_per_node) {}

  [[nodiscard]] int rank() const noexcept override { return rank_; }
  [[nodiscard]] int size() const noexcept override { return static_cast<int>(members_.size()); }

  void all_gather(void* slots, std::size_t bytes, Stream) override;
  void meet(void* slots, std::size_t bytes, Stream stream) override {
    all_gather(slots, bytes, stream);
  }
  void all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                  Reduction reduction, Stream) override;
  void all_to_all(const void* send, void* recv, std::size_t bytes, Stream) override;
  void reduce_scatter(const void* send, void* recv, std::size_t count, DataType type,
                      Stream) override;
  void all_gather_shards(void* data, std::size_t count, std::size_t width, Stream) override;
  [[nodiscard]] std::vector<int> nodes() override {
    return numbered_nodes(members_, ranks_per_node_);
  }
  [[nodiscard]] std::unique_ptr<Transport> group(int color) override;
  void give_up(Result reason) noexcept override;
  void abort() noexcept override;

 private:
  [[nodiscard]] const sparcclTransport_t& f() const noexcept { return functions_->f; }
  [[nodiscard]] bool is_whole() const noexcept { return size() == f().nranks; }
  [[nodiscard]] int own() const noexcept { return f().rank; }
  void call_all_gather(void* slots, std::size_t bytes);
  [[nodiscard]] const std::byte* gather(const void* sent, std::size_t bytes);
  [[nodiscard]] const std::byte* gathered_of(int rank, std::size_t bytes) const noexcept;
  template <class Take>
  void gather_in_pieces(const void* sent, std::size_t bytes, std::size_t width, const Take& take);
  void require_not_aborted() const;
  void require_zero(int code, const char* function) const;

  std::shared_ptr<Functions> functions_;
  const std::vector<int> members_;  // [size]
  const int rank_;
  const int ranks_per_node_;
  std::vector<std::byte> gathered_;  // [nranks][piece_bytes] at most
  std::vector<std::byte> reduced_;   // [piece_bytes] at most, of a reduce_scatter
};

/// The part of [begin, end) that a rank keeps of a piece, as places in the piece.
struct Overlap {
  Overlap(std::size_t begin, std::size_t end, std::size_t piece_begin, std::size_t piece_size)
      : from(std::clamp(begin, piece_begin, piece_begin + piece_size) - piece_begin),
        to(std::clamp(end, piece_begin, piece_begin + piece_size) - piece_begin) {}
  [[nodiscard]] std::size_t size() const noexcept { return to - from; }
  std::size_t from;
  std::size_t to;
};

void CallbackTransport::require_not_aborted() const {
  if (!functions_->aborted) return;
  throw Error(Result::aborted, "the communicator was aborted by rank " + std::to_string(own()));
}

void CallbackTransport::require_zero(int code, const char* function) const {
  if (code == 0) return;
  require_not_aborted();
  throw Error(Result::remote_error, std::string("the transport's ") + function + " on rank " +
                                        std::to_string(own()) + " of " +
                                        std::to_string(f().nranks) + ": expected 0, found " +
                                        std::to_string(code));
}

void CallbackTransport::call_all_gather(void* slots, std::size_t bytes) {
  require_not_aborted();
  if (bytes == 0) return;
  require_zero(f().allGather(f().context, slots, bytes), "allGather");
}

/// Returns what all ranks of the caller's sent: [nranks][bytes], in gathered_.
const std::byte* CallbackTransport::gather(const void* sent, std::size_t bytes) {
  const std::size_t needed = static_cast<std::size_t>(f().nranks) * bytes;
  if (gathered_.size() < needed) gathered_.resize(needed);
  if (bytes != 0) {
    std::memcpy(gathered_.data() + static_cast<std::size_t>(own()) * bytes, sent, bytes);
  }
  call_all_gather(gathered_.data(), bytes);
  return gathered_.data();
}

/// The slot of this transport's rank in what was gathered.
const std::byte* CallbackTransport::gathered_of(int rank, std::size_t bytes) const noexcept {
  const int member = members_[static_cast<std::size_t>(rank)];
  return gathered_.data() + static_cast<std::size_t>(member) * bytes;
}

/// take(begin, size) for each piece of [bytes] once it is gathered; pieces are whole entries.
template <class Take>
void CallbackTransport::gather_in_pieces(const void* sent, std::size_t bytes, std::size_t width,
                                         const Take& take) {
  const std::size_t piece = piece_bytes / width * width;
  for (std::size_t begin = 0; begin < bytes; begin += piece) {
    const std::size_t part = std::min(piece, bytes - begin);
    static_cast<void>(gather(static_cast<const std::byte*>(sent) + begin, part));
    take(begin, part);
  }
}

void CallbackTransport::all_gather(void* slots, std::size_t bytes, Stream) {
  if (is_whole()) return call_all_gather(slots, bytes);
  require_not_aborted();
  auto* const base = static_cast<std::byte*>(slots);
  const auto slot = [&](int r) { return base + bytes * static_cast<std::size_t>(r); };
  gather_in_pieces(slot(rank_), bytes, 1, [&](std::size_t begin, std::size_t part) {
    for (int r = 0; r < size(); ++r) {
      if (r != rank_) std::memcpy(slot(r) + begin, gathered_of(r, part), part);
    }
  });
}

void CallbackTransport::all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                                   Reduction reduction, Stream) {
  require_not_aborted();
  if (count == 0) return;
  if (f().allReduce != nullptr && is_whole()) {
    const auto datatype = static_cast<sparcclDataType_t>(type);
    const auto op = static_cast<sparcclRedOp_t>(reduction);
    return require_zero(f().allReduce(f().context, send, recv, count, datatype, op), "allReduce");
  }
  const std::size_t width = size_of(type);
  std::vector<const void*> sources(members_.size());
  gather_in_pieces(send, count * width, width, [&](std::size_t begin, std::size_t part) {
    for (int r = 0; r < size(); ++r) {
      sources[static_cast<std::size_t>(r)] = gathered_of(r, part);
    }
    reduce(static_cast<std::byte*>(recv) + begin, sources.data(), size(), part / width, type,
           reduction);
  });
}

/// Everybody gets everything, and keeps what is for this rank.
void CallbackTransport::all_to_all(const void* send, void* recv, std::size_t bytes, Stream) {
  require_not_aborted();
  const std::size_t own_slot = static_cast<std::size_t>(rank_) * bytes;
  const std::size_t total = members_.size() * bytes;
  gather_in_pieces(send, total, 1, [&](std::size_t begin, std::size_t part) {
    const Overlap mine(own_slot, own_slot + bytes, begin, part);
    if (mine.size() == 0) return;
    for (int r = 0; r < size(); ++r) {
      std::memcpy(static_cast<std::byte*>(recv) + static_cast<std::size_t>(r) * bytes + begin +
                      mine.from - own_slot,
                  gathered_of(r, part) + mine.from, mine.size());
    }
  });
}

/// An all_reduce of which a rank keeps its shard.
void CallbackTransport::reduce_scatter(const void* send, void* recv, std::size_t count,
                                       DataType type, Stream stream) {
  require_not_aborted();
  const std::size_t width = size_of(type);
  const std::size_t piece = std::min(count, piece_bytes / width);
  const Shard shard(count, size(), rank_);
  if (reduced_.size() < piece * width) reduced_.resize(piece * width);
  for (std::size_t begin = 0; begin < count; begin += piece) {
    const std::size_t part = std::min(piece, count - begin);
    all_reduce(static_cast<const std::byte*>(send) + begin * width, reduced_.data(), part, type,
               Reduction::sum, stream);
    const Overlap mine(shard.begin, shard.begin + shard.count, begin, part);
    if (mine.size() == 0) continue;
    std::memcpy(static_cast<std::byte*>(recv) + (begin + mine.from - shard.begin) * width,
                reduced_.data() + mine.from * width, mine.size() * width);
  }
}

/// Equal parts, and what the last rank has besides.
void CallbackTransport::all_gather_shards(void* data, std::size_t count, std::size_t width,
                                          Stream) {
  require_not_aborted();
  auto* const base = static_cast<std::byte*>(data);
  const std::size_t each = count / members_.size() * width;
  gather_in_pieces(base + each * static_cast<std::size_t>(rank_), each, 1,
                   [&](std::size_t begin, std::size_t part) {
                     for (int r = 0; r < size(); ++r) {
                       if (r == rank_) continue;
                       std::memcpy(base + each * static_cast<std::size_t>(r) + begin,
                                   gathered_of(r, part), part);
                     }
                   });
  std::byte* const rest = base + each * members_.size();
  gather_in_pieces(rest, count * width - each * members_.size(), 1,
                   [&](std::size_t begin, std::size_t part) {
                     if (rank_ == size() - 1) return;
                     std::memcpy(rest + begin, gathered_of(size() - 1, part), part);
                   });
}

std::unique_ptr<Transport> CallbackTransport::group(int color) {
  std::vector<int> colors(members_.size());
  colors[static_cast<std::size_t>(rank_)] = color;
  all_gather(colors.data(), sizeof(int), nullptr);
  std::vector<int> members;
  int place = 0;
  for (const int rank : members_of(colors, rank_)) {
    if (rank == rank_) place = static_cast<int>(members.size());
    members.push_back(members_[static_cast<std::size_t>(rank)]);
  }
  return std::make_unique<CallbackTransport>(functions_, std::move(members), place,
                                             ranks_per_node_);
}

void CallbackTransport::give_up(Result reason) noexcept {
  if (functions_->gave_up) return;
  functions_->gave_up = true;
  if (f().giveUp != nullptr) f().giveUp(f().context, static_cast<sparcclResult_t>(reason));
}

void CallbackTransport::abort() noexcept {
  functions_->aborted = true;
  if (f().abort != nullptr) f().abort(f().context);
}

[[noreturn]] void reject(const std::string& what) { throw Error(Result::invalid_argument, what); }

}  // namespace

std::unique_ptr<Transport> make_callback_transport(const sparcclTransport_t& functions,
                                                   const CommunicatorOptions& options) {
  if (functions.nranks < 1) {
    reject("transport.nranks: expected at least 1, found " + std::to_string(functions.nranks));
  }
  if (functions.rank < 0 || functions.rank >= functions.nranks) {
    reject("transport.rank: expected 0 to " + std::to_string(functions.nranks - 1) + ", found " +
           std::to_string(functions.rank));
  }
  if (functions.allGather == nullptr) {
    reject("transport.allGather: expected a function, found NULL");
  }
  const int ranks_per_node = checked_ranks_per_node(options);
  if (options.timeout_ms != 0) {
    reject(
        "config.timeoutMs: expected 0, since the transport's functions bound their own waits, "
        "found " +
        std::to_string(options.timeout_ms));
  }
  std::vector<int> all(static_cast<std::size_t>(functions.nranks));
  std::iota(all.begin(), all.end(), 0);
  return std::make_unique<CallbackTransport>(std::make_shared<Functions>(functions), std::move(all),
                                             functions.rank, ranks_per_node);
}

}  // namespace sparccl
