// A calibration that cannot be used: said once, with who named it and what to do.
#pragma once

#include "ranks.hpp"
#include "settings.hpp"

namespace sparccl::perf {

/// Throws UsageError, the same on every rank, if that is what the error is about. Collective then:
/// the library ends a calibration on all ranks or on none.
void refuse_calibration(Ranks& ranks, const Settings& settings, const Error& error);

}  // namespace sparccl::perf
