#include "align/pair_posteriors.hpp"

#include "align/flush_denormals.hpp"
#include "align/substitution.hpp"
#include "data/error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

// Scalable vectors cannot be held in arrays; those machines take the NEON path.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "align/pair_posteriors.cpp"
// foreach_target.h comes first: it includes this file again for every target.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/aligned_allocator.h>
#include <hwy/highway.h>
// clang-format on

#ifndef TAPE_PAIR_POSTERIORS_ONCE
#define TAPE_PAIR_POSTERIORS_ONCE
namespace tape {

/// Transitions with 1 / long_extend taken out of every residue, so that long gaps keep their size. `end_*`: what ends
/// the alignment in each state, the mirror of the beginning.
struct ScaledTransitions {
    float residue, match, stay, short_close, long_close, short_open, short_extend, long_open;
    float begin_pair, begin_short, begin_long, end_short, end_long;

    explicit ScaledTransitions(PairModel const& m)
        : residue{1 / m.long_extend}, match{residue * residue}, stay{1 - 2 * (m.short_open + m.long_open)},
          short_close{1 - m.short_extend}, long_close{1 - m.long_extend}, short_open{residue * m.short_open},
          short_extend{residue * m.short_extend}, long_open{residue * m.long_open}, begin_pair{m.begin_pair},
          begin_short{residue * m.begin_short}, begin_long{residue * m.begin_long},
          end_short{m.begin_short * (1 - m.short_extend) / (m.begin_pair * m.short_open)},
          end_long{m.begin_long * (1 - m.long_extend) / (m.begin_pair * m.long_open)} {}
};

/// One pair's result before it is put in order: entries from the last residue to the first, and what tells whether
/// single precision was enough.
struct LaneResult {
    struct Found {
        std::uint32_t row;
        SparsePosteriors::Entry entry;
    };
    std::vector<Found> found;
    bool exact = true;
};

} // namespace tape
#endif

HWY_BEFORE_NAMESPACE();
namespace tape::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using Floats = hn::Vec<FloatTag>;
constexpr std::size_t lane_count = hn::MaxLanes(FloatTag{});

std::size_t lanes() { return lane_count; }

// Rows of the tables over the positions 0 ... width of the lanes' sequences, a vector each. Position p is the border
// between residues p - 1 and p.
class Rows {
  public:
    Rows(std::size_t width, ScaledTransitions const& t)
        : t_{t}, width_{width}, sums_{hwy::AllocateAligned<float>((width + 1) * lane_count)},
          short_{hwy::AllocateAligned<float>((width + 1) * lane_count)}, long_{hwy::AllocateAligned<float>(
                                                                             (width + 1) * lane_count)} {
        std::fill_n(exponents_, lane_count, 0);
    }

    // Before the first row. Lane l begins at position at[l] and goes on in steps of `step`.
    void begin(std::size_t const* at, int step) {
        for (std::size_t i = 0; i < (width_ + 1) * lane_count; ++i) sums_[i] = short_[i] = long_[i] = 0;
        std::fill_n(exponents_, lane_count, 0);
        for (std::size_t l = 0; l < lane_count; ++l) {
            std::size_t const first = at[l] * lane_count + l;
            sums_[first] = t_.begin_pair, short_[first] = t_.begin_short, long_[first] = t_.begin_long;
            float gap = t_.begin_short;
            for (auto p = static_cast<std::ptrdiff_t>(at[l]) + step; p >= 0 && p <= static_cast<std::ptrdiff_t>(width_);
                 p += step) {
                sums_[static_cast<std::size_t>(p) * lane_count + l] =
                    t_.short_close * gap + t_.long_close * t_.begin_long;
                gap *= t_.short_extend;
            }
        }
    }

