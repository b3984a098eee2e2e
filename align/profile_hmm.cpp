#include "align/profile_hmm.hpp"

#include "align/dirichlet_mixture.hpp"
#include "data/error.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

namespace tape {

// Swiss-Prot release 50.8 of October 2006, 86.0 million residues.
std::array<double, amino_acid_count> const hmmer_background{
    0.0787945, 0.0151600, 0.0535222, 0.0668298, 0.0397062, 0.0695071, 0.0229198, 0.0590092, 0.0594422, 0.0963728,
    0.0237718, 0.0414386, 0.0482904, 0.0395639, 0.0540978, 0.0683364, 0.0540687, 0.0673417, 0.0114135, 0.0304133};

// The exponentials of the insert lines that every HMMER 3 file of proteins carries.
std::array<double, amino_acid_count> const hmmer_insertions{
    0.0681409, 0.0120072, 0.0623374, 0.0651391, 0.0313188, 0.0902542, 0.0241145, 0.0371223, 0.0687412, 0.0676406,
    0.0143086, 0.0548329, 0.0647388, 0.0415249, 0.0551331, 0.0926556, 0.0623374, 0.0505303, 0.0102061, 0.0269162};

namespace {

bool is_residue(Residue code) { return code < amino_acid_count; }

struct Span {
    std::size_t begin = 0, end = 0; ///< half-open, first to last letter that is no gap
};

Span span_of(MsaRow const& row) {
    auto const is_letter = [](Residue code) { return code != gap_code; };
    auto const first = std::ranges::find_if(row.columns, is_letter);
    if (first == row.columns.end()) return {};
    auto const last = std::find_if(row.columns.rbegin(), row.columns.rend(), is_letter).base();
    return {static_cast<std::size_t>(first - row.columns.begin()),
            static_cast<std::size_t>(last - row.columns.begin())};
}

/// One step of a row's path through the model.
struct Step {
    char state;       ///< M, I or D
    std::size_t node; ///< M_k and D_k of column k - 1; I_k after column k - 1
    Residue code;
};

/// The row's states in order. A fragment's terminal gaps are left out.
std::vector<Step> path_of(MsaRow const& row, bool fragment) {
    Span const span = fragment ? span_of(row) : Span{0, row.columns.size()};
    std::vector<Step> path;
    std::size_t column = 0;
    for (char const letter : a3m_letters(row)) {
        if (letter >= 'a' && letter <= 'z') {
            path.push_back({'I', column, residue_code(letter)});
        } else {
            Residue const code = row.columns[column++];
            if (column - 1 >= span.begin && column - 1 < span.end)
                path.push_back({code == gap_code ? 'D' : 'M', column, code});
        }
    }
    return path;
}

/// Merges D I and I D into M: Plan 7 has no transitions between the two.
std::vector<Step> without_insertions_beside_deletions(std::vector<Step> const& path) {
    std::vector<Step> plan;
    for (Step const& step : path) {
        bool const pair = !plan.empty() && ((plan.back().state == 'D' && step.state == 'I') ||
                                            (plan.back().state == 'I' && step.state == 'D'));
        if (!pair) {
            plan.push_back(step);
        } else if (step.state == 'I') {
            plan.back() = {'M', plan.back().node, step.code};
        } else {
            plan.back() = {'M', step.node, plan.back().code};
        }
    }
    return plan;
}

Transition transition_between(char from, char to) {
    if (from == 'M') return to == 'M' ? match_match : to == 'I' ? match_insert : match_delete;
    if (from == 'I') return to == 'M' ? insert_match : insert_insert;
    return to == 'M' ? delete_match : delete_delete;
}

/// Weighted observations.
struct Counts {
    Eigen::Matrix<double, Eigen::Dynamic, amino_acid_count, Eigen::RowMajor> match, insert;
    Eigen::Matrix<double, Eigen::Dynamic, transition_count, Eigen::RowMajor> transitions;

    explicit Counts(std::size_t length) {
        auto const rows = static_cast<Eigen::Index>(length);
        match.setZero(rows, amino_acid_count), insert.setZero(rows + 1, amino_acid_count);
        transitions.setZero(rows + 1, transition_count);
    }

    void emit(Step const& step, double weight) {
        if (step.state == 'D') return;
        auto row = step.state == 'M' ? match.row(static_cast<Eigen::Index>(step.node) - 1)
                                     : insert.row(static_cast<Eigen::Index>(step.node));
        if (is_residue(step.code))
            row(step.code) += weight;
        else
            row.array() += weight / amino_acid_count;
    }

