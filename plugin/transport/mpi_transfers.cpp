// What the MPI transport moves once all ranks have agreed to it.
#include <algorithm>
#include <climits>

#include "dense.hpp"
#include "transport/mpi.hpp"

namespace sparccl {
namespace {

constexpr std::size_t reduced_at_once = std::size_t{1} << 22;  // entries of an MPI_Iallreduce
constexpr std::size_t piece_bytes = std::size_t{1} << 19;      // of a rank, of a reduce_scatter
constexpr std::size_t part_bytes = std::size_t{1} << 30;       // of a message: MPI counts with int

}  // namespace

/// Packets are whole units, so that MPI's int reaches 2^31 * 64 bytes.
MPI_Datatype MpiTransport::in_units(std::size_t bytes, int& count) const {
  const bool whole = bytes % MpiComm::unit_bytes == 0;
  const std::size_t units = whole ? bytes / MpiComm::unit_bytes : bytes;
  if (units > INT_MAX) {
    throw Error(Result::invalid_argument,
                "bytes per rank: expected at most " + std::to_string(INT_MAX) + " units of " +
                    (whole ? "64 bytes" : "1 byte") + ", found " + std::to_string(units));
  }
  count = static_cast<int>(units);
  return whole ? mpi_.unit : MPI_BYTE;
}

void MpiTransport::all_gather(void* slots, std::size_t bytes, Stream) {
  require_open();
  if (bytes == 0) return;
  int count = 0;
  const MPI_Datatype unit = in_units(bytes, count);
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, slots, count, unit, mpi_.comm, &request),
        "MPI_Iallgather", rank());
  complete({&request, 1}, "MPI_Iallgather");
}

void MpiTransport::all_to_all(const void* send, void* recv, std::size_t bytes, Stream) {
  require_open();
  if (bytes == 0) return;
  int count = 0;
  const MPI_Datatype unit = in_units(bytes, count);
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ialltoall(send, count, unit, recv, count, unit, mpi_.comm, &request), "MPI_Ialltoall",
        rank());
  complete({&request, 1}, "MPI_Ialltoall");
}

/// As on every transport, 16-bit floats are summed in float and rounded once.
void MpiTransport::all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                              Reduction reduction, Stream) {
  require_open();
  const std::size_t width = size_of(type);
  const bool exact = reduction == Reduction::max || reduction == Reduction::min;
  const bool wide = width == 2 && !exact;
  if (wide && !wide_) wide_ = std::make_unique_for_overwrite<float[]>(reduced_at_once);
  for (std::size_t begin = 0; begin < count; begin += reduced_at_once) {
    const std::size_t part = std::min(reduced_at_once, count - begin);
    const void* from = static_cast<const std::byte*>(send) + begin * width;
    void* to = static_cast<std::byte*>(recv) + begin * width;
    if (!wide) {
      reduce_piece(from, to, part, type, reduction);
      continue;
    }
    widen(wide_.get(), from, part, type);
    try {
      reduce_piece(wide_.get(), wide_.get(), part, DataType::float32, reduction);
    } catch (...) {
      static_cast<void>(wide_.release());  // MPI may still write to it, for ever
      throw;
    }
    narrow(to, wide_.get(), part, type);
  }
}

void MpiTransport::reduce_piece(const void* send, void* recv, std::size_t count, DataType type,
                                Reduction reduction) {
  const MPI_Op operation = mpi_.operations.get(type, reduction, rank());
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallreduce(send == recv ? MPI_IN_PLACE : send, recv, static_cast<int>(count),
                       mpi_type(type), operation, mpi_.comm, &request),
        "MPI_Iallreduce", rank());
  complete({&request, 1}, "MPI_Iallreduce");
  if (reduction == Reduction::avg) divide(recv, size(), count, type);
}

void MpiTransport::send_parts(const void* data, std::size_t bytes, int to) {
  for (std::size_t begin = 0; begin < bytes; begin += part_bytes) {
    const int part = static_cast<int>(std::min(part_bytes, bytes - begin));
    parts_.push_back(MPI_REQUEST_NULL);
    check(MPI_Isend(static_cast<const std::byte*>(data) + begin, part, MPI_BYTE, to, tag_shard,
                    mpi_.comm, &parts_.back()),
          "MPI_Isend", rank());
  }
}