    // One residue of x. visit(residue, leading, pair) sees, for each residue of the lanes, what leads to its pair with
    // x's, and the pair itself. step 1: position p pairs residue p - 1; step -1: residue p.
    template <int step, class Visit>
    HWY_INLINE void advance(float const* HWY_RESTRICT odds, bool last_row, Visit const& visit) {
        FloatTag const d;
        Floats const stay = hn::Set(d, last_row ? 1.0F : t_.stay);
        Floats const close_short = hn::Set(d, last_row ? t_.end_short : t_.short_close);
        Floats const close_long = hn::Set(d, last_row ? t_.end_long : t_.long_close);
        Floats const open_short = hn::Set(d, t_.short_open), extend_short = hn::Set(d, t_.short_extend);
        Floats const open_long = hn::Set(d, t_.long_open), match = hn::Set(d, t_.match);
        Floats y_short = hn::Zero(d), y_long = hn::Zero(d), top = hn::Zero(d), before = hn::Zero(d);
        auto const cell = [&](std::size_t p, Floats pair) HWY_ATTR {
            float* const sums = sums_.get() + p * lane_count;
            float* const shorts = short_.get() + p * lane_count;
            float* const longs = long_.get() + p * lane_count;
            Floats const x_short = hn::Load(d, shorts), x_long = hn::Load(d, longs);
            before = hn::Load(d, sums);
            Floats const sum = hn::MulAdd(
                stay, pair,
                hn::MulAdd(close_short, hn::Add(x_short, y_short), hn::Mul(close_long, hn::Add(x_long, y_long))));
            hn::Store(sum, d, sums);
            top = hn::Max(top, sum);
            Floats const opened_short = hn::Mul(open_short, pair), opened_long = hn::Mul(open_long, pair);
            hn::Store(hn::MulAdd(extend_short, x_short, opened_short), d, shorts);
            hn::Store(hn::Add(x_long, opened_long), d, longs);
            y_short = hn::MulAdd(extend_short, y_short, opened_short);
            y_long = hn::Add(y_long, opened_long);
        };
        std::size_t p = step > 0 ? 0 : width_;
        cell(p, hn::Zero(d));
        for (std::size_t n = 0; n < width_; ++n) {
            p += static_cast<std::size_t>(step);
            std::size_t const residue = step > 0 ? p - 1 : p;
            Floats const leading = before;
            Floats const pair = hn::Mul(hn::Mul(match, leading), hn::Load(d, odds + residue * lane_count));
            visit(residue, leading, pair);
            cell(p, pair);
        }
        rescale(top);
    }

    [[nodiscard]] int const* exponents() const { return exponents_; }
    [[nodiscard]] float sum(std::size_t position, std::size_t lane) const {
        return sums_[position * lane_count + lane];
    }

  private:
    // Lanes whose greatest value has left the middle of the range get a power of two taken out.
    HWY_INLINE void rescale(Floats top) {
        FloatTag const d;
        constexpr float high = 0x1p40F, low = 0x1p-40F;
        if (hn::AllFalse(d, hn::Or(hn::Gt(top, hn::Set(d, high)), hn::Lt(top, hn::Set(d, low))))) return;
        HWY_ALIGN float tops[lane_count];
        HWY_ALIGN float factors[lane_count];
        hn::Store(top, d, tops);
        for (std::size_t l = 0; l < lane_count; ++l) {
            int const exponent = tops[l] > 0 && (tops[l] > high || tops[l] < low) ? std::ilogb(tops[l]) : 0;
            factors[l] = std::ldexp(1.0F, -exponent);
            exponents_[l] += exponent;
        }
        Floats const factor = hn::Load(d, factors);
        for (std::size_t i = 0; i < (width_ + 1) * lane_count; i += lane_count)
            for (float* const values : {sums_.get() + i, short_.get() + i, long_.get() + i})
                hn::Store(hn::Mul(hn::Load(d, values), factor), d, values);
    }

    ScaledTransitions const& t_;
    std::size_t width_;
    hwy::AlignedFreeUniquePtr<float[]> sums_;  ///< what may lead to a pair one position on, one row on
    hwy::AlignedFreeUniquePtr<float[]> short_; ///< short and long gaps of the next row (residues of x alone)
    hwy::AlignedFreeUniquePtr<float[]> long_;
    int exponents_[lane_count]; ///< powers of two taken out of each lane so far
};

