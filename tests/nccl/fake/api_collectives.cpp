// NCCL's collectives and groups: strong pncclX and weak ncclX, as NCCL has them.
#include "collectives.hpp"

#pragma weak ncclAllGather = pncclAllGather
#pragma weak ncclAllReduce = pncclAllReduce
#pragma weak ncclReduceScatter = pncclReduceScatter
#pragma weak ncclReduce = pncclReduce
#pragma weak ncclBroadcast = pncclBroadcast
#pragma weak ncclSend = pncclSend
#pragma weak ncclRecv = pncclRecv
#pragma weak ncclGroupStart = pncclGroupStart
#pragma weak ncclGroupEnd = pncclGroupEnd

using namespace fake_nccl;

namespace {

Collective collective(Collective::Kind kind, const void* send, void* recv, std::size_t count,
                      ncclDataType_t type) {
  Collective own;
  own.kind = kind;
  own.send = send;
  own.recv = recv;
  own.count = count;
  own.type = static_cast<sparccl::DataType>(type);
  return own;
}

Collective reduction(Collective::Kind kind, const void* send, void* recv, std::size_t count,
                     ncclDataType_t type, ncclRedOp_t op) {
  Collective own = collective(kind, send, recv, count, type);
  own.reduction = static_cast<sparccl::Reduction>(op);
  return own;
}

Collective::Message message(int peer, const void* send, void* recv, std::size_t count,
                            ncclDataType_t type) {
  return {peer, send, recv, count * sparccl::size_of(static_cast<sparccl::DataType>(type))};
}

using Kind = Collective::Kind;

}  // namespace

extern "C" {

ncclResult_t pncclAllGather(const void* send, void* recv, std::size_t count, ncclDataType_t type,
                            ncclComm_t comm, cudaStream_t stream) {
  return collect(comm, "ncclAllGather", collective(Kind::all_gather, send, recv, count, type),
                 stream);
}

ncclResult_t pncclAllReduce(const void* send, void* recv, std::size_t count, ncclDataType_t type,
                            ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return collect(comm, "ncclAllReduce", reduction(Kind::all_reduce, send, recv, count, type, op),
                 stream);
}

ncclResult_t pncclReduceScatter(const void* send, void* recv, std::size_t count,
                                ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                                cudaStream_t stream) {
  return collect(comm, "ncclReduceScatter",
                 reduction(Kind::reduce_scatter, send, recv, count, type, op), stream);
}

ncclResult_t pncclReduce(const void* send, void* recv, std::size_t count, ncclDataType_t type,
                         ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream) {
  Collective own = reduction(Kind::reduce, send, recv, count, type, op);
  own.root = root;
  return collect(comm, "ncclReduce", own, stream);
}

ncclResult_t pncclBroadcast(const void* send, void* recv, std::size_t count, ncclDataType_t type,
                            int root, ncclComm_t comm, cudaStream_t stream) {
  Collective own = collective(Kind::broadcast, send, recv, count, type);
  own.root = root;
  return collect(comm, "ncclBroadcast", own, stream);
}

ncclResult_t pncclSend(const void* send, std::size_t count, ncclDataType_t type, int peer,
                       ncclComm_t comm, cudaStream_t stream) {
  Collective own;
  own.kind = Kind::point_to_point;
  own.sends = {message(peer, send, nullptr, count, type)};
  return collect(comm, "ncclSend", own, stream);
}

ncclResult_t pncclRecv(void* recv, std::size_t count, ncclDataType_t type, int peer,
                       ncclComm_t comm, cudaStream_t stream) {
  Collective own;
  own.kind = Kind::point_to_point;
  own.receives = {message(peer, nullptr, recv, count, type)};
  return collect(comm, "ncclRecv", own, stream);
}

ncclResult_t pncclGroupStart() { return start_group(); }

ncclResult_t pncclGroupEnd() { return end_group(); }
}
