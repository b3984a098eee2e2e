#include "learn/packed_attention.hpp"

#include "learn/amx_products.hpp"
#include "learn/row_kernels.hpp"

#include <ATen/Parallel.h>
#include <ATen/cpu/Utils.h>
#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <type_traits>

namespace tape {
namespace {

namespace blas = at::native::cpublas;

constexpr std::int64_t query_block = 32, key_block = 512; // a block of scores: 64 kB
// Products of few distinct shapes: oneDNN compiles each once a thread and keeps it.
constexpr std::int64_t round_keys = 32, round_queries = 16;
constexpr std::int64_t queries_of_task = 1024;

std::int64_t rounded_up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

/// Queries of one head of one sequence that a thread takes at a time.
struct Task {
    std::int64_t start, length; ///< of the sequence
    std::int64_t head, first, last;
};

std::vector<Task> tasks_of(std::vector<std::int64_t> const& starts, std::int64_t heads) {
    std::vector<Task> tasks;
    for (std::size_t s = 0; s + 1 < starts.size(); ++s)
        for (std::int64_t head = 0; head < heads; ++head) {
            std::int64_t const length = starts[s + 1] - starts[s];
            for (std::int64_t first = 0; first < length; first += queries_of_task)
                tasks.push_back({starts[s], length, head, first, std::min(length, first + queries_of_task)});
        }
    return tasks;
}

/// Working memory of a thread. Value: float or bfloat16.
template <typename Value> class HeadAttention {
  public:
    using Bits = std::conditional_t<std::is_same_v<Value, float>, float, BFloat16Bits>;
    static constexpr bool pairs = !std::is_same_v<Value, float>; ///< bfloat16 products take rows in pairs

    HeadAttention(at::Tensor const& qkv, at::Tensor const& cos, at::Tensor const& sin, at::Tensor const& out,
                  bool causal, at::Tensor const& levels)
        : in_{static_cast<Bits const*>(qkv.const_data_ptr())}, out_{static_cast<Bits*>(out.mutable_data_ptr())},
          cos_{cos.defined() ? cos.const_data_ptr<float>() : nullptr}, sin_{sin.defined() ? sin.const_data_ptr<float>()
                                                                                          : nullptr},
          levels_{levels.defined() ? levels.mutable_data_ptr<float>() : nullptr}, all_{qkv.size(0)}, causal_{causal},
          heads_{qkv.size(2)}, size_{qkv.size(3)}, scores_(query_block * key_block),
          weights_(pairs ? query_block * key_block : 0), queries_(static_cast<std::size_t>(query_block * size_)),
          mixed_(static_cast<std::size_t>(query_block * size_)), peak_(query_block), sum_(query_block),
          rescale_(query_block) {
        if constexpr (pairs) {
            static bool const unit = at::cpu::init_amx();
            if (unit && amx_takes(static_cast<std::size_t>(size_))) tiles_.emplace(static_cast<std::size_t>(size_));
        }
        part_.resize(tiles_ ? mixed_.size() : 0);
    }

    void operator()(Task const& task) {
        if (task.start != packed_start_ || task.head != packed_head_) pack_keys_and_values(task);
        for (std::int64_t first = task.first; first < task.last; first += query_block)
            attend(task, first, std::min(task.last, first + query_block) - first);
    }

  private:
    [[nodiscard]] HeadRows<Bits> head_rows(Task const& task, int part, std::int64_t first, std::int64_t rows,
                                           double scale) const {
        auto const stride = 3 * heads_ * size_;
        bool const turned = part < 2 && cos_ != nullptr;
        return {.in = in_ + (task.start + first) * stride + (part * heads_ + task.head) * size_,
                .stride = static_cast<std::size_t>(stride),
                .cos = turned ? cos_ + first * (size_ / 2) : nullptr,
                .sin = turned ? sin_ + first * (size_ / 2) : nullptr,
                .scale = static_cast<float>(scale),
                .rows = static_cast<std::size_t>(rows),
                .size = static_cast<std::size_t>(size_)};
    }

    void pack_keys_and_values(Task const& task) {
        padded_ = rounded_up(task.length, round_keys);
        auto const length = static_cast<std::size_t>(task.length), size = static_cast<std::size_t>(size_),
                   padded = static_cast<std::size_t>(padded_);
        turned_.resize(length * size);
        keys_.assign(padded * size, Bits{0}), values_.assign(padded * size, Bits{0});
        copy_head(head_rows(task, 1, 0, task.length, 1), turned_.data());
        transpose_head(turned_.data(), length, size, keys_.data(), padded);
        auto const values = head_rows(task, 2, 0, task.length, 1);
        if constexpr (pairs)
            pair_rows(values.in, values.stride, length, size, values_.data());
        else
            copy_head(values, values_.data());
        packed_start_ = task.start, packed_head_ = task.head;
    }

    void attend(Task const& task, std::int64_t first, std::int64_t rows) {
        // Weights are powers of two: log2 e goes into the queries' scale.
        copy_head(head_rows(task, 0, first, rows, std::numbers::log2e / std::sqrt(static_cast<double>(size_))),
                  queries_.data());
        std::ranges::fill(peak_, lowest_peak), std::ranges::fill(sum_, 0.0F);
        std::int64_t const seen = causal_ ? first + rows : task.length;
        for (std::int64_t key = 0; key < seen; key += key_block) {
            std::int64_t const padded = std::min(key_block, rounded_up(seen, round_keys) - key);
            multiply_queries(key, padded, rows);
            if (causal_) hide_keys_ahead(first, rows, key, padded);
            exponentiate(SoftmaxBlock<Bits>{.scores = scores_.data(),
                                            .score_stride = key_block,
                                            .weights = weights(),
                                            .weight_stride = key_block,
                                            .rows = static_cast<std::size_t>(rows),
                                            .count = static_cast<std::size_t>(std::min(key_block, seen - key)),
                                            .padded = static_cast<std::size_t>(padded),
                                            .peak = peak_.data(),
                                            .sum = sum_.data(),
                                            .rescale = rescale_.data()});
            mix_values(key, padded, rows);
        }
        std::int64_t const width = heads_ * size_;
        divide_rows(mixed_.data(), sum_.data(), static_cast<std::size_t>(rows), static_cast<std::size_t>(size_),
                    out_ + (task.start + first) * width + task.head * size_, static_cast<std::size_t>(width));
        for (std::int64_t row = 0; levels_ != nullptr && row < rows; ++row) {
            auto const i = static_cast<std::size_t>(row);
            levels_[task.head * all_ + task.start + first + row] = peak_[i] + std::log2(sum_[i]);
        }
    }

    /// Scores of keys that stand behind their query. A block of keys begins at a multiple of `query_block`, so every
    /// query sees one of it.
    void hide_keys_ahead(std::int64_t first, std::int64_t rows, std::int64_t key, std::int64_t padded) {
        for (std::int64_t row = 0; row < rows; ++row)
            for (std::int64_t ahead = std::max<std::int64_t>(0, first + row + 1 - key); ahead < padded; ++ahead)
                scores_[static_cast<std::size_t>(row * key_block + ahead)] = lowest_peak;
    }

    // Rows behind the last query are computed and not read.
    void multiply_queries(std::int64_t key, std::int64_t padded, std::int64_t rows) {
        if constexpr (pairs)
            if (tiles_) return tiles_->scores(amx_head(key, padded), scores_.data());
        blas::brgemm(rounded_up(rows, round_queries), padded, size_, size_, padded_, key_block, false,
                     as_values(queries_.data()), as_values(keys_.data()) + key * (pairs ? 2 : 1), scores_.data(),
                     pairs);
    }

    void mix_values(std::int64_t key, std::int64_t padded, std::int64_t rows) {
        std::vector<float>& target = tiles_ && key > 0 ? part_ : mixed_;
        if (key > 0)
            for (std::int64_t row = 0; row < rows; ++row)
                for (std::int64_t i = 0; i < size_; ++i)
                    mixed_[static_cast<std::size_t>(row * size_ + i)] *= rescale_[static_cast<std::size_t>(row)];
        if constexpr (pairs)
            if (tiles_) {
                tiles_->mix(amx_head(key, padded), weights(), target.data());
                for (std::size_t i = 0; key > 0 && i < part_.size(); ++i) mixed_[i] += part_[i];
                return;
            }
        blas::brgemm(rounded_up(rows, round_queries), size_, padded, key_block, size_, size_, key > 0,
                     as_values(weights()), as_values(values_.data()) + key * size_, target.data(), pairs);
    }

    [[nodiscard]] AmxHead amx_head(std::int64_t key, std::int64_t padded) const requires pairs {
        return {.queries = queries_.data(),
                .keys = keys_.data() + 2 * key,
                .values = values_.data() + key * size_,
                .size = static_cast<std::size_t>(size_),
                .padded = static_cast<std::size_t>(padded),
                .key_stride = static_cast<std::size_t>(padded_),
                .block_stride = static_cast<std::size_t>(key_block)};
    }

    static Value const* as_values(Bits const* bits) { return reinterpret_cast<Value const*>(bits); }
    [[nodiscard]] Bits* weights() {
        if constexpr (pairs)
            return weights_.data();
        else
            return scores_.data();
    }

    Bits const* in_;
    Bits* out_;
    float const *cos_, *sin_;
    float* levels_; ///< heads x all rows
    std::int64_t all_;
    bool causal_;
    std::int64_t heads_, size_;
    std::int64_t packed_start_ = -1, packed_head_ = -1, padded_ = 0;
    std::vector<float> scores_;          ///< query_block x key_block
    std::vector<Bits> weights_;          ///< the same; float's lie in the scores' place
    std::vector<Bits> queries_, turned_; ///< query_block x size, L x size
    std::vector<Bits> keys_, values_;    ///< size x padded (in pairs of dimensions), padded x size (in pairs of keys)
    std::vector<float> mixed_, part_;    ///< query_block x size
    std::optional<AmxTiles> tiles_;
    std::vector<float> peak_, sum_, rescale_;
};

template <typename Value>
void attend_all(at::Tensor const& qkv, std::vector<std::int64_t> const& starts, at::Tensor const& cos,
                at::Tensor const& sin, at::Tensor const& out, bool causal, at::Tensor const& levels) {
    auto const tasks = tasks_of(starts, qkv.size(2));
    at::parallel_for(0, static_cast<std::int64_t>(tasks.size()), 1, [&](std::int64_t begin, std::int64_t end) {
        HeadAttention<Value> attention{qkv, cos, sin, out, causal, levels};
        for (std::int64_t task = begin; task < end; ++task) attention(tasks[static_cast<std::size_t>(task)]);
        if constexpr (HeadAttention<Value>::pairs) blas::brgemm_release();
    });
}

} // namespace

void PackedTokens::append(std::vector<std::int64_t> const& sequence) {
    if (starts.empty()) starts.push_back(0);
    tokens.insert(tokens.end(), sequence.begin(), sequence.end());
    starts.push_back(static_cast<std::int64_t>(tokens.size()));
}

std::int64_t PackedTokens::longest() const {
    std::int64_t longest = 0;
    for (std::size_t s = 0; s + 1 < starts.size(); ++s) longest = std::max(longest, starts[s + 1] - starts[s]);
    return longest;
}

namespace {

/// Whether bfloat16 has to be multiplied as float: no matrix unit, or no pairs.
bool has_to_widen(at::Tensor const& qkv) {
    return qkv.scalar_type() == at::kBFloat16 && (qkv.size(3) % 2 != 0 || !blas::could_pack(at::kBFloat16));
}

} // namespace

at::Tensor packed_attention(at::Tensor const& qkv, std::vector<std::int64_t> const& starts, at::Tensor const& cos,
                            at::Tensor const& sin) {
    if (has_to_widen(qkv)) return packed_attention(qkv.to(at::kFloat), starts, cos, sin).to(at::kBFloat16);
    at::Tensor out = at::empty({qkv.size(0), qkv.size(2) * qkv.size(3)}, qkv.options());
    out.slice(0, starts.back()).zero_();
    if (qkv.scalar_type() == at::kBFloat16)
        attend_all<at::BFloat16>(qkv, starts, cos, sin, out, false, {});
    else
        attend_all<float>(qkv, starts, cos, sin, out, false, {});
    return out;
}

void packed_attention(at::Tensor const& qkv, std::vector<std::int64_t> const& starts, bool causal,
                      at::Tensor const& out, at::Tensor const& levels) {
    out.slice(0, starts.back()).zero_();
    if (has_to_widen(qkv)) {
        at::Tensor const wide = at::zeros(out.sizes(), at::kFloat);
        attend_all<float>(qkv.to(at::kFloat), starts, {}, {}, wide, causal, levels);
        at::Tensor{out}.copy_(wide);
    } else if (qkv.scalar_type() == at::kBFloat16) {
        attend_all<at::BFloat16>(qkv, starts, {}, {}, out, causal, levels);
    } else {
        attend_all<float>(qkv, starts, {}, {}, out, causal, levels);
    }
}

} // namespace tape
