// What the MPI transport needs of MPI: checked calls, and a communicator of its own.
#pragma once

#include <mpi.h>

#include <array>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>

#include <sparccl/types.hpp>

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
    if (unit != MPI_DATATYPE_NULL) MPI_Type_free(&unit);
    if (comm != MPI_COMM_NULL) MPI_Comm_free(&comm);
  }
};

}  // namespace sparccl
