#include "compare/analysis.hpp"
#include "compare/report_merge.hpp"
#include "data/error.hpp"

#include "tests/compare/synthetic_result.hpp"
#include <gtest/gtest.h>

#include <algorithm>

namespace tape {
namespace {

test::SyntheticSize const small{
    .residue_proteins = 12, .pair_proteins = 4, .class_proteins = 20, .variants = 40, .seeds = 2};

ResamplingOptions quick() {
    ResamplingOptions options;
    options.resamples = 100;
    options.permutations = 200;
    return options;
}

TEST(Merge, JoinsRunsOverTheSameExamples) {
    auto const one = test::synthetic_result(small);
    auto const merged = merge_results({one, one}, {"first", "second"});
    EXPECT_EQ(merged.tasks.size(), one.tasks.size());
    EXPECT_EQ(merged.arms.size(), 2 * one.arms.size());
    EXPECT_EQ(merged.arms[1].name, "msa [first]");
    EXPECT_EQ(merged.arms[1].run, "first");
    EXPECT_NO_THROW(check_result(merged));
    auto const analysis = analyse(merged, quick());
    std::size_t across = 0;
    for (auto const& d : analysis.tasks[0].differences)
        if (d.question == Question::runs) {
            ++across;
            EXPECT_EQ(d.interval.value, 0) << "the same predictions twice";
            EXPECT_EQ(d.p, 1);
        } else
            EXPECT_EQ(d.a.substr(d.a.find('[')), d.b.substr(d.b.find('['))) << "other questions stay inside a run";
    EXPECT_EQ(across, one.arms.size());
}

TEST(Merge, KeepsOtherExamplesApart) {
    auto const merged = merge_results({test::synthetic_result(small, 1), test::synthetic_result(small, 2)}, {"a", "b"});
    ASSERT_EQ(merged.tasks.size(), 12U);
    EXPECT_EQ(merged.tasks[6].task.title, "Secondary structure (Q3), b");
    EXPECT_EQ(merged.tasks[6].notes.back(),
              "b: other test examples than in the runs before, so that no difference to them is paired");
    auto const analysis = analyse(merged, quick());
    for (auto const& task : analysis.tasks)
        for (auto const& d : task.differences) EXPECT_NE(d.question, Question::runs);
    EXPECT_EQ(analysis.tasks[6].arms.size(), 6U);
}

TEST(Merge, OneExampleChangedIsAnotherTestSet) {
    auto const one = test::synthetic_result(small);
    auto other = one;
    other.tasks[4].examples[3].value += 1e-9;
    EXPECT_TRUE(same_examples(one.tasks[0], other.tasks[0]));
    EXPECT_FALSE(same_examples(one.tasks[4], other.tasks[4]));
    EXPECT_EQ(merge_results({one, other}, {"a", "b"}).tasks.size(), 7U);
}

TEST(Merge, RefusesUnclearLabels) {
    auto const one = test::synthetic_result(small);
    EXPECT_THROW(merge_results({one, one}, {"a"}), usage_error);
    EXPECT_THROW(merge_results({one, one}, {"a", "a"}), usage_error);
    EXPECT_THROW(merge_results({}, {}), usage_error);
}

} // namespace
} // namespace tape
