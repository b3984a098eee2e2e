#include "data/error.hpp"
#include "learn/head_training.hpp"
#include "learn/heads.hpp"
#include "learn/linear_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace {

using tape::FeatureMatrix;

tape::HeadOptions options(std::uint64_t seed = 1) {
    tape::HeadOptions result;
    result.seed = seed, result.threads = 2;
    return result;
}

template <typename Call> std::string message_of(Call const& call) {
    try {
        call();
    } catch (tape::data_error const& problem) {
        return problem.what();
    }
    return "no data_error";
}

TEST(HeadOptimiser, StopsWhenNoStepIsFinite) {
    tape::HeadParameters parameters{1, at::kCPU};
    at::Tensor const weight = parameters.constant({2}, 1);
    tape::HeadOptimiser optimiser{parameters.tensors(), 0.1, 100};
    for (int k = 0; k < 19; ++k) optimiser.step((weight * std::numeric_limits<float>::quiet_NaN()).sum());
    EXPECT_EQ(weight.sum().item<float>(), 2); // such steps change nothing
    optimiser.step(weight.square().sum());
    EXPECT_LT(weight.sum().item<float>(), 2);
    auto const diverge = [&] {
        for (int k = 0; k < 20; ++k) optimiser.step((weight * std::numeric_limits<float>::infinity()).sum());
    };
    EXPECT_THROW(diverge(), tape::error);
}

// ---------------------------------------------------------------------------------------------------- residue head

struct ResidueSet {
    std::vector<FeatureMatrix> rows;
    std::vector<std::vector<std::int16_t>> labels;
    std::vector<std::vector<std::uint8_t>> masks;
    std::vector<int> reads;

    std::vector<tape::ResidueExample> examples() {
        std::vector<tape::ResidueExample> result;
        reads.assign(rows.size(), 0);
        for (std::size_t n = 0; n < rows.size(); ++n)
            result.push_back({[this, n] { return ++reads[n], rows[n]; }, labels[n], masks[n]});
        return result;
    }
};

/// Proteins over four letters with a one-hot row and some noise columns; a position's class is the letter of its right
/// neighbour, so the last position is unlabelled.
ResidueSet neighbour_set(int proteins, unsigned seed) {
    std::mt19937 random{seed};
    std::normal_distribution<float> normal;
    ResidueSet set;
    for (int n = 0; n < proteins; ++n) {
        auto const length = static_cast<std::size_t>(30 + random() % 40);
        FeatureMatrix rows =
            FeatureMatrix::NullaryExpr(static_cast<Eigen::Index>(length), 7, [&] { return normal(random); });
        std::vector<std::int16_t> letters(length), labels(length, -1);
        for (std::size_t k = 0; k < length; ++k) {
            letters[k] = static_cast<std::int16_t>(random() % 4);
            rows.row(static_cast<Eigen::Index>(k)).head(4).setZero();
            rows(static_cast<Eigen::Index>(k), letters[k]) = 1;
            if (k > 0) labels[k - 1] = letters[k];
        }
        set.rows.push_back(rows);
        set.labels.push_back(labels);
        set.masks.emplace_back(length, std::uint8_t{1});
    }
    return set;
}

double accuracy(ResidueSet const& set, std::vector<FeatureMatrix> const& probabilities) {
    double right = 0, counted = 0;
    for (std::size_t n = 0; n < set.rows.size(); ++n)
        for (std::size_t k = 0; k < set.labels[n].size(); ++k) {
            if (set.labels[n][k] < 0) continue;
            Eigen::Index best = 0;
            probabilities[n].row(static_cast<Eigen::Index>(k)).maxCoeff(&best);
            right += best == set.labels[n][k], counted += 1;
        }
    return right / counted;
}

struct ResidueProblem {
    ResidueSet train = neighbour_set(120, 1), valid = neighbour_set(20, 2), test = neighbour_set(20, 3);
    tape::ResidueFit fit(tape::HeadOptions const& chosen = options()) {
        auto const a = train.examples(), b = valid.examples(), c = test.examples();
        return tape::fit_residue_head(a, b, c, 7, 4, chosen);
    }
};

