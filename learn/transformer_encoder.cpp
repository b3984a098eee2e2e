#include "learn/transformer_encoder.hpp"

#include "data/hash.hpp"
#include "learn/device.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros_like.h>

#include <cstdio>

namespace tape {
namespace {

// Raise when the same weights would give other values.
constexpr char const* algorithm_version = "transformer-2";

} // namespace

TransformerEncoder::TransformerEncoder(LoadedTransformer loaded, Options const& options)
    : MaskedEncoder{options}, loaded_{std::move(loaded)} {
    loaded_.model.to(options.device);
    if (loaded_.contact_head) loaded_.contact_head->weight = loaded_.contact_head->weight.to(options.device);
    loaded_.model.set_compute_type(options.precision);
    if (packs()) loaded_.model.pack();
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

MaskedEncoder::Output TransformerEncoder::forward(at::Tensor const& tokens, bool padded, bool attentions,
                                                  int layer) const {
    auto output = loaded_.model.forward({tokens, padded}, {.attentions = attentions, .layer = behind_norm(layer)});
    at::Tensor context;
    if (!sees_itself()) {
        at::Tensor const& hidden = output.hidden; // B x T x D
        context = at::cat({at::zeros_like(hidden.narrow(1, 0, 1)), hidden.narrow(1, 0, hidden.size(1) - 1)}, 1);
    }
    return {.hidden = std::move(output.hidden),
            .context = std::move(context),
            .pooled = {},
            .attentions = std::move(output.attentions)};
}

at::Tensor TransformerEncoder::forward_packed(PackedTokens const& batch, int layer) const {
    return loaded_.model.forward_packed(batch, behind_norm(layer));
}

at::Tensor TransformerEncoder::contact_probabilities(at::Tensor const& maps) const {
    auto const& head = loaded_.contact_head.value();
    return at::sigmoid(at::matmul(attention_pairs(maps), head.weight) + head.bias);
}

} // namespace tape
