#pragma once

#include "learn/corpus.hpp"
#include "learn/random.hpp"
#include "learn/transformer.hpp"

#include <cstdint>
#include <vector>

namespace tape {

using TokenRows = std::vector<std::vector<std::int64_t>>;

/// BERT's corruption (Devlin et al., NAACL 2019) over residues: of the chosen ones 80% become <mask>, 10% another
/// residue, 10% stay. Only the 20 amino acids are chosen: never a special token, X, B, Z, U or O.
struct MaskingOptions {
    double chosen = 0.15, masked = 0.8, replaced = 0.1;
};

/// A corrupted batch and what is to be predicted.
struct MaskedBatch {
    TokenBatch input;
    at::Tensor positions; ///< M, int64, into the flattened B x T
    at::Tensor targets;   ///< M, int64, the original tokens
};
/// At least one residue is chosen if there is any.
MaskedBatch mask_residues(TokenRows rows, MaskingOptions const& options, Random random, at::Device device);

/// Mean cross-entropy over the chosen residues (nats), and how many of them the most probable token gets right.
struct MaskedLoss {
    at::Tensor loss; ///< scalar, differentiable
    std::int64_t correct = 0, predicted = 0;
};
MaskedLoss masked_loss(Transformer const& model, MaskedBatch const& batch);

/// Tokens of a sequence, cropped to a random window when longer; <cls> and <eos> stand only where the protein itself
/// begins and ends.
std::vector<std::int64_t> random_window(std::string_view residues, std::int64_t window, Random& random);

/// Deals batches of similar length out of a corpus. Every epoch is a permutation of the sequences; batches are cut from
/// pools of 16 that are sorted by length, and dealt in random order. A function of (corpus, seed, position) alone.
class BatchSampler {
  public:
    struct Options {
        std::uint64_t seed = 0;
        std::int64_t window = 256;  ///< residues
        std::int64_t tokens = 8192; ///< a batch, special tokens included
    };
    /// Where the next batch stands; everything a resumed run needs.
    struct Position {
        std::uint64_t first = 0; ///< sequences dealt before this pool
        std::uint64_t pool = 0, batch = 0;
    };

    BatchSampler(Corpus const& corpus, Options const& options, Position position);
    TokenRows next();
    [[nodiscard]] Position position() const noexcept { return position_; }
    [[nodiscard]] double epochs() const noexcept;

  private:
    void fill();

    Corpus const* corpus_;
    Options options_;
    Position position_;
    std::uint64_t after_ = 0; ///< sequences dealt when this pool is used up
    std::vector<TokenRows> batches_;
};

} // namespace tape