// odds[code][position][lane]; 0 beyond a lane's sequence.
hwy::AlignedFreeUniquePtr<float[]> lane_odds(std::span<std::span<Residue const> const> others, std::size_t width,
                                             PairModel const& model) {
    auto odds = hwy::AllocateAligned<float>(residue_code_count * width * lane_count);
    float* out = odds.get();
    for (int code = 0; code < residue_code_count; ++code)
        for (std::size_t p = 0; p < width; ++p)
            for (std::size_t l = 0; l < lane_count; ++l)
                *out++ = l < others.size() && p < others[l].size() ? model.odds[code][others[l][p]] : 0.0F;
    return odds;
}

// Up to lane_count pairs.
void posterior_lanes(std::span<Residue const> x, std::span<std::span<Residue const> const> others,
                     PairModel const& model, float cutoff, LaneResult* results) {
    FloatTag const d;
    ScaledTransitions const transitions{model};
    std::size_t width = 0, ends[lane_count], starts[lane_count] = {};
    for (auto const& other : others) width = std::max(width, other.size());
    for (std::size_t l = 0; l < lane_count; ++l) ends[l] = l < others.size() ? others[l].size() : 0;
    auto const odds = lane_odds(others, width, model);
    std::size_t const row_size = width * lane_count;
    auto const leading = hwy::AllocateAligned<float>(x.size() * row_size); // forward, before the pair's emission
    std::vector<int> exponents(x.size() * lane_count);
    Rows rows{width, transitions};
    rows.begin(starts, 1);
    for (std::size_t i = 0; i < x.size(); ++i) {
        std::copy_n(rows.exponents(), lane_count, exponents.data() + i * lane_count);
        float* const out = leading.get() + i * row_size;
        rows.advance<1>(odds.get() + x[i] * row_size, i + 1 == x.size(),
                        [&](std::size_t residue, Floats before, Floats)
                            HWY_ATTR { hn::Store(before, d, out + residue * lane_count); });
    }
    double totals[lane_count];
    int total_exponents[lane_count];
    for (std::size_t l = 0; l < lane_count; ++l)
        totals[l] = static_cast<double>(rows.sum(ends[l], l)), total_exponents[l] = rows.exponents()[l];
    rows.begin(ends, -1);
    Floats const threshold = hn::Set(d, cutoff);
    // Each direction begins with this factor and the total has it once.
    double const begin_pair = static_cast<double>(transitions.begin_pair);
    for (std::size_t i = x.size(); i-- > 0;) {
        HWY_ALIGN float factors[lane_count];
        for (std::size_t l = 0; l < lane_count; ++l)
            factors[l] = totals[l] > 0 ? static_cast<float>(std::ldexp(1 / (totals[l] * begin_pair),
                                                                       exponents[i * lane_count + l] +
                                                                           rows.exponents()[l] - total_exponents[l]))
                                       : 0.0F;
        Floats const factor = hn::Load(d, factors);
        float const* const forward = leading.get() + i * row_size;
        rows.advance<-1>(odds.get() + x[i] * row_size, i == 0, [&](std::size_t residue, Floats, Floats pair) HWY_ATTR {
            Floats const probability = hn::Mul(hn::Mul(pair, factor), hn::Load(d, forward + residue * lane_count));
            if (hn::AllFalse(d, hn::Ge(probability, threshold))) return;
            HWY_ALIGN float values[lane_count];
            hn::Store(probability, d, values);
            for (std::size_t l = 0; l < others.size(); ++l)
                if (values[l] >= cutoff)
                    results[l].found.push_back(
                        {static_cast<std::uint32_t>(i),
                         {static_cast<std::uint16_t>(residue),
                          static_cast<std::uint16_t>(std::min(1.0F, values[l]) * posterior_scale + 0.5F)}});
        });
    }
    for (std::size_t l = 0; l < others.size(); ++l) {
        double const backward =
            std::ldexp(static_cast<double>(rows.sum(0, l)), rows.exponents()[l] - total_exponents[l]);
        results[l].exact = totals[l] > 0 && std::abs(backward / totals[l] - 1) < 0.01;
    }
}

} // namespace tape::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tape {
namespace {

HWY_EXPORT(lanes);
HWY_EXPORT(posterior_lanes);

SparsePosteriors in_order(std::vector<LaneResult::Found> const& found, std::size_t rows) {
    SparsePosteriors posteriors;
    posteriors.begin.assign(rows + 1, 0);
    for (auto const& one : found) ++posteriors.begin[one.row + 1];
    for (std::size_t i = 0; i < rows; ++i) posteriors.begin[i + 1] += posteriors.begin[i];
    posteriors.entries.resize(found.size());
    for (std::size_t k = 0; k < found.size(); ++k) posteriors.entries[k] = found[found.size() - 1 - k].entry;
    return posteriors;
}

SparsePosteriors exact_posteriors(std::span<Residue const> x, std::span<Residue const> y, PairModel const& model,
                                  float cutoff) {
    auto const dense = pair_posteriors_reference(x, y, model);
    SparsePosteriors posteriors;
    for (std::size_t i = 0; i < x.size(); ++i) {
        posteriors.begin.push_back(static_cast<std::uint32_t>(posteriors.entries.size()));
        for (std::size_t j = 0; j < y.size(); ++j)
            if (double const p = dense[i * y.size() + j]; p >= static_cast<double>(cutoff))
                posteriors.entries.push_back(
                    {static_cast<std::uint16_t>(j),
                     static_cast<std::uint16_t>(std::min(1.0, p) * static_cast<double>(posterior_scale) + 0.5)});
    }
    posteriors.begin.push_back(static_cast<std::uint32_t>(posteriors.entries.size()));
    return posteriors;
}

void check_length(std::size_t length) {
    if (length == 0 || length > 65535)
        throw data_error{"a sequence of " + std::to_string(length) +
                         " residues has no pair posteriors; they are computed for 1 to 65,535 residues"};
}

double log_sum(double a, double b) {
    double const high = std::max(a, b), low = std::min(a, b);
    return std::isinf(low) ? high : high + std::log1p(std::exp(low - high));
}

/// Logarithms of the five states' sums over a whole table, position (i, j) after i residues of x and j of y.
struct LogTable {
    std::size_t width;
    std::vector<std::array<double, 5>> cells; ///< pair, x short, y short, x long, y long

