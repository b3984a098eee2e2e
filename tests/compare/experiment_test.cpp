#include "align/profile.hpp"
#include "compare/estimate.hpp"
#include "compare/experiment.hpp"
#include "compare/experiment_contacts.hpp"
#include "compare/experiment_figures.hpp"
#include "compare/experiment_store.hpp"
#include "compare/metrics.hpp"
#include "data/error.hpp"
#include "data/io.hpp"
#include "data/temporary.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <set>

namespace {

namespace fs = std::filesystem;

// A small grid
// -----------------------------------------------------------------------------------------------------------

/// Every task, few proteins, alignments only from a folder: no search, no language model.
tape::ExperimentOptions small_options(fs::path const& folder) {
    tape::ExperimentOptions options;
    options.features = {"msa", "onehot+msa"};
    options.tasks = {"ss", "contact", "homology", "fluorescence", "stability"};
    options.train_limit = 20, options.valid_limit = 6, options.test_limit = 10;
    options.max_epochs = 1; // what is tested is the grid, not the heads
    options.seeds = 2;
    options.alignments.directory = folder / "msa";
    options.alignments.search = false;
    options.cache = folder / "cache";
    options.threads = 1;
    options.device = "cpu";
    options.quiet = true;
    return options;
}

/// An alignment of the protein and copies of it with every fifth residue replaced.
void write_alignment(fs::path const& folder, tape::Protein const& protein, std::mt19937_64& random) {
    std::ofstream out{folder / (protein.id + ".a3m")};
    out << '>' << protein.id << '\n' << protein.residues << '\n';
    for (int copy = 0; copy < 6; ++copy) {
        std::string row = protein.residues;
        for (char& letter : row)
            if (random() % 5 == 0) letter = tape::amino_acids[random() % 20];
        out << ">copy" << copy << '\n' << row << '\n';
    }
}

class Experiment : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        folder_ = std::make_unique<tape::TemporaryDirectory>();
        fs::create_directories(folder() / "msa");
        std::mt19937_64 random{1};
        plan_ = std::make_unique<tape::Plan>(tape::make_plan(small_options(folder())));
        for (auto const& data : plan_->tasks)
            if (data.task.name == "secondary_structure" || data.task.name == "contact")
                for (auto const* part : {&data.train, &data.test})
                    for (auto const& example : *part) write_alignment(folder() / "msa", example.protein, random);
        result_ = std::make_unique<tape::Result>(tape::run_experiment(*plan_));
    }
    static void TearDownTestSuite() {
        result_.reset();
        plan_.reset();
        folder_.reset();
    }
    static fs::path const& folder() { return folder_->path(); }
    static tape::Result const& result() { return *result_; }
    static tape::Plan const& plan() { return *plan_; }
    /// The same grid with some of its tasks and a cache of its own.
    static tape::Plan part_of_plan(std::set<std::string> const& tasks, std::string const& cache) {
        tape::Plan part = *plan_;
        std::erase_if(part.tasks, [&](auto const& data) { return !tasks.contains(data.task.name); });
        part.options.cache = folder() / cache;
        return part;
    }

  private:
    static inline std::unique_ptr<tape::TemporaryDirectory> folder_;
    static inline std::unique_ptr<tape::Plan> plan_;
    static inline std::unique_ptr<tape::Result> result_;
};

/// Everything but times.
nlohmann::json predictions_of(tape::Result result) {
    for (auto& task : result.tasks)
        for (auto& run : task.runs) run.feature_seconds = run.head_seconds = 0;
    return to_json(result).at("tasks");
}

nlohmann::json predictions_of(tape::TaskResult const& task) {
    tape::Result alone;
    for (auto const& run : task.runs)
        if (std::ranges::find(alone.arms, run.arm, &tape::Arm::name) == alone.arms.end())
            alone.arms.push_back({.name = run.arm, .sources = {run.arm}, .descriptions = {""}, .run = {}});
    alone.tasks = {task};
    return predictions_of(std::move(alone));
}

tape::TaskResult const& task_of(tape::Result const& result, std::string const& name) {
    return *std::ranges::find_if(result.tasks, [&](auto const& task) { return task.task.name == name; });
}

