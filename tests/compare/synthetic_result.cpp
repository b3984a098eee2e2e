#include "tests/compare/synthetic_result.hpp"

#include "compare/random.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace tape::test {

namespace {

constexpr char letters[] = "ACDEFGHIKLMNPQRSTVWY";

double normal(Random& random) {
    double const u = std::max(random.uniform(), 1e-300);
    return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * random.uniform());
}

std::string random_protein(Random& random, std::size_t length) {
    std::string residues;
    for (std::size_t i = 0; i < length; ++i) residues += letters[random.below(20)];
    return residues;
}

/// How well an arm knows a task, from 0 (chance) to 1.
double skill(std::string const& arm, std::string const& task) {
    bool const structure = task.starts_with("secondary") || task == "contact";
    if (arm == "onehot") return structure ? 0.35 : task == "remote_homology" ? 0.1 : 0.45;
    if (arm == "msa") return structure ? 0.72 : task == "remote_homology" ? 0.2 : 0.1;
    if (arm == "transformer") return structure ? 0.55 : task == "remote_homology" ? 0.35 : 0.6;
    if (arm == "transformer@random") return structure ? 0.38 : 0.12;
    if (arm == "unirep") return structure ? 0.52 : task == "remote_homology" ? 0.3 : 0.62;
    return structure ? 0.76 : task == "remote_homology" ? 0.36 : 0.61; // the union
}

std::vector<std::string> const arm_names{"onehot",         "msa", "transformer", "transformer@random", "unirep",
                                         "msa+transformer"};

Run start_run(std::string const& arm, std::uint64_t seed, std::string const& head) {
    Run run;
    run.arm = arm;
    run.seed = seed;
    run.head = head;
    run.hyperparameters = "lambda=3.2, epochs=7";
    run.valid_score = 0.5 + 0.01 * static_cast<double>(seed);
    run.train_size = 500;
    run.valid_size = 100;
    run.feature_seconds = 12.25;
    run.head_seconds = 3.5;
    return run;
}

/// Depth of a protein's alignment, log-uniform; deep ones help the msa arms.
std::vector<float> draw_depths(Random& random, std::size_t n) {
    std::vector<float> depths(n);
    for (float& depth : depths) depth = static_cast<float>(std::round(10 * std::exp(6 * random.uniform())) / 10);
    return depths;
}

double helped(double base, std::string const& arm, float depth) {
    return arm.find("msa") == std::string::npos ? base : std::clamp(base + 0.06 * (std::log(depth) - 3), 0.05, 0.95);
}

void add_evidence(TaskResult& task, std::vector<float> const& depths) {
    int const deep = static_cast<int>(std::count_if(depths.begin(), depths.end(), [](float d) { return d >= 5; }));
    for (auto const* arm : {"msa", "msa+transformer"}) {
        task.evidence[arm].depth = depths;
        task.evidence[arm].provenance = {{"search of starter.tdb", deep},
                                         {"no homologs: sequence only", static_cast<int>(depths.size()) - deep}};
    }
}

TaskResult residue_task(Random& random, SyntheticSize const& size, int classes) {
    TaskResult result;
    std::string const metric = classes == 3 ? "Q3" : "Q8";
    result.task = {classes == 3 ? "secondary_structure" : "secondary_structure_q8",
                   "Secondary structure (" + metric + ")",
                   TaskKind::residue_class,
                   {},
                   classes,
                   "train",
                   "valid",
                   "cb513",
                   metric};
    for (int c = 0; c < classes; ++c) result.task.class_names.push_back(std::string{"HECTGSBI"[c]});
    for (int p = 0; p < size.residue_proteins; ++p) {
        TestExample example;
        example.id = std::to_string(1 + p) + "abc-A";
        example.residues = random_protein(random, 50 + random.below(150));
        for (std::size_t i = 0; i < example.residues.size(); ++i) {
            bool const labelled = random.uniform() < 0.98;
            example.residue_labels.push_back(static_cast<std::int16_t>(
                labelled ? static_cast<int>(random.below(static_cast<std::uint32_t>(classes))) : -1));
            example.mask.push_back(random.uniform() < 0.95);
        }
        result.examples.push_back(std::move(example));
    }
    auto const depths = draw_depths(random, result.examples.size());
    for (auto const& arm : arm_names)
        for (std::uint64_t seed = 1; seed <= static_cast<std::uint64_t>(size.seeds); ++seed) {
            Run run = start_run(arm, seed, "conv residue head (128, kernel 5)");
            for (std::size_t p = 0; p < result.examples.size(); ++p) {
                auto const& example = result.examples[p];
                double const right = helped(skill(arm, result.task.name), arm, depths[p]);
                Prediction prediction;
                for (auto const label : example.residue_labels)
                    prediction.residue_classes.push_back(
                        label >= 0 && random.uniform() < right
                            ? label
                            : static_cast<std::int16_t>(random.below(static_cast<std::uint32_t>(classes))));
                for (std::size_t r = 0; r < prediction.residue_classes.size(); ++r)
                    prediction.confidence.push_back(stored_confidence(static_cast<float>(right)));
                run.predictions.push_back(std::move(prediction));
            }
            result.runs.push_back(std::move(run));
        }
    add_evidence(result, depths);
    result.train_available = 8632;
    result.notes = {"trained on 500 of 8,632 proteins", "labels of 2% of the residues are missing & \"masked\" <sic>"};
    return result;
}

