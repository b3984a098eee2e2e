#include "compare/calibration.hpp"

#include "tests/compare/goldens.hpp"
#include "tests/compare/synthetic_result.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace tape {
namespace {

ResamplingOptions quick(int resamples = 200) {
    ResamplingOptions options;
    options.resamples = resamples;
    return options;
}

/// A protein class task whose answers are those of scikit-learn's example.
TaskResult golden_task() {
    auto const& golden = test::goldens().at("calibration");
    TaskResult task;
    task.task.kind = TaskKind::protein_class;
    task.task.class_count = 2;
    Run run;
    run.arm = "msa";
    for (std::size_t i = 0; i < golden.at("probability").size(); ++i) {
        TestExample example;
        example.class_label = 1;
        task.examples.push_back(example);
        Prediction prediction;
        prediction.top_classes = {golden.at("right")[i].get<int>()};
        prediction.confidence = {golden.at("probability")[i].get<float>()};
        run.predictions.push_back(prediction);
    }
    task.runs.push_back(run);
    return task;
}

TEST(Calibration, AgreesWithScikitLearnsReliabilityCurve) {
    auto const& golden = test::goldens().at("calibration");
    auto const found = calibration_of(golden_task(), "msa", quick());
    ASSERT_TRUE(found);
    EXPECT_NEAR(found->error.value, golden.at("error").get<double>(), 1e-6);
    std::size_t filled = 0;
    for (std::size_t b = 0; b < 10; ++b) {
        EXPECT_EQ(found->bins[b].answers, golden.at("counts")[b].get<double>());
        if (found->bins[b].answers == 0) continue;
        EXPECT_NEAR(found->bins[b].accuracy, golden.at("accuracy")[filled].get<double>(), 1e-12);
        EXPECT_NEAR(found->bins[b].confidence, golden.at("confidence")[filled].get<double>(), 1e-6);
        ++filled;
    }
    EXPECT_EQ(filled, golden.at("accuracy").size());
    EXPECT_GT(found->excess.low, 0) << "right with p^1.5: overconfident";
    EXPECT_LT(found->error.low, found->error.high);
}

TEST(Calibration, IsTheSameForAnyNumberOfThreads) {
    auto options = quick();
    options.threads = 1;
    auto const one = calibration_of(golden_task(), "msa", options);
    options.threads = 3;
    auto const three = calibration_of(golden_task(), "msa", options);
    EXPECT_EQ(one->error.low, three->error.low);
    EXPECT_EQ(one->excess.high, three->excess.high);
}

TEST(Calibration, CountsResolvedResiduesAndListedPairsOnly) {
    auto const result = test::synthetic_result({.residue_proteins = 12, .pair_proteins = 4});
    auto const sum = [](Calibration const& calibration) {
        double answers = 0;
        for (auto const& bin : calibration.bins) answers += bin.answers;
        return answers;
    };
    double residues = 0, pairs = 0;
    for (auto const& example : result.tasks[0].examples)
        for (std::size_t i = 0; i < example.residues.size(); ++i)
            residues += example.residue_labels[i] >= 0 && example.mask[i];
    EXPECT_EQ(sum(*calibration_of(result.tasks[0], "msa", quick(20))), residues);
    auto const& contact = result.tasks[2];
    double seeds = 0;
    for (auto const& run : contact.runs)
        if (run.arm == "msa" && ++seeds > 0)
            for (std::size_t i = 0; i < run.predictions.size(); ++i)
                for (auto const& pair : run.predictions[i].pairs)
                    pairs += contact.examples[i].mask[static_cast<std::size_t>(pair.i)];
    EXPECT_NEAR(sum(*calibration_of(contact, "msa", quick(20))), pairs / seeds, 1e-9) << "mean over seeds";
    EXPECT_FALSE(calibration_of(result.tasks[4], "msa", quick(20))) << "values have no probabilities";
}

TEST(Calibration, OfResultsWithoutProbabilitiesIsNotMade) {
    auto task = golden_task();
    for (auto& prediction : task.runs[0].predictions) prediction.confidence.clear();
    EXPECT_FALSE(calibration_of(task, "msa", quick()));
    EXPECT_FALSE(calibration_of(golden_task(), "other", quick()));
}

} // namespace
} // namespace tape
