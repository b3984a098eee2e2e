#include "compare/random.hpp"
#include "compare/result.hpp"
#include "data/error.hpp"
#include "data/io.hpp"
#include "data/temporary.hpp"

#include "tests/compare/synthetic_result.hpp"
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <ctime>
#include <functional>

namespace tape {
namespace {

using nlohmann::json;

test::SyntheticSize const small{.residue_proteins = 4,
                                .pair_proteins = 3,
                                .class_proteins = 5,
                                .variants = 8,
                                .seeds = 2,
                                .embedding_points = 6,
                                .alignment_rows = 3};

json good() { return to_json(test::synthetic_result(small)); }

/// The message of reading a result after `damage` was done to its JSON.
std::string message_after(std::function<void(json&)> const& damage) {
    json object = good();
    damage(object);
    try {
        result_from_json(object);
    } catch (data_error const& problem) {
        return problem.what();
    }
    return "no error";
}

void expect_same_predictions(TaskResult const& a, TaskResult const& b) {
    ASSERT_EQ(a.runs.size(), b.runs.size());
    for (std::size_t r = 0; r < a.runs.size(); ++r)
        for (std::size_t i = 0; i < a.examples.size(); ++i) {
            auto const &x = a.runs[r].predictions[i], &y = b.runs[r].predictions[i];
            EXPECT_EQ(x.residue_classes, y.residue_classes);
            EXPECT_EQ(x.top_classes, y.top_classes);
            EXPECT_EQ(x.value, y.value) << "doubles survive exactly";
            ASSERT_EQ(x.pairs.size(), y.pairs.size());
            for (std::size_t k = 0; k < x.pairs.size(); ++k) {
                EXPECT_EQ(x.pairs[k].i, y.pairs[k].i);
                EXPECT_EQ(x.pairs[k].j, y.pairs[k].j);
                EXPECT_EQ(stored_probability(x.pairs[k].probability), y.pairs[k].probability);
            }
        }
}

TEST(ResultJson, RoundTripKeepsEverything) {
    auto const before = test::synthetic_result(small);
    auto const after = result_from_json(json::parse(to_json(before).dump()));
    ASSERT_EQ(after.tasks.size(), before.tasks.size());
    for (std::size_t t = 0; t < before.tasks.size(); ++t) {
        auto const &x = before.tasks[t], &y = after.tasks[t];
        EXPECT_EQ(x.task.title, y.task.title);
        EXPECT_EQ(x.task.kind, y.task.kind);
        EXPECT_EQ(x.notes, y.notes);
        EXPECT_EQ(x.train_available, y.train_available);
        for (std::size_t i = 0; i < x.examples.size(); ++i) {
            EXPECT_EQ(x.examples[i].id, y.examples[i].id);
            EXPECT_EQ(x.examples[i].residues, y.examples[i].residues);
            EXPECT_EQ(x.examples[i].residue_labels, y.examples[i].residue_labels);
            EXPECT_EQ(x.examples[i].mask, y.examples[i].mask);
            EXPECT_EQ(x.examples[i].contacts, y.examples[i].contacts);
            EXPECT_EQ(x.examples[i].class_label, y.examples[i].class_label);
            EXPECT_EQ(x.examples[i].value, y.examples[i].value);
            EXPECT_EQ(x.examples[i].attributes, y.examples[i].attributes);
        }
        for (auto const& [arm, row] : x.evidence) {
            EXPECT_EQ(row.depth, y.evidence.at(arm).depth) << "floats survive exactly";
            EXPECT_EQ(row.provenance, y.evidence.at(arm).provenance);
        }
        expect_same_predictions(x, y);
    }
    EXPECT_EQ(before.embeddings[0].points, after.embeddings[0].points);
    EXPECT_EQ(before.manifest.inputs, after.manifest.inputs);
    EXPECT_EQ(before.manifest.seconds, after.manifest.seconds);
    EXPECT_TRUE(std::isnan(after.positions[0].entropy[5])) << "NaN survives as null";
    EXPECT_EQ(before.positions[0].rows, after.positions[0].rows);
    EXPECT_EQ(before.alignments[0].rows, after.alignments[0].rows);
    EXPECT_EQ(before.alignments[0].entropy, after.alignments[0].entropy);
    EXPECT_EQ(before.tasks[3].relatives[0].identity, after.tasks[3].relatives[0].identity);
    EXPECT_EQ(before.positions[0].by_mutations[2].median, after.positions[0].by_mutations[2].median);
    EXPECT_EQ(after.contact_maps[0].probability.size(), before.contact_maps[0].probability.size());
}

TEST(ResultJson, WritingWhatWasReadGivesTheSameBytes) {
    std::string const once = good().dump();
    EXPECT_EQ(to_json(result_from_json(json::parse(once))).dump(), once);
}

TEST(ResultJson, DoublesOfEverySizeSurvive) {
    auto result = test::synthetic_result(small);
    auto& task = result.tasks.back();
    Random random{4};
    std::vector<double> values{0.1, 1.0 / 3, 5e-324, -1.7976931348623157e308, 123456789.123456789, -0.0};
    while (values.size() < task.examples.size()) values.push_back(random.uniform());
    for (std::size_t i = 0; i < task.examples.size(); ++i) task.runs[0].predictions[i].value = values[i];
    auto const after = result_from_json(json::parse(to_json(result).dump()));
    for (std::size_t i = 0; i < task.examples.size(); ++i)
        EXPECT_EQ(after.tasks.back().runs[0].predictions[i].value, values[i]);
}

TEST(ResultJson, MoreThanSixtyTwoClassesAreKept) {
    auto result = test::synthetic_result(small);
    auto& task = result.tasks[0];
    task.task.class_count = 100;
    task.examples[0].residue_labels[0] = 99;
    task.runs[0].predictions[0].residue_classes[1] = 77;
    auto const after = result_from_json(json::parse(to_json(result).dump()));
    EXPECT_EQ(after.tasks[0].examples[0].residue_labels, task.examples[0].residue_labels);
    EXPECT_EQ(after.tasks[0].runs[0].predictions[0].residue_classes, task.runs[0].predictions[0].residue_classes);
}

TEST(StoredProbability, KeepsFourDigitsAndIsItsOwnImage) {
    EXPECT_FLOAT_EQ(stored_probability(.123456F), .1235F);
    EXPECT_FLOAT_EQ(stored_probability(.00012345678F), .0001235F);
    EXPECT_EQ(stored_probability(0), 0);
    EXPECT_EQ(stored_probability(1), 1);
    Random random{6};
    for (int k = 0; k < 20000; ++k) {
        auto const p = static_cast<float>(std::pow(random.uniform(), 8));
        float const stored = stored_probability(p);
        ASSERT_EQ(stored_probability(stored), stored) << p;
        ASSERT_NEAR(stored, p, 5.1e-4 * p);
        ASSERT_LE(stored, 1);
    }
}

TEST(ResultJson, ConfidencesSurviveAsStored) {
    auto result = test::synthetic_result(small);
    auto& prediction = result.tasks[0].runs[0].predictions[0];
    Random random{12};
    for (float& p : prediction.confidence) p = stored_confidence(static_cast<float>(random.uniform()));
    prediction.confidence[0] = 0, prediction.confidence[1] = 1;
    result.tasks[3].runs[0].predictions[2].confidence = {stored_confidence(.123456F)};
    auto const after = result_from_json(json::parse(to_json(result).dump()));
    EXPECT_EQ(after.tasks[0].runs[0].predictions[0].confidence, prediction.confidence);
    EXPECT_EQ(after.tasks[3].runs[0].predictions[2].confidence, result.tasks[3].runs[0].predictions[2].confidence);
    EXPECT_NEAR(stored_confidence(.123456F), .123456F, .5 / 3843);
    EXPECT_EQ(message_after([](json& j) { j["tasks"][0]["runs"][0]["confidence"][0] = "abc"; }),
              "tasks[0].runs[0].confidence[0]: expected two letters or digits a residue, found \"abc\"");
}

/// Results written before probabilities, relatives and alignments were kept.
TEST(ResultJson, OlderResultsAreRead) {
    json old = good();
    old.erase("alignments");
    for (auto& task : old["tasks"]) {
        task.erase("relatives");
        for (auto& run : task["runs"]) run.erase("confidence");
    }
    for (auto& positions : old["positions"]) positions.erase("by_mutations");
    auto const result = result_from_json(old);
    EXPECT_TRUE(result.tasks[0].runs[0].predictions[0].confidence.empty());
    EXPECT_TRUE(result.tasks[0].relatives.empty());
}

TEST(ResultJson, EveryMissingKeyIsNamed) {
    EXPECT_EQ(message_after([](json& j) { j.erase("format"); }), "top level: missing key 'format'");
    EXPECT_EQ(message_after([](json& j) { j.erase("seeds"); }), "top level: missing key 'seeds'");
    EXPECT_EQ(message_after([](json& j) { j["manifest"].erase("argv"); }), "manifest: missing key 'argv'");
    EXPECT_EQ(message_after([](json& j) { j["tasks"][2]["runs"][1].erase("seed"); }),
              "tasks[2].runs[1]: missing key 'seed'");
    EXPECT_EQ(message_after([](json& j) { j["tasks"][0]["task"].erase("metric"); }),
              "tasks[0].task: missing key 'metric'");
    EXPECT_EQ(message_after([](json& j) { j["embeddings"][0].erase("points"); }),
              "embeddings[0]: missing key 'points'");
}

/// Every key of every object, removed in turn, must be complained about by name.
void remove_each_key(json const& whole, json const& part, json::json_pointer const& where, int& removed) {
    if (part.is_object())
        for (auto const& [key, value] : part.items()) {
            bool const free_form = where.to_string().ends_with("/inputs") || where.to_string().ends_with("/details") ||
                                   where.to_string().ends_with("/provenance") ||
                                   where.to_string().ends_with("/attributes") ||
                                   where.to_string().ends_with("/evidence");
            // Results that were written before these were kept are read too.
            bool const later =
                key == "alignments" || key == "by_mutations" || key == "relatives" || key == "confidence";
            if (!free_form && !later) {
                json damaged = whole;
                damaged[where].erase(key);
                try {
                    result_from_json(damaged);
                    ADD_FAILURE() << "no error without " << where.to_string() << "/" << key;
                } catch (data_error const& problem) {
                    EXPECT_NE(std::string{problem.what()}.find("missing key '" + key + "'"), std::string::npos)
                        << problem.what();
                }
                ++removed;
            }
            remove_each_key(whole, value, where / key, removed);
        }
    else if (part.is_array() && !part.empty() && part[0].is_object())
        remove_each_key(whole, part[0], where / 0, removed);
}

TEST(ResultJson, NoKeyMayBeLeftOut) {
    json const whole = good();
    int removed = 0;
    remove_each_key(whole, whole, json::json_pointer{}, removed);
    EXPECT_GT(removed, 60);
}

TEST(ResultJson, EveryMisshapedFieldIsNamedWithTheValueSeen) {
    EXPECT_EQ(message_after([](json& j) { j["format"] = "something else"; }),
              "format: expected \"tape-compare result\", as tape-compare writes it, found \"something else\"");
    EXPECT_EQ(message_after([](json& j) { j["format_version"] = 2; }),
              "format_version: expected 1, found 2; run tape-compare of this release again");
    EXPECT_EQ(message_after([](json& j) { j["tasks"] = 5; }), "tasks: expected an array, found 5");
    EXPECT_EQ(
        message_after([](json& j) { j["tasks"][0]["task"]["kind"] = "residue"; }),
        "tasks[0].task.kind: expected residue_class, residue_pair, protein_class or protein_value, found \"residue\"");
    EXPECT_EQ(message_after([](json& j) { j["tasks"][0]["runs"][0]["seed"] = -1; }),
              "tasks[0].runs[0].seed: expected a non-negative integer, found -1");
    EXPECT_EQ(message_after([](json& j) { j["tasks"][0]["runs"][0]["predictions"][1] = "01?"; }),
              "tasks[0].runs[0].predictions[1]: expected a string of digits, letters and '-', found \"01?\"");
    EXPECT_EQ(message_after([](json& j) {
                  j["tasks"][2]["runs"][0]["predictions"][1] = {1, 2};
              }),
              "tasks[2].runs[0].predictions[1]: expected a flat array of i, j, probability, found [1,2]");
    EXPECT_EQ(message_after([](json& j) { j["tasks"][2]["runs"][0]["predictions"][1][4] = "x"; }),
              "tasks[2].runs[0].predictions[1][4]: expected a position from 0, found \"x\"");
    EXPECT_EQ(message_after([](json& j) { j["tasks"][4]["examples"]["truth"][3] = "bright"; }),
              "tasks[4].examples.truth[3]: expected a number or null, found \"bright\"");
    EXPECT_EQ(message_after([](json& j) { j["tasks"][4]["examples"]["residues"][1] = "~900A"; }),
              "tasks[4].examples.residues[1]: '~900A' does not fit the reference of 237 residues");
    EXPECT_EQ(message_after([](json& j) { j = json::array(); }), "top level: expected an object, found []");
}

TEST(ResultJson, ParallelArraysAreChecked) {
    EXPECT_EQ(message_after([](json& j) { j["tasks"][0]["examples"]["residues"].erase(0); }),
              "tasks[0].examples.residues: 3 entries for 4 ids");
    EXPECT_EQ(message_after([](json& j) { j["tasks"][4]["runs"][3]["predictions"].erase(0); }),
              "tasks[4].runs[3].predictions: 7 entries for 8 examples");
    EXPECT_EQ(message_after([](json& j) { j["tasks"][0]["evidence"]["msa"]["depth"].push_back(1); }),
              "tasks[0].evidence.msa.depth: 5 entries for 4 examples");
    EXPECT_EQ(message_after([](json& j) { j["embeddings"][0]["values"].push_back(1); }),
              "embeddings[0].values: 7 entries for 6 ids");
    EXPECT_EQ(message_after([](json& j) { j["positions"][0]["rows"][1] = "ACD"; }),
              "positions[0].rows[1]: 3 entries for 237 residues of wild_type");
    std::string const shorter = message_after([](json& j) { j["tasks"][0]["runs"][0]["predictions"][0] = "012"; });
    EXPECT_TRUE(shorter.starts_with("tasks[0].runs[0].predictions[0]: 3 entries for ")) << shorter;
    EXPECT_TRUE(shorter.ends_with("residues (record '1abc-A')")) << shorter;
}

TEST(ResultJson, ValuesOutOfRangeAreRefused) {
    EXPECT_EQ(message_after([](json& j) { j["tasks"][0]["runs"][0]["arm"] = "onehott"; }),
              "tasks[0].runs[0].arm: 'onehott' is not among the arms");
    EXPECT_EQ(message_after([](json& j) { j["tasks"][0]["runs"][1]["seed"] = 1; }),
              "tasks[0].runs[1]: arm 'onehot' with seed 1 occurs twice");
    EXPECT_EQ(message_after([](json& j) { j["tasks"][3]["runs"][0]["predictions"][0][0] = 1195; }),
              "tasks[3].runs[0].predictions[0]: class 1195 of 1195");
    EXPECT_EQ(message_after([](json& j) { j["tasks"][5]["runs"][0]["predictions"][0] = nullptr; }),
              "tasks[5].runs[0].predictions[0]: not a finite number");
    EXPECT_EQ(message_after([](json& j) { j["tasks"][2]["runs"][0]["predictions"][0][2] = 1.5; }),
              "tasks[2].runs[0].predictions[0]: probability 1.500000");
    std::string const outside = message_after([](json& j) { j["tasks"][2]["runs"][0]["predictions"][0][1] = 5000; });
    EXPECT_NE(outside.find("outside"), std::string::npos) << outside;
    std::string const twice = message_after([](json& j) {
        auto& pairs = j["tasks"][2]["runs"][0]["predictions"][0];
        pairs[3] = pairs[0], pairs[4] = pairs[1];
    });
    EXPECT_TRUE(twice.ends_with("occurs twice")) << twice;
}

TEST(ResultFile, NamesItselfInEveryMessage) {
    TemporaryDirectory const folder;
    auto const file = folder.path() / "result.json";
    std::string const text = good().dump(1);
    auto const message = [&](std::string const& content) -> std::string {
        write_text(file, content);
        try {
            read_result(file);
        } catch (data_error const& problem) {
            return problem.what();
        }
        return "no error";
    };
    EXPECT_EQ(message(text), "no error");
    std::string const cut = message(text.substr(0, text.size() / 2));
    EXPECT_TRUE(cut.starts_with(file.string() + ":")) << cut;
    EXPECT_NE(cut.find("not JSON, or cut short, at byte"), std::string::npos) << cut;
    EXPECT_EQ(message("[]"), file.string() + ": top level: expected an object, found []");
    EXPECT_NE(message("").find("not JSON"), std::string::npos);
    EXPECT_THROW(read_result(folder.path() / "absent.json"), data_error);
}

TEST(ResultFile, IsReadQuicklyAndCompressed) {
    TemporaryDirectory const folder;
    auto const result = test::synthetic_result({.residue_proteins = 100,
                                                .pair_proteins = 20,
                                                .class_proteins = 100,
                                                .variants = 5000,
                                                .seeds = 3,
                                                .embedding_points = 10,
                                                .alignment_rows = 3});
    auto const plain = folder.path() / "result.json", packed = folder.path() / "result.json.gz";
    write_result(plain, result);
    write_result(packed, result);
    EXPECT_LT(std::filesystem::file_size(packed), std::filesystem::file_size(plain) / 2);
    std::clock_t const start = std::clock();
    auto const again = read_result(plain);
    double const seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    double const megabytes = static_cast<double>(std::filesystem::file_size(plain)) / 1e6;
    RecordProperty("megabytes_per_second", std::to_string(megabytes / seconds));
    EXPECT_LT(seconds, 2 * megabytes) << "40 MB/s on a free core; the limit leaves room for sanitizers";
    EXPECT_EQ(to_json(again), to_json(read_result(packed)));
}

} // namespace
} // namespace tape
