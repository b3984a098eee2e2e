#include "align/profile_alignment.hpp"

#include <algorithm>
#include <limits>

namespace tape {
namespace {

constexpr float impossible = -std::numeric_limits<float>::infinity();

/// What a gap costs one side, column by column. Costs are positive.
struct GapTerms {
    std::vector<float> open, close, extend, terminal_extend;
    GapTerms(ColumnProfile const& profile, ProfileGapCosts const& gaps)
        : open(profile.length), close(profile.length), extend(profile.length), terminal_extend(profile.length) {
        for (std::size_t i = 0; i < profile.length; ++i) {
            open[i] = 0.5F * gaps.open * (1 - profile.opens[i]);
            close[i] = 0.5F * gaps.open * (1 - profile.closes[i]);
            extend[i] = gaps.extend * profile.occupancy[i];
            terminal_extend[i] = gaps.terminal_extend * profile.occupancy[i];
        }
    }
};

/// Last row of the three tables: best score of the alignments that end at (i, j) with both columns, with a column of
/// the first alone, with one of the second alone.
struct RowState {
    std::vector<float> both, first, second;
};

// A step of the trace: where each of the three values of a cell came from, two bits each.
enum From : std::uint8_t { from_both = 0, from_first = 1, from_second = 2 };

struct Choice {
    float score;
    std::uint8_t from;
};

/// Ties prefer `both`, then `first`.
Choice best_of(float both, float first, float second) {
    Choice best{both, from_both};
    if (first > best.score) best = {first, from_first};
    if (second > best.score) best = {second, from_second};
    return best;
}

class Aligner {
  public:
    Aligner(ColumnProfile const& a, ColumnProfile const& b, ProfileScoring const& scoring)
        : a_{a}, b_{b}, scoring_{scoring}, gaps_a_{a, scoring.gaps}, gaps_b_{b, scoring.gaps}, scores_(b.length) {}

    ProfileAlignment operator()() {
        std::size_t const width = b_.length + 1;
        std::size_t const block = std::max<std::size_t>(1, trace_bytes / width);
        std::vector<RowState> starts{border()}; // state before row 1, 1 + block, 1 + 2 block, ...
        RowState state = starts.front();
        std::vector<std::uint8_t> trace;
        bool const one_block = a_.length <= block;
        for (std::size_t row = 1; row <= a_.length && !one_block; ++row) {
            advance(state, row, nullptr);
            if (row % block == 0 && row < a_.length) starts.push_back(state);
        }
        ProfileAlignment result;
        std::size_t i = a_.length, j = b_.length;
        std::uint8_t from = 0;
        for (std::size_t s = starts.size(); s-- > 0;) {
            std::size_t const begin = s * block, end = std::min(a_.length, begin + block);
            trace.assign((end - begin) * width, 0);
            state = starts[s];
            for (std::size_t row = begin + 1; row <= end; ++row)
                advance(state, row, trace.data() + (row - begin - 1) * width);
            if (end == a_.length) {
                auto const best = best_of(state.both[j], state.first[j], state.second[j]);
                result.score = best.score, from = best.from;
            }
            while (i > begin) {
                std::uint8_t const cell = trace[(i - begin - 1) * width + j];
                result.operations.push_back("MDI"[from]);
                std::uint8_t const before = (cell >> (2 * from)) & 3;
                i -= from != from_second, j -= from != from_first;
                from = before;
            }
        }
        result.operations.append(j, 'I');
        std::ranges::reverse(result.operations);
        return result;
    }

  private:
    static constexpr std::size_t trace_bytes = std::size_t{64} << 20;

    /// Row 0: nothing of the first yet.
    [[nodiscard]] RowState border() const {
        RowState state;
        state.both.assign(b_.length + 1, impossible), state.first = state.second = state.both;
        state.both[0] = 0;
        for (std::size_t j = 1; j <= b_.length; ++j)
            state.second[j] =
                (j == 1 ? -scoring_.gaps.terminal_open : state.second[j - 1]) - gaps_b_.terminal_extend[j - 1];
        return state;
    }

    void score_row(std::size_t i) {
        std::ranges::fill(scores_, 0.0F);
        for (int y = 0; y < amino_acid_count; ++y) {
            float expected = 0;
            for (int x = 0; x < amino_acid_count; ++x)
                expected += a_.residues[static_cast<std::size_t>(x) * a_.length + i] * scoring_.scores[x][y];
            float const* const shares = b_.residues.data() + static_cast<std::size_t>(y) * b_.length;
            for (std::size_t j = 0; j < scores_.size(); ++j) scores_[j] += expected * shares[j];
        }
    }