TEST(ResidueHead, LearnsFromANeighbour) {
    ResidueProblem problem;
    auto const fit = problem.fit();
    EXPECT_GT(accuracy(problem.test, fit.probabilities), 0.95);
    EXPECT_GT(fit.valid_score, 0.95);
    for (std::size_t n = 0; n < problem.test.rows.size(); ++n) {
        ASSERT_EQ(fit.probabilities[n].rows(), problem.test.rows[n].rows());
        EXPECT_LT((fit.probabilities[n].rowwise().sum().array() - 1).abs().maxCoeff(), 1e-5);
    }
    // Test rows are asked for once, one protein at a time; small splits are held, so a second reading is for the
    // scaling.
    for (int reads : problem.test.reads) EXPECT_EQ(reads, 1);
    for (int reads : problem.train.reads) EXPECT_EQ(reads, 2);
}

/// A position's class is the letter ten places on: beyond TAPE's head, which sees three to either side.
TEST(StrongResidueHead, SeesFurtherThanThePublishedOne) {
    ResidueProblem problem;
    for (auto* set : {&problem.train, &problem.valid, &problem.test})
        for (std::size_t n = 0; n < set->rows.size(); ++n)
            for (std::size_t k = 0; k < set->labels[n].size(); ++k) {
                set->labels[n][k] = -1;
                if (k + 10 >= set->labels[n].size()) continue;
                Eigen::Index letter = 0;
                set->rows[n].row(static_cast<Eigen::Index>(k + 10)).head(4).maxCoeff(&letter);
                set->labels[n][k] = static_cast<std::int16_t>(letter);
            }
    EXPECT_LT(accuracy(problem.test, problem.fit().probabilities), 0.4);
    auto const a = problem.train.examples(), b = problem.valid.examples(), c = problem.test.examples();
    auto const fit = tape::fit_strong_residue_head(a, b, c, 7, 4, options());
    EXPECT_GT(accuracy(problem.test, fit.probabilities), 0.8);
    auto const again = tape::fit_strong_residue_head(a, b, c, 7, 4, options());
    EXPECT_EQ(fit.probabilities[0], again.probabilities[0]);
}

/// Few proteins, a small source with the answer beside a wide one of noise.
TEST(ResidueHead, AWideSourceDoesNotDrownANarrowOne) {
    ResidueProblem problem;
    problem.train = neighbour_set(25, 1);
    std::mt19937 random{9};
    std::normal_distribution<float> normal;
    for (auto* set : {&problem.train, &problem.valid, &problem.test})
        for (auto& rows : set->rows) {
            FeatureMatrix joined(rows.rows(), 307);
            joined << FeatureMatrix::NullaryExpr(rows.rows(), 300, [&] { return normal(random); }), rows;
            rows = joined;
        }
    auto chosen = options();
    auto const fit = [&] {
        auto const a = problem.train.examples(), b = problem.valid.examples(), c = problem.test.examples();
        return accuracy(problem.test, tape::fit_residue_head(a, b, c, 307, 4, chosen).probabilities);
    };
    double const as_one = fit();
    chosen.source_widths = {300, 7};
    EXPECT_GT(fit(), as_one + 0.1);
    chosen.source_widths = {300, 6};
    EXPECT_THROW(fit(), tape::error);
}

TEST(ResidueHead, RandomLabelsStayAtChance) {
    // Drawn anew: labels shuffled within a protein would still betray its composition.
    ResidueProblem problem;
    std::mt19937 random{5};
    for (auto* set : {&problem.train, &problem.valid})
        for (auto& labels : set->labels)
            for (auto& label : labels) label = static_cast<std::int16_t>(random() % 4);
    EXPECT_NEAR(accuracy(problem.test, problem.fit().probabilities), 0.25, 0.06);
}

TEST(ResidueHead, SeedDecidesEverything) {
    ResidueProblem problem;
    auto chosen = options(7);
    chosen.max_epochs = 2;
    auto const once = problem.fit(chosen), again = problem.fit(chosen);
    chosen.seed = 8;
    auto const other = problem.fit(chosen);
    for (std::size_t n = 0; n < problem.test.rows.size(); ++n) {
        EXPECT_EQ(once.probabilities[n], again.probabilities[n]);
        EXPECT_NE(once.probabilities[n], other.probabilities[n]);
    }
}

