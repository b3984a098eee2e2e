#include "learn/attention_gradient.hpp"

#include "learn/amx_products.hpp"
#include "learn/training_kernels.hpp"

#include <ATen/Parallel.h>
#include <ATen/cpu/Utils.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <optional>
#include <type_traits>

namespace tape {
namespace {

constexpr std::int64_t block = 32; // queries
constexpr std::int64_t round_keys = 32, round_size = 16;

std::int64_t rounded_up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

float widened(float value) { return value; }
float widened(BFloat16Bits value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16U); }

/// One head of one sequence.
struct Task {
    std::int64_t start, length, head;
};

/// Rows of a head in a matrix of tokens.
template <typename Bits> struct Part {
    Bits* rows;
    std::int64_t stride;
};

/// What both ways of multiplying share: the gradients of a head as sums in float.
struct HeadSums {
    std::vector<float> scores, products;      ///< block x padded
    std::vector<float> queries, keys, values; ///< gradients: block x size, length x size, length x size
    std::vector<float> levels, dots;          ///< block
};

/// Products in float, on any processor.
template <typename Bits> class FloatHead {
  public:
    explicit FloatHead(std::int64_t size) : size_{size} {}

    void take(Part<Bits const> keys, Part<Bits const> values, std::int64_t length, HeadSums& sums) {
        widen(keys, length, 1, keys_), widen(values, length, 1, values_);
        std::ranges::fill(sums.keys, 0.0F), std::ranges::fill(sums.values, 0.0F);
    }
    void multiply(Part<Bits const> queries, Part<Bits const> gradients, double scale, std::int64_t rows,
                  std::int64_t keys, std::int64_t stride, HeadSums& sums) {
        widen(queries, rows, scale, queries_), widen(gradients, rows, 1, gradients_);
        at::Tensor scores = matrix(sums.scores, rows, keys, stride),
                   products = matrix(sums.products, rows, keys, stride);
        at::mm_out(scores, matrix(queries_, rows, size_), matrix(keys_, keys, size_).t());
        at::mm_out(products, matrix(gradients_, rows, size_), matrix(values_, keys, size_).t());
    }
    void add(std::int64_t rows, std::int64_t keys, std::int64_t stride, HeadSums& sums) {
        attention_gradient(AttentionGradientRows{.scores = sums.scores.data(),
                                                 .products = sums.products.data(),
                                                 .level = sums.levels.data(),
                                                 .dot = sums.dots.data(),
                                                 .stride = static_cast<std::size_t>(stride),
                                                 .rows = static_cast<std::size_t>(rounded_up(rows, 2)),
                                                 .padded = static_cast<std::size_t>(rounded_up(keys, round_keys))});
        at::Tensor weights = matrix(sums.scores, rows, keys, stride),
                   gradients = matrix(sums.products, rows, keys, stride);
        at::Tensor of_queries = matrix(sums.queries, rows, size_), of_keys = matrix(sums.keys, keys, size_),
                   of_values = matrix(sums.values, keys, size_);
        at::mm_out(of_queries, gradients, matrix(keys_, keys, size_));
        of_keys.addmm_(gradients.t(), matrix(queries_, rows, size_));
        of_values.addmm_(weights.t(), matrix(gradients_, rows, size_));
    }
    void finish(std::int64_t, HeadSums&) {}

  private:
    void widen(Part<Bits const> part, std::int64_t rows, double scale, std::vector<float>& to) const {
        to.resize(static_cast<std::size_t>(rows * size_));
        for (std::int64_t row = 0; row < rows; ++row)
            for (std::int64_t i = 0; i < size_; ++i)
                to[static_cast<std::size_t>(row * size_ + i)] =
                    static_cast<float>(scale) * widened(part.rows[row * part.stride + i]);
    }
    static at::Tensor matrix(std::vector<float>& values, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
        return at::from_blob(values.data(), {rows, columns}, {stride, 1}, at::TensorOptions{at::kFloat});
    }
    static at::Tensor matrix(std::vector<float>& values, std::int64_t rows, std::int64_t columns) {
        return matrix(values, rows, columns, columns);
    }

    std::int64_t size_;
    std::vector<float> keys_, values_, queries_, gradients_; ///< length x size, and block x size
};

/// Products in bfloat16 on the matrix unit.
class TileHead {
  public:
    explicit TileHead(std::int64_t size)
        : size_{static_cast<std::size_t>(size)}, wide_{static_cast<std::size_t>(rounded_up(size, round_size))},
          tiles_{size_}, queries_(block * size_), gradients_(block * size_), turned_queries_(block * wide_),
          turned_gradients_(block * wide_) {}

