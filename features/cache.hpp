#pragma once

#include "features/feature_source.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tape {

struct CacheOptions {
    bool quiet = true; ///< no progress line
    /// Persisted after about this many seconds of computing, so that a killed run loses no more.
    double seconds_per_chunk = 10;
};

/// What a call found and what it had to compute.
struct CacheSummary {
    std::size_t found = 0, computed = 0; ///< proteins of distinct keys
    double seconds = 0;                  ///< spent computing
};

/// A feature source whose values are kept on disk and shared by runs and processes.
///
/// One folder a source, named by its name and content hash, holds rows, pooled values and pairs (see FeatureStore).
/// What is missing is computed in chunks, each persisted before the next begins. Values always come back from the store
/// (rows and pairs in half precision), so cold and warm runs give identical values. Single look-ups read the memory map
/// and are thread-safe; those of absent proteins compute under a lock.
class CachedSource final : public FeatureSource {
  public:
    /// @param directory  such as cache_directory() / "features"; created when first written
    CachedSource(std::unique_ptr<FeatureSource> source, std::filesystem::path directory, CacheOptions options = {});
    ~CachedSource() override;

    [[nodiscard]] std::string name() const override;
    [[nodiscard]] std::string description() const override;
    [[nodiscard]] int residue_width() const override;
    [[nodiscard]] int pooled_width() const override;
    [[nodiscard]] int pair_width() const override;
    [[nodiscard]] std::string content_hash() const override;
    [[nodiscard]] std::string key(Protein const& protein) const override;
    void prepare(std::span<Protein const> dataset) override;
    /// Everything at once, in memory. @throws error for a value that is not finite or of the wrong shape, naming the
    /// record.
    [[nodiscard]] std::vector<ProteinFeatures> compute(std::span<Protein const> proteins,
                                                       FeatureRequest request) override;

    /// Computes and stores what is missing. Kinds that the source does not have (pair_width() == 0) are passed over.
    CacheSummary prefetch(std::span<Protein const> proteins, FeatureRequest request);

    /// One protein, read back from the store.
    [[nodiscard]] ProteinFeatures read(Protein const& protein, FeatureRequest request);
    [[nodiscard]] FeatureMatrix rows(Protein const& protein);        ///< L x residue_width
    [[nodiscard]] std::vector<float> pooled(Protein const& protein); ///< pooled_width
    [[nodiscard]] std::vector<float> pairs(Protein const& protein);  ///< L x L x pair_width
    /// Proteins x pooled_width.
    [[nodiscard]] FeatureMatrix pooled_matrix(std::span<Protein const> proteins);

    [[nodiscard]] FeatureSource& source() noexcept;
    [[nodiscard]] std::filesystem::path const& directory() const noexcept; ///< this source's own folder

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace tape