    /// Row i - 1 becomes row i. `trace` has b.length + 1 cells, or is null.
    void advance(RowState& state, std::size_t i, std::uint8_t* trace) {
        score_row(i - 1);
        std::size_t const last = b_.length;
        float diagonal_both = state.both[0], diagonal_first = state.first[0], diagonal_second = impossible;
        // Left border: the second has not begun.
        state.both[0] = impossible, state.second[0] = impossible;
        state.first[0] = (i == 1 ? -scoring_.gaps.terminal_open : state.first[0]) - gaps_a_.terminal_extend[i - 1];
        if (trace) trace[0] = (i == 1 ? from_both : from_first) << 2;
        // Leaving the left border costs no close: terminal gaps pay at the border only.
        float const open_a = gaps_a_.open[i - 1], close_a = i > 1 ? gaps_a_.close[i - 2] : 0;
        bool const last_row = i == a_.length;
        for (std::size_t j = 1; j <= last; ++j) {
            bool const last_column = j == last;
            float const before_close_b = i > 1 && j > 1 ? gaps_b_.close[j - 2] : 0;
            auto const both =
                best_of(diagonal_both, diagonal_first - (j > 1 ? close_a : 0), diagonal_second - before_close_b);
            // A column of the first alone, from (i - 1, j).
            float const begin_a = last_column ? scoring_.gaps.terminal_open : open_a;
            float const extend_a = last_column ? gaps_a_.terminal_extend[i - 1] : gaps_a_.extend[i - 1];
            float const leave_b = i > 1 ? gaps_b_.close[j - 1] : 0;
            auto const first = best_of(state.both[j] - begin_a, state.first[j], state.second[j] - leave_b - begin_a);
            // A column of the second alone, from (i, j - 1).
            float const begin_b = last_row ? scoring_.gaps.terminal_open : gaps_b_.open[j - 1];
            float const extend_b = last_row ? gaps_b_.terminal_extend[j - 1] : gaps_b_.extend[j - 1];
            float const leave_a = j > 1 ? gaps_a_.close[i - 1] : 0;
            auto const second =
                best_of(state.both[j - 1] - begin_b, state.first[j - 1] - leave_a - begin_b, state.second[j - 1]);
            diagonal_both = state.both[j], diagonal_first = state.first[j], diagonal_second = state.second[j];
            state.both[j] = both.score + scores_[j - 1];
            state.first[j] = first.score - extend_a;
            state.second[j] = second.score - extend_b;
            if (trace) trace[j] = static_cast<std::uint8_t>(both.from | first.from << 2 | second.from << 4);
        }
    }

    ColumnProfile const& a_;
    ColumnProfile const& b_;
    ProfileScoring const& scoring_;
    GapTerms gaps_a_, gaps_b_;
    std::vector<float> scores_; ///< of one row of column pairs
};

} // namespace

ColumnProfile::ColumnProfile(std::span<PlacedRow const> rows, std::size_t columns)
    : length{columns}, residues(columns * amino_acid_count), occupancy(columns), opens(columns), closes(columns) {
    double total = 0;
    for (auto const& row : rows) total += static_cast<double>(row.weight);
    for (auto const& row : rows) {
        float const share = static_cast<float>(static_cast<double>(row.weight) / total);
        std::size_t next = 0; // first column that may open a gap
        for (std::size_t r = 0; r < row.residues.size(); ++r) {
            std::size_t const column = row.columns[r];
            if (column > next) opens[next] += share, closes[column - 1] += share;
            if (row.residues[r] < amino_acid_count) residues[row.residues[r] * columns + column] += share;
            occupancy[column] += share;
            next = column + 1;
        }
        if (next < columns) opens[next] += share, closes[columns - 1] += share;
    }
}

ProfileAlignment align_profiles(ColumnProfile const& a, ColumnProfile const& b, ProfileScoring const& scoring) {
    if (a.length == 0 || b.length == 0) {
        std::string operations(a.length, 'D');
        operations.append(b.length, 'I');
        return {0, std::move(operations)};
    }
    return Aligner{a, b, scoring}();
}

} // namespace tape
