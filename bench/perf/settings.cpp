#include "settings.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>

#include <CLI/CLI.hpp>

#include "failures.hpp"
#include "figures.hpp"
#include "settings_rules.hpp"
#include "units.hpp"

namespace sparccl::perf {
namespace {

template <class T>
using Names = std::vector<std::pair<std::string, T>>;

const Names<DataType> types = {{"half", DataType::float16},
                               {"bfloat16", DataType::bfloat16},
                               {"float", DataType::float32},
                               {"double", DataType::float64}};
const Names<std::string> other_type_names = {
    {"float16", "half"}, {"float32", "float"}, {"float64", "double"}};
/// nccl-tests' name of a type, whichever was given.
std::string usual_name(const std::string& word) {
  for (const auto& [name, usual] : other_type_names) {
    if (name == word) return usual;
  }
  return word;
}

const Names<Reduction> reductions = {{"sum", Reduction::sum}, {"avg", Reduction::avg}};
const Names<Path> paths = {{"auto", Path::automatic},
                           {"dense", Path::dense},
                           {"allgather", Path::allgather},
                           {"split", Path::split},
                           {"hierarchical", Path::hierarchical}};
const Names<std::string> baselines = {{"mpi", "mpi"}, {"gloo", "gloo"}, {"naive", "naive"}};

template <class T>
std::string list(const Names<T>& names) {
  std::string text;
  for (const auto& [name, value] : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

template <class T>
T find(const Names<T>& names, const std::string& word, const std::string& flag) {
  for (const auto& [name, value] : names) {
    if (name == word) return value;
  }
  throw UsageError(flag + ": expected one of " + list(names) + ", found '" + word + "'");
}

/// Words apart, or all of them.
template <class T>
std::vector<T> find_all(const Names<T>& names, const std::vector<std::string>& words,
                        const std::string& flag) {
  std::vector<T> found;
  for (const std::string& word : words) {
    if (word == "all") {
      found.clear();
      for (const auto& [name, value] : names) found.push_back(value);
      return found;
    }
    const T value = find(names, word, flag);
    if (std::ranges::find(found, value) == found.end()) found.push_back(value);
  }
  return found;
}

/// What stands on the command line before it is understood.
struct Words {
  std::string min_bytes, max_bytes, step_bytes = "1M", wire, place = "both";
  std::vector<std::string> densities = {"0.001"};
  std::optional<std::size_t> factor;
  std::optional<int> threads, gpus;
  int average = static_cast<int>(Average::max);
  std::vector<std::string> types = {"float"}, reductions = {"sum"}, paths = {"auto"}, baselines;
};

void add_nccl_tests_flags(CLI::App& app, Settings& s, Words& words) {
  app.add_option("-b,--minbytes", words.min_bytes,
                 "smallest size in bytes; suffixes K, M, G, T [32M]");
  app.add_option("-e,--maxbytes", words.max_bytes, "largest size in bytes [-b, or 32M]");
  app.add_option("-f,--stepfactor", words.factor,
                 "from one size to the next: times this, 2 or more");
  app.add_option("-i,--stepbytes", words.step_bytes, "or plus this, where -f is not given")
      ->capture_default_str();
  app.add_option("-t,--nthreads", words.threads,
                 "ranks that are threads of this process [local: 2, nccl: 1]");
  app.add_option("-g,--ngpus", words.gpus, "GPUs a thread, with --transport nccl [1]");
  app.add_option("-n,--iters", s.iterations, "calls in a timed block")->capture_default_str();
  app.add_option("-w,--warmup_iters", s.warmup, "calls before, not timed")->capture_default_str();
  app.add_option("-c,--check", s.checks, "calls whose results are checked, not timed; 0: none")
      ->capture_default_str();
  app.add_option("-a,--average", words.average,
                 "time over the ranks: 0 rank 0's, 1 average, 2 min, 3 max")
      ->capture_default_str();
  app.add_option("-d,--datatype", words.types, list(types) + "; a list, or all")
      ->delimiter(',')
      ->default_str("float");
  app.add_option("-o,--op", words.reductions, list(reductions) + "; a list, or all")
      ->delimiter(',')
      ->default_str("sum");
}

void add_own_flags(CLI::App& app, Settings& s, Words& words) {
  app.add_option("--density", words.densities,
                 "share of the entries sent, above 0 and up to 1: 0.001, or 0.1% for the same; "
                 "one or a list")
      ->delimiter(',')
      ->default_str("0.001");
  app.add_option("--mu", s.mu, "RegTop-k's mu, a finite number of 0 or more; 0 is Top-k")
      ->capture_default_str();
  app.add_option("--wire", words.wire, "type of values on the wire [the tensor's]");
  app.add_option("--path", words.paths, list(paths) + "; a list, or all")
      ->delimiter(',')
      ->default_str("auto");
  app.add_option("--place", words.place, "out: out-of-place alone, in: in-place alone, both")
      ->capture_default_str();
  app.add_option("--transport", s.transport, "local, mpi, nccl [mpi under mpirun, else local]");
  app.add_option("--backend", s.backend, "host, cuda [host; nccl: cuda]");
  app.add_option("--ranks-per-node", s.ranks_per_node, "0: as the transport finds them")
      ->capture_default_str();
  app.add_option("--calibration", s.calibration,
                 "of --path auto: probe, off, or a file [what SPARCCL_CALIBRATION says, or probe]");
  app.add_option("--baseline", words.baselines, "also time: " + list(baselines) + "; a list [none]")
      ->delimiter(',');
  app.add_option("--repeats", s.repeats, "timed blocks of each, in turn with dense ones")
      ->capture_default_str();
  app.add_option("--json", s.json,
                 "write the figures to this file as well; -: to stdout, and the table to stderr");
}

constexpr std::size_t most_sizes = 100'000;

std::vector<std::size_t> sizes_of(const Words& words) {
  const std::size_t usual = std::size_t{32} << 20;
  const std::size_t most = words.max_bytes.empty() ? 0 : parse_bytes(words.max_bytes, "-e");
  const std::size_t least = !words.min_bytes.empty() ? parse_bytes(words.min_bytes, "-b")
                            : most != 0              ? std::min(most, usual)
                                                     : usual;
  const std::size_t last = most != 0 ? most : least;
  if (last < least) {
    throw UsageError("-e " + words.max_bytes + ": expected at least -b, which is " +
                     std::to_string(least) + " bytes; give a larger -e or a smaller -b");
  }
  const std::size_t factor = words.factor.value_or(0);
  if (words.factor && factor < 2) {
    throw UsageError("-f: expected 2 or more, found " + std::to_string(factor) +
                     "; or leave it out, for steps of -i bytes");
  }
  const std::size_t step = parse_bytes(words.step_bytes, "-i");
  if (!words.factor && (last - least) / step >= most_sizes) {
    throw UsageError("-i " + words.step_bytes + ": from -b to -e these are more than " +
                     std::to_string(most_sizes) + " sizes; give a larger -i, or -f");
  }
  std::vector<std::size_t> sizes;
  for (std::size_t size = least; size <= last;) {
    sizes.push_back(size);
    if (words.factor && size > last / factor) break;
    size = words.factor ? size * factor : size + step;
  }
  return sizes;
}

/// By whichever name: what the table writes there must not mix with what another stream does.
bool is_stdout(const std::string& name) {
  struct stat named {
  }, own{};
  if (name == "/dev/stdout") return true;
  if (name.empty() || stat(name.c_str(), &named) != 0 || fstat(STDOUT_FILENO, &own) != 0)
    return false;
  const bool keeps = S_ISREG(own.st_mode) || S_ISFIFO(own.st_mode);
  return keeps && named.st_dev == own.st_dev && named.st_ino == own.st_ino;
}

std::string joined(int argc, const char* const* argv) {
  std::string command = "sparccl_perf";
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  return command;
}

/// A number that was given; else 0, which nobody may give.
int given(const char* flag, const std::optional<int>& number, const char* otherwise) {
  if (number && *number < 1) {
    throw UsageError(std::string(flag) + ": expected 1 or more, found " + std::to_string(*number) +
                     "; or leave it out, for " + otherwise);
  }
  return number.value_or(0);
}

double density_in(const std::string& word) {
  const std::optional<double> density = bench::parse_density(word);
  if (density) return *density;
  throw UsageError(
      "--density: expected shares above 0 and up to 1, as 0.001, or 0.1% for the same, found '" +
      word + "'");
}

void understand(const Words& words, Settings& s) {
  s.densities.clear();
  for (const std::string& word : words.densities) s.densities.push_back(density_in(word));
  s.threads = given("-t", words.threads, "2 ranks (1 with --transport nccl)");
  s.gpus = given("-g", words.gpus, "1 GPU a thread");
  s.sizes = sizes_of(words);
  std::vector<std::string> names;
  for (const std::string& word : words.types) names.push_back(usual_name(word));
  s.types = find_all(types, names, "-d");
  s.reductions = find_all(reductions, words.reductions, "-o");
  s.paths = find_all(paths, words.paths, "--path");
  s.every_path = std::ranges::find(words.paths, "all") != words.paths.end();
  s.baselines = find_all(baselines, words.baselines, "--baseline");
  if (words.average < 0 || words.average > 3) {
    throw UsageError("-a: expected 0 (rank 0), 1 (average), 2 (min) or 3 (max), found " +
                     std::to_string(words.average));
  }
  s.average = static_cast<Average>(words.average);
  if (!words.wire.empty()) s.wire = find(types, usual_name(words.wire), "--wire");
  if (words.place != "out" && words.place != "in" && words.place != "both") {
    throw UsageError("--place: expected out, in or both, found '" + words.place + "'");
  }
  s.out_of_place = words.place != "in";
  s.in_place = words.place != "out";
}

}  // namespace

const char* type_name(DataType type) {
  for (const auto& [name, value] : types) {
    if (value == type) return name.c_str();
  }
  return name_of(type);
}

std::size_t parse_bytes(const std::string& text, const std::string& flag) {
  const auto wrong = [&] {
    return UsageError(flag +
                      ": expected a number of bytes of at least 1, such as 8, 64K, 32M, 1G or 1T" +
                      ", found '" + text + "'");
  };
  std::size_t digits = 0;
  while (digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits])) != 0) {
    ++digits;
  }
  if (digits == 0 || digits > 15 || text.size() > digits + 1) throw wrong();
  unsigned shift = 0;
  if (text.size() == digits + 1) {
    switch (text[digits]) {
      case 'K':
      case 'k': shift = 10; break;
      case 'M':
      case 'm': shift = 20; break;
      case 'G':
      case 'g': shift = 30; break;
      case 'T':
      case 't': shift = 40; break;
      default: throw wrong();
    }
  }
  const std::size_t number = std::stoull(text);
  if (number == 0 || number > (std::numeric_limits<std::size_t>::max() >> shift) / 4) throw wrong();
  return number << shift;
}

