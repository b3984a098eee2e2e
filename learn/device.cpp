#include "learn/device.hpp"

#include "data/error.hpp"
#include "data/parallel.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/cpu/Utils.h>

#include <cstdlib>

namespace tape {

at::Device resolve_device(std::string const& name) {
    if (name == "cpu") return at::kCPU;
    if (name == "auto") return at::hasCUDA() ? at::kCUDA : at::kCPU;
    if (name != "cuda") throw usage_error{"unknown device '" + name + "': choose auto, cpu or cuda"};
    if (!at::hasCUDA()) throw usage_error{"no CUDA device here, or a LibTorch without CUDA; use --device cpu"};
    return at::kCUDA;
}

bool multiplies_bfloat16(at::Device device) {
    if (device.is_cuda()) return true;
    auto const capabilities = at::cpu::get_cpu_capabilities();
    auto const has = [&](char const* name) {
        auto const found = capabilities.find(name);
        return found != capabilities.end() && found->second.isBool() && found->second.toBool();
    };
    return has("amx_bf16") || has("avx512_bf16");
}

at::ScalarType resolve_precision(std::string const& name, at::Device device) {
    if (name == "fp32") return at::kFloat;
    if (name == "bf16") return at::kBFloat16;
    if (name != "auto") throw usage_error{"unknown precision '" + name + "': choose auto, fp32 or bf16"};
    return multiplies_bfloat16(device) ? at::kBFloat16 : at::kFloat;
}

std::string precision_name(at::ScalarType type) { return type == at::kBFloat16 ? "bf16" : "fp32"; }

int use_threads(int requested) {
    // oneDNN keeps 1,024 compiled products by default, half a megabyte each; batches of ever new sizes fill that to no
    // use (measured: 1.5 GB against 1.0 GB for UniRep-1900 over 2,500 proteins, same speed).
    setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64", 0);
    int const threads = resolve_threads(requested);
    at::set_num_threads(threads);
    return threads;
}

} // namespace tape
