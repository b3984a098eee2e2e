#pragma once

#include "compare/arms.hpp"
#include "compare/result.hpp"
#include "features/cache.hpp"

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tape {

/// The feature sources of a grid, each behind the cache; one instance serves every arm that names it.
class SourcePool {
  public:
    /// Builds the sources of all arms for all seeds, so that what is missing is told before any work.
    SourcePool(std::span<ArmSpec const> arms, std::span<std::uint64_t const> seeds, SourceSettings const& settings);

    [[nodiscard]] bool contains(SourceSpec const& spec, std::uint64_t seed) const;
    [[nodiscard]] CachedSource& source(SourceSpec const& spec, std::uint64_t seed);
    /// Every source of an arm, in its order.
    [[nodiscard]] std::vector<CachedSource*> sources(ArmSpec const& arm, std::uint64_t seed);

    /// Shows every source the proteins of a task (FeatureSource::prepare).
    void prepare(std::span<Protein const> dataset);

  private:
    std::map<std::string, std::unique_ptr<CachedSource>> sources_;
};

/// Several sources side by side: what a head of an arm reads. Values come from the cache, one protein at a time;
/// `prefetch` should have been called on every source.
class JoinedFeatures {
  public:
    explicit JoinedFeatures(std::vector<CachedSource*> sources) : sources_{std::move(sources)} {}

    [[nodiscard]] int residue_width() const;
    [[nodiscard]] int pooled_width() const;
    [[nodiscard]] int pair_width() const;
    /// Of each source, in order.
    [[nodiscard]] std::vector<int> residue_widths() const;
    [[nodiscard]] std::vector<int> pooled_widths() const;
    [[nodiscard]] std::vector<int> pair_widths() const;
    [[nodiscard]] FeatureMatrix rows(Protein const& protein) const;              ///< L x residue_width
    [[nodiscard]] std::vector<float> pairs(Protein const& protein) const;        ///< L x L x pair_width
    [[nodiscard]] FeatureMatrix pooled(std::span<Example const> examples) const; ///< N x pooled_width
    /// Depth and provenance as told by the first source that has any, with the values of `request`; empty if none has.
    [[nodiscard]] EvidenceRow evidence(std::span<Example const> examples, FeatureRequest request) const;

  private:
    std::vector<CachedSource*> sources_;
};

} // namespace tape