std::optional<Settings> parse(int argc, const char* const* argv) {
  Settings s;
  Words words;
  CLI::App app(
      "Times sparse allreduces against dense ones of the same tensor, and checks both.\n"
      "Ranks are threads (-t 4), processes (mpirun -n 4 sparccl_perf), or GPUs (--transport "
      "nccl).\n"
      "Figures are defined in docs/performance.md. Of each flag, [...] is the default.");
  app.name("sparccl_perf");
  add_nccl_tests_flags(app, s, words);
  add_own_flags(app, s, words);
  app.footer(std::string("Column break-even: ") + break_even_meaning);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    if (launched().rank == 0) std::printf("%s", app.help().c_str());
    return std::nullopt;
  } catch (const CLI::ExtrasError&) {
    std::string unknown;
    for (const std::string& word : app.remaining()) unknown += " " + word;
    throw UsageError("unknown:" + unknown +
                     "; of nccl-tests' flags there are -b -e -f -i -t -g -n -w -c -a -d "
                     "and -o here; --help lists all");
  } catch (const CLI::ConversionError& error) {
    throw UsageError(std::string(error.what()) + ": expected a number; --help lists the flags");
  } catch (const CLI::ParseError& error) {
    throw UsageError(std::string(error.what()) + "; --help lists the flags");
  }
  s.command = joined(argc, argv);
  if (app.count("--json") != 0 && s.json.empty()) {
    throw UsageError("--json: expected a file, or - for stdout, found nothing");
  }
  if (is_stdout(s.json)) s.json = "-";
  understand(words, s);
  require_sense(s);
  if (app.count("--calibration") != 0 &&
      std::ranges::find(s.paths, Path::automatic) == s.paths.end()) {
    throw UsageError("--calibration: expected --path auto, which alone goes by it; leave it out");
  }
  return s;
}

Launch launched() {
  const auto number = [](std::initializer_list<const char*> names, int otherwise) {
    for (const char* name : names) {
      if (const char* text = std::getenv(name)) return std::atoi(text);
    }
    return otherwise;
  };
  return {number({"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"}, 0),
          number({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}, 1)};
}

}  // namespace sparccl::perf
