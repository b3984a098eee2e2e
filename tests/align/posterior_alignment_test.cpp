#include "align/posterior_alignment.hpp"

#include "tests/align/random_model.hpp"
#include "tests/align/random_proteins.hpp"

#include <cmath>

namespace tape {
namespace {

constexpr GapProbabilities gaps{.open = 0.016, .extend = 0.7};

/// Largest sum of (probability - threshold) over the pairs of any alignment, by the plain recurrence.
double best_sum(std::vector<double> const& probabilities, std::size_t nodes, std::size_t residues, double threshold) {
    std::vector<double> best(residues + 1, 0);
    for (std::size_t k = 0; k < nodes; ++k) {
        double diagonal = 0;
        for (std::size_t j = 0; j < residues; ++j) {
            double const with = diagonal + probabilities[k * residues + j] - threshold;
            diagonal = best[j + 1];
            best[j + 1] = std::max({best[j + 1], best[j], with});
        }
    }
    return best[residues];
}

/// The same sum along an alignment; checks that its operations lead from begin to end.
double sum_along(Alignment const& alignment, std::vector<double> const& probabilities, std::size_t residues,
                 double threshold) {
    double sum = 0;
    auto k = static_cast<std::size_t>(alignment.query_begin), j = static_cast<std::size_t>(alignment.target_begin);
    for (char const operation : alignment.operations) {
        if (operation == 'M') sum += probabilities[k * residues + j] - threshold;
        k += operation != 'I', j += operation != 'D';
    }
    EXPECT_EQ(k, static_cast<std::size_t>(alignment.query_end));
    EXPECT_EQ(j, static_cast<std::size_t>(alignment.target_end));
    return sum;
}

/// log2(1 + odds / 256) of the residues under the nodes' mean emissions, both weighted by probability.
double composition_bits(ForwardModel const& model, std::span<Residue const> target,
                        std::vector<double> const& probabilities) {
    std::vector<double> mean(amino_acid_count, 0), aligned(target.size(), 0);
    double weight = 0;
    for (std::size_t k = 0; k < model.length(); ++k)
        for (std::size_t j = 0; j < target.size(); ++j) {
            double const probability = probabilities[k * target.size() + j];
            aligned[j] += probability, weight += probability;
            for (std::size_t code = 0; code < mean.size(); ++code)
                mean[code] += probability * static_cast<double>(model.odds[k * ForwardModel::row_width + code]);
        }
    double bits = 0;
    for (std::size_t j = 0; j < target.size(); ++j)
        if (target[j] < amino_acid_count) bits += aligned[j] * std::log2(mean[target[j]] / weight);
    return std::log2(1 + std::exp2(bits) / 256);
}

TEST(PosteriorAlignment, HasTheLargestSumOnEverySimdTarget) {
    std::mt19937_64 random{21};
    for (std::size_t const nodes : {1, 2, 40, 200}) {
        auto const query = test::random_protein(random, nodes, 0);
        auto const model = nodes == 40 ? test::random_model(random, 40)
                                       : make_forward_model(sequence_scores(query, {.composition_bias = false}), gaps);
        std::vector<std::vector<Residue>> proteins;
        while (proteins.size() < 19) {
            auto protein = test::random_protein(random, 5 + 9 * proteins.size(), 0.02);
            if (auto const kin = test::mutated(random, query, 0.3); proteins.size() % 3 != 0)
                protein.insert(protein.begin() + 3, kin.begin(), kin.end());
            proteins.push_back(std::move(protein));
        }
        std::vector<std::span<Residue const>> const targets(proteins.begin(), proteins.end());
        std::vector<std::string> expected;
        test::for_each_simd_target([&] {
            auto const alignments = posterior_alignments(model, targets);
            ASSERT_EQ(alignments.size(), targets.size());
            std::vector<std::string> operations;
            for (std::size_t i = 0; i < targets.size(); ++i) {
                auto const probabilities = pair_probabilities_reference(model, targets[i]);
                double const best = best_sum(probabilities, nodes, targets[i].size(), pair_threshold);
                EXPECT_NEAR(sum_along(alignments[i].alignment, probabilities, targets[i].size(), pair_threshold), best,
                            1e-3 * (1 + best))
                    << nodes << " nodes, target " << i;
                operations.push_back(alignments[i].alignment.operations);
                EXPECT_NEAR(alignments[i].composition_bits, composition_bits(model, targets[i], probabilities), 2e-3);
            }
            if (expected.empty()) expected = operations;
            EXPECT_EQ(operations, expected);
        });
    }
}

TEST(PosteriorAlignment, ProbabilitiesAddUpToThePairsOfAllAlignments) {
    std::mt19937_64 random{22};
    auto const model = test::random_model(random, 12);
    auto const target = test::random_protein(random, 15, 0);
    auto const probabilities = pair_probabilities_reference(model, target);
    for (std::size_t k = 0; k < 12; ++k) {
        double row = 0;
        for (std::size_t j = 0; j < target.size(); ++j) {
            EXPECT_GE(probabilities[k * target.size() + j], 0);
            row += probabilities[k * target.size() + j];
        }
        EXPECT_LE(row, 1 + 1e-12);
    }
    // One node and one residue: there is but one alignment.
    auto const single = test::random_model(random, 1);
    EXPECT_NEAR(pair_probabilities_reference(single, std::span{target}.first(1)).front(), 1, 1e-12);
}

TEST(PosteriorAlignment, CompositionExplainsBiasedPairsAlone) {
    std::mt19937_64 random{25};
    std::vector<Residue> const acidic(60, residue_code('E'));
    auto const mixed = test::random_protein(random, 60, 0);
    auto const of = [](std::vector<Residue> const& query) {
        auto const scores = sequence_scores(query, {.composition_bias = false, .mask_low_complexity = false});
        std::span<Residue const> const itself{query};
        return posterior_alignments(make_forward_model(scores, gaps), std::span{&itself, 1}).front().composition_bits;
    };
    EXPECT_GT(of(acidic), 60) << "all that the sequence has";
    EXPECT_LT(of(mixed), 3);
}

TEST(PosteriorAlignment, LongRelativesPassTheRangeOfFloats) {
    std::mt19937_64 random{23};
    auto const query = test::random_protein(random, 700, 0);
    auto const model = make_forward_model(sequence_scores(query, {.composition_bias = false}), gaps);
    std::vector<Residue> protein = query;
    protein.erase(protein.begin() + 350, protein.begin() + 360);
    std::vector<std::span<Residue const>> const targets{protein, query};
    auto const alignments = posterior_alignments(model, targets);
    EXPECT_EQ(alignments[1].alignment.operations, std::string(700, 'M')) << "more than 1,000 bits";
    EXPECT_EQ(std::ranges::count(alignments[0].alignment.operations, 'D'), 10);
    EXPECT_GE(std::ranges::count(alignments[0].alignment.operations, 'M'), 680);
}

TEST(PosteriorAlignment, SaysNothingOfUnrelatedEmptyAndEndlessTargets) {
    std::mt19937_64 random{24};
    auto const query = test::random_protein(random, 2000, 0);
    auto const model = make_forward_model(sequence_scores(query), gaps);
    std::vector<Residue> const endless(posterior_alignment_cells / 2000 + 1, Residue{3});
    std::vector<std::span<Residue const>> const targets{{}, endless};
    for (auto const& alignment : posterior_alignments(model, targets)) EXPECT_TRUE(alignment.alignment.operations.empty());
    EXPECT_TRUE(posterior_alignments(model, {}).empty());
}

} // namespace
} // namespace tape
