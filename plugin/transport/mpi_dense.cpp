// How the MPI transport reduces dense tensors. Sums of few float32 and float64 on three ranks and
// more are MPI's; all others are added up here: with the same bits on every rank and in every run,
// and without depending on what MPI does with types and values (Open MPI 4.1 saturates sums of
// bytes, MPICH 4.0 compares unsigned integers as signed ones, the maximum of a number and a NaN
// depends on their order).
#include <algorithm>

#include "dense.hpp"
#include "transport/mpi.hpp"

namespace sparccl {
namespace {

constexpr std::size_t contributions_bytes = std::size_t{1} << 22;  // of all ranks together, at once
constexpr std::size_t least_piece_bytes = std::size_t{1} << 16;
constexpr std::size_t part_bytes = std::size_t{1} << 30;  // of a message: MPI counts with int

// Below, messages cost more than bytes: two ranks exchange all they have, and more of them leave it
// to MPI, which takes fewer messages. Measured in shared memory (docs/performance.md).
constexpr std::size_t most_exchanged_bytes = std::size_t{1} << 19;
constexpr std::size_t most_of_mpi_bytes = std::size_t{1} << 17;

// Between nodes, each rank talks to its two neighbours alone: messages of all to all at once are in
// each other's way there. A shard below this is not worth the many steps.
constexpr std::size_t least_ring_bytes = std::size_t{1} << 16;
constexpr std::size_t ring_piece_bytes = std::size_t{1} << 18;

/// Entries of the piece of a shard that begins `begin` entries into it: none behind its end.
std::size_t part_of(const Shard& shard, std::size_t begin, std::size_t piece) {
  return std::min(piece, shard.count - std::min(begin, shard.count));
}

bool takes_mpis_sum(DataType type, Reduction reduction, std::size_t bytes) {
  const bool floating = type == DataType::float32 || type == DataType::float64;
  const bool sum = reduction == Reduction::sum || reduction == Reduction::avg;
  return floating && sum && bytes <= most_of_mpi_bytes;
}

}  // namespace

void MpiTransport::all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                              Reduction reduction, Stream) {
  require_open();
  const std::size_t width = size_of(type);
  if (size() == 2 && count * width <= most_exchanged_bytes) {
    reduce_with_peer(send, recv, count, type, reduction);
  } else if (takes_mpis_sum(type, reduction, count * width)) {
    reduce_by_mpi(send, recv, count, type, reduction);
  } else if (ranks_.size() * count * width <= most_of_mpi_bytes) {
    reduce_gathered(send, recv, count, type, reduction);
  } else if (width > 2 && count / ranks_.size() * width >= least_ring_bytes &&
             ring_.spans_nodes()) {
    reduce_around(send, recv, count, type, reduction);
    gather_around(recv, count, width);
  } else {
    const Shard mine(count, size(), rank());
    reduce_shards(send, static_cast<std::byte*>(recv) + mine.begin * width, count, type, reduction);
    gather_shards(recv, count, width);
  }
}

void MpiTransport::reduce_by_mpi(const void* send, void* recv, std::size_t count, DataType type,
                                 Reduction reduction) {
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallreduce(send == recv ? MPI_IN_PLACE : send, recv, static_cast<int>(count),
                       type == DataType::float32 ? MPI_FLOAT : MPI_DOUBLE, MPI_SUM, mpi_.comm,
                       &request),
        "MPI_Iallreduce", rank());
  complete({&request, 1}, "MPI_Iallreduce");
  if (reduction == Reduction::avg) divide(recv, size(), count, type);
}

/// Few messages, all of which everybody reduces for itself, in rank order.
void MpiTransport::reduce_gathered(const void* send, void* recv, std::size_t count, DataType type,
                                   Reduction reduction) {
  const std::size_t bytes = count * size_of(type);
  std::byte* const gathered = room_for_contributions(ranks_.size() * bytes);
  exchange_contributions([&] {
    parts_.push_back(MPI_REQUEST_NULL);
    check(MPI_Iallgather(send, static_cast<int>(bytes), MPI_BYTE, gathered, static_cast<int>(bytes),
                         MPI_BYTE, mpi_.comm, &parts_.back()),
          "MPI_Iallgather", rank());
  });
  for (std::size_t r = 0; r < ranks_.size(); ++r) sources_[r] = gathered + r * bytes;
  reduce(recv, sources_.data(), size(), count, type, reduction);
}

/// Each of the two sums for itself, in rank order.
void MpiTransport::reduce_with_peer(const void* send, void* recv, std::size_t count, DataType type,
                                    Reduction reduction) {
  const int peer = 1 - rank();
  const std::size_t bytes = count * size_of(type);
  std::byte* const theirs = room_for_contributions(bytes);
  exchange_contributions([&] {
    receive_parts(theirs, bytes, peer);
    send_parts(send, bytes, peer);
  });
  sources_[static_cast<std::size_t>(rank())] = send;
  sources_[static_cast<std::size_t>(peer)] = theirs;
  reduce(recv, sources_.data(), 2, count, type, reduction);
}