TEST_F(Experiment, result_is_complete) {
    EXPECT_NO_THROW(tape::check_result(result()));
    ASSERT_EQ(result().arms.size(), 3u);
    EXPECT_EQ(result().arms[0].name, "onehot");
    EXPECT_EQ(result().arms[2].sources, (std::vector<std::string>{"onehot", "msa"}));
    ASSERT_EQ(result().tasks.size(), 5u);
    for (auto const& task : result().tasks) {
        SCOPED_TRACE(task.task.name);
        EXPECT_EQ(task.examples.size(), 10u);
        EXPECT_GT(task.train_available, 20u);
        ASSERT_EQ(task.runs.size(), 6u); // three arms, two seeds
        for (auto const& run : task.runs) {
            EXPECT_EQ(run.predictions.size(), 10u);
            EXPECT_EQ(run.train_size, 20u);
            EXPECT_FALSE(run.head.empty());
        }
        EXPECT_FALSE(task.evidence.contains("onehot"));
        ASSERT_TRUE(task.evidence.contains("msa"));
        EXPECT_EQ(task.evidence.at("msa").depth.size(), 10u);
    }
}

TEST_F(Experiment, predictions_fit_their_proteins) {
    auto const& residues = task_of(result(), "secondary_structure");
    for (auto const& run : residues.runs)
        for (std::size_t k = 0; k < run.predictions.size(); ++k)
            EXPECT_EQ(run.predictions[k].residue_classes.size(), residues.examples[k].residues.size());
    auto const& contact = task_of(result(), "contact");
    for (auto const& run : contact.runs)
        for (std::size_t k = 0; k < run.predictions.size(); ++k) {
            int const length = static_cast<int>(contact.examples[k].residues.size());
            int counts[3]{};
            for (auto const& pair : run.predictions[k].pairs)
                ++counts[pair.j - pair.i < 12 ? 0 : pair.j - pair.i < 24 ? 1 : 2];
            for (int const count : counts) EXPECT_LE(count, length);
            EXPECT_GT(counts[0] + counts[1] + counts[2], length);
        }
    // Ten classes, or as many as twenty training proteins have.
    for (auto const& run : task_of(result(), "remote_homology").runs)
        for (auto const& prediction : run.predictions) {
            std::set<int> const distinct{prediction.top_classes.begin(), prediction.top_classes.end()};
            EXPECT_EQ(distinct.size(), prediction.top_classes.size());
            EXPECT_EQ(distinct.size(), run.predictions.front().top_classes.size());
            EXPECT_GE(distinct.size(), 5u);
            EXPECT_LE(distinct.size(), 10u);
        }
}

TEST_F(Experiment, alignments_are_read_where_they_are) {
    auto const& evidence = task_of(result(), "contact").evidence.at("msa");
    for (float const depth : evidence.depth) EXPECT_GT(depth, 2);
    int proteins = 0;
    for (auto const& [text, count] : evidence.provenance) proteins += count;
    EXPECT_EQ(proteins, 10);
    for (float const depth : task_of(result(), "remote_homology").evidence.at("msa").depth) EXPECT_LE(depth, 1);
}

TEST_F(Experiment, figures_have_their_numbers) {
    // Three showcase proteins, each by every arm.
    EXPECT_EQ(result().contact_maps.size(), 9u);
    std::set<std::string> ids;
    for (auto const& map : result().contact_maps) {
        ids.insert(map.id);
        EXPECT_EQ(map.probability.size(), static_cast<std::size_t>(map.length * map.length));
    }
    EXPECT_EQ(ids.size(), 3u);
    std::vector<std::string> maps;
    for (auto const& map : result().embeddings) {
        maps.push_back(map.source);
        EXPECT_EQ(map.points.size(), 10u);
        EXPECT_EQ(map.ids, result().embeddings[0].ids);
        EXPECT_EQ(map.perplexity, 3); // of ten points
    }
    EXPECT_EQ(maps, (std::vector<std::string>{"onehot", "msa", "onehot+msa"})); // sources once each, then the union
    EXPECT_NE(result().embeddings[2].points, result().embeddings[0].points);
    EXPECT_NE(result().embeddings[2].points, result().embeddings[1].points);
    ASSERT_EQ(result().positions.size(), 1u);
    auto const& positions = result().positions.front();
    EXPECT_EQ(positions.wild_type.size(), 237u);
    EXPECT_EQ(positions.rows.size(), 40u);
    // Two alignments of GFP gave .51 and .47 over all variants, .41 and .42 over single mutants, with another
    // weighting.
    EXPECT_NEAR(positions.spearman_all, .5, .1);
    EXPECT_NEAR(positions.spearman_single, .42, .1);
}

