// The costs of a communicator: measured by short probes, or read from a file that holds what an
// earlier probe measured. docs/performance-model.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "communicator.hpp"
#include "cost_model.hpp"

namespace sparccl {

/// What the options ask for, or the variable SPARCCL_CALIBRATION, or a probe. Collective. Costs
/// that are the same bits on every rank; nothing where calibration is off. Throws on every rank:
/// Error(mismatch) where ranks differ in what they ask for, Error(bad_state) on a file that cannot
/// be used, which says why on the rank whose file it is. The communicator can be used after either.
[[nodiscard]] std::optional<Costs> calibrate(Communicator::Impl& communicator,
                                             const CommunicatorOptions& options, Stream stream);

/// Measures. Collective: all ranks at once, as in a training step. Of each figure the slowest
/// rank's counts. Takes one to two seconds in shared memory; on slow networks small messages and
/// few entries have to do. Allocates. Waits for the stream. Not in a Group, nor while the stream is
/// being captured.
[[nodiscard]] Costs probe(Communicator::Impl& communicator, Stream stream);

/// The hardware that a communicator is on. ranks_per_node: 0 where nodes have differently many. May
/// communicate: collective.
[[nodiscard]] Machine machine_of(Communicator::Impl& communicator);

/// Of nodes by rank: 0 where they have differently many ranks.
[[nodiscard]] int equal_ranks_per_node(const std::vector<int>& nodes);

[[nodiscard]] Workload workload_of(const Plan& plan, const Costs& costs);

// Files: JSON, which a person may write as well. Without nlohmann-json these throw.

/// Throws Error(bad_state) naming the file and what is wrong with it. text: as by read_text().
[[nodiscard]] Costs parse_costs(const std::string& text, const std::filesystem::path& path);
[[nodiscard]] std::string text_of(const Costs& costs);

[[nodiscard]] Costs load_costs(const std::filesystem::path& path);
/// Replaces the file only when it is complete.
void save_costs(const Costs& costs, const std::filesystem::path& path);

/// Throws Error(bad_state) where a file's costs are those of other hardware.
void require_same(const Machine& expected, const Machine& found, const std::filesystem::path& path);

}  // namespace sparccl
