#include "learn/bepler.hpp"

#include "data/error.hpp"
#include "data/hash.hpp"
#include "learn/checkpoint.hpp"
#include "learn/device.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>

namespace tape {
namespace {

constexpr char const* algorithm_version = "bepler-1";
constexpr std::string_view letters = "ARNDCQEGHILKMFPSTWYV";
constexpr std::int64_t residue_kinds = BeplerTokenizer::size - 1; // of the embedding beside the LM, which has no stop
constexpr std::int64_t padding = -1;                              // the original has no token of its own for it

/// The model it was trained in keeps the network as its `embedding`.
std::string root_of(WeightReader const& weights) { return weights.has_any("embedding.embed.") ? "embedding." : ""; }

/// Of the k-th bidirectional LSTM, as torch.nn.LSTM names its weights.
std::string place_of(int k, std::string_view direction = "") {
    std::string place{"l"};
    place.append(std::to_string(k)).append(direction);
    return place;
}

std::string lm_layer(int k) { return "embed.lm.rnn." + std::to_string(k); }

/// Sizes of the weights.
BeplerConfig config_of(WeightReader const& weights, std::string const& root) {
    auto const size = [&](std::string const& name, std::size_t axis) {
        auto const shape = weights.shape_of(root + name);
        if (shape.size() != 2)
            throw data_error{weights.origin() + ": tensor '" + root + name +
                             (shape.empty() ? "' is missing; is this Bepler & Berger's model?" : "' is no matrix")};
        return static_cast<int>(shape[axis]);
    };
    auto const has_rnn_layer = [&](int k) {
        return std::ranges::any_of(std::array{"weight_ih", "weight_hh", "bias_ih", "bias_hh"}, [&](char const* part) {
            return weights.has_any(root + "rnn." + part + "_l" + std::to_string(k));
        });
    };
    BeplerConfig config{.letters = size("embed.lm.embed.weight", 1),
                        .units = size("embed.lm.rnn.0.weight_hh_l0", 1),
                        .layers = 1,
                        .input = size("embed.embed.weight", 1),
                        .rnn_units = size("rnn.weight_hh_l0", 1),
                        .rnn_layers = 1,
                        .output = size("proj.weight", 0)};
    while (weights.has_any(root + lm_layer(config.layers) + ".")) ++config.layers;
    while (has_rnn_layer(config.rnn_layers)) ++config.rnn_layers;
    return config;
}

NamedTensors drawn_tensors(BeplerConfig const& config, std::uint64_t seed) {
    DrawnTensors drawn{seed};
    std::int64_t const units = config.units, rnn = config.rnn_units;
    drawn.normal("embed.lm.embed.weight", {BeplerTokenizer::size, config.letters}, 1);
    for (int k = 0; k < config.layers; ++k) draw_lstm(drawn, lm_layer(k), "l0", k == 0 ? config.letters : units, units);
    drawn.linear("embed.lm.linear", residue_kinds, units);
    drawn.normal("embed.embed.weight", {residue_kinds, config.input}, 1);
    drawn.linear("embed.proj", config.input, 2 * config.layers * units);
    for (int k = 0; k < config.rnn_layers; ++k)
        for (char const* const direction : {"", "_reverse"})
            draw_lstm(drawn, "rnn", place_of(k, direction), k == 0 ? config.input : 2 * rnn, rnn);
    drawn.linear("proj", config.output, 2 * rnn);
    NamedTensors tensors = drawn.tensors();
    // X doubles as the original's padding, which is embedded as nothing.
    for (char const* const name : {"embed.lm.embed.weight", "embed.embed.weight"}) tensors[name][-1].zero_();
    return tensors;
}

} // namespace

std::int64_t BeplerTokenizer::token(char letter) noexcept {
    char upper = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
    if (upper == 'U') upper = 'C';
    if (upper == 'O') upper = 'K';
    auto const found = letters.find(upper);
    return found == std::string_view::npos ? other : static_cast<std::int64_t>(found) + 1;
}

std::string BeplerTokenizer::name(std::int64_t token) {
    if (token == stop) return "<stop>";
    return token == other ? "X" : std::string{letters[static_cast<std::size_t>(token - 1)]};
}

BeplerEncoder::BeplerEncoder(std::filesystem::path const& model, std::optional<std::uint64_t> seed,
                             Options const& options)
    : MaskedEncoder{options} {
    c10::InferenceMode const inference;
    Checkpoint checkpoint; // stays mapped until its tensors are taken
    std::string what = "published shape";
    if (!model.empty()) {
        checkpoint = read_checkpoint(model);
        what = checkpoint.hashes;
    }
    WeightReader weights{std::move(checkpoint.tensors), model.string()};
    std::string root;
    if (!model.empty()) root = root_of(weights), config_ = config_of(weights, root);
    if (seed) {
        root.clear();
        weights = WeightReader{drawn_tensors(config_, *seed), "fresh weights"};
        what += " drawn from seed " + std::to_string(*seed);
    }
    take(weights, root);
    unused_ = weights.unused();
    hash_ = tape::content_hash(what + precision_name(options.precision) + algorithm_version);
}

BeplerEncoder::Linear BeplerEncoder::take_linear(WeightReader& weights, std::string const& name, std::int64_t out,
                                                 std::int64_t in) const {
    return {weights.take(name + ".weight", {out, in}).to(options_.device),
            weights.take(name + ".bias", {out}).to(options_.device)};
}

LstmLayer BeplerEncoder::take_lstm(WeightReader& weights, std::string const& prefix, std::string const& place,
                                   std::int64_t in, std::int64_t units) const {
    auto layer = LstmLayer::take(weights, prefix, place, in, units);
    layer.prepare(options_.device, options_.precision);
    return layer;
}

void BeplerEncoder::take(WeightReader& weights, std::string const& root) {
    std::int64_t const units = config_.units, rnn = config_.rnn_units;
    lm_embedding_ =
        weights.take(root + "embed.lm.embed.weight", {BeplerTokenizer::size, config_.letters}).to(options_.device);
    for (int k = 0; k < config_.layers; ++k)
        lm_.push_back(take_lstm(weights, root + lm_layer(k), "l0", k == 0 ? config_.letters : units, units));
    lm_output_ = take_linear(weights, root + "embed.lm.linear", residue_kinds, units);
    embedding_ = weights.take(root + "embed.embed.weight", {residue_kinds, config_.input}).to(options_.device);
    lm_projection_ = take_linear(weights, root + "embed.proj", config_.input, 2 * config_.layers * units);
    for (int k = 0; k < config_.rnn_layers; ++k) {
        std::int64_t const in = k == 0 ? config_.input : 2 * rnn;
        rnn_.push_back({take_lstm(weights, root + "rnn", place_of(k), in, rnn),
                        take_lstm(weights, root + "rnn", place_of(k, "_reverse"), in, rnn)});
    }
    projection_ = take_linear(weights, root + "proj", config_.output, 2 * rnn);
}

std::string BeplerEncoder::description() const {
    char text[200];
    std::snprintf(text, sizeof text,
                  "Bepler & Berger's model, tied language model of %d x %d units, bidirectional LSTMs of %d x %d, %d "
                  "features, %s",
                  config_.layers, config_.units, config_.rnn_layers, config_.rnn_units, config_.output,
                  precision_name(options_.precision).c_str());
    return text;
}

std::vector<std::string> BeplerEncoder::logit_names() const {
    std::vector<std::string> names;
    for (std::int64_t token = 0; token < BeplerTokenizer::other; ++token) names.push_back(BeplerTokenizer::name(token));
    return names;
}

std::vector<std::int64_t> BeplerEncoder::tokens(Protein const& protein) const {
    std::vector<std::int64_t> row{BeplerTokenizer::stop};
    for (char const letter : protein.residues) row.push_back(token(letter));
    row.push_back(BeplerTokenizer::stop);
    return row;
}

MaskedEncoder::Vocabulary BeplerEncoder::vocabulary() const { return {padding, padding}; }

MaskedEncoder::Output BeplerEncoder::forward(at::Tensor const& tokens, bool, bool, int layer) const {
    int const last = layer < 0 ? layers() : layer;
    at::Tensor const lengths = tokens.ne(padding).sum(1); // B, with both stops
    std::int64_t const width = tokens.size(1);
    ReadingOrder const order{lengths, width};
    Output output;
    // The language model, over T tokens.
    at::Tensor ahead = at::embedding(lm_embedding_, tokens.clamp_min(0)); // B x T x letters, then B x T x units
    at::Tensor back = order.reversed(ahead);
    std::vector<at::Tensor> known; // of each layer B x T x 2 units
    for (auto const& part : lm_) {
        ahead = part.run(ahead), back = part.run(back);
        known.push_back(states_beside(ahead, order.reversed(back)));
    }
    output.context = known.back();
    // The residues alone: B x (T - 2).
    at::Tensor const residues = (tokens.slice(1, 1, width - 1) - 1).clamp_min(0);
    at::Tensor const read =
        at::linear(at::cat(known, 2).slice(1, 1, width - 1), lm_projection_.weight, lm_projection_.bias);
    at::Tensor x = at::relu(at::embedding(embedding_, residues) + read); // B x (T - 2) x input
    ReadingOrder const inner{lengths - 2, width - 2};
    for (int k = 0; k < std::min(last, config_.rnn_layers); ++k) {
        auto const& part = rnn_[static_cast<std::size_t>(k)];
        x = at::cat({part.forward.run(x), inner.reversed(part.reverse.run(inner.reversed(x)))}, 2);
    }
    if (last > config_.rnn_layers) x = at::linear(x, projection_.weight, projection_.bias);
    output.hidden = at::constant_pad_nd(x, {0, 0, 1, 1}); // rows for the stops
    return output;
}

at::Tensor BeplerEncoder::token_logits(at::Tensor const& context) const {
    auto const half = [&](std::int64_t begin) {
        return at::linear(context.narrow(1, begin, config_.units), lm_output_.weight, lm_output_.bias);
    };
    return half(0) + half(config_.units);
}

} // namespace tape
