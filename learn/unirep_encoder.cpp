#include "learn/unirep_encoder.hpp"

#include "data/error.hpp"
#include "data/hash.hpp"
#include "learn/device.hpp"

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace tape {
namespace {

constexpr char const* algorithm_version = "unirep-2";

std::vector<float> row_of(at::Tensor const& matrix, std::int64_t row) {
    float const* const begin = matrix.const_data_ptr<float>() + row * matrix.size(1);
    return {begin, begin + matrix.size(1)};
}

std::size_t rounded_rows(std::size_t rows) {
    return static_cast<std::size_t>(padded_rows(static_cast<std::int64_t>(rows)));
}

std::size_t common_prefix(std::string_view a, std::string_view b) {
    return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

} // namespace

/// One walk over proteins given in lexicographic order.
class UniRepEncoder::Walk {
  public:
    Walk(UniRep const& model, std::span<Protein const> proteins, std::span<std::size_t const> members,
         EmbedRequest request, std::vector<Embedding>* embeddings, std::vector<Summary>* summaries);
    void run();

  private:
    [[nodiscard]] std::string_view residues(std::size_t i) const { return proteins_[members_[i]].residues; }
    [[nodiscard]] bool wants_next() const { return request_.logits || summaries_; }
    void finish_those_at(std::size_t depth);
    void keep_rows(std::size_t depth);
    void keep_logits(std::size_t depth);
    void descend(std::size_t depth);

    UniRep const& model_;
    std::span<Protein const> proteins_;
    std::span<std::size_t const> members_;
    EmbedRequest request_;
    std::vector<Embedding>* embeddings_;
    std::vector<Summary>* summaries_;

    std::vector<std::size_t> shared_; ///< of each protein, residues in common with the one before
    std::vector<std::size_t> active_; ///< proteins longer than the depth, in order
    std::vector<std::int64_t> node_;  ///< each protein's row in the state
    UniRep::State state_;
    at::Tensor sum_;  ///< U x units: hidden states along each prefix, start token included
    at::Tensor next_; ///< U x 25: log-probabilities or logits of the next token
    at::Tensor nll_;  ///< U: of each prefix
};

UniRepEncoder::Walk::Walk(UniRep const& model, std::span<Protein const> proteins, std::span<std::size_t const> members,
                          EmbedRequest request, std::vector<Embedding>* embeddings, std::vector<Summary>* summaries)
    : model_{model}, proteins_{proteins}, members_{members}, request_{request}, embeddings_{embeddings},
      summaries_{summaries}, shared_(members.size(), 0), active_(members.size()),
      node_(members.size(), 0), state_{model.start()} {
    std::iota(active_.begin(), active_.end(), std::size_t{0});
    for (std::size_t i = 1; i < members.size(); ++i) shared_[i] = common_prefix(residues(i - 1), residues(i));
    sum_ = state_.output();
    nll_ = at::zeros({1}, sum_.options());
    if (!embeddings_) return;
    for (std::size_t i = 0; i < members.size(); ++i) {
        auto const length = static_cast<Eigen::Index>(residues(i).size());
        if (request.rows) (*embeddings_)[members[i]].rows.resize(length, model.config().units);
        if (request.logits) (*embeddings_)[members[i]].logits.resize(length, UniRepTokenizer::size - 1);
    }
}

void UniRepEncoder::Walk::run() {
    for (std::size_t depth = 0;; ++depth) {
        if (wants_next()) next_ = model_.next_logits(state_.output());
        finish_those_at(depth);
        if (active_.empty()) return;
        if (request_.logits) keep_logits(depth);
        descend(depth);
        if (request_.rows) keep_rows(depth);
    }
}

void UniRepEncoder::Walk::finish_those_at(std::size_t depth) {
    std::vector<std::size_t> ended;
    std::erase_if(active_, [&](std::size_t i) {
        bool const ends = residues(i).size() == depth;
        if (ends) ended.push_back(i);
        return ends;
    });
    if (ended.empty()) return;
    std::vector<std::int64_t> rows;
    for (std::size_t const i : ended) rows.push_back(node_[i]);
    at::Tensor const chosen = at::tensor(rows, at::kLong).to(sum_.device());
    auto const gathered = [&](at::Tensor const& values) {
        return values.index_select(0, chosen).to(at::kCPU).contiguous();
    };
    at::Tensor const average = gathered(sum_) / static_cast<double>(depth + 1);
    if (embeddings_ && request_.pooled)
        for (std::size_t i = 0; i < ended.size(); ++i)
            (*embeddings_)[members_[ended[i]]].pooled = row_of(average, static_cast<std::int64_t>(i));
    if (!summaries_) return;
    at::Tensor const hidden = gathered(state_.output()), cell = gathered(state_.cell.back());
    at::Tensor const stop = at::log_softmax(next_, 1).select(1, UniRepTokenizer::stop - 1); // U
    at::Tensor const nll = gathered((nll_ - stop).unsqueeze(1));
    for (std::size_t i = 0; i < ended.size(); ++i) {
        auto const row = static_cast<std::int64_t>(i);
        (*summaries_)[members_[ended[i]]] = {row_of(average, row), row_of(hidden, row), row_of(cell, row),
                                             static_cast<double>(row_of(nll, row)[0]) / static_cast<double>(depth + 1)};
    }
}

void UniRepEncoder::Walk::descend(std::size_t depth) {
    std::vector<std::int64_t> parents, tokens;
    std::int64_t const rows = sum_.size(0);
    for (std::size_t place = 0; place < active_.size(); ++place) {
        std::size_t const i = active_[place];
        // In lexicographic order, proteins that share depth + 1 residues are neighbours.
        if (place == 0 || shared_[i] <= depth) {
            parents.push_back(node_[i]);
            tokens.push_back(UniRepTokenizer::token(residues(i)[depth]));
        }
        node_[i] = static_cast<std::int64_t>(parents.size()) - 1;
    }
    // Rows that nobody reads, up to a round number: oneDNN compiles its kernels anew for every number of rows, and the
    // number of distinct prefixes differs at every depth.
    for (std::size_t k = parents.size(); k < rounded_rows(parents.size()); ++k) {
        parents.push_back(std::min(static_cast<std::int64_t>(k), rows - 1));
        tokens.push_back(tokens.back());
    }
    bool same = static_cast<std::int64_t>(parents.size()) == rows;
    for (std::size_t k = 0; same && k < parents.size(); ++k) same = parents[k] == static_cast<std::int64_t>(k);
    at::Tensor const from = same ? at::Tensor{} : at::tensor(parents, at::kLong).to(sum_.device());
    at::Tensor const letters = at::tensor(tokens, at::kLong).to(sum_.device());
    if (summaries_) {
        at::Tensor const log_probabilities = at::log_softmax(next_, 1);
        at::Tensor const before = same ? log_probabilities : log_probabilities.index_select(0, from); // U' x 25
        nll_ = (same ? nll_ : nll_.index_select(0, from)) - before.gather(1, (letters - 1).unsqueeze(1)).squeeze(1);
    }
    state_ = model_.advance(state_, from, letters);
    if (request_.pooled || summaries_)
        sum_ = (same ? sum_ : sum_.index_select(0, from)) + state_.output();
    else
        sum_ = state_.output();
}

void UniRepEncoder::Walk::keep_rows(std::size_t depth) {
    at::Tensor const output = state_.output().to(at::kCPU).contiguous();
    for (std::size_t const i : active_)
        (*embeddings_)[members_[i]].rows.row(static_cast<Eigen::Index>(depth)) = Eigen::Map<Eigen::RowVectorXf const>{
            output.const_data_ptr<float>() + node_[i] * output.size(1), output.size(1)};
}

void UniRepEncoder::Walk::keep_logits(std::size_t depth) {
    at::Tensor const logits = next_.to(at::kCPU).contiguous();
    for (std::size_t const i : active_)
        (*embeddings_)[members_[i]].logits.row(static_cast<Eigen::Index>(depth)) = Eigen::Map<Eigen::RowVectorXf const>{
            logits.const_data_ptr<float>() + node_[i] * logits.size(1), logits.size(1)};
}

UniRepEncoder::UniRepEncoder(LoadedUniRep loaded, Options const& options)
    : loaded_{std::move(loaded)}, options_{options} {
    c10::InferenceMode const inference;
    loaded_.model.prepare(options.device, options.precision);
    hash_ = tape::content_hash(loaded_.content_hash + precision_name(options.precision) + algorithm_version);
}

std::string UniRepEncoder::description() const {
    auto const& config = loaded_.model.config();
    char text[120];
    std::snprintf(text, sizeof text, "UniRep mLSTM, %d layer%s of %d units, %s", config.layers,
                  config.layers == 1 ? "" : "s", config.units, precision_name(options_.precision).c_str());
    return text;
}

std::vector<std::string> UniRepEncoder::logit_names() const {
    std::vector<std::string> names;
    for (int token = 1; token < UniRepTokenizer::size; ++token) names.push_back(UniRepTokenizer::name(token));
    return names;
}

void UniRepEncoder::walk(std::span<Protein const> proteins, EmbedRequest request, std::vector<Embedding>* embeddings,
                         std::vector<Summary>* summaries) {
    c10::InferenceMode const inference;
    std::vector<std::size_t> order(proteins.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    // Equal lengths in lexicographic order: a library of substitutions keeps its common prefixes together.
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
        auto const& x = proteins[a].residues;
        auto const& y = proteins[b].residues;
        return x.size() != y.size() ? x.size() < y.size() : x < y;
    });
    for (std::size_t begin = 0; begin < order.size(); begin += options_.proteins) {
        auto members = std::span{order}.subspan(begin, std::min(options_.proteins, order.size() - begin));
        std::ranges::stable_sort(members, {},
                                 [&](std::size_t i) -> std::string const& { return proteins[i].residues; });
        Walk{loaded_.model, proteins, members, request, embeddings, summaries}.run();
    }
}

void UniRepEncoder::require(EmbedRequest const& request) const {
    if (request.pairs || request.attentions || request.contacts)
        throw usage_error{"UniRep has no attention maps and no contacts; take a Transformer"};
    if (request.pooler) throw usage_error{"UniRep has no pooling layer of its own; take the mean"};
    if (request.layer != -1) throw usage_error{"UniRep's last layer is the one that is read; leave --layer out"};
}

void UniRepEncoder::require(VariantScoring scoring) const {
    if (scoring != VariantScoring::likelihood_ratio)
        throw usage_error{"UniRep has no masks: its only score of variants is likelihood-ratio"};
}

std::vector<Embedding> UniRepEncoder::embed(std::span<Protein const> proteins, EmbedRequest request) {
    require(request);
    std::vector<Embedding> embeddings(proteins.size());
    walk(proteins, request, &embeddings, nullptr);
    return embeddings;
}

std::vector<UniRepEncoder::Summary> UniRepEncoder::summarise(std::span<Protein const> proteins) {
    std::vector<Summary> summaries(proteins.size());
    walk(proteins, {}, nullptr, &summaries);
    return summaries;
}

std::vector<Likelihood> UniRepEncoder::likelihoods(std::span<Protein const> proteins) {
    std::vector<Likelihood> likelihoods;
    auto const summaries = summarise(proteins);
    for (std::size_t i = 0; i < proteins.size(); ++i) {
        std::size_t const tokens = proteins[i].residues.size() + 1;
        likelihoods.push_back({-summaries[i].mean_nll * static_cast<double>(tokens), tokens});
    }
    return likelihoods;
}

std::vector<double> UniRepEncoder::score_variants(Protein const& wild_type, std::span<ListedVariant const> variants,
                                                  VariantScoring scoring) {
    require(scoring);
    std::vector<Protein> proteins{wild_type};
    for (auto const& variant : variants) proteins.push_back({"", "", mutated(wild_type, variant.mutations)});
    auto const values = likelihoods(proteins);
    std::vector<double> scores;
    for (std::size_t i = 1; i < values.size(); ++i)
        scores.push_back(values[i].log_probability - values[0].log_probability);
    return scores;
}

} // namespace tape
