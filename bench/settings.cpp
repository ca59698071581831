#include "settings.hpp"

#include <algorithm>
#include <cstdlib>

#include <CLI/CLI.hpp>

namespace sparccl::bench {
namespace {

/// NAME=MILLISECONDS
OtherBaseline other_baseline(const std::string& text) {
  const std::size_t at = text.rfind('=');
  const double ms = at == std::string::npos ? 0 : std::strtod(text.c_str() + at + 1, nullptr);
  if (!(ms > 0)) throw CLI::ValidationError("--baseline", "expected NAME=MILLISECONDS");
  return {text.substr(0, at), ms};
}

}  // namespace

std::optional<Settings> parse(int argc, char** argv, int& status, const Defaults& defaults) {
  Settings s;
  s.count = defaults.count;
  s.world_size = defaults.ranks;
  std::vector<std::string> others;
  CLI::App app(
      "Times the stages of a sparse allreduce: on one thread of this host, or on a CUDA device.");
  app.add_option("--backend", s.backend)
      ->capture_default_str()
      ->check(CLI::IsMember({"host", "cuda"}));
  app.add_option("-n,--count", s.count, "entries of the tensor, float32 (host: 2^26, cuda: 1e8)")
      ->check(CLI::Range(std::size_t{1024}, std::size_t{1} << 34));
  app.add_option("-d,--density", s.densities, "shares of the entries sent")
      ->capture_default_str()
      ->check(CLI::Range(1e-9, 1.0));
  app.add_option("--data", s.data,
                 "gaussian: fresh numbers; feedback: after steps of error feedback; on cuda also "
                 "spike: then 20 times as much; equal: all the same; zero: fewer than k are not 0")
      ->check(CLI::IsMember({"gaussian", "feedback", "spike", "equal", "zero"}));
  app.add_option("-p,--ranks", s.world_size, "packets to merge (host: 4, cuda: 8)")
      ->check(CLI::Range(1, 1024));
  app.add_option("-r,--repeats", s.repeats, "medians are over so many (host: 9, cuda: 100)")
      ->check(CLI::Range(1, 1000));
  app.add_option("--feedback-steps", s.feedback_steps, "host: 50, cuda: 30")
      ->check(CLI::Range(1, 100000));
  app.add_option("--mu", s.mu)->capture_default_str()->check(CLI::NonNegativeNumber);
  app.add_flag("!--no-baselines", s.baselines,
               "leave out what users write first (host: nth_element, sort; cuda: CUB, Thrust)");
  app.add_option("--baseline", others,
                 "NAME=MILLISECONDS of other software that selects as many, for the table");
  app.add_option("--json", s.json, "write the figures to this file as well");
  try {
    app.parse(argc, argv);
    for (const std::string& other : others) s.others.push_back(other_baseline(other));
  } catch (const CLI::ParseError& error) {
    status = app.exit(error);
    return std::nullopt;
  }
  const bool cuda = s.backend == "cuda";
  if (s.count == 0) s.count = cuda ? 100'000'000 : std::size_t{1} << 26;
  if (s.world_size == 0) s.world_size = cuda ? 8 : 4;
  if (s.repeats == 0) s.repeats = cuda ? 100 : 9;
  if (s.feedback_steps == 0) s.feedback_steps = cuda ? 30 : 50;
  if (s.data.empty()) {
    s.data = {"gaussian", "feedback"};
    if (cuda) s.data.insert(s.data.end(), {"spike", "equal", "zero"});
  }
  return s;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace sparccl::bench
