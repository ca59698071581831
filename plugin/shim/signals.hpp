// SIGUSR1: save the state. SIGUSR2: print the table.
#pragma once

#include <functional>

namespace sparccl::shim {

/// From now on; handlers that are there already are called as well, those that the program installs
/// later take over. print: called by a thread that does nothing else, so that a program that hangs
/// can be asked, too. SIGUSR1 is left alone where no state is to be saved. Once; later calls do
/// nothing.
void handle_signals(std::function<void()> print);

}  // namespace sparccl::shim
