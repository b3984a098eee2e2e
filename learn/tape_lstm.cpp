#include "learn/tape_lstm.hpp"

#include "data/error.hpp"
#include "learn/checkpoint.hpp"
#include "learn/device.hpp"
#include "learn/drawn_tensors.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <c10/core/InferenceMode.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>

namespace tape {
namespace {

constexpr char const* algorithm_version = "tape-lstm-1";
constexpr double initial_deviation = 0.02;

struct Preset {
    char const* name;
    TapeLstmConfig config;
};
std::array<Preset, 4> const presets{{{"1M", {64, 192, 2}}, {"2M", {128, 256, 2}}, {"8M", {128, 560, 2}}, {"43M", {}}}};

} // namespace

TapeLstmConfig tape_lstm_preset(std::string const& size) {
    auto const found = std::ranges::find(presets, size, &Preset::name);
    if (found == presets.end())
        throw usage_error{"unknown size '" + size +
                          "' of an LSTM: choose 1M, 2M, 8M or 43M, or give --hidden and --layers"};
    return found->config;
}

nlohmann::json to_json(TapeLstmConfig const& config) {
    return {{"vocab_size", BertVocabulary::iupac().names.size()},
            {"input_size", config.input},
            {"hidden_size", config.hidden},
            {"num_hidden_layers", config.layers},
            {"initializer_range", initial_deviation}};
}

NamedTensors drawn_tape_lstm(TapeLstmConfig const& config, std::int64_t vocabulary, std::uint64_t seed) {
    DrawnTensors drawn{seed};
    std::int64_t const hidden = config.hidden;
    auto const linear = [&](std::string const& name, std::int64_t out, std::int64_t in) {
        drawn.normal_linear(name, out, in, initial_deviation);
    };
    drawn.normal("lstm.embed_matrix.weight", {vocabulary, config.input}, initial_deviation);
    for (char const* const stack : {"forward_lstm", "reverse_lstm"})
        for (int k = 0; k < config.layers; ++k)
            draw_lstm(drawn, "lstm.encoder." + std::string{stack} + "." + std::to_string(k) + ".lstm", "l0",
                      k == 0 ? config.input : hidden, hidden);
    linear("lstm.pooler.scalar_reweighting", 1, std::int64_t{2} * config.layers);
    linear("lstm.pooler.dense", hidden, hidden);
    linear("feedforward", vocabulary, hidden);
    return drawn.tensors();
}

bool describes_tape_lstm(nlohmann::json const& json) {
    return json.is_object() && !json.contains("model_type") && json.contains("input_size") &&
           json.contains("num_hidden_layers") && !json.contains("intermediate_size");
}

TapeLstmConfig tape_lstm_config(nlohmann::json const& json, std::string const& origin) {
    if (!json.is_object()) throw data_error{origin + ": not a JSON object"};
    return {.input = positive_field(json, "input_size", origin),
            .hidden = positive_field(json, "hidden_size", origin),
            .layers = positive_field(json, "num_hidden_layers", origin)};
}

TapeLstmEncoder::TapeLstmEncoder(std::filesystem::path const& model, std::optional<std::uint64_t> seed,
                                 Options const& options)
    : VocabularyEncoder{options, BertVocabulary::iupac()} {
    std::string const shape = read_shape(model, [&](nlohmann::json const& json, std::string const& origin) {
        config_ = tape_lstm_config(json, origin);
    });
    load(
        {model, seed, shape, algorithm_version},
        [&](std::int64_t size, std::uint64_t chosen) { return drawn_tape_lstm(config_, size, chosen); },
        [&](WeightReader& weights) { take(weights); });
}

void TapeLstmEncoder::take(WeightReader& weights) {
    std::int64_t const hidden = config_.hidden, layers = config_.layers;
    auto const vocabulary = static_cast<std::int64_t>(words_.names.size());
    auto const take_to_device = [&](std::string const& name, std::vector<std::int64_t> const& shape) {
        return weights.take(name, shape).to(options_.device);
    };
    std::string const root = weights.has("embed_matrix.weight") ? "" : "lstm.";
    embedding_ = take_to_device(root + "embed_matrix.weight", {vocabulary, config_.input});
    for (auto const& [name, stack] : {std::pair{"forward_lstm.", &forward_}, {"reverse_lstm.", &reverse_}})
        for (std::int64_t k = 0; k < layers; ++k) {
            stack->push_back(LstmLayer::take(weights, root + "encoder." + name + std::to_string(k) + ".lstm", "l0",
                                             k == 0 ? config_.input : hidden, hidden));
            stack->back().prepare(options_.device, options_.precision);
        }
    if (std::string const pooler = root + "pooler."; weights.has_any(pooler))
        pooler_ = Pooler{take_to_device(pooler + "scalar_reweighting.weight", {1, 2 * layers}),
                         take_to_device(pooler + "scalar_reweighting.bias", {1}),
                         take_to_device(pooler + "dense.weight", {hidden, hidden}),
                         take_to_device(pooler + "dense.bias", {hidden})};
    if (weights.has_any("feedforward."))
        head_ = Head{take_to_device("feedforward.weight", {vocabulary, hidden}),
                     take_to_device("feedforward.bias", {vocabulary})};
}

std::string TapeLstmEncoder::description() const {
    char text[160];
    std::snprintf(text, sizeof text, "TAPE's LSTM, forward and reverse stacks of %d layer%s of %d units, %s",
                  config_.layers, config_.layers == 1 ? "" : "s", config_.hidden,
                  precision_name(options_.precision).c_str());
    return text;
}

MaskedEncoder::Output TapeLstmEncoder::forward(at::Tensor const& tokens, bool, bool, int layer) const {
    int const last = layer < 0 ? config_.layers : layer;
    at::Tensor const x = at::embedding(embedding_, tokens); // B x T x input
    Output output;
    output.hidden = x;
    if (last == 0) return output;
    ReadingOrder const order{tokens.ne(words_.padding).sum(1), tokens.size(1)};
    at::Tensor ahead = x, back = order.reversed(x); // B x T x H
    std::vector<at::Tensor> ends, reverse_ends;     // final states, each B x H
    for (std::size_t k = 0; k < static_cast<std::size_t>(last); ++k) {
        ahead = forward_[k].run(ahead), back = reverse_[k].run(back);
        ends.push_back(order.last(ahead)), reverse_ends.push_back(order.last(back));
    }
    back = order.reversed(back);
    output.hidden = at::cat({ahead, back}, 2);
    if (last < config_.layers) return output;
    output.context = states_beside(ahead, back);
    if (!pooler_) return output;
    ends.insert(ends.end(), reverse_ends.begin(), reverse_ends.end());
    at::Tensor const mixed = at::linear(at::stack(ends, 2), pooler_->mix_weight, pooler_->mix_bias).squeeze(2); // B x H
    output.pooled = at::tanh(at::linear(mixed, pooler_->dense_weight, pooler_->dense_bias));
    return output;
}

at::Tensor TapeLstmEncoder::token_logits(at::Tensor const& context) const {
    auto const half = [&](std::int64_t begin) {
        return at::linear(context.narrow(1, begin, config_.hidden), head_->weight, head_->bias);
    };
    return half(0) + half(config_.hidden);
}

} // namespace tape
