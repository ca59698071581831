// What the MPI transport needs of MPI: checked calls, types, and a communicator of its own.
#pragma once

#include <mpi.h>

#include <array>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

#include <sparccl/types.hpp>

#include "dense.hpp"

namespace sparccl {

/// Throws MPI's own words for a code that is not MPI_SUCCESS.
inline void check(int code, std::string_view call, int rank,
                  std::source_location where = std::source_location::current()) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> words{};
  int length = 0;
  if (MPI_Error_string(code, words.data(), &length) != MPI_SUCCESS) length = 0;
  throw Error(Result::system_error,
              std::string(call) + " failed on rank " + std::to_string(rank) + ": " +
                  std::string(words.data(), static_cast<std::size_t>(length)) + " (line " +
                  std::to_string(where.line()) + " of the MPI transport)");
}

inline bool mpi_is_running() noexcept {
  int initialised = 0;
  int finalised = 0;
  MPI_Initialized(&initialised);
  MPI_Finalized(&finalised);
  return initialised != 0 && finalised == 0;
}

inline void require_mpi() {
  if (mpi_is_running()) return;
  throw Error(Result::invalid_usage,
              "MPI: expected to be initialised and not finalised, found that it is not running");
}

/// 16-bit floats are only moved and compared as such.
inline MPI_Datatype mpi_type(DataType type) {
  switch (type) {
    case DataType::int8: return MPI_INT8_T;
    case DataType::uint8: return MPI_UINT8_T;
    case DataType::int32: return MPI_INT32_T;
    case DataType::uint32: return MPI_UINT32_T;
    case DataType::int64: return MPI_INT64_T;
    case DataType::uint64: return MPI_UINT64_T;
    case DataType::float16:
    case DataType::bfloat16: return MPI_UINT16_T;
    case DataType::float32: return MPI_FLOAT;
    case DataType::float64: return MPI_DOUBLE;
  }
  throw Error(Result::invalid_argument, "data type: expected 0 to 9, found " +
                                            std::to_string(static_cast<std::int32_t>(type)));
}

/// MPI's operations, and where those cannot be relied on, this library's own (plugin/dense.hpp).
/// Open MPI 4.1 saturates sums of bytes, MPICH 4.0 compares unsigned integers as signed ones, and
/// the maximum of a number and a NaN depends on their order: only sums and products of float32 and
/// float64 are MPI's.
class Operations {
 public:
  Operations() { own_.fill(MPI_OP_NULL); }

  /// avg: its sum. Local: no communication.
  MPI_Op get(DataType type, Reduction reduction, int rank) {
    const bool sum = reduction == Reduction::sum || reduction == Reduction::avg;
    const bool native = type == DataType::float32 || type == DataType::float64;
    if (native && sum) return MPI_SUM;
    if (native && reduction == Reduction::prod) return MPI_PROD;
    const std::size_t column = sum ? 0 : static_cast<std::size_t>(reduction);
    const std::size_t which = static_cast<std::size_t>(type) * columns + column;
    MPI_Op& own = own_.at(which);
    if (own == MPI_OP_NULL) {
      MPI_User_function* own_code = function(which, std::make_index_sequence<types * columns>());
      check(MPI_Op_create(own_code, 1, &own), "MPI_Op_create", rank);
    }
    return own;
  }

  void free() noexcept {
    for (MPI_Op& own : own_) {
      if (own != MPI_OP_NULL) MPI_Op_free(&own);
    }
  }

 private:
  static constexpr std::size_t types = 10;
  static constexpr std::size_t columns = 4;  // sum, prod, max, min

  template <std::size_t which>
  static void combine(void* in, void* in_and_out, int* count, MPI_Datatype*) {
    const void* const sources[] = {in, in_and_out};
    reduce(in_and_out, sources, 2, static_cast<std::size_t>(*count),
           static_cast<DataType>(which / columns), static_cast<Reduction>(which % columns));
  }

  /// MPI tells an operation the type, but not the reduction: each pair has a function of its own.
  template <std::size_t... which>
  static MPI_User_function* function(std::size_t index, std::index_sequence<which...>) {
    static constexpr std::array<MPI_User_function*, sizeof...(which)> all{&combine<which>...};
    return all.at(index);
  }

  std::array<MPI_Op, types * columns> own_{};
};

/// A communicator of our own, and the unit in which packets are counted.
class MpiComm {
 public:
  /// Of all ranks of the user's; and of those of an MpiComm that pass the same color. Both are
  /// collective.
  struct Copy {
    MPI_Comm original;
  };
  struct Part {
    MPI_Comm whole;
    int color;
    int rank;
  };

  explicit MpiComm(Copy copy) {
    if (copy.original == MPI_COMM_NULL) {
      throw Error(Result::invalid_argument, "communicator: expected one, found MPI_COMM_NULL");
    }
    int inter = 0;
    check(MPI_Comm_test_inter(copy.original, &inter), "MPI_Comm_test_inter", -1);
    if (inter != 0) {
      throw Error(Result::invalid_argument,
                  "communicator: expected an intracommunicator, found an intercommunicator");
    }
    check(MPI_Comm_rank(copy.original, &rank), "MPI_Comm_rank", -1);
    check(MPI_Comm_dup(copy.original, &comm), "MPI_Comm_dup", rank);
    prepare();
  }
  explicit MpiComm(Part part) {
    check(MPI_Comm_split(part.whole, part.color, part.rank, &comm), "MPI_Comm_split", part.rank);
    prepare();
  }
  ~MpiComm() { release(); }
  MpiComm(const MpiComm&) = delete;
  MpiComm& operator=(const MpiComm&) = delete;

  static constexpr int unit_bytes = 64;

  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Datatype unit = MPI_DATATYPE_NULL;
  Operations operations;
  int rank = 0;
  int size = 1;
  /// A call was given up: MPI still holds requests on these, so that they must never be freed.
  bool abandoned = false;

 private:
  void prepare() {
    try {
      check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", rank);
      check(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank", rank);
      check(MPI_Comm_size(comm, &size), "MPI_Comm_size", rank);
      check(MPI_Type_contiguous(unit_bytes, MPI_BYTE, &unit), "MPI_Type_contiguous", rank);
      check(MPI_Type_commit(&unit), "MPI_Type_commit", rank);
    } catch (...) {
      release();
      throw;
    }
  }
  void release() noexcept {
    if (!mpi_is_running()) return;
    if (abandoned) return;
    operations.free();
    if (unit != MPI_DATATYPE_NULL) MPI_Type_free(&unit);
    if (comm != MPI_COMM_NULL) MPI_Comm_free(&comm);
  }
};

}  // namespace sparccl
