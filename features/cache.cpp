#include "features/cache.hpp"

#include "data/error.hpp"
#include "data/progress.hpp"
#include "features/feature_store.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cmath>
#include <map>
#include <mutex>
#include <unordered_set>

namespace tape {
namespace {

constexpr std::array kinds{FeatureKind::rows, FeatureKind::pooled, FeatureKind::pairs};
constexpr std::array kind_names{"rows", "pooled", "pairs"};

std::size_t index_of(FeatureKind kind) { return static_cast<std::size_t>(kind); }

bool wants(FeatureRequest request, FeatureKind kind) {
    return kind == FeatureKind::rows ? request.rows : kind == FeatureKind::pooled ? request.pooled : request.pairs;
}

/// Letters, digits and a few signs stay; "transformer@../x" must not leave the folder.
std::string folder_name(std::string name) {
    for (char& c : name)
        if (!(std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '+' || c == '@')) c = '_';
    return name.substr(0, 80);
}

/// A protein still to be computed and the kinds it lacks.
struct Missing {
    Protein const* protein;
    std::string key;
};

} // namespace

struct CachedSource::State {
    std::unique_ptr<FeatureSource> source;
    std::filesystem::path directory;
    CacheOptions options;
    std::array<std::unique_ptr<FeatureStore>, 3> stores; ///< opened when first asked for
    std::mutex store_mutex, compute_mutex;

    [[nodiscard]] int width(FeatureKind kind) const {
        return kind == FeatureKind::rows     ? source->residue_width()
               : kind == FeatureKind::pooled ? source->pooled_width()
                                             : source->pair_width();
    }

    FeatureStore& store(FeatureKind kind) {
        std::lock_guard const guard{store_mutex};
        auto& opened = stores[index_of(kind)];
        if (!opened)
            opened = std::make_unique<FeatureStore>(directory / (std::string{kind_names[index_of(kind)]} + ".store"),
                                                    kind, width(kind), source->content_hash());
        return *opened;
    }

    [[nodiscard]] std::vector<FeatureKind> wanted_kinds(FeatureRequest request) const {
        std::vector<FeatureKind> wanted;
        for (auto const kind : kinds)
            if (wants(request, kind) && width(kind) > 0) wanted.push_back(kind);
        return wanted;
    }

    [[nodiscard]] StoredFeatures record(Missing const& missing, ProteinFeatures const& features,
                                        FeatureKind kind) const {
        std::size_t const length = missing.protein->residues.size();
        StoredFeatures stored{.key = missing.key,
                              .length = static_cast<std::uint32_t>(length),
                              .depth = features.depth,
                              .provenance = features.provenance,
                              .values = {}};
        auto const w = static_cast<std::size_t>(width(kind));
        std::size_t const expected = kind == FeatureKind::rows     ? length * w
                                     : kind == FeatureKind::pooled ? w
                                                                   : length * length * w;
        if (kind == FeatureKind::rows)
            stored.values.assign(features.rows.data(), features.rows.data() + features.rows.size());
        else
            stored.values = kind == FeatureKind::pooled ? features.pooled : features.pairs;
        std::string const what = "source '" + source->name() + "', " + kind_names[index_of(kind)] + " of record '" +
                                 missing.protein->id + "'";
        if (stored.values.size() != expected)
            throw error{what + ": " + std::to_string(stored.values.size()) + " values where " +
                        std::to_string(expected) + " were expected"};
        if (auto const bad = std::ranges::find_if_not(stored.values, [](float v) { return std::isfinite(v); });
            bad != stored.values.end())
            throw error{what + ": value " + std::to_string(bad - stored.values.begin()) + " is not finite"};
        return stored;
    }

    void compute_and_store(std::span<Missing const> chunk, FeatureRequest request) {
        std::vector<Protein> proteins;
        for (auto const& missing : chunk) proteins.push_back(*missing.protein);
        auto const features = source->compute(proteins, request);
        for (auto const kind : wanted_kinds(request)) {
            std::vector<StoredFeatures> records;
            for (std::size_t p = 0; p < chunk.size(); ++p) records.push_back(record(chunk[p], features.at(p), kind));
            store(kind).append(records);
        }
    }

    /// Number of proteins from the front that a chunk takes: at most `limit`, and 256 MiB of values.
    [[nodiscard]] std::size_t chunk_size(std::span<Missing const> rest, FeatureRequest request,
                                         std::size_t limit) const {
        double bytes = 0;
        std::size_t count = 0;
        for (; count < std::min(limit, rest.size()); ++count) {
            auto const length = static_cast<double>(rest[count].protein->residues.size());
            bytes += 4 * ((request.rows ? length * source->residue_width() : 0) +
                          (request.pairs ? length * length * source->pair_width() : 0));
            if (bytes > 256e6 && count > 0) break;
        }
        return count;
    }

