#include "learn/masked_encoder.hpp"

#include "data/error.hpp"
#include "learn/token_batch.hpp"

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace tape {
namespace {

FeatureMatrix to_matrix(at::Tensor const& values) {
    at::Tensor const host = values.to(at::kCPU, at::kFloat).contiguous();
    return Eigen::Map<FeatureMatrix const>{host.const_data_ptr<float>(), host.size(0), host.size(1)};
}

std::vector<float> to_vector(at::Tensor const& values) {
    at::Tensor const host = values.to(at::kCPU, at::kFloat).contiguous();
    return {host.const_data_ptr<float>(), host.const_data_ptr<float>() + host.numel()};
}

/// Attention among the residues of one protein of a batch: layers x heads x L x L.
at::Tensor residue_maps(std::vector<at::Tensor> const& attentions, std::int64_t place, std::int64_t length) {
    std::vector<at::Tensor> maps;
    for (auto const& layer : attentions)
        maps.push_back(layer.select(0, place).slice(1, 1, length + 1).slice(2, 1, length + 1));
    return at::stack(maps);
}

double value_at(at::Tensor const& log_probabilities, std::size_t row, std::int64_t token) {
    return static_cast<double>(
        log_probabilities.const_data_ptr<float>()[static_cast<std::int64_t>(row) * log_probabilities.size(1) + token]);
}

/// What logits are read off: B x T x D.
at::Tensor const& basis_of(auto const& output) { return output.context.defined() ? output.context : output.hidden; }

bool is_amino_acid(char letter) { return residue_code(letter) < amino_acid_count; }

} // namespace

at::Tensor attention_pairs(at::Tensor const& attention) {
    at::Tensor const symmetric = attention + attention.transpose(1, 2); // C x L x L
    at::Tensor const rows = symmetric.sum(2, true);                     // C x L x 1
    at::Tensor const total = rows.sum(1, true).clamp_min(1e-12);        // C x 1 x 1
    at::Tensor const corrected = symmetric - rows * rows.transpose(1, 2) / total;
    return corrected.permute({1, 2, 0});
}

at::Tensor MaskedEncoder::contact_probabilities(at::Tensor const&) const {
    throw error{"this model has no contact head"};
}

void MaskedEncoder::require_token_head() const {
    if (!has_token_head())
        throw usage_error{"this model has no language-model head: its weights give embeddings and attention only"};
}

void MaskedEncoder::require(EmbedRequest const& request) const {
    if (request.logits) require_token_head();
    if (request.contacts && !has_contact_head())
        throw usage_error{"this model has no contact head: its weights hold no regression over attention maps"};
    if ((request.attentions || request.pairs) && heads() == 0)
        throw usage_error{"this model has no attention maps; take a Transformer or a BERT"};
    if (request.pooler && !has_pooler())
        throw usage_error{"this model has no pooling layer of its own; take the mean over residues"};
    if (request.layer != -1 && (request.pooler || request.logits))
        throw usage_error{"the pooling layer and the language-model head read the last layer; leave --layer out"};
    if (request.layer < -1 || request.layer > layers())
        throw usage_error{"this model has no layer " + std::to_string(request.layer) + ": choose 0 (embedding) to " +
                          std::to_string(layers()) + " (last)"};
}

void MaskedEncoder::require(VariantScoring scoring) const {
    require_token_head();
    if (scoring != VariantScoring::wild_type_marginal && !sees_itself())
        throw usage_error{"this model predicts each residue without seeing it, without masks and without an exact "
                          "likelihood; its only score of variants is wild-type-marginal"};
    if (scoring == VariantScoring::likelihood_ratio)
        throw usage_error{"a masked model has no exact likelihood to take the ratio of; choose masked-marginal or "
                          "wild-type-marginal"};
}

std::vector<Embedding> MaskedEncoder::embed(std::span<Protein const> proteins, EmbedRequest request) {
    require(request);
    c10::InferenceMode const inference;
    bool const maps = request.pairs || request.attentions || request.contacts;
    std::vector<std::size_t> order(proteins.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return proteins[i].residues.size(); });
    std::vector<Embedding> results(proteins.size());
    for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
        // Lengths rise, so the newest member decides the padded width. Maps are quadratic: one protein at a time.
        while (end < order.size() &&
               (end == begin || (!maps && (end + 1 - begin) * (proteins[order[end]].residues.size() + 2) <=
                                              static_cast<std::size_t>(options_.tokens))))
            ++end;
        embed_batch(proteins, std::span{order}.subspan(begin, end - begin), request, results);
    }
    return results;
}

