#include "ranks.hpp"

#include <array>
#include <atomic>
#include <cstdio>
#include <new>

#include "baselines.hpp"
#include "failures.hpp"

namespace sparccl::perf {

std::unique_ptr<Baseline> Ranks::dense_mpi(DataType, Reduction) {
  throw UsageError("--baseline mpi: ranks are no processes of MPI; use --transport mpi");
}

std::vector<std::string> Ranks::gather_words(const std::string& mine) {
  std::array<char, 1024> text{};
  mine.copy(text.data(), text.size() - 1);
  std::vector<std::string> all;
  for (const auto& each : gather(text)) all.emplace_back(each.data());
  return all;
}

void complain(const std::string& text) { std::fprintf(stderr, "sparccl_perf: %s\n", text.c_str()); }

int status_of_exception(int rank) {
  // Of ranks that fail for one reason, one says so. Followers have nothing to tell.
  static std::atomic<bool> told = false;
  const std::string who = "rank " + std::to_string(rank) + ": ";
  const auto tell = [&](const std::string& text, int status) {
    if (!told.exchange(true)) complain(text);
    return status;
  };
  try {
    throw;
  } catch (const OtherRankFailed&) {
    return 1;
  } catch (const UsageError& error) {
    return tell(error.what(), 2);
  } catch (const NotMeasured& error) {
    return tell(error.what(), 1);
  } catch (const Error& error) {
    // A rank that finds another one gone follows its failure.
    if (error.code() == Result::remote_error || error.code() == Result::aborted) {
      if (rank != 0 || told) return 1;
    }
    return tell(who + error.what(), 1);
  } catch (const std::bad_alloc&) {
    return tell(who + "out of memory: use a smaller -e or fewer ranks", 1);
  } catch (const std::exception& error) {
    return tell(who + error.what(), 1);
  }
}

}  // namespace sparccl::perf
