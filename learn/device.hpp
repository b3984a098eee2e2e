#pragma once

#include <torch/types.h>

#include <string>

namespace tape {

/// "auto", "cpu", "cuda". @throws usage_error if the machine has none of that kind
at::Device resolve_device(std::string const& name);

/// "fp32", "bf16", "auto" = bf16 where the processor multiplies it (AMX, AVX512-BF16, a GPU). @throws usage_error
at::ScalarType resolve_precision(std::string const& name, at::Device device);
bool multiplies_bfloat16(at::Device device);

/// "fp32" or "bf16".
std::string precision_name(at::ScalarType type);

/// LibTorch's threads for matrix products; 0 = all this process may use. Returns the number.
int use_threads(int requested);

} // namespace tape