/// Contacts of a made-up fold: hairpins and two long-range sheets.
std::vector<std::array<int, 2>> fold_contacts(Random& random, int length) {
    std::vector<std::array<int, 2>> contacts;
    for (int hairpin = 0; hairpin < length / 25; ++hairpin) {
        int const centre = static_cast<int>(random.below(static_cast<std::uint32_t>(length)));
        for (int arm = 3; arm < 12; ++arm)
            if (centre - arm >= 0 && centre + arm < length) contacts.push_back({centre - arm, centre + arm});
    }
    for (int sheet = 0; sheet < 5; ++sheet) {
        int const i = static_cast<int>(random.below(static_cast<std::uint32_t>(length / 2)));
        int const j = i + 15 + static_cast<int>(random.below(static_cast<std::uint32_t>(length / 2 - 15)));
        for (int k = 0; k < 10 && j + k < length; ++k) contacts.push_back({i + k, j + k});
    }
    std::sort(contacts.begin(), contacts.end());
    contacts.erase(std::unique(contacts.begin(), contacts.end()), contacts.end());
    std::erase_if(contacts, [](auto const& pair) { return pair[1] - pair[0] < 6; });
    return contacts;
}

ContactMap draw_map(Random& random, TestExample const& example, std::string const& arm, double quality) {
    ContactMap map{example.id, arm, static_cast<int>(example.residues.size()), {}};
    auto const length = example.residues.size();
    map.probability.assign(length * length, 0);
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = i + 1; j < length; ++j) {
            bool const contact = std::binary_search(example.contacts.begin(), example.contacts.end(),
                                                    std::array<int, 2>{static_cast<int>(i), static_cast<int>(j)});
            double const score = 4 * quality * (contact ? 1 : 0) - 4.5 + 0.9 * normal(random);
            map.probability[i * length + j] = map.probability[j * length + i] =
                static_cast<float>(1 / (1 + std::exp(-score)));
        }
    return map;
}

std::vector<PairPrediction> top_of_ranges(ContactMap const& map) {
    std::vector<PairPrediction> kept;
    for (auto const& [from, below] : {std::pair{6, 12}, std::pair{12, 24}, std::pair{24, 1 << 30}}) {
        std::vector<PairPrediction> range;
        for (int i = 0; i < map.length; ++i)
            for (int j = i + from; j < map.length && j - i < below; ++j)
                range.push_back({i, j, map.probability[static_cast<std::size_t>(i * map.length + j)]});
        std::stable_sort(range.begin(), range.end(),
                         [](auto const& a, auto const& b) { return a.probability > b.probability; });
        range.resize(std::min(range.size(), static_cast<std::size_t>(map.length)));
        kept.insert(kept.end(), range.begin(), range.end());
    }
    return kept;
}

TaskResult pair_task(Random& random, SyntheticSize const& size, std::vector<ContactMap>& maps) {
    TaskResult result;
    result.task = {"contact", "Contacts (P@L/5)", TaskKind::residue_pair, {}, 0, "train", "valid", "test_psicov150",
                   "P@L/5"};
    for (int p = 0; p < size.pair_proteins; ++p) {
        TestExample example;
        example.id = std::to_string(1 + p) + "xyzA";
        example.residues = random_protein(random, 60 + random.below(60));
        example.mask.assign(example.residues.size(), 1);
        example.mask[0] = 0;
        example.contacts = fold_contacts(random, static_cast<int>(example.residues.size()));
        result.examples.push_back(std::move(example));
    }
    auto const depths = draw_depths(random, result.examples.size());
    for (auto const& arm : arm_names)
        for (std::uint64_t seed = 1; seed <= static_cast<std::uint64_t>(size.seeds); ++seed) {
            Run run = start_run(arm, seed, "pair head (64, 8 blocks)");
            for (std::size_t p = 0; p < result.examples.size(); ++p) {
                auto const map =
                    draw_map(random, result.examples[p], arm, helped(skill(arm, "contact"), arm, depths[p]));
                if (seed == 1 && p < 2) maps.push_back(map);
                run.predictions.emplace_back().pairs = top_of_ranges(map);
            }
            result.runs.push_back(std::move(run));
        }
    add_evidence(result, depths);
    std::stable_sort(maps.begin(), maps.end(), [](auto const& a, auto const& b) { return a.id < b.id; });
    return result;
}