    /// `as_hmmer`: the last emission before missing data is left out, as HMMER 3.3 counts, so that models agree where
    /// many rows end at one column.
    void add(std::vector<Step> const& path, double weight, std::size_t length, bool as_hmmer) {
        if (path.empty()) return;
        Step previous{'M', 0, gap_code}; // begin
        bool const from_begin = path.front().node == (path.front().state == 'I' ? 0u : 1u);
        for (std::size_t i = 0; i < path.size(); ++i) {
            bool const before_missing = i + 1 == path.size() && path[i].node < length;
            if (!(as_hmmer && before_missing)) emit(path[i], weight);
            if (i > 0 || from_begin)
                transitions(static_cast<Eigen::Index>(previous.node),
                            transition_between(previous.state, path[i].state)) += weight;
            previous = path[i];
        }
        if (previous.node == length)
            transitions(static_cast<Eigen::Index>(length), transition_between(previous.state, 'M')) += weight;
    }
};

Counts count(Msa const& msa, std::span<double const> weights, HmmOptions const& options) {
    auto const widths = insertion_widths(msa);
    auto const columns = msa.length() + std::accumulate(widths.begin(), widths.end(), std::size_t{0});
    double const most_of_a_fragment = options.fragment_threshold * static_cast<double>(columns);
    Counts counts{msa.length()};
    for (std::size_t r = 0; r < msa.depth(); ++r) {
        auto const letters = a3m_letters(msa.rows[r]);
        auto const residues = static_cast<double>(std::ranges::count_if(letters, [](char c) { return c != '-'; }));
        counts.add(without_insertions_beside_deletions(path_of(msa.rows[r], residues <= most_of_a_fragment)),
                   weights[r], msa.length(), options.priors);
    }
    return counts;
}

/// Posterior means of the match emissions of counts scaled by `scale`.
ColumnMatrix match_emissions(Counts const& counts, double scale) {
    ColumnMatrix match(counts.match.rows(), amino_acid_count);
    for (Eigen::Index k = 0; k < match.rows(); ++k) {
        std::array<double, amino_acid_count> scaled{};
        for (int a = 0; a < amino_acid_count; ++a) scaled[a] = counts.match(k, a) * scale;
        auto const mean = dirichlet_mixture_mean(scaled);
        for (int a = 0; a < amino_acid_count; ++a) match(k, a) = static_cast<float>(mean[a]);
    }
    return match;
}

/// Bits a node that the model should carry: enough for 45 bits over its length, and 0.59 at least.
double target_relative_entropy(std::size_t length) {
    auto const l = static_cast<double>(length);
    return std::max(0.59, (45 - std::log2(2 / (l * (l + 1)))) / l);
}

/// Effective number of sequences at which the model carries no more than the target; the number of rows if that is not
/// exceeded. Bisection; the relative entropy grows with the counts.
double effective_sequences(Counts const& counts, std::size_t depth, std::size_t length) {
    double const target = target_relative_entropy(length), rows = static_cast<double>(depth);
    auto const entropy_at = [&](double effective) {
        return mean_relative_entropy(match_emissions(counts, effective / rows));
    };
    if (entropy_at(rows) <= target) return rows;
    double low = 0, high = rows;
    for (int step = 0; step < 40 && high - low > 1e-4; ++step) {
        double const middle = 0.5 * (low + high);
        (entropy_at(middle) < target ? low : high) = middle;
    }
    return 0.5 * (low + high);
}

void normalise(Eigen::Ref<Eigen::Matrix<float, 1, Eigen::Dynamic>> values) { values /= values.sum(); }

/// Adds the Dirichlet priors of the three states of every node, or only the fallback of a state nothing left.
TransitionMatrix transition_probabilities(Counts const& counts, double scale, bool priors) {
    static constexpr std::array<double, transition_count> alpha{0.7939, 0.0278, 0.0135, 0.1551, 0.1331, 0.9002, 0.5630};
    static constexpr std::array<double, transition_count> unseen{1, 0, 0, 1, 0, 1, 0};
    static constexpr std::array<std::pair<int, int>, 3> states{{{0, 3}, {3, 2}, {5, 2}}};
    auto const last = counts.transitions.rows() - 1;
    TransitionMatrix result(last + 1, transition_count);
    for (Eigen::Index k = 0; k <= last; ++k) {
        for (auto const& [first, size] : states) {
            bool const none = counts.transitions.row(k).segment(first, size).sum() <= 0;
            double sum = 0;
            for (int t = first; t < first + size; ++t) {
                double const prior = priors ? alpha[t] : none ? unseen[t] : 0;
                double const value = counts.transitions(k, t) * scale + prior;
                result(k, t) = static_cast<float>(value), sum += value;
            }
            result.row(k).segment(first, size) /= static_cast<float>(sum);
        }
        if (k == 0 || k == last) result(k, delete_match) = 1, result(k, delete_delete) = 0;
        if (k == last && result(k, match_delete) > 0) {
            result(k, match_delete) = 0;
            normalise(result.row(k).head(3));
        }
    }
    return result;
}

/// Weighted frequencies; the null model where a column has no residue.
ColumnMatrix frequencies(Counts const& counts) {
    ColumnMatrix match = counts.match.cast<float>();
    for (Eigen::Index k = 0; k < match.rows(); ++k) {
        float const sum = match.row(k).sum();
        for (int a = 0; a < amino_acid_count; ++a)
            match(k, a) = sum > 0 ? match(k, a) / sum : static_cast<float>(hmmer_background[a]);
    }
    return match;
}

void set_neff(ProfileHmm& hmm, Msa const& msa, std::span<double const> weights, Counts const& counts) {
    std::vector<float> const single(weights.begin(), weights.end());
    hmm.neff_match = make_profile(msa, single, {.neff_identity = false}).neff_column;
    std::size_t const length = msa.length();
    hmm.neff_insert.assign(length + 1, 0.f), hmm.neff_delete.assign(length, 0.f);
    auto const rows = static_cast<double>(msa.depth());
    for (std::size_t k = 0; k <= length; ++k) {
        auto const node = static_cast<Eigen::Index>(k);
        double const neff = hmm.neff_match[std::min(k, length - 1)];
        hmm.neff_insert[k] = static_cast<float>(neff * counts.transitions(node, match_insert) / rows);
        double const deletions = counts.transitions(node, delete_match) + counts.transitions(node, delete_delete);
        if (k > 0) hmm.neff_delete[k - 1] = static_cast<float>(neff * deletions / rows);
    }
}

} // namespace

std::vector<double> hmm_weights(Msa const& msa) {
    std::size_t const length = msa.length();
    std::vector<double> weights(msa.depth(), 0.0);
    std::vector<int> residues(msa.depth(), 0);
    for (std::size_t c = 0; c < length; ++c) {
        std::array<int, amino_acid_count> seen{};
        for (auto const& row : msa.rows)
            if (is_residue(row.columns[c])) ++seen[row.columns[c]];
        auto const types = static_cast<int>(std::ranges::count_if(seen, [](int n) { return n > 0; }));
        for (std::size_t r = 0; r < msa.depth(); ++r)
            if (Residue const code = msa.rows[r].columns[c]; is_residue(code))
                weights[r] += 1.0 / (types * seen[code]), ++residues[r];
    }
    for (std::size_t r = 0; r < msa.depth(); ++r)
        if (residues[r] > 0) weights[r] /= residues[r];
    double const total = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (double& weight : weights) weight = total > 0 ? weight * static_cast<double>(msa.depth()) / total : 1.0;
    return weights;
}

double mean_relative_entropy(ColumnMatrix const& match) {
    double sum = 0;
    for (Eigen::Index k = 0; k < match.rows(); ++k)
        for (int a = 0; a < amino_acid_count; ++a)
            if (double const p = match(k, a); p > 0) sum += p * std::log2(p / hmmer_background[a]);
    return match.rows() > 0 ? sum / static_cast<double>(match.rows()) : 0;
}

std::vector<double> match_occupancy(ProfileHmm const& hmm) {
    std::vector<double> occupancy(hmm.length());
    double previous = 1;
    for (std::size_t k = 0; k < hmm.length(); ++k) {
        auto const from = hmm.transitions.row(static_cast<Eigen::Index>(k));
        double const stay = static_cast<double>(from(match_match)) + static_cast<double>(from(match_insert));
        occupancy[k] = previous * stay + (1 - previous) * static_cast<double>(from(delete_match));
        previous = occupancy[k];
    }
    return occupancy;
}

ProfileHmm estimate_hmm(Msa const& msa, HmmOptions const& options) {
    std::size_t const length = msa.length();
    if (length == 0) throw data_error{"an alignment without columns has no profile HMM"};
    for (auto const& row : msa.rows)
        if (row.columns.size() != length)
            throw data_error{"alignment row '" + row.id + "' has " + std::to_string(row.columns.size()) +
                             " columns where the query has " + std::to_string(length)};
    auto const weights = hmm_weights(msa);
    Counts const counts = count(msa, weights, options);
    ProfileHmm hmm;
    hmm.name = msa.rows.front().id, hmm.description = msa.rows.front().description;
    hmm.residues = decode_residues(msa.rows.front().columns), hmm.sequences = msa.depth();
    hmm.effective_sequences =
        options.priors ? effective_sequences(counts, msa.depth(), length) : static_cast<double>(msa.depth());
    double const scale = hmm.effective_sequences / static_cast<double>(msa.depth());
    hmm.match = options.priors ? match_emissions(counts, scale) : frequencies(counts);
    hmm.transitions = transition_probabilities(counts, scale, options.priors);
    hmm.insert.resize(static_cast<Eigen::Index>(length) + 1, amino_acid_count);
    for (Eigen::Index k = 0; k < hmm.insert.rows(); ++k)
        for (int a = 0; a < amino_acid_count; ++a) hmm.insert(k, a) = static_cast<float>(hmmer_insertions[a]);
    set_neff(hmm, msa, weights, counts);
    return hmm;
}

} // namespace tape
