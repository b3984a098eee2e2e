#include "tests/learn/loss_curve.hpp"

#include "align/msa.hpp"
#include "data/alphabet.hpp"
#include "features/alignment_features.hpp"
#include "learn/batch_sampler.hpp"
#include "learn/objective.hpp"
#include "learn/profile_prediction.hpp"
#include "learn/trainee.hpp"

#include "tests/learn/learn_fixture.hpp"
#include <nlohmann/json.hpp>

#include <fstream>
#include <sstream>

namespace tape::test {
namespace {

constexpr int proteins = 120;
constexpr std::uint64_t pose_purpose = 16; // as in learn/pretrain.cpp: another value gives another curve

std::string shifted(std::string text, std::size_t by) {
    for (auto& letter : text) letter = amino_acids[(amino_acids.find(letter) + by) % amino_acids.size()];
    return text;
}

/// Each residue is one of three, decided by the one before: something to learn, and something to guess.
std::string protein(int index) {
    Random random{7, 1, static_cast<std::uint64_t>(index)};
    std::string text;
    std::size_t state = random.below(20);
    for (std::size_t left = 15 + random.below(60); left > 0; --left) {
        text += amino_acids[state];
        state = (3 * state + random.below(3)) % 20;
    }
    return text;
}

} // namespace

PretrainOptions loss_curve_run(std::filesystem::path const& folder, std::string const& objective) {
    PretrainOptions options;
    std::string fasta;
    for (int i = 0; i < proteins; ++i) fasta += ">p" + std::to_string(i) + "\n" + protein(i) + "\n";
    spill(folder / "corpus.fasta", fasta);
    if (objective == "mlm+profile") {
        options.profiles = folder / "profiles";
        std::filesystem::create_directory(options.profiles);
        for (int i = 0; i < proteins; i += 2) { // half of them have one
            std::istringstream in{">q\n" + protein(i) + "\n>a\n" + shifted(protein(i), 1) + "\n>b\n" +
                                  shifted(protein(i), 4) + "\n"};
            write_alignment_features(options.profiles / ("p" + std::to_string(i) + ".features.npz"),
                                     alignment_features(read_msa(in, "made")));
        }
    }
    options.corpus = {folder / "corpus.fasta"}, options.output = folder / "run", options.objective = objective;
    options.hidden = 32, options.layers = 2;
    if (objective == "both-ways")
        options.model = "lstm", options.size = "1M";
    else
        options.heads = 4;
    options.steps = options.checkpoint_every = 200, options.log_every = 1;
    options.tokens = 500, options.window = 40, options.learning_rate = 0.002, options.weight_decay = 0.1;
    options.corpus_options.held_out_every = 20;
    options.seed = 5, options.threads = 1, options.quiet = true, options.precision = "fp32";
    return options;
}

void export_loss_curve_run(std::filesystem::path const& folder, std::string const& objective_name) {
    auto const options = loss_curve_run(folder, objective_name);
    auto const targets = options.profiles.empty() ? nullptr : std::make_shared<ProfileTargets const>(options.profiles);
    auto const objective = make_objective(objective_name, targets);
    auto const corpus = Corpus::read(options.corpus, options.corpus_options);
    make_trainee({.model = options.model,
                  .size = options.size,
                  .objective = objective_name,
                  .hidden = options.hidden,
                  .layers = options.layers,
                  .heads = options.heads,
                  .feed_forward = 0,
                  .seed = options.seed},
                 at::kCPU, at::kFloat)
        ->save(folder / "initial", {});
    BatchSampler sampler{corpus, {options.seed, options.window, options.tokens}, {}};
    std::ofstream out{folder / "batches.jsonl"};
    for (std::int64_t step = 0; step < options.steps; ++step) {
        auto line = nlohmann::json::array();
        for (auto const& example :
             pose(*objective, sampler.next(), Random{options.seed, pose_purpose, static_cast<std::uint64_t>(step)}))
            line.push_back({{"tokens", example.tokens},
                            {"letter_places", example.letter_places},
                            {"letters", example.letters},
                            {"column_places", example.column_places},
                            {"frequencies", example.frequencies}});
        out << line.dump() << '\n';
    }
}

} // namespace tape::test