TaskResult class_task(Random& random, SyntheticSize const& size) {
    constexpr int folds = 1195;
    TaskResult result;
    result.task = {"remote_homology",
                   "Remote homology (accuracy)",
                   TaskKind::protein_class,
                   {},
                   folds,
                   "train",
                   "valid",
                   "test_fold",
                   "accuracy"};
    for (int p = 0; p < size.class_proteins; ++p) {
        TestExample example;
        example.id = "d" + std::to_string(p) + "a_";
        example.residues = random_protein(random, 40 + random.below(60));
        example.class_label = static_cast<int>(random.below(folds));
        result.examples.push_back(std::move(example));
    }
    for (auto const& arm : arm_names)
        for (std::uint64_t seed = 1; seed <= static_cast<std::uint64_t>(size.seeds); ++seed) {
            Run run = start_run(arm, seed, "softmax regression");
            for (auto const& example : result.examples) {
                Prediction prediction;
                while (prediction.top_classes.size() < 10)
                    if (int const guess = static_cast<int>(random.below(folds)); guess != example.class_label)
                        prediction.top_classes.push_back(guess);
                double const luck = random.uniform(), right = skill(arm, "remote_homology");
                if (luck < right)
                    prediction.top_classes[0] = example.class_label;
                else if (luck < 1.5 * right)
                    prediction.top_classes[5] = example.class_label;
                prediction.confidence = {stored_confidence(static_cast<float>(0.5 + 0.5 * right))};
                run.predictions.push_back(std::move(prediction));
            }
            result.runs.push_back(std::move(run));
        }
    return result;
}

TaskResult value_task(Random& random, SyntheticSize const& size, std::string const& name) {
    TaskResult result;
    bool const gfp = name == "fluorescence";
    result.task = {name,
                   gfp ? "Fluorescence (Spearman)" : "Stability (Spearman)",
                   TaskKind::protein_value,
                   {},
                   0,
                   "train",
                   "valid",
                   "test",
                   "Spearman"};
    std::string const wild_type = random_protein(random, gfp ? 237 : 43);
    for (int p = 0; p < size.variants; ++p) {
        TestExample example;
        example.id = name.substr(0, 3) + std::to_string(p);
        example.residues = wild_type;
        int const mutations = 4 + static_cast<int>(5 * random.uniform() * random.uniform());
        for (int m = 0; m < mutations; ++m)
            example.residues[random.below(static_cast<std::uint32_t>(wild_type.size()))] = letters[random.below(20)];
        // Two modes, as measured: dark variants at the detection limit and bright ones.
        bool const bright = random.uniform() < 1.2 - 0.12 * mutations;
        example.value = (bright ? 3.6 : 1.4) + 0.2 * normal(random);
        if (gfp) example.attributes["num_mutations"] = std::to_string(mutations);
        if (!gfp && p % 50 == 0) example.attributes["in_train"] = "1";
        result.examples.push_back(std::move(example));
    }
    for (auto const& arm : arm_names)
        for (std::uint64_t seed = 1; seed <= static_cast<std::uint64_t>(size.seeds); ++seed) {
            Run run = start_run(arm, seed, "ridge regression");
            double const quality = skill(arm, name);
            for (auto const& example : result.examples) {
                Prediction prediction;
                prediction.value =
                    2.5 + quality * (example.value - 2.5) + 1.1 * std::sqrt(1 - quality * quality) * normal(random);
                run.predictions.push_back(std::move(prediction));
            }
            result.runs.push_back(std::move(run));
        }
    return result;
}

