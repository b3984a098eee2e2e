#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tape {

enum class FeatureKind : std::uint32_t { rows = 0, pooled = 1, pairs = 2 };

/// Values of one protein as kept in a store.
struct StoredFeatures {
    std::string key;          ///< FeatureSource::key, 32 hexadecimal digits
    std::uint32_t length = 0; ///< residues of the protein
    float depth = 0;
    std::string provenance;
    std::vector<float> values; ///< rows: L x width; pooled: width; pairs: L x L x width
};

/// An append-only file of feature values of one kind and one source.
///
/// rows and pairs are IEEE half precision (values beyond +-65504 are clamped), pooled is single precision. Every record
/// has a header and checksums of header and payload, so that a writer killed in the middle leaves a torn tail that the
/// next one cuts off; a damaged record is reported as absent. Appending takes an exclusive lock on the file, so several
/// processes share one store. Reading goes through a memory map. Thread-safe.
class FeatureStore {
  public:
    /// Opens or creates. @throws data_error if the file belongs to another source, kind or width; error if it cannot be
    /// created.
    FeatureStore(std::filesystem::path file, FeatureKind kind, int width, std::string const& source_hash);
    ~FeatureStore();
    FeatureStore(FeatureStore const&) = delete;
    FeatureStore& operator=(FeatureStore const&) = delete;

    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] bool contains(std::string const& key) const;
    /// Reads one record; nothing if it is absent or its checksum differs (it may then be appended again).
    [[nodiscard]] std::optional<StoredFeatures> find(std::string const& key);
    /// Takes notice of what other processes have appended.
    void refresh();
    /// Appends the records whose keys are absent; on a failed write the file keeps its former end.
    /// @throws error with the path when a write fails ("no space left on device"), or for a value that is not finite
    void append(std::span<StoredFeatures const> records);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace tape