/// In P - 1 steps, in each of which a shard comes from the left, takes up this rank's part and goes
/// on to the right: first the one of this rank's number, at last there is the one of its
/// neighbour's. 16-bit floats would be rounded in every step.
void MpiTransport::reduce_around(const void* send, void* recv, std::size_t count, DataType type,
                                 Reduction reduction) {
  const std::size_t width = size_of(type);
  const std::size_t piece = ring_piece_bytes / width;
  const Shard longest(count, size(), size() - 1);
  std::byte* const arriving = room_for_contributions(piece * width);
  const auto* const own = static_cast<const std::byte*>(send);
  auto* const sums = static_cast<std::byte*>(recv);
  const Reduction each = reduction == Reduction::avg ? Reduction::sum : reduction;
  for (std::size_t step = 0; step + 1 < ranks_.size(); ++step) {
    const Shard leaving(count, size(), ring_.left(step));
    const Shard coming(count, size(), ring_.left(step + 1));
    const std::byte* const from = step == 0 ? own : sums;
    for (std::size_t begin = 0; begin < longest.count; begin += piece) {
      exchange_contributions([&] {
        receive_parts(arriving, part_of(coming, begin, piece) * width, ring_.left(1));
        send_parts(from + (leaving.begin + begin) * width, part_of(leaving, begin, piece) * width,
                   ring_.right(1));
      });
      const std::size_t at = (coming.begin + begin) * width;
      const void* const sources[] = {arriving, own + at};
      reduce(sums + at, sources, 2, part_of(coming, begin, piece), type, each);
    }
  }
  const Shard whole(count, size(), ring_.right(1));
  if (reduction == Reduction::avg) divide(sums + whole.begin * width, size(), whole.count, type);
}

/// Behind reduce_around().
void MpiTransport::gather_around(void* data, std::size_t count, std::size_t width) {
  auto* const base = static_cast<std::byte*>(data);
  for (std::size_t step = 0; step + 1 < ranks_.size(); ++step) {
    const Shard leaving(count, size(), step == 0 ? ring_.right(1) : ring_.left(step - 1));
    const Shard coming(count, size(), ring_.left(step));
    exchange_parts("an all_gather around the ring", [&] {
      receive_parts(base + coming.begin * width, coming.count * width, ring_.left(1));
      send_parts(base + leaving.begin * width, leaving.count * width, ring_.right(1));
    });
  }
}

std::byte* MpiTransport::room_for_contributions(std::size_t bytes) {
  if (contributed_bytes_ < bytes) {
    contributed_bytes_ = 0;  // stays true if the allocation throws
    contributed_.reset();
    contributed_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
    contributed_bytes_ = bytes;
  }
  return contributed_.get();
}

/// post(): as of exchange_parts(), receiving into room_for_contributions().
template <class Post>
void MpiTransport::exchange_contributions(const Post& post) {
  try {
    exchange_parts("an exchange of what is to be reduced", post);
  } catch (...) {
    static_cast<void>(contributed_.release());  // MPI may still write to it, for ever
    contributed_bytes_ = 0;
    throw;
  }
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

void MpiTransport::reduce_scatter(const void* send, void* recv, std::size_t count, DataType type,
                                  Stream) {
  require_open();
  reduce_shards(send, recv, count, type, Reduction::sum);
}

/// Each rank gets its shard from everybody, a piece at a time, and reduces in rank order: 16-bit
/// floats travel as such and are rounded once, and a byte crosses once. recv: this rank's shard,
/// which may lie where it lies in `send`.
void MpiTransport::reduce_shards(const void* send, void* recv, std::size_t count, DataType type,
                                 Reduction reduction) {
  const std::size_t width = size_of(type);
  const auto ranks = static_cast<std::size_t>(size());
  const Shard longest(count, size(), size() - 1);
  const Shard mine(count, size(), rank());
  const std::size_t piece_bytes = std::max(contributions_bytes / ranks, least_piece_bytes);
  const std::size_t piece = std::min(piece_bytes / width, longest.count);
  std::byte* const contributed = room_for_contributions(ranks * piece * width);
  const auto* const from = static_cast<const std::byte*>(send);
  for (std::size_t begin = 0; begin < longest.count; begin += piece) {
    exchange_contributions([&] {
      for (int step = 1; step < size(); ++step) {
        const int peer = (rank() + step) % size();
        std::byte* const slot = contributed + static_cast<std::size_t>(peer) * piece * width;
        sources_[static_cast<std::size_t>(peer)] = slot;
        receive_parts(slot, part_of(mine, begin, piece) * width, peer);
      }
      for (int step = 1; step < size(); ++step) {
        const int peer = (rank() + step) % size();
        const Shard theirs(count, size(), peer);
        send_parts(from + (theirs.begin + begin) * width, part_of(theirs, begin, piece) * width,
                   peer);
      }
    });
    sources_[static_cast<std::size_t>(rank())] = from + (mine.begin + begin) * width;
    reduce(static_cast<std::byte*>(recv) + begin * width, sources_.data(), size(),
           part_of(mine, begin, piece), type, reduction);
  }
}

void MpiTransport::all_gather_shards(void* data, std::size_t count, std::size_t width, Stream) {
  require_open();
  gather_shards(data, count, width);
}

/// Straight from everybody to everybody, as MPI's own within a node, without its limit of 2^31
/// entries.
void MpiTransport::gather_shards(void* data, std::size_t count, std::size_t width) {
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