    void take(Part<BFloat16Bits const> keys, Part<BFloat16Bits const> values, std::int64_t length, HeadSums&) {
        auto const rows = static_cast<std::size_t>(length);
        padded_ = static_cast<std::size_t>(rounded_up(length, round_keys));
        rows_.resize(rows * size_);
        keys_.assign(padded_ * size_, 0), values_.assign(padded_ * size_, 0), key_pairs_.assign(padded_ * size_, 0);
        copy(keys, rows, rows_.data());
        transpose_head(rows_.data(), rows, size_, keys_.data(), padded_);
        pair_rows(rows_.data(), size_, rows, size_, key_pairs_.data());
        copy(values, rows, rows_.data());
        transpose_head(rows_.data(), rows, size_, values_.data(), padded_);
        key_sums_.assign(wide_ * padded_, 0), value_sums_.assign(wide_ * padded_, 0);
        for (auto* pairs : {&gradient_, &weight_pairs_, &gradient_pairs_}) pairs->resize(block * padded_);
    }
    void multiply(Part<BFloat16Bits const> queries, Part<BFloat16Bits const> gradients, double scale, std::int64_t rows,
                  std::int64_t keys, std::int64_t, HeadSums& sums) {
        auto const count = static_cast<std::size_t>(rows);
        // Rows behind the last must not add anything.
        std::fill(queries_.begin() + rows * static_cast<std::int64_t>(size_), queries_.end(), BFloat16Bits{0});
        std::fill(gradients_.begin() + rows * static_cast<std::int64_t>(size_), gradients_.end(), BFloat16Bits{0});
        copy(queries, count, queries_.data(), static_cast<float>(scale)), copy(gradients, count, gradients_.data());
        transpose_rows(queries_.data(), size_, block, size_, turned_queries_.data(), block);
        transpose_rows(gradients_.data(), size_, block, size_, turned_gradients_.data(), block);
        tiles_.scores(head(queries_, keys_, keys), sums.scores.data());
        tiles_.scores(head(gradients_, values_, keys), sums.products.data());
    }
    void add(std::int64_t, std::int64_t keys, std::int64_t, HeadSums& sums) {
        auto const columns = static_cast<std::size_t>(rounded_up(keys, round_keys));
        attention_gradient(AttentionGradientRows{.scores = sums.scores.data(),
                                                 .products = sums.products.data(),
                                                 .level = sums.levels.data(),
                                                 .dot = sums.dots.data(),
                                                 .stride = padded_,
                                                 .rows = block,
                                                 .padded = columns,
                                                 .gradient = gradient_.data(),
                                                 .weight_pairs = weight_pairs_.data(),
                                                 .gradient_pairs = gradient_pairs_.data()});
        tiles_.mix(head(queries_, keys_, keys), gradient_.data(), sums.queries.data());
        tiles_.add_product(turned_queries_.data(), gradient_pairs_.data(), key_sums_.data(), wide_, columns, padded_);
        tiles_.add_product(turned_gradients_.data(), weight_pairs_.data(), value_sums_.data(), wide_, columns, padded_);
    }
    void finish(std::int64_t length, HeadSums& sums) const {
        for (auto const& [from, to] : {std::pair{&key_sums_, &sums.keys}, {&value_sums_, &sums.values}})
            for (std::size_t row = 0; row < static_cast<std::size_t>(length); ++row)
                for (std::size_t i = 0; i < size_; ++i) (*to)[row * size_ + i] = (*from)[i * padded_ + row];
    }

