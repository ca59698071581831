// Goes over all that was asked for, on every rank.
#pragma once

#include "device.hpp"
#include "ranks.hpp"
#include "report.hpp"
#include "settings.hpp"

namespace sparccl::perf {

/// Measures, prints as it goes, on rank 0 alone, and returns the exit status: 1 where an entry was
/// wrong or something could not be measured.
[[nodiscard]] int measure_all(Ranks& ranks, const Settings& settings);

}  // namespace sparccl::perf
