#include "align/search.hpp"

#include "align/forward.hpp"
#include "align/gapped.hpp"
#include "align/gapped_scan.hpp"
#include "align/position_scores.hpp"
#include "align/posterior_alignment.hpp"
#include "align/profile_hmm.hpp"
#include "align/scan.hpp"
#include "align/statistics.hpp"
#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/parallel.hpp"
#include "data/progress.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <map>
#include <mutex>
#include <numeric>
#include <utility>

namespace tape {
namespace {

/// Bumped whenever a result may change: part of `search_hash`.
constexpr int algorithm_version = 4;

/// Share of unrelated targets that may pass the ungapped scan, as HMMER's MSV filter (Eddy, PLoS Comput Biol
/// 7:e1002195, 2011).
constexpr double prefilter_probability = 0.02;
/// Share that may pass the gapped scan, twice that of HMMER's Viterbi filter.
constexpr double gapped_probability = 0.002;
/// A permissive E-value in a small database asks for more: this many times the share E / N that is to be reported; of
/// the ungapped scan, up to a limit beyond which nothing but time was seen to change (one round over SCOP40 at .02,
/// .05, .2 and 1).
constexpr double prefilter_slack = 4, prefilter_limit = 0.05;
/// Share of unrelated representatives whose clusters are scanned whole. Against Swiss-Prot (50% clusters, 26 chains,
/// three rounds) .05 finds 99.3% of the targets of a scan of everything, .1 99.4% and .2 100%, in .59, .61 and .67 of
/// its CPU time.
constexpr double near_probability = 0.1;
/// Units a half bit in gapped alignment: finer than BLOSUM62's own, for the composition bias and the profiles to count.
constexpr double score_scale = 4;
/// Gaps of a single sequence in Forward scores: phmmer opens them as often and goes on with .4 (HMMER 3 User's Guide).
/// Chosen on SCOP40 and on Swiss-Prot with reversed decoys (`docs/decisions/005`).
constexpr GapProbabilities sequence_gaps{.open = 0.02, .extend = 0.5};
constexpr SequenceScoreOptions as_they_are{.composition_bias = false};
/// No more Forward scores than this share of the database, or this number, whatever a repetitive query drags in.
constexpr double candidate_share = 0.05;
constexpr std::size_t least_candidates = 20000;
/// Scores of greater E-values are not corrected for composition.
constexpr double composition_evalue = 10;
/// The region of a target that is aligned reaches beyond its Smith-Waterman alignment by as many residues as the query
/// has left there, and these.
constexpr std::size_t region_margin = 10;

struct Found {
    Hit hit;
    double score = 0; ///< Forward, bits
    MsaRow row;       ///< without columns until aligned
};

bool better(Found const& a, Found const& b) {
    if (a.hit.evalue != b.hit.evalue) return a.hit.evalue < b.hit.evalue;
    return a.hit.bits != b.hit.bits ? a.hit.bits > b.hit.bits : a.hit.target < b.hit.target;
}

/// One query's way through the rounds.
class QuerySearch {
  public:
    QuerySearch(Database const& database, Protein const& query, SearchOptions const& options, int threads)
        : database_{database}, query_{query}, codes_{encode_residues(query.residues)}, options_{options},
          threads_{threads}, workspaces_(static_cast<std::size_t>(resolve_threads(threads))) {}

    SearchResult run() {
        SearchResult result;
        result.msa.source = "search of " + database_.path().filename().string();
        result.msa.rows.push_back({query_.id, query_.description, codes_, {}});
        if (codes_.empty()) return result;
        std::vector<std::uint32_t> included;
        std::vector<Found> accepted;
        for (int round = 1;; ++round) {
            Model const model = round == 1 ? sequence_model() : profile_model(profile_rows(accepted));
            bool const last = round == options_.rounds;
            // What a round included is told alike of the last one, which may report fewer.
            double const reach =
                last ? std::max(options_.evalue, options_.inclusion_evalue) : options_.inclusion_evalue;
            accepted = accept(model, reach, round, !last || options_.alignments);
            auto now = included_targets(accepted);
            result.rounds.push_back(summarise(model, included, now));
            result.converged = round > 1 && now == included;
            if (last || now == included || now.empty()) {
                if (!last && options_.evalue > options_.inclusion_evalue)
                    accepted = accept(model, options_.evalue, round, options_.alignments);
                report(accepted, result);
                return result;
            }
            included = std::move(now);
        }
    }

  private:
    /// What a round searches with: one profile in four shapes. The filters' scores allow for the query's composition
    /// beforehand, lest a biased stretch lets everything pass; Forward scores are corrected for it afterwards.
    struct Model {
        PositionScores filter;
        GappedAligner aligner;
        ForwardModel forward;
        EvalueModel evalues;
    };

