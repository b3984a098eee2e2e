#include "learn/masked_encoder.hpp"

#include "data/error.hpp"
#include "data/parallel.hpp"
#include "learn/token_batch.hpp"

#include <ATen/Parallel.h>
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

/// Attention among the residues of one protein: layers x heads x L x L.
at::Tensor residue_maps(std::vector<at::Tensor> const& attentions, std::int64_t length) {
    std::vector<at::Tensor> maps;
    for (auto const& layer : attentions) maps.push_back(layer[0].slice(1, 1, length + 1).slice(2, 1, length + 1));
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

at::Tensor MaskedEncoder::forward_packed(PackedTokens const&, int) const {
    throw error{"this model reads padded batches only"};
}

void MaskedEncoder::visit(std::vector<std::size_t> const& lengths, std::function<TokenRow(std::size_t)> const& row,
                          Reading reading, Use const& use) const {
    std::vector<std::size_t> order(lengths.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return lengths[i]; });
    if (packs() && !reading.pooled)
        visit_packed(order, lengths, row, reading.layer, use);
    else
        visit_padded(order, lengths, row, reading.layer, use);
}

void MaskedEncoder::visit_padded(std::span<std::size_t const> order, std::vector<std::size_t> const& lengths,
                                 std::function<TokenRow(std::size_t)> const& row, int layer, Use const& use) const {
    for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
        // Lengths rise, so the newest member decides the padded width.
        std::vector<TokenRow> rows;
        while (end < order.size() &&
               (end == begin || (end + 1 - begin) * lengths[order[end]] <= static_cast<std::size_t>(options_.tokens)))
            rows.push_back(row(order[end++]));
        auto const batch = TokenBatch::from(rows, options_.device, vocabulary().padding);
        auto const output = forward(batch.tokens, batch.padded, false, layer);
        for (std::size_t place = 0; place < rows.size(); ++place) {
            auto const index = static_cast<std::int64_t>(place), length = static_cast<std::int64_t>(rows[place].size());
            use(order[begin + place], {.hidden = output.hidden[index].slice(0, 0, length),
                                       .basis = basis_of(output)[index].slice(0, 0, length),
                                       .pooled = output.pooled.defined() ? output.pooled[index] : at::Tensor{}});
        }
    }
}

void MaskedEncoder::visit_packed(std::span<std::size_t const> order, std::vector<std::size_t> const& lengths,
                                 std::function<TokenRow(std::size_t)> const& row, int layer, Use const& use) const {
    struct Group {
        std::size_t begin, end, tokens; ///< of order
    };
    std::vector<Group> groups;
    for (std::size_t i = 0; i < order.size(); ++i) {
        std::size_t const tokens = lengths[order[i]];
        if (groups.empty() || groups.back().tokens + tokens > static_cast<std::size_t>(options_.packed_tokens))
            groups.push_back({i, i, 0});
        groups.back().end = i + 1, groups.back().tokens += tokens;
    }
    if (groups.empty()) return;
    prepare(static_cast<std::int64_t>(lengths[order.back()]));
    auto const read = [&](Group const& group) {
        PackedTokens batch;
        for (std::size_t i = group.begin; i < group.end; ++i) batch.append(row(order[i]));
        at::Tensor const hidden = forward_packed(batch, layer); // N x D
        for (std::size_t i = group.begin; i < group.end; ++i) {
            at::Tensor const own = hidden.slice(0, batch.starts[i - group.begin], batch.starts[i - group.begin + 1]);
            use(order[i], {.hidden = own, .basis = own, .pooled = {}});
        }
    };
    // Batches side by side need no waiting within operations; one that is large, or alone, has all threads for itself.
    auto const threads = static_cast<std::size_t>(at::get_num_threads());
    std::size_t const most =
        std::max(static_cast<std::size_t>(options_.packed_tokens), options_.memory / 2 / threads / bytes_of_token());
    constexpr std::size_t longest_for_a_thread = 4096;
    auto const alone = std::ranges::find_if(
        groups, [&](Group const& group) { return group.tokens > std::min(most, longest_for_a_thread); });
    auto const side_by_side = static_cast<std::size_t>(alone - groups.begin());
    std::for_each(alone, groups.end(), read);
    if (side_by_side < threads) {
        std::for_each(groups.begin(), alone, read);
        return;
    }
    parallel_for(side_by_side, static_cast<int>(threads), [&](std::size_t index, int) {
        c10::InferenceMode const inference;
        read(groups[side_by_side - 1 - index]); // the longest first, so that no thread begins one last
    });
}

namespace {

constexpr std::size_t fewest_residues_of_window = 256;

/// Windows of a protein that overlap by a quarter; each residue is taken from the one in which it stands farthest from
/// an end.
struct Window {
    std::size_t begin, end;           ///< residues that are read
    std::size_t keep_begin, keep_end; ///< residues that are taken
};

std::vector<Window> windows_of(std::size_t residues, std::size_t width) {
    std::size_t const step = width - width / 4;
    std::size_t const count = residues <= width ? 1 : (residues - width + step - 1) / step + 1;
    std::vector<Window> windows;
    for (std::size_t k = 0; k < count; ++k) {
        std::size_t const begin = k + 1 == count && count > 1 ? residues - width : k * step;
        windows.push_back({begin, std::min(residues, begin + width), 0, residues});
    }
    for (std::size_t k = 1; k < count; ++k)
        windows[k - 1].keep_end = windows[k].keep_begin = (windows[k].begin + windows[k - 1].end) / 2;
    return windows;
}

/// @param hidden  L x D
void use_hidden(at::Tensor const& hidden, EmbedRequest const& request, Embedding& result) {
    if (request.rows) result.rows = to_matrix(hidden);
    if (request.pooled) result.pooled = to_vector(hidden.mean(0));
}

} // namespace

