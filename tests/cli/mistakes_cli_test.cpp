// Wrong input, full disks, folders that cannot be written, files in the way: one clear message, the right exit code,
// and nothing left behind.
#include "tests/cli/cli_fixture.hpp"
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>

namespace tape::test {
namespace {

std::string const residues = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVV";

class Mistakes : public CliTest {
  protected:
    /// A FASTA file large enough that anything made of it outgrows `small_disk`.
    void write_proteins(std::string const& name, int count = 400) const {
        std::string fasta;
        for (int i = 0; i < count; ++i) {
            std::string protein = residues + residues;
            for (std::size_t at = static_cast<std::size_t>(i) % 11; at < protein.size(); at += 11)
                protein[at] = "ACDEFGHIKLMNPQRSTVWY"[(at + static_cast<std::size_t>(i)) % 20];
            fasta += ">p" + std::to_string(i) + "\n" + protein + "\n";
        }
        write(name, fasta);
    }

    static constexpr unsigned long small_disk = 16 << 10;
};

std::string const no_space = "cannot write: no space left on device; free some and run again\n";
std::string const over_limit = "cannot write: the file size limit is reached";

TEST_F(Mistakes, tape_data_names_file_line_record_and_value) {
    struct Case {
        std::string task, text, message;
    };
    std::vector<Case> const cases{
        {"stability", "id,primary,stability_score\na,MK,1\nb,MV,nan\n",
         "in:3: column 'stability_score' is 'nan'; expected a finite number (record 'b')\n"},
        {"stability", "id,primary,stability_score\na,MK,1\na,MV,2\n",
         "in:3: duplicate id 'a', first seen on line 2; ids must be unique\n"},
        {"stability", "id,primary,stability_score\na,M1,1\n",
         "in:2: column 'primary' has '1' at position 2, which is no residue letter (record 'a')\n"},
        {"secondary_structure", "id,primary,ss3,valid_mask\na,MKV,HH,111\n",
         "in:2: column 'ss3' has 2 labels for 3 residues (record 'a')\n  caused by: 1 missing label; re-export the "
         "file or "
         "drop the record with --skip-bad-records\n"},
        {"secondary_structure", "id,primary,ss3,valid_mask\na,MKV,HHX,111\n",
         "in:2: column 'ss3' has 'X' at position 3"},
        {"remote_homology", "id,primary,fold_label\na,MKV,1195\n",
         "in:2: column 'fold_label' is '1195'; expected a class from 0 to 1194 (record 'a')\n"},
        {"contact", "{\"id\":\"a\",\"primary\":\"MK\",\"tertiary_ca\":[[0,0,0]],\"valid_mask\":[1,1]}\n",
         "in:1: column 'tertiary_ca' has 1 position for 2 residues (record 'a')\n"},
        {"stability", ">a stability_score=1\nMK\n>b stability_score=nan\nMK\n",
         "in:3: column 'stability_score' is 'nan'; expected a finite number (record 'b')\n"},
        {"stability", ">a stability_score=1\nMK\n>b stability_score=1\nM2K\n",
         "in:4: '2' at position 2 of record 'b' is no residue letter\n"},
        {"stability",
         "[{\"id\":\"a\",\"primary\":\"MK\",\"stability_score\":[1]},\n{\"id\":\"b\",\"primary\":\"MK\","
         "\"stability_score\":[null]}]",
         "in:2: record 1: column 'stability_score' is nan; expected a finite number (record 'b')\n"},
        {"stability", "[{\"id\":\"a\",\"primary\":\"MK\",\n",
         "in:2: the JSON list is not closed; is the file cut short?"},
        {"stability", "", "in: is empty\n"},
    };
    for (auto const& [task, text, message] : cases) {
        write("in", text);
        expect_error("tape-data", {"import", "in", "--task", task, "-o", "out.csv"}, 3, {"tape-data: " + message});
    }
}

TEST_F(Mistakes, a_full_disk_at_tape_data) {
    expect_error("tape-data", {"export", "remote_homology", "valid", "-o", "/dev/full"}, 1,
                 {"tape-data: /dev/full: " + no_space});
    for (std::string const format : {"csv", "jsonl", "fasta", "tape-json"})
        expect_error("tape-data", {"export", "remote_homology", "valid", "-o", "out", "--format", format}, 1,
                     {"tape-data: out: " + over_limit}, small_disk);
}

TEST_F(Mistakes, a_file_in_the_way_of_tape_data) {
    write("out.csv", "mine\n");
    expect_error("tape-data", {"export", "remote_homology", "valid", "-o", "out.csv"}, 2,
                 {"tape-data: out.csv: exists; use --force to overwrite it\n"});
}

#ifdef TAPE_TEST_SEARCH
TEST_F(Mistakes, letters_and_ids_of_a_fasta_file) {
    write("good.fasta", ">a\n" + residues + "\n");
    write("letter.fasta", ">good\nMKTAY\n>bad one\nMKTAY\nMK1AY\n");
    write("twice.fasta", ">a\nMKTAY\n>b\nMKTAY\n>a\nMKTAV\n");
    write("headless.fasta", "MKTAY\n");
    write("hollow.fasta", ">a\n>b\nMKTAY\n");
    std::vector<std::pair<std::string, std::string>> const cases{
        {"letter.fasta", "letter.fasta:5: '1' at position 8 of record 'bad' is no residue letter\n"},
        {"twice.fasta", "twice.fasta:5: duplicate id 'a', first seen on line 1; ids must be unique\n"},
        {"headless.fasta", "headless.fasta:1: 'MKTAY' before the first '>'; expected FASTA, '>' and an id\n"},
        {"hollow.fasta", "hollow.fasta:1: record 'a' has no residues\n"},
    };
    for (auto const& [file, message] : cases) {
        expect_error("tape-db", {"build", file, "-o", "out.tdb"}, 3, {"tape-db: " + message});
        expect_error("tape-msa", {file, "--db", "good.fasta", "-o", "out"}, 3, {"tape-msa: " + message});
        expect_error("tape-msa", {"good.fasta", "--db", file, "-o", "out"}, 3, {"tape-msa: " + message});
    }
}

TEST_F(Mistakes, rows_of_a_ready_alignment) {
    write("q.fasta", ">q\nMKTAYIAKQRQISF\n");
    std::vector<std::pair<std::string, std::string>> const cases{
        {">q\nMKTAYIAKQRQISF\n>b\nMKTAYIAKQRQIS\n", "ready/q.a3m:3: record 'b': 13 match columns"},
        {">q\nMKTAYIAKQRQISF\n>b\nMKTAYgIAKQRQISFF\n", "ready/q.a3m:3: record 'b': 15 match columns"},
        {">q\nMKTAYIAKQRQISF\n>b\nMKTAY1AKQRQISF\n",
         "ready/q.a3m:4: record 'b': '1' at column 6 is neither a residue nor a gap"},
        {">q\nMKTAYIAKQRQISF\n>b\n", "ready/q.a3m:3: record 'b': no sequence"},
        {">other\nAAAA\n", "ready/q.a3m: the first row 'other' (4 residues) is not record 'q' (14 residues)"},
        {"", "ready/q.a3m: empty; expected an A3M"},
    };
    for (auto const& [alignment, message] : cases) {
        write("ready/q.a3m", alignment);
        expect_error("tape-msa", {"q.fasta", "--msa-dir", "ready", "-o", "out"}, 3, {"tape-msa: " + message});
    }
}

TEST_F(Mistakes, a_full_disk_at_the_search) {
    write_proteins("p.fasta");
    ASSERT_EQ(run("tape-db", {"build", "p.fasta", "-o", "p.tdb"}).exit_code, 0);
    expect_error("tape-db", {"build", "p.fasta", "-o", "/dev/full"}, 1, {"tape-db: /dev/full: " + no_space});
    expect_error("tape-db", {"build", "p.fasta", "-o", "out.tdb"}, 1, {"tape-db: out.tdb: " + over_limit}, small_disk);
    write("q.fasta", ">q\n" + residues + "\n");
    expect_error("tape-msa", {"q.fasta", "--db", "p.tdb", "--hits", "/dev/full"}, 1,
                 {"tape-msa: /dev/full: " + no_space});
    expect_error("tape-msa", {"q.fasta", "--db", "p.tdb", "--hits", "hits.tsv", "--max-hits", "400"}, 1,
                 {"tape-msa: hits.tsv: " + over_limit}, 1 << 10);
    expect_error("tape-msa", {"q.fasta", "--db", "p.tdb", "-o", "out"}, 1, {"tape-msa: out/q.a3m: " + over_limit},
                 1 << 10);
}

TEST_F(Mistakes, an_output_of_the_search_that_cannot_be_written) {
    write_proteins("p.fasta", 5);
    write("file", "mine\n");
    expect_error("tape-db", {"build", "p.fasta", "-o", "file/out.tdb"}, 1,
                 {"file/out.tdb: cannot write: file is no directory\n"});
    expect_error("tape-db", {"build", "p.fasta", "-o", "no/out.tdb"}, 1,
                 {"cannot write: the directory no does not exist\n"});
    expect_error("tape-msa", {"p.fasta", "--db", "p.fasta", "-o", "file/out"}, 1,
                 {"tape-msa: file/out/.tape-msa: cannot make this folder: Not a directory; choose another place\n"});
    expect_error("tape-msa", {"p.fasta", "--db", "p.fasta", "--hits", "file/h.tsv"}, 1,
                 {"file/h.tsv: cannot write: file is no directory\n"});
    for (auto const& line : {std::vector<std::string>{"tape-db", "build", "p.fasta", "-o", "file"},
                             {"tape-msa", "p.fasta", "--db", "p.fasta", "--hits", "file"}})
        expect_error(line[0], {line.begin() + 1, line.end()}, 2,
                     {line[0] + ": file: exists; use --force to overwrite it\n"});
    EXPECT_EQ(run("tape-msa", {"p.fasta", "--db", "p.fasta", "--hits", "file", "--force"}).exit_code, 0);
    EXPECT_TRUE(read("file").starts_with("#query\t"));
    EXPECT_EQ(run("tape-msa", {"p.fasta", "--db", "p.fasta", "--hits", "file"}).exit_code, 0) << "its own file";
}
#endif

#ifdef TAPE_TEST_LEARN
/// A run folder of a tiny network.
class RunFolder : public Mistakes {
  protected:
    void SetUp() override {
        CliTest::SetUp();
        write("p.fasta", ">a\n" + residues + "\n>b\n" + residues.substr(9) + "\n");
        Outcome const trained = run("tape-pretrain", line("run"));
        ASSERT_EQ(trained.exit_code, 0) << trained.err;
    }
    [[nodiscard]] static std::vector<std::string> line(std::string const& folder,
                                                       std::string const& corpus = "p.fasta") {
        return {"--corpus", corpus,     "--hidden", "16",       "--layers", "1",  "--heads", "2",         "--steps",
                "2",        "--tokens", "128",      "--window", "32",       "-o", folder,    "--threads", "1"};
    }
    void cut(std::string const& file, std::uintmax_t size) const { std::filesystem::resize_file(path(file), size); }
};

TEST_F(RunFolder, a_truncated_model_or_checkpoint) {
    auto const model = std::filesystem::file_size(path("run/model.safetensors"));
    auto const checkpoint = std::filesystem::file_size(path("run/checkpoint.safetensors"));
    cut("run/checkpoint.safetensors", checkpoint - 1);
    expect_error("tape-pretrain", line("run"), 3,
                 {"tape-pretrain: cannot go on from run/checkpoint.safetensors; --force starts the run anew\n"
                  "  caused by: run/checkpoint.safetensors: not a usable safetensors file: tensor '",
                  "(is the file truncated?)\n"});
    cut("run/checkpoint.safetensors", 5);
    expect_error("tape-pretrain", line("run"), 3, {"not a usable safetensors file: it has only 5 bytes\n"});
    std::vector<std::string> const embed{"p.fasta", "--model", "run", "-o", "e.npz", "--threads", "1"};
    cut("run/model.safetensors", model - 1);
    expect_error(
        "tape-embed", embed, 3,
        {"tape-embed: run/model.safetensors: not a usable safetensors file: tensor '", "(is the file truncated?)\n"});
    cut("run/model.safetensors", 300);
    expect_error("tape-embed", embed, 3,
                 {"run/model.safetensors: not a usable safetensors file: the header claims ",
                  " bytes of a file of 300 (is the file truncated?)\n"});
    std::filesystem::remove(path("run/model.safetensors"));
    expect_error("tape-embed", embed, 3, {"tape-embed: run: holds no model"});
    auto forced = line("run");
    forced.push_back("--force");
    EXPECT_EQ(run("tape-pretrain", forced).exit_code, 0);
    EXPECT_EQ(std::filesystem::file_size(path("run/model.safetensors")), model);
}

TEST_F(RunFolder, a_checkpoint_whose_state_is_damaged) {
    std::string const bytes = read("run/checkpoint.safetensors");
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    auto const header = nlohmann::json::parse(bytes.substr(8, length));
    auto const state = nlohmann::json::parse(header["__metadata__"]["state"].get<std::string>());
    ASSERT_TRUE(state.contains("step") && state.contains("pool") && state.contains("history"));
    for (auto const& [key, value] : state.items()) {
        auto damaged = state;
        damaged.erase(key);
        auto copy = header;
        copy["__metadata__"]["state"] = damaged.dump();
        std::string text = copy.dump();
        text.resize((text.size() + 7) / 8 * 8, ' ');
        std::uint64_t const size = text.size();
        write("run/checkpoint.safetensors",
              std::string{reinterpret_cast<char const*>(&size), 8} + text + bytes.substr(8 + length));
        expect_error("tape-pretrain", line("run"), 3,
                     {"tape-pretrain: cannot go on from run/checkpoint.safetensors; --force starts the run anew\n"});
    }
}

TEST_F(RunFolder, a_full_disk_at_the_models) {
    expect_error("tape-pretrain", line("new"), 1, {"tape-pretrain: new/checkpoint.safetensors: " + over_limit},
                 small_disk);
    write_proteins("many.fasta", 20);
    std::vector<std::string> embed{"many.fasta", "--model", "run", "--pool", "none", "--threads", "1", "-o", "e.npz"};
    expect_error("tape-embed", embed, 1, {"tape-embed: e.npz: " + over_limit}, small_disk);
    embed.back() = "e.h5";
    expect_error("tape-embed", embed, 1, {"tape-embed: e.h5: cannot write: File too large\n"}, small_disk);
    embed.back() = "/dev/full";
    expect_error("tape-embed", embed, 1, {"tape-embed: /dev/full: " + no_space});
}

TEST_F(RunFolder, a_disk_that_fills_up_in_the_middle) {
    auto longer = line("run");
    longer[static_cast<std::size_t>(std::ranges::find(longer, "--steps") - longer.begin()) + 1] = "4";
    expect_error("tape-pretrain", longer, 1,
                 {"tape-pretrain: step 4 could not be saved; run holds a good checkpoint of step 2: make room and "
                  "start the same line again\n"
                  "  caused by: run/checkpoint.safetensors: " +
                  over_limit},
                 small_disk);
    Outcome const resumed = run("tape-pretrain", longer);
    EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(run("tape-pretrain", line("other")).exit_code, 0);
    longer[static_cast<std::size_t>(std::ranges::find(longer, "-o") - longer.begin()) + 1] = "other";
    EXPECT_EQ(run("tape-pretrain", longer).exit_code, 0);
    EXPECT_TRUE(read("run/model.safetensors") == read("other/model.safetensors"));
}

TEST_F(RunFolder, an_output_of_the_models_that_cannot_be_written) {
    write("file", "mine\n");
    expect_error("tape-pretrain", line("file/new"), 1,
                 {"tape-pretrain: file/new: cannot make this folder: Not a directory; choose another place\n"});
    expect_error("tape-pretrain", line("file"), 1, {"tape-pretrain: file: cannot make this folder: Not a directory"});
    std::vector<std::string> embed{"p.fasta", "--model", "run", "--threads", "1", "-o", "file/e.npz"};
    expect_error("tape-embed", embed, 1, {"tape-embed: file/e.npz: cannot write: file is no directory\n"});
    embed.back() = "p.fasta";
    expect_error("tape-embed", embed, 2, {"tape-embed: p.fasta: exists; use --force to overwrite it\n"});
    embed.back() = "-";
    expect_error("tape-embed", embed, 2, {"tape-embed: --output: a .npz cannot be written to stdout; name a file\n"});
}

TEST_F(RunFolder, wrong_proteins_and_corpora) {
    write("empty.fasta", "");
    write("letter.fasta", ">good\nMKTAY\n>bad one\nMKTAY\nMK1AY\n");
    write("twice.fasta", ">a\nMKTAY\n>a\nMKTAV\n");
    std::string const letter = "letter.fasta:5: '1' at position 8 of record 'bad' is no residue letter\n";
    std::string const empty = "empty.fasta: no records; expected FASTA, '>' and an id on the first line\n";
    expect_error("tape-pretrain", line("new", "letter.fasta"), 3, {"tape-pretrain: " + letter});
    expect_error("tape-pretrain", line("new", "empty.fasta"), 3, {"tape-pretrain: " + empty});
    for (auto const& [file, message] :
         {std::pair<std::string, std::string>{"letter.fasta", letter},
          {"empty.fasta", empty},
          {"twice.fasta", "twice.fasta:3: duplicate id 'a', first seen on line 1; ids must be unique\n"},
          {"none.fasta", "none.fasta: cannot open: No such file or directory\n"}})
        expect_error("tape-embed", {file, "--model", "run", "-o", "e.npz"}, 3, {"tape-embed: " + message});
}

TEST_F(Mistakes, tape_compare_leaves_no_trace_of_a_failure) {
    std::vector<std::string> const start{
        "--tasks", "fluorescence", "--train-limit", "20",        "--valid-limit", "5", "--test-limit", "10", "--seeds",
        "1",       "-o",           "out/deep",      "--features"};
    auto const with = [&start](std::vector<std::string> const& more) {
        auto line = start;
        line.insert(line.end(), more.begin(), more.end());
        return line;
    };
    expect_error("tape-compare", with({"msa,transfomer"}), 2, {"did you mean `transformer`?"});
    expect_error("tape-compare", with({"msa", "--db", "none.tdb"}), 3,
                 {"tape-compare: none.tdb: cannot open: No such file or directory\n"});
    expect_error("tape-compare", with({"msa", "--msa-dir", "none"}), 3,
                 {"tape-compare: none: no such directory of alignments (--msa-dir)\n"});
    expect_error("tape-compare", with({"transformer@none"}), 2, {"tape-compare: no model 'none'"});
    expect_error("tape-compare", with({"onehot"}), 1, {"cannot write the feature cache: File too large; free space"},
                 1 << 10);
    write("file", "mine\n");
    auto blocked = with({"onehot"});
    *std::ranges::find(blocked, "out/deep") = "file/out";
    expect_error("tape-compare", blocked, 1,
                 {"tape-compare: file/out: cannot make this folder: Not a directory; choose another place\n"});
}
#endif

} // namespace
} // namespace tape::test