    [[nodiscard]] Model make_model(PositionScores filter, PositionScores const& scores, ForwardModel forward) const {
        EvalueModel const evalues{forward, database_.size()};
        return {std::move(filter), GappedAligner{round_scores(scores, score_scale)}, std::move(forward), evalues};
    }

    [[nodiscard]] Model sequence_model() const {
        auto const scores = sequence_scores(codes_, as_they_are);
        return make_model(sequence_scores(codes_), scores, make_forward_model(scores, sequence_gaps));
    }

    [[nodiscard]] Model profile_model(Msa const& rows) const {
        auto const hmm = estimate_hmm(rows, {.fragment_threshold = 1});
        auto const scores = profile_scores(hmm, codes_, as_they_are);
        return make_model(profile_scores(hmm, codes_), scores, make_forward_model(scores, hmm.transitions));
    }

    /// Targets worth a Forward score, ascending.
    [[nodiscard]] std::vector<std::uint32_t> candidates(PositionScores const& scores, double evalue) const {
        auto const count = static_cast<double>(database_.size()), length = static_cast<double>(codes_.size());
        double const wanted = prefilter_slack * evalue / count;
        double const ungapped = std::clamp(wanted, prefilter_probability, prefilter_limit);
        auto found = ungapped_survivors(scores, ungapped);
        auto const limit = std::max(least_candidates, static_cast<std::size_t>(candidate_share * count));
        if (found.size() > limit) keep_highest(found, scores, limit);
        double const gapped = std::max(wanted, gapped_probability);
        if (gapped >= ungapped) return found;
        return gapped_above(
            scores, database_, found, [&](double target) { return gapped_threshold(length, target, gapped); },
            threads_);
    }

    /// Targets that reach what this share of unrelated ones do; with clusters, of those whose representatives come
    /// near.
    [[nodiscard]] std::vector<std::uint32_t> ungapped_survivors(PositionScores const& scores,
                                                                double probability) const {
        auto const reached_by = [&](double share) {
            return [length = static_cast<double>(codes_.size()), share](double target) {
                return ungapped_threshold(length, target, share);
            };
        };
        if (!options_.clusters) return scan_above(scores, database_, reached_by(probability), threads_);
        auto const& clusters = *options_.clusters;
        std::vector<std::uint32_t> near;
        for (auto const k : scan_above(scores, database_, clusters.representatives(),
                                       reached_by(std::max(near_probability, probability)), threads_))
            std::ranges::copy(clusters.members(k), std::back_inserter(near));
        std::ranges::sort(near);
        auto found = scan_above(scores, database_, near, reached_by(probability), threads_);
        for (auto& k : found) k = near[k];
        return found;
    }

    void keep_highest(std::vector<std::uint32_t>& targets, PositionScores const& query, std::size_t limit) const {
        auto const scores = ungapped_scores(round_scores(query), database_, targets, threads_);
        std::vector<std::pair<int, std::uint32_t>> order; // minus the score, for ascending sort
        for (std::size_t i = 0; i < targets.size(); ++i) order.emplace_back(-scores[i], targets[i]);
        std::ranges::nth_element(order, order.begin() + static_cast<std::ptrdiff_t>(limit));
        targets.clear();
        for (std::size_t i = 0; i < limit; ++i) targets.push_back(order[i].second);
        std::ranges::sort(targets);
    }

    /// Forward scores of the candidates, less what composition explains of them; those within the E-value, best first,
    /// at most max_hits.
    [[nodiscard]] std::vector<Found> accept(Model const& model, double evalue, int round, bool rows) {
        auto const targets = candidates(model.filter, evalue);
        std::vector<Found> found(targets.size());
        constexpr std::size_t batch = 64;
        parallel_for((targets.size() + batch - 1) / batch, threads_, [&](std::size_t b, int) {
            std::size_t const begin = b * batch, end = std::min(targets.size(), begin + batch);
            std::vector<std::span<Residue const>> residues;
            for (std::size_t i = begin; i < end; ++i) residues.push_back(database_.residues(targets[i]));
            auto const scores = forward_scores(model.forward, residues);
            for (std::size_t i = begin; i < end; ++i) {
                found[i].hit.target = targets[i];
                rate(found[i], model.evalues, scores[i - begin]);
            }
        });
        auto const keep_best = [&] {
            std::erase_if(found, [&](Found const& f) { return f.hit.evalue > evalue; });
            std::ranges::sort(found, better);
            if (found.size() > options_.max_hits) found.resize(options_.max_hits);
        };
        keep_best();
        auto const corrected =
            std::ranges::partition_point(found, [](Found const& f) { return f.hit.evalue <= composition_evalue; });
        align_all({found.begin(), rows ? found.end() : corrected}, model, round);
        if (rows) std::erase_if(found, [&](Found const& f) { return aligned_share(f.row) < options_.min_coverage; });
        keep_best();
        for (auto const& f : found)
            if (includes(f)) first_round_.try_emplace(static_cast<std::uint32_t>(f.hit.target), round);
        return found;
    }