std::size_t MaskedEncoder::window() const {
    std::size_t const most = positions() - 2;
    if (!packs()) return most;
    // Half of the memory: the rest is for batches of short proteins and for what operations hold for a moment.
    return std::min(most, std::max(fewest_residues_of_window, options_.memory / 2 / bytes_of_token()));
}

std::size_t MaskedEncoder::windows(std::size_t residues) const { return windows_of(residues, window()).size(); }

std::vector<Embedding> MaskedEncoder::embed(std::span<Protein const> proteins, EmbedRequest request) {
    require(request);
    c10::InferenceMode const inference;
    bool const maps = request.pairs || request.attentions || request.contacts;
    std::vector<Embedding> results(proteins.size());
    std::vector<std::size_t> whole, lengths;
    for (std::size_t i = 0; i < proteins.size(); ++i) {
        if (maps) { // quadratic: one protein at a time
            embed_maps(proteins[i], request, results[i]);
        } else if (!request.pooler && windows(proteins[i].residues.size()) > 1) {
            embed_in_windows(proteins[i], request, results[i]);
        } else {
            whole.push_back(i), lengths.push_back(proteins[i].residues.size() + 2);
        }
    }
    visit(
        lengths, [&](std::size_t k) { return tokens(proteins[whole[k]]); }, {request.layer, request.pooler},
        [&](std::size_t k, States const& states) {
            auto& result = results[whole[k]];
            use_hidden(states.hidden.slice(0, 1, states.hidden.size(0) - 1), request, result);
            if (request.pooler) result.pooled = to_vector(states.pooled);
            if (request.logits)
                result.logits = to_matrix(token_logits(states.basis.slice(0, 1, states.basis.size(0) - 1)));
        });
    return results;
}

void MaskedEncoder::embed_in_windows(Protein const& protein, EmbedRequest const& request, Embedding& result) const {
    auto const residues = static_cast<Eigen::Index>(protein.residues.size());
    auto const put = [&](FeatureMatrix& all, at::Tensor const& part, std::size_t place) {
        if (all.rows() == 0) all.resize(residues, part.size(1));
        all.middleRows(static_cast<Eigen::Index>(place), part.size(0)) = to_matrix(part);
    };
    at::Tensor sum;
    for (auto const& window : windows_of(protein.residues.size(), this->window())) {
        Protein const piece{protein.id, "", protein.residues.substr(window.begin, window.end - window.begin)};
        visit(
            {piece.residues.size() + 2}, [&](std::size_t) { return tokens(piece); }, {request.layer, false},
            [&](std::size_t, States const& states) {
                auto const first = static_cast<std::int64_t>(window.keep_begin - window.begin + 1);
                auto const kept = [&](at::Tensor const& all) {
                    return all.slice(0, first, first + static_cast<std::int64_t>(window.keep_end - window.keep_begin));
                };
                at::Tensor const hidden = kept(states.hidden);
                if (request.rows) put(result.rows, hidden, window.keep_begin);
                if (request.logits) put(result.logits, token_logits(kept(states.basis)), window.keep_begin);
                if (request.pooled) sum = sum.defined() ? sum + hidden.sum(0) : hidden.sum(0);
            });
    }
    if (request.pooled) result.pooled = to_vector(sum / static_cast<double>(residues));
}

void MaskedEncoder::embed_maps(Protein const& protein, EmbedRequest const& request, Embedding& result) const {
    auto const length = static_cast<std::int64_t>(protein.residues.size());
    auto const batch = TokenBatch::from({tokens(protein)}, options_.device, vocabulary().padding);
    auto const output = forward(batch.tokens, false, true, request.layer);
    use_hidden(output.hidden[0].slice(0, 1, length + 1), request, result);
    if (request.pooler) result.pooled = to_vector(output.pooled[0]);
    if (request.logits) result.logits = to_matrix(token_logits(basis_of(output)[0].slice(0, 1, length + 1)));
    at::Tensor const attention = residue_maps(output.attentions, length);
    if (request.attentions) result.attentions = to_vector(attention);
    at::Tensor const channels = attention.flatten(0, 1); // C x L x L
    if (request.pairs) result.pairs = to_vector(attention_pairs(channels));
    if (request.contacts) result.contacts = to_matrix(contact_probabilities(channels));
}

std::vector<at::Tensor> MaskedEncoder::masked_log_probabilities(Protein const& protein,
                                                                std::span<Positions const> sets) const {
    TokenRow const whole = tokens(protein);
    std::vector<at::Tensor> results(sets.size());
    visit(
        std::vector<std::size_t>(sets.size(), whole.size()),
        [&](std::size_t set) {
            TokenRow row = whole;
            for (std::size_t const position : sets[set]) row[position + 1] = vocabulary().mask;
            return row;
        },
        {-1, false},
        [&](std::size_t set, States const& states) {
            std::vector<std::int64_t> places;
            for (std::size_t const position : sets[set]) places.push_back(static_cast<std::int64_t>(position + 1));
            at::Tensor const chosen =
                states.basis.index_select(0, at::tensor(places, at::kLong).to(options_.device)); // masked x D
            results[set] = at::log_softmax(token_logits(chosen), 1).to(at::kCPU).contiguous();
        });
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
