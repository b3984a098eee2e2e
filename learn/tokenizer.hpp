#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tape {

/// The 33 tokens of ESM-2 (Lin et al., Science 379:1123, 2023), shared by our own Transformer so that weights can be
/// exchanged: <cls> <pad> <eos> <unk> L A G V S E R T I D P K Q N F Y M H W C X B U Z O . - <null_1> <mask>.
class EsmTokenizer {
  public:
    static constexpr int cls = 0, pad = 1, eos = 2, unknown = 3, mask = 32, size = 33;
    /// The 20 amino acids, in the vocabulary's order, are tokens [first_residue, last_residue].
    static constexpr int first_residue = 4, last_residue = 23;
    static constexpr bool is_amino_acid(std::int64_t token) { return token >= first_residue && token <= last_residue; }

    /// Token of a residue letter, either case. X, B, U, Z and O have tokens of their own; J, `*` and anything else is
    /// <unk>.
    static int token(char letter) noexcept;
    /// One token a residue, without special tokens.
    static std::vector<std::int64_t> residues(std::string_view letters);
    /// <cls>, residues, <eos>: L + 2 tokens.
    static std::vector<std::int64_t> wrapped(std::string_view letters);
    /// "L", "<mask>", ...
    static std::string name(int token);
};

} // namespace tape
