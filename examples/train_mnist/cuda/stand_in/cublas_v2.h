// What the network asks of cuBLAS, on the CPU.
#pragma once

#include <cuda_runtime.h>

enum cublasStatus_t { CUBLAS_STATUS_SUCCESS = 0 };
enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };
using cublasHandle_t = struct StandInBlas*;

inline const char* cublasGetStatusString(cublasStatus_t) { return "success"; }
inline cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasDestroy(cublasHandle_t) { return CUBLAS_STATUS_SUCCESS; }
inline cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t) {
  return CUBLAS_STATUS_SUCCESS;
}

/// c = alpha op(a) op(b) + beta c, column-major: c [m][n], op(a) [m][k], op(b) [k][n]. As BLAS
/// does, does not read c where beta is 0.
inline cublasStatus_t cublasSgemm(cublasHandle_t, cublasOperation_t of_a, cublasOperation_t of_b,
                                  int m, int n, int k, const float* alpha, const float* a, int lda,
                                  const float* b, int ldb, const float* beta, float* c, int ldc) {
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int l = 0; l < k; ++l) {
        sum += static_cast<double>(of_a == CUBLAS_OP_N ? a[i + l * lda] : a[l + i * lda]) *
               static_cast<double>(of_b == CUBLAS_OP_N ? b[l + j * ldb] : b[j + l * ldb]);
      }
      float& to = c[i + j * ldc];
      to = *alpha * static_cast<float>(sum) + (*beta == 0.0F ? 0.0F : *beta * to);
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}
