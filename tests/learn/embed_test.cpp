#include "data/error.hpp"
#include "data/npy.hpp"
#include "learn/encoder_source.hpp"
#include "learn/models.hpp"

#include "tests/learn/learn_fixture.hpp"
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <set>

namespace tape {
namespace {

std::string const letters[] = {"MKTAYIAKQR", "M", "GGXBUZO"};

std::string fasta() {
    std::string text;
    for (std::size_t i = 0; i < 3; ++i) text += ">p" + std::to_string(i) + " described\n" + letters[i] + "\n";
    return text;
}

TEST(EmbedProgram, WritesMeansRowsLogitsAndMaps) {
    test::Folder const folder;
    test::spill(folder / "p.fasta", fasta());
    std::string const model = test::golden("transformer");
    auto const run = [&](std::string const& name, std::vector<std::string> const& more) {
        std::vector<std::string> arguments{folder / "p.fasta", "--model", model, "-o", folder / name, "--threads", "1"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        auto const outcome = test::run_program("tape-embed", arguments);
        EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
        return read_npz(folder / name);
    };
    auto const means = run("mean.npz", {"--pool", "mean"}), rows = run("rows.npz", {"--pool", "none"}),
               logits = run("logits.npz", {"--logits"}), maps = run("maps.npz", {"--pairs"});
    auto const expected = read_npz(test::golden("transformer.npz"));
    for (std::size_t i = 0; i < 3; ++i) {
        std::string const id = "p" + std::to_string(i), n = std::to_string(i);
        std::size_t const length = letters[i].size();
        EXPECT_EQ(means.at(id).shape, (std::vector<std::size_t>{16}));
        EXPECT_EQ(rows.at(id).shape, (std::vector<std::size_t>{length, 16}));
        EXPECT_EQ(logits.at(id).shape, (std::vector<std::size_t>{length, 33}));
        EXPECT_EQ(maps.at(id).shape, (std::vector<std::size_t>{length, length, 4}));
        auto const hidden = expected.at("hidden" + n).as<double>(); // (L + 2) x 16
        auto const scores = expected.at("logits" + n).as<double>(); // (L + 2) x 33
        auto const row_values = rows.at(id).as<float>(), logit_values = logits.at(id).as<float>(),
                   mean_values = means.at(id).as<float>();
        for (std::size_t k = 0; k < 16; ++k) {
            double sum = 0;
            for (std::size_t t = 0; t < length; ++t) {
                EXPECT_NEAR(row_values[t * 16 + k], hidden[(t + 1) * 16 + k], 2e-5);
                sum += hidden[(t + 1) * 16 + k];
            }
            EXPECT_NEAR(mean_values[k], sum / static_cast<double>(length), 2e-5);
        }
        for (std::size_t k = 0; k < length * 33; ++k) EXPECT_NEAR(logit_values[k], scores[33 + k], 5e-5);
    }
}

TEST(EmbedProgram, ReadsUniRepAndReportsProblems) {
    test::Folder const folder;
    test::spill(folder / "p.fasta", fasta());
    auto const run = [&](std::vector<std::string> const& more) {
        std::vector<std::string> arguments{folder / "p.fasta", "-o", folder / "out.npz", "--threads", "1"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return test::run_program("tape-embed", arguments);
    };
    EXPECT_EQ(run({"--model", test::golden("unirep_single.npz")}).exit_code, 0);
    auto const values = read_npz(folder / "out.npz"), expected = read_npz(test::golden("unirep_single_expected.npz"));
    for (std::size_t k = 0; k < 6; ++k)
        EXPECT_NEAR(values.at("p0").as<float>()[k], expected.at("average0").as<double>()[k], 2e-6);
    std::filesystem::remove(folder / "out.npz"), std::filesystem::remove(folder / "out.npz.manifest.json");

    auto const unknown = run({"--model", "transfomer"});
    EXPECT_EQ(unknown.exit_code, 2);
    EXPECT_NE(unknown.err.find("did you mean `transformer`?"), std::string::npos) << unknown.err;
    std::filesystem::copy(test::golden("transformer"), folder / "cut");
    std::filesystem::resize_file(folder / "cut" / "model.safetensors", 5000);
    auto const truncated = run({"--model", folder / "cut"});
    EXPECT_EQ(truncated.exit_code, 3);
    EXPECT_NE(truncated.err.find("truncated"), std::string::npos) << truncated.err;
    std::filesystem::create_directory(folder / "nothing");
    EXPECT_EQ(run({"--model", folder / "nothing"}).exit_code, 3);
    EXPECT_EQ(run({"--model", folder / "p.fasta"}).exit_code, 3);
    EXPECT_EQ(run({"--model", test::golden("unirep_single.npz"), "--pairs"}).exit_code, 2);
    EXPECT_EQ(run({"--model", test::golden("transformer"), "--pool", "max"}).exit_code, 2);
    test::spill(folder / "p.fasta", "");
    EXPECT_EQ(run({"--model", test::golden("transformer")}).exit_code, 3);
    std::size_t left = 0;
    for (auto const& entry : std::filesystem::directory_iterator{folder.path()}) left += entry.is_regular_file();
    EXPECT_EQ(left, 1U) << "an output was left behind by a failed run";
}

/// A launcher's variables for a scope.
class Launched {
  public:
    explicit Launched(int rank) {
        setenv("OMPI_COMM_WORLD_SIZE", "2", 1), setenv("OMPI_COMM_WORLD_RANK", std::to_string(rank).c_str(), 1);
    }
    ~Launched() { unsetenv("OMPI_COMM_WORLD_SIZE"), unsetenv("OMPI_COMM_WORLD_RANK"); }
};

TEST(EmbedProgram, RanksWriteWhatOneProcessWrites) {
    test::Folder const folder;
    test::spill(folder / "p.fasta", test::random_fasta(40, 200, 400, 3)); // attention maps: six or so portions
    auto const embed = [&](std::string const& name, std::vector<std::string> const& more) {
        std::vector<std::string> arguments{folder / "p.fasta", "--model", test::golden("transformer"), "-o", folder / name,
                                           "--pairs", "--threads", "1"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return test::run_program("tape-embed", arguments);
    };
    auto const parts = [&](std::string const& name) {
        std::size_t count = 0;
        for (auto const& entry : std::filesystem::directory_iterator{folder / (name + ".parts")})
            count += entry.path().extension() == ".npz";
        return count;
    };
    ASSERT_EQ(embed("one.npz", {}).exit_code, 0);
    {
        // A rank that is killed in the middle leaves whole parts only; its name is not another's.
        Launched const first{0};
        struct State {
            std::filesystem::path folder;
        } state{folder / "both.npz.parts"};
        auto const killed = test::run_program(
            "tape-embed",
            {folder / "p.fasta", "--model", test::golden("transformer"), "-o", folder / "both.npz", "--pairs", "--threads",
             "1"},
            [](void* context) {
                auto const& parts = static_cast<State*>(context)->folder;
                std::size_t count = 0;
                std::error_code ignored;
                for (auto const& entry : std::filesystem::directory_iterator{parts, ignored})
                    count += entry.path().extension() == ".npz";
                return count >= 2;
            },
            &state);
        EXPECT_NE(killed.exit_code, 0);
        EXPECT_FALSE(std::filesystem::exists(folder / "both.npz"));
        EXPECT_GE(parts("both.npz"), 2U);
    }
    {
        Launched const second{1};
        auto const outcome = embed("both.npz", {});
        EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
        EXPECT_TRUE(test::slurp(folder / "both.npz") == test::slurp(folder / "one.npz"));
        EXPECT_EQ(parts("both.npz"), 0U);
        EXPECT_EQ(embed("forced.npz", {"--force"}).exit_code, 2);
    }
    {
        Launched const late{0}; // comes when all is done
        auto const written = std::filesystem::last_write_time(folder / "both.npz");
        EXPECT_EQ(embed("both.npz", {}).exit_code, 0);
        EXPECT_EQ(std::filesystem::last_write_time(folder / "both.npz"), written);
        EXPECT_EQ(parts("both.npz"), 0U);
    }
}

TEST(EmbedProgram, SaysWhatItReadsInWindows) {
    test::Folder const folder;
    test::spill(folder / "p.fasta", ">short\nMKT\n" + test::random_fasta(1, 31, 31, 3));
    auto const outcome =
        test::run_program("tape-embed", {folder / "p.fasta", "--model", test::golden("checkpoints") / "protbert", "-o",
                                         folder / "out.npz", "--threads", "1"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_NE(outcome.err.find("(31 residues) is read in 2 overlapping windows"), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.err.find("short"), std::string::npos);
    EXPECT_NE(test::slurp(folder / "out.npz.manifest.json").find("\"proteins read in windows\": \"1\""),
              std::string::npos);
}

TEST(Models, NamesLeadToWeightsOrToTheCommandThatGetsThem) {
    test::Folder const folder;
    setenv("TAPE_CACHE", folder.path().c_str(), 1);
    auto const location = locate_model("unirep");
    EXPECT_EQ(location.kind, ModelKind::unirep);
    EXPECT_EQ(location.path, folder / "models" / "unirep-1900.npz");
    try {
        require_weights(location);
        FAIL() << "weights that are not there were found";
    } catch (data_error const& problem) {
        EXPECT_NE(std::string{problem.what()}.find("tape-data fetch unirep --accept-licence"), std::string::npos);
    }
    EXPECT_EQ(locate_model(test::golden("transformer")).kind, ModelKind::transformer);
    EXPECT_EQ(locate_model(test::golden("unirep_stacked")).kind, ModelKind::unirep);
    unsetenv("TAPE_CACHE");
}

TEST(EncoderSource, GivesFeaturesAndADifferentRandomNetwork) {
    std::vector<Protein> proteins;
    for (auto const& residues : letters) proteins.push_back({"p", "", residues});
    std::string const model = test::golden("transformer");
    auto const trained = make_encoder_source("transformer@golden", model, false, {.threads = 1});
    auto const random = make_encoder_source("transformer@random", model, true, {.threads = 1, .seed = 1});
    auto const other = make_encoder_source("transformer@random", model, true, {.threads = 1, .seed = 2});
    EXPECT_EQ(trained->name(), "transformer@golden");
    EXPECT_EQ(trained->residue_width(), 16);
    EXPECT_EQ(trained->pair_width(), 4);
    EXPECT_EQ(std::set({trained->content_hash(), random->content_hash(), other->content_hash()}).size(), 3U);
    auto const features = trained->compute(proteins, {.rows = true, .pooled = true, .pairs = true});
    auto const drawn = random->compute(proteins, {.rows = true}),
               drawn_again = random->compute(proteins, {.rows = true});
    ASSERT_EQ(features.size(), 3U);
    EXPECT_EQ(features[0].rows.rows(), 10);
    EXPECT_EQ(features[0].pooled.size(), 16U);
    EXPECT_EQ(features[0].pairs.size(), 10U * 10 * 4);
    EXPECT_TRUE(drawn[0].pooled.empty() && drawn[0].pairs.empty());
    EXPECT_EQ(drawn[0].rows, drawn_again[0].rows);
    EXPECT_GT((drawn[0].rows - features[0].rows).norm(), 1);
    auto const unirep = make_encoder_source("unirep", test::golden("unirep_single.npz"), false, {.threads = 1});
    EXPECT_EQ(unirep->pair_width(), 0);
    EXPECT_TRUE(unirep->compute(proteins, {.rows = true, .pairs = true})[0].pairs.empty());
}

TEST(EncoderSource, TheBundledTransformerLoadsAndDiffersFromItsControl) {
    std::vector<Protein> const proteins{{"p", "", "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"}};
    auto const bundled = make_encoder_source("transformer", "transformer", false, {.threads = 1});
    auto const control = make_encoder_source("transformer@random", "transformer", true, {.threads = 1});
    EXPECT_EQ(bundled->pooled_width(), control->pooled_width());
    auto const a = bundled->compute(proteins, {.pooled = true})[0].pooled,
               b = control->compute(proteins, {.pooled = true})[0].pooled;
    ASSERT_EQ(a.size(), b.size());
    double difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) difference += std::abs(a[i] - b[i]);
    EXPECT_GT(difference, 1);
}

} // namespace
} // namespace tape
