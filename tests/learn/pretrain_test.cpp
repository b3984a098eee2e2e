#include "data/error.hpp"
#include "learn/corpus.hpp"
#include "learn/masked_language.hpp"
#include "learn/pretrain.hpp"
#include "learn/safetensors.hpp"

#include "tests/learn/learn_fixture.hpp"
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <set>

namespace tape {
namespace {

TEST(Random, PermutationVisitsEveryElementOnce) {
    for (std::uint64_t const count : {1, 2, 3, 5, 64, 65, 1000}) {
        std::set<std::uint64_t> seen;
        for (std::uint64_t i = 0; i < count; ++i) seen.insert(permuted(i, count, 42));
        EXPECT_EQ(seen.size(), count);
        EXPECT_EQ(*seen.rbegin(), count - 1);
    }
    int moved = 0;
    for (std::uint64_t i = 0; i < 1000; ++i) moved += permuted(i, 1000, 1) != permuted(i, 1000, 2);
    EXPECT_GT(moved, 900);
}

TEST(MaskedLanguage, CorruptsAsPublished) {
    Random random{5};
    TokenRows rows;
    std::int64_t residues = 0;
    for (int i = 0; i < 400; ++i) {
        std::string letters = "XBZUO";
        for (int j = 0; j < 500; ++j) letters += "ACDEFGHIKLMNPQRSTVWY"[random.below(20)];
        rows.push_back(EsmTokenizer::wrapped(letters));
        residues += 500;
    }
    auto const batch = mask_residues(rows, {}, Random{9}, at::kCPU);
    auto const tokens = batch.input.tokens.view({-1});
    std::int64_t masked = 0, replaced = 0, kept = 0;
    for (std::int64_t m = 0; m < batch.positions.size(0); ++m) {
        auto const place = batch.positions[m].item<std::int64_t>();
        auto const original = rows[static_cast<std::size_t>(place / 507)][static_cast<std::size_t>(place % 507)];
        ASSERT_EQ(batch.targets[m].item<std::int64_t>(), original);
        ASSERT_GE(original, EsmTokenizer::first_residue);
        ASSERT_LE(original, EsmTokenizer::last_residue);
        auto const now = tokens[place].item<std::int64_t>();
        (now == EsmTokenizer::mask ? masked : now == original ? kept : replaced) += 1;
        if (now != EsmTokenizer::mask) {
            ASSERT_GE(now, EsmTokenizer::first_residue);
            ASSERT_LE(now, EsmTokenizer::last_residue);
        }
    }
    // Five standard deviations of a binomial.
    auto const near = [](std::int64_t count, std::int64_t of, double share) {
        double const n = static_cast<double>(of);
        EXPECT_NEAR(static_cast<double>(count), n * share, 5 * std::sqrt(n * share * (1 - share)));
    };
    std::int64_t const chosen = batch.positions.size(0);
    near(chosen, residues, 0.15), near(masked, chosen, 0.8), near(replaced, chosen, 0.1), near(kept, chosen, 0.1);
    // Nothing but the chosen places has changed.
    std::int64_t changed = 0;
    for (std::size_t i = 0; i < rows.size(); ++i)
        for (std::size_t j = 0; j < rows[i].size(); ++j)
            changed += tokens.const_data_ptr<std::int64_t>()[i * 507 + j] != rows[i][j];
    EXPECT_EQ(changed, masked + replaced);
}

TEST(MaskedLanguage, WindowsCarrySpecialTokensOnlyAtTheEnds) {
    Random random{1};
    bool starts = false, ends = false, inner = false;
    for (int i = 0; i < 200; ++i) {
        auto const tokens = random_window("ACDEFGHIKL", 8, random);
        bool const begins = tokens.front() == EsmTokenizer::cls, finishes = tokens.back() == EsmTokenizer::eos;
        EXPECT_EQ(tokens.size(), 8U + begins + finishes);
        EXPECT_EQ(begins, tokens[begins] == EsmTokenizer::token('A'));
        EXPECT_EQ(finishes, tokens[tokens.size() - 1 - finishes] == EsmTokenizer::token('L'));
        starts |= begins, ends |= finishes, inner |= !begins && !finishes;
    }
    EXPECT_TRUE(starts && ends && inner);
    EXPECT_EQ(random_window("ACD", 8, random), EsmTokenizer::wrapped("ACD"));
}

TEST(SequenceMatcher, AgreesWithAPlainSearch) {
    Random random{3};
    auto const word = [&](std::size_t length) {
        std::string text;
        while (text.size() < length) text += "ACD"[random.below(3)];
        return text;
    };
    for (int round = 0; round < 50; ++round) {
        std::vector<std::string> patterns;
        for (int i = 0; i < 6; ++i) patterns.push_back(word(4 + random.below(5)));
        SequenceMatcher const matcher{patterns};
        for (int i = 0; i < 40; ++i) {
            auto const text = word(random.below(40));
            bool const found =
                std::ranges::any_of(patterns, [&](auto const& p) { return text.find(p) != std::string::npos; });
            EXPECT_EQ(matcher.matches(text), found);
        }
    }
    EXPECT_FALSE(SequenceMatcher{{}}.matches("ACD"));
}

TEST(Corpus, MergesExcludesAndHoldsOut) {
    test::Folder const folder;
    test::spill(folder / "a.fasta",
                test::random_fasta(400, 30, 60, 1) +
                    ">twin\nMKTAYIAKQRMKTAYIAKQR\n>twin2\nMKTAYIAKQRMKTAYIAKQR\n>whole\nWWWWACDEFGHIKLWWWW\n");
    test::spill(folder / "out.fasta", ">x\nACDEFGHIKL\n");
    test::spill(folder / "out.csv", "id,primary\ny,MKTAYIAKQRMKTAYIAKQR\n");
    std::vector<std::filesystem::path> const files{folder / "a.fasta"};
    auto const plain = Corpus::read(files, {.exclude = {}, .held_out_every = 10});
    EXPECT_EQ(plain.summary().records, 403U);
    EXPECT_EQ(plain.summary().distinct, 402U);
    EXPECT_EQ(plain.size() + plain.held_out_size(), 402U);
    EXPECT_GT(plain.held_out_size(), 15U);
    EXPECT_LT(plain.held_out_size(), 80U);
    auto const less =
        Corpus::read(files, {.exclude = {folder / "out.fasta", folder / "out.csv"}, .held_out_every = 10});
    EXPECT_EQ(less.summary().excluded, 2U);
    EXPECT_EQ(less.size() + less.held_out_size(), 400U);
    EXPECT_NE(less.summary().hash, plain.summary().hash);
    test::spill(folder / "only.fasta", ">x\nACDEFGHIKL\n");
    std::vector<std::filesystem::path> const only{folder / "only.fasta"};
    EXPECT_THROW((void)Corpus::read(only, {.exclude = {folder / "out.fasta"}}), data_error);
}

TEST(BatchSampler, IsAFunctionOfSeedAndPosition) {
    test::Folder const folder;
    test::spill(folder / "a.fasta", test::random_fasta(100, 10, 90, 2));
    std::vector<std::filesystem::path> const files{folder / "a.fasta"};
    auto const corpus = Corpus::read(files, {});
    BatchSampler::Options const options{.seed = 4, .window = 50, .tokens = 400};
    BatchSampler sampler{corpus, options, {}};
    std::vector<TokenRows> batches;
    std::vector<BatchSampler::Position> positions;
    for (int i = 0; i < 60; ++i) positions.push_back(sampler.position()), batches.push_back(sampler.next());
    for (std::size_t const i : {0, 1, 15, 16, 17, 40, 59}) {
        BatchSampler again{corpus, options, positions[i]};
        EXPECT_EQ(again.next(), batches[i]) << i;
    }
    for (auto const& batch : batches) {
        std::size_t tokens = 0;
        for (auto const& row : batch) tokens += row.size();
        EXPECT_GT(tokens, 250U);
        EXPECT_LT(tokens, 550U);
    }
    BatchSampler other{corpus, {.seed = 5, .window = 50, .tokens = 400}, {}};
    EXPECT_NE(other.next(), batches[0]);
}

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