  private:
    void copy(Part<BFloat16Bits const> part, std::size_t rows, BFloat16Bits* to, float scale = 1) const {
        copy_head(HeadRows<BFloat16Bits>{.in = part.rows,
                                         .stride = static_cast<std::size_t>(part.stride),
                                         .cos = nullptr,
                                         .sin = nullptr,
                                         .scale = scale,
                                         .rows = rows,
                                         .size = size_},
                  to);
    }
    [[nodiscard]] AmxHead head(std::vector<BFloat16Bits> const& queries, std::vector<BFloat16Bits> const& keys,
                               std::int64_t count) const {
        return {.queries = queries.data(),
                .keys = keys.data(),
                .values = key_pairs_.data(),
                .size = size_,
                .padded = static_cast<std::size_t>(rounded_up(count, round_keys)),
                .key_stride = padded_,
                .block_stride = padded_};
    }

    std::size_t size_, wide_, padded_ = 0;
    AmxTiles tiles_;
    std::vector<BFloat16Bits> queries_, gradients_;                      ///< block x size
    std::vector<BFloat16Bits> turned_queries_, turned_gradients_;        ///< wide x block; rows behind `size` stay zero
    std::vector<BFloat16Bits> rows_, keys_, values_, key_pairs_;         ///< of the head, as AmxHead has them
    std::vector<BFloat16Bits> gradient_, weight_pairs_, gradient_pairs_; ///< block x padded
    std::vector<float> key_sums_, value_sums_;                           ///< wide x padded
};

template <typename Bits, typename Head> class HeadGradient {
  public:
    HeadGradient(AttentionGradient const& work, at::Tensor const& result)
        : heads_{work.qkv.size(2)}, size_{work.qkv.size(3)}, all_{work.qkv.size(0)}, causal_{work.causal},
          in_{static_cast<Bits const*>(work.qkv.const_data_ptr())},
          mixed_{static_cast<Bits const*>(work.out.const_data_ptr())}, gradient_{static_cast<Bits const*>(
                                                                           work.gradient.const_data_ptr())},
          levels_{work.levels.const_data_ptr<float>()}, cos_{work.cos.const_data_ptr<float>()},
          sin_{work.sin.const_data_ptr<float>()}, result_{static_cast<Bits*>(result.mutable_data_ptr())}, head_{size_} {
        sums_.levels.resize(block), sums_.dots.resize(block),
            sums_.queries.resize(static_cast<std::size_t>(block * size_));
    }

    void operator()(Task const& task) {
        std::int64_t const padded = rounded_up(task.length, round_keys);
        for (auto* scores : {&sums_.scores, &sums_.products}) scores->resize(static_cast<std::size_t>(block * padded));
        for (auto* rows : {&sums_.keys, &sums_.values}) rows->resize(static_cast<std::size_t>(task.length * size_));
        head_.take(projected(task, 1, 0), projected(task, 2, 0), task.length, sums_);
        double const scale = 1 / std::sqrt(static_cast<double>(size_));
        for (std::int64_t first = 0; first < task.length; first += block) {
            std::int64_t const rows = std::min(block, task.length - first), seen = causal_ ? first + rows : task.length;
            head_.multiply(projected(task, 0, first), token_rows(gradient_, task, first), scale * std::numbers::log2e,
                           rows, seen, padded, sums_);
            if (causal_) hide_keys_ahead(first, rows, padded);
            take_levels(task, first, rows);
            head_.add(rows, seen, padded, sums_);
            write(sums_.queries, task, 0, first, rows, scale);
        }
        head_.finish(task.length, sums_);
        write(sums_.keys, task, 1, 0, task.length, std::numbers::ln2); // of queries in units of log 2
        write(sums_.values, task, 2, 0, task.length, 1);
    }

  private:
    [[nodiscard]] std::int64_t place(Task const& task, int part, std::int64_t first) const {
        return (task.start + first) * 3 * heads_ * size_ + (part * heads_ + task.head) * size_;
    }
    [[nodiscard]] Part<Bits const> projected(Task const& task, int part, std::int64_t first) const {
        return {in_ + place(task, part, first), 3 * heads_ * size_};
    }
    [[nodiscard]] Part<Bits const> token_rows(Bits const* tokens, Task const& task, std::int64_t first) const {
        return {tokens + (task.start + first) * heads_ * size_ + task.head * size_, heads_ * size_};
    }

    void hide_keys_ahead(std::int64_t first, std::int64_t rows, std::int64_t padded) {
        for (std::int64_t row = 0; row < rows; ++row)
            for (std::int64_t key = first + row + 1; key < rounded_up(first + rows, round_keys); ++key)
                sums_.scores[static_cast<std::size_t>(row * padded + key)] = lowest_peak;
    }

    void take_levels(Task const& task, std::int64_t first, std::int64_t rows) {
        std::ranges::fill(sums_.levels, 0.0F), std::ranges::fill(sums_.dots, 0.0F);
        auto const mixed = token_rows(mixed_, task, first), gradient = token_rows(gradient_, task, first);
        for (std::int64_t row = 0; row < rows; ++row) {
            float dot = 0;
            for (std::int64_t i = 0; i < size_; ++i)
                dot += widened(mixed.rows[row * mixed.stride + i]) * widened(gradient.rows[row * gradient.stride + i]);
            sums_.dots[static_cast<std::size_t>(row)] = dot;
            sums_.levels[static_cast<std::size_t>(row)] = levels_[task.head * all_ + task.start + first + row];
        }
    }

    void write(std::vector<float> const& rows, Task const& task, int part, std::int64_t first, std::int64_t count,
               double scale) {
        turn_back({.in = rows.data(),
                   .cos = part < 2 ? cos_ + first * (size_ / 2) : nullptr,
                   .sin = part < 2 ? sin_ + first * (size_ / 2) : nullptr,
                   .scale = static_cast<float>(scale),
                   .rows = static_cast<std::size_t>(count),
                   .size = static_cast<std::size_t>(size_),
                   .out_stride = static_cast<std::size_t>(3 * heads_ * size_)},
                  result_ + place(task, part, first));
    }

    std::int64_t heads_, size_, all_;
    bool causal_;
    Bits const *in_, *mixed_, *gradient_;
    float const *levels_, *cos_, *sin_;
    Bits* result_;
    HeadSums sums_;
    Head head_;
};

template <typename Bits, typename Head>
void run(AttentionGradient const& work, std::vector<std::int64_t> const& starts, at::Tensor const& result) {
    std::vector<Task> tasks;
    for (std::size_t s = 0; s + 1 < starts.size(); ++s)
        for (std::int64_t head = 0; head < work.qkv.size(2); ++head)
            tasks.push_back({starts[s], starts[s + 1] - starts[s], head});
    at::parallel_for(0, static_cast<std::int64_t>(tasks.size()), 1, [&](std::int64_t begin, std::int64_t end) {
        HeadGradient<Bits, Head> gradient{work, result};
        for (std::int64_t task = begin; task < end; ++task) gradient(tasks[static_cast<std::size_t>(task)]);
    });
}

} // namespace

void attention_gradient(AttentionGradient const& work, std::vector<std::int64_t> const& starts,
                        at::Tensor const& result) {
    result.slice(0, starts.back()).zero_();
    static bool const unit = at::cpu::init_amx();
    if (work.qkv.scalar_type() == at::kFloat)
        run<float, FloatHead<float>>(work, starts, result);
    else if (unit && amx_takes(static_cast<std::size_t>(work.qkv.size(3))))
        run<BFloat16Bits, TileHead>(work, starts, result);
    else
        run<BFloat16Bits, FloatHead<BFloat16Bits>>(work, starts, result);
}

} // namespace tape