    /// Chunks grow or shrink toward the time after which results should be safe on disk.
    void compute_missing(std::span<Missing const> missing, FeatureRequest request, Progress& progress) {
        std::size_t limit = 16;
        while (!missing.empty()) {
            std::size_t const count = chunk_size(missing, request, limit);
            auto const start = std::chrono::steady_clock::now();
            compute_and_store(missing.first(count), request);
            double const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            if (seconds < options.seconds_per_chunk / 2)
                limit = std::min<std::size_t>(limit * 2, 8192);
            else if (seconds > options.seconds_per_chunk * 2)
                limit = std::max<std::size_t>(limit / 2, 1);
            missing = missing.subspan(count);
            progress.advance(count);
        }
    }
};

CachedSource::CachedSource(std::unique_ptr<FeatureSource> source, std::filesystem::path directory, CacheOptions options)
    : state_{std::make_unique<State>()} {
    state_->directory = std::move(directory) / (folder_name(source->name()) + "-" + source->content_hash());
    state_->source = std::move(source), state_->options = options;
}
CachedSource::~CachedSource() = default;

std::string CachedSource::name() const { return state_->source->name(); }
std::string CachedSource::description() const { return state_->source->description(); }
int CachedSource::residue_width() const { return state_->source->residue_width(); }
int CachedSource::pooled_width() const { return state_->source->pooled_width(); }
int CachedSource::pair_width() const { return state_->source->pair_width(); }
std::string CachedSource::content_hash() const { return state_->source->content_hash(); }
std::string CachedSource::key(Protein const& protein) const { return state_->source->key(protein); }
void CachedSource::prepare(std::span<Protein const> dataset) { state_->source->prepare(dataset); }
FeatureSource& CachedSource::source() noexcept { return *state_->source; }
std::filesystem::path const& CachedSource::directory() const noexcept { return state_->directory; }

CacheSummary CachedSource::prefetch(std::span<Protein const> proteins, FeatureRequest request) {
    std::lock_guard const guard{state_->compute_mutex};
    auto const wanted = state_->wanted_kinds(request);
    for (auto const kind : wanted) state_->store(kind).refresh();
    // Proteins that lack the same kinds are computed together: index = bit set of the kinds.
    std::map<unsigned, std::vector<Missing>> missing;
    std::unordered_set<std::string> seen;
    CacheSummary summary;
    for (auto const& protein : proteins) {
        std::string key = state_->source->key(protein);
        if (!seen.insert(key).second) continue;
        unsigned lacking = 0;
        for (auto const kind : wanted)
            if (!state_->store(kind).contains(key)) lacking |= 1u << index_of(kind);
        if (lacking == 0)
            ++summary.found;
        else
            missing[lacking].push_back({&protein, std::move(key)}), ++summary.computed;
    }
    auto const start = std::chrono::steady_clock::now();
    Progress progress{state_->source->name() + " features", summary.computed, "proteins",
                      state_->options.quiet || summary.computed == 0};
    for (auto& [lacking, group] : missing) {
        // Chunks of similar length with common prefixes side by side: what batches and recurrent encoders like best.
        std::ranges::stable_sort(group, [](Missing const& a, Missing const& b) {
            auto const &x = a.protein->residues, &y = b.protein->residues;
            return x.size() != y.size() ? x.size() < y.size() : x < y;
        });
        state_->compute_missing(
            group, {.rows = (lacking & 1) != 0, .pooled = (lacking & 2) != 0, .pairs = (lacking & 4) != 0}, progress);
    }
    summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return summary;
}

ProteinFeatures CachedSource::read(Protein const& protein, FeatureRequest request) {
    std::string const key = state_->source->key(protein);
    ProteinFeatures features;
    for (auto const kind : state_->wanted_kinds(request)) {
        auto stored = state_->store(kind).find(key);
        if (!stored) {
            // Absent, or damaged on disk: a damaged record has just been taken out of the index.
            prefetch({&protein, 1}, {.rows = kind == FeatureKind::rows,
                                     .pooled = kind == FeatureKind::pooled,
                                     .pairs = kind == FeatureKind::pairs});
            stored = state_->store(kind).find(key);
        }
        if (!stored || stored->length != protein.residues.size())
            throw error{state_->directory.string() + ": record '" + protein.id +
                        "' cannot be read back; remove this folder and run again"};
        features.depth = stored->depth, features.provenance = std::move(stored->provenance);
        if (kind == FeatureKind::rows)
            features.rows = Eigen::Map<FeatureMatrix const>(
                stored->values.data(), static_cast<Eigen::Index>(protein.residues.size()), residue_width());
        else
            (kind == FeatureKind::pooled ? features.pooled : features.pairs) = std::move(stored->values);
    }
    return features;
}

std::vector<ProteinFeatures> CachedSource::compute(std::span<Protein const> proteins, FeatureRequest request) {
    prefetch(proteins, request);
    std::vector<ProteinFeatures> features;
    features.reserve(proteins.size());
    for (auto const& protein : proteins) features.push_back(read(protein, request));
    return features;
}

FeatureMatrix CachedSource::rows(Protein const& protein) { return read(protein, {.rows = true}).rows; }
std::vector<float> CachedSource::pooled(Protein const& protein) { return read(protein, {.pooled = true}).pooled; }
std::vector<float> CachedSource::pairs(Protein const& protein) { return read(protein, {.pairs = true}).pairs; }

FeatureMatrix CachedSource::pooled_matrix(std::span<Protein const> proteins) {
    prefetch(proteins, {.pooled = true});
    FeatureMatrix matrix(static_cast<Eigen::Index>(proteins.size()), pooled_width());
    for (std::size_t p = 0; p < proteins.size(); ++p) {
        auto const values = pooled(proteins[p]);
        matrix.row(static_cast<Eigen::Index>(p)) = Eigen::Map<Eigen::RowVectorXf const>(values.data(), pooled_width());
    }
    return matrix;
}

} // namespace tape