void MaskedEncoder::embed_batch(std::span<Protein const> proteins, std::span<std::size_t const> members,
                                EmbedRequest const& request, std::vector<Embedding>& results) const {
    bool const maps = request.pairs || request.attentions || request.contacts;
    std::vector<std::vector<std::int64_t>> rows;
    for (std::size_t const i : members) rows.push_back(tokens(proteins[i]));
    auto const batch = TokenBatch::from(rows, options_.device, vocabulary().padding);
    auto const output = forward(batch.tokens, batch.padded, maps, request.layer);
    for (std::size_t place = 0; place < members.size(); ++place) {
        auto const length = static_cast<std::int64_t>(proteins[members[place]].residues.size());
        auto& result = results[members[place]];
        at::Tensor const hidden =
            output.hidden.select(0, static_cast<std::int64_t>(place)).slice(0, 1, length + 1); // L x D
        if (request.rows) result.rows = to_matrix(hidden);
        if (request.pooled) result.pooled = to_vector(hidden.mean(0));
        if (request.pooler) result.pooled = to_vector(output.pooled[static_cast<std::int64_t>(place)]);
        if (request.logits)
            result.logits = to_matrix(
                token_logits(basis_of(output).select(0, static_cast<std::int64_t>(place)).slice(0, 1, length + 1)));
        if (!maps) continue;
        at::Tensor const attention = residue_maps(output.attentions, static_cast<std::int64_t>(place), length);
        if (request.attentions) result.attentions = to_vector(attention);
        at::Tensor const channels = attention.flatten(0, 1); // C x L x L
        if (request.pairs) result.pairs = to_vector(attention_pairs(channels));
        if (request.contacts) result.contacts = to_matrix(contact_probabilities(channels));
    }
}

std::vector<at::Tensor> MaskedEncoder::masked_log_probabilities(Protein const& protein,
                                                                std::span<Positions const> sets) const {
    auto const whole = tokens(protein);
    std::size_t const portion =
        std::max<std::size_t>(1, static_cast<std::size_t>(options_.tokens) / std::max<std::size_t>(1, whole.size()));
    std::vector<at::Tensor> results;
    for (std::size_t begin = 0; begin < sets.size(); begin += portion) {
        auto const part = sets.subspan(begin, std::min(portion, sets.size() - begin));
        std::vector<std::vector<std::int64_t>> rows(part.size(), whole);
        std::vector<std::int64_t> places; // into the flattened B x T
        for (std::size_t row = 0; row < part.size(); ++row)
            for (std::size_t const position : part[row]) {
                rows[row][position + 1] = vocabulary().mask;
                places.push_back(static_cast<std::int64_t>(row * whole.size() + position + 1));
            }
        auto const batch = TokenBatch::from(rows, options_.device, vocabulary().padding);
        at::Tensor const hidden = basis_of(forward(batch.tokens, batch.padded, false, -1)).flatten(0, 1);
        at::Tensor const chosen =
            hidden.index_select(0, at::tensor(places, at::kLong).to(options_.device)); // masked x D
        at::Tensor const values = at::log_softmax(token_logits(chosen), 1).to(at::kCPU).contiguous();
        std::int64_t next = 0;
        for (auto const& set : part) {
            results.push_back(values.narrow(0, next, static_cast<std::int64_t>(set.size())));
            next += static_cast<std::int64_t>(set.size());
        }
    }
    return results;
}