EmbeddingSample draw_embedding(Random& random, std::string const& source, int points, double separation) {
    EmbeddingSample sample{.source = source, .ids = {}, .values = {}, .mutations = {}, .points = {}};
    for (int p = 0; p < points; ++p) {
        double const value = random.uniform() < 0.5 ? 3.6 + 0.2 * normal(random) : 1.4 + 0.2 * normal(random);
        sample.ids.push_back("flu" + std::to_string(p));
        sample.values.push_back(value);
        sample.mutations.push_back(1 + static_cast<int>(random.below(10)));
        sample.points.push_back({static_cast<float>(separation * (value - 2.5) + 6 * normal(random)),
                                 static_cast<float>(6 * normal(random))});
    }
    sample.kl_divergence = 1.2 - 0.02 * separation;
    return sample;
}

PositionStatistics draw_positions(Random& random, int rows) {
    PositionStatistics positions;
    positions.alignment = "bundled GFP_AEQVI (396 rows)";
    positions.wild_type = random_protein(random, 237);
    for (std::size_t i = 0; i < positions.wild_type.size(); ++i) {
        double const entropy = 2.6 * random.uniform();
        positions.entropy.push_back(i == 5 ? std::numeric_limits<double>::quiet_NaN() : entropy);
        positions.mean_value.push_back(2 + 0.4 * entropy + 0.4 * normal(random));
        positions.mean_single.push_back(i % 11 == 0 ? std::numeric_limits<double>::quiet_NaN()
                                                    : 2.6 + 0.3 * entropy + 0.5 * normal(random));
    }
    for (int k = 0; k < 5; ++k)
        positions.by_mutations.push_back({k + 1, 100U, 1.2, 1.4 - 0.1 * k, 3.5 - 0.4 * k, 3.7, 3.8});
    positions.spearman_all = 0.47;
    positions.spearman_single = 0.41;
    for (int r = 0; r < rows; ++r) {
        positions.row_ids.push_back(r == 0 ? "avGFP" : "UniRef100_A0A0" + std::to_string(100000 + r) + "_long");
        std::string row = positions.wild_type;
        for (std::size_t i = 0; i < row.size() && r > 0; ++i)
            if (double const u = random.uniform(); u < 0.04)
                row[i] = '-';
            else if (u < 0.4)
                row[i] = letters[random.below(20)];
        positions.rows.push_back(std::move(row));
    }
    return positions;
}

} // namespace

Result synthetic_result(SyntheticSize const& size, std::uint64_t seed) {
    Random random{seed};
    Result result;
    result.manifest = {.program = "tape-compare",
                       .argv = {"tape-compare", "--features", "msa,transformer", "--preset", "quick"},
                       .version = "0.1.0",
                       .seed = seed,
                       .inputs = {{"starter.tdb", "00112233445566778899aabbccddeeff"}},
                       .details = {{"device", "cpu"}, {"threads", "2"}},
                       .started = "2026-01-02T03:04:05Z",
                       .seconds = 123.456};
    result.preset = "quick";
    for (auto const& name : arm_names) result.arms.push_back({name, {name}, {"features of " + name}, {}});
    result.arms.back() = {
        "msa+transformer", {"msa", "transformer"}, {"features of msa", "features of transformer"}, {}};
    for (int s = 1; s <= size.seeds; ++s) result.seeds.push_back(static_cast<std::uint64_t>(s));
    result.tasks.push_back(residue_task(random, size, 3));
    result.tasks.push_back(residue_task(random, size, 8));
    result.tasks.push_back(pair_task(random, size, result.contact_maps));
    result.tasks.push_back(class_task(random, size));
    result.tasks.push_back(value_task(random, size, "fluorescence"));
    result.tasks.push_back(value_task(random, size, "stability"));
    result.embeddings = {draw_embedding(random, "transformer", size.embedding_points, 9),
                         draw_embedding(random, "unirep", size.embedding_points, 8),
                         draw_embedding(random, "transformer@random", size.embedding_points, 2),
                         draw_embedding(random, "onehot", size.embedding_points, 3)};
    result.positions.push_back(draw_positions(random, size.alignment_rows));
    auto const& shown = result.tasks[0].examples[0];
    result.alignments.push_back({"secondary_structure",
                                 shown.id,
                                 "search of starter.tdb",
                                 120,
                                 {shown.id, "sp|P1"},
                                 {shown.residues, std::string(shown.residues.size(), '-')},
                                 std::vector<float>(shown.residues.size(), 1.5F)});
    result.tasks[3].relatives.push_back({"training", "500 training proteins", .8, {}});
    for (std::size_t i = 0; i < result.tasks[3].examples.size(); ++i)
        result.tasks[3].relatives[0].identity.push_back(i % 4 == 0 ? .5F : 0);
    result.notes = {"made up by tests/compare/synthetic_result.cpp; no protein was harmed"};
    return result;
}

} // namespace tape::test
