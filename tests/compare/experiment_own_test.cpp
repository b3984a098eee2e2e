#include "compare/experiment.hpp"
#include "compare/metrics.hpp"
#include "compare/presets.hpp"
#include "data/alphabet.hpp"
#include "data/error.hpp"
#include "data/io.hpp"
#include "data/temporary.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>

namespace {

namespace fs = std::filesystem;

std::string message_of(std::function<void()> const& act) {
    try {
        act();
    } catch (tape::error const& problem) {
        return problem.what();
    }
    return {};
}

// Tasks whose answer can be read off the residues, so that a head of one-hot features must find it
// -----------------------------------------------------------------------------------------------

std::string random_residues(std::size_t length, std::mt19937_64& random) {
    std::string residues;
    for (std::size_t i = 0; i < length; ++i) residues += tape::amino_acids[random() % 20];
    return residues;
}

/// 60 proteins for training, 15 each for the other splits; `label` writes the cell of the label column.
std::string table(std::string const& column, std::function<std::string(std::string const&)> const& label) {
    std::mt19937_64 random{5};
    std::string text = "id,sequence,split," + column + "\n";
    for (int k = 0; k < 90; ++k) {
        std::string const residues = random_residues(40 + random() % 20, random);
        text += "p" + std::to_string(k) + "," + residues +
                (k < 60   ? ",train,"
                 : k < 75 ? ",valid,"
                          : ",test,") +
                label(residues) + "\n";
    }
    return text;
}

tape::TaskResult run(fs::path const& folder, std::string const& name, std::string const& text, int epochs = 0,
                     tape::HeadStyle head = tape::HeadStyle::published) {
    tape::write_text(folder / name, text);
    tape::ExperimentOptions options;
    options.features = {"onehot"};
    options.tasks = {(folder / name).string()};
    options.seeds = 1;
    if (epochs > 0) options.max_epochs = epochs;
    options.alignments.search = false;
    options.head = head;
    options.cache = folder / "cache";
    options.threads = 1, options.device = "cpu", options.quiet = true;
    auto const result = tape::run_experiment(tape::make_plan(options));
    EXPECT_NO_THROW(tape::check_result(result));
    return result.tasks.at(0);
}

double headline(tape::TaskResult const& task) {
    return tape::evaluate(tape::example_scores(tape::metrics_of(task.task).front(), task.examples, task.runs.at(0)));
}

TEST(own_tasks, of_every_shape_run_without_code) {
    tape::TemporaryDirectory const folder;
    auto const leucines = [](std::string const& residues) {
        return static_cast<double>(std::ranges::count(residues, 'L')) / static_cast<double>(residues.size());
    };
    auto const values = run(folder.path(), "leucines.csv",
                            table("value", [&](auto const& residues) { return std::to_string(leucines(residues)); }));
    EXPECT_EQ(values.task.title, "leucines (Spearman)");
    EXPECT_EQ(values.examples.size(), 15u);
    EXPECT_GT(headline(values), .9);
    ASSERT_EQ(values.relatives.size(), 1u);
    EXPECT_EQ(values.relatives[0].name, "60 training proteins");

    auto const classes =
        run(folder.path(), "rich.csv",
            table("class", [&](auto const& residues) { return leucines(residues) > .05 ? "rich" : "poor"; }));
    EXPECT_EQ(classes.task.class_names, (std::vector<std::string>{"poor", "rich"}));
    EXPECT_GT(headline(classes), .75);

    auto const labels = run(folder.path(), "charge.csv", table("labels", [](auto const& residues) {
                                std::string text;
                                for (char const letter : residues)
                                    text += std::string{"DE"}.find(letter) != std::string::npos   ? 'n'
                                            : std::string{"KR"}.find(letter) != std::string::npos ? 'p'
                                                                                                  : 'o';
                                return text;
                            }));
    EXPECT_GT(headline(labels), .95);

    auto const pairs =
        run(folder.path(), "pairs.csv", table("contacts", [](auto const&) { return "1-20 5-30 2-9"; }), 1);
    EXPECT_EQ(pairs.examples[0].contacts, (std::vector<std::array<int, 2>>{{0, 19}, {1, 8}, {4, 29}}));
    EXPECT_FALSE(pairs.runs[0].predictions[0].pairs.empty());
}

/// One protein, each variant with a few residues of its own; the value adds up effects that belong to positions, which
/// the composition does not show.
std::string variants() {
    std::mt19937_64 random{8};
    std::string const parent = random_residues(60, random);
    std::string text = "id,sequence,split,value\n";
    for (int k = 0; k < 900; ++k) {
        std::string residues = parent;
        double value = 0;
        for (int m = 0; m < 4; ++m) {
            std::size_t const place = random() % residues.size();
            residues[place] = tape::amino_acids[random() % 20];
        }
        for (std::size_t i = 0; i < residues.size(); ++i)
            if (residues[i] != parent[i]) value += i % 3 == 0 ? 2 : -1;
        if (k % 10 == 0) residues.erase(59);
        text += "v" + std::to_string(k) + "," + residues +
                (k < 700   ? ",train,"
                 : k < 800 ? ",valid,"
                           : ",test,") +
                std::to_string(value) + "\n";
    }
    return text;
}

TEST(own_tasks, have_a_published_head_and_a_strong_one) {
    tape::TemporaryDirectory const folder;
    auto const published = run(folder.path(), "assay.csv", variants());
    auto const strong = run(folder.path(), "assay.csv", variants(), 0, tape::HeadStyle::strong);
    EXPECT_EQ(strong.runs[0].head,
              "ridge regression on residues at their positions beside standardised pooled features");
    EXPECT_LT(headline(published), .5);
    EXPECT_GT(headline(strong), .7);

    // The class is the order of two letters: the same composition either way.
    auto const order = table("class", [](auto const& residues) {
        return residues.find('W') < residues.find('C') ? std::string{"before"} : std::string{"behind"};
    });
    EXPECT_EQ(
        run(folder.path(), "order.csv", order, 2, tape::HeadStyle::strong).runs[0].head,
        "residual convolutions (128 channels, 3 blocks of 5, dilations 1 2 4), attention over positions (4 heads) "
        "beside the mean, then a linear layer");
    auto const letters = table("labels", [](auto const& residues) { return residues; });
    EXPECT_EQ(run(folder.path(), "letters.csv", letters, 2, tape::HeadStyle::strong).runs[0].head,
              "residual convolutions (128 channels, 3 blocks of 5, dilations 1 2 4), then a linear layer");
}

TEST(presets, say_what_a_run_takes) {
    EXPECT_EQ(message_of([] { (void)tape::find_preset("quik"); }),
              "unknown preset `quik` (did you mean `quick`?); there are quick, seed-finding and full");
    auto const& finding = tape::find_preset("seed-finding");
    EXPECT_EQ(finding.features, (std::vector<std::string>{"msa", "transformer", "transformer@random"}));
    for (auto const& name : finding.tasks) EXPECT_EQ(tape::limits_of(finding, tape::find_task(name)).test, 0u) << name;
    tape::ExperimentOptions options;
    options.preset = "seed-finding";
    options.tasks = {"contact"};
    auto const plan = tape::make_plan(options);
    ASSERT_EQ(plan.arms.size(), 5u) << "baseline and union are added";
    EXPECT_EQ(plan.tasks.size(), 1u);
    EXPECT_EQ(plan.tasks[0].test.size(), 150u);
}

TEST(presets, own_tasks_are_limited_like_the_bundled_ones_of_their_kind) {
    tape::Task task;
    task.name = "mine", task.kind = tape::TaskKind::protein_class, task.file = "mine.csv";
    auto const limits = tape::limits_of(tape::find_preset("quick"), task);
    EXPECT_EQ(limits.test, 150u);
    EXPECT_EQ(limits.classes, 0u) << "all classes";
}

TEST(tasks, may_be_files_and_names_together) {
    tape::TemporaryDirectory const folder;
    auto const file = folder.path() / "mine.csv";
    tape::write_text(file, table("value", [](auto const&) { return "1"; }));
    auto const tasks = tape::parse_tasks({file.string(), "ss3"});
    ASSERT_EQ(tasks.size(), 2u);
    EXPECT_EQ(tasks[0].name, "secondary_structure");
    EXPECT_EQ(tasks[1].name, "mine");
    EXPECT_EQ(message_of([&] {
                  (void)tape::parse_tasks({file.string(), file.string()});
              }),
              file.string() + ": another file of --tasks is called `mine` too; name each once, or rename one");
    EXPECT_NE(message_of([] { (void)tape::parse_tasks({"no_such_file.csv"}); }), "");
}

} // namespace
