#include "align/profile.hpp"
#include "align/substitution.hpp"
#include "data/error.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

namespace tape {
namespace {

Msa alignment(std::vector<std::string> const& rows) {
    Msa msa;
    for (std::size_t r = 0; r < rows.size(); ++r)
        msa.rows.push_back(
            {.id = "r" + std::to_string(r), .description = {}, .columns = encode_residues(rows[r]), .insertions = {}});
    return msa;
}

/// Rows related to the first one at random identity, with end gaps, inner gaps and unknown residues.
Msa random_alignment(unsigned seed, std::size_t depth, std::size_t length) {
    std::mt19937 random{seed};
    Msa msa;
    for (std::size_t r = 0; r < depth; ++r) {
        MsaRow row{
            .id = std::to_string(r), .description = {}, .columns = std::vector<Residue>(length), .insertions = {}};
        std::size_t const parent = r > 0 ? random() % r : 0;
        double const divergence = std::uniform_real_distribution{0.0, 0.5}(random);
        std::size_t const begin = r > 0 && random() % 3 == 0 ? random() % length : 0;
        for (std::size_t c = 0; c < length; ++c) {
            bool const drawn = r == 0 || std::uniform_real_distribution{}(random) < divergence;
            row.columns[c] = drawn ? static_cast<Residue>(random() % 20) : msa.rows[parent].columns[c];
            if (r > 0 && (c < begin || random() % 20 == 0)) row.columns[c] = gap_code;
            if (random() % 40 == 0) row.columns[c] = unknown_code;
        }
        msa.rows.push_back(row);
    }
    return msa;
}

TEST(HenikoffWeights, PublishedExample) {
    // Henikoff & Henikoff 1994, the four sequences of their figure: .267 .267 .200 .267.
    auto const weights = henikoff_weights(alignment({"GYVGS", "GFDGF", "GYDGF", "GYQGG"}));
    ASSERT_EQ(weights.size(), 4u);
    double const expected[] = {4 / 15.0, 4 / 15.0, 3 / 15.0, 4 / 15.0};
    for (int r = 0; r < 4; ++r) EXPECT_NEAR(weights[r] / 4, expected[r], 1e-6) << r;
}

TEST(HenikoffWeights, CopiesShareTheirWeightAndGapsHaveNone) {
    auto const copies = henikoff_weights(alignment({"ACDE", "ACDE", "ACDE", "WWWW"}));
    EXPECT_NEAR(copies[0] + copies[1] + copies[2], 2, 1e-5);
    EXPECT_NEAR(copies[3], 2, 1e-5);
    auto const fragment = henikoff_weights(alignment({"ACDE", "FGHI", "K---", "----"}));
    EXPECT_GT(fragment[0], fragment[2]);
    EXPECT_EQ(fragment[3], 0);
    EXPECT_NEAR(std::accumulate(fragment.begin(), fragment.end(), 0.0), 4, 1e-5);
    EXPECT_EQ(henikoff_weights(alignment({"X"})), std::vector<float>{0.f});
}

TEST(HenikoffWeights, UnequalRowsAreRefused) {
    EXPECT_THROW((void)henikoff_weights(alignment({"ACD", "AC"})), data_error);
    EXPECT_THROW((void)identity_weights(alignment({"ACD", "AC"})), data_error);
    EXPECT_THROW((void)make_profile(alignment({"ACD", "AC"})), data_error);
}

/// Straight from the definition, pair by pair.
std::vector<float> slow_identity_weights(Msa const& msa, int matches_of_both_percent) {
    std::vector<float> weights;
    for (auto const& a : msa.rows) {
        int similar = 0;
        for (auto const& b : msa.rows) {
            int both = 0, matches = 0;
            for (std::size_t c = 0; c < a.columns.size(); ++c)
                if (a.columns[c] < 20 && b.columns[c] < 20) ++both, matches += a.columns[c] == b.columns[c];
            similar += &a == &b || (both > 0 && 100 * matches >= matches_of_both_percent * both);
        }
        weights.push_back(1.f / static_cast<float>(similar));
    }
    return weights;
}

TEST(IdentityWeights, EqualBruteForceForAnyThreadCount) {
    for (auto const& [depth, length] : {std::pair{1, 1}, {7, 5}, {300, 63}, {300, 64}, {150, 65}, {400, 200}}) {
        Msa const msa = random_alignment(static_cast<unsigned>(depth + length), static_cast<std::size_t>(depth),
                                         static_cast<std::size_t>(length));
        for (int const percent : {40, 62, 80, 90, 100}) {
            auto const expected = slow_identity_weights(msa, percent);
            for (int const threads : {1, 2, 5})
                EXPECT_EQ(identity_weights(msa, percent / 100.0, threads), expected) << depth << " " << percent;
        }
    }
}

TEST(IdentityWeights, FourOfFiveIsEightyPercent) {
    EXPECT_EQ(identity_weights(alignment({"ACDEF", "ACDEG"}), 0.8), (std::vector<float>{0.5f, 0.5f}));
    EXPECT_EQ(identity_weights(alignment({"ACDEF", "ACDGG"}), 0.8), (std::vector<float>{1.f, 1.f}));
    EXPECT_EQ(identity_weights(alignment({"ACDEF", "-----"}), 0.8), (std::vector<float>{1.f, 1.f}));
}

TEST(Profile, KnownEntropies) {
    // With equal weights: one residue 0, two halves log 2, four quarters log 4; gaps do not count.
    std::vector<float> const ones(4, 1.f);
    auto const profile = make_profile(alignment({"AAA-C", "ACC-C", "AAD-C", "ACE--"}), ones);
    EXPECT_NEAR(profile.entropy[0], 0, 1e-6);
    EXPECT_NEAR(profile.entropy[1], std::log(2.0), 1e-6);
    EXPECT_NEAR(profile.entropy[2], std::log(4.0), 1e-6);
    EXPECT_NEAR(profile.entropy[3], 0, 1e-6);
    EXPECT_NEAR(profile.gap_fraction[3], 1, 1e-6);
    EXPECT_NEAR(profile.gap_fraction[4], 0.25, 1e-6);
    EXPECT_NEAR(profile.counts(1, 0), 0.5, 1e-6);
    EXPECT_NEAR(profile.neff_entropy, std::exp((std::log(2.0) + std::log(4.0)) / 5), 1e-5);
    // A column without residues has the background's frequencies.
    for (int a = 0; a < 20; ++a) EXPECT_NEAR(profile.frequencies(3, a), background_frequencies[a], 1e-6);
}

TEST(Profile, RowsSumToOneAndScoresAreLogOdds) {
    Msa const msa = random_alignment(3, 120, 90);
    auto const profile = make_profile(msa);
    for (Eigen::Index c = 0; c < 90; ++c) {
        EXPECT_NEAR(profile.counts.row(c).sum(), 1, 1e-5);
        EXPECT_NEAR(profile.frequencies.row(c).sum(), 1, 1e-5);
        EXPECT_GT(profile.frequencies.row(c).minCoeff(), 0);
        for (int a = 0; a < 20; ++a)
            EXPECT_NEAR(profile.scores(c, a), std::log2(profile.frequencies(c, a) / background_frequencies[a]), 1e-4);
        EXPECT_GE(profile.neff_column[c], 1);
        EXPECT_LE(profile.neff_column[c], 20.001);
    }
    auto const weights = identity_weights(msa);
    EXPECT_NEAR(profile.neff_identity, std::accumulate(weights.begin(), weights.end(), 0.0), 1e-3);
}

TEST(Profile, PseudocountsMixTowardTheSubstitutionMatrix) {
    // Neff is 1 for a single sequence, so tau = 1.1 / (1 + 1 / 4.1) and the rest is the residue itself.
    auto const profile = make_profile(alignment({std::string{amino_acids}}));
    double const tau = 1.1 / (1 + 1 / 4.1);
    auto const& conditional = blosum62_conditional();
    double covariance = 0, profile_square = 0, matrix_square = 0;
    for (int i = 0; i < 20; ++i) {
        EXPECT_NEAR(profile.neff_column[i], 1, 1e-6);
        for (int a = 0; a < 20; ++a) {
            EXPECT_NEAR(profile.frequencies(i, a), (1 - tau) * (a == i) + tau * conditional[i][a], 1e-5);
            covariance += profile.scores(i, a) * blosum62[i][a];
            profile_square += std::pow(profile.scores(i, a), 2), matrix_square += std::pow(blosum62[i][a], 2);
        }
    }
    EXPECT_GT(covariance / std::sqrt(profile_square * matrix_square), 0.97);
    EXPECT_EQ(profile.neff_identity, 1);
}

TEST(Profile, DeepAlignmentsFollowTheirCounts) {
    Msa const msa = random_alignment(11, 2000, 30);
    auto const profile = make_profile(msa, {.neff_identity = false});
    double const tau = std::min(1.0, 1.1 / (1 + profile.neff_column[0] / 4.1));
    EXPECT_LT(tau, 0.45);
    EXPECT_LT((profile.counts - profile.frequencies).cwiseAbs().maxCoeff(), tau);
}

/// Neff of a column from its definition, with a pass over all rows for every column.
std::vector<double> slow_neff(Msa const& msa) {
    auto const weights = henikoff_weights(msa);
    std::size_t const length = msa.length();
    std::vector<double> result;
    for (std::size_t i = 0; i < length; ++i) {
        std::vector<std::array<double, 20>> counts(length);
        std::vector<double> spanning(length);
        double total = 0;
        for (std::size_t r = 0; r < msa.depth(); ++r) {
            auto const& row = msa.rows[r].columns;
            std::size_t begin = 0, end = length;
            while (begin < end && row[begin] >= 20) ++begin;
            while (end > begin && row[end - 1] >= 20) --end;
            if (i < begin || i >= end) continue;
            total += weights[r];
            for (std::size_t c = begin; c < end; ++c) {
                spanning[c] += weights[r];
                if (row[c] < 20) counts[c][row[c]] += weights[r];
            }
        }
        double entropy = 0, columns = 0;
        for (std::size_t c = 0; c < length; ++c) {
            double const sum = std::accumulate(counts[c].begin(), counts[c].end(), 0.0);
            if (spanning[c] < 0.9 * total) continue;
            ++columns;
            for (double v : counts[c])
                if (v > 0) entropy -= v / sum * std::log(v / sum);
        }
        result.push_back(columns < 20 ? -1 : std::exp(entropy / columns));
    }
    return result;
}

TEST(Profile, ColumnNeffEqualsItsDefinition) {
    // Changes below 0.5% of the weight are carried over from the column before; with 12 rows there are none.
    for (auto const& [depth, tolerance] : {std::pair{12u, 1e-4}, {200u, 0.02}}) {
        Msa const msa = random_alignment(5, depth, 120);
        auto const profile = make_profile(msa);
        auto const expected = slow_neff(msa);
        for (std::size_t c = 0; c < 120; ++c) {
            double const neff = expected[c] < 0 ? profile.neff_entropy : expected[c];
            EXPECT_NEAR(profile.neff_column[c], neff, tolerance * neff) << c;
        }
    }
}

TEST(Profile, DepthOfAColumnCounts) {
    // 50 divergent rows cover the first half only: the second half is worth one sequence.
    Msa msa = random_alignment(9, 51, 100);
    for (std::size_t r = 1; r < msa.depth(); ++r)
        for (std::size_t c = 50; c < 100; ++c) msa.rows[r].columns[c] = gap_code;
    auto const profile = make_profile(msa);
    EXPECT_GT(profile.neff_column[20], 2);
    EXPECT_NEAR(profile.neff_column[80], 1, 1e-6);
}

} // namespace
} // namespace tape
