#include "learn/objective.hpp"
#include "learn/training_pass.hpp"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

namespace tape {
namespace {

/// Proteins of many lengths, some of which fill several blocks of queries, with questions of both kinds.
std::vector<Exercise> made_examples(std::uint64_t seed) {
    Random random{seed};
    std::vector<Exercise> examples;
    for (std::size_t const length : {1U, 31U, 32U, 33U, 80U, 700U, 5U}) {
        Exercise example{
            .tokens = {EsmTokenizer::cls}, .letter_places = {}, .letters = {}, .column_places = {}, .frequencies = {}};
        for (std::size_t i = 0; i < length; ++i) {
            auto const place = static_cast<std::int64_t>(example.tokens.size());
            example.tokens.push_back(4 + static_cast<std::int64_t>(random.below(20)));
            if (random.below(4) == 0)
                example.letter_places.push_back(place),
                    example.letters.push_back(4 + static_cast<std::int64_t>(random.below(20)));
            if (random.below(5) != 0) continue;
            example.column_places.push_back(place);
            for (int k = 0; k < 20; ++k) example.frequencies.push_back(k < 2 ? 0.5F : 0.0F);
        }
        example.tokens.push_back(EsmTokenizer::eos);
        examples.push_back(std::move(example));
    }
    return examples;
}

struct Case {
    int hidden, heads, feed_forward;
    bool causal;
    at::ScalarType type;
};

void randomise(Transformer& model) {
    at::NoGradGuard const no_gradients;
    std::uint64_t seed = 0;
    for (auto const& parameter : model.parameters()) { // also biases and norms, which begin at 0 and 1
        Random random{++seed};
        at::Tensor const flat = parameter.value.detach().view({-1});
        for (std::int64_t i = 0; i < flat.numel(); ++i)
            flat.data_ptr<float>()[i] += static_cast<float>(0.2 * (random.uniform() - 0.5));
    }
}

class PassAgainstAutograd : public testing::TestWithParam<Case> {};

TEST_P(PassAgainstAutograd, GivesTheSameLossAndGradients) {
    auto const [hidden, heads, feed_forward, causal, type] = GetParam();
    Transformer model{{.hidden = hidden, .layers = 2, .heads = heads, .feed_forward = feed_forward, .causal = causal},
                      3};
    randomise(model);
    model.set_compute_type(type);
    model.require_gradients();
    auto const examples = made_examples(11);
    std::int64_t letters = 0, columns = 0;
    for (auto const& example : examples)
        letters += std::ssize(example.letters), columns += std::ssize(example.column_places);
    // One example at a time: no padding on either side.
    Score expected, got;
    for (auto const& example : examples) expected += answer(model, std::span{&example, 1}, letters, columns, at::kCPU);
    std::vector<at::Tensor> gradients;
    for (auto const& parameter : model.parameters()) {
        gradients.push_back(parameter.value.grad().clone());
        at::Tensor{parameter.value.grad()}.zero_();
    }
    TrainingPass pass{model};
    pass.refresh();
    for (std::size_t part = 0; part < 2; ++part) // the second part uses memory that the first has filled
        got += answer(model, pass, part_of(examples, part, 2), letters, columns);
    double const tolerance = type == at::kFloat ? 2e-6 : 0.03;
    EXPECT_NEAR(got.loss(), expected.loss(), tolerance * expected.loss());
    EXPECT_EQ(got.letters.places, expected.letters.places);
    std::size_t i = 0;
    for (auto const& parameter : model.parameters()) {
        at::Tensor const& wanted = gradients[i++];
        double const size = wanted.norm().item<double>(),
                     error = (parameter.value.grad() - wanted).norm().item<double>();
        EXPECT_GT(size, 0) << parameter.name;
        // The bias of keys has no gradient but by rounding, so the bias of all three is measured as a whole.
        EXPECT_LT(error, tolerance * (size + 1e-4)) << parameter.name << " of norm " << size;
    }
    at::NoGradGuard const no_gradients; // validation leaves gradients alone
    Score const again = answer(model, pass, examples, letters, columns);
    EXPECT_NEAR(again.loss(), got.loss(), tolerance * got.loss());
    EXPECT_EQ(again.letters.right, got.letters.right);
}

INSTANTIATE_TEST_SUITE_P(Shapes, PassAgainstAutograd,
                         testing::Values(Case{32, 4, 0, false, at::kFloat}, Case{32, 4, 0, true, at::kFloat},
                                         Case{40, 2, 72, false, at::kFloat}, Case{64, 4, 0, false, at::kBFloat16},
                                         Case{64, 4, 0, true, at::kBFloat16}, Case{48, 2, 100, false, at::kBFloat16},
                                         Case{32, 4, 0, false, at::kBFloat16}, Case{128, 2, 0, true, at::kBFloat16}));

} // namespace
} // namespace tape
