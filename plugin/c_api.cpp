#include <sparccl/sparccl.h>

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "c_handles.hpp"
#include "communicator.hpp"
#include "sparse_allreduce.hpp"

using namespace sparccl;  // this file is the C edge of that namespace
using namespace sparccl::c;

namespace {

template <class Cpp, class C>
constexpr bool agree(Cpp cpp, C c) {
  return static_cast<int>(cpp) == static_cast<int>(c);
}

static_assert(std::is_standard_layout_v<sparcclConfig_t> && sizeof(sparcclConfig_t) == 72);
static_assert(std::is_standard_layout_v<sparcclStats_t> && sizeof(sparcclStats_t) == 136);

static_assert(agree(DataType::int8, sparcclInt8) && agree(DataType::uint8, sparcclUint8));
static_assert(agree(DataType::int32, sparcclInt32) && agree(DataType::uint32, sparcclUint32));
static_assert(agree(DataType::int64, sparcclInt64) && agree(DataType::uint64, sparcclUint64));
static_assert(agree(DataType::float16, sparcclFloat16) &&
              agree(DataType::bfloat16, sparcclBfloat16));
static_assert(agree(DataType::float32, sparcclFloat32) && agree(DataType::float64, sparcclFloat64));

static_assert(agree(Reduction::sum, sparcclSum) && agree(Reduction::prod, sparcclProd));
static_assert(agree(Reduction::max, sparcclMax) && agree(Reduction::min, sparcclMin));
static_assert(agree(Reduction::avg, sparcclAvg));

static_assert(agree(Distortion::previous, sparcclDistortionPrevious) &&
              agree(Distortion::current, sparcclDistortionCurrent));
static_assert(agree(NonFinite::propagate, sparcclNonFinitePropagate) &&
              agree(NonFinite::error, sparcclNonFiniteError));

static_assert(agree(Path::automatic, sparcclPathAuto) && agree(Path::dense, sparcclPathDense));
static_assert(agree(Path::allgather, sparcclPathAllgather) && agree(Path::split, sparcclPathSplit));
static_assert(agree(Path::hierarchical, sparcclPathHierarchical));

static_assert(agree(Result::success, sparcclSuccess));
static_assert(agree(Result::unhandled_cuda_error, sparcclUnhandledCudaError));
static_assert(agree(Result::system_error, sparcclSystemError));
static_assert(agree(Result::internal_error, sparcclInternalError));
static_assert(agree(Result::invalid_argument, sparcclInvalidArgument));
static_assert(agree(Result::invalid_usage, sparcclInvalidUsage));
static_assert(agree(Result::remote_error, sparcclRemoteError));
static_assert(agree(Result::in_progress, sparcclInProgress));
static_assert(agree(Result::mismatch, sparcclMismatch));
static_assert(agree(Result::bad_packet, sparcclBadPacket));
static_assert(agree(Result::bad_state, sparcclBadState));
static_assert(agree(Result::non_finite, sparcclNonFinite));
static_assert(agree(Result::timeout, sparcclTimeout));
static_assert(agree(Result::aborted, sparcclAborted));

void require_buffers_given(const void* sendbuff, const void* recvbuff) {
  require_not_null(sendbuff, "sendbuff");
  require_not_null(recvbuff, "recvbuff");
}

bool is_sparse(DataType type, Reduction reduction) {
  return is_floating_point(type) && (reduction == Reduction::sum || reduction == Reduction::avg);
}

void write_stats(const Stats& from, sparcclStats_t& to) {
  to.steps = from.steps;
  to.nonFiniteSteps = from.non_finite_steps;
  to.entries = from.entries;
  to.fallbacks = from.fallbacks;
  to.wireBytes = from.wire_bytes;
  to.denseBytes = from.dense_bytes;
  to.packetBytes = from.packet_bytes;
  to.residualBytes = from.residual_bytes;
  to.workspaceBytes = from.workspace_bytes;
  to.waitSeconds = from.seconds.wait;
  to.accumulateSeconds = from.seconds.accumulate;
  to.selectSeconds = from.seconds.select;
  to.packSeconds = from.seconds.pack;
  to.exchangeSeconds = from.seconds.exchange;
  to.mergeSeconds = from.seconds.merge;
}

/// What an allreduce is called with.
struct Buffers {
  const void* send = nullptr;
  void* recv = nullptr;
  std::size_t count = 0;
  DataType type = DataType::float32;
  Reduction reduction = Reduction::sum;
  void* stream = nullptr;
};

/// The tensor that belongs to these buffers, made at the first call. Names are numbered, so that
/// ranks which make their tensors in another order are told apart.
void implicit_all_reduce(Comm& comm, const Buffers& buffers) {
  const Comm::Buffer key(buffers.send, buffers.count, buffers.type);
  auto found = comm.implicit.find(key);
  const bool made = found == comm.implicit.end();
  if (made) {
    const std::string name = "allreduce #" + std::to_string(comm.implicit.size() + 1);
    found = comm.implicit
                .try_emplace(key, comm.communicator, name, buffers.count, buffers.type,
                             comm.config.options)
                .first;
  }
  try {
    found->second.impl().run(buffers.send, 1.0, buffers.stream,
                             Output{.dense = buffers.recv, .reduction = buffers.reduction});
  } catch (...) {
    if (made) comm.implicit.erase(found);  // else its number would stay taken on this rank alone
    throw;
  }
}

}  // namespace

