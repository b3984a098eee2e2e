#include "learn/objective.hpp"

#include "data/alphabet.hpp"
#include "data/error.hpp"
#include "learn/masked_language.hpp"
#include "learn/next_token.hpp"
#include "learn/profile_prediction.hpp"
#include "learn/training_pass.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

namespace tape {
namespace {

/// Several objectives at once, on the same input; their losses add up.
class Mixture : public Objective {
  public:
    Mixture(std::unique_ptr<Objective> first, std::unique_ptr<Objective> second)
        : parts_{std::move(first), std::move(second)} {}
    [[nodiscard]] std::string description() const override {
        return parts_[0]->description() + "; and with the same weight " + parts_[1]->description();
    }
    [[nodiscard]] bool knows(std::string_view protein) const override {
        return std::ranges::any_of(parts_, [&](auto const& part) { return part->knows(protein); });
    }
    void pose(Window const& window, Random& random, Exercise& example) const override {
        for (auto const& part : parts_) part->pose(window, random, example);
    }

  private:
    std::array<std::unique_ptr<Objective>, 2> parts_;
};

/// Tokens of the 20 amino acids in the order of `amino_acids`.
at::Tensor amino_acid_tokens(at::Device device) {
    std::vector<std::int64_t> tokens;
    for (char const letter : amino_acids) tokens.push_back(EsmTokenizer::token(letter));
    return at::tensor(tokens, at::kLong).to(device);
}

/// Rows of all letters, and behind them of all columns. @param starts  row of each example's first token
at::Tensor asked_rows(std::span<Exercise const> examples, std::span<std::int64_t const> starts, at::Device device) {
    std::vector<std::int64_t> all;
    for (auto const places : {&Exercise::letter_places, &Exercise::column_places})
        for (std::size_t i = 0; i < examples.size(); ++i)
            for (auto const place : examples[i].*places) all.push_back(starts[i] + place);
    return at::tensor(all, at::kLong).to(device);
}

template <typename T> std::vector<T> joined(std::span<Exercise const> examples, std::vector<T> Exercise::*values) {
    std::vector<T> all;
    for (auto const& example : examples) all.insert(all.end(), (example.*values).begin(), (example.*values).end());
    return all;
}

/// Sums over some places: the loss with its gradient, and how many are right.
struct Sums {
    at::Tensor loss;
    Answers answers;
};

Sums sums_of(at::Tensor const& loss, at::Tensor const& right) {
    return {loss,
            {.loss = loss.item<double>(),
             .right = right.sum().item<double>(),
             .places = static_cast<double>(right.size(0))}};
}

} // namespace

void Answers::operator+=(Answers const& other) { loss += other.loss, right += other.right, places += other.places; }

std::vector<std::string> const& objective_names() {
    static std::vector<std::string> const names{"mlm", "next", "profile", "mlm+profile", "both-ways"};
    return names;
}

std::unique_ptr<Objective> make_objective(std::string const& name, std::shared_ptr<ProfileTargets const> targets) {
    bool const reads_profiles = name.find("profile") != std::string::npos;
    if (reads_profiles && !targets)
        throw usage_error{"--objective " + name + " needs --profiles: a folder of tape-msa"};
    if (!reads_profiles && targets) throw usage_error{"--profiles says nothing to --objective " + name};
    if (name == "mlm") return std::make_unique<MaskedLanguage>(MaskedLanguage::Options{});
    if (name == "next") return std::make_unique<NextToken>();
    if (name == "both-ways") return std::make_unique<BothWays>();
    if (name == "profile") return std::make_unique<ProfilePrediction>(targets);
    if (name == "mlm+profile")
        return std::make_unique<Mixture>(make_objective("mlm", {}), make_objective("profile", targets));
    throw usage_error{"unknown objective '" + name + "'" + did_you_mean(name, objective_names()) +
                      ": choose mlm, next, profile, mlm+profile or both-ways"};
}

std::vector<Exercise> pose(Objective const& objective, std::span<Window const> windows, Random random) {
    std::vector<Exercise> examples;
    for (auto const& window : windows) {
        examples.push_back(
            {.tokens = window.tokens, .letter_places = {}, .letters = {}, .column_places = {}, .frequencies = {}});
        objective.pose(window, random, examples.back());
    }
    return examples;
}

namespace {

/// The loss of hidden states at the asked rows; with gradients enabled, theirs and the head's are added.
/// @param hidden  M x D: of the letters, and behind them of the columns
Score answer_at(Transformer const& model, at::Tensor const& hidden, std::span<Exercise const> examples,
                std::int64_t letters, std::int64_t columns) {
    at::Device const device = hidden.device();
    Score score;
    at::Tensor loss; // of this share
    auto const add = [&](Sums const& sums, Answers& into, std::int64_t places) {
        into = sums.answers;
        at::Tensor const share = sums.loss / static_cast<double>(places);
        loss = loss.defined() ? loss + share : share;
    };
    auto const answers = joined(examples, &Exercise::letters);
    auto const letter_count = std::ssize(answers);
    if (letter_count > 0) {
        at::Tensor const logits = model.logits(hidden.slice(0, 0, letter_count)); // M x 33
        at::Tensor const targets = at::tensor(answers, at::kLong).to(device);     // M
        add(sums_of(at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum), at::argmax(logits, 1).eq(targets)),
            score.letters, letters);
    }
    if (auto const frequencies = joined(examples, &Exercise::frequencies); !frequencies.empty()) {
        at::Tensor const logits = model.logits(hidden.slice(0, letter_count)); // M x 33
        at::Tensor const expected =
            at::tensor(frequencies, at::kFloat).to(device).view({-1, amino_acid_count});                    // M x 20
        at::Tensor const predicted = at::log_softmax(logits, 1).index_select(1, amino_acid_tokens(device)); // M x 20
        add(sums_of(-(expected * predicted).sum(), at::argmax(predicted, 1).eq(at::argmax(expected, 1))), score.columns,
            columns);
    }
    if (loss.defined() && loss.requires_grad()) loss.backward();
    return score;
}

} // namespace

