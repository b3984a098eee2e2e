#include "learn/masked_language.hpp"

#include <ATen/ops/argmax.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>

namespace tape {
namespace {

constexpr std::size_t batches_in_pool = 16;
enum Purpose : std::uint64_t { epoch_order = 1, pool_windows = 2, pool_order = 3 };

bool is_residue(std::int64_t token) {
    return token >= EsmTokenizer::first_residue && token <= EsmTokenizer::last_residue;
}

std::int64_t corrupted(std::int64_t token, MaskingOptions const& options, Random& random) {
    constexpr int residues = EsmTokenizer::last_residue - EsmTokenizer::first_residue + 1;
    double const fate = random.uniform();
    if (fate < options.masked) return EsmTokenizer::mask;
    if (fate >= options.masked + options.replaced) return token;
    // Another one of the 20: step round the circle by 1 to 19.
    auto const step = 1 + static_cast<std::int64_t>(random.below(residues - 1));
    return EsmTokenizer::first_residue + (token - EsmTokenizer::first_residue + step) % residues;
}

} // namespace

MaskedBatch mask_residues(TokenRows rows, MaskingOptions const& options, Random random, at::Device device) {
    std::size_t width = 0;
    for (auto const& row : rows) width = std::max(width, row.size());
    std::vector<std::int64_t> positions, targets, candidates;
    for (std::size_t i = 0; i < rows.size(); ++i)
        for (std::size_t j = 0; j < rows[i].size(); ++j) {
            auto& token = rows[i][j];
            if (!is_residue(token)) continue;
            auto const place = static_cast<std::int64_t>(i * width + j);
            candidates.push_back(place);
            if (random.uniform() >= options.chosen) continue;
            positions.push_back(place), targets.push_back(token);
            token = corrupted(token, options, random);
        }
    if (positions.empty() && !candidates.empty()) {
        auto const place = candidates[random.below(candidates.size())];
        auto& token = rows[static_cast<std::size_t>(place) / width][static_cast<std::size_t>(place) % width];
        positions.push_back(place), targets.push_back(token);
        token = EsmTokenizer::mask;
    }
    return {TokenBatch::from(rows, device), at::tensor(positions, at::kLong).to(device),
            at::tensor(targets, at::kLong).to(device)};
}

MaskedLoss masked_loss(Transformer const& model, MaskedBatch const& batch) {
    at::Tensor const hidden = model.forward(batch.input).hidden;                     // B x T x D
    at::Tensor const chosen = hidden.flatten(0, 1).index_select(0, batch.positions); // M x D
    at::Tensor const logits = model.logits(chosen);                                  // M x 33
    at::Tensor const loss = at::cross_entropy_loss(logits, batch.targets);
    return {loss, at::argmax(logits, 1).eq(batch.targets).sum().item<std::int64_t>(), batch.targets.size(0)};
}

std::vector<std::int64_t> random_window(std::string_view residues, std::int64_t window, Random& random) {
    auto const length = static_cast<std::int64_t>(residues.size());
    if (length <= window) return EsmTokenizer::wrapped(residues);
    auto const start = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(length - window + 1)));
    auto tokens =
        EsmTokenizer::residues(residues.substr(static_cast<std::size_t>(start), static_cast<std::size_t>(window)));
    if (start == 0) tokens.insert(tokens.begin(), EsmTokenizer::cls);
    if (start + window == length) tokens.push_back(EsmTokenizer::eos);
    return tokens;
}

BatchSampler::BatchSampler(Corpus const& corpus, Options const& options, Position position)
    : corpus_{&corpus}, options_{options}, position_{position} {
    fill();
}

double BatchSampler::epochs() const noexcept {
    return static_cast<double>(position_.first) / static_cast<double>(corpus_->size());
}

void BatchSampler::fill() {
    Random windows{options_.seed, pool_windows, position_.pool};
    auto const wanted = static_cast<std::int64_t>(batches_in_pool) * options_.tokens;
    TokenRows rows;
    std::int64_t total = 0;
    for (after_ = position_.first; total < wanted; ++after_) {
        Random key{options_.seed, epoch_order, after_ / corpus_->size()};
        auto const index = permuted(after_ % corpus_->size(), corpus_->size(), key.next());
        rows.push_back(random_window(corpus_->sequence(index), options_.window, windows));
        total += static_cast<std::int64_t>(rows.back().size());
    }
    std::ranges::stable_sort(rows, {}, [](auto const& row) { return row.size(); });
    batches_.assign(1, {});
    std::int64_t dealt = 0;
    for (auto& row : rows) {
        // Equal shares of the pool, so that no step has a stray small batch.
        if (dealt * static_cast<std::int64_t>(batches_in_pool) >= total * static_cast<std::int64_t>(batches_.size()))
            batches_.emplace_back();
        dealt += static_cast<std::int64_t>(row.size());
        batches_.back().push_back(std::move(row));
    }
    Random order{options_.seed, pool_order, position_.pool};
    for (std::size_t i = batches_.size(); i > 1; --i) std::swap(batches_[i - 1], batches_[order.below(i)]);
}

TokenRows BatchSampler::next() {
    TokenRows rows = std::move(batches_[position_.batch]);
    if (++position_.batch == batches_.size()) {
        position_ = {after_, position_.pool + 1, 0};
        fill();
    }
    return rows;
}

} // namespace tape
