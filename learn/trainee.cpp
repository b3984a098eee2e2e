#include "learn/trainee.hpp"

#include "data/error.hpp"
#include "learn/lstm_trainee.hpp"
#include "learn/transformer_trainee.hpp"

#include <utility>

namespace tape {
namespace {

TransformerConfig transformer_of(TraineeOptions const& options) {
    TransformerConfig config = transformer_preset(options.size);
    if (options.hidden) config.hidden = options.hidden;
    if (options.layers) config.layers = options.layers;
    if (options.heads) config.heads = options.heads;
    if (options.feed_forward) config.feed_forward = options.feed_forward;
    config.causal = options.objective == "next";
    check(config);
    return config;
}

TransformerTrainee::Start loaded_from(TraineeOptions const& options) {
    auto const folder = options.start_from.string();
    if (options.hidden || options.layers || options.heads || options.feed_forward)
        throw usage_error{"the network's shape is that of --start-from " + folder +
                          ": leave out --hidden, --layers, --heads and --feed-forward"};
    auto loaded = load_transformer(options.start_from);
    auto const& config = loaded.model.config();
    if (config.token_dropout)
        throw usage_error{"--start-from " + folder + ": networks with token dropout (ESM-2) cannot be trained"};
    if (config.causal != (options.objective == "next"))
        throw usage_error{"--start-from " + folder + ": its attention " +
                          (config.causal ? "looks back only, which is for --objective next"
                                         : "looks both ways, which is not for --objective next")};
    return {std::move(loaded.model), std::move(loaded.content_hash)};
}

TapeLstmConfig lstm_of(TraineeOptions const& options) {
    if (options.heads || options.feed_forward)
        throw usage_error{"--heads and --feed-forward say nothing to --model lstm"};
    TapeLstmConfig config = tape_lstm_preset(options.size);
    if (options.hidden) config.hidden = options.hidden;
    if (options.layers) config.layers = options.layers;
    return config;
}

} // namespace

std::int64_t parameter_count(Trainee const& trainee) {
    std::int64_t count = 0;
    for (auto const& parameter : trainee.parameters()) count += parameter.value.numel();
    return count;
}

std::unique_ptr<Trainee> make_trainee(TraineeOptions const& options, at::Device device, at::ScalarType precision) {
    bool const recurrent = options.model == "lstm";
    if (!recurrent && options.model != "transformer")
        throw usage_error{"unknown model '" + options.model + "': choose transformer or lstm"};
    if (recurrent != (options.objective == "both-ways"))
        throw usage_error{recurrent ? "--model lstm is trained for --objective both-ways, not for " + options.objective
                                    : "--objective both-ways is that of --model lstm"};
    if (recurrent && !options.start_from.empty()) throw usage_error{"--start-from takes the weights of a Transformer"};
    if (recurrent) return std::make_unique<LstmTrainee>(lstm_of(options), options.seed, device, precision);
    auto start = options.start_from.empty()
                     ? TransformerTrainee::Start{Transformer{transformer_of(options), options.seed}, ""}
                     : loaded_from(options);
    return std::make_unique<TransformerTrainee>(std::move(start), device, precision);
}

} // namespace tape
