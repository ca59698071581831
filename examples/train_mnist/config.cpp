#include "config.hpp"

#include <CLI/CLI.hpp>
#include <map>
#include <set>
#include <sstream>

#include "study/between.hpp"
#include "study/no_name.hpp"

namespace mnist {
namespace {

using sparccl::DataType;
using study::between;
using study::tiny;

/// Puts the number of the enumerator in place of its name.
template <class Enum>
CLI::Validator one_of(const std::map<std::string, Enum>& names) {
  return CLI::Validator(
      [names](std::string& text) {
        const auto found = names.find(text);
        if (found == names.end()) {
          std::string expected;
          for (const auto& [name, value] : names) expected += name + ", ";
          return "expected one of " + expected + "found " + text;
        }
        text = std::to_string(static_cast<int>(found->second));
        return std::string();
      },
      "");
}

/// A study has settings of its own: another is refused rather than ignored.
void require_alone(const CLI::App& app) {
  const std::set<std::string> fine{"--study", "--data", "--json", "--progress", "--quiet"};
  for (const CLI::Option* const option : app.get_options()) {
    if (option->count() > 0 && !fine.contains(option->get_name())) {
      throw CLI::ValidationError("--study",
                                 "expected no " + option->get_name() + ": it has its own settings");
    }
  }
}

}  // namespace

const char* name_of(BackendName backend) noexcept {
  return backend == BackendName::cuda ? "cuda" : "host";
}

const char* name_of(Shards shards) noexcept {
  switch (shards) {
    case Shards::none: return "none";
    case Shards::mixed: return "mixed";
    case Shards::sorted: return "sorted";
  }
  return "?";
}

const char* name_of(StudyName study) noexcept {
  switch (study) {
    case StudyName::quick: return "quick";
    case StudyName::full: return "full";
    case StudyName::convolutional: return "convolutional";
  }
  return "?";
}

ParsedCommandLine parse_command_line(int argc, char** argv) {
  const std::map<std::string, BackendName> backends{{"host", BackendName::host},
                                                    {"cuda", BackendName::cuda}};
  const std::map<std::string, Method> methods{
      {"dense", Method::dense}, {"topk", Method::topk}, {"regtopk", Method::regtopk}};
  const std::map<std::string, DataType> wires{{"float32", DataType::float32},
                                              {"float16", DataType::float16},
                                              {"bfloat16", DataType::bfloat16}};
  const std::map<std::string, ProgressStyle> styles{{"auto", ProgressStyle::automatic},
                                                    {"bar", ProgressStyle::bar},
                                                    {"lines", ProgressStyle::lines},
                                                    {"none", ProgressStyle::none}};
  const std::map<std::string, Shards> all_shards{
      {"none", Shards::none}, {"mixed", Shards::mixed}, {"sorted", Shards::sorted}};
  const std::map<std::string, StudyName> studies{{"quick", StudyName::quick},
                                                 {"full", StudyName::full},
                                                 {"convolutional", StudyName::convolutional}};
  const auto count = between(1, 1e9, "a whole number from 1");
  const auto positive = between(tiny, 1e30, "a number above 0");

  Config config;
  bool quiet = false;
  CLI::App app(
      "Trains the same network on MNIST digits with a dense, a Top-k and a RegTop-k\n"
      "allreduce, data-parallel over the ranks: mpirun -n 4 train_mnist --json result.json\n"
      "or, without MPI: train_mnist --ranks 4 --backend cuda");
  app.option_defaults()->take_last();  // scripts put their own words before those of their callers
  auto* const data =
      app.add_option("--data", config.data, "directory of the four IDX files, gzipped or plain")
          ->capture_default_str();
  app.add_option("--cifar10", config.cifar10,
                 "train on CIFAR-10 instead: directory of its binary files, data_batch_1.bin to\n"
                 "data_batch_5.bin and test_batch.bin (cifar-10-batches-bin of the archive)")
      ->check(study::no_name)
      ->excludes(data);
  app.add_option(
         "--backend", config.backend,
         "host (default), or cuda: a GPU per rank, over NCCL; ranks share GPUs where there\n"
         "are fewer")
      ->transform(one_of(backends))
      ->type_name("NAME");
  app.add_option("--ranks", config.ranks,
                 "start so many ranks, without mpirun: threads, or with --backend cuda processes")
      ->check(between(1, 1024, "a whole number from 1 to 1024"));
  app.add_option("--methods", config.methods,
                 "any of dense,topk,regtopk, in this order; default: all")
      ->take_all()
      ->delimiter(',')
      ->transform(one_of(methods))
      ->type_name("LIST");
  app.add_option(
         "--conv", config.convolutions,
         "channels of convolutions before the hidden layers, such as 8,16: 5 x 5, each halves\n"
         "rows and columns; --backend host alone")
      ->take_all()
      ->delimiter(',')
      ->check(between(1, 1e4, "a whole number from 1 to 10000"));
  app.add_option("--hidden", config.hidden, "widths of the hidden layers")
      ->take_all()
      ->delimiter(',')
      ->check(between(1, 1e5, "a whole number from 1 to 100000"))
      ->capture_default_str();
  auto* const epochs = app.add_option("--epochs", config.epochs, "passes over the training images")
                           ->check(count)
                           ->capture_default_str();
  app.add_option("--steps", config.steps, "averages of gradients, in place of --epochs")
      ->check(count)
      ->excludes(epochs);
  app.add_option("--batch", config.batch, "images per step, over all ranks")
      ->check(count)
      ->capture_default_str();
  app.add_option(
         "--local-steps", config.local_steps,
         "of each rank on its own, with a batch each, before the sum of their gradients is\n"
         "averaged")
      ->check(count)
      ->capture_default_str();
  app.add_option(
         "--shards", config.shards,
         "which images a rank sees: none (default): all; mixed: a part of its own; sorted:\n"
         "a part of its own of images sorted by label, so that each rank sees few classes")
      ->transform(one_of(all_shards))
      ->type_name("NAME");
  app.add_option("--lr", config.learning_rate, "learning rate of plain SGD, above 0")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--density", config.density,
                 "share of the gradient that a rank sends per step, up to 1")
      ->check(between(tiny, 1, "a number above 0, at most 1"))
      ->capture_default_str();
  app.add_option("--mu", config.mu, "mu of RegTop-k; 0 is Top-k")
      ->check(between(0, 1e30, "a number from 0"))
      ->capture_default_str();
  app.add_option("--wire", config.wire,
                 "type of the values sent: float32 (default), float16 or bfloat16")
      ->transform(one_of(wires))
      ->type_name("TYPE");
  auto* const warmup =
      app.add_option("--warmup", config.warmup, "steps per stage of DGC's density warm-up; 0: none")
          ->check(between(0, 1e9, "a whole number from 0"))
          ->capture_default_str();
  auto* const accordion =
      app.add_option(
             "--accordion", config.accordion,
             "adapts the density (arXiv 2010.16248): this one while the gradient's norm changes\n"
             "fast, --density otherwise; --backend host alone")
          ->check(between(tiny, 1, "a number above 0, at most 1"))
          ->excludes(warmup);
  app.add_option("--interval", config.interval, "steps between two looks of --accordion")
      ->check(count)
      ->needs(accordion)
      ->capture_default_str();
  app.add_option("--seed", config.seed, "of the initial weights and the batches")
      ->capture_default_str();
  app.add_option("--json", config.json, "write configuration, table and curves to this file")
      ->check(study::no_name);
  StudyName name{};
  const auto* const study =
      app.add_option(
             "--study", name,
             "many trainings on threads, with means and 95 % intervals: quick (minutes), full (an\n"
             "hour or more), or convolutional (as long; --conv 8,16 --hidden 64). --json FILE "
             "keeps\n"
             "each as soon as it is done; given again, the study goes on from there")
          ->transform(one_of(studies))
          ->type_name("NAME");
  app.add_option("--progress", config.progress,
                 "auto, bar, lines or none, on stderr; auto: a bar where that is a terminal,\n"
                 "which ranks cannot see through mpirun")
      ->transform(one_of(styles))
      ->type_name("STYLE");
  app.add_flag("--quiet", quiet, "the same as --progress none");

  try {
    app.parse(argc, argv);
    if (accordion->count() > 0 && config.accordion <= config.density) {
      throw CLI::ValidationError("--accordion", "expected more than --density, the lower one");
    }
    if (study->count() > 0) {
      require_alone(app);
      config.study = name;
    }
  } catch (const CLI::ParseError& error) {
    std::ostringstream output;
    std::ostringstream errors;
    const int status = app.exit(error, output, errors);
    return {std::nullopt, status, output.str(), errors.str()};
  }
  if (quiet) config.progress = ProgressStyle::none;
  return {config, 0, {}, {}};
}

}  // namespace mnist