TEST(ResidueHead, MaskedLabelsChangeNothing) {
    ResidueProblem problem;
    std::mt19937 random{6};
    for (auto* set : {&problem.train, &problem.valid})
        for (auto& mask : set->masks)
            for (auto& flag : mask) flag = random() % 4 != 0;
    auto chosen = options();
    chosen.max_epochs = 3;
    auto const before = problem.fit(chosen);
    for (auto* set : {&problem.train, &problem.valid})
        for (std::size_t n = 0; n < set->labels.size(); ++n)
            for (std::size_t k = 0; k < set->labels[n].size(); ++k)
                if (!set->masks[n][k]) set->labels[n][k] = static_cast<std::int16_t>(random() % 4);
    auto const after = problem.fit(chosen);
    EXPECT_EQ(before.valid_score, after.valid_score);
    for (std::size_t n = 0; n < problem.test.rows.size(); ++n)
        EXPECT_EQ(before.probabilities[n], after.probabilities[n]);
}

TEST(ResidueHead, ProteinsOfABatchDoNotSeeEachOther) {
    ResidueProblem problem;
    auto chosen = options();
    chosen.max_epochs = 3;
    auto const together = problem.fit(chosen);
    FeatureMatrix const rows = problem.test.rows[4];
    problem.test = {{rows}, {problem.test.labels[4]}, {problem.test.masks[4]}, {}};
    EXPECT_LT((problem.fit(chosen).probabilities[0] - together.probabilities[4]).cwiseAbs().maxCoeff(), 1e-3);
}

TEST(ResidueHead, NamesWhatIsWrong) {
    ResidueProblem problem;
    problem.train.rows[3](2, 5) = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(message_of([&] { problem.fit(); }),
              "training protein 3 has the feature value nan at row 2, column 5; features must be finite");
    problem = {};
    problem.train.labels[2][1] = 4;
    EXPECT_EQ(message_of([&] { problem.fit(); }),
              "training protein 2 has the class label 4 at position 1, outside 0..3");
    problem = {};
    problem.valid.rows[1].conservativeResize(12, 7);
    auto const length = std::to_string(problem.valid.labels[1].size());
    EXPECT_EQ(message_of([&] { problem.fit(); }), "validation protein 1 has 12 feature rows for a length of " + length);
    problem = {};
    for (auto& mask : problem.train.masks) std::fill(mask.begin(), mask.end(), std::uint8_t{0});
    EXPECT_EQ(message_of([&] { problem.fit(); }),
              "the residue head needs at least one labelled training residue, got none");
}

// ------------------------------------------------------------------------------------------------------- pair head

struct PairSet {
    std::vector<FeatureMatrix> rows;
    std::vector<std::vector<float>> pairs;
    std::vector<std::vector<std::int8_t>> contacts;

    [[nodiscard]] std::vector<tape::PairExample> examples(bool with_pairs) const {
        std::vector<tape::PairExample> result;
        for (std::size_t n = 0; n < rows.size(); ++n) {
            tape::PairExample example{[this, n] { return rows[n]; }, nullptr, static_cast<int>(rows[n].rows()),
                                      contacts[n]};
            if (with_pairs) example.pairs = [this, n] { return pairs[n]; };
            result.push_back(std::move(example));
        }
        return result;
    }
};

