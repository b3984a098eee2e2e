#include "data/dataset.hpp"
#include "data/error.hpp"
#include "data/npy.hpp"
#include "learn/pretrain.hpp"
#include "learn/random.hpp"
#include "learn/safetensors.hpp"
#include "learn/spike_guard.hpp"

#include "tests/learn/learn_fixture.hpp"
#include "tests/learn/loss_curve.hpp"
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <future>
#include <map>
#include <optional>
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

/// Values of a column of log.tsv, of the lines that have one.
std::vector<double> column(std::filesystem::path const& log, std::string const& name) {
    std::istringstream in{test::slurp(log)};
    std::string line, cell;
    std::getline(in, line);
    std::istringstream header{line};
    std::size_t wanted = 0;
    while (std::getline(header, cell, '\t') && cell != name) ++wanted;
    std::vector<double> values;
    while (std::getline(in, line)) {
        std::istringstream cells{line};
        for (std::size_t i = 0; i <= wanted; ++i) std::getline(cells, cell, '\t');
        if (!cell.empty()) values.push_back(std::stod(cell));
    }
    return values;
}

TEST(Pretrain, LossCurvesAreThoseOfPyTorch) {
    auto const golden = nlohmann::json::parse(test::slurp(test::golden("loss_curve.json")));
    ASSERT_EQ(golden.size(), 4U);
    for (auto const& [objective, losses] : golden.items()) {
        test::Folder const folder;
        (void)pretrain(test::loss_curve_run(folder.path(), objective));
        auto const ours = column(folder / "run" / "log.tsv", "loss");
        ASSERT_EQ(ours.size(), 200U);
        double largest = 0;
        for (std::size_t step = 0; step < 200; ++step)
            largest = std::max(largest, std::abs(ours[step] - losses[step].get<double>()));
        EXPECT_LT(largest, 1e-3) << objective;
        EXPECT_LT(ours.back(), ours.front() - 0.2) << objective; // it did learn
        for (double const skipped : column(folder / "run" / "log.tsv", "skipped")) EXPECT_EQ(skipped, 0);
    }
}

TEST(Pretrain, EveryObjectiveGivesATransformer) {
    for (std::string const objective : {"next", "mlm+profile", "profile"}) {
        test::Folder const folder;
        auto options = test::loss_curve_run(folder.path(), "mlm+profile");
        options.objective = objective;
        if (objective == "next") options.profiles.clear();
        options.steps = options.checkpoint_every = 4;
        (void)pretrain(options);
        auto const card = test::slurp(options.output / "README.md");
        EXPECT_NE(card.find(objective == "next" ? "next residue" : "profile prediction"), std::string::npos) << card;
        EXPECT_EQ(card.find("masked language model") != std::string::npos, objective == "mlm+profile") << card;
        EXPECT_EQ(card.find("60 sequences without a profile") != std::string::npos, objective == "profile") << card;
        test::spill(folder / "p.fasta", ">a\nMKTAYIAKQR\n>b\nMKTAY\n");
        auto const run =
            test::run_program("tape-embed", {folder / "p.fasta", "--model", options.output, "-o", folder / "e.npz"});
        EXPECT_EQ(run.exit_code, 0) << run.err;
        auto const rows = test::run_program("tape-embed", {folder / "p.fasta", "--model", options.output, "--pool",
                                                           "none", "--precision", "fp32", "-o", folder / "rows.npz"});
        ASSERT_EQ(rows.exit_code, 0) << rows.err;
        // A network that only looks back gives a beginning the same rows, whatever follows.
        auto const arrays = read_npz(folder / "rows.npz");
        auto const longer = to_doubles(arrays.at("a")), shorter = to_doubles(arrays.at("b"));
        double largest = 0;
        for (std::size_t i = 0; i < shorter.size(); ++i) largest = std::max(largest, std::abs(longer[i] - shorter[i]));
        EXPECT_EQ(largest < 1e-5, objective == "next") << objective << " " << largest;
    }
}

