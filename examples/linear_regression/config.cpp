#include "config.hpp"

#include <CLI/CLI.hpp>
#include <map>
#include <sstream>

#include "study/between.hpp"
#include "study/no_name.hpp"

namespace regression {
namespace {

using study::between;
using study::tiny;

template <class T>
CLI::Validator one_of(const std::map<std::string, T>& names) {
  return CLI::CheckedTransformer(names, CLI::ignore_case);
}

}  // namespace

ParsedCommandLine parse_command_line(int argc, char** argv) {
  const std::map<std::string, Method> methods{
      {"dense", Method::dense}, {"topk", Method::topk}, {"regtopk", Method::regtopk}};
  const std::map<std::string, sparccl::DataType> types{{"float64", sparccl::DataType::float64},
                                                       {"float32", sparccl::DataType::float32}};
  Config config;
  CLI::App app(
      "Least squares over workers that disagree, by distributed gradient descent with a dense, a\n"
      "Top-k and a RegTop-k allreduce (arXiv 2409.14893): |w - w*|^2 against rounds. Each\n"
      "combination of methods, densities, mus, types and seeds is a run.");
  app.add_option("--methods", config.methods, "any of dense,topk,regtopk; default: all")
      ->delimiter(',')
      ->transform(one_of(methods))
      ->type_name("LIST");
  app.add_option("--densities", config.densities, "shares of the entries that a worker sends")
      ->delimiter(',')
      ->check(between(tiny, 1, "a number above 0, at most 1"))
      ->capture_default_str()
      ->type_name("LIST");
  app.add_option("--mus", config.mus, "of RegTop-k")
      ->delimiter(',')
      ->check(between(tiny, 1e30, "a number above 0"))
      ->capture_default_str()
      ->type_name("LIST");
  auto* const late_mu =
      app.add_option("--late-mu", config.late_mu,
                     "RegTop-k's mu from round --late-from on: frees seeds that get stuck\n"
                     "(docs/convergence.md)")
          ->check(between(tiny, 1e30, "a number above 0"));
  app.add_option("--late-from", config.late_from, "the round from which --late-mu holds")
      ->needs(late_mu)
      ->capture_default_str();
  app.add_option("--types", config.types, "float64, float32 or both; default: both")
      ->delimiter(',')
      ->transform(one_of(types))
      ->type_name("LIST");
  app.add_option("--seeds", config.seeds, "how many: 0, 1, ...")
      ->check(between(1, 1000000, "a whole number from 1 to 1000000"))
      ->capture_default_str();
  auto* const problems =
      app.add_option("--problems", config.problems,
                     "take the problems from this folder, where numpy_problems.py wrote them")
          ->check(study::no_name);
  app.add_option("--workers", config.shape.workers, "threads of this program")
      ->check(between(1, 1024, "a whole number from 1 to 1024"))
      ->capture_default_str();
  app.add_option("--weights", config.shape.weights, "of the model")
      ->check(between(1, 100000, "a whole number from 1 to 100000"))
      ->capture_default_str();
  app.add_option("--points", config.shape.points, "of each worker")
      ->check(between(1, 1000000, "a whole number from 1 to 1000000"))
      ->excludes(problems)
      ->capture_default_str();
  app.add_option("--step", config.step, "of the descent")
      ->check(between(tiny, 1e30, "a number above 0"))
      ->capture_default_str();
  app.add_option("--rounds", config.rounds, "of the descent")
      ->check(between(1, 10000000, "a whole number from 1 to 10000000"))
      ->capture_default_str();
  app.add_option("--json", config.json,
                 "write each run to this file as soon as it is done; an interrupted study goes on\n"
                 "from there when the same command is given again")
      ->check(study::no_name);
  app.add_flag("--quiet", config.quiet, "no progress on stderr");
  try {
    app.parse(argc, argv);
    if (late_mu->count() > 0 && config.late_from >= config.rounds) {
      throw CLI::ValidationError("--late-mu", "expected a --late-from below the --rounds");
    }
  } catch (const CLI::ParseError& error) {
    std::ostringstream output, errors;
    const int status = app.exit(error, output, errors);
    return {std::nullopt, status, output.str(), errors.str()};
  }
  return {config, 0, {}, {}};
}

}  // namespace regression