TEST_F(Experiment, exact_heads_say_the_same_for_every_seed_and_networks_do_not) {
    auto const values = [](tape::Run const& run) {
        std::vector<double> result;
        for (auto const& prediction : run.predictions) result.push_back(prediction.value);
        return result;
    };
    auto const& runs = task_of(result(), "stability").runs;
    EXPECT_EQ(values(runs[0]), values(runs[1]));
    EXPECT_NE(values(runs[0]), values(runs[2])); // another arm
    auto const maps = [](tape::Run const& run) {
        std::vector<float> result;
        for (auto const& prediction : run.predictions)
            for (auto const& pair : prediction.pairs) result.push_back(pair.probability);
        return result;
    };
    auto const& contact = task_of(result(), "contact").runs;
    EXPECT_NE(maps(contact[0]), maps(contact[1]));
    EXPECT_EQ(contact[1].seed, 1u);
}

TEST_F(Experiment, finished_runs_are_not_fitted_again) {
    auto const again = tape::run_experiment(plan());
    EXPECT_EQ(predictions_of(result()), predictions_of(again));
    // Times are those of the first fit: nothing was fitted.
    EXPECT_EQ(again.tasks[0].runs[0].head_seconds, result().tasks[0].runs[0].head_seconds);
}

TEST_F(Experiment, killed_grid_goes_on) {
    // As if the process had been killed before half of its runs, with one file cut short.
    auto const rest = part_of_plan({"secondary_structure", "contact", "stability"}, "killed");
    fs::copy(folder() / "cache", rest.options.cache, fs::copy_options::recursive);
    std::vector<fs::path> files;
    for (auto const& entry : fs::directory_iterator{rest.options.cache / "runs"}) files.push_back(entry.path());
    std::ranges::sort(files);
    ASSERT_GE(files.size(), 10u);
    for (std::size_t k = 0; k < files.size(); k += 2) fs::remove(files[k]);
    fs::resize_file(files[1], fs::file_size(files[1]) / 2);
    auto const resumed = tape::run_experiment(rest);
    for (auto const& task : resumed.tasks)
        EXPECT_EQ(predictions_of(task), predictions_of(task_of(result(), task.task.name)));
}

TEST_F(Experiment, features_may_come_from_the_cache_or_not) {
    auto again = part_of_plan({"secondary_structure", "stability"}, "cold");
    auto const cold = tape::run_experiment(again);
    again.options.force = true; // fit again, on features of the cache
    auto const warm = tape::run_experiment(again);
    EXPECT_EQ(predictions_of(cold), predictions_of(warm));
    EXPECT_NE(cold.tasks[0].runs[0].head_seconds, warm.tasks[0].runs[0].head_seconds);
}

/// Convolutional heads too: each trains on one thread, whatever the number that run side by side.
TEST_F(Experiment, threads_change_no_byte_of_the_result) {
    auto twice = plan();
    twice.options.cache = folder() / "three-threads";
    twice.options.threads = 3;
    tape::write_result(folder() / "one.json", result());
    tape::write_result(folder() / "three.json", tape::run_experiment(twice));
    EXPECT_EQ(tape::read_text(folder() / "one.json"), tape::read_text(folder() / "three.json"));
    EXPECT_NE(tape::read_text(folder() / "one.json.manifest.json"),
              tape::read_text(folder() / "three.json.manifest.json"))
        << "times stand beside the result, not in it";
}

TEST_F(Experiment, probabilities_of_named_classes_are_kept) {
    for (auto const* name : {"secondary_structure", "remote_homology"})
        for (auto const& run : task_of(result(), name).runs) {
            double sum = 0, count = 0;
            for (auto const& prediction : run.predictions)
                for (float const p : prediction.confidence) {
                    EXPECT_GE(p, 0);
                    EXPECT_LE(p, 1);
                    sum += p, count += 1;
                }
            ASSERT_GT(count, 0);
            EXPECT_GT(sum / count, 0.05) << "the most probable of at most twenty classes";
            break;
        }
}

TEST_F(Experiment, subset_does_not_depend_on_the_arms) {
    auto options = small_options(folder());
    options.features = {"onehot"};
    auto const other = tape::make_plan(options);
    for (std::size_t t = 0; t < plan().tasks.size(); ++t) EXPECT_EQ(plan().tasks[t].hash, other.tasks[t].hash);
}

