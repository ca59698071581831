// What an interrupted study says before it ends.
#pragma once

#include <cstddef>
#include <string>

namespace study {

/// While one lives, SIGINT, SIGTERM and SIGHUP end the process with a line on stderr and 128 and
/// the signal as its status. Not those that were ignored before. One at a time.
class Interruption {
 public:
  /// program: whose line it is. file: where runs are kept; empty: nowhere.
  Interruption(std::string program, std::string file);
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  /// How far it is now.
  void tell(std::size_t done, std::size_t runs);

 private:
  std::string program_, file_;
};

}  // namespace study
