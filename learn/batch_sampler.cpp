#include "learn/batch_sampler.hpp"

#include <algorithm>

namespace tape {
namespace {

constexpr std::size_t batches_in_pool = 64; // 2% padding with Swiss-Prot's lengths in windows of 256, 5% with 16
enum Purpose : std::uint64_t { epoch_order = 1, pool_windows = 2, pool_order = 3, cluster_member = 4 };

} // namespace

Window random_window(std::string_view protein, std::int64_t longest, Random& random) {
    auto const length = static_cast<std::int64_t>(protein.size());
    if (length <= longest) return {protein, 0, EsmTokenizer::wrapped(protein)};
    auto const begin = random.below(static_cast<std::uint64_t>(length - longest + 1));
    Window window{protein, begin, EsmTokenizer::residues(protein.substr(begin, static_cast<std::size_t>(longest)))};
    if (begin == 0) window.tokens.insert(window.tokens.begin(), EsmTokenizer::cls);
    if (static_cast<std::int64_t>(begin) + longest == length) window.tokens.push_back(EsmTokenizer::eos);
    return window;
}

BatchSampler::BatchSampler(Corpus const& corpus, Options const& options, Position position)
    : corpus_{&corpus}, options_{options}, position_{position} {
    fill();
}

double BatchSampler::epochs() const noexcept {
    double const of_pool = static_cast<double>(position_.batch) / static_cast<double>(batches_.size());
    double const dealt = static_cast<double>(position_.first) + of_pool * static_cast<double>(after_ - position_.first);
    return dealt / static_cast<double>(corpus_->clusters());
}

void BatchSampler::fill() {
    Random windows{options_.seed, pool_windows, position_.pool};
    auto const wanted = static_cast<std::int64_t>(batches_in_pool) * options_.tokens;
    std::uint64_t const clusters = corpus_->clusters();
    std::vector<Window> rows;
    std::int64_t total = 0;
    for (after_ = position_.first; total < wanted; ++after_) {
        Random key{options_.seed, epoch_order, after_ / clusters};
        auto const members = corpus_->cluster(permuted(after_ % clusters, clusters, key.next()));
        auto const chosen = members[Random{options_.seed, cluster_member, after_}.below(members.size())];
        rows.push_back(random_window(corpus_->sequence(chosen), options_.window, windows));
        total += static_cast<std::int64_t>(rows.back().tokens.size());
    }
    std::ranges::stable_sort(rows, {}, [](auto const& row) { return row.tokens.size(); });
    batches_.assign(1, {});
    std::int64_t dealt = 0;
    for (auto& row : rows) {
        // Equal shares of the pool, so that no step has a stray small batch.
        if (dealt * static_cast<std::int64_t>(batches_in_pool) >= total * static_cast<std::int64_t>(batches_.size()))
            batches_.emplace_back();
        dealt += static_cast<std::int64_t>(row.tokens.size());
        batches_.back().push_back(std::move(row));
    }
    Random order{options_.seed, pool_order, position_.pool};
    for (std::size_t i = batches_.size(); i > 1; --i) std::swap(batches_[i - 1], batches_[order.below(i)]);
}

std::vector<Window> BatchSampler::next() {
    auto rows = std::move(batches_[position_.batch]);
    if (++position_.batch == batches_.size()) {
        position_ = {after_, position_.pool + 1, 0};
        fill();
    }
    return rows;
}

} // namespace tape
