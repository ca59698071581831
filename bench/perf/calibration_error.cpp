#include "calibration_error.hpp"

#include <algorithm>

#include "failures.hpp"

namespace sparccl::perf {
namespace {

/// Of a rank that has something of its own to complain about, and does not follow another.
bool own(const std::string& text) {
  return text.find("that every rank can use") == std::string::npos;
}

}  // namespace

void refuse_calibration(Ranks& ranks, const Settings& settings, const Error& error) {
  const std::string what = error.what();
  // Of those that say so, all ranks throw one.
  const bool of_file = what.find("calibration file") != std::string::npos;
  const bool of_all = of_file || what.find("calibration: expected the ") != std::string::npos;
  if (!of_all) return;
  const std::vector<std::string> all = ranks.gather_words(what);
  const auto first = std::ranges::find_if(all, own);
  const auto teller = first == all.end() ? all.begin() : first;
  const bool alike = std::ranges::count(all, all[0]) == static_cast<std::ptrdiff_t>(all.size());
  const std::string who = alike ? "" : "rank " + std::to_string(teller - all.begin()) + ": ";
  const char* const named_by =
      settings.calibration.empty()
          ? " (the variable SPARCCL_CALIBRATION names it: make the file anew, or unset the "
            "variable)"
          : " (--calibration names it: make the file anew, or leave the flag out)";
  throw UsageError(who + *teller + (of_file ? named_by : ""));
}

}  // namespace sparccl::perf