TEST_F(Experiment, estimate_counts_the_grid) {
    auto const cost = tape::estimate(plan());
    EXPECT_EQ(cost.features.size(), 5u * 2); // five tasks, onehot and msa
    // Three arms: two seeds for the two network heads, one exact fit for the three others.
    EXPECT_EQ(cost.heads, 3u * (2 * 2 + 3));
    EXPECT_GT(cost.seconds(), 0);
    EXPECT_NE(tape::describe_estimate(plan(), cost).find("21 heads to fit"), std::string::npos);
}

TEST(experiment, unwritable_cache_is_told_before_any_work) {
    tape::TemporaryDirectory const folder;
    tape::write_text(folder.path() / "file", "x");
    auto options = small_options(folder.path());
    options.cache = folder.path() / "file" / "cache";
    options.tasks = {"contact"};
    EXPECT_THROW((void)tape::run_experiment(tape::make_plan(options)), tape::error);
}

// Parts
// ------------------------------------------------------------------------------------------------------------------

tape::Example random_chain(std::size_t length, std::mt19937_64& random) {
    tape::Example example;
    std::uniform_real_distribution<float> step{-3, 3};
    std::array<float, 3> position{};
    for (std::size_t i = 0; i < length; ++i) {
        for (auto& axis : position) axis += step(random);
        example.ca.push_back(position);
        example.cb.push_back({position[0] + 1, position[1], position[2]});
        example.valid_mask.push_back(i % 7 != 3);
        example.protein.residues += 'A';
    }
    return example;
}

TEST(contacts, labels_agree_with_the_definition) {
    std::mt19937_64 random{3};
    auto const example = random_chain(60, random);
    auto const labels = tape::contact_labels(example, tape::ContactAtom::ca);
    std::set<std::array<int, 2>> expected;
    for (int i = 0; i < 60; ++i)
        for (int j = 0; j < 60; ++j) {
            double const d = std::hypot(example.ca[i][0] - example.ca[j][0], example.ca[i][1] - example.ca[j][1],
                                        example.ca[i][2] - example.ca[j][2]);
            bool const resolved = example.valid_mask[i] != 0 && example.valid_mask[j] != 0;
            EXPECT_EQ(labels[i * 60 + j], !resolved ? -1 : d < 8 ? 1 : 0);
            if (resolved && d < 8 && j - i >= 6) expected.insert({i, j});
        }
    auto const contacts = tape::true_contacts(example, tape::ContactAtom::ca);
    EXPECT_EQ((std::set<std::array<int, 2>>{contacts.begin(), contacts.end()}), expected);
    EXPECT_GT(expected.size(), 10u);
}

TEST(contacts, beta_falls_back_to_alpha) {
    std::mt19937_64 random{4};
    auto example = random_chain(40, random);
    // The same shift everywhere keeps every distance.
    EXPECT_EQ(tape::true_contacts(example, tape::ContactAtom::ca), tape::true_contacts(example, tape::ContactAtom::cb));
    for (auto& position : example.cb) position.fill(NAN);
    EXPECT_EQ(tape::true_contacts(example, tape::ContactAtom::ca), tape::true_contacts(example, tape::ContactAtom::cb));
    example.cb.clear();
    EXPECT_EQ(tape::true_contacts(example, tape::ContactAtom::ca), tape::true_contacts(example, tape::ContactAtom::cb));
}

TEST(contacts, top_pairs_are_the_most_probable_of_each_range) {
    int const length = 50;
    tape::FeatureMatrix map(length, length);
    std::mt19937_64 random{5};
    for (int i = 0; i < length; ++i)
        for (int j = i; j < length; ++j) map(i, j) = map(j, i) = static_cast<float>(random() % 10000) / 10000.0F;
    auto const top = tape::top_pairs(map);
    for (auto const& [from, below] : {std::pair{6, 12}, {12, 24}, {24, 1000}}) {
        std::vector<float> all, chosen;
        for (int i = 0; i < length; ++i)
            for (int j = i + from; j < std::min(length, i + below); ++j)
                all.push_back(tape::stored_probability(map(i, j)));
        for (auto const& pair : top)
            if (pair.j - pair.i >= from && pair.j - pair.i < below) chosen.push_back(pair.probability);
        std::ranges::sort(all, std::greater<>{});
        all.resize(std::min<std::size_t>(all.size(), length));
        EXPECT_EQ(chosen, all);
    }
}