    LogTable(std::size_t rows, std::size_t columns) : width{columns + 1}, cells((rows + 1) * width) {
        for (auto& cell : cells) cell.fill(-std::numeric_limits<double>::infinity());
    }
    std::array<double, 5>& at(std::size_t i, std::size_t j) { return cells[i * width + j]; }
};

} // namespace

PairModel const& default_pair_model() {
    static PairModel const model = [] {
        PairModel made;
        for (auto& row : made.odds) row.fill(1);
        for (int a = 0; a < amino_acid_count; ++a)
            for (int b = 0; b < amino_acid_count; ++b)
                made.odds[a][b] = static_cast<float>(std::exp(blosum62_lambda() * blosum62[a][b]));
        return made;
    }();
    return model;
}

SparsePosteriors transposed(SparsePosteriors const& posteriors, std::size_t columns) {
    SparsePosteriors result;
    result.begin.assign(columns + 1, 0);
    for (auto const& entry : posteriors.entries) ++result.begin[entry.column + 1U];
    for (std::size_t j = 0; j < columns; ++j) result.begin[j + 1] += result.begin[j];
    result.entries.resize(posteriors.entries.size());
    auto next = result.begin;
    for (std::size_t i = 0; i < posteriors.rows(); ++i)
        for (auto const entry : posteriors.row(i))
            result.entries[next[entry.column]++] = {static_cast<std::uint16_t>(i), entry.probability};
    return result;
}

