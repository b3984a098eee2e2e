#pragma once

#include "learn/named_tensors.hpp"
#include "learn/objective.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tape {

/// A network that is being trained: what the trainer (learn/pretrain.cpp) asks of it.
class Trainee {
  public:
    virtual ~Trainee() = default;

    /// Leaves to be trained, in a fixed order.
    [[nodiscard]] virtual std::vector<Parameter> parameters() const = 0;
    /// Reads the parameters anew, after each change of them.
    virtual void refresh() = 0;
    /// As `answer` of learn/objective.hpp.
    [[nodiscard]] virtual Score answer(std::span<Exercise const> examples, std::int64_t letters,
                                       std::int64_t columns) = 0;
    /// Floating-point operations of the matrix products, forward and backward, of a step on these examples.
    [[nodiscard]] virtual double operations(std::span<Exercise const> examples) const = 0;

    /// Everything that decides its shape and what training begins from, by name.
    [[nodiscard]] virtual nlohmann::json shape() const = 0;
    /// "Transformer", and a sentence or two for the model card.
    [[nodiscard]] virtual std::string kind() const = 0;
    [[nodiscard]] virtual std::string description() const = 0;
    /// Writes DIR/config.json and DIR/model.safetensors, float32.
    virtual void save(std::filesystem::path const& directory,
                      std::map<std::string, std::string> const& metadata) const = 0;
};

std::int64_t parameter_count(Trainee const& trainee);

/// What to train; sizes of 0 are those of the preset `size`.
struct TraineeOptions {
    std::string model = "transformer"; ///< or "lstm"
    std::string size = "8M", objective = "mlm";
    int hidden = 0, layers = 0, heads = 0, feed_forward = 0;
    std::uint64_t seed = 0;
    std::filesystem::path start_from = {}; ///< folder of a Transformer's weights; empty: drawn from the seed
};
/// A network, fresh or as it was. @throws usage_error for an unknown or impossible size, or an objective that it cannot
/// be trained for; data_error for weights that cannot be read
std::unique_ptr<Trainee> make_trainee(TraineeOptions const& options, at::Device device, at::ScalarType precision);

} // namespace tape