/// A tenth of the pairs are contacts; the one pair channel shows them under noise, the rows show nothing.
PairSet visible_set(int proteins, int shortest, unsigned seed) {
    std::mt19937 random{seed};
    std::normal_distribution<float> normal;
    PairSet set;
    for (int n = 0; n < proteins; ++n) {
        int const length = shortest + static_cast<int>(random() % 20);
        auto const cells = static_cast<std::size_t>(length * length);
        set.rows.push_back(FeatureMatrix::NullaryExpr(length, 3, [&] { return normal(random); }));
        std::vector<std::int8_t> contacts(cells, 0);
        std::vector<float> pairs(cells, 0);
        for (int i = 0; i < length; ++i)
            for (int j = i; j < length; ++j) {
                auto const at = static_cast<std::size_t>(i * length + j),
                           mirrored = static_cast<std::size_t>(j * length + i);
                contacts[at] = contacts[mirrored] = random() % 10 == 0;
                pairs[at] = pairs[mirrored] = static_cast<float>(contacts[at]) + 0.2F * normal(random);
                if (random() % 20 == 0) contacts[at] = contacts[mirrored] = -1;
            }
        set.contacts.push_back(contacts);
        set.pairs.push_back(pairs);
    }
    return set;
}

/// Precision of the L/5 best pairs with j - i >= 12, over all proteins.
double precision(PairSet const& set, std::vector<FeatureMatrix> const& probabilities) {
    double right = 0, counted = 0;
    for (std::size_t n = 0; n < set.rows.size(); ++n) {
        auto const length = set.rows[n].rows();
        std::vector<std::pair<float, bool>> ranked;
        for (Eigen::Index i = 0; i < length; ++i)
            for (Eigen::Index j = i + 12; j < length; ++j)
                if (auto const known = set.contacts[n][static_cast<std::size_t>(i * length + j)]; known >= 0)
                    ranked.emplace_back(-probabilities[n](i, j), known == 1);
        std::sort(ranked.begin(), ranked.end());
        for (Eigen::Index k = 0; k < length / 5; ++k) right += ranked[static_cast<std::size_t>(k)].second, counted += 1;
    }
    return right / counted;
}

struct PairProblem {
    PairSet train = visible_set(24, 40, 1), valid = visible_set(6, 40, 2), test = visible_set(6, 50, 3);
    bool with_pairs = true;
    tape::PairFit fit(tape::HeadOptions const& chosen) const {
        return tape::fit_pair_head(train.examples(with_pairs), valid.examples(with_pairs), test.examples(with_pairs),
                                   static_cast<int>(train.rows.front().cols()), with_pairs ? 1 : 0, chosen);
    }
};

TEST(PairHead, LearnsFromAPairChannel) {
    PairProblem const problem;
    auto chosen = options();
    chosen.max_epochs = 6;
    auto const fit = problem.fit(chosen);
    EXPECT_GT(precision(problem.test, fit.probabilities), 0.9);
    for (auto const& map : fit.probabilities) {
        EXPECT_EQ(map, map.transpose());
        for (Eigen::Index i = 0; i + 5 < map.rows(); ++i) EXPECT_EQ(map(i, i + 5), 0);
        EXPECT_LE(map.maxCoeff(), 1);
        EXPECT_GT(map(0, 6), 0);
    }
}

TEST(PairHead, LearnsFromRowsOfMapsLargerThanACrop) {
    // A contact is a pair of residues that both show the sign: a product of the two rows.
    PairProblem problem{visible_set(24, 130, 4), visible_set(4, 130, 5), visible_set(4, 130, 6), false};
    for (auto* set : {&problem.train, &problem.valid, &problem.test})
        for (std::size_t n = 0; n < set->rows.size(); ++n) {
            auto const length = set->rows[n].rows();
            for (Eigen::Index i = 0; i < length; ++i)
                for (Eigen::Index j = 0; j < length; ++j)
                    set->contacts[n][static_cast<std::size_t>(i * length + j)] =
                        set->rows[n](i, 1) > 0.5F && set->rows[n](j, 1) > 0.5F;
        }
    auto chosen = options();
    chosen.max_epochs = 6;
    EXPECT_GT(precision(problem.test, problem.fit(chosen).probabilities), 0.8);
}

TEST(PairHead, TwoThousandCorrelatedColumnsDoNotDrownAPairChannel) {
    PairProblem problem;
    std::mt19937 random{8};
    std::normal_distribution<float> normal;
    FeatureMatrix const mix = FeatureMatrix::NullaryExpr(3, 2000, [&] { return normal(random); });
    for (auto* set : {&problem.train, &problem.valid, &problem.test})
        for (auto& rows : set->rows) rows = rows * mix;
    auto chosen = options();
    chosen.max_epochs = 6;
    EXPECT_GT(precision(problem.test, problem.fit(chosen).probabilities), 0.9);
}

