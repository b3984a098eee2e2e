#include "compare/arms.hpp"
#include "compare/presets.hpp"
#include "data/error.hpp"

#include <gtest/gtest.h>

#include <set>

namespace {

std::vector<std::string> names(std::vector<tape::ArmSpec> const& arms) {
    std::vector<std::string> result;
    for (auto const& arm : arms) result.push_back(arm.name);
    return result;
}

std::string usage_message(std::vector<std::string> const& features) {
    try {
        (void)tape::parse_arms(features, true, true);
    } catch (tape::usage_error const& problem) {
        return problem.what();
    }
    return "no error";
}

using Names = std::vector<std::string>;

TEST(arms, baseline_and_union_are_added) {
    EXPECT_EQ(names(tape::parse_arms({"msa", "transformer"}, true, true)),
              (Names{"onehot", "msa", "transformer", "msa+transformer"}));
    EXPECT_EQ(names(tape::parse_arms({"msa", "transformer"}, false, false)), (Names{"msa", "transformer"}));
    EXPECT_EQ(names(tape::parse_arms({"msa"}, true, true)), (Names{"onehot", "msa"}));
    EXPECT_EQ(names(tape::parse_arms({"msa", "onehot"}, true, true)), (Names{"msa", "onehot"}));
}

TEST(arms, the_control_of_the_figures_is_the_first_network_of_its_own_weights) {
    auto const control = [](Names const& features) {
        auto const found = tape::unpretrained_control(tape::parse_arms(features, true, true));
        return found ? found->text + (found->random ? "" : " with weights") : "none";
    };
    EXPECT_EQ(control({"msa", "transformer", "unirep"}), "transformer@random");
    EXPECT_EQ(control({"transformer@some/folder", "msa+unirep"}), "unirep@random");
    EXPECT_EQ(control({"msa", "transformer", "unirep@random"}), "none") << "it is an arm already";
    EXPECT_EQ(control({"msa", "bert@some/folder"}), "none");
}

TEST(arms, union_leaves_out_controls_and_joins) {
    EXPECT_EQ(names(tape::parse_arms({"msa", "transformer@random", "unirep", "onehot+msa"}, false, true)),
              (Names{"msa", "transformer@random", "unirep", "onehot+msa", "msa+unirep"}));
}

TEST(arms, union_is_not_added_twice) {
    EXPECT_EQ(names(tape::parse_arms({"msa", "transformer+msa", "transformer"}, false, true)),
              (Names{"msa", "transformer+msa", "transformer"}));
}

TEST(arms, weights_are_told_apart_from_names) {
    auto const arms = tape::parse_arms({"transformer@runs/a", "transformer@random", "transformer"}, false, false);
    EXPECT_EQ(arms[0].sources[0].weights, "runs/a");
    EXPECT_FALSE(arms[0].sources[0].random);
    EXPECT_TRUE(arms[1].sources[0].random);
    EXPECT_EQ(tape::instance_name(arms[1].sources[0], 4), "transformer@random (seed 4)");
    EXPECT_EQ(tape::instance_name(arms[2].sources[0], 4), "transformer");
}

TEST(arms, wrong_names_are_told) {
    EXPECT_EQ(usage_message({"transfomer"}),
              "unknown arm `transfomer` (did you mean `transformer`?); known: onehot, msa, "
              "transformer, bert, lstm, resnet, bepler, unirep, unirep-64, unirep-256");
    EXPECT_EQ(usage_message({"bert"}), "`bert` names no weights; write bert@DIR");
    EXPECT_EQ(usage_message({"msa+bert@random"}), "`bert@random` names no weights; write bert@DIR");
    EXPECT_EQ(usage_message({"lstm"}), "`lstm` names no weights; write lstm@DIR or lstm@random");
    EXPECT_EQ(names(tape::parse_arms({"lstm@random", "bepler@runs/b.pt"}, false, false)),
              (Names{"lstm@random", "bepler@runs/b.pt"}));
    EXPECT_EQ(usage_message({"msa@x"}),
              "`msa` takes no weights, seen `msa@x`; choose alignments with --db or --msa-dir");
    EXPECT_EQ(usage_message({"msa", "msa"}), "arm `msa` is given twice");
    EXPECT_EQ(usage_message({"msa+msa"}), "arm `msa+msa` names `msa` twice");
    EXPECT_EQ(usage_message({"msa+"}),
              "arm `msa+` has an empty part; write names joined by '+', such as msa+transformer");
    EXPECT_EQ(usage_message({"unirep@"}), "`unirep@` names no weights after '@'; write a path or `random`");
    EXPECT_NE(usage_message({}).find("--features names no arm"), std::string::npos);
}

TEST(presets, tasks_come_in_the_order_of_the_report) {
    auto const tasks = tape::parse_tasks({"stability", "ss", "secondary_structure"});
    ASSERT_EQ(tasks.size(), 2u);
    EXPECT_EQ(tasks[0].name, "secondary_structure");
    EXPECT_EQ(tasks[1].name, "stability");
    EXPECT_EQ(tape::parse_tasks({"all"}).size(), tape::bundled_tasks().size());
    EXPECT_THROW((void)tape::parse_tasks({"fluorescense"}), tape::usage_error);
    EXPECT_THROW((void)tape::find_preset("quik"), tape::usage_error);
}

std::set<std::string> ids(std::vector<tape::Example> const& examples) {
    std::set<std::string> result;
    for (auto const& example : examples) result.insert(example.protein.id);
    return result;
}

TEST(presets, larger_subset_contains_the_smaller) {
    auto const task = tape::find_task("contact");
    auto const small = tape::load_task(task, {.train = 10, .valid = 5, .test = 8}, 1);
    auto const large = tape::load_task(task, {.train = 30, .valid = 9, .test = 20}, 1);
    for (auto const& [part, whole] :
         {std::pair{&small.train, &large.train}, {&small.valid, &large.valid}, {&small.test, &large.test}}) {
        auto const few = ids(*part), many = ids(*whole);
        EXPECT_TRUE(std::ranges::includes(many, few));
    }
    EXPECT_EQ(small.train.size(), 10u);
    EXPECT_EQ(small.test.size(), 8u);
    EXPECT_EQ(small.train_available, 763u);
    EXPECT_NE(small.hash, large.hash);
}

TEST(presets, seed_draws_training_but_not_test) {
    auto const task = tape::find_task("contact");
    auto const one = tape::load_task(task, {.train = 10, .valid = 5, .test = 8}, 1);
    auto const two = tape::load_task(task, {.train = 10, .valid = 5, .test = 8}, 2);
    EXPECT_NE(ids(one.train), ids(two.train));
    EXPECT_EQ(ids(one.valid), ids(two.valid));
    EXPECT_EQ(ids(one.test), ids(two.test));
}

TEST(presets, class_sub_problem_keeps_the_frequent_classes) {
    auto const task = tape::find_task("remote_homology");
    auto const data = tape::load_task(task, {.classes = 5, .per_class = 3}, 0);
    std::map<int, int> train;
    for (auto const& example : data.train) ++train[example.class_label];
    EXPECT_LE(train.size(), 5u);
    for (auto const& [label, count] : train) EXPECT_LE(count, 3);
    std::map<int, int> all, kept;
    for (auto const& example : tape::load_split(task, task.test).examples) ++all[example.class_label];
    for (auto const& example : data.test) ++kept[example.class_label];
    EXPECT_EQ(kept.size(), 5u);
    int least = 1 << 30, most_left_out = 0;
    for (auto const& [label, count] : all)
        if (kept.contains(label)) {
            least = std::min(least, count);
            EXPECT_EQ(kept[label], count);
        } else {
            most_left_out = std::max(most_left_out, count);
        }
    EXPECT_GE(least, most_left_out);
}

} // namespace
