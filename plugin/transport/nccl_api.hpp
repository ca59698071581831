// NCCL's functions, found at run time: this library links and loads where there is no NCCL.
#pragma once

#include <nccl.h>

#include <string>

namespace sparccl {

/// The functions of NCCL that are used. Of nccl.h only the types are: no symbol is left open.
struct NcclApi {
  decltype(&::ncclGetVersion) get_version = nullptr;
  decltype(&::ncclGetErrorString) get_error_string = nullptr;
  decltype(&::ncclGetLastError) get_last_error = nullptr;
  decltype(&::ncclCommSplit) comm_split = nullptr;
  decltype(&::ncclCommFinalize) comm_finalize = nullptr;
  decltype(&::ncclCommDestroy) comm_destroy = nullptr;
  decltype(&::ncclCommAbort) comm_abort = nullptr;
  decltype(&::ncclCommGetAsyncError) comm_get_async_error = nullptr;
  decltype(&::ncclCommCount) comm_count = nullptr;
  decltype(&::ncclCommUserRank) comm_user_rank = nullptr;
  decltype(&::ncclCommCuDevice) comm_cu_device = nullptr;
  decltype(&::ncclAllGather) all_gather = nullptr;
  decltype(&::ncclAllReduce) all_reduce = nullptr;
  decltype(&::ncclReduceScatter) reduce_scatter = nullptr;
  decltype(&::ncclReduce) reduce = nullptr;
  decltype(&::ncclBroadcast) broadcast = nullptr;
  decltype(&::ncclSend) send = nullptr;
  decltype(&::ncclRecv) recv = nullptr;
  decltype(&::ncclGroupStart) group_start = nullptr;
  decltype(&::ncclGroupEnd) group_end = nullptr;

  /// NCCL's words for a code and what it last said: "unhandled system error (...): socket closed".
  [[nodiscard]] std::string words(ncclResult_t code) const;
};

/// The library that the process uses already, else libnccl.so.2, or the one that
/// SPARCCL_NCCL_LIBRARY names and no other. Found once, for the life of the process. Throws
/// Error(system_error) where there is none, or it is older than 2.18; the next call looks again.
[[nodiscard]] const NcclApi& nccl_api();

}  // namespace sparccl