sparcclResult_t sparcclGetVersion(int* version) {
  return guard([&] {
    require_not_null(version, "version");
    *version = SPARCCL_VERSION_CODE;
  });
}

const char* sparcclGetErrorString(sparcclResult_t result) {
  return name_of(static_cast<Result>(raw(result)));
}

const char* sparcclGetLastError(sparcclComm_t) { return last_error(); }

sparcclResult_t sparcclCommInitAll(sparcclComm_t* comms, int nranks,
                                   const sparcclConfig_t* config) {
  return guard([&] {
    require_not_null(comms, "comms");
    const Config read = read_config(config);
    std::vector<Communicator> ranks = Communicator::local(nranks, read.communicator);
    std::vector<sparcclComm_t> handles;
    handles.reserve(ranks.size());
    for (Communicator& rank : ranks) {
      handles.push_back(registry().add(Comm{std::move(rank), read, {}}));
    }
    std::copy(handles.begin(), handles.end(), comms);
  });
}

sparcclResult_t sparcclCommCount(const sparcclComm_t comm, int* count) {
  return guard([&] {
    require_not_null(count, "count");
    *count = registry().find(comm)->communicator.size();
  });
}

sparcclResult_t sparcclCommUserRank(const sparcclComm_t comm, int* rank) {
  return guard([&] {
    require_not_null(rank, "rank");
    *rank = registry().find(comm)->communicator.rank();
  });
}

sparcclResult_t sparcclCommGetAsyncError(sparcclComm_t comm, sparcclResult_t* asyncError) {
  return guard([&] {
    require_not_null(asyncError, "asyncError");
    const std::shared_ptr<Comm> rank = registry().find(comm);
    const Result error = rank->communicator.async_error();
    if (error != Result::success) keep_sentence(rank->communicator.async_error_text().c_str());
    *asyncError = static_cast<sparcclResult_t>(error);
  });
}

sparcclResult_t sparcclGroupStart() {
  return guard([] { open_groups().push_back(std::make_unique<Group>()); });
}

sparcclResult_t sparcclGroupEnd() {
  return guard([] {
    if (open_groups().empty()) {
      throw Error(Result::invalid_usage,
                  "sparcclGroupEnd: expected an open group, found none on this thread");
    }
    const std::unique_ptr<Group> group = std::move(open_groups().back());
    open_groups().pop_back();
    group->end();
  });
}

sparcclResult_t sparcclCommAbort(sparcclComm_t comm) {
  return guard([&] { registry().find(comm)->communicator.abort(); });
}

sparcclResult_t sparcclCommDestroy(sparcclComm_t comm) {
  return guard([&] { registry().destroy(comm); });
}

sparcclResult_t sparcclAllReduce(const void* sendbuff, void* recvbuff, size_t count,
                                 sparcclDataType_t datatype, sparcclRedOp_t op, sparcclComm_t comm,
                                 void* stream) {
  return guard([&] {
    const std::shared_ptr<Comm> rank = registry().find(comm);
    const DataType type = read_type(datatype);
    const Reduction reduction = read_reduction(op);
    rank->communicator.impl()->backend().require_stream(stream);
    rank->communicator.impl()->require_usable();
    if (count == 0) return;
    require_buffers_given(sendbuff, recvbuff);
    if (is_sparse(type, reduction)) {
      implicit_all_reduce(*rank, {sendbuff, recvbuff, count, type, reduction, stream});
    } else {
      rank->communicator.all_reduce(sendbuff, recvbuff, count, type, reduction, stream);
    }
  });
}

