#include "shim/mpi/calls.hpp"

#include <sched.h>

#include <chrono>
#include <map>
#include <mutex>

#include "shim/mpi/life.hpp"
#include "shim/process.hpp"

namespace sparccl::shim::mpi {

Found key_of(const Arguments& arguments) noexcept {
  if (arguments.op != MPI_SUM) return {};
  const MPI_Datatype type = arguments.type;
  if (type == MPI_DATATYPE_NULL) return {.reason = Reason::type};
  const auto key = [&](DataType is) {
    return Found{.key = Key{arguments.count, is, Reduction::sum}};
  };
  if (type == MPI_FLOAT || type == MPI_REAL || type == MPI_REAL4) return key(DataType::float32);
  if (type == MPI_DOUBLE || type == MPI_DOUBLE_PRECISION || type == MPI_REAL8) {
    return key(DataType::float64);
  }
  return {.reason = Reason::type};
}

std::uint64_t bytes_of(const Arguments& arguments) noexcept {
  int size = 0;
  if (arguments.type == MPI_DATATYPE_NULL || PMPI_Type_size(arguments.type, &size) != MPI_SUCCESS) {
    return 0;
  }
  return size > 0 ? arguments.count * static_cast<std::uint64_t>(size) : 0;
}

namespace {

int make_code(const std::string& sentence) noexcept {
  static const int error_class = [] {
    int made = MPI_ERR_OTHER;
    return PMPI_Add_error_class(&made) == MPI_SUCCESS ? made : MPI_ERR_OTHER;
  }();
  int code = MPI_ERR_OTHER;
  if (PMPI_Add_error_code(error_class, &code) != MPI_SUCCESS) return MPI_ERR_OTHER;
  const std::string fits = "sparccl: " + sentence.substr(0, MPI_MAX_ERROR_STRING - 16);
  PMPI_Add_error_string(code, fits.c_str());
  return code;
}

}  // namespace

int tell(const std::string& sentence) noexcept try {
  static std::mutex mutex;
  static auto& codes = *new std::map<std::string, int>;
  const std::lock_guard lock(mutex);
  const auto found = codes.find(sentence);
  if (found != codes.end()) return found->second;
  process().log().warn(sentence);
  const int code = make_code(sentence);
  codes.emplace(sentence, code);
  return code;
} catch (...) {
  return MPI_ERR_OTHER;
}

int hand_over(MPI_Comm comm, int code) noexcept {
  MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
  PMPI_Comm_get_errhandler(comm, &handler);
  if (handler == MPI_ERRORS_ARE_FATAL) last_words("which an error ends");
  if (handler != MPI_ERRHANDLER_NULL) PMPI_Errhandler_free(&handler);
  PMPI_Comm_call_errhandler(comm, code);
  return code;
}

bool wait(MPI_Request& request, std::uint64_t timeout_ms) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  while (true) {
    int done = 0;
    if (PMPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return false;
    if (done != 0) return true;
    if (timeout_ms != 0 && Clock::now() - start > std::chrono::milliseconds(timeout_ms)) {
      return false;
    }
    sched_yield();
  }
}

}  // namespace sparccl::shim::mpi
