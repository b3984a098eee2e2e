#include "learn/transformer_trainee.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace tape {

TransformerTrainee::TransformerTrainee(Start start, at::Device device, at::ScalarType precision)
    : model_{std::move(start.model)}, start_hash_{std::move(start.weights_hash)}, device_{device} {
    model_.to(device);
    model_.set_compute_type(precision);
    model_.require_gradients();
}

void TransformerTrainee::refresh() {
    model_.forget_lowered();
    if (device_.is_cpu()) pass_.refresh();
}

Score TransformerTrainee::answer(std::span<Exercise const> examples, std::int64_t letters, std::int64_t columns) {
    return device_.is_cpu() ? tape::answer(model_, pass_, examples, letters, columns)
                            : tape::answer(model_, examples, letters, columns, device_);
}

double TransformerTrainee::operations(std::span<Exercise const> examples) const {
    auto const& config = model_.config();
    double const d = config.hidden, f = config.feed_forward_size();
    double forward = 0;
    for (auto const& example : examples) {
        auto const length = static_cast<double>(example.tokens.size());
        auto const asked = static_cast<double>(example.letter_places.size() + example.column_places.size());
        double const scores = (config.causal ? 2 : 4) * length * length * d;
        forward +=
            config.layers * (2 * length * (4 * d * d + 2 * d * f) + scores) + 2 * asked * d * (d + EsmTokenizer::size);
    }
    return 3 * forward;
}

nlohmann::json TransformerTrainee::shape() const {
    auto const& config = model_.config();
    nlohmann::json shape{{"hidden", config.hidden},
                         {"layers", config.layers},
                         {"heads", config.heads},
                         {"feed_forward", config.feed_forward_size()}};
    if (!start_hash_.empty()) shape["start_from"] = start_hash_;
    return shape;
}

std::string TransformerTrainee::description() const {
    auto const& config = model_.config();
    return std::string{"A pre-norm Transformer "} + (config.causal ? "(attention looks back only) " : "encoder ") +
           "of protein sequences with rotary positions: " + std::to_string(config.layers) + " layers, hidden size " +
           std::to_string(config.hidden) + ", " + std::to_string(config.heads) + " heads, feed-forward " +
           std::to_string(config.feed_forward_size()) +
           ", ESM-2's 33 tokens. `config.json` and `model.safetensors` use the names of Hugging Face's "
           "`EsmForMaskedLM`." +
           (start_hash_.empty() ? "" : " Training began from weights that were there (XXH3 " + start_hash_ + ").");
}

void TransformerTrainee::save(std::filesystem::path const& directory,
                              std::map<std::string, std::string> const& metadata) const {
    save_transformer(directory, model_, at::kFloat, metadata);
}

} // namespace tape