sparcclResult_t sparcclTensorCreate(sparcclComm_t comm, const char* name, size_t count,
                                    sparcclDataType_t datatype, const sparcclConfig_t* config,
                                    sparcclTensor_t* tensor) {
  return guard([&] {
    require_not_null(name, "name");
    require_not_null(tensor, "tensor");
    const std::shared_ptr<Comm> rank = registry().find(comm);
    const DataType type = read_type(datatype);
    const Config read = read_config(config, rank->config);
    rank->communicator.impl()->require_usable();
    auto allreduce =
        std::make_shared<SparseAllreduce>(rank->communicator, name, count, type, read.options);
    *tensor = registry().add(Tensor{std::move(allreduce), rank});
  });
}

sparcclResult_t sparcclTensorAllReduce(sparcclTensor_t tensor, const void* sendbuff, void* recvbuff,
                                       sparcclRedOp_t op, double loss_scale, void* stream) {
  return guard([&] {
    const Tensor found = registry().find(tensor);
    const Reduction reduction = read_reduction(op);
    require_buffers_given(sendbuff, recvbuff);
    const Plan& plan = found.allreduce->impl().plan();
    if (is_sparse(plan.type, reduction)) {
      found.allreduce->impl().run(sendbuff, loss_scale, stream,
                                  Output{.dense = recvbuff, .reduction = reduction});
      return;
    }
    if (loss_scale != 1.0) {
      throw Error(Result::invalid_argument, std::string("loss_scale: expected 1 for ") +
                                                name_of(reduction) + ", found " +
                                                std::to_string(loss_scale));
    }
    found.comm->communicator.all_reduce(sendbuff, recvbuff, plan.count, plan.type, reduction,
                                        stream);
  });
}

sparcclResult_t sparcclTensorSetDensity(sparcclTensor_t tensor, double density) {
  return guard([&] { registry().find(tensor).allreduce->set_density(density); });
}

sparcclResult_t sparcclTensorSetMu(sparcclTensor_t tensor, double mu) {
  return guard([&] { registry().find(tensor).allreduce->set_mu(mu); });
}

sparcclResult_t sparcclTensorSetPath(sparcclTensor_t tensor, sparcclPath_t path) {
  return guard([&] {
    const Tensor found = registry().find(tensor);
    found.allreduce->set_path(read_path(static_cast<int>(path), "path"));
  });
}

sparcclResult_t sparcclTensorGetPath(sparcclTensor_t tensor, sparcclPath_t* path, char* reason,
                                     size_t size) {
  return guard([&] {
    const Tensor found = registry().find(tensor);
    require_not_null(path, "path");
    const Stats stats = found.allreduce->stats();
    *path = static_cast<sparcclPath_t>(stats.path);
    if (reason == nullptr || size == 0) return;
    const size_t length = std::min(size - 1, stats.path_reason.size());
    stats.path_reason.copy(reason, length);
    reason[length] = '\0';
  });
}

sparcclResult_t sparcclTensorGetStats(sparcclTensor_t tensor, sparcclStats_t* stats) {
  return guard([&] {
    const Tensor found = registry().find(tensor);
    require_not_null(stats, "stats");
    require_this_version(
        stats, {"stats", "SPARCCL_STATS_INITIALIZER", sizeof(sparcclStats_t), SPARCCL_STATS_MAGIC});
    write_stats(found.allreduce->stats(), *stats);
  });
}

sparcclResult_t sparcclTensorSave(sparcclTensor_t tensor, const char* path) {
  return guard([&] {
    const Tensor found = registry().find(tensor);
    require_not_null(path, "path");
    found.allreduce->save(path);
  });
}

sparcclResult_t sparcclTensorLoad(sparcclTensor_t tensor, const char* path) {
  return guard([&] {
    const Tensor found = registry().find(tensor);
    require_not_null(path, "path");
    found.allreduce->load(path);
  });
}

sparcclResult_t sparcclTensorDestroy(sparcclTensor_t tensor) {
  return guard([&] { registry().destroy(tensor); });
}
