// The program's own NCCL, beneath this shim: found in what the program has loaded, not linked.
#pragma once

#include <nccl.h>

#include <atomic>
#include <string>

namespace sparccl::shim::nccl {

/// The strong pncclX before the weak ncclX, so that it is NCCL's own whoever else interposes; in
/// what was loaded after this shim, then in libnccl.so.2 wherever it was loaded (Python's libraries
/// keep theirs to themselves). Null: nowhere. What was found stays loaded.
[[nodiscard]] void* find_real(const char* function);

/// Whether a libnccl.so.2 is loaded, for whomever.
[[nodiscard]] bool has_library();

/// The file that an address is in, or "".
[[nodiscard]] std::string file_of(const void* address);

/// Whether an address is in NCCL itself, which calls some of its functions by their public names.
[[nodiscard]] bool is_in_nccl(const void* address);

/// What a function returns that the program's NCCL does not have; the log says so.
[[nodiscard]] ncclResult_t missing(const char* function) noexcept;

/// One of its functions. Looked for at the first call, and again as long as it is not found.
template <class F>
class Real;

template <class... Arguments>
class Real<ncclResult_t(Arguments...)> {
 public:
  using Function = ncclResult_t(Arguments...);

  explicit constexpr Real(const char* name) : name_(name) {}

  ncclResult_t operator()(Arguments... arguments) {
    Function* const function = get();
    return function != nullptr ? function(arguments...) : missing(name_);
  }

  [[nodiscard]] Function* get() {
    Function* function = function_.load(std::memory_order_relaxed);
    if (function != nullptr) return function;
    function = reinterpret_cast<Function*>(find_real(name_));
    function_.store(function, std::memory_order_relaxed);
    return function;
  }

 private:
  const char* name_;
  std::atomic<Function*> function_ = nullptr;
};

namespace real {

inline constinit Real<decltype(ncclAllGather)> all_gather("ncclAllGather");
inline constinit Real<decltype(ncclAllReduce)> all_reduce("ncclAllReduce");
inline constinit Real<decltype(ncclCommAbort)> comm_abort("ncclCommAbort");
inline constinit Real<decltype(ncclCommCount)> comm_count("ncclCommCount");
inline constinit Real<decltype(ncclCommCuDevice)> comm_cu_device("ncclCommCuDevice");
inline constinit Real<decltype(ncclCommDestroy)> comm_destroy("ncclCommDestroy");
inline constinit Real<decltype(ncclCommFinalize)> comm_finalize("ncclCommFinalize");
inline constinit Real<decltype(ncclCommGetAsyncError)> comm_get_async_error(
    "ncclCommGetAsyncError");
inline constinit Real<decltype(ncclCommInitAll)> comm_init_all("ncclCommInitAll");
inline constinit Real<decltype(ncclCommInitRank)> comm_init_rank("ncclCommInitRank");
inline constinit Real<decltype(ncclCommInitRankConfig)> comm_init_rank_config(
    "ncclCommInitRankConfig");
inline constinit Real<decltype(ncclCommSplit)> comm_split("ncclCommSplit");
inline constinit Real<decltype(ncclCommUserRank)> comm_user_rank("ncclCommUserRank");
inline constinit Real<decltype(ncclGroupEnd)> group_end("ncclGroupEnd");
inline constinit Real<decltype(ncclGroupStart)> group_start("ncclGroupStart");

}  // namespace real

/// NCCL's words for a code: "unhandled system error".
[[nodiscard]] std::string words(ncclResult_t code);

}  // namespace sparccl::shim::nccl
