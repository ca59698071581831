#include "transport/callbacks.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "dense.hpp"

namespace sparccl {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20;  // of a rank, where allGather reduces

class CallbackTransport final : public Transport {
 public:
  explicit CallbackTransport(const sparcclTransport_t& functions) : f_(functions) {}

  [[nodiscard]] int rank() const noexcept override { return f_.rank; }
  [[nodiscard]] int size() const noexcept override { return f_.nranks; }

  void all_gather(void* slots, std::size_t bytes, Stream) override { gather(slots, bytes); }
  void meet(void* slots, std::size_t bytes, Stream) override { gather(slots, bytes); }
  void all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                  Reduction reduction, Stream) override;
  void give_up(Result reason) noexcept override;
  void abort() noexcept override;

 private:
  void gather(void* slots, std::size_t bytes);
  void reduce_gathered(const void* send, void* recv, std::size_t count, DataType type,
                       Reduction reduction);
  void require_not_aborted() const;
  void require_zero(int code, const char* function) const;

  const sparcclTransport_t f_;
  std::atomic<bool> aborted_ = false;
  bool gave_up_ = false;
  std::vector<std::byte> gathered_;  // [size()][piece_bytes] at most, of an all_reduce
};

void CallbackTransport::require_not_aborted() const {
  if (!aborted_) return;
  throw Error(Result::aborted, "the communicator was aborted by rank " + std::to_string(rank()));
}

void CallbackTransport::require_zero(int code, const char* function) const {
  if (code == 0) return;
  require_not_aborted();
  throw Error(Result::remote_error, std::string("the transport's ") + function + " on rank " +
                                        std::to_string(rank()) + " of " + std::to_string(size()) +
                                        ": expected 0, found " + std::to_string(code));
}

void CallbackTransport::gather(void* slots, std::size_t bytes) {
  require_not_aborted();
  if (bytes == 0) return;
  require_zero(f_.allGather(f_.context, slots, bytes), "allGather");
}

void CallbackTransport::all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                                   Reduction reduction, Stream) {
  require_not_aborted();
  if (count == 0) return;
  if (f_.allReduce == nullptr) return reduce_gathered(send, recv, count, type, reduction);
  const auto datatype = static_cast<sparcclDataType_t>(type);
  const auto op = static_cast<sparcclRedOp_t>(reduction);
  require_zero(f_.allReduce(f_.context, send, recv, count, datatype, op), "allReduce");
}

void CallbackTransport::reduce_gathered(const void* send, void* recv, std::size_t count,
                                        DataType type, Reduction reduction) {
  const std::size_t width = size_of(type);
  const std::size_t piece = std::min(count, piece_bytes / width);
  const auto ranks = static_cast<std::size_t>(size());
  gathered_.resize(ranks * piece * width);
  std::vector<const void*> sources(ranks);
  for (std::size_t begin = 0; begin < count; begin += piece) {
    const std::size_t part = std::min(piece, count - begin);
    const std::size_t bytes = part * width;
    for (std::size_t r = 0; r < ranks; ++r) sources[r] = gathered_.data() + r * bytes;
    std::memcpy(gathered_.data() + static_cast<std::size_t>(rank()) * bytes,
                static_cast<const std::byte*>(send) + begin * width, bytes);
    gather(gathered_.data(), bytes);
    reduce(static_cast<std::byte*>(recv) + begin * width, sources.data(), size(), part, type,
           reduction);
  }
}

void CallbackTransport::give_up(Result reason) noexcept {
  if (gave_up_) return;
  gave_up_ = true;
  if (f_.giveUp != nullptr) f_.giveUp(f_.context, static_cast<sparcclResult_t>(reason));
}

void CallbackTransport::abort() noexcept {
  aborted_ = true;
  if (f_.abort != nullptr) f_.abort(f_.context);
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
  if (options.timeout_ms != 0) {
    reject(
        "config.timeoutMs: expected 0, since the transport's functions bound their own waits, "
        "found " +
        std::to_string(options.timeout_ms));
  }
  return std::make_unique<CallbackTransport>(functions);
}

}  // namespace sparccl
