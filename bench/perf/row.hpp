// One case: checked, then timed in blocks that take turns with dense ones and baselines.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device.hpp"
#include "figures.hpp"
#include "ranks.hpp"
#include "settings.hpp"
#include "tensors.hpp"

namespace sparccl::perf {

struct Measured {
  std::optional<Row> row;
  std::vector<BaselineRow> baselines;
  std::vector<std::string> not_measured;
};

/// Throws UsageError where results of the settings could not be checked exactly.
void require_exact(const Settings& settings, int ranks);

/// All cases of one size and type. Collective.
class RowRun {
 public:
  RowRun(Ranks& ranks, Device& device, Communicator& communicator, const Settings& settings,
         DataType type, std::size_t count);

  /// Same on every rank, but for what only rank 0 prints.
  [[nodiscard]] Measured measure(const Case& what);

 private:
  struct Contender {
    std::string name;
    Allreduce call;
    std::vector<double> seconds = {};  // of each block, over the ranks as -a says
  };

  void time_block(Contender& contender, bool in_place);
  void settle(const Contender& sparse, const SparseAllreduce& tensor, bool in_place);
  void time_all(std::vector<Contender>& contenders, const Case& what, SparseAllreduce& sparse,
                Row& row);

  Ranks& ranks_;
  Device& device_;
  Communicator& communicator_;
  const Settings& settings_;
  std::unique_ptr<Tensors> tensors_;
};

}  // namespace sparccl::perf