TEST(PairHead, ShuffledContactsStayAtChance) {
    PairProblem problem;
    std::mt19937 random{5};
    // The test part too: a weight of the channel that is positive by chance would rank its signal.
    for (auto* set : {&problem.train, &problem.valid, &problem.test})
        for (auto& pairs : set->pairs) std::shuffle(pairs.begin(), pairs.end(), random);
    auto chosen = options();
    chosen.max_epochs = 5;
    EXPECT_NEAR(precision(problem.test, problem.fit(chosen).probabilities), 0.1, 0.12);
}

TEST(PairHead, SeedDecidesEverythingAndNearPairsNothing) {
    PairProblem problem;
    auto chosen = options(7);
    chosen.max_epochs = 2;
    auto const once = problem.fit(chosen);
    for (auto* set : {&problem.train, &problem.valid})
        for (std::size_t n = 0; n < set->rows.size(); ++n) {
            auto const length = set->rows[n].rows();
            for (Eigen::Index i = 0; i < length; ++i)
                for (Eigen::Index j = std::max<Eigen::Index>(0, i - 5); j < std::min(length, i + 6); ++j)
                    set->contacts[n][static_cast<std::size_t>(i * length + j)] = 1;
        }
    auto const again = problem.fit(chosen);
    chosen.seed = 8;
    auto const other = problem.fit(chosen);
    for (std::size_t n = 0; n < problem.test.rows.size(); ++n) {
        EXPECT_EQ(once.probabilities[n], again.probabilities[n]);
        EXPECT_NE(once.probabilities[n], other.probabilities[n]);
    }
}

TEST(PairHead, NamesWhatIsWrong) {
    PairProblem problem;
    problem.train.pairs[2][0] = std::numeric_limits<float>::infinity();
    EXPECT_EQ(
        message_of([&] { problem.fit(options()); }),
        "training (pair features) protein 2 has the feature value inf at row 0, column 0; features must be finite");
    problem = {};
    problem.valid.contacts[1].pop_back();
    auto const length = std::to_string(problem.valid.rows[1].rows());
    EXPECT_EQ(message_of([&] { problem.fit(options()); }),
              "validation protein 1 of length " + length + " has a contact map of " +
                  std::to_string(problem.valid.contacts[1].size()) + " cells");
    problem = {};
    for (auto& contacts : problem.train.contacts) std::fill(contacts.begin(), contacts.end(), std::int8_t{-1});
    EXPECT_EQ(message_of([&] { problem.fit(options()); }),
              "the pair head needs at least one known residue pair with |i - j| >= 6 in training, got none");
}

// ------------------------------------------------------------------------------------- strong heads of proteins

/// Proteins of which one position carries a mark (column 0): its kind (columns 1-3) is the class, its size (column 4)
/// the value. Averages over the protein hide it in the same columns of all other positions.
struct MarkedSet {
    std::vector<FeatureMatrix> rows;
    std::vector<tape::RowsExample> examples;

    MarkedSet(int proteins, unsigned seed) {
        std::mt19937 random{seed};
        std::normal_distribution<float> normal;
        for (int n = 0; n < proteins; ++n) {
            auto const length = static_cast<Eigen::Index>(20 + random() % 30);
            FeatureMatrix x = FeatureMatrix::NullaryExpr(length, 6, [&] { return normal(random); });
            x.col(0).setZero();
            x.middleCols(1, 3).setZero();
            for (Eigen::Index k = 0; k < length; ++k) x(k, 1 + static_cast<Eigen::Index>(random() % 3)) = 1;
            auto const mark = static_cast<Eigen::Index>(random() % static_cast<unsigned>(length));
            x(mark, 0) = 1;
            Eigen::Index kind = 0;
            x.row(mark).segment(1, 3).maxCoeff(&kind);
            rows.push_back(x);
            examples.push_back({.rows = nullptr,
                                .length = static_cast<int>(length),
                                .class_label = static_cast<int>(kind),
                                .value = static_cast<double>(x(mark, 4))});
        }
        for (std::size_t n = 0; n < rows.size(); ++n) examples[n].rows = [this, n] { return rows[n]; };
    }
    MarkedSet(MarkedSet const&) = delete;
};