TEST(Pretrain, GoesOnFromWeightsThatAreThere) {
    test::Folder const folder;
    auto options = test::loss_curve_run(folder.path(), "mlm");
    options.steps = options.checkpoint_every = 60;
    auto const first = pretrain(options);
    export_half(options.output, folder / "half");
    auto second = options;
    second.output = folder / "second", second.start_from = folder / "half";
    second.hidden = second.layers = second.heads = 0, second.learning_rate = 0;
    auto const still = pretrain(second);
    // Nothing learnt since, so what is left is rounding to half precision.
    EXPECT_NEAR(std::log(still.valid_perplexity), std::log(first.valid_perplexity), 2e-3);
    auto const card = test::slurp(second.output / "README.md");
    EXPECT_NE(card.find("Training began from weights that were there (XXH3 "), std::string::npos);
    EXPECT_NE(card.find("\n## Training before\n\n- objective: masked language model"), std::string::npos) << card;
    second.output = folder / "third", second.learning_rate = options.learning_rate;
    EXPECT_LT(pretrain(second).valid_perplexity, first.valid_perplexity);

    auto const refusal = [&](auto const& change) -> std::string {
        auto wrong = second;
        wrong.output = folder / "wrong";
        change(wrong);
        try {
            (void)pretrain(wrong);
        } catch (error const& problem) {
            return problem.what();
        }
        return "nothing";
    };
    EXPECT_NE(refusal([](auto& o) { o.layers = 3; }).find("leave out --hidden, --layers"), std::string::npos);
    EXPECT_NE(refusal([](auto& o) { o.objective = "next"; }).find("looks both ways"), std::string::npos);
    EXPECT_NE(refusal([](auto& o) { o.model = "lstm", o.objective = "both-ways"; }).find("of a Transformer"),
              std::string::npos);
    EXPECT_NE(refusal([&](auto& o) { o.start_from = folder / "nowhere"; }).find("nowhere"), std::string::npos);
    // Other weights to begin from are another run.
    EXPECT_NE(refusal([&](auto& o) { o.output = folder / "third", o.start_from = options.output; }).find("start_from"),
              std::string::npos);
}

