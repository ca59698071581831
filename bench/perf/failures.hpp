// The ways in which sparccl_perf ends without figures.
#pragma once

#include <stdexcept>

namespace sparccl::perf {

/// What was asked for cannot be done here: exit code 2. what() says what to do instead. After
/// the ranks have started, all of them find it alike.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Something could not be measured: exit code 1.
class NotMeasured : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Another rank has failed and says why.
class OtherRankFailed : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace sparccl::perf
