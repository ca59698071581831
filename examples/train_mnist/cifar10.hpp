// Images and labels from the binary files of CIFAR-10 (www.cs.toronto.edu/~kriz/cifar.html).
#pragma once

#include <filesystem>

#include "idx.hpp"

namespace mnist {

/// Reads data_batch_1.bin to data_batch_5.bin and test_batch.bin: records of a label and the 32 x
/// 32 pixels of a red, a green and a blue plane, which become the three channels of a Dataset.
/// Throws std::runtime_error that names the file, what was expected and what was found.
[[nodiscard]] Data load_cifar10(const std::filesystem::path& directory);

}  // namespace mnist
