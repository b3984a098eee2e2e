#include "learn/vocabulary_encoder.hpp"

#include "data/hash.hpp"
#include "learn/checkpoint.hpp"
#include "learn/device.hpp"

#include <c10/core/InferenceMode.h>
#include <nlohmann/json.hpp>

namespace tape {

std::string VocabularyEncoder::read_shape(
    std::filesystem::path const& model,
    std::function<void(nlohmann::json const& json, std::string const& origin)> const& use) const {
    if (model.empty()) return "published shape";
    auto const json = read_config(folder_of(model));
    std::string const origin = (folder_of(model) / "config.json").string();
    use(json, origin);
    words_.require_size(json, origin);
    return json.dump();
}

void VocabularyEncoder::load(Source const& source,
                             std::function<NamedTensors(std::int64_t vocabulary, std::uint64_t seed)> const& draw,
                             std::function<void(WeightReader&)> const& take) {
    std::string what = source.shape;
    Checkpoint checkpoint; // stays mapped until its tensors are taken
    if (source.seed) {
        checkpoint.tensors = draw(static_cast<std::int64_t>(words_.names.size()), *source.seed);
        what += " drawn from seed " + std::to_string(*source.seed);
    } else {
        checkpoint = read_checkpoint(source.model);
        what += checkpoint.hashes;
    }
    c10::InferenceMode const inference;
    WeightReader weights{std::move(checkpoint.tensors), source.model.string()};
    take(weights);
    unused_ = weights.unused();
    hash_ = tape::content_hash(what + precision_name(options_.precision) + source.version);
}

} // namespace tape
