#include "data/alphabet.hpp"
#include "data/dataset.hpp"
#include "data/fetch.hpp"
#include "data/io.hpp"

#include "tests/data/scratch.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace tape {
namespace {

TEST(BundledTasks, StandInTheOrderOfTheReport) {
    std::vector<std::string> names;
    for (Task const& task : bundled_tasks()) names.push_back(task.name);
    EXPECT_EQ(names, (std::vector<std::string>{"secondary_structure", "secondary_structure_q8", "contact",
                                               "remote_homology", "fluorescence", "stability"}));
    EXPECT_EQ(find_task("contact").kind, TaskKind::residue_pair);
    auto const outcome = test::outcome_of([] { find_task("flourescence"); });
    EXPECT_EQ(outcome.message,
              "unknown task 'flourescence' (did you mean `fluorescence`?); the tasks are secondary_structure, "
              "secondary_structure_q8, contact, remote_homology, fluorescence and stability");
    EXPECT_EQ(outcome.code, exit_code::usage);
}

TEST(BundledTasks, EverySplitHasThePublishedNumberOfRecords) {
    std::map<std::string, std::vector<std::size_t>> const counts{{"secondary_structure", {8632, 2170, 513}},
                                                                 {"secondary_structure_q8", {4944, 553, 484}},
                                                                 {"contact", {763, 100, 150}},
                                                                 {"remote_homology", {12312, 736, 718}},
                                                                 {"fluorescence", {21446, 5362, 27217}},
                                                                 {"stability", {53614, 2512, 12851}}};
    for (Task const& task : bundled_tasks()) {
        auto const splits = splits_of(task);
        for (std::size_t i = 0; i < splits.size(); ++i) {
            auto const dataset = load_split(task, splits[i]);
            EXPECT_EQ(dataset.examples.size(), counts.at(task.name)[i]) << task.name << " " << splits[i];
            EXPECT_EQ(dataset.split, splits[i]);
            EXPECT_EQ(dataset.hash.size(), 32u);
            for (Example const& example : dataset.examples)
                for (char const letter : example.protein.residues) ASSERT_LE(residue_code(letter), unknown_code);
        }
    }
}

TEST(BundledTasks, UnknownSplitsNameTheRealOnes) {
    auto const outcome = test::outcome_of([] { load_split(find_task("contact"), "test"); });
    EXPECT_EQ(outcome.message, "task 'contact' has no split 'test'; it has train, valid and test_psicov150");
    EXPECT_EQ(outcome.code, exit_code::usage);
}

TEST(BundledTasks, EightStatesFoldToTheThree) {
    // GHI -> H, BE -> E, STC -> C: the two labelings of CB513 must agree wherever a residue is resolved.
    auto const three = load_split(find_task("secondary_structure"), "cb513");
    auto const eight = load_split(find_task("secondary_structure_q8"), "cb513");
    std::map<std::string, Example const*> by_id;
    for (Example const& example : three.examples) by_id[example.protein.id] = &example;
    constexpr std::array<int, 8> folded{0, 0, 0, 1, 1, 2, 2, 2};
    std::size_t agreed = 0, total = 0;
    for (Example const& example : eight.examples) {
        Example const& other = *by_id.at(example.protein.id);
        ASSERT_EQ(example.protein.residues, other.protein.residues);
        for (std::size_t i = 0; i < example.residue_labels.size(); ++i) {
            if (example.valid_mask[i] == 0) continue;
            ++total;
            agreed += folded[static_cast<std::size_t>(example.residue_labels[i])] == other.residue_labels[i];
        }
    }
    EXPECT_GT(total, 100'000u);
    // Two runs of DSSP over different releases of the same entries: nearly, not exactly, the same.
    EXPECT_GT(static_cast<double>(agreed) / static_cast<double>(total), 0.95);
}

TEST(BundledTasks, TheEightStateSplitsShareNoProtein) {
    Task const& task = find_task("secondary_structure_q8");
    std::map<std::string, std::string> split_of;
    for (std::string const& split : splits_of(task))
        for (Example const& example : load_split(task, split).examples) {
            auto const [seen, fresh] = split_of.emplace(example.protein.residues, split);
            ASSERT_EQ(seen->second, split) << example.protein.id;
        }
}

TEST(BundledTasks, NeighbouringAlphaCarbonsAreAsFarApartAsChemistryWants) {
    std::vector<double> steps;
    for (Example const& example : load_split(find_task("contact"), "test_psicov150").examples)
        for (std::size_t i = 1; i < example.ca.size(); ++i) {
            double sum = 0;
            for (std::size_t k = 0; k < 3; ++k) sum += std::pow(example.ca[i][k] - example.ca[i - 1][k], 2);
            steps.push_back(std::sqrt(sum));
        }
    std::ranges::nth_element(steps, steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2));
    EXPECT_NEAR(steps[steps.size() / 2], 3.8, 0.05);
}

TEST(BundledTasks, ChecksumsAreThoseOfTheFiles) {
    // After changing a bundled file run `tape-data verify --update`.
    auto const directory = data_directory();
    std::map<std::string, std::string> listed;
    for (auto const& [hash, name] : read_checksums(directory / "CHECKSUMS")) listed[name] = hash;
    auto const present = compute_checksums(directory);
    EXPECT_EQ(listed.size(), present.size());
    for (auto const& [hash, name] : present) EXPECT_EQ(listed[name], hash) << name;
}

class DatasetFiles : public test::Scratch {
  protected:
    std::string message(std::string const& task, std::string const& content) const {
        auto const path = file("in", content);
        auto const outcome = test::outcome_of([&] { read_dataset(find_task(task), "x", path); });
        EXPECT_EQ(outcome.code, outcome.message.empty() ? exit_code::done : exit_code::bad_data) << outcome.message;
        std::string text = outcome.message;
        if (std::size_t const at = text.find(path.string()); at == 0) text = text.substr(directory.string().size() + 1);
        return text;
    }
};

TEST_F(DatasetFiles, EveryFlawOfATableHasItsMessage) {
    std::string const head = "id,primary,ss3,valid_mask\n";
    std::string const task = "secondary_structure";
    EXPECT_EQ(message(task, head + "a,MKV,HEC,111\nb,MKV,HE,111\n"),
              "in:3: column 'ss3' has 2 labels for 3 residues (record 'b')\n  caused by: 1 missing label; re-export "
              "the file or drop "
              "the record with --skip-bad-records");
    EXPECT_EQ(message(task, head + "b,MKV,HECC,111\n"), "in:2: column 'ss3' has 4 labels for 3 residues (record 'b')\n "
                                                        " caused by: 1 surplus label; re-export the file or drop "
                                                        "the record with --skip-bad-records");
    EXPECT_EQ(message(task, head + "b,MKV,HEC,1111\n"), "in:2: column 'valid_mask' has 4 flags for 3 residues (record "
                                                        "'b')\n  caused by: 1 surplus flag; re-export the file or "
                                                        "drop the record with --skip-bad-records");
    EXPECT_EQ(message(task, head + "b,MKV,HEZ,111\n"), "in:2: column 'ss3' has 'Z' at position 3; expected one of H, E "
                                                       "and C, their numbers from 0, or '-' for no label (record 'b')");
    EXPECT_EQ(message(task, head + "b,MKV,HE3,111\n"), "in:2: column 'ss3' has '3' at position 3; expected one of H, E "
                                                       "and C, their numbers from 0, or '-' for no label (record 'b')");
    EXPECT_EQ(message(task, head + "b,MKV,HEC,121\n"),
              "in:2: column 'valid_mask' has '2' at position 2; expected 0 or 1 (record 'b')");
    EXPECT_EQ(message(task, head + "b,MK-,HEC,111\n"),
              "in:2: column 'primary' has '-' at position 3, which is no residue letter (record 'b')");
    EXPECT_EQ(message(task, head + "b,,,\n"), "in:2: column 'primary' is empty; a protein needs residues (record 'b')");
    EXPECT_EQ(message(task, head + ",MKV,HEC,111\n"), "in:2: column 'id' is empty; every record needs an id");
    EXPECT_EQ(message(task, head + "a,MKV,HEC,111\nb,MKV,HEC,111\na,MKV,HEC,111\n"),
              "in:4: duplicate id 'a', first seen on line 2; ids must be unique");
    EXPECT_EQ(message(task, head + "a,MKV,HEC\n"), "in:2: 3 columns where the header has 4 (record 'a')");
    EXPECT_EQ(message(task, head + "a,\"MKV,HEC,111\n"), "in:2: a quote is left open: 'a,\"MKV,HEC,111'");
    EXPECT_EQ(message(task, "id,primary,ss,valid_mask\na,MKV,HEC,111\n"),
              "in:1: column 'ss3' is missing; task 'secondary_structure' needs id, primary, ss3 and valid_mask, the "
              "header has 'id, "
              "primary, ss and valid_mask' (did you mean `ss`?)");
    EXPECT_EQ(message(task, "id,primary,ss3,ss3,valid_mask\n"), "in:1: column 'ss3' stands twice in the header");
    EXPECT_EQ(message("secondary_structure_q8", "id,primary,ss8,valid_maks\na,M,H,1\n"),
              "in:1: column 'valid_maks' is unknown (did you mean `valid_mask`?)");
    EXPECT_EQ(message(task, head), "in: no records");
    EXPECT_EQ(message(task, ""), "in: is empty; expected CSV with a header line, or JSONL");
}

TEST_F(DatasetFiles, LabelsOfWholeProteinsAreChecked) {
    for (std::string const value : {"nan", "NaN", "inf", "-inf", "", "1.5x", "1e999", "none"})
        EXPECT_EQ(message("fluorescence", "id,primary,log_fluorescence\na,MK," + value + "\n"),
                  "in:2: column 'log_fluorescence' is '" + value + "'; expected a finite number (record 'a')");
    for (std::string const value : {"1195", "-1", "1.5"})
        EXPECT_EQ(message("remote_homology", "id,primary,fold_label\na,MK," + value + "\n"),
                  "in:2: column 'fold_label' is '" + value + "'; expected a class from 0 to 1194 (record 'a')");
}

TEST_F(DatasetFiles, CoordinatesAreChecked) {
    auto const record = [](std::string const& ca, std::string const& mask) {
        return R"({"id":"a","primary":"MK","tertiary_ca":)" + ca + R"(,"valid_mask":)" + mask + "}\n";
    };
    EXPECT_EQ(message("contact", record("[[1,2,3],[4,5,6]]", "[1,1]")), "");
    EXPECT_EQ(message("contact", record("[[1,2,3],null]", "[1,0]")),
              "in:1: column 'tertiary_ca' has 4 numbers; expected three a residue (record 'a')");
    EXPECT_EQ(message("contact", record("[[1,2,3],[null,null,null]]", "[1,0]")), "");
    EXPECT_EQ(message("contact", record("[[1,2,3],[null,null,null]]", "[1,1]")),
              "in:1: column 'tertiary_ca' has no finite coordinate at residue 2, which valid_mask calls resolved "
              "(record 'a')");
    EXPECT_EQ(message("contact", record("[[1,2,3]]", "[1,1]")),
              "in:1: column 'tertiary_ca' has 1 position for 2 residues (record 'a')\n  caused by: 1 missing position; "
              "re-export the "
              "file or drop the record with --skip-bad-records");
    EXPECT_EQ(message("contact", record("[[1,2,3],[4,5,\"x\"]]", "[1,1]")),
              "in:1: field 'tertiary_ca' holds '\"x\"'; expected numbers");
    EXPECT_EQ(message("contact", R"({"id":"a","primary":"MK","tertiary_ca":[[1,2,3],[4,5,6]]})"),
              "in:1: column 'valid_mask' has 0 flags for 2 residues (record 'a')\n  caused by: 2 missing flags; "
              "re-export the file or "
              "drop the record with --skip-bad-records");
    EXPECT_EQ(message("contact", R"({"id":"a","primary":"MK","valid_mask":[1,1]})"),
              "in:1: column 'tertiary_ca' is missing (record 'a')");
    EXPECT_EQ(message("contact", "{\"id\":\"a\""), "in:1: no valid JSON: '{\"id\":\"a\"'");
    EXPECT_EQ(message("contact", "{\"id\":\"a\",\"primary\":\"MK\",\"tertiary_ca\":\"x\",\"valid_mask\":[1,1]}"),
              "in:1: column 'tertiary_ca' is text; expected coordinates, three numbers a residue (JSONL) (record 'a')");
}

TEST_F(DatasetFiles, ReadsWhatSpreadsheetsWrite) {
    auto const dataset =
        read_dataset(find_task("stability"), "x",
                     file("in.csv", "\xef\xbb\xbf"
                                    "note,primary,stability_score,id\r\n\"a, \"\"b\"\"\",mk,0.5,\"x\"\r\n\r\n"));
    ASSERT_EQ(dataset.examples.size(), 1u);
    EXPECT_EQ(dataset.examples[0].protein, (Protein{"x", "", "MK"}));
    EXPECT_EQ(dataset.examples[0].value, 0.5);
    EXPECT_EQ(dataset.examples[0].attributes.at("note"), "a, \"b\"");
}

TEST_F(DatasetFiles, BadRecordsAreLeftOutWhereAskedTo) {
    std::vector<std::string> skipped;
    auto const dataset =
        read_dataset(find_task("fluorescence"), "x",
                     file("in", "id,primary,log_fluorescence\na,MK,1\nb,MK,nan\nc,M?,1\na,MK,2\nd,MK\ne,MK,3\n"),
                     {[&skipped](std::string const& text) { skipped.push_back(text); }});
    EXPECT_EQ(dataset.examples.size(), 2u);
    EXPECT_EQ(skipped.size(), 4u);
}

bool same(Example const& a, Example const& b) {
    return a.protein == b.protein && a.residue_labels == b.residue_labels && a.valid_mask == b.valid_mask &&
           a.ca == b.ca && a.cb == b.cb && a.class_label == b.class_label && a.value == b.value &&
           a.attributes == b.attributes;
}

TEST_F(DatasetFiles, EveryTaskRoundTripsThroughBothLayouts) {
    for (Task const& task : bundled_tasks()) {
        Dataset dataset = load_split(task, task.valid);
        dataset.examples.resize(90);
        dataset.examples[0].attributes["note"] = "a, \"b\"";
        for (Example& example : dataset.examples) example.attributes.try_emplace("note", "");
        for (bool const jsonl : {false, true}) {
            if (!jsonl && task.kind == TaskKind::residue_pair) continue;
            auto const path = directory / "copy.xz";
            write_atomically(path, [&](std::ostream& out) { write_dataset(out, dataset, jsonl); });
            auto const copy = read_dataset(task, task.valid, path);
            ASSERT_EQ(copy.examples.size(), dataset.examples.size());
            for (std::size_t i = 0; i < copy.examples.size(); ++i)
                ASSERT_TRUE(same(copy.examples[i], dataset.examples[i]))
                    << task.name << " " << dataset.examples[i].protein.id;
        }
    }
}

TEST_F(DatasetFiles, TheDataDirectoryCanBeChosen) {
    char const* const before = std::getenv("TAPE_DATA");
    std::string const kept = before != nullptr ? before : "";
    ::setenv("TAPE_DATA", directory.c_str(), 1);
    EXPECT_EQ(data_directory(), directory);
    ::setenv("TAPE_DATA", (directory / "nowhere").c_str(), 1);
    EXPECT_THROW(data_directory(), error);
    ::unsetenv("TAPE_DATA");
    EXPECT_TRUE(std::filesystem::is_directory(data_directory() / "tape"));
    if (!kept.empty()) ::setenv("TAPE_DATA", kept.c_str(), 1);
}

} // namespace
} // namespace tape
