#include "align/pair_posteriors.hpp"
#include "data/error.hpp"

#include "tests/align/random_proteins.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace tape {
namespace {

using Sequence = std::vector<Residue>;

/// Every path of the model through two short sequences, one by one.
class Enumeration {
  public:
    Enumeration(Sequence const& x, Sequence const& y, PairModel const& model)
        : x_{x}, y_{y}, model_{model}, through_(x.size() * y.size()) {
        walk(0, 0, -1, 1);
    }
    [[nodiscard]] double posterior(std::size_t i, std::size_t j) const { return through_[i * y_.size() + j] / total_; }

  private:
    // States: 0 pair, 1 short gap (x), 2 short gap (y), 3 long gap (x), 4 long gap (y); -1 before the first.
    [[nodiscard]] double transition(int from, int to) const {
        double const open[2] = {model_.short_open, model_.long_open};
        double const extend[2] = {model_.short_extend, model_.long_extend};
        double const begin[2] = {model_.begin_short, model_.begin_long};
        if (from < 0) return to == 0 ? static_cast<double>(model_.begin_pair) : begin[(to - 1) / 2];
        if (from == 0) return to == 0 ? 1 - 2 * (open[0] + open[1]) : open[(to - 1) / 2];
        if (to == 0) return 1 - extend[(from - 1) / 2];
        return from == to ? extend[(from - 1) / 2] : 0;
    }
    // A gap at the end is as probable as at the beginning: begin * close against begin_pair there, open * end here.
    [[nodiscard]] double end(int from) const {
        if (from == 0) return 1;
        return transition(-1, from) * transition(from, 0) / (transition(-1, 0) * transition(0, from));
    }
    void walk(std::size_t i, std::size_t j, int state, double probability) {
        if (i == x_.size() && j == y_.size()) {
            probability *= end(state);
            total_ += probability;
            for (auto const pair : path_) through_[pair] += probability;
            return;
        }
        for (int to = 0; to < 5; ++to) {
            bool const uses_x = to == 0 || to % 2 == 1, uses_y = to == 0 || to % 2 == 0;
            if ((uses_x && i == x_.size()) || (uses_y && j == y_.size()) || transition(state, to) == 0) continue;
            if (to == 0) path_.push_back(i * y_.size() + j);
            walk(i + uses_x, j + uses_y, to,
                 probability * transition(state, to) *
                     (to == 0 ? static_cast<double>(model_.odds[x_[i]][y_[j]]) : 1.0));
            if (to == 0) path_.pop_back();
        }
    }
    Sequence const& x_;
    Sequence const& y_;
    PairModel const& model_;
    std::vector<double> through_;
    std::vector<std::size_t> path_;
    double total_ = 0;
};

TEST(PairPosteriors, ReferenceEqualsEnumerationOfAllPaths) {
    std::mt19937_64 random{21};
    for (int trial = 0; trial < 30; ++trial) {
        auto const x = test::random_protein(random, 1 + random() % 5, 0.1);
        auto const y = test::random_protein(random, 1 + random() % 5, 0.1);
        Enumeration const all{x, y, default_pair_model()};
        auto const posteriors = pair_posteriors_reference(x, y);
        for (std::size_t i = 0; i < x.size(); ++i)
            for (std::size_t j = 0; j < y.size(); ++j)
                ASSERT_NEAR(posteriors[i * y.size() + j], all.posterior(i, j), 1e-6) << "trial " << trial;
    }
}

/// Within single precision of the reference, and nothing at or above the cutoff missing.
void expect_reference(SparsePosteriors const& found, Sequence const& x, Sequence const& y, double cutoff) {
    auto expected = pair_posteriors_reference(x, y);
    ASSERT_EQ(found.rows(), x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
        int before = -1;
        for (auto const entry : found.row(i)) {
            ASSERT_GT(static_cast<int>(entry.column), before);
            before = entry.column;
            double& probability = expected[i * y.size() + entry.column];
            ASSERT_NEAR(entry.probability / 65535.0, probability, 1e-3);
            probability = 0;
        }
    }
    for (double const rest : expected) ASSERT_LT(rest, cutoff + 1e-3);
}

TEST(PairPosteriors, EqualReferenceOnEverySimdTarget) {
    std::mt19937_64 random{22};
    for (int trial = 0; trial < 6; ++trial) {
        auto const x = test::random_protein(random, 1 + random() % 150, 0.02);
        std::vector<Sequence> others;
        for (int o = 0; o < 21; ++o)
            others.push_back(o % 4 == 0 ? test::random_protein(random, 1 + random() % 200)
                                        : test::mutated(random, x, 0.07 * (o % 8)));
        std::vector<std::span<Residue const>> const spans(others.begin(), others.end());
        test::for_each_simd_target([&] {
            auto const found = pair_posteriors(x, spans);
            ASSERT_EQ(found.size(), others.size());
            for (std::size_t o = 0; o < others.size(); ++o) expect_reference(found[o], x, others[o], 0.01);
        });
    }
}

TEST(PairPosteriors, LongOverhangsKeepTheirPairs) {
    std::mt19937_64 random{23};
    auto const core = test::random_protein(random, 60, 0);
    auto long_one = test::random_protein(random, 1500, 0);
    long_one.insert(long_one.begin() + 900, core.begin(), core.end());
    std::vector<std::span<Residue const>> const other{core}, longer{long_one};
    double sum = 0;
    auto const found = pair_posteriors(long_one, other).front();
    for (std::size_t i = 0; i < 60; ++i)
        for (auto const entry : found.row(900 + i)) sum += entry.column == i ? entry.probability / 65535.0 : 0;
    EXPECT_GT(sum, 55);
    expect_reference(found, long_one, core, 0.01);
    expect_reference(pair_posteriors(core, longer).front(), core, long_one, 0.01);
}

TEST(PairPosteriors, BeyondSinglePrecisionTheReferenceStepsIn) {
    // Exchanged halves of 400 residues: forward and backward each lose the half that the other keeps.
    std::mt19937_64 random{24};
    auto const a = test::random_protein(random, 400, 0), b = test::random_protein(random, 410, 0);
    Sequence ab = a, ba = b;
    ab.insert(ab.end(), b.begin(), b.end()), ba.insert(ba.end(), a.begin(), a.end());
    std::vector<std::span<Residue const>> const other{ba};
    expect_reference(pair_posteriors(ab, other).front(), ab, ba, 0.01);
}

void expect_equal(SparsePosteriors const& a, SparsePosteriors const& b) {
    ASSERT_EQ(a.begin, b.begin);
    for (std::size_t e = 0; e < a.entries.size(); ++e) {
        ASSERT_EQ(a.entries[e].column, b.entries[e].column);
        ASSERT_EQ(a.entries[e].probability, b.entries[e].probability);
    }
}

TEST(PairPosteriors, DoNotDependOnTheBatch) {
    std::mt19937_64 random{25};
    auto const x = test::random_protein(random, 120);
    std::vector<Sequence> others;
    for (int o = 0; o < 40; ++o) others.push_back(test::mutated(random, x, 0.02 * o));
    std::vector<std::span<Residue const>> const spans(others.begin(), others.end());
    auto const together = pair_posteriors(x, spans);
    for (std::size_t o = 0; o < others.size(); ++o)
        expect_equal(pair_posteriors(x, std::span{spans}.subspan(o, 1)).front(), together[o]);
}

TEST(PairPosteriors, OfReversedSequencesAreMirrored) {
    std::mt19937_64 random{26};
    auto x = test::random_protein(random, 80);
    auto y = test::mutated(random, x, 0.3);
    auto const forward = pair_posteriors_reference(x, y);
    std::ranges::reverse(x), std::ranges::reverse(y);
    auto const backward = pair_posteriors_reference(x, y);
    for (std::size_t k = 0; k < forward.size(); ++k) ASSERT_NEAR(forward[k], backward[forward.size() - 1 - k], 1e-9);
}

TEST(PairPosteriors, TransposedExchangesTheSequences) {
    std::mt19937_64 random{27};
    auto const x = test::random_protein(random, 70), y = test::mutated(random, x, 0.2);
    std::vector<std::span<Residue const>> const other{y};
    auto const found = pair_posteriors(x, other).front();
    auto const exchanged = transposed(found, y.size());
    EXPECT_EQ(exchanged.rows(), y.size());
    expect_reference(exchanged, y, x, 0.01);
    expect_equal(transposed(exchanged, x.size()), found);
}

TEST(PairPosteriors, RefuseEmptySequences) {
    Sequence const x{1, 2}, empty;
    std::vector<std::span<Residue const>> const other{empty};
    EXPECT_THROW((void)pair_posteriors(x, other), data_error);
    EXPECT_THROW((void)pair_posteriors(empty, std::vector<std::span<Residue const>>{x}), data_error);
}

} // namespace
} // namespace tape
