#pragma once

#include "compare/result.hpp"
#include "features/feature_source.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tape {

/// A finished run as it is kept on disk: all that a killed grid needs to go on without it.
struct StoredRun {
    Run run;                         ///< arm and seed are those of the caller that stored it
    EvidenceRow evidence;            ///< empty for arms without alignments
    std::vector<FeatureMatrix> maps; ///< residue_pair, first seed only: probabilities of each test protein, L x L
};

/// Finished runs under a directory, one file a key (CBOR; floats and doubles exact). Files appear whole or not at all.
class RunStore {
  public:
    explicit RunStore(std::filesystem::path directory);

    /// Nothing if the key is unknown or its file is damaged (it is then written again).
    [[nodiscard]] std::optional<StoredRun> find(std::string const& key) const;
    void store(std::string const& key, StoredRun const& run) const;

  private:
    std::filesystem::path directory_;
};

} // namespace tape
