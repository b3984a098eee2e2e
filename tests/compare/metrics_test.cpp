#include "compare/metrics.hpp"
#include "compare/random.hpp"
#include "data/error.hpp"

#include "tests/compare/goldens.hpp"
#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace tape {
namespace {

using Doubles = std::vector<double>;

TEST(Correlation, AgreesWithScipyOnTiedValues) {
    for (auto const& golden : test::goldens().at("correlations")) {
        auto const x = golden.at("x").get<Doubles>(), y = golden.at("y").get<Doubles>(),
                   ranks = golden.at("ranks_x").get<Doubles>();
        EXPECT_EQ(average_ranks(x), ranks);
        EXPECT_NEAR(spearman(x, y), golden.at("spearman").get<double>(), 1e-12);
        EXPECT_NEAR(pearson(x, y), golden.at("pearson").get<double>(), 1e-12);
    }
}

TEST(Correlation, IsUndefinedForConstantsAndRefusesUnequalLengths) {
    EXPECT_TRUE(std::isnan(spearman(Doubles{.1, .1, .1}, Doubles{1, 2, 3})));
    EXPECT_TRUE(std::isnan(pearson(Doubles{1, 2, 3}, Doubles{.3, .3, .3})));
    EXPECT_THROW(pearson(Doubles{1, 2}, Doubles{1}), error);
}

TEST(Correlation, SpearmanIgnoresMonotoneChangesOfScale) {
    Doubles const x{3, 1, 4, 1, 5, 9, 2, 6}, y{2, 7, 1, 8, 2, 8, 1, 8};
    Doubles bent;
    for (double const v : x) bent.push_back(std::exp(v) - 100);
    EXPECT_DOUBLE_EQ(spearman(x, y), spearman(bent, y));
}

Task residue_task() {
    return {"ss", "SS", TaskKind::residue_class, {"H", "E", "C"}, 3, "train", "valid", "test", "Q3"};
}

double metric(Task const& task, std::string const& name, std::vector<TestExample> const& examples,
              std::vector<Prediction> predictions) {
    tape::Run run;
    run.predictions = std::move(predictions);
    for (auto const& candidate : metrics_of(task))
        if (candidate.name == name) return evaluate(example_scores(candidate, examples, run));
    ADD_FAILURE() << "no metric " << name;
    return 0;
}

TEST(Q3, CountsResiduesWithAndWithoutMask) {
    // First protein: 4 residues, one unresolved (and wrong), one without label. Second: 2 residues, one right.
    std::vector<TestExample> examples(2);
    examples[0].residues = "ACDE";
    examples[0].residue_labels = {0, 1, 2, -1};
    examples[0].mask = {1, 1, 0, 1};
    examples[1].residues = "FG";
    examples[1].residue_labels = {2, 2};
    std::vector<Prediction> predictions(2);
    predictions[0].residue_classes = {0, 1, 0, 0};
    predictions[1].residue_classes = {2, 0};
    EXPECT_DOUBLE_EQ(metric(residue_task(), "Q3", examples, predictions), 3.0 / 4);
    EXPECT_DOUBLE_EQ(metric(residue_task(), "Q3, all residues", examples, predictions), 3.0 / 5);
    EXPECT_DOUBLE_EQ(metric(residue_task(), "Q3, mean over proteins", examples, predictions), 0.5 * (1 + 0.5));
    EXPECT_EQ(metrics_of(residue_task()).front().name, "Q3");
}

TEST(ContactPrecision, CountsByHandInEveryRange) {
    TestExample example;
    example.residues = std::string(30, 'A'); // L/5 = 6, L/2 = 15
    example.contacts = {{0, 6}, {0, 12}, {1, 14}, {2, 27}, {3, 29}, {4, 28}};
    std::vector<PairPrediction> const pairs{{0, 6, .9F},  {0, 7, .8F},  {0, 12, .7F}, {2, 27, .6F},
                                            {1, 20, .5F}, {5, 25, .4F}, {3, 29, .3F}};
    EXPECT_DOUBLE_EQ(*contact_precision(example, pairs, 5, 6, 12), 1.0 / 6) << "two short pairs listed, four missing";
    // Medium and long, six wanted: 0-12 hit, 2-27 hit, 1-20 miss, 5-25 miss, 3-29 hit, one missing.
    EXPECT_DOUBLE_EQ(*contact_precision(example, pairs, 5, 12, 1000), 3.0 / 6);
    // Long (>= 24) has 5 + 4 + ... = 21 pairs, so six are wanted at L/5: 2-27 and 3-29.
    EXPECT_DOUBLE_EQ(*contact_precision(example, pairs, 5, 24, 1000), 2.0 / 6);
    EXPECT_DOUBLE_EQ(*contact_precision(example, pairs, 1, 24, 1000), 2.0 / 21) << "30 wanted, 21 pairs exist";
}

TEST(ContactPrecision, LeavesUnresolvedPairsOut) {
    TestExample example;
    example.residues = std::string(10, 'A'); // |i-j| >= 6: 10 pairs; L/5 = 2
    example.contacts = {{0, 6}, {1, 8}};
    example.mask.assign(10, 1);
    example.mask[9] = 0;
    std::vector<PairPrediction> const pairs{{3, 9, .99F}, {0, 6, .5F}, {1, 8, .4F}};
    EXPECT_DOUBLE_EQ(*contact_precision(example, pairs, 5, 6, 12), 1.0) << "3-9 is unresolved";
    example.mask.assign(10, 0);
    EXPECT_FALSE(contact_precision(example, pairs, 5, 6, 12)) << "nothing to choose from";
    example.residues = "AAAA";
    example.mask.clear();
    EXPECT_FALSE(contact_precision(example, {}, 5, 6, 12));
}

/// The definition written out the slow way: every pair of the range, sorted, cut at k.
double slow_precision(TestExample const& example, std::vector<float> const& map, int divisor, int from, int below) {
    int const length = static_cast<int>(example.residues.size());
    std::multimap<float, bool, std::greater<>> ranked;
    std::set<std::array<int, 2>> const truth{example.contacts.begin(), example.contacts.end()};
    for (int i = 0; i < length; ++i)
        for (int j = i + from; j < length && j - i < below; ++j)
            ranked.emplace(map[static_cast<std::size_t>(i * length + j)], truth.contains({i, j}));
    int const k = std::min(std::max(1, length / divisor), static_cast<int>(ranked.size()));
    int hits = 0, seen = 0;
    for (auto const& [probability, contact] : ranked) hits += seen++ < k && contact;
    return static_cast<double>(hits) / k;
}

TEST(ContactPrecision, AgreesWithTheSlowDefinitionOnRandomMaps) {
    Random random{3};
    for (int trial = 0; trial < 20; ++trial) {
        TestExample example;
        int const length = 30 + static_cast<int>(random.below(60));
        example.residues = std::string(static_cast<std::size_t>(length), 'A');
        std::vector<float> map(static_cast<std::size_t>(length * length));
        std::vector<PairPrediction> pairs;
        // Distinct in four digits, so that there is one right order.
        std::vector<float> levels;
        for (int k = 0; k < length * length; ++k) levels.push_back(static_cast<float>(1000 + k) / 10000);
        for (std::size_t k = levels.size(); k > 1; --k)
            std::swap(levels[k - 1], levels[random.below(static_cast<std::uint32_t>(k))]);
        for (int i = 0; i < length; ++i)
            for (int j = i + 6; j < length; ++j) {
                float const p = levels[static_cast<std::size_t>(i * length + j)];
                map[static_cast<std::size_t>(i * length + j)] = p;
                pairs.push_back({i, j, std::min(p, 1.0F)});
                if (random.uniform() < .1) example.contacts.push_back({i, j});
            }
        for (auto const& [from, below] :
             {std::pair{6, 12}, std::pair{12, 24}, std::pair{24, 1000}, std::pair{12, 1000}})
            for (int const divisor : {1, 2, 5})
                EXPECT_DOUBLE_EQ(*contact_precision(example, pairs, divisor, from, below),
                                 slow_precision(example, map, divisor, from, below));
    }
}

TEST(Accuracy, CountsTheFirstAndTheFirstTen) {
    Task const task{"fold", "Fold", TaskKind::protein_class, {}, 20, "train", "valid", "test", "accuracy"};
    std::vector<TestExample> examples(4);
    std::vector<Prediction> predictions(4);
    for (int i = 0; i < 4; ++i) {
        examples[static_cast<std::size_t>(i)].class_label = i;
        predictions[static_cast<std::size_t>(i)].top_classes = {0, 11, 12, 13, 14, 15, 16, 17, 18, 2, 3};
    }
    EXPECT_DOUBLE_EQ(metric(task, "accuracy", examples, predictions), 0.25);
    EXPECT_DOUBLE_EQ(metric(task, "top-10 accuracy", examples, predictions), 0.5) << "0 and 2; 3 is the eleventh";
}

TEST(Values, SpearmanPearsonAndSquaredError) {
    Task const task{"v", "V", TaskKind::protein_value, {}, 0, "train", "valid", "test", "Spearman"};
    std::vector<TestExample> examples(3);
    std::vector<Prediction> predictions(3);
    Doubles const truth{1, 2, 4}, said{2, 2.5, 7};
    for (std::size_t i = 0; i < 3; ++i) examples[i].value = truth[i], predictions[i].value = said[i];
    EXPECT_DOUBLE_EQ(metric(task, "Spearman", examples, predictions), 1);
    EXPECT_DOUBLE_EQ(metric(task, "Pearson", examples, predictions), pearson(said, truth));
    EXPECT_DOUBLE_EQ(metric(task, "MSE", examples, predictions), (1 + 0.25 + 9) / 3);
}

} // namespace
} // namespace tape