TEST(Pretrain, NextTokenLikelihoodIsThatOfTraining) {
    test::Folder const folder;
    auto options = test::loss_curve_run(folder.path(), "next");
    options.steps = options.checkpoint_every = 150, options.window = 100;
    auto const result = pretrain(options);
    auto const run = test::run_program("tape-embed", {folder / "corpus.fasta", "--model", options.output,
                                                      "--perplexity", "--precision", "fp32", "-o", folder / "p.tsv"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    std::istringstream in{test::slurp(folder / "p.tsv")};
    std::string id;
    double length = 0, scored = 0, perplexity = 0, total = 0, count = 0;
    std::getline(in, id);
    while (in >> id >> length >> scored >> perplexity) total += scored * std::log(perplexity), count += scored;
    ASSERT_GT(count, 1000);
    // Over the whole corpus instead of the held-out part of it.
    EXPECT_NEAR(std::exp(total / count), result.valid_perplexity, 1.5);
    EXPECT_LT(result.valid_perplexity, 10);
}

TEST(Pretrain, PartsOfAStepGiveTheSameCurve) {
    std::vector<std::vector<double>> curves;
    for (std::int64_t const parts : {1, 3}) {
        test::Folder const folder;
        auto options = test::loss_curve_run(folder.path(), "mlm+profile");
        options.steps = options.checkpoint_every = 30, options.accumulate = parts;
        (void)pretrain(options);
        curves.push_back(column(options.output / "log.tsv", "loss"));
    }
    for (std::size_t step = 0; step < 30; ++step) EXPECT_NEAR(curves[0][step], curves[1][step], 1e-4);
}

/// A corpus whose residues follow from their neighbours on either side.
void spill_periodic_corpus(std::filesystem::path const& file) {
    std::string text;
    for (int i = 0; i < 300; ++i) {
        std::string letters;
        for (int j = 0; j < 40; ++j) letters += "ACDEFGHI"[(i + j) % 8];
        text += ">p" + std::to_string(i) + "\n" + letters.substr(0, static_cast<std::size_t>(20 + i % 21)) + "\n";
    }
    test::spill(file, text);
}

TEST(Pretrain, LearnsWhatCanBeLearnt) {
    test::Folder const folder;
    spill_periodic_corpus(folder / "corpus.fasta");
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

std::string divergence(PretrainOptions const& options) {
    try {
        (void)pretrain(options);
    } catch (error const& problem) {
        EXPECT_EQ(problem.code(), exit_code::failed);
        return problem.what();
    }
    return "a learning rate of 1000 went unnoticed";
}

TEST(Pretrain, ADivergingRunStopsAndKeepsItsLastGoodCheckpoint) {
    test::Folder const folder;
    test::spill(folder / "corpus.fasta", test::random_fasta(120, 20, 60, 8));
    auto options = tiny(folder, "run");
    options.corpus_options.held_out_every = 5;
    options.learning_rate = 1e3, options.warmup = 1, options.checkpoint_every = 1, options.steps = 200;
    // The first step ruins the weights: they are not saved.
    EXPECT_NE(divergence(options).find("no checkpoint was written: start again with a lower --learning-rate"),
              std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(folder / "run" / "checkpoint.safetensors"));
    // Later, on a long way up.
    options.warmup = 100000;
    auto const said = divergence(options);
    EXPECT_NE(said.find("the last good checkpoint is kept in "), std::string::npos) << said;
    EXPECT_NO_THROW((SafetensorsFile{folder / "run" / "checkpoint.safetensors"}));
    auto const losses = column(folder / "run" / "log.tsv", "valid_loss");
    ASSERT_GT(losses.size(), 1U);
    for (double const loss : losses) EXPECT_LT(loss, 3 * std::log(33.0)); // nothing worse was ever saved
}

TEST(SpikeGuard, RefusesWhatStandsOutAndForgetsIt) {
    SpikeGuard guard{{}};
    EXPECT_TRUE(guard.accepts(30, 500)); // nothing to compare with yet
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(guard.accepts(3 + 0.5 * std::sin(i), 1 + 0.5 * std::cos(i)));
    auto const before = guard.state();
    EXPECT_FALSE(guard.accepts(3, 20));
    EXPECT_FALSE(guard.accepts(6, 1));
    EXPECT_EQ(guard.state().refused, 2);
    EXPECT_EQ(guard.state().loss, before.loss);
    EXPECT_EQ(guard.state().norm, before.norm);
    EXPECT_TRUE(guard.accepts(3.5, 2));
    EXPECT_EQ(guard.state().refused, 0);
    SpikeGuard resumed{guard.state()};
    EXPECT_FALSE(resumed.accepts(6, 1));
}

TEST(Pretrain, AnLstmLearnsBothWays) {
    test::Folder const folder;
    spill_periodic_corpus(folder / "corpus.fasta");
    auto options = tiny(folder, "run");
    options.model = "lstm", options.objective = "both-ways", options.size = "1M", options.heads = 0, options.layers = 1;
    options.steps = options.checkpoint_every = 150, options.tokens = 1200;
    options.learning_rate = 0.01, options.corpus_options.held_out_every = 5;
    auto const result = pretrain(options);
    EXPECT_GT(result.valid_accuracy, 0.85);  // all but the residues at the ends
    EXPECT_LT(result.valid_perplexity, 1.8); // of 8 letters
    std::string const card = test::slurp(options.output / "README.md");
    EXPECT_NE(card.find("# LSTM, "), std::string::npos) << card;
    // The encoder that tape-embed has reads it, and finds each residue likely from those on both sides.
    test::spill(folder / "p.fasta", ">a\nCDEFGHIACDEFGHIACDEFGHIACDEF\n>b\nCDEFGHIACDEFGHFACDEFGHIACDEF\n");
    auto const run = test::run_program(
        "tape-embed", {folder / "p.fasta", "--model", options.output, "--perplexity", "-o", folder / "p.tsv"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    std::istringstream in{test::slurp(folder / "p.tsv")};
    std::string header, id;
    std::getline(in, header);
    std::map<std::string, double> perplexity;
    for (double length = 0, scored = 0, value = 0; in >> id >> length >> scored >> value;) perplexity[id] = value;
    EXPECT_LT(perplexity.at("a"), 1.5);
    EXPECT_GT(perplexity.at("b"), perplexity.at("a") * 1.05);
}

TEST(Pretrain, ModelAndObjectiveMustFit) {
    test::Folder const folder;
    test::spill(folder / "corpus.fasta", test::random_fasta(20, 20, 60, 8));
    auto options = tiny(folder, "run");
    options.model = "lstm";
    EXPECT_THROW((void)pretrain(options), usage_error); // heads, and mlm
    options.heads = 0;
    EXPECT_THROW((void)pretrain(options), usage_error);
    options.model = "transformer", options.heads = 4, options.objective = "both-ways";
    EXPECT_THROW((void)pretrain(options), usage_error);
    EXPECT_FALSE(std::filesystem::exists(options.output / "checkpoint.safetensors"));
}

TEST(Pretrain, StopsWhenValidationGetsNoBetter) {
    test::Folder const folder;
    test::spill(folder / "corpus.fasta",
                test::random_fasta(60, 20, 60, 8)); // nothing but the composition can be learnt
    auto options = tiny(folder, "run");
    options.steps = 4000, options.checkpoint_every = 10, options.patience = 3, options.learning_rate = 0.01,
    options.warmup = 1;
    options.corpus_options.held_out_every = 3;
    auto const result = pretrain(options);
    EXPECT_TRUE(result.stopped_early);
    EXPECT_LT(result.step, 4000);
    EXPECT_EQ(result.step, result.weights_step + 30);
    auto const losses = column(options.output / "log.tsv", "valid_loss");
    auto const best = std::ranges::min_element(losses);
    EXPECT_EQ((best - losses.begin() + 1) * 10, result.weights_step);
    EXPECT_NEAR(std::log(result.valid_perplexity), *best, 1e-4);
    EXPECT_EQ((SafetensorsFile{options.output / "model.safetensors"}.metadata().at("step")),
              std::to_string(result.weights_step));
    auto const again = pretrain(options);
    EXPECT_TRUE(again.was_complete && again.stopped_early);
    EXPECT_EQ((SafetensorsFile{options.output / "model.safetensors"}.metadata().at("step")),
              std::to_string(result.weights_step));
    // With more patience it goes on.
    options.patience = 4;
    EXPECT_GT(pretrain(options).step, result.step);
}

TEST(Pretrain, APageShowsTheCurve) {
    test::Folder const folder;
    test::spill(folder / "corpus.fasta", test::random_fasta(60, 20, 60, 8));
    auto options = tiny(folder, "run");
    options.corpus_options.held_out_every = 3, options.log_every = 2;
    (void)pretrain(options);
    auto const page = test::slurp(options.output / "curve.html");
    EXPECT_NE(page.find("<polyline"), std::string::npos) << page;
    EXPECT_EQ(page.find("http-equiv"), std::string::npos) << "the run is over";
    EXPECT_EQ(page.find("<script"), std::string::npos);
    EXPECT_NE(page.find("<td>step</td><td>24</td>"), std::string::npos) << page;
    auto const utilisation = column(options.output / "log.tsv", "mfu");
    ASSERT_FALSE(utilisation.empty());
    for (double const share : utilisation) EXPECT_TRUE(share > 0 && share < 1.5) << share;
}

TEST(Pretrain, TakesRepeatedIdsAndAGiant) {
    test::Folder const folder;
    std::string giant;
    Random random{3};
    for (int i = 0; i < 300000; ++i) giant += "ACDEFGHIKLMNPQRSTVWY"[random.below(20)];
    test::spill(folder / "corpus.fasta",
                ">a\nMKTAYIAKQRQISFVKSHFSRQ\n>a\nMKTAYIAKQRQISFVKSHFSRQLEE\n>b\n" + giant + "\n");
    auto options = tiny(folder, "run");
    options.steps = 3;
    EXPECT_EQ(pretrain(options).step, 3);
    test::spill(folder / "corpus.fasta", ">b\n" + giant + "\n");
    options.output = folder / "giant";
    EXPECT_EQ(pretrain(options).step, 3);
}

/// The same run once more from its last checkpoint but one.
void expect_same_bytes_from_the_previous_checkpoint(PretrainOptions const& options) {
    (void)pretrain(options);
    auto const weights = test::slurp(options.output / "model.safetensors");
    auto const newest = options.output / "checkpoint.safetensors",
               previous = options.output / "checkpoint.previous.safetensors";
    ASSERT_TRUE(std::filesystem::exists(previous));
    std::string bytes = test::slurp(newest);
    bytes[bytes.size() - 7] ^= 1; // a value, which no header tells of
    test::spill(newest, bytes);
    testing::internal::CaptureStderr();
    auto const result = pretrain(options);
    std::string const said = testing::internal::GetCapturedStderr();
    EXPECT_FALSE(result.was_complete);
    EXPECT_NE(said.find(newest.string() + " is missing or damaged; going on from " + previous.string() + ", step 18\n"),
              std::string::npos)
        << said;
    EXPECT_TRUE(weights == test::slurp(options.output / "model.safetensors"));
    for (auto const& file : {newest, previous}) std::filesystem::resize_file(file, 100);
    EXPECT_THROW((void)pretrain(options), data_error);
}

TEST(Pretrain, ADamagedCheckpointIsReplacedByTheOneBeforeIt) {
    test::Folder const folder;
    test::spill(folder / "corpus.fasta", test::random_fasta(120, 20, 60, 8));
    expect_same_bytes_from_the_previous_checkpoint(tiny(folder, "run"));
    auto lower = tiny(folder, "lower");
    lower.precision = "bf16", lower.hidden = 64;
    expect_same_bytes_from_the_previous_checkpoint(lower);
    auto lstm = tiny(folder, "lstm");
    lstm.model = "lstm", lstm.objective = "both-ways", lstm.heads = 0;
    lstm.size = "1M";
    expect_same_bytes_from_the_previous_checkpoint(lstm);
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

std::vector<std::string> command(test::Folder const& folder, std::string const& run,
                                 std::map<std::string, std::string> const& changed = {}) {
    std::map<std::string, std::string> options{{"--corpus", folder / "corpus.fasta"},
                                               {"-o", folder / run},
                                               {"--hidden", "32"},
                                               {"--layers", "2"},
                                               {"--heads", "4"},
                                               {"--steps", "60"},
                                               {"--checkpoint-every", "5"},
                                               {"--tokens", "600"},
                                               {"--window", "40"},
                                               {"--seed", "5"},
                                               {"--threads", "1"}};
    for (auto const& [name, value] : changed) options[name] = value;
    std::vector<std::string> line{"--quiet"};
    for (auto const& [name, value] : options) line.insert(line.end(), {name, value});
    return line;
}

/// Holds some time after the run has written a number of lines of its log.
struct LogLines {
    std::filesystem::path log;
    long wanted;
    std::chrono::microseconds then{0};
    std::optional<std::chrono::steady_clock::time_point> since = std::nullopt;
    static bool reached(void* context) {
        auto& self = *static_cast<LogLines*>(context);
        if (!since_lines(self)) return false;
        return std::chrono::steady_clock::now() - *self.since >= self.then;
    }
    static bool since_lines(LogLines& self) {
        if (!self.since && std::ranges::count(test::slurp(self.log), '\n') > self.wanted)
            self.since = std::chrono::steady_clock::now();
        return self.since.has_value();
    }
};

void expect_same_run(std::filesystem::path const& whole, std::filesystem::path const& broken) {
    for (auto const* file : {"model.safetensors", "config.json"}) {
        auto const expected = test::slurp(whole / file);
        EXPECT_FALSE(expected.empty());
        EXPECT_TRUE(expected == test::slurp(broken / file)) << file;
    }
}

TEST(PretrainProgram, KilledTwentyTimesItEndsWithTheSameBytes) {
    test::Folder const folder;
    test::spill(folder / "corpus.fasta", test::random_fasta(200, 20, 80, 8));
    auto const line = [&](std::string const& run) {
        return command(folder, run, {{"--steps", "160"}, {"--checkpoint-every", "3"}, {"--log-every", "1"}});
    };
    auto const whole = test::run_program("tape-pretrain", line("whole"));
    ASSERT_EQ(whole.exit_code, 0) << whole.err;
    Random random{11};
    for (int kills = 0, ends = 0; kills < 20;) {
        auto const log = folder / "broken" / "log.tsv";
        auto const lines = std::filesystem::exists(log) ? std::ranges::count(test::slurp(log), '\n') : 0;
        LogLines until{log, lines + static_cast<long>(random.below(6)),
                       std::chrono::microseconds{static_cast<std::int64_t>(random.below(20000))}};
        auto const end = test::run_program("tape-pretrain", line("broken"), LogLines::reached, &until);
        if (end.exit_code == 128 + SIGKILL) {
            ++kills;
            continue;
        }
        // It was through before the signal came: once more from the start.
        ASSERT_EQ(end.exit_code, 0) << end.err;
        ASSERT_LT(++ends, 10) << "hardly ever killed";
        expect_same_run(folder / "whole", folder / "broken");
        std::filesystem::remove_all(folder / "broken");
    }
    auto const last = test::run_program("tape-pretrain", line("broken"));
    ASSERT_EQ(last.exit_code, 0) << last.err;
    expect_same_run(folder / "whole", folder / "broken");
}

/// The program as one of some ranks, by the environment of torchrun.
test::Outcome run_rank(int rank, int ranks, std::vector<std::string> const& arguments, LogLines* until = nullptr) {
    char const* const bin = std::getenv("TAPE_BIN");
    std::vector<std::string> line{"RANK=" + std::to_string(rank), "WORLD_SIZE=" + std::to_string(ranks),
                                  (std::filesystem::path{bin ? bin : "bin"} / "tape-pretrain").string()};
    line.insert(line.end(), arguments.begin(), arguments.end());
    return test::run_program("/usr/bin/env", line, until ? LogLines::reached : nullptr, until);
}

/// Runs all ranks. @param until  when the last of them is killed
std::vector<test::Outcome> run_ranks(int ranks, std::vector<std::string> const& arguments, LogLines* until = nullptr) {
    std::vector<std::future<test::Outcome>> running;
    for (int rank = 0; rank < ranks; ++rank)
        running.push_back(
            std::async(std::launch::async, run_rank, rank, ranks, arguments, rank + 1 == ranks ? until : nullptr));
    std::vector<test::Outcome> outcomes;
    for (auto& one : running) outcomes.push_back(one.get());
    return outcomes;
}

/// The gradient of a first step, off AdamW's first moment (0.1 of it).
std::vector<float> first_gradient(std::filesystem::path const& run) {
    SafetensorsFile const checkpoint{run / "checkpoint.safetensors"};
    std::vector<float> all;
    for (auto const& [name, view] : checkpoint.tensors()) {
        if (!name.starts_with("first.")) continue;
        std::vector<float> values(view.bytes.size() / sizeof(float));
        std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
        for (float const value : values) all.push_back(10 * value);
    }
    return all;
}

TEST(PretrainRanks, TheirGradientIsThatOfOne) {
    test::Folder const folder;
    test::spill(folder / "corpus.fasta", test::random_fasta(200, 20, 80, 8));
    test::spill(folder / "few.fasta", ">a\nMKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ\n"); // fewer sequences than ranks
    for (std::string const corpus : {"corpus.fasta", "few.fasta"}) {
        std::vector<float> one;
        for (int const ranks : {1, 2, 4}) {
            auto const arguments = command(folder, corpus + std::to_string(ranks),
                                           {{"--corpus", folder / corpus}, {"--steps", "1"}, {"--precision", "fp32"}});
            for (auto const& outcome : run_ranks(ranks, arguments)) ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
            auto const gradient = first_gradient(folder / (corpus + std::to_string(ranks)));
            if (ranks == 1) {
                one = gradient;
                double square = 0;
                for (float const value : one) square += static_cast<double>(value) * static_cast<double>(value);
                EXPECT_NEAR(std::sqrt(square), 1, 1e-3); // clipped
                continue;
            }
            ASSERT_EQ(gradient.size(), one.size());
            float largest = 0;
            for (std::size_t i = 0; i < one.size(); ++i) largest = std::max(largest, std::abs(gradient[i] - one[i]));
            EXPECT_LT(largest, 1e-6F) << corpus << " " << ranks;
        }
    }
}

TEST(PretrainRanks, ALostRankEndsTheRunWhichGoesOnLater) {
    test::Folder const folder;
    test::spill(folder / "corpus.fasta", test::random_fasta(200, 20, 80, 8));
    auto const line = [&](std::string const& run, char const* steps) {
        return command(folder, run, {{"--steps", steps}, {"--log-every", "1"}});
    };
    for (auto const& outcome : run_ranks(2, line("whole", "200"))) ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    LogLines until{folder / "broken" / "log.tsv", 12};
    auto const broken = run_ranks(2, line("broken", "200"), &until);
    ASSERT_EQ(broken[1].exit_code, 128 + SIGKILL);
    EXPECT_EQ(broken[0].exit_code, 1);
    EXPECT_NE(broken[0].err.find("rank 1 of 2 is lost: "), std::string::npos) << broken[0].err;
    EXPECT_NE(broken[0].err.find("the last checkpoint is kept in "), std::string::npos) << broken[0].err;
    for (auto const& outcome : run_ranks(2, line("broken", "200"))) ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    expect_same_run(folder / "whole", folder / "broken");
    // As many ranks as one likes may go on; the card tells.
    for (auto const& outcome : run_ranks(1, line("broken", "205"))) ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    auto const card = test::slurp(folder / "broken" / "README.md");
    EXPECT_NE(card.find("ranks changed from 2 to 1 at step 200"), std::string::npos) << card;
}

TEST(PretrainProgram, KeepsOutTestProteins) {
    test::Folder const folder;
    auto const protein = load_split(find_task("secondary_structure"), "cb513").examples.at(7).protein.residues;
    test::spill(folder / "corpus.fasta", ">t\nMK" + protein + "\n" + test::random_fasta(30, 20, 60, 8));
    auto line = command(folder, "run", {{"--steps", "1"}});
    line.emplace_back("--exclude-tests");
    auto const run = test::run_program("tape-pretrain", line);
    ASSERT_EQ(run.exit_code, 0) << run.err;
    auto const card = test::slurp(folder / "run" / "README.md");
    EXPECT_NE(card.find("excluded: 1 sequences equal to, or containing"), std::string::npos) << card;
    EXPECT_NE(card.find("merely similar to test proteins were not excluded"), std::string::npos) << card;
}

TEST(PretrainProgram, KeepsOutRelativesOfTestProteins) {
    test::Folder const folder;
    auto const protein = load_split(find_task("secondary_structure"), "cb513").examples.at(7).protein.residues;
    Random random{4};
    auto const relative = [&](double changed, std::size_t begin, std::size_t count) {
        std::string text = protein.substr(begin, count);
        for (auto& letter : text)
            if (random.uniform() < changed) letter = "ACDEFGHIKLMNPQRSTVWY"[random.below(20)];
        return text;
    };
    ASSERT_GT(protein.size(), 100U);
    std::string const near = relative(0.4, 0, std::string::npos), fragment = relative(0.3, 10, 80);
    std::string far;
    for (int i = 0; i < 300; ++i) far += "ACDEFGHIKLMNPQRSTVWY"[random.below(20)];
    test::spill(folder / "corpus.fasta", ">near\n" + near + "\n>fragment\n" + fragment + "\n>part\n" + far +
                                             fragment.substr(0, 60) + "\n" + test::random_fasta(30, 200, 300, 8));
    auto line = command(folder, "run", {{"--steps", "1"}});
    line.emplace_back("--exclude-relatives");
    auto const run = test::run_program("tape-pretrain", line);
#ifndef TAPE_WITH_SEARCH
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_NE(run.err.find("this build has no database search: --exclude-relatives needs one"), std::string::npos)
        << run.err;
    return;
#endif
    ASSERT_EQ(run.exit_code, 0) << run.err;
    std::string found;
    for (auto const& entry : std::filesystem::directory_iterator{folder / "run"})
        if (entry.path().filename().string().starts_with("test_relatives.")) found = test::slurp(entry.path());
    EXPECT_NE(found.find(">near secondary_structure"), std::string::npos) << found;
    EXPECT_NE(found.find(">fragment secondary_structure"), std::string::npos) << found;
    EXPECT_EQ(found.find(">part "), std::string::npos) << "only a sixth of it is akin: " << found;
    auto const card = test::slurp(folder / "run" / "README.md");
    EXPECT_NE(card.find("at 30% identity or more over 80% of the shorter sequence"), std::string::npos) << card;
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
    auto const profile = run({"--corpus", folder / "corpus.fasta", "-o", folder / "r", "--objective", "profile"});
    EXPECT_EQ(profile.exit_code, 2);
    EXPECT_NE(profile.err.find("needs --profiles"), std::string::npos) << profile.err;
    auto const nothing = run({"--corpus", folder / "corpus.fasta", "-o", folder / "r", "--objective", "profile",
                              "--profiles", folder / "no"});
    EXPECT_EQ(nothing.exit_code, 3);
    EXPECT_NE(nothing.err.find("no such folder"), std::string::npos) << nothing.err;
    EXPECT_FALSE(std::filesystem::exists(folder / "r"));
}

} // namespace
} // namespace tape
