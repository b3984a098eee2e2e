// The command lines of the README, run as they are written there (shorter training, smaller files), and what they must
// leave.
#include "data/fasta.hpp"
#include "data/io.hpp"
#include "data/npy.hpp"

#include "tests/cli/cli_fixture.hpp"

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace tape::test {
namespace {

/// A working folder with swissprot.fasta.xz (the first proteins of the starter database, a part of Swiss-Prot),
/// query.fasta, queries.fasta and proteins.fasta.
class PromisedLines : public CliTest {
  protected:
    static constexpr std::size_t database_size = 120, query_count = 3, longest_query = 250;

    void SetUp() override {
        CliTest::SetUp();
        char const* const data = std::getenv("TAPE_DATA");
        ASSERT_NE(data, nullptr) << "TAPE_DATA names the source tree's data/";
        auto all = read_fasta(std::filesystem::path{data} / "starter" / "starter.fasta.xz");
        ASSERT_GT(all.size(), database_size);
        all.resize(database_size);
        write_atomically(path("swissprot.fasta.xz"), [&](std::ostream& out) { write_fasta(out, all); });
        for (auto const& protein : all)
            if (queries_.size() < query_count && protein.residues.size() <= longest_query) queries_.push_back(protein);
        ASSERT_EQ(queries_.size(), query_count);
        for (auto const* name : {"query.fasta", "queries.fasta", "proteins.fasta"})
            write_atomically(path(name), [&](std::ostream& out) { write_fasta(out, queries_); });
    }

    /// Runs "PROGRAM ARGUMENT ARGUMENT ..." and expects success.
    Outcome line(std::string const& text) {
        std::istringstream words{text};
        std::string program;
        words >> program;
        std::vector<std::string> arguments;
        for (std::string word; words >> word;) arguments.push_back(word);
        Outcome outcome = run(program, arguments);
        EXPECT_EQ(outcome.exit_code, 0) << text << '\n' << outcome.err;
        return outcome;
    }

    [[nodiscard]] bool exists(std::string const& name) const { return std::filesystem::exists(path(name)); }

    std::vector<Protein> queries_;
};

#ifdef TAPE_TEST_SEARCH
TEST_F(PromisedLines, database_alignments_and_hits) {
    line("tape-db build swissprot.fasta.xz -o swissprot.tdb");
    line("tape-msa query.fasta --db swissprot.tdb --rounds 3 -o out/");
    for (auto const& query : queries_) {
        EXPECT_TRUE(read("out/" + query.id + ".a3m").starts_with(">" + query.id));
        auto const features = read_npz(path("out/" + query.id + ".features.npz"));
        EXPECT_EQ(features.at("frequencies").shape, (std::vector<std::size_t>{query.residues.size(), 20}));
    }
    EXPECT_TRUE(read("out/hits.tsv").starts_with("#query\ttarget\tevalue\tbits\t"));
    EXPECT_TRUE(exists("out/manifest.json"));

    line("tape-msa queries.fasta --db swissprot.tdb --rounds 1 --evalue 10000 --hits hits.tsv");
    std::istringstream hits{read("hits.tsv")};
    std::string row, columns;
    std::getline(hits, row);
    EXPECT_EQ(row, "#query\ttarget\tevalue\tbits");
    std::getline(hits, row);
    EXPECT_TRUE(row.starts_with(queries_[0].id + "\t" + queries_[0].id + "\t"))
        << "the best hit is the query itself: " << row;
    EXPECT_GT(std::ranges::count(read("hits.tsv"), '\n'), 10) << "an E-value of 10000 lets more in than the relatives";
    EXPECT_TRUE(exists("hits.tsv.manifest.json"));
    line("tape-msa queries.fasta --db swissprot.tdb --rounds 1 --evalue 10000 --hits hits.tsv"); // its own file again
}
#endif

#ifdef TAPE_TEST_LEARN
TEST_F(PromisedLines, embeddings_and_logits) {
    auto const size = [this](std::size_t q) { return queries_[q].residues.size(); };
    for (std::string const precision : {"fp32", "bf16"}) {
        line("tape-embed proteins.fasta --model transformer -o emb.npz --pool mean --precision " + precision);
        auto const means = read_npz(path("emb.npz"));
        line("tape-embed proteins.fasta --model transformer -o emb.npz --pool none --precision " + precision);
        auto const rows = read_npz(path("emb.npz"));
        ASSERT_EQ(rows.size(), query_count);
        ASSERT_EQ(means.size(), query_count);
        for (std::size_t q = 0; q < query_count; ++q) {
            auto const& matrix = rows.at(queries_[q].id);
            auto const& mean = means.at(queries_[q].id);
            ASSERT_EQ(matrix.shape.size(), 2u);
            EXPECT_EQ(matrix.shape[0], size(q));
            EXPECT_EQ(mean.shape, std::vector<std::size_t>{matrix.shape[1]});
            for (std::size_t k = 0; k < matrix.shape[1]; k += 37) {
                double sum = 0;
                for (std::size_t i = 0; i < size(q); ++i)
                    sum += static_cast<double>(matrix.as<float>()[i * matrix.shape[1] + k]);
                EXPECT_NEAR(mean.as<float>()[k], sum / static_cast<double>(size(q)), 1e-4);
            }
        }
    }
    EXPECT_TRUE(exists("emb.npz.manifest.json"));
    line("tape-embed proteins.fasta --model transformer --logits -o logits.npz");
    auto const logits = read_npz(path("logits.npz"));
    for (std::size_t q = 0; q < query_count; ++q)
        EXPECT_EQ(logits.at(queries_[q].id).shape, (std::vector<std::size_t>{size(q), 33}));
}

/// What makes a step of training small enough for a test.
std::string const small_steps = " --tokens 256 --window 64 --threads 1";

TEST_F(PromisedLines, pretraining_of_8M_is_taken_up_by_the_same_line) {
    std::string const start =
        "tape-pretrain --corpus swissprot.fasta.xz --model transformer --size 8M --objective mlm -o run/";
    line(start + " --steps 1" + small_steps);
    EXPECT_TRUE(exists("run/config.json"));
    std::string const once = read("run/model.safetensors");
    EXPECT_GT(once.size(), 20u << 20); // some 7.5 M parameters of four bytes
    auto const again = line(start + " --steps 1" + small_steps);
    EXPECT_TRUE(again.out.starts_with("already complete: 1 steps")) << again.out;
    EXPECT_TRUE(read("run/model.safetensors") == once);
    line("tape-embed proteins.fasta --model run -o emb.npz --pool mean --precision fp32 --threads 1");
    EXPECT_EQ(read_npz(path("emb.npz")).at(queries_[0].id).shape, std::vector<std::size_t>{320});
}

TEST_F(PromisedLines, pretraining_killed_in_the_middle_ends_with_the_same_bytes) {
    auto const arguments = [](std::string const& folder) {
        return std::vector<std::string>{"--corpus",
                                        "swissprot.fasta.xz",
                                        "--hidden",
                                        "64",
                                        "--layers",
                                        "2",
                                        "--heads",
                                        "4",
                                        "--steps",
                                        "60",
                                        "--checkpoint-every",
                                        "10",
                                        "--seed",
                                        "5",
                                        "-o",
                                        folder,
                                        "--tokens",
                                        "256",
                                        "--window",
                                        "64",
                                        "--threads",
                                        "1",
                                        "--quiet"};
    };
    auto const whole = run("tape-pretrain", arguments("whole"));
    ASSERT_EQ(whole.exit_code, 0) << whole.err;
    auto const killed = run_until("tape-pretrain", arguments("broken"), [this] {
        auto const log = read("broken/log.tsv");
        return std::ranges::count(log, '\n') >= 3; // the header and two checkpoints or more
    });
    ASSERT_EQ(killed.exit_code, 128 + 9) << "it ended before it could be killed";
    auto const resumed = run("tape-pretrain", arguments("broken"));
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_GT(read("whole/model.safetensors").size(), 100'000u);
    for (std::string const file : {"model.safetensors", "config.json"})
        EXPECT_TRUE(read("whole/" + file) == read("broken/" + file)) << file;
}

TEST_F(PromisedLines, comparison_and_its_report_again) {
    auto const before = files();
    auto const plan = line("tape-compare --features msa,transformer --tasks all --preset quick -o results/ --dry-run");
    EXPECT_TRUE(plan.out.starts_with("arms: onehot msa transformer msa+transformer\n")) << plan.out;
    EXPECT_EQ(files(), before);

    line("tape-compare --features msa,transformer --tasks fluorescence --preset quick -o results/ --train-limit 40 "
         "--valid-limit 12 --test-limit 20 --seeds 1 --max-epochs 1");
    for (std::string const file : {"result.json", "table.tsv", "report.html"})
        EXPECT_TRUE(exists("results/" + file)) << file;
    std::string const table = read("results/table.tsv");
    for (std::string const arm : {"onehot", "msa", "transformer", "msa+transformer"})
        EXPECT_NE(table.find("\t" + arm + "\t"), std::string::npos) << arm << " in\n" << table;
    line("tape-report results/result.json -o again.html");
    EXPECT_TRUE(read("again.html") == read("results/report.html"));
}
#endif

} // namespace
} // namespace tape::test