std::vector<Likelihood> MaskedEncoder::likelihoods(std::span<Protein const> proteins) {
    require_token_head();
    if (!sees_itself()) return likelihoods_of_one_pass(proteins);
    c10::InferenceMode const inference;
    std::vector<Likelihood> results;
    for (auto const& protein : proteins) {
        std::vector<Positions> sets;
        for (std::size_t i = 0; i < protein.residues.size(); ++i)
            if (is_amino_acid(protein.residues[i])) sets.push_back({i});
        auto const values = masked_log_probabilities(protein, sets);
        Likelihood likelihood{.log_probability = 0, .tokens = sets.size()};
        for (std::size_t i = 0; i < sets.size(); ++i)
            likelihood.log_probability += value_at(values[i], 0, token(protein.residues[sets[i][0]]));
        results.push_back(likelihood);
    }
    return results;
}

std::vector<Likelihood> MaskedEncoder::likelihoods_of_one_pass(std::span<Protein const> proteins) {
    auto const embeddings = embed(proteins, {.logits = true});
    std::vector<Likelihood> results;
    for (std::size_t i = 0; i < proteins.size(); ++i) {
        Likelihood likelihood;
        for (std::size_t k = 0; k < proteins[i].residues.size(); ++k) {
            char const letter = proteins[i].residues[k];
            if (!is_amino_acid(letter)) continue;
            auto const logits = embeddings[i].logits.row(static_cast<Eigen::Index>(k)).cast<double>().eval(); // 1 x V
            double const most = logits.maxCoeff();
            likelihood.log_probability += logits[token(letter)] - most - std::log((logits.array() - most).exp().sum());
            ++likelihood.tokens;
        }
        results.push_back(likelihood);
    }
    return results;
}

std::vector<double> MaskedEncoder::score_variants(Protein const& wild_type, std::span<ListedVariant const> variants,
                                                  VariantScoring scoring) {
    require(scoring);
    c10::InferenceMode const inference;
    for (auto const& variant : variants) (void)mutated(wild_type, variant.mutations);
    return scoring == VariantScoring::masked_marginal ? masked_marginals(wild_type, variants)
                                                      : wild_type_marginals(wild_type, variants);
}

std::vector<double> MaskedEncoder::masked_marginals(Protein const& wild_type,
                                                    std::span<ListedVariant const> variants) const {
    auto const positions_of = [](ListedVariant const& variant) {
        Positions positions;
        for (auto const& mutation : variant.mutations) positions.push_back(mutation.column);
        std::ranges::sort(positions);
        return positions;
    };
    std::map<Positions, std::size_t> place; // variants of the same positions share a pass
    std::vector<Positions> sets;
    for (auto const& variant : variants)
        if (auto positions = positions_of(variant); place.emplace(positions, sets.size()).second)
            sets.push_back(std::move(positions));
    auto const values = masked_log_probabilities(wild_type, sets);
    std::vector<double> scores;
    for (auto const& variant : variants) {
        auto const positions = positions_of(variant);
        at::Tensor const& rows = values[place.at(positions)];
        double score = 0;
        for (auto const& mutation : variant.mutations) {
            auto const row =
                static_cast<std::size_t>(std::ranges::lower_bound(positions, mutation.column) - positions.begin());
            score += value_at(rows, row, token(residue_letter(mutation.to))) -
                     value_at(rows, row, token(residue_letter(mutation.from)));
        }
        scores.push_back(score);
    }
    return scores;
}

std::vector<double> MaskedEncoder::wild_type_marginals(Protein const& wild_type,
                                                       std::span<ListedVariant const> variants) const {
    auto const batch = TokenBatch::from({tokens(wild_type)}, options_.device, vocabulary().padding);
    at::Tensor const hidden = basis_of(forward(batch.tokens, false, false, -1))[0];
    at::Tensor const values = at::log_softmax(token_logits(hidden), 1).to(at::kCPU).contiguous(); // (L + 2) x V
    std::vector<double> scores;
    for (auto const& variant : variants) {
        double score = 0;
        for (auto const& mutation : variant.mutations)
            score += value_at(values, mutation.column + 1, token(residue_letter(mutation.to))) -
                     value_at(values, mutation.column + 1, token(residue_letter(mutation.from)));
        scores.push_back(score);
    }
    return scores;
}

} // namespace tape
