#include "data/dataset.hpp"

#include "tests/data/scratch.hpp"
#include <sys/wait.h>

#include <algorithm>

namespace tape {
namespace {

/// Runs the built program with a cache of its own.
class TapeData : public test::Scratch {
  protected:
    struct Result {
        int code;
        std::string out, err;
    };
    Result run(std::string const& arguments) const {
        std::string const binary =
            std::string{std::getenv("TAPE_BIN") ? std::getenv("TAPE_BIN") : "bin"} + "/tape-data";
        std::string const command = "cd " + directory.string() + " && TAPE_CACHE=" + directory.string() + "/cache " +
                                    binary + " " + arguments + " >out.log 2>err.log </dev/null";
        int const status = std::system(command.c_str());
        Result result{WEXITSTATUS(status), test::bytes_of(directory / "out.log"),
                      test::bytes_of(directory / "err.log")};
        std::filesystem::remove(directory / "out.log");
        std::filesystem::remove(directory / "err.log");
        return result;
    }
};

TEST_F(TapeData, ListsEverySplitWithItsCounts) {
    auto const [code, out, err] = run("list");
    EXPECT_EQ(code, 0);
    EXPECT_EQ(err, "");
    EXPECT_EQ(std::ranges::count(out, '\n'), 19);
    EXPECT_NE(out.find("fluorescence            test            27217    6448665   Spearman  Sarkisyan et al. 2016\n"),
              std::string::npos)
        << out;
}

TEST_F(TapeData, VerifiesAndFindsDamage) {
    EXPECT_EQ(run("verify --quiet").code, 0);
    std::filesystem::copy(data_directory(), directory / "data", std::filesystem::copy_options::recursive);
    std::filesystem::resize_file(directory / "data/tape/stability_test.csv.xz", 5000);
    std::filesystem::remove(directory / "data/tape/contact_valid.jsonl.xz");
    std::string const before = std::getenv("TAPE_DATA") ? std::getenv("TAPE_DATA") : "";
    ::setenv("TAPE_DATA", (directory / "data").c_str(), 1);
    auto const [code, out, err] = run("verify --quiet");
    if (before.empty())
        ::unsetenv("TAPE_DATA");
    else
        ::setenv("TAPE_DATA", before.c_str(), 1);
    EXPECT_EQ(code, 3);
    EXPECT_EQ(out, "");
    EXPECT_NE(err.find("damaged: tape/contact_valid.jsonl.xz: missing\n"), std::string::npos) << err;
    EXPECT_NE(err.find("damaged: tape/stability_test.csv.xz: content hash "), std::string::npos);
    EXPECT_NE(err.find("damaged: stability test: "), std::string::npos);
    EXPECT_NE(err.find("are damaged (4 problems); install them again\n"), std::string::npos);
}

TEST_F(TapeData, ExportsAndImportsEveryFormat) {
    for (std::string const format : {"csv", "jsonl", "fasta", "tape-json"}) {
        std::string const back = format == "tape-json" ? "json" : format;
        EXPECT_EQ(run("export stability valid --format " + format + " -o x.dat").code, 0);
        auto const [code, out, err] = run("import x.dat --task stability --format " + back + " -o y.csv");
        EXPECT_EQ(code, 0) << err;
        EXPECT_EQ(err, "2512 records of task stability read\n");
        EXPECT_EQ(read_dataset(find_task("stability"), "x", directory / "y.csv").examples.size(), 2512u);
        std::filesystem::remove(directory / "x.dat");
        std::filesystem::remove(directory / "y.csv");
    }
}

TEST_F(TapeData, EveryTaskSurvivesEveryFormat) {
    // Splits that are small; contact's and stability's hold minus zeros, cb513 unlabelled residues.
    std::vector<std::pair<std::string, std::string>> const splits{
        {"secondary_structure", "cb513"}, {"secondary_structure_q8", "valid"}, {"contact", "valid"},
        {"remote_homology", "valid"},     {"fluorescence", "valid"},           {"stability", "valid"}};
    for (auto const& [task, split] : splits) {
        bool const pairs = task == "contact";
        std::string const native = pairs ? "ref.jsonl" : "ref.csv", back = pairs ? "back.jsonl" : "back.csv";
        ASSERT_EQ(run("export " + task + " " + split + " --force -o " + native).code, 0);
        for (std::string const format : {"csv", "jsonl", "fasta", "tape-json"}) {
            if (pairs && (format == "csv" || format == "fasta")) continue; // refused: see WrongLinesAreExplained
            ASSERT_EQ(run("export " + task + " " + split + " --force -o copy --format " + format).code, 0);
            auto const imported = run("import copy --task " + task + " --force -o " + back);
            EXPECT_EQ(imported.code, 0) << imported.err;
            EXPECT_TRUE(test::bytes_of(directory / native) == test::bytes_of(directory / back)) << task << ' ' << format;
        }
    }
}

TEST_F(TapeData, ImportsTapesOwnFiles) {
    auto const [code, out, err] =
        run("import " + test::golden("secondary_structure.json").string() + " --task secondary_structure -o -");
    EXPECT_EQ(code, 0) << err;
    EXPECT_EQ(out, "id,primary,ss3,valid_mask,ss8\n0,MKVA,HECH,1011,GHIB\n1,GHIKL,HECHE,10111,GHIBE\n");
    EXPECT_EQ(err, "2 records of task secondary_structure read\n");
}

TEST_F(TapeData, BadRecordsStopOrAreSkipped) {
    file("in.csv", "id,primary,stability_score\na,MK,1\nb,M1,2\n");
    auto const stopped = run("import in.csv --task stability -o out.csv");
    EXPECT_EQ(stopped.code, 3);
    EXPECT_EQ(stopped.err,
              "tape-data: in.csv:3: column 'primary' has '1' at position 2, which is no residue letter (record 'b')\n");
    EXPECT_EQ(files_left(), 1u);
    auto const skipped = run("import in.csv --task stability -o out.csv --skip-bad-records");
    EXPECT_EQ(skipped.code, 0);
    EXPECT_EQ(skipped.err,
              "skipped: in.csv:3: column 'primary' has '1' at position 2, which is no residue letter (record 'b')\n"
              "1 record of task stability read, 1 skipped\n");
}

TEST_F(TapeData, ExistingFilesAreKeptWithoutForce) {
    file("x.csv", "mine");
    auto const refused = run("export stability valid -o x.csv");
    EXPECT_EQ(refused.code, 2);
    EXPECT_EQ(refused.err, "tape-data: x.csv: exists; use --force to overwrite it\nTry 'tape-data --help'.\n");
    EXPECT_EQ(test::bytes_of(directory / "x.csv"), "mine");
    EXPECT_EQ(run("export stability valid -o x.csv --force --dry-run").code, 0);
    EXPECT_EQ(test::bytes_of(directory / "x.csv"), "mine");
    EXPECT_EQ(run("export stability valid -o x.csv --force").code, 0);
    EXPECT_NE(test::bytes_of(directory / "x.csv"), "mine");
}

TEST_F(TapeData, WrongLinesAreExplained) {
    auto const usage = [this](std::string const& arguments) {
        auto const result = run(arguments);
        EXPECT_EQ(result.code, 2) << arguments;
        EXPECT_EQ(result.out, "");
        return result.err.substr(0, result.err.find('\n'));
    };
    EXPECT_EQ(usage(""), "tape-data: missing <command>");
    EXPECT_EQ(usage("lst"),
              "tape-data: <command>: expected list, verify, import, export or fetch, saw 'lst' (did you mean `list`?)");
    EXPECT_EQ(usage("list all"), "tape-data: unexpected argument 'all': tape-data list");
    EXPECT_EQ(usage("export stability -o x"), "tape-data: missing SPLIT: tape-data export TASK SPLIT");
    EXPECT_EQ(usage("export stability tset -o x"),
              "tape-data: task 'stability' has no split 'tset' (did you mean `test`?); it has train, valid and test");
    EXPECT_EQ(usage("export contact valid"), "tape-data: missing --output FILE");
    EXPECT_EQ(usage("export contact valid --format csv -o x"),
              "tape-data: task 'contact' has a coordinate a residue, which CSV cannot hold; write .jsonl");
    EXPECT_EQ(usage("export contact valid --format lmdb -o x"),
              "tape-data: --format: cannot export lmdb; expected csv, jsonl, fasta or tape-json");
    EXPECT_EQ(usage("import x -o y"), "tape-data: missing --task TASK");
    EXPECT_EQ(usage("fetch swisprot"),
              "tape-data: cannot fetch 'swisprot' (did you mean `swissprot`?); expected swissprot or unirep");
    EXPECT_EQ(usage("list --threads -1"), "tape-data: --threads: expected 0 or more, saw -1");
    EXPECT_EQ(files_left(), 0u);
    auto const missing = run("import nowhere.csv --task stability -o y");
    EXPECT_EQ(missing.code, 3);
    EXPECT_EQ(missing.err, "tape-data: nowhere.csv: cannot open: No such file or directory\n");
}

TEST_F(TapeData, UnirepShowsItsLicenceAndWaitsForYes) {
    auto const [code, out, err] = run("fetch unirep");
    EXPECT_EQ(code, 1);
    EXPECT_EQ(out, "");
    EXPECT_NE(err.find("CC BY-NC 4.0"), std::string::npos);
    EXPECT_NE(err.find("GNU General Public License 3.0"), std::string::npos);
    EXPECT_NE(err.find("tape-data: the licence must be accepted first: tape-data fetch unirep --accept-licence\n"),
              std::string::npos);
    EXPECT_EQ(files_left(), 0u);
}

TEST_F(TapeData, AFullDiskIsReported) {
    auto const [code, out, err] = run("export stability valid -o /dev/full");
    EXPECT_EQ(code, 1);
    EXPECT_EQ(err, "tape-data: /dev/full: cannot write: no space left on device; free some and run again\n");
}

} // namespace
} // namespace tape
