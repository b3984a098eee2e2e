#include "compare/analysis.hpp"

#include "tests/compare/goldens.hpp"
#include "tests/compare/synthetic_result.hpp"
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <set>

namespace tape {
namespace {

ResamplingOptions quick() {
    ResamplingOptions options;
    options.resamples = 300;
    options.permutations = 2000;
    return options;
}

Result const& result() {
    static Result const made = test::synthetic_result();
    return made;
}

Analysis const& analysis() {
    static Analysis const made = analyse(result(), quick());
    return made;
}

Difference const& difference(std::size_t task, std::string const& a, std::string const& b) {
    for (auto const& d : analysis().tasks[task].differences)
        if (d.a == a && d.b == b) return d;
    throw std::runtime_error{"no difference " + a + ", " + b};
}

TEST(Analysis, HoldsEveryArmAndMetric) {
    ASSERT_EQ(analysis().tasks.size(), 6U);
    for (std::size_t t = 0; t < 6; ++t) {
        auto const& task = analysis().tasks[t];
        ASSERT_EQ(task.arms.size(), 6U);
        for (auto const& arm : task.arms) {
            ASSERT_EQ(arm.metrics.size(), task.metrics.size());
            EXPECT_EQ(arm.seeds, (std::vector<std::uint64_t>{1, 2, 3}));
            EXPECT_FALSE(arm.constant);
            for (auto const& metric : arm.metrics) {
                ASSERT_EQ(metric.by_seed.size(), 3U);
                EXPECT_NEAR(metric.interval.value, (metric.by_seed[0] + metric.by_seed[1] + metric.by_seed[2]) / 3,
                            1e-12);
                EXPECT_LE(metric.interval.low, metric.interval.value);
                EXPECT_GE(metric.interval.high, metric.interval.value);
            }
        }
    }
}

TEST(Analysis, AsksTheRightQuestionsOnce) {
    std::set<std::pair<std::string, std::string>> pairs;
    for (auto const& d : analysis().tasks[0].differences)
        EXPECT_TRUE(pairs.emplace(d.a, d.b).second) << d.a << " - " << d.b;
    std::set<std::pair<std::string, std::string>> const expected{{"msa", "transformer"},
                                                                 {"msa", "unirep"},
                                                                 {"msa+transformer", "msa"},
                                                                 {"transformer", "transformer@random"},
                                                                 {"unirep", "transformer"},
                                                                 {"msa", "onehot"},
                                                                 {"transformer", "onehot"},
                                                                 {"transformer@random", "onehot"},
                                                                 {"unirep", "onehot"},
                                                                 {"msa+transformer", "onehot"}};
    EXPECT_EQ(pairs, expected);
    EXPECT_EQ(difference(0, "msa", "transformer").question, Question::sources);
    EXPECT_EQ(difference(0, "msa+transformer", "msa").question, Question::joined);
    EXPECT_EQ(difference(4, "msa+transformer", "transformer").question, Question::joined)
        << "the better part differs by task";
    EXPECT_EQ(difference(0, "transformer", "transformer@random").question, Question::pretraining);
    EXPECT_EQ(difference(0, "unirep", "transformer").question, Question::models);
    EXPECT_EQ(difference(0, "msa", "onehot").question, Question::baseline);
}

TEST(Analysis, FindsTheTruthOfTheSyntheticResult) {
    EXPECT_TRUE(difference(0, "msa", "transformer").significant());
    EXPECT_GT(difference(0, "msa", "transformer").interval.low, 0);
    EXPECT_TRUE(difference(2, "msa", "onehot").significant());
    EXPECT_LT(difference(4, "msa", "transformer").interval.high, 0);
    EXPECT_TRUE(difference(5, "transformer", "transformer@random").significant());
    EXPECT_FALSE(difference(3, "transformer@random", "onehot").significant()) << "both at the same skill";
}

TEST(Analysis, PairedIntervalsAreNarrowerThanTheirParts) {
    auto const& task = analysis().tasks[0];
    auto const width = [](Interval const& i) { return i.high - i.low; };
    double const union_width = width(find_arm(task, "msa+transformer")->metrics[0].interval);
    EXPECT_LT(width(difference(0, "msa+transformer", "msa").interval), union_width) << "both rise and fall with depth";
}

/// d and the detectable difference, against NumPy and the normal quantiles; the latter from 4,000 resamples.
TEST(Analysis, EffectSizesAgreeWithTheReference) {
    auto const& golden = test::goldens().at("effects");
    Result made;
    made.arms = {{"msa", {"msa"}, {""}, {}}, {"transformer", {"transformer"}, {""}, {}}};
    made.seeds = {1};
    auto& task = made.tasks.emplace_back();
    task.task.kind = TaskKind::protein_class, task.task.class_count = 2;
    for (std::size_t i = 0; i < golden.at("a").size(); ++i) task.examples.emplace_back().class_label = 1;
    for (auto const& [arm, column] : {std::pair{"msa", "a"}, std::pair{"transformer", "b"}}) {
        tape::Run run;
        run.arm = arm, run.seed = 1;
        for (auto const& right : golden.at(column))
            run.predictions.emplace_back().top_classes = {right.get<double>() > 0};
        task.runs.push_back(std::move(run));
    }
    ResamplingOptions options;
    options.resamples = 4000;
    auto const d = analyse(made, options).tasks[0].differences.at(0);
    EXPECT_NEAR(d.effect, golden.at("d").get<double>(), 1e-12);
    EXPECT_NEAR(d.detectable, golden.at("detectable").get<double>(), .04 * golden.at("detectable").get<double>());
}

TEST(Analysis, HolmRunsOverTheWholePage) {
    std::vector<double> p;
    for (auto const& task : analysis().tasks)
        for (auto const& d : task.differences) p.push_back(d.p);
    auto const adjusted = holm(p);
    std::size_t k = 0;
    for (auto const& task : analysis().tasks)
        for (auto const& d : task.differences) EXPECT_EQ(d.p_holm, adjusted[k++]);
    EXPECT_EQ(k, 60U);
}

TEST(Analysis, GroupsByDepthAndMutations) {
    auto const& depth = analysis().tasks[0].groupings.at(0);
    EXPECT_EQ(depth.attribute, "depth");
    ASSERT_EQ(depth.groups.size(), 5U);
    std::size_t total = 0;
    for (std::size_t g = 0; g < 5; ++g) {
        total += depth.groups[g].examples;
        EXPECT_LE(depth.groups[g].low, depth.groups[g].high);
        if (g > 0) {
            EXPECT_GT(depth.groups[g].low, depth.groups[g - 1].high);
        }
    }
    EXPECT_EQ(total, result().tasks[0].examples.size());
    EXPECT_GT(depth.groups.back().arms[1].value, depth.groups.front().arms[1].value + .1)
        << "the msa arm gains with depth";
    auto const& mutations = analysis().tasks[4].groupings.at(0);
    EXPECT_EQ(mutations.attribute, "num_mutations");
    EXPECT_EQ(mutations.groups.front().label, "4");
    total = 0;
    for (auto const& group : mutations.groups) {
        total += group.examples;
        EXPECT_GE(group.examples, 30U);
    }
    EXPECT_EQ(total, result().tasks[4].examples.size());
    for (auto const& grouping : analysis().tasks[3].groupings)
        EXPECT_TRUE(grouping.attribute == "length" || grouping.attribute == "identity") << grouping.attribute;
}

TEST(Analysis, RepeatsResultsWithoutLeakedExamples) {
    auto const& stability = analysis().tasks[5];
    EXPECT_EQ(stability.in_training, 12U);
    ASSERT_EQ(stability.without_leaked.size(), stability.arms.size());
    EXPECT_NE(stability.without_leaked[0].value, stability.arms[0].metrics[0].interval.value);
    EXPECT_EQ(analysis().tasks[4].in_training, 0U);
    EXPECT_TRUE(analysis().tasks[4].without_leaked.empty());
}

TEST(Analysis, HasTheSameNumbersForAnyNumberOfThreadsAndAfterTheFile) {
    auto options = quick();
    options.resamples = 100;
    options.permutations = 500;
    auto const small =
        test::synthetic_result({.residue_proteins = 20, .pair_proteins = 6, .class_proteins = 40, .variants = 60});
    auto const numbers = [](Analysis const& a) {
        std::vector<double> all;
        for (auto const& task : a.tasks) {
            for (auto const& arm : task.arms)
                for (auto const& m : arm.metrics)
                    all.insert(all.end(), {m.interval.value, m.interval.low, m.interval.high});
            for (auto const& d : task.differences)
                all.insert(all.end(), {d.interval.low, d.interval.high, d.p, d.p_holm, d.effect});
        }
        return all;
    };
    options.threads = 1;
    auto const one = numbers(analyse(small, options));
    options.threads = 3;
    EXPECT_EQ(one, numbers(analyse(small, options)));
    EXPECT_EQ(one, numbers(analyse(result_from_json(to_json(small)), options)))
        << "the saved result gives the same report";
}

TEST(Analysis, TellsConstantPredictions) {
    auto broken =
        test::synthetic_result({.residue_proteins = 12, .pair_proteins = 4, .class_proteins = 20, .variants = 40});
    for (auto& prediction : broken.tasks[4].runs[0].predictions) prediction.value = 2.5; // onehot, seed 1
    for (auto& prediction : broken.tasks[0].runs[0].predictions)
        std::fill(prediction.residue_classes.begin(), prediction.residue_classes.end(), 1);
    auto const made = analyse(broken, quick());
    EXPECT_TRUE(made.tasks[4].arms[0].constant);
    EXPECT_TRUE(std::isnan(made.tasks[4].arms[0].metrics[0].interval.value)) << "rho of a constant is undefined";
    EXPECT_FALSE(made.tasks[4].arms[1].constant);
    EXPECT_TRUE(made.tasks[0].arms[0].constant);
}

TEST(Roles, AreReadOffTheSources) {
    auto const role = [](std::vector<std::string> sources) {
        return role_of({.name = "x", .sources = std::move(sources), .descriptions = {}, .run = {}});
    };
    EXPECT_EQ(role({"onehot"}), ArmRole::sequence);
    EXPECT_EQ(role({"msa"}), ArmRole::alignment);
    EXPECT_EQ(role({"transformer@weights/esm2"}), ArmRole::language_model);
    EXPECT_EQ(role({"unirep"}), ArmRole::language_model);
    EXPECT_EQ(role({"transformer@random"}), ArmRole::random_model);
    EXPECT_EQ(role({"onehot", "msa"}), ArmRole::joined);
}

} // namespace
} // namespace tape
