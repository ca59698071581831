// Images and labels from the IDX files of MNIST, Fashion-MNIST and their like, gzipped or plain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace mnist {

inline constexpr std::size_t classes = 10;

struct Dataset {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t channels = 1;
  std::vector<std::uint8_t> pixels;  ///< [size()][rows][columns][channels], 0 to 255
  std::vector<std::uint8_t> labels;  ///< [size()], below `classes`

  [[nodiscard]] std::size_t size() const noexcept { return labels.size(); }
  [[nodiscard]] std::size_t image_size() const noexcept { return rows * columns * channels; }
  [[nodiscard]] std::span<const std::uint8_t> image(std::size_t i) const {
    return std::span(pixels).subspan(i * image_size(), image_size());
  }
};

struct Data {
  Dataset train;
  Dataset test;
};

/// Reads `directory`/`prefix`-images-idx3-ubyte and -labels-idx1-ubyte, with or without ".gz".
/// prefix: "train" or "t10k". Throws std::runtime_error that names the file, what was expected and
/// what was found.
[[nodiscard]] Dataset load(const std::filesystem::path& directory, const std::string& prefix);

}  // namespace mnist
