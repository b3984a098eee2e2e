#pragma once

#include "learn/corpus.hpp"
#include "learn/random.hpp"
#include "learn/tokenizer.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace tape {

/// A stretch of a protein as a network reads it. <cls> and <eos> stand only where the protein itself begins and ends.
struct Window {
    std::string_view protein; ///< the whole sequence
    std::size_t begin = 0;    ///< its first residue in here
    std::vector<std::int64_t> tokens;

    /// Place of the first residue among the tokens, and the number of residues.
    [[nodiscard]] std::size_t first() const { return begin == 0 ? 1 : 0; }
    [[nodiscard]] std::size_t residues() const {
        return tokens.size() - first() - (tokens.back() == EsmTokenizer::eos ? 1 : 0);
    }
};

/// The whole protein, or a random stretch of `longest` residues of a longer one.
Window random_window(std::string_view protein, std::int64_t longest, Random& random);

/// Deals batches of similar length out of a corpus. Every epoch is a permutation of the clusters, with one random
/// member of each; batches are cut from pools of 64 that are sorted by length, and dealt in random order. A function of
/// (corpus, seed, position) alone.
class BatchSampler {
  public:
    struct Options {
        std::uint64_t seed = 0;
        std::int64_t window = 256;  ///< residues
        std::int64_t tokens = 8192; ///< a batch, special tokens included
    };
    /// Where the next batch stands; everything a resumed run needs.
    struct Position {
        std::uint64_t first = 0; ///< clusters dealt before this pool
        std::uint64_t pool = 0, batch = 0;
    };

    /// @param corpus  outlives the sampler and its windows
    BatchSampler(Corpus const& corpus, Options const& options, Position position);
    std::vector<Window> next();
    [[nodiscard]] Position position() const noexcept { return position_; }
    [[nodiscard]] double epochs() const noexcept;

  private:
    void fill();

    Corpus const* corpus_;
    Options options_;
    Position position_;
    std::uint64_t after_ = 0; ///< clusters dealt when this pool is used up
    std::vector<std::vector<Window>> batches_;
};

} // namespace tape