TEST(run_store, keeps_every_bit_and_survives_damage) {
    tape::TemporaryDirectory const folder;
    tape::RunStore const store{folder.path() / "runs"};
    tape::StoredRun run;
    run.run = {.arm = "msa",
               .seed = 7,
               .head = "h",
               .hyperparameters = "lambda=0.1",
               .valid_score = 0.1 + 0.2,
               .train_size = 3,
               .valid_size = 2,
               .feature_seconds = 1.5,
               .head_seconds = 2.5,
               .predictions = {}};
    run.run.predictions = {{.residue_classes = {0, 2, 1},
                            .pairs = {{1, 9, .3F}},
                            .top_classes = {4, 2},
                            .confidence = {.25F},
                            .value = 1.0 / 3}};
    run.evidence = {.depth = {12.5F}, .provenance = {{"search", 1}}};
    tape::FeatureMatrix map(2, 2);
    map << .1F, .2F, .2F, .3F;
    run.maps = {map};
    store.store("key", run);
    auto const back = store.find("key");
    ASSERT_TRUE(back);
    EXPECT_EQ(back->run.predictions[0].value, 1.0 / 3);
    EXPECT_EQ(back->run.predictions[0].pairs[0].probability, .3F);
    EXPECT_EQ(back->run.predictions[0].residue_classes, run.run.predictions[0].residue_classes);
    EXPECT_EQ(back->run.predictions[0].confidence, (std::vector<float>{.25F}));
    EXPECT_EQ(back->run.valid_score, 0.1 + 0.2);
    EXPECT_EQ(back->evidence.provenance, run.evidence.provenance);
    EXPECT_EQ(back->maps[0], map);
    EXPECT_FALSE(store.find("other"));
    fs::resize_file(folder.path() / "runs" / "key.cbor", 40);
    EXPECT_FALSE(store.find("key"));
    store.store("key", run);
    EXPECT_TRUE(store.find("key"));
}

TEST(joined_features, of_the_figures_weigh_the_same) {
    tape::FeatureMatrix loud(4, 1), quiet(4, 2), still = tape::FeatureMatrix::Constant(4, 2, 7);
    loud << 100, 300, 100, 300;
    quiet << 1, 0, 1, 1, 0, 0, 0, 1;
    std::vector<tape::FeatureMatrix> const parts{loud, quiet, still};
    auto const joined = tape::joined_evenly(parts);
    ASSERT_EQ(joined.cols(), 5);
    EXPECT_NEAR(joined.leftCols(1).squaredNorm() / 4, 1, 1e-6);
    EXPECT_NEAR(joined.middleCols(1, 2).squaredNorm() / 4, 1, 1e-6);
    EXPECT_EQ(joined.rightCols(2).squaredNorm(), 0);
    EXPECT_FLOAT_EQ(joined(1, 0), 1);
    EXPECT_FLOAT_EQ(joined(0, 1), std::sqrt(.5F));
    EXPECT_EQ(tape::joined_evenly(std::span{parts}.first(1)), loud);
}

TEST(figures, positions_are_counted_as_by_hand) {
    auto const variant = [](std::string id, std::string residues, double value, int mutations) {
        tape::Example example;
        example.protein = {std::move(id), "", std::move(residues)};
        example.value = value;
        example.attributes["num_mutations"] = std::to_string(mutations);
        return example;
    };
    std::vector<tape::Example> const variants{variant("wild", "ACDEF", 3, 0), variant("a", "GCDEF", 1, 1),
                                              variant("b", "GCDEG", 2, 2), variant("c", "AGDEF", 0, 1)};
    // The query has one residue more at its start and none under the last position.
    tape::Msa alignment;
    alignment.source = "by hand";
    for (std::string const row : {"MACDE", "MAGDE", "MACDE", "M-GDE"})
        alignment.rows.push_back(
            {.id = row, .description = {}, .columns = tape::encode_residues(row), .insertions = {}});
    auto const positions = tape::position_statistics(alignment, variants, 2);
    EXPECT_EQ(positions.wild_type, "ACDEF");
    EXPECT_DOUBLE_EQ(positions.mean_value[0], 1.5);
    EXPECT_DOUBLE_EQ(positions.mean_single[0], 1);
    EXPECT_DOUBLE_EQ(positions.mean_value[4], 2);
    EXPECT_TRUE(std::isnan(positions.mean_single[4]));
    EXPECT_TRUE(std::isnan(positions.mean_value[2]));
    auto const profile = tape::make_profile(alignment);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(positions.entropy[i], profile.entropy[i + 1]);
    EXPECT_TRUE(std::isnan(positions.entropy[4]));
    EXPECT_EQ(positions.rows, (std::vector<std::string>{"ACDE-", "ACDE-"}));
    EXPECT_EQ(positions.row_ids.front(), "MACDE");
}

} // namespace
