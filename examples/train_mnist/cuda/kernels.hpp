// What a network needs besides matrix products. Every matrix is row-major, in device memory; every
// call is enqueued on stream.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace mnist::cuda {

struct Shape {
  std::size_t rows = 0;
  std::size_t columns = 0;
  [[nodiscard]] std::size_t size() const noexcept { return rows * columns; }
};

/// inputs[i] = pixels of image images[i], from 0 to 1; images == nullptr: of image i.
/// pixels: [any][columns]; images: [rows]; inputs: shape.
void gather(const std::uint8_t* pixels, const std::uint32_t* images, Shape shape, float* inputs,
            cudaStream_t stream);

/// values += bias, in each row; and ReLU, where asked for. bias: [columns].
void add_bias(float* values, const float* bias, Shape shape, bool relu, cudaStream_t stream);

/// Softmax and cross-entropy: scores become `scale` times the gradient of the loss with respect to
/// them, and losses[row] grows by the loss of that row. labels[images[row]]: the class of a row.
void softmax_gradient(float* scores, const std::uint8_t* labels, const std::uint32_t* images,
                      Shape shape, float scale, double* losses, cudaStream_t stream);

/// delta = 0 where ReLU gave nothing. Both of shape.
void relu_gradient(float* delta, const float* activations, Shape shape, cudaStream_t stream);

/// sums[j] = sum over the rows of values[row][j], in their order.
void sum_rows(const float* values, Shape shape, float* sums, cudaStream_t stream);

/// hits[row] = whether the largest of scores[row], the first of them, is that of labels[row].
void compare(const float* scores, const std::uint8_t* labels, Shape shape, std::uint8_t* hits,
             cudaStream_t stream);

/// parameters -= rate * gradient, rounded twice, as on hosts. [size]
void descend(float* parameters, const float* gradient, float rate, std::size_t size,
             cudaStream_t stream);

/// gradient = (before - parameters) / rate; parameters = before. [size]
void take_back(float* parameters, const float* before, float* gradient, float rate,
               std::size_t size, cudaStream_t stream);

}  // namespace mnist::cuda