Score answer(Transformer const& model, std::span<Exercise const> examples, std::int64_t letters, std::int64_t columns,
             at::Device device) {
    if (examples.empty()) return {};
    std::vector<std::vector<std::int64_t>> rows;
    for (auto const& example : examples) rows.push_back(example.tokens);
    auto const batch = TokenBatch::from(rows, device);
    std::vector<std::int64_t> starts;
    for (std::size_t row = 0; row < rows.size(); ++row)
        starts.push_back(static_cast<std::int64_t>(row) * batch.tokens.size(1));
    at::Tensor const hidden = model.forward(batch).hidden.flatten(0, 1); // B T x D
    return answer_at(model, hidden.index_select(0, asked_rows(examples, starts, device)), examples, letters, columns);
}

Score answer(Transformer const& model, TrainingPass& pass, std::span<Exercise const> examples, std::int64_t letters,
             std::int64_t columns) {
    if (examples.empty()) return {};
    PackedTokens batch;
    for (auto const& example : examples) batch.append(example.tokens);
    at::Tensor const places = asked_rows(examples, batch.starts, at::kCPU);
    at::Tensor const stream = pass.forward(batch).index_select(0, places); // M x D
    bool const learns = at::GradMode::is_enabled();
    stream.requires_grad_(learns);
    Score const score = answer_at(model, model.final_norm(stream), examples, letters, columns);
    if (learns && stream.grad().defined()) pass.backward(places, stream.grad());
    return score;
}

std::span<Exercise const> part_of(std::span<Exercise const> examples, std::size_t index, std::size_t count) {
    std::size_t total = 0;
    for (auto const& example : examples) total += example.tokens.size();
    // An example belongs to the part that its middle falls into.
    std::size_t begin = examples.size(), end = examples.size(), before = 0;
    for (std::size_t i = 0; i < examples.size(); ++i) {
        std::size_t const tokens = examples[i].tokens.size();
        std::size_t const part = (2 * before + tokens) * count / (2 * total);
        before += tokens;
        if (part >= index) begin = std::min(begin, i);
        if (part > index) end = std::min(end, i);
    }
    return examples.subspan(begin, end - begin);
}

} // namespace tape