void MpiTransport::receive_parts(void* data, std::size_t bytes, int from) {
  for (std::size_t begin = 0; begin < bytes; begin += part_bytes) {
    const int part = static_cast<int>(std::min(part_bytes, bytes - begin));
    parts_.push_back(MPI_REQUEST_NULL);
    check(MPI_Irecv(static_cast<std::byte*>(data) + begin, part, MPI_BYTE, from, tag_shard,
                    mpi_.comm, &parts_.back()),
          "MPI_Irecv", rank());
  }
}

/// post(): begins messages by send_parts and receive_parts.
template <class Post>
void MpiTransport::exchange_parts(const char* call, const Post& post) {
  parts_.clear();
  try {
    post();
  } catch (...) {  // some may be under way, for ever
    farewells_->gave_up = farewells_->abandoned = true;
    throw;
  }
  complete(parts_, call);
}

/// Each rank gets its shard from everybody, a piece at a time, and adds them up in rank order: the
/// same bits in every run, 16-bit floats travel as such and are rounded once, and a byte crosses
/// once. MPI's own promises none of these.
void MpiTransport::reduce_scatter(const void* send, void* recv, std::size_t count, DataType type,
                                  Stream) {
  require_open();
  const std::size_t width = size_of(type);
  const Shard longest(count, size(), size() - 1);
  const Shard mine(count, size(), rank());
  const std::size_t piece = std::min(piece_bytes / width, longest.count);
  const std::size_t needed = static_cast<std::size_t>(size()) * piece * width;
  if (contributed_bytes_ < needed) {
    contributed_bytes_ = 0;  // stays true if the allocation throws
    contributed_.reset();
    contributed_ = std::make_unique_for_overwrite<std::byte[]>(needed);
    contributed_bytes_ = needed;
  }
  const auto* const from = static_cast<const std::byte*>(send);
  for (std::size_t begin = 0; begin < longest.count; begin += piece) {
    const auto part_of = [&](const Shard& shard) {
      return std::min(piece, shard.count - std::min(begin, shard.count));
    };
    const auto post = [&] {
      for (int step = 1; step < size(); ++step) {
        const int peer = (rank() + step) % size();
        std::byte* const slot = contributed_.get() + static_cast<std::size_t>(peer) * piece * width;
        sources_[static_cast<std::size_t>(peer)] = slot;
        receive_parts(slot, part_of(mine) * width, peer);
      }
      for (int step = 1; step < size(); ++step) {
        const int peer = (rank() + step) % size();
        const Shard theirs(count, size(), peer);
        send_parts(from + (theirs.begin + begin) * width, part_of(theirs) * width, peer);
      }
    };
    try {
      exchange_parts("a reduce_scatter", post);
    } catch (...) {
      static_cast<void>(contributed_.release());  // MPI may still write to it, for ever
      contributed_bytes_ = 0;
      throw;
    }
    sources_[static_cast<std::size_t>(rank())] = from + (mine.begin + begin) * width;
    reduce(static_cast<std::byte*>(recv) + begin * width, sources_.data(), size(), part_of(mine),
           type, Reduction::sum);
  }
}

/// Straight from everybody to everybody, as MPI's own within a node, without its limit of 2^31
/// entries.
void MpiTransport::all_gather_shards(void* data, std::size_t count, std::size_t width, Stream) {
  require_open();
  auto* const base = static_cast<std::byte*>(data);
  const Shard mine(count, size(), rank());
  exchange_parts("an all_gather of shards", [&] {
    for (int step = 1; step < size(); ++step) {
      const int peer = (rank() + step) % size();
      const Shard theirs(count, size(), peer);
      receive_parts(base + theirs.begin * width, theirs.count * width, peer);
    }
    for (int step = 1; step < size(); ++step) {
      send_parts(base + mine.begin * width, mine.count * width, (rank() + step) % size());
    }
  });
}

}  // namespace sparccl
