#include "data/error.hpp"
#include "learn/pretrain.hpp"
#include "learn/random.hpp"
#include "learn/safetensors.hpp"
#include "learn/spike_guard.hpp"

#include "tests/learn/learn_fixture.hpp"
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <future>
#include <sstream>

namespace tape {
namespace {

PretrainOptions tiny(test::Folder const& folder, std::string const& run) {
    PretrainOptions options;
    options.corpus = {folder / "corpus.fasta"};
    options.output = folder / run;
    options.hidden = 32, options.layers = 2, options.heads = 4;
    options.steps = 24, options.checkpoint_every = 6, options.tokens = 600, options.window = 40;
    options.seed = 5, options.threads = 1, options.quiet = true, options.precision = "fp32";
    return options;
}

TEST(Pretrain, LearnsWhatCanBeLearnt) {
    test::Folder const folder;
    std::string text;
    for (int i = 0; i < 300; ++i) {
        std::string letters;
        for (int j = 0; j < 40; ++j) letters += "ACDEFGHI"[(i + j) % 8];
        text += ">p" + std::to_string(i) + "\n" + letters.substr(0, static_cast<std::size_t>(20 + i % 21)) + "\n";
    }
    test::spill(folder / "corpus.fasta", text);
    auto options = tiny(folder, "run");
    options.steps = options.checkpoint_every = 400, options.tokens = 1200, options.seed = 0;
    options.learning_rate = 0.005, options.corpus_options.held_out_every = 5;
    auto const result = pretrain(options);
    EXPECT_GT(result.valid_accuracy, 0.8); // the neighbours give the residue away
    EXPECT_LT(result.valid_perplexity, 2.0);
    std::string const card = test::slurp(folder / "run" / "README.md");
    EXPECT_NE(card.find("400 steps of a planned 400"), std::string::npos) << card;
    EXPECT_NE(card.find("nothing was excluded"), std::string::npos) << card;
}

TEST(Pretrain, ADivergingRunStopsAndKeepsItsLastGoodCheckpoint) {
    test::Folder const folder;
    test::spill(folder / "corpus.fasta", test::random_fasta(120, 20, 60, 8));
    auto options = tiny(folder, "run");
    options.learning_rate = 1e3, options.warmup = 1, options.checkpoint_every = 1, options.steps = 200;
    try {
        (void)pretrain(options);
        FAIL() << "a learning rate of 1000 went unnoticed";
    } catch (error const& problem) {
        EXPECT_NE(std::string{problem.what()}.find("the last good checkpoint is kept"), std::string::npos)
            << problem.what();
        EXPECT_EQ(problem.code(), exit_code::failed);
    }
    EXPECT_NO_THROW((SafetensorsFile{folder / "run" / "checkpoint.safetensors"}));
}

TEST(Pretrain, AnotherSettingIsRefusedByName) {
    test::Folder const folder;
    test::spill(folder / "corpus.fasta", test::random_fasta(120, 20, 60, 8));
    auto options = tiny(folder, "run");
    options.steps = options.checkpoint_every = 2;
    (void)pretrain(options);
    EXPECT_TRUE(pretrain(options).was_complete);
    options.seed = 6;
    try {
        (void)pretrain(options);
        FAIL() << "another seed was taken";
    } catch (usage_error const& problem) {
        EXPECT_NE(std::string{problem.what()}.find("'seed' was 5, now 6"), std::string::npos) << problem.what();
    }
    options.force = true;
    EXPECT_EQ(pretrain(options).step, 2);
}

std::vector<std::string> command(test::Folder const& folder, std::string const& run) {
    return {"--corpus",
            folder / "corpus.fasta",
            "-o",
            folder / run,
            "--hidden",
            "32",
            "--layers",
            "2",
            "--heads",
            "4",
            "--steps",
            "60",
            "--checkpoint-every",
            "5",
            "--tokens",
            "600",
            "--window",
            "40",
            "--seed",
            "5",
            "--threads",
            "1",
            "--quiet"};
}

/// Holds once the run has written a number of lines of its log.
struct LogLines {
    std::filesystem::path log;
    long wanted;
    static bool reached(void* context) {
        auto const& self = *static_cast<LogLines*>(context);
        auto const text = test::slurp(self.log);
        return std::ranges::count(text, '\n') > self.wanted;
    }
};

TEST(PretrainProgram, KilledTwiceItEndsWithTheSameBytes) {
    test::Folder const folder;
    test::spill(folder / "corpus.fasta", test::random_fasta(200, 20, 80, 8));
    auto const whole = test::run_program("tape-pretrain", command(folder, "whole"));
    ASSERT_EQ(whole.exit_code, 0) << whole.err;
    for (long const lines : {3, 7}) {
        LogLines until{folder / "broken" / "log.tsv", lines};
        EXPECT_EQ(test::run_program("tape-pretrain", command(folder, "broken"), LogLines::reached, &until).exit_code,
                  128 + SIGKILL);
    }
    auto const last = test::run_program("tape-pretrain", command(folder, "broken"));
    ASSERT_EQ(last.exit_code, 0) << last.err;
    for (auto const* file : {"model.safetensors", "config.json"}) {
        auto const expected = test::slurp(folder / "whole" / file);
        EXPECT_FALSE(expected.empty());
        EXPECT_TRUE(expected == test::slurp(folder / "broken" / file)) << file;
    }
}

TEST(PretrainProgram, SaysWhatIsWrong) {
    test::Folder const folder;
    test::spill(folder / "empty.fasta", "");
    test::spill(folder / "bad.fasta", ">a\nMK7A\n");
    test::spill(folder / "corpus.fasta", test::random_fasta(20, 20, 30, 1));
    auto const run = [&](std::vector<std::string> const& arguments) {
        return test::run_program("tape-pretrain", arguments);
    };
    auto const empty = run({"--corpus", folder / "empty.fasta", "-o", folder / "r"});
    EXPECT_EQ(empty.exit_code, 3);
    EXPECT_NE(empty.err.find("empty.fasta"), std::string::npos) << empty.err;
    auto const bad = run({"--corpus", folder / "bad.fasta", "-o", folder / "r"});
    EXPECT_EQ(bad.exit_code, 3);
    EXPECT_NE(bad.err.find("bad.fasta:2"), std::string::npos) << bad.err;
    EXPECT_FALSE(std::filesystem::exists(folder / "r" / "model.safetensors"));
    EXPECT_EQ(run({"--corpus", folder / "corpus.fasta", "-o", folder / "r", "--size", "9M"}).exit_code, 2);
    EXPECT_EQ(
        run({"--corpus", folder / "corpus.fasta", "-o", folder / "r", "--hidden", "30", "--heads", "4"}).exit_code, 2);
    EXPECT_EQ(run({"--corpus", folder / "corpus.fasta", "-o", folder / "r", "--threads", "-1"}).exit_code, 2);
    EXPECT_EQ(run({"-o", folder / "r"}).exit_code, 2);
}

} // namespace
} // namespace tape