    void rate(Found& found, EvalueModel const& evalues, double score) const {
        found.score = score;
        found.hit.bits = evalues.bits(score);
        found.hit.evalue = evalues.evalue(score, database_.residues(found.hit.target).size());
    }

    [[nodiscard]] bool includes(Found const& found) const { return found.hit.evalue <= options_.inclusion_evalue; }

    /// Fills the rows, and corrects the scores for composition. A target's own region is found by Smith-Waterman, which
    /// takes one of several copies of a domain; within it, pairs are those that local alignments agree on. Where these
    /// agree on none, and where the matrix is too large for them, the Smith-Waterman alignment stands.
    void align_all(std::span<Found> found, Model const& model, int round) {
        std::vector<Alignment> alignments(found.size());
        std::vector<std::size_t> first(found.size());
        std::vector<std::span<Residue const>> regions(found.size());
        parallel_for(found.size(), threads_, [&](std::size_t u, int worker) {
            auto const target = database_.residues(found[u].hit.target);
            auto& alignment = alignments[u] =
                model.aligner.align(target, workspaces_[static_cast<std::size_t>(worker)]);
            auto const begin = static_cast<std::size_t>(alignment.target_begin);
            auto const end = static_cast<std::size_t>(alignment.target_end);
            auto const before = static_cast<std::size_t>(alignment.query_begin) + region_margin;
            auto const after = codes_.size() - static_cast<std::size_t>(alignment.query_end) + region_margin;
            first[u] = begin - std::min(begin, before);
            regions[u] = target.subspan(first[u], std::min(target.size(), end + after) - first[u]);
        });
        std::vector<std::size_t> order(found.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::ranges::stable_sort(order, {}, [&](std::size_t u) { return regions[u].size(); });
        constexpr std::size_t batch = 16;
        parallel_for((order.size() + batch - 1) / batch, threads_, [&](std::size_t b, int) {
            auto const chosen = std::span{order}.subspan(b * batch, std::min(batch, order.size() - b * batch));
            std::vector<std::span<Residue const>> residues;
            for (auto const u : chosen) residues.push_back(regions[u]);
            auto posteriors = posterior_alignments(model.forward, residues);
            for (std::size_t i = 0; i < chosen.size(); ++i) {
                auto const u = chosen[i];
                auto& [alignment, composition_bits] = posteriors[i];
                if (found[u].hit.evalue <= composition_evalue)
                    rate(found[u], model.evalues, found[u].score - composition_bits);
                if (!alignment.operations.empty()) {
                    alignment.target_begin += static_cast<int>(first[u]);
                    alignment.target_end += static_cast<int>(first[u]);
                    alignments[u] = std::move(alignment);
                }
                auto const before = first_round_.find(static_cast<std::uint32_t>(found[u].hit.target));
                found[u].hit.round = before == first_round_.end() ? round : before->second;
                found[u].row = make_row(found[u].hit, alignments[u]);
            }
        });
    }

    /// The last round's hits within the reported E-value, with their rows.
    void report(std::vector<Found>& found, SearchResult& result) const {
        for (auto& f : found) {
            if (f.hit.evalue > options_.evalue) continue;
            result.hits.push_back(f.hit);
            if (options_.alignments) result.msa.rows.push_back(std::move(f.row));
        }
    }

    /// Fills positions and identity of the hit, and makes its row.
    MsaRow make_row(Hit& hit, Alignment const& alignment) const {
        auto const target = database_.residues(hit.target);
        MsaRow row{std::string{database_.id(hit.target)}, {}, std::vector<Residue>(codes_.size(), gap_code), {}};
        std::string letters(static_cast<std::size_t>(alignment.query_begin), '-');
        int i = alignment.query_begin, j = alignment.target_begin, pairs = 0, equal = 0;
        bool inserted = false;
        for (char const operation : alignment.operations) {
            if (operation == 'I') {
                letters += static_cast<char>(std::tolower(static_cast<unsigned char>(residue_letter(target[j++]))));
                inserted = true;
                continue;
            }
            Residue const code = operation == 'M' ? target[j++] : gap_code;
            row.columns[i] = code;
            letters += residue_letter(code);
            pairs += operation == 'M', equal += operation == 'M' && code == codes_[i];
            ++i;
        }
        letters.append(codes_.size() - static_cast<std::size_t>(alignment.query_end), '-');
        if (inserted) row.insertions = std::move(letters);
        hit.query_begin = alignment.query_begin, hit.query_end = alignment.query_end;
        hit.target_begin = alignment.target_begin, hit.target_end = alignment.target_end;
        hit.identity = pairs == 0 ? 0.0F : static_cast<float>(equal) / static_cast<float>(pairs);
        row.description = describe(hit, pairs);
        return row;
    }

    [[nodiscard]] std::string describe(Hit const& hit, int pairs) const {
        char text[128];
        std::snprintf(text, sizeof text, "E=%.2g, bits=%.1f, identity=%.3f, coverage=%.3f, round=%d", hit.evalue,
                      hit.bits, static_cast<double>(hit.identity),
                      static_cast<double>(pairs) / static_cast<double>(codes_.size()), hit.round);
        return text;
    }

    [[nodiscard]] static double aligned_share(MsaRow const& row) {
        auto const residues = std::ranges::count_if(row.columns, [](Residue code) { return code != gap_code; });
        return static_cast<double>(residues) / static_cast<double>(row.columns.size());
    }

    [[nodiscard]] std::vector<std::uint32_t> included_targets(std::vector<Found> const& found) const {
        std::vector<std::uint32_t> targets;
        for (auto const& f : found)
            if (includes(f)) targets.push_back(static_cast<std::uint32_t>(f.hit.target));
        std::ranges::sort(targets);
        return targets;
    }

    [[nodiscard]] SearchRound summarise(Model const& model, std::vector<std::uint32_t> const& before,
                                        std::vector<std::uint32_t> const& now) const {
        std::vector<std::uint32_t> both;
        std::ranges::set_intersection(before, now, std::back_inserter(both));
        return {.included = now.size(),
                .added = now.size() - both.size(),
                .lost = before.size() - both.size(),
                .query_bits = bits_along_diagonal(model.forward, codes_)};
    }

    [[nodiscard]] Msa profile_rows(std::vector<Found> const& found) const {
        Msa msa;
        msa.rows.push_back({query_.id, {}, codes_, {}});
        for (auto const& f : found)
            if (includes(f)) msa.rows.push_back(f.row);
        return msa;
    }

    Database const& database_;
    Protein const& query_;
    std::vector<Residue> codes_;
    SearchOptions const& options_;
    int threads_;
    std::vector<GappedAligner::Workspace> workspaces_;
    std::map<std::uint32_t, int> first_round_;
};

SearchResult search_one(Database const& database, Protein const& query, SearchOptions const& options, int threads) {
    try {
        return QuerySearch{database, query, options, threads}.run();
    } catch (std::exception const&) {
        std::throw_with_nested(error{"searching for '" + query.id + "' in " + database.path().string()});
    }
}

void check(SearchOptions const& options) {
    if (options.rounds < 1) throw usage_error{"rounds: expected 1 or more, saw " + std::to_string(options.rounds)};
    if (!(options.evalue > 0) || !(options.inclusion_evalue > 0)) throw usage_error{"E-values must be above 0"};
}

} // namespace

void search(Database const& database, std::span<Protein const> queries, SearchOptions const& options,
            std::function<void(std::size_t query, SearchResult&&)> const& visit) {
    check(options);
    int const threads = resolve_threads(options.threads);
    Progress progress{"searching", queries.size(), "queries", options.quiet};
    if (queries.size() < static_cast<std::size_t>(threads)) {
        for (std::size_t q = 0; q < queries.size(); ++q) {
            visit(q, search_one(database, queries[q], options, threads));
            progress.advance();
        }
        return;
    }
    // Results that are ready before an earlier one wait here.
    std::map<std::size_t, SearchResult> ready;
    std::size_t next = 0;
    std::mutex mutex;
    parallel_for(queries.size(), threads, [&](std::size_t q, int) {
        auto result = search_one(database, queries[q], options, 1);
        std::lock_guard const lock{mutex};
        ready.emplace(q, std::move(result));
        for (auto first = ready.begin(); first != ready.end() && first->first == next;
             first = ready.erase(first), ++next)
            visit(next, std::move(first->second));
        progress.advance();
    });
}

std::string search_hash(Database const& database, SearchOptions const& options) {
    char text[256];
    std::snprintf(text, sizeof text,
                  "search %d: rounds %d, evalue %.17g, inclusion %.17g, coverage %.17g, hits %zu, alignments %d; ",
                  algorithm_version, options.rounds, options.evalue, options.inclusion_evalue, options.min_coverage,
                  options.max_hits, options.alignments ? 1 : 0);
    // Without clusters the text is that of before there were any: cached results stay valid.
    std::string const clusters = options.clusters ? "; clusters " + options.clusters->content_hash() : "";
    return content_hash(text + database.content_hash() + clusters);
}

} // namespace tape
