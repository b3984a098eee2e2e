#include "learn/named_tensors.hpp"

#include "data/error.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>

#include <array>
#include <cstring>

namespace tape {
namespace {

struct TypePair {
    TensorType file;
    at::ScalarType torch;
};
constexpr std::array<TypePair, 7> type_pairs{{{TensorType::f64, at::kDouble},
                                              {TensorType::f32, at::kFloat},
                                              {TensorType::f16, at::kHalf},
                                              {TensorType::bf16, at::kBFloat16},
                                              {TensorType::i64, at::kLong},
                                              {TensorType::i32, at::kInt},
                                              {TensorType::u8, at::kByte}}};

std::string shape_text(at::IntArrayRef shape) {
    std::string text = "[";
    for (auto const extent : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
    return text + "]";
}

} // namespace

at::Tensor tensor_over(TensorView const& view) {
    auto const type = std::ranges::find(type_pairs, view.type, &TypePair::file)->torch;
    void* const data = const_cast<std::byte*>(view.bytes.data());
    if (reinterpret_cast<std::uintptr_t>(data) % bytes_per_element(view.type) == 0 && !view.bytes.empty())
        return at::from_blob(data, view.shape, at::TensorOptions{type});
    at::Tensor copy = at::empty(view.shape, at::TensorOptions{type});
    if (!view.bytes.empty()) std::memcpy(copy.data_ptr(), data, view.bytes.size());
    return copy;
}

TensorView view_of(at::Tensor const& tensor) {
    auto const pair = std::ranges::find(type_pairs, tensor.scalar_type(), &TypePair::torch);
    if (pair == type_pairs.end() || !tensor.is_contiguous() || !tensor.is_cpu())
        throw error{"a tensor of this type or layout cannot be saved"};
    return {
        pair->file, tensor.sizes().vec(),
        std::span{static_cast<std::byte const*>(tensor.const_data_ptr()), static_cast<std::size_t>(tensor.nbytes())}};
}

void save_tensors(std::filesystem::path const& file, NamedTensors const& tensors,
                  std::map<std::string, std::string> const& metadata) {
    NamedTensors host; // keeps copies alive until written
    std::map<std::string, TensorView> views;
    for (auto const& [name, tensor] : tensors) {
        host[name] = tensor.detach().to(at::kCPU).contiguous();
        views.emplace(name, view_of(host[name]));
    }
    write_safetensors(file, views, metadata);
}

at::Tensor WeightReader::take(std::vector<std::string> const& names, std::vector<std::int64_t> const& shape) {
    for (auto const& name : names) {
        auto const found = tensors_.find(name);
        if (found == tensors_.end()) continue;
        used_.insert(name);
        if (found->second.sizes() != at::IntArrayRef{shape})
            throw data_error{origin_ + ": tensor '" + name + "' has shape " + shape_text(found->second.sizes()) +
                             ", expected " + shape_text(shape)};
        at::Tensor const values = found->second.to(at::kFloat, false, true);
        if (!at::isfinite(values).all().item<bool>())
            throw data_error{origin_ + ": tensor '" + name + "' holds NaN or infinity"};
        return values;
    }
    throw data_error{origin_ + ": tensor '" + names.front() + "' is missing"};
}

bool WeightReader::has_any(std::string const& prefix) const {
    auto const found = tensors_.lower_bound(prefix);
    return found != tensors_.end() && found->first.starts_with(prefix);
}

std::vector<std::string> WeightReader::unused() const {
    std::vector<std::string> names;
    for (auto const& [name, tensor] : tensors_)
        if (!used_.contains(name)) names.push_back(name);
    return names;
}

std::vector<std::int64_t> WeightReader::shape_of(std::string const& name) const {
    auto const found = tensors_.find(name);
    return found == tensors_.end() ? std::vector<std::int64_t>{} : found->second.sizes().vec();
}

} // namespace tape
