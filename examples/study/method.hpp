// How the workers' gradients are averaged: what every study compares.
#pragma once

namespace study {

enum class Method { dense, topk, regtopk };

/// "dense", "topk" or "regtopk".
[[nodiscard]] const char* name_of(Method method) noexcept;

}  // namespace study