TEST(StrongProteinHeads, FindTheOnePositionThatCounts) {
    MarkedSet const train{600, 1}, valid{80, 2}, test{120, 3};
    auto chosen = options();
    auto const classes = tape::fit_strong_class_head(train.examples, valid.examples, test.examples, 6, 3, chosen);
    double right = 0;
    for (std::size_t n = 0; n < test.examples.size(); ++n) {
        Eigen::Index best = 0;
        classes.probabilities.row(static_cast<Eigen::Index>(n)).maxCoeff(&best);
        right += best == test.examples[n].class_label;
    }
    EXPECT_GT(right / static_cast<double>(test.examples.size()), 0.9);
    auto const values = tape::fit_strong_value_head(train.examples, valid.examples, test.examples, 6, chosen);
    std::vector<double> truth;
    for (auto const& example : test.examples) truth.push_back(example.value);
    EXPECT_GT(tape::rank_correlation(values.values, truth), 0.8);
    EXPECT_GT(values.valid_score, 0.8);
    chosen.max_epochs = 2;
    auto const once = tape::fit_strong_value_head(train.examples, valid.examples, test.examples, 6, chosen);
    auto const again = tape::fit_strong_value_head(train.examples, valid.examples, test.examples, 6, chosen);
    EXPECT_EQ(once.values, again.values);
}

TEST(StrongProteinHeads, NameWhatIsWrong) {
    MarkedSet train{10, 1}, valid{4, 2};
    auto const fit = [&] { tape::fit_strong_value_head(train.examples, valid.examples, valid.examples, 6, options()); };
    train.examples[3].value = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(message_of(fit), "training protein 3 has the value nan; labels must be finite");
    train.examples[3].value = 1, train.examples[2].length = 0;
    EXPECT_EQ(message_of(fit), "training protein 2 has no residues");
    train.examples[2].length = static_cast<int>(train.rows[2].rows()),
    train.rows[1](0, 1) = std::numeric_limits<float>::infinity();
    EXPECT_EQ(message_of(fit),
              "training protein 1 has the feature value inf at row 0, column 1; features must be finite");
    train.rows[1](0, 1) = 0, train.examples[0].class_label = 9;
    auto const classes = [&] {
        tape::fit_strong_class_head(train.examples, valid.examples, valid.examples, 6, 3, options());
    };
    EXPECT_EQ(message_of(classes), "training protein 0 has the class label 9, outside 0..2");
}

// ------------------------------------------------------------------------------------------- class and value heads

struct PooledSet {
    FeatureMatrix x;
    std::vector<int> classes;
    std::vector<double> values;
};

/// Three clouds; the value is linear in the features.
PooledSet pooled_set(Eigen::Index proteins, unsigned seed) {
    std::mt19937 random{seed};
    std::normal_distribution<float> normal;
    PooledSet set{FeatureMatrix::NullaryExpr(proteins, 10, [&] { return normal(random); }), {}, {}};
    for (Eigen::Index n = 0; n < proteins; ++n) {
        int const label = static_cast<int>(random() % 3);
        set.x(n, label) += 5;
        set.classes.push_back(label);
        set.values.push_back(2 * set.x(n, 3) - set.x(n, 4) + 0.1 * normal(random));
    }
    return set;
}

double accuracy(std::vector<int> const& labels, FeatureMatrix const& probabilities) {
    double right = 0;
    for (std::size_t n = 0; n < labels.size(); ++n) {
        Eigen::Index best = 0;
        probabilities.row(static_cast<Eigen::Index>(n)).maxCoeff(&best);
        right += best == labels[n];
    }
    return right / static_cast<double>(labels.size());
}

