#include "data/io.hpp"
#include "data/tape_formats.hpp"

#include "tests/data/scratch.hpp"

#include <algorithm>
#include <sstream>
#include <random>

namespace tape {
namespace {

void expect_secondary_structure(Dataset const& dataset) {
    ASSERT_EQ(dataset.examples.size(), 2u);
    Example const& first = dataset.examples[0];
    EXPECT_EQ(first.protein, (Protein{"0", "", "MKVA"}));
    EXPECT_EQ(first.residue_labels, (std::vector<std::int16_t>{0, 1, 2, 0}));
    EXPECT_EQ(first.valid_mask, (std::vector<std::uint8_t>{1, 0, 1, 1}));
    EXPECT_EQ(first.attributes, (std::map<std::string, std::string>{{"ss8", "GHIB"}}));
    EXPECT_EQ(dataset.examples[1].protein.residues, "GHIKL");
}

[[maybe_unused]] void expect_fluorescence(Dataset const& dataset, bool has_ids) {
    ASSERT_EQ(dataset.examples.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
        Example const& example = dataset.examples[i];
        EXPECT_EQ(example.protein.id, (has_ids ? "" : "record-") + std::to_string(i));
        EXPECT_EQ(example.protein.residues, std::string{"MSKGEEL"}.substr(0, 5 + i));
        EXPECT_EQ(example.value, 1.5 + static_cast<double>(i));
        EXPECT_EQ(example.attributes.at("num_mutations"), std::to_string(i));
    }
}

Dataset import(std::string const& task, std::string const& name) {
    auto const path = test::golden(name);
    return import_dataset(find_task(task), "x", path, detect_format(path));
}

TEST(TapeFormats, EveryFormatIsRecognisedByContent) {
    EXPECT_EQ(detect_format(test::golden("secondary_structure.json")), TapeFormat::json);
    EXPECT_EQ(detect_format(test::golden("contact.lmdb")), TapeFormat::lmdb);
    EXPECT_EQ(detect_format(test::golden("proteinnet.tfrecord")), TapeFormat::tfrecord);
    EXPECT_EQ(detect_format(file_of_split(find_task("contact"), "valid")), TapeFormat::csv);
    EXPECT_EQ(detect_format(file_of_split(find_task("stability"), "valid")), TapeFormat::csv);
    auto const outcome = test::outcome_of([] { detect_format(test::golden("parsed.psq")); });
    EXPECT_NE(outcome.message.find("cannot tell its format"), std::string::npos);
    EXPECT_EQ(test::outcome_of([] { format_named("jsn"); }).message,
              "unknown format 'jsn' (did you mean `json`?); the formats are csv, json, lmdb, tfrecord and fasta");
}

TEST(TapeFormats, JsonAsTapeWritesIt) {
    expect_secondary_structure(import("secondary_structure", "secondary_structure.json"));
}

#ifdef TAPE_WITH_LMDB
TEST(TapeFormats, LmdbAsTapeWritesIt) {
    expect_secondary_structure(import("secondary_structure", "secondary_structure.lmdb"));
    expect_fluorescence(import("fluorescence", "fluorescence.lmdb"), true);
    auto const q8 = import("secondary_structure_q8", "secondary_structure.lmdb");
    EXPECT_EQ(q8.examples[1].residue_labels, (std::vector<std::int16_t>{0, 1, 2, 3, 4}));
    EXPECT_EQ(q8.examples[1].attributes.at("ss3"), "HECHE");
}

TEST(TapeFormats, CoordinatesInHundredthsBecomeAngstrom) {
    auto const dataset = import("contact", "contact.lmdb");
    ASSERT_EQ(dataset.examples.size(), 2u);
    EXPECT_EQ(dataset.examples[1].protein.id, "chain1");
    EXPECT_EQ(dataset.examples[1].valid_mask, (std::vector<std::uint8_t>{1, 0, 1, 1, 1, 1}));
    for (std::size_t i = 0; i < 6; ++i) {
        EXPECT_NEAR(dataset.examples[1].ca[i][0], 3.8 * static_cast<double>(i), 1e-4);
        EXPECT_NEAR(dataset.examples[1].ca[i][1], 1, 1e-5);
    }
}

class LmdbFiles : public test::Scratch {};

TEST_F(LmdbFiles, TruncatedFilesAreRefusedBeforeTheyAreMapped) {
    std::string const whole = test::bytes_of(test::golden("fluorescence.lmdb"));
    for (std::size_t cut = 0; cut < whole.size(); cut += 512) {
        auto const path = file("cut.mdb", whole.substr(0, cut));
        auto const outcome =
            test::outcome_of([&] { import_dataset(find_task("fluorescence"), "x", path, TapeFormat::lmdb); });
        ASSERT_EQ(outcome.code, exit_code::bad_data) << cut;
        ASSERT_EQ(outcome.message.find(path.string()), 0u) << outcome.message;
    }
}

TEST_F(LmdbFiles, AFolderIsReadThroughItsDataFile) {
    std::filesystem::create_directory(directory / "x.lmdb");
    std::filesystem::copy_file(test::golden("fluorescence.lmdb"), directory / "x.lmdb" / "data.mdb");
    EXPECT_EQ(detect_format(directory / "x.lmdb"), TapeFormat::lmdb);
    expect_fluorescence(import_dataset(find_task("fluorescence"), "x", directory / "x.lmdb", TapeFormat::lmdb), true);
}
#endif

#ifdef TAPE_WITH_TFRECORD
TEST(TapeFormats, TfrecordAsTapeWritesIt) {
    expect_fluorescence(import("fluorescence", "fluorescence.tfrecord"), false);
}

TEST(TapeFormats, ProteinnetRecordsGiveAlphaCarbonsInAngstrom) {
    auto const dataset = import("contact", "proteinnet.tfrecord");
    ASSERT_EQ(dataset.examples.size(), 1u);
    Example const& example = dataset.examples[0];
    EXPECT_EQ(example.protein, (Protein{"1abc_1_A", "", "ACDEXG"}));
    EXPECT_EQ(example.valid_mask, (std::vector<std::uint8_t>{1, 1, 0, 1, 1, 1}));
    for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(example.ca[i][0], 3.8 * static_cast<double>(i), 1e-4);
}

TEST(TapeFormats, PlainExamplesAreReadToo) {
    auto const dataset = import("stability", "plain_example.tfrecord");
    ASSERT_EQ(dataset.examples.size(), 1u);
    EXPECT_EQ(dataset.examples[0].protein, (Protein{"plain", "", "ACDE"}));
    EXPECT_EQ(dataset.examples[0].value, 0.25);
    EXPECT_EQ(dataset.examples[0].attributes.at("topology"), "HHH");
}

class TfrecordFiles : public test::Scratch {};

TEST_F(TfrecordFiles, EveryCutAndEveryFlippedByteIsFound) {
    std::string const whole = test::bytes_of(test::golden("fluorescence.tfrecord"));
    // A cut between two records cannot be told from a shorter file.
    std::size_t readable = 0;
    for (std::size_t cut = 1; cut < whole.size(); ++cut) {
        auto const path = file("cut", whole.substr(0, cut));
        auto const outcome = test::outcome_of([&] { for_each_tfrecord(path, [](Record&&, std::string const&) {}); });
        readable += outcome.code == exit_code::done;
        ASSERT_TRUE(outcome.code == exit_code::done || outcome.code == exit_code::bad_data);
    }
    EXPECT_EQ(readable, 2u); // behind the first and the second of three records
    for (std::size_t at = 0; at < whole.size(); ++at) {
        std::string flipped = whole;
        flipped[at] = static_cast<char>(flipped[at] ^ 4);
        auto const path = file("flipped", flipped);
        ASSERT_EQ(test::outcome_of([&] { for_each_tfrecord(path, [](Record&&, std::string const&) {}); }).code,
                  exit_code::bad_data)
            << at;
    }
}
#endif

Record read_golden_pickle(std::string const& name) {
    return read_pickled_record(test::bytes_of(test::golden(name)), name);
}

TEST(Pickle, EveryProtocolGivesTheSameRecord) {
    auto const reference = read_golden_pickle("protocol4.pickle");
    EXPECT_EQ(reference.at("primary").text, "MKVA");
    EXPECT_EQ(reference.at("id").text, "0");
    EXPECT_EQ(reference.at("ss8").numbers, (std::vector<double>{0, 1, 2, 3}));
    EXPECT_EQ(reference.at("evolutionary").numbers, std::vector<double>(120, 0.5));
    for (int const protocol : {2, 3, 5}) {
        auto const record = read_golden_pickle("protocol" + std::to_string(protocol) + ".pickle");
        ASSERT_EQ(record.size(), reference.size()) << protocol;
        for (auto const& [key, field] : reference) {
            EXPECT_EQ(record.at(key).text, field.text) << protocol << key;
            EXPECT_EQ(record.at(key).numbers, field.numbers) << protocol << key;
        }
    }
}

TEST(Pickle, NamesOfNumpyBeforeVersionTwoAreKnown) {
    std::string bytes = test::bytes_of(test::golden("protocol2.pickle"));
    for (std::size_t at; (at = bytes.find("numpy._core")) != std::string::npos;) bytes.replace(at, 11, "numpy.core");
    EXPECT_EQ(read_pickled_record(bytes, "old").at("ss8").numbers, (std::vector<double>{0, 1, 2, 3}));
}

TEST(Pickle, ScalarsListsAndBothOrders) {
    auto const record = read_golden_pickle("numpy_scalars.pickle");
    EXPECT_EQ(record.at("id").text, "abc");
    EXPECT_EQ(record.at("x").numbers, std::vector<double>{0.1});
    EXPECT_EQ(record.at("k").numbers, std::vector<double>{-7});
    EXPECT_EQ(record.at("t").numbers, std::vector<double>{1});
    EXPECT_EQ(record.at("l").numbers, (std::vector<double>{1, 2.5, 3}));
    EXPECT_FALSE(record.contains("n"));
    EXPECT_EQ(read_golden_pickle("fortran.pickle").at("x").numbers, (std::vector<double>{0, 1, 2, 3, 4, 5}));
}

TEST(Pickle, NothingIsExecuted) {
    for (auto const& [name, refused] : {std::pair{"hostile_global.pickle", "os.system"},
                                        {"hostile_stack_global.pickle", "posix.system"},
                                        {"hostile_builtin.pickle", "builtins.eval"}}) {
        auto const outcome = test::outcome_of([name = name] { read_golden_pickle(name); });
        EXPECT_EQ(outcome.code, exit_code::bad_data);
        EXPECT_NE(outcome.message.find(std::string{"it asks for '"} + refused +
                                       "'; only plain values and NumPy arrays are read"),
                  std::string::npos)
            << outcome.message;
    }
    EXPECT_FALSE(std::filesystem::exists("pwned"));
}

TEST(Pickle, TheListOfNamesIsClosed) {
    for (std::string const name : {"numpy\nload", "numpy.core.multiarray\nfromfile", "numpy.f2py\nndarray",
                                   "_codecs\nlookup", "copyreg\n_reconstructor"}) {
        auto const outcome = test::outcome_of([&] {
            read_pickled_record("\x80\x02"
                                "c" +
                                    name + "\n.",
                                "x");
        });
        EXPECT_EQ(outcome.code, exit_code::bad_data) << name;
    }
    // Opcodes that build instances or load persistent and extension objects.
    for (char const opcode : {'i', 'o', '\x81', 'P', 'Q', '\x82', '\x83', '\x84', '\x97', '\x98', 'F', 'S', 'V'})
        EXPECT_NE(test::outcome_of([&] {
                      read_pickled_record(std::string{"\x80\x02"} + opcode + std::string(40, '\n'), "x");
                  }).message.find("is not allowed"),
                  std::string::npos)
            << static_cast<int>(opcode);
}

TEST(Pickle, CutsAndNoiseNeverCrash) {
    std::mt19937 random{9};
    for (int const protocol : {2, 3, 4, 5}) {
        std::string const whole = test::bytes_of(test::golden("protocol" + std::to_string(protocol) + ".pickle"));
        for (std::size_t cut = 0; cut < whole.size(); ++cut)
            ASSERT_EQ(test::outcome_of([&] { read_pickled_record(whole.substr(0, cut), "x"); }).code,
                      exit_code::bad_data)
                << cut;
        for (int i = 0; i < 3000; ++i) {
            std::string noisy = whole;
            for (int k = 0; k < 3; ++k) noisy[random() % noisy.size()] = static_cast<char>(random());
            auto const code = test::outcome_of([&] { read_pickled_record(noisy, "x"); }).code;
            ASSERT_TRUE(code == exit_code::done || code == exit_code::bad_data);
        }
    }
}

TEST(Pickle, UnfoldingBombsAreRefused) {
    // Three nested lists that each hold one list many times over: n^3 numbers from 3 n bytes.
    std::string bomb = std::string{"\x80\x02}X\x01\x00\x00\x00x", 9} + "](";
    for (int i = 0; i < 300; ++i) bomb += std::string{"K\x01", 2};
    bomb += std::string{"eq\x01", 3}; // the list of numbers is memo 1
    for (int level = 2; level <= 3; ++level) {
        bomb += "0](";
        for (int i = 0; i < 300; ++i) bomb += std::string{"h"} + static_cast<char>(level - 1);
        bomb += std::string{"eq"} + static_cast<char>(level);
    }
    bomb += "s.";
    auto const outcome = test::outcome_of([&] { read_pickled_record(bomb, "x"); });
    EXPECT_EQ(outcome.message, "x: pickled field 'x' is neither text nor numbers");
}

class FormatFiles : public test::Scratch {
  protected:
    std::string message(std::string const& task, std::string const& content, TapeFormat format) const {
        auto const path = file("in", content);
        auto const outcome = test::outcome_of([&] { import_dataset(find_task(task), "x", path, format); });
        EXPECT_EQ(outcome.code, exit_code::bad_data) << outcome.message;
        return outcome.message.find(path.string()) == 0 ? outcome.message.substr(directory.string().size() + 1)
                                                        : outcome.message;
    }
};

TEST_F(FormatFiles, FlawsOfJsonAreNamed) {
    auto const json = [this](std::string const& text) { return message("stability", text, TapeFormat::json); };
    EXPECT_EQ(json("[{]"), "in:1: the JSON list is not closed; is the file cut short? (after 0 records)");
    EXPECT_EQ(json("[]x"), "in:1: 'x' behind the JSON list");
    EXPECT_EQ(json("[{\"id\":\"[]\\\"}\",\n\"primary\":\"MK\",\"stability_score\":[NaN]}\n]"),
              "in:1: record 0: no valid JSON: '{\"id\":\"[]\\\"}\",\\x0a\"primary\":\"MK\",\"stability...'");
    EXPECT_EQ(json("[{\"id\":\"a\",\"primary\":\"MK\",\"stability_score\":1},\n\n{\"id\":\"b\",\"primary\":\"M1\"}]"),
              "in:3: record 1: column 'primary' has '1' at position 2, which is no residue letter (record 'b')");
    EXPECT_EQ(json("[{\"id\":\"a\",\"primary\":\"MK\",\"stability_score\":1},]"), "in:1: record 1: no valid JSON: ''");
    EXPECT_EQ(json("{}"), "in: expected a JSON list of objects, one a protein");
    EXPECT_EQ(json("[]"), "in: no records");
    EXPECT_EQ(json("[1]"), "in:1: record 0: '1' is no JSON object");
    EXPECT_EQ(json(R"([{"id":"a","stability_score":[1]}])"), "in:1: record 0: field 'primary' is missing (record 'a')");
    EXPECT_EQ(json(R"([{"id":"a","primary":"MK"}])"), "in:1: record 0: column 'stability_score' is missing (record 'a')");
    EXPECT_EQ(json(R"([{"id":"a","primary":"MK","stability_score":[1,2]}])"),
              "in:1: record 0: column 'stability_score' has 2 numbers; expected one (record 'a')");
    EXPECT_EQ(json(R"([{"id":"a","primary":"MK","stability_score":[null]}])"),
              "in:1: record 0: column 'stability_score' is nan; expected a finite number (record 'a')");
    EXPECT_EQ(json(R"([{"id":"a","primary":"MK","protein_length":3,"stability_score":1}])"),
              "in:1: record 0: field 'protein_length' is 3 for 2 residues in 'primary'");
    EXPECT_EQ(json(R"([{"id":"a","primary":"MK","stability_score":1},{"id":"a","primary":"MK","stability_score":1}])"),
              "in:1: record 1: duplicate id 'a'; ids must be unique");
    EXPECT_EQ(json(R"([{"id":"a","primary":[4,3],"stability_score":1}])"),
              "in:1: record 0: field 'primary' has code 3.000000; expected TAPE's Pfam vocabulary, 4 (A) to 28 (Z)");
}

TEST_F(FormatFiles, CoordinatesOfNoKnownScaleAreRefused) {
    EXPECT_EQ(message("contact", R"([{"id":"a","primary":"MK","tertiary":[[0,0,0],[1,0,0]]}])", TapeFormat::json),
              "in:1: record 0: field 'tertiary': the median distance of neighbouring C-alpha atoms is 1.000000; expected "
              "about 3.8 "
              "(angstrom), 0.038 or 380");
    EXPECT_EQ(message("contact", R"([{"id":"a","primary":"MK","tertiary":[[0,0,0],[1,0]]}])", TapeFormat::json),
              "in:1: record 0: field 'tertiary' has 5 numbers for 2 residues; expected three (C-alpha) or nine (N, "
              "C-alpha, C) a residue");
}

TEST_F(FormatFiles, LabelledFastaTakesALoneNumberOrPairs) {
    auto const path = file("in.fasta", ">a 1.5\nMK\n>b log_fluorescence=2 num_mutations=3\nMV\n");
    auto const dataset = import_dataset(find_task("fluorescence"), "x", path, detect_format(path));
    ASSERT_EQ(dataset.examples.size(), 2u);
    EXPECT_EQ(dataset.examples[0].value, 1.5);
    EXPECT_EQ(dataset.examples[1].value, 2);
    EXPECT_EQ(dataset.examples[1].attributes.at("num_mutations"), "3");
    EXPECT_EQ(message("fluorescence", ">a\nMK\n", TapeFormat::fasta),
              "in:1: column 'log_fluorescence' is missing (record 'a')");
}

std::string csv_or_jsonl(Dataset const& dataset) {
    std::ostringstream out;
    write_dataset(out, dataset, dataset.task.kind == TaskKind::residue_pair);
    return out.str();
}

TEST_F(FormatFiles, ExportsAreReadBackToTheSameTable) {
    for (Task const& task : bundled_tasks()) {
        Dataset dataset = load_split(task, task.valid);
        dataset.examples.resize(90); // stability and contact: holds values of minus zero and unresolved residues
        for (TapeFormat const format : {TapeFormat::json, TapeFormat::fasta}) {
            if (format == TapeFormat::fasta && task.kind == TaskKind::residue_pair) continue;
            auto const path = directory / "copy";
            write_atomically(path, [&](std::ostream& out) {
                if (format == TapeFormat::json)
                    write_tape_json(out, dataset);
                else
                    write_labelled_fasta(out, dataset);
            });
            EXPECT_EQ(detect_format(path), format);
            EXPECT_TRUE(csv_or_jsonl(import_dataset(task, task.valid, path, format)) == csv_or_jsonl(dataset))
                << task.name << (format == TapeFormat::json ? " json" : " fasta");
        }
    }
}

} // namespace
} // namespace tape
