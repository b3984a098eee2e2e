#include "learn/transformer_encoder.hpp"

#include "data/hash.hpp"
#include "learn/device.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace tape {
namespace {

// Raise when the same weights would give other values.
constexpr char const* algorithm_version = "transformer-1";

FeatureMatrix to_matrix(at::Tensor const& values) {
    at::Tensor const host = values.to(at::kCPU, at::kFloat).contiguous();
    return Eigen::Map<FeatureMatrix const>{host.const_data_ptr<float>(), host.size(0), host.size(1)};
}

std::vector<float> to_vector(at::Tensor const& values) {
    at::Tensor const host = values.to(at::kCPU, at::kFloat).contiguous();
    return {host.const_data_ptr<float>(), host.const_data_ptr<float>() + host.numel()};
}

} // namespace

at::Tensor attention_pairs(at::Tensor const& attention) {
    at::Tensor const symmetric = attention + attention.transpose(1, 2); // C x L x L
    at::Tensor const rows = symmetric.sum(2, true);                     // C x L x 1
    at::Tensor const total = rows.sum(1, true).clamp_min(1e-12);        // C x 1 x 1
    at::Tensor const corrected = symmetric - rows * rows.transpose(1, 2) / total;
    return corrected.permute({1, 2, 0});
}

TransformerEncoder::TransformerEncoder(LoadedTransformer loaded, Options const& options)
    : loaded_{std::move(loaded)}, options_{options} {
    loaded_.model.to(options.device);
    loaded_.model.set_compute_type(options.precision);
    hash_ = tape::content_hash(loaded_.content_hash + precision_name(options.precision) + algorithm_version);
}

std::string TransformerEncoder::description() const {
    auto const& config = loaded_.model.config();
    char text[160];
    std::snprintf(text, sizeof text, "Transformer encoder, %.1f M parameters (%d layers, hidden size %d, %d heads), %s",
                  static_cast<double>(config.parameter_count()) / 1e6, config.layers, config.hidden, config.heads,
                  precision_name(options_.precision).c_str());
    return text;
}

std::vector<std::string> TransformerEncoder::logit_names() const {
    std::vector<std::string> names;
    for (int token = 0; token < EsmTokenizer::size; ++token) names.push_back(EsmTokenizer::name(token));
    return names;
}

std::vector<Embedding> TransformerEncoder::embed(std::span<Protein const> proteins, EmbedRequest request) {
    c10::InferenceMode const inference;
    std::vector<std::size_t> order(proteins.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return proteins[i].residues.size(); });
    std::vector<Embedding> results(proteins.size());
    for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
        // Lengths rise, so the newest member decides the padded width. Maps are quadratic: one protein at a time.
        while (end < order.size() &&
               (end == begin || (!request.pairs && (end + 1 - begin) * (proteins[order[end]].residues.size() + 2) <=
                                                       static_cast<std::size_t>(options_.tokens))))
            ++end;
        embed_batch(proteins, std::span{order}.subspan(begin, end - begin), request, results);
    }
    return results;
}

void TransformerEncoder::embed_batch(std::span<Protein const> proteins, std::span<std::size_t const> members,
                                     EmbedRequest request, std::vector<Embedding>& results) const {
    std::vector<std::vector<std::int64_t>> rows;
    for (std::size_t const i : members) rows.push_back(EsmTokenizer::wrapped(proteins[i].residues));
    auto const output = loaded_.model.forward(TokenBatch::from(rows, options_.device), {.attentions = request.pairs});
    for (std::size_t place = 0; place < members.size(); ++place) {
        auto const length = static_cast<std::int64_t>(proteins[members[place]].residues.size());
        auto& result = results[members[place]];
        at::Tensor const hidden =
            output.hidden.select(0, static_cast<std::int64_t>(place)).slice(0, 1, length + 1); // L x D
        if (request.rows) result.rows = to_matrix(hidden);
        if (request.pooled) result.pooled = to_vector(hidden.mean(0));
        if (request.logits) result.logits = to_matrix(loaded_.model.logits(hidden));
        if (!request.pairs) continue;
        std::vector<at::Tensor> maps;
        for (auto const& layer : output.attentions)
            maps.push_back(
                layer.select(0, static_cast<std::int64_t>(place)).slice(1, 1, length + 1).slice(2, 1, length + 1));
        result.pairs = to_vector(attention_pairs(at::cat(maps)));
    }
}

} // namespace tape
