#include "compare/experiment_sources.hpp"

#include <algorithm>
#include <numeric>

namespace tape {

SourcePool::SourcePool(std::span<ArmSpec const> arms, std::span<std::uint64_t const> seeds,
                       SourceSettings const& settings) {
    for (auto const& arm : arms)
        for (auto const& spec : arm.sources)
            for (auto const seed : seeds) {
                auto& place = sources_[instance_name(spec, seed)];
                if (place) continue;
                SourceSettings own = settings;
                own.seed = seed;
                place = std::make_unique<CachedSource>(make_source(spec, own), settings.cache / "features",
                                                       CacheOptions{.quiet = settings.quiet});
            }
}

bool SourcePool::contains(SourceSpec const& spec, std::uint64_t seed) const {
    return sources_.contains(instance_name(spec, seed));
}

CachedSource& SourcePool::source(SourceSpec const& spec, std::uint64_t seed) {
    return *sources_.at(instance_name(spec, seed));
}

std::vector<CachedSource*> SourcePool::sources(ArmSpec const& arm, std::uint64_t seed) {
    std::vector<CachedSource*> result;
    for (auto const& spec : arm.sources) result.push_back(&source(spec, seed));
    return result;
}

void SourcePool::prepare(std::span<Protein const> dataset) {
    for (auto& [name, source] : sources_) source->source().prepare(dataset);
}

namespace {

std::vector<int> widths_of(std::vector<CachedSource*> const& sources, int (CachedSource::*width)() const) {
    std::vector<int> widths;
    for (auto const* source : sources) widths.push_back((source->*width)());
    return widths;
}

int sum(std::vector<int> const& widths) { return std::accumulate(widths.begin(), widths.end(), 0); }

} // namespace

std::vector<int> JoinedFeatures::residue_widths() const { return widths_of(sources_, &CachedSource::residue_width); }
std::vector<int> JoinedFeatures::pooled_widths() const { return widths_of(sources_, &CachedSource::pooled_width); }
std::vector<int> JoinedFeatures::pair_widths() const { return widths_of(sources_, &CachedSource::pair_width); }
int JoinedFeatures::residue_width() const { return sum(residue_widths()); }
int JoinedFeatures::pooled_width() const { return sum(pooled_widths()); }
int JoinedFeatures::pair_width() const { return sum(pair_widths()); }

FeatureMatrix JoinedFeatures::rows(Protein const& protein) const {
    if (sources_.size() == 1) return sources_.front()->rows(protein);
    FeatureMatrix joined(static_cast<Eigen::Index>(protein.residues.size()), residue_width());
    Eigen::Index column = 0;
    for (auto* source : sources_) {
        FeatureMatrix const part = source->rows(protein);
        joined.middleCols(column, part.cols()) = part;
        column += part.cols();
    }
    return joined;
}

std::vector<float> JoinedFeatures::pairs(Protein const& protein) const {
    std::size_t const positions = protein.residues.size() * protein.residues.size();
    auto const width = static_cast<std::size_t>(pair_width());
    std::vector<float> joined(positions * width);
    std::size_t channel = 0;
    for (auto* source : sources_) {
        auto const own = static_cast<std::size_t>(source->pair_width());
        if (own == 0) continue;
        auto const part = source->pairs(protein);
        if (own == width) return part;
        for (std::size_t position = 0; position < positions; ++position)
            std::copy_n(part.begin() + static_cast<std::ptrdiff_t>(position * own), own,
                        joined.begin() + static_cast<std::ptrdiff_t>(position * width + channel));
        channel += own;
    }
    return joined;
}

FeatureMatrix JoinedFeatures::pooled(std::span<Example const> examples) const {
    FeatureMatrix joined(static_cast<Eigen::Index>(examples.size()), pooled_width());
    for (std::size_t row = 0; row < examples.size(); ++row) {
        Eigen::Index column = 0;
        for (auto* source : sources_) {
            auto const part = source->pooled(examples[row].protein);
            auto const width = static_cast<Eigen::Index>(part.size());
            joined.row(static_cast<Eigen::Index>(row)).segment(column, width) =
                Eigen::Map<Eigen::RowVectorXf const>(part.data(), width);
            column += width;
        }
    }
    return joined;
}

EvidenceRow JoinedFeatures::evidence(std::span<Example const> examples, FeatureRequest request) const {
    for (auto* source : sources_) {
        EvidenceRow row;
        for (auto const& example : examples) {
            auto const features = source->read(example.protein, request);
            if (features.provenance.empty()) break;
            row.depth.push_back(features.depth);
            ++row.provenance[features.provenance];
        }
        if (row.depth.size() == examples.size()) return row;
    }
    return {};
}

} // namespace tape
