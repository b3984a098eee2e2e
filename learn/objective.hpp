#pragma once

#include "learn/batch_sampler.hpp"
#include "learn/random.hpp"
#include "learn/transformer.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tape {

class ProfileTargets;
class TrainingPass;

/// What is read and what is to be predicted of one window. Places count its tokens from 0.
struct Exercise {
    std::vector<std::int64_t> tokens;
    std::vector<std::int64_t> letter_places, letters; ///< places whose answer is one token
    std::vector<std::int64_t> column_places;          ///< places whose answer is a distribution
    std::vector<float> frequencies;                   ///< 20 of each of those, in the order ACDEFGHIKLMNPQRSTVWY
};

/// What a network is trained for. All of a Transformer's share the language-model head, so the weights of every one are
/// a whole `Transformer`.
class Objective {
  public:
    virtual ~Objective() = default;
    /// For the model card.
    [[nodiscard]] virtual std::string description() const = 0;
    /// Whether a network trained for it must not look ahead.
    [[nodiscard]] virtual bool causal() const { return false; }
    /// Whether it has something to ask of this protein.
    [[nodiscard]] virtual bool knows(std::string_view /*protein*/) const { return true; }
    /// Adds its questions to an example that holds the window's tokens, and changes what is read.
    virtual void pose(Window const& window, Random& random, Exercise& example) const = 0;
};

/// "mlm", "next", "profile" or "mlm+profile" of a Transformer, "both-ways" of an LSTM.
std::vector<std::string> const& objective_names();
/// @param targets  for "profile", shared by the objective
/// @throws usage_error naming the choices, or if the targets are missing or not used
std::unique_ptr<Objective> make_objective(std::string const& name, std::shared_ptr<ProfileTargets const> targets);

/// The questions of a batch, drawn from one stream.
std::vector<Exercise> pose(Objective const& objective, std::span<Window const> windows, Random random);

/// Answers of one kind: sums over the places, so that the parts of a batch add up.
struct Answers {
    double loss = 0;  ///< cross-entropy, nats
    double right = 0; ///< places where the most probable residue is the right one (or the column's most frequent)
    double places = 0;
    void operator+=(Answers const& other);
    [[nodiscard]] double mean_loss() const { return places > 0 ? loss / places : 0; }
    [[nodiscard]] double accuracy() const { return places > 0 ? right / places : 0; }
};
struct Score {
    Answers letters, columns;
    void operator+=(Score const& other) { letters += other.letters, columns += other.columns; }
    /// The loss that is trained on: the mean over letters and the mean over columns, added.
    [[nodiscard]] double loss() const { return letters.mean_loss() + columns.mean_loss(); }
};

/// Runs the network on some examples of a batch. With gradients enabled it adds those of their share of the loss, which
/// is the sum of the means over `letters` and over `columns` places.
/// @param letters, columns  places in the whole batch
Score answer(Transformer const& model, std::span<Exercise const> examples, std::int64_t letters, std::int64_t columns,
             at::Device device);

/// The same by a pass over the sequences without padding, which must have been refreshed: on the CPU.
Score answer(Transformer const& model, TrainingPass& pass, std::span<Exercise const> examples, std::int64_t letters,
             std::int64_t columns);

/// Part `index` of `count` of a batch: consecutive examples, about the same number of tokens in each part.
std::span<Exercise const> part_of(std::span<Exercise const> examples, std::size_t index, std::size_t count);

} // namespace tape
