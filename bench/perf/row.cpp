#include "row.hpp"

#include <algorithm>
#include <numeric>

#include "baselines.hpp"
#include "checks.hpp"
#include "data.hpp"
#include "failures.hpp"

namespace sparccl::perf {
namespace {

double over_ranks(const std::vector<double>& each, Average average) {
  switch (average) {
    case Average::rank0: return each[0];
    case Average::mean:
      return std::accumulate(each.begin(), each.end(), 0.0) / static_cast<double>(each.size());
    case Average::min: return std::ranges::min(each);
    case Average::max: break;
  }
  return std::ranges::max(each);
}

constexpr auto stages = {&StageSeconds::wait, &StageSeconds::accumulate, &StageSeconds::select,
                         &StageSeconds::pack, &StageSeconds::exchange,   &StageSeconds::merge};

/// What a block added to a rank's statistics, a call.
struct Added {
  StageSeconds seconds;
  double wire_bytes = 0;

  Added(const Stats& before, const Stats& after) {
    const auto steps = static_cast<double>(after.steps - before.steps);
    for (const auto stage : stages) {
      seconds.*stage = (after.seconds.*stage - before.seconds.*stage) / steps;
    }
    wire_bytes = static_cast<double>(after.wire_bytes - before.wire_bytes) / steps;
  }
  Added() = default;
};

/// Of each stage, the median over the blocks of the mean over the ranks.
StageSeconds typical(const std::vector<std::vector<Added>>& blocks) {
  StageSeconds result;
  for (const auto stage : stages) {
    std::vector<double> means;
    for (const std::vector<Added>& ranks : blocks) {
      double sum = 0;
      for (const Added& rank : ranks) sum += rank.seconds.*stage;
      means.push_back(sum / static_cast<double>(ranks.size()));
    }
    result.*stage = median_of(std::move(means));
  }
  return result;
}

}  // namespace

void require_exact(const Settings& s, int ranks) {
  if (s.checks == 0) return;
  for (const DataType type : s.types) {
    for (const Reduction reduction : s.reductions) {
      static_cast<void>(exact_integers(type, s.wire.value_or(type), reduction, ranks, s.checks));
    }
  }
}

RowRun::RowRun(Ranks& ranks, Device& device, Communicator& communicator, const Settings& settings,
               DataType type, std::size_t count)
    : ranks_(ranks),
      device_(device),
      communicator_(communicator),
      settings_(settings),
      tensors_(std::make_unique<Tensors>(ranks, device, type, count)) {}

void RowRun::time_block(Contender& contender, bool in_place) {
  const double mine = tensors_->seconds(contender.call, settings_.iterations, in_place);
  contender.seconds.push_back(over_ranks(ranks_.gather(mine), settings_.average));
}

/// Path::automatic tries some paths first, which is no call to be timed. At most as many calls as
/// that can take, the same on every rank.
void RowRun::settle(const Contender& sparse, const SparseAllreduce& tensor, bool in_place) {
  for (int call = 0; call < 80; ++call) {
    const Stats stats = tensor.stats();
    if (stats.path != Path::automatic && !stats.path_reason.starts_with("being tried")) return;
    static_cast<void>(tensors_->seconds(sparse.call, 1, in_place));
  }
}

void RowRun::time_all(std::vector<Contender>& contenders, const Case& what, SparseAllreduce& sparse,
                      Row& row) {
  for (Contender& contender : contenders) {
    if (settings_.warmup == 0) break;
    static_cast<void>(tensors_->seconds(contender.call, settings_.warmup, what.in_place));
  }
  std::vector<std::vector<Added>> blocks;
  for (int block = 0; block < settings_.repeats; ++block) {
    // Every other round the other way about: whoever comes after another inherits its caches.
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      const std::size_t turn = block % 2 == 0 ? i : contenders.size() - 1 - i;
      const Stats before = sparse.stats();
      time_block(contenders[turn], what.in_place);
      if (turn == 0) blocks.push_back(ranks_.gather(Added(before, sparse.stats())));
    }
  }
  if (settings_.transport != "nccl") row.stages = typical(blocks);
  for (const std::vector<Added>& each : blocks) {
    for (const Added& added : each) row.wire_bytes = std::max(row.wire_bytes, added.wire_bytes);
  }
}

Measured RowRun::measure(const Case& what) {
  Measured measured;
  Row row;
  row.what = what;
  row.ranks = ranks_.size();
  SparseAllreduce sparse(communicator_, "perf", what.count, what.type, options_of(what));
  std::vector<Contender> contenders;
  contenders.push_back(
      {"sparse", [&](const void* send, void* recv) { sparse(send, recv, 1.0, device_.stream()); }});
  contenders.push_back({"dense", [&](const void* send, void* recv) {
                          communicator_.all_reduce(send, recv, what.count, what.type,
                                                   what.reduction, device_.stream());
                        }});
  std::vector<std::unique_ptr<Baseline>> baselines;
  for (const std::string& name : settings_.baselines) {
    BaselineRow other;
    other.name = name;
    other.what = what;
    other.ranks = ranks_.size();
    try {
      if (settings_.checks > 0) other.wrong = check_baseline(ranks_, name, settings_, what);
      baselines.push_back(
          make_baseline(name, ranks_, {what.count, sparse.k(), what.type, what.reduction}));
    } catch (const NotMeasured& why) {  // the same on every rank
      measured.not_measured.emplace_back(why.what());
      continue;
    }
    contenders.push_back(
        {name, [&, baseline = baselines.back().get()](const void* send, void* recv) {
           (*baseline)(send, recv, what.count);
         }});
    measured.baselines.push_back(other);
  }

  settle(contenders[0], sparse, what.in_place);
  if (settings_.checks > 0) {
    const Path path = what.asked == Path::automatic ? sparse.stats().path : what.asked;
    row.wrong = check_sparse(ranks_, device_, communicator_, settings_, what, path);
  }
  time_all(contenders, what, sparse, row);
  for (const Contender& contender : contenders) {
    if (std::ranges::min(contender.seconds) > 0) continue;
    measured.not_measured.push_back(contender.name + " calls of " + std::to_string(what.bytes) +
                                    " bytes: the clock did not move; use a larger -n");
    measured.baselines.clear();
    return measured;
  }
  const Stats stats = sparse.stats();
  row.path = stats.path;
  row.path_reason = stats.path_reason;
  row.time = spread_of(contenders[0].seconds);
  row.dense_time = spread_of(contenders[1].seconds);
  row.speedup = paired_speedup(contenders[1].seconds, contenders[0].seconds);
  for (std::size_t i = 0; i < measured.baselines.size(); ++i) {
    BaselineRow& other = measured.baselines[i];
    const std::vector<double>& seconds = contenders[i + 2].seconds;
    other.path = row.path;
    other.time = spread_of(seconds);
    other.sparse_speedup = paired_speedup(seconds, contenders[0].seconds);
    const std::uint64_t sparse_bytes = baselines[i]->sparse_wire_bytes();
    other.wire_bytes = sparse_bytes != 0 ? static_cast<double>(sparse_bytes)
                                         : dense_wire_bytes(what.bytes, ranks_.size());
  }
  measured.row = std::move(row);
  return measured;
}

}  // namespace sparccl::perf
