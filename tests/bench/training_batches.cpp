#include "learn/batch_sampler.hpp"
#include "learn/objective.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

/// training_batches CORPUS WINDOW TOKENS STEPS SEED HELD_OUT: the first batches of tape-pretrain's masked language
/// model with these options, one a line: sequences separated by ';', each its tokens, then its masked places and their
/// letters as PLACE:LETTER. For tests/bench/pretrain_peers.py.
int main(int argc, char** argv) {
    if (argc != 7) {
        std::fputs("training_batches CORPUS WINDOW TOKENS STEPS SEED HELD_OUT\n", stderr);
        return 2;
    }
    constexpr std::uint64_t questions = 16; // as in learn/pretrain.cpp
    std::filesystem::path const file{argv[1]};
    auto const seed = static_cast<std::uint64_t>(std::atoll(argv[5]));
    tape::CorpusOptions corpus_options;
    corpus_options.held_out_every = std::atoi(argv[6]);
    auto const corpus = tape::Corpus::read(std::span{&file, 1}, corpus_options);
    auto const objective = tape::make_objective("mlm", {});
    tape::BatchSampler sampler{corpus, {seed, std::atoll(argv[2]), std::atoll(argv[3])}, {}};
    for (std::int64_t step = 0; step < std::atoll(argv[4]); ++step) {
        std::string line;
        for (auto const& example :
             tape::pose(*objective, sampler.next(), tape::Random{seed, questions, static_cast<std::uint64_t>(step)})) {
            for (auto const token : example.tokens) line += std::to_string(token) + ' ';
            for (std::size_t i = 0; i < example.letters.size(); ++i)
                line += std::to_string(example.letter_places[i]) + ':' + std::to_string(example.letters[i]) + ' ';
            line.back() = ';';
        }
        line.back() = '\n';
        std::fputs(line.c_str(), stdout);
    }
    return 0;
}
