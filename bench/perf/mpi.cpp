// Ranks that are the processes of an MPI job, and MPI_Allreduce as a baseline.
#include <mpi.h>

#include <cstdlib>
#include <limits>
#include <set>
#include <string>

#include <sparccl/mpi.hpp>

#include "../mpi_launcher.hpp"
#include "baselines.hpp"
#include "build.hpp"
#include "failures.hpp"
#include "ranks.hpp"

namespace sparccl::perf {
namespace build {
const bool has_mpi = true;
const char* const how_to_get_mpi = "";
}  // namespace build

namespace {

int number(int (*ask)(MPI_Comm, int*)) {
  int value = 0;
  ask(MPI_COMM_WORLD, &value);
  return value;
}

/// Errors end the job: that is what MPI_COMM_WORLD does unless told otherwise.
class MpiRanks final : public Ranks {
 public:
  MpiRanks() : Ranks(number(MPI_Comm_rank), number(MPI_Comm_size)) {
    MPI_Comm host = MPI_COMM_NULL;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank(), MPI_INFO_NULL, &host);
    MPI_Comm_rank(host, &number_here_);
    MPI_Comm_size(host, &ranks_here_);
    host_ = rank();
    MPI_Allreduce(MPI_IN_PLACE, &host_, 1, MPI_INT, MPI_MIN, host);
    MPI_Comm_free(&host);
    for (const int number : gather(number_here_)) hosts_ += number == 0 ? 1 : 0;
  }

  void barrier() override { MPI_Barrier(MPI_COMM_WORLD); }

  void all_gather(void* all, std::size_t bytes) override {
    MPI_Datatype part = MPI_DATATYPE_NULL;  // one of them, for an int counts the elements
    if (bytes > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
      throw UsageError("a part of " + std::to_string(bytes) +
                       " bytes is more than MPI_Allgather counts: use a smaller -e or --density");
    }
    MPI_Type_contiguous(static_cast<int>(bytes), MPI_BYTE, &part);
    MPI_Type_commit(&part);
    MPI_Allgather(MPI_IN_PLACE, 0, part, all, 1, part, MPI_COMM_WORLD);
    MPI_Type_free(&part);
  }

  void sum(std::span<float> values) override {
    MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_FLOAT, MPI_SUM,
                  MPI_COMM_WORLD);
  }

  [[nodiscard]] int hosts() override { return hosts_; }
  [[nodiscard]] int host() override { return host_; }
  [[nodiscard]] int ranks_here() override { return ranks_here_; }
  [[nodiscard]] int number_here() override { return number_here_; }

  [[nodiscard]] Communicator communicator(const CommunicatorOptions& options) override {
    return mpi_communicator(MPI_COMM_WORLD, options);
  }

  [[nodiscard]] std::unique_ptr<Baseline> dense_mpi(DataType type, Reduction reduction) override;

 private:
  int hosts_ = 0;
  int host_ = 0;  // its lowest rank
  int ranks_here_ = 1;
  int number_here_ = 0;
};

class DenseMpi final : public Baseline {
 public:
  DenseMpi(MPI_Datatype type, Reduction reduction, int ranks)
      : type_(type), average_(reduction == Reduction::avg), ranks_(ranks) {}

  void operator()(const void* send, void* recv, std::size_t count) override {
    MPI_Allreduce(send == recv ? MPI_IN_PLACE : send, recv, static_cast<int>(count), type_, MPI_SUM,
                  MPI_COMM_WORLD);
    if (average_ && type_ == MPI_FLOAT) divide(static_cast<float*>(recv), count, ranks_);
    if (average_ && type_ == MPI_DOUBLE) divide(static_cast<double*>(recv), count, ranks_);
  }

 private:
  MPI_Datatype type_;
  bool average_;
  int ranks_;
};

std::unique_ptr<Baseline> MpiRanks::dense_mpi(DataType type, Reduction reduction) {
  if (type != DataType::float32 && type != DataType::float64) {
    throw NotMeasured(std::string("baseline mpi: MPI has no type for ") + type_name(type));
  }
  return std::make_unique<DenseMpi>(type == DataType::float32 ? MPI_FLOAT : MPI_DOUBLE, reduction,
                                    size());
}

}  // namespace

int run_mpi(const Body& body) {
  MPI_Init(nullptr, nullptr);
  int status = 1;
  try {
    const std::string wrong = bench::wrong_launcher();
    if (!wrong.empty()) throw UsageError(wrong);
    MpiRanks ranks;
    status = body(ranks);
  } catch (const UsageError& error) {  // every rank finds the same
    status = 2;
    if (number(MPI_Comm_rank) == 0 && bench::is_first_of_job()) complain(error.what());
  } catch (...) {
    status = status_of_exception(number(MPI_Comm_rank));
    // Ranks that wait for this one in a call would wait for ever.
    MPI_Abort(MPI_COMM_WORLD, status);
  }
  MPI_Finalize();
  return status;
}

}  // namespace sparccl::perf
