// What a study found, in words and numbers.
#pragma once

#include <string>
#include <vector>

#include "study/study.hpp"
#include "study_grid.hpp"

namespace mnist {

/// A row for each setting and contender: the mean over the seeds and its 95 % interval, and the
/// same of the difference to Top-k with the same seed.
[[nodiscard]] std::string study_table(const study::Study& study, const std::vector<StudyRun>& runs);

}  // namespace mnist