TEST(ClassHead, TellsCloudsApartAndShuffledLabelsDoNot) {
    auto train = pooled_set(200, 1), valid = pooled_set(60, 2);
    auto const test = pooled_set(300, 3);
    auto const fit = tape::fit_class_head(train.x, train.classes, valid.x, valid.classes, test.x, 3, options());
    EXPECT_GT(accuracy(test.classes, fit.probabilities), 0.95);
    EXPECT_GT(fit.valid_score, 0.9);
    std::mt19937 random{4};
    for (auto* set : {&train, &valid}) std::shuffle(set->classes.begin(), set->classes.end(), random);
    auto const shuffled = tape::fit_class_head(train.x, train.classes, valid.x, valid.classes, test.x, 3, options());
    EXPECT_NEAR(accuracy(test.classes, shuffled.probabilities), 1.0 / 3, 0.17);
}

TEST(ClassHead, NamesWhatIsWrong) {
    auto train = pooled_set(20, 1);
    auto const valid = pooled_set(10, 2);
    train.x(7, 2) = std::numeric_limits<float>::quiet_NaN();
    auto const fit = [&] {
        tape::fit_class_head(train.x, train.classes, valid.x, valid.classes, valid.x, 3, options());
    };
    EXPECT_EQ(message_of(fit), "training protein 7 has the feature value nan at column 2; features must be finite");
    train.x(7, 2) = 0, train.classes[5] = 3;
    EXPECT_EQ(message_of(fit), "training protein 5 has the class label 3, outside 0..2");
}

TEST(ValueHead, FindsALinearValueWithAnyNumberOfThreads) {
    auto const train = pooled_set(200, 1), valid = pooled_set(60, 2), test = pooled_set(300, 3);
    auto const fit = tape::fit_value_head(train.x, train.values, valid.x, valid.values, test.x, options());
    double worst = 0;
    for (std::size_t n = 0; n < test.values.size(); ++n)
        worst = std::max(worst, std::abs(fit.values[n] - test.values[n]));
    EXPECT_LT(worst, 0.6); // the noise is 0.1
    EXPECT_GT(fit.valid_score, 0.98);
    auto chosen = options();
    chosen.threads = 1;
    EXPECT_EQ(fit.values, tape::fit_value_head(train.x, train.values, valid.x, valid.values, test.x, chosen).values);
}

/// Few proteins, a small source with the answer and a wide one of noise: joined evenly the noise wins.
TEST(ValueHead, WeighsSources) {
    auto const wide = [](PooledSet set, unsigned seed) {
        std::mt19937 random{seed};
        std::normal_distribution<float> normal;
        FeatureMatrix joined(set.x.rows(), 210);
        joined << FeatureMatrix::NullaryExpr(set.x.rows(), 200, [&] { return normal(random); }), set.x;
        set.x = joined;
        return set;
    };
    auto const train = wide(pooled_set(60, 1), 4), valid = wide(pooled_set(60, 2), 5),
               test = wide(pooled_set(300, 3), 6);
    auto chosen = options();
    auto const fit = [&] {
        auto const values = tape::fit_value_head(train.x, train.values, valid.x, valid.values, test.x, chosen).values;
        return tape::rank_correlation(values, test.values);
    };
    double const as_one = fit();
    chosen.source_widths = {200, 10};
    EXPECT_GT(fit(), as_one + 0.1);
    EXPECT_GT(fit(), 0.95);
}

TEST(ValueHead, EqualLabelsGiveTheirValueAndTheLargestPenalty) {
    auto const train = pooled_set(30, 1), valid = pooled_set(10, 2);
    std::vector<double> const constant(30, 4.5);
    auto const fit = tape::fit_value_head(train.x, constant, valid.x, valid.values, valid.x, options());
    for (double value : fit.values) EXPECT_NEAR(value, 4.5, 1e-9);
    EXPECT_EQ(fit.hyperparameters, "lambda=1e+06");
}

TEST(ValueHead, NamesWhatIsWrong) {
    auto train = pooled_set(20, 1);
    auto const valid = pooled_set(10, 2);
    train.values[3] = std::numeric_limits<double>::quiet_NaN();
    auto const fit = [&] { tape::fit_value_head(train.x, train.values, valid.x, valid.values, valid.x, options()); };
    EXPECT_EQ(message_of(fit), "training protein 3 has the value nan; labels must be finite");
}

} // namespace