std::vector<SparsePosteriors> pair_posteriors(std::span<Residue const> x,
                                              std::span<std::span<Residue const> const> others, PairModel const& model,
                                              float cutoff) {
    check_length(x.size());
    for (auto const& other : others) check_length(other.size());
    std::size_t const lanes = HWY_DYNAMIC_DISPATCH(lanes)();
    std::vector<SparsePosteriors> posteriors;
    for (std::size_t begin = 0; begin < others.size(); begin += lanes) {
        auto const batch = others.subspan(begin, std::min(lanes, others.size() - begin));
        std::vector<LaneResult> results(batch.size());
        {
            FlushDenormals const flush;
            HWY_DYNAMIC_DISPATCH(posterior_lanes)(x, batch, model, cutoff, results.data());
        }
        for (std::size_t l = 0; l < batch.size(); ++l)
            posteriors.push_back(results[l].exact ? in_order(results[l].found, x.size())
                                                  : exact_posteriors(x, batch[l], model, cutoff));
    }
    return posteriors;
}

std::size_t pair_posterior_memory(std::size_t x, std::size_t y) {
    return (x + residue_code_count) * y * HWY_DYNAMIC_DISPATCH(lanes)() * sizeof(float);
}

std::vector<double> pair_posteriors_reference(std::span<Residue const> x, std::span<Residue const> y,
                                              PairModel const& model) {
    auto const logarithm = [](float value) { return std::log(static_cast<double>(value)); };
    double const open[2] = {logarithm(model.short_open), logarithm(model.long_open)};
    double const extend[2] = {logarithm(model.short_extend), logarithm(model.long_extend)};
    double const close[2] = {logarithm(1 - model.short_extend), logarithm(1 - model.long_extend)};
    double const stay = logarithm(1 - 2 * (model.short_open + model.long_open));
    double const begin[2] = {logarithm(model.begin_short), logarithm(model.begin_long)};
    double const begin_pair = logarithm(model.begin_pair);
    std::size_t const m = x.size(), n = y.size();
    // Both directions are one routine, the model being its own mirror. Both include a pair's emission, and both begin
    // with begin_pair, which the total has once.
    auto const fill = [&](bool mirrored) {
        LogTable table{m, n};
        for (std::size_t i = 0; i <= m; ++i)
            for (std::size_t j = 0; j <= n; ++j) {
                auto& cell = table.at(i, j);
                if (i > 0 && j > 0) {
                    auto const& from = table.at(i - 1, j - 1);
                    double sum = i == 1 && j == 1 ? begin_pair : stay + from[0];
                    for (std::size_t s = 1; s < 5; ++s) sum = log_sum(sum, from[s] + close[(s - 1) / 2]);
                    Residue const a = mirrored ? x[m - i] : x[i - 1], b = mirrored ? y[n - j] : y[j - 1];
                    cell[0] = sum + logarithm(model.odds[a][b]);
                }
                for (std::size_t kind = 0; kind < 2; ++kind) {
                    auto const gap = [&](std::array<double, 5> const& from, std::size_t state, bool border) {
                        return border ? begin[kind] : log_sum(from[0] + open[kind], from[state] + extend[kind]);
                    };
                    if (i > 0) cell[1 + 2 * kind] = gap(table.at(i - 1, j), 1 + 2 * kind, i == 1 && j == 0);
                    if (j > 0) cell[2 + 2 * kind] = gap(table.at(i, j - 1), 2 + 2 * kind, i == 0 && j == 1);
                }
            }
        return table;
    };
    auto forward = fill(false), backward = fill(true);
    auto const& last = forward.at(m, n);
    double total = last[0];
    for (std::size_t s = 1; s < 5; ++s) {
        std::size_t const kind = (s - 1) / 2;
        total = log_sum(total, last[s] + begin[kind] + close[kind] - begin_pair - open[kind]);
    }
    std::vector<double> posteriors;
    posteriors.reserve(m * n);
    for (std::size_t i = 0; i < m; ++i)
        for (std::size_t j = 0; j < n; ++j)
            posteriors.push_back(std::exp(forward.at(i + 1, j + 1)[0] + backward.at(m - i, n - j)[0] -
                                          logarithm(model.odds[x[i]][y[j]]) - begin_pair - total));
    return posteriors;
}

} // namespace tape
#endif
