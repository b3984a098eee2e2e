#pragma once

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tape {

/// What a BERT reads, and TAPE's other networks: one token a residue between a start and an end token.
struct BertVocabulary {
    std::vector<std::string> names; ///< by token
    std::int64_t padding = 0, mask = 0, start = 0, end = 0;
    std::array<std::int16_t, 256> letters{}; ///< token of a letter, either case

    /// ProtBert (Elnaggar et al., IEEE TPAMI 44:7112, 2022): [PAD] [UNK] [CLS] [SEP] [MASK] L A G V E S I K R D T P N Q
    /// F Y M H C W X U B Z O; U, Z, O and B are read as X, as in its training, and J is [UNK].
    static BertVocabulary protbert();
    /// TAPE's IUPAC vocabulary (Rao et al., NeurIPS 2019): <pad> <mask> <cls> <sep> <unk> A B C ... Z without J, which
    /// TAPE refuses and is read as X here.
    static BertVocabulary iupac();
    /// A Hugging Face vocab.txt over residues. @throws data_error if a special token or an amino acid is missing
    static BertVocabulary from_file(std::filesystem::path const& file);

    /// Start token, residues, end token.
    [[nodiscard]] std::vector<std::int64_t> wrapped(std::string_view residues) const;
    /// @throws data_error unless a config.json's 'vocab_size' is this vocabulary's
    void require_size(nlohmann::json const& json, std::string const& origin) const;
};

} // namespace tape
