#include "data/error.hpp"
#include "data/parallel.hpp"
#include "data/progress.hpp"
#include "learn/head_data.hpp"
#include "learn/head_training.hpp"
#include "learn/heads.hpp"
#include "learn/torch_threads.hpp"

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>

namespace tape {
namespace {

constexpr std::int64_t projection = 32, channels = 32;
constexpr std::int64_t row_kernel = 5;
constexpr std::array<std::int64_t, 4> dilations{1, 2, 4, 1};
constexpr double dropout_share = 0.125;
constexpr double learning_rate = 4e-3;
constexpr std::int64_t crop_size = 128;
constexpr std::int64_t size_step =
    32; // maps are filled up to a multiple: oneDNN compiles its kernels anew for every size
constexpr std::int64_t validation_size = 256; // validation maps are scored on their first residues: cost grows with L^2
constexpr int min_separation = 6, scored_separation = 12;
constexpr std::int64_t memory_limit = std::int64_t{2} << 30;
// Sequence separations at which a new class of the encoding begins; the logarithm follows as one more channel.
constexpr std::array<std::int64_t, 16> separation_bounds{4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128};
constexpr std::int64_t separation_channels = separation_bounds.size() + 2;

/// longest x 18: one-hot class of each separation and its logarithm.
at::Tensor separation_table(std::int64_t longest) {
    at::Tensor const table = at::zeros({longest, separation_channels}, at::kFloat);
    auto values = table.accessor<float, 2>();
    for (std::int64_t s = 0; s < longest; ++s) {
        auto const bin =
            std::upper_bound(separation_bounds.begin(), separation_bounds.end(), s) - separation_bounds.begin();
        values[s][bin] = 1;
        values[s][separation_channels - 1] = static_cast<float>(std::log1p(static_cast<double>(s)) / 5);
    }
    return table;
}

/// Standardised features of a protein, in the compute type.
struct PairFeatures {
    at::Tensor rows;  ///< L x D
    at::Tensor pairs; ///< L x L x C, undefined without pair features
};

class PairSplit {
  public:
    PairSplit(std::span<PairExample const> examples, std::string name, int width, int pair_width, at::ScalarType type)
        : examples_{examples}, name_{std::move(name)}, width_{width}, pair_width_{pair_width}, type_{type} {
        for (std::size_t n = 0; n < size(); ++n) {
            auto const cells = static_cast<std::size_t>(length(n)) * static_cast<std::size_t>(length(n));
            if (examples[n].contacts.size() != cells)
                throw data_error{name_ + " protein " + std::to_string(n) + " of length " + std::to_string(length(n)) +
                                 " has a contact map of " + std::to_string(examples[n].contacts.size()) + " cells"};
            if (pair_width > 0 && !examples[n].pairs)
                throw data_error{name_ + " protein " + std::to_string(n) + " has no pair features, expected " +
                                 std::to_string(pair_width) + " channels"};
            values_ += length(n) * width + static_cast<std::int64_t>(cells) * pair_width;
        }
    }
    [[nodiscard]] std::size_t size() const { return examples_.size(); }
    [[nodiscard]] std::int64_t length(std::size_t n) const { return examples_[n].length; }
    [[nodiscard]] std::int8_t contact(std::size_t n, std::int64_t i, std::int64_t j) const {
        return examples_[n].contacts[static_cast<std::size_t>(i * length(n) + j)];
    }

    [[nodiscard]] FeatureMatrix checked_rows(std::size_t n) const {
        FeatureMatrix rows = examples_[n].rows();
        check_features(rows, width_, name_, n);
        if (rows.rows() != length(n))
            throw data_error{name_ + " protein " + std::to_string(n) + " has " + std::to_string(rows.rows()) +
                             " feature rows for a length of " + std::to_string(length(n))};
        return rows;
    }
    /// (L L) x C
    [[nodiscard]] FeatureMatrix checked_pairs(std::size_t n) const {
        std::vector<float> const values = examples_[n].pairs();
        if (values.size() != static_cast<std::size_t>(length(n) * length(n) * pair_width_))
            throw data_error{name_ + " protein " + std::to_string(n) + " has " + std::to_string(values.size()) +
                             " pair values, expected " + std::to_string(length(n)) + " x " + std::to_string(length(n)) +
                             " x " + std::to_string(pair_width_)};
        FeatureMatrix pairs = Eigen::Map<FeatureMatrix const>{values.data(), length(n) * length(n), pair_width_};
        check_features(pairs, pair_width_, name_ + " (pair features)", n);
        return pairs;
    }

    /// @param keep  hold the standardised values in memory if they are few enough
    void set_scaling(RunningScaling const& rows, RunningScaling const& pairs, bool keep) {
        row_scaling_ = &rows, pair_scaling_ = &pairs;
        if (!keep || values_ * static_cast<std::int64_t>(c10::elementSize(type_)) > memory_limit) return;
        for (std::size_t n = 0; n < size(); ++n) kept_.push_back(read(n));
    }
    [[nodiscard]] PairFeatures features(std::size_t n) const { return kept_.empty() ? read(n) : kept_[n]; }

  private:
    [[nodiscard]] PairFeatures read(std::size_t n) const {
        FeatureMatrix rows = checked_rows(n);
        row_scaling_->standardise(rows);
        PairFeatures features{at::from_blob(rows.data(), {length(n), width_}, at::kFloat).to(type_, false, true), {}};
        if (pair_width_ == 0) return features;
        FeatureMatrix pairs = checked_pairs(n);
        pair_scaling_->standardise(pairs);
        features.pairs =
            at::from_blob(pairs.data(), {length(n), length(n), pair_width_}, at::kFloat).to(type_, false, true);
        return features;
    }

    std::span<PairExample const> examples_;
    std::string name_;
    int width_, pair_width_;
    at::ScalarType type_;
    std::int64_t values_ = 0;
    RunningScaling const *row_scaling_ = nullptr, *pair_scaling_ = nullptr;
    std::vector<PairFeatures> kept_;
};

/// Rows [i, i + size) against columns [j, j + size) of a map, i <= j.
struct Window {
    std::int64_t i = 0, j = 0, size = 0;
};

/// Reads the upper triangle: pixel (i, j), i < j, sees its surroundings in order, so that N- and C-terminal neighbours
/// differ. Entry as in TAPE (both residues' projections; their product added), then residual blocks of two dilated 3 x
/// 3 convolutions.
class PairNetwork {
  public:
    PairNetwork(int width, int pair_width, double log_odds, std::uint64_t seed, at::Device device, at::ScalarType type)
        : parameters_{seed, device}, device_{device}, type_{type} {
        auto const inputs = separation_channels + pair_width;
        project_ = parameters_.draw({projection, row_kernel * width},
                                    std::sqrt(1.0 / static_cast<double>(row_kernel * width)));
        project_bias_ = parameters_.constant({projection}, 0);
        single_ = parameters_.draw({channels, projection}, std::sqrt(0.5 / projection));
        product_ = parameters_.draw({channels, projection}, std::sqrt(1.0 / projection));
        entry_ = parameters_.draw({channels, inputs}, std::sqrt(1.0 / static_cast<double>(inputs)));
        entry_bias_ = parameters_.constant({channels}, 0);
        double const deviation = std::sqrt(2.0 / (9 * channels));
        for (std::size_t k = 0; k < dilations.size(); ++k) {
            first_.push_back(parameters_.draw({channels, channels, 3, 3}, deviation));
            first_bias_.push_back(parameters_.constant({channels}, 0));
            second_.push_back(
                parameters_.draw({channels, channels, 3, 3}, 0.1 * deviation)); // blocks start near the identity
            second_bias_.push_back(parameters_.constant({channels}, 0));
        }
        out_ = parameters_.draw({1, channels, 1, 1}, 0.1 / std::sqrt(channels));
        out_bias_ = parameters_.constant({1}, log_odds);
    }
    [[nodiscard]] HeadParameters& parameters() { return parameters_; }

    /// size x size, single precision
    [[nodiscard]] at::Tensor logits(PairFeatures const& features, Window const& window, bool train) {
        auto const size = window.size, filled = (size + size_step - 1) / size_step * size_step;
        at::Tensor inside; // 1 x channels x filled x filled, only where the map had to be filled up
        if (filled != size) {
            at::Tensor const edge = at::arange(filled, device_).lt(size).to(type_);
            inside =
                (edge.view({1, 1, filled, 1}) * edge.view({1, 1, 1, filled}))
                    .expand({1, channels, filled, filled})
                    .contiguous(at::MemoryFormat::ChannelsLast); // whole, because broadcasting over channels is slow
        }
        auto const masked = [&](at::Tensor const& x) { return inside.defined() ? x * inside : x; };
        at::Tensor map = entry(features, window, filled);
        for (std::size_t k = 0; k < dilations.size(); ++k) {
            at::Tensor inner = convolve(masked(map.relu()), first_[k], first_bias_[k], dilations[k]);
            inner = masked(inner.relu_()); // in place: half of the time beside the convolutions is memory
            // Dropping a whole channel is dropping its weights, at no cost a pixel.
            at::Tensor const weight =
                train ? second_[k] * parameters_.dropout({1, channels, 1, 1}, dropout_share, at::kFloat) : second_[k];
            map = convolve(inner, weight, second_bias_[k], dilations[k]).add_(map);
        }
        at::Tensor const scores = at::conv2d(map.relu_(), out_.to(type_), out_bias_.to(type_));
        return scores.view({filled, filled}).narrow(0, 0, size).narrow(1, 0, size).to(at::kFloat);
    }

  private:
    /// 1 x channels x filled x filled
    at::Tensor entry(PairFeatures const& features, Window const& window, std::int64_t filled) {
        at::Tensor const rows = features.rows.to(device_);
        auto const length = rows.size(0), width = rows.size(1);
        at::Tensor const windows = at::constant_pad_nd(rows, {0, 0, row_kernel / 2, row_kernel / 2})
                                       .as_strided({length, row_kernel * width}, {width, 1})
                                       .contiguous();
        // Scaled to unit mean square (Zhang & Sennrich, NeurIPS 2019): Adam moves every weight by about the learning
        // rate, so the projection of n inputs moves n times as far, and with UniRep's 1,900 the product below ran away.
        at::Tensor const z =
            at::rms_norm(at::linear(windows, project_.to(type_), project_bias_.to(type_)), {projection});
        auto const cut = [&](std::int64_t begin) {
            return at::constant_pad_nd(z.narrow(0, begin, window.size), {0, 0, 0, filled - window.size});
        };
        at::Tensor const zi = cut(window.i), zj = cut(window.j); // filled x projection
        // A zi + A zj + B (zi o zj) for every pair as one product: [zi, 1] times, for each j, [A + B diag(zj); A zj].
        at::Tensor const single = single_.to(type_).t(), product = product_.to(type_).t(); // projection x channels
        at::Tensor const right =
            at::cat({single.unsqueeze(0) + zj.unsqueeze(2) * product.unsqueeze(0), // j x projection x channels
                     zj.matmul(single).unsqueeze(1)},
                    1);
        at::Tensor const left = at::constant_pad_nd(zi, {0, 1}, 1);
        at::Tensor const both = left.matmul(right.permute({1, 0, 2}).reshape({projection + 1, filled * channels}));
        at::Tensor const separation = (at::arange(window.j, window.j + filled, device_).unsqueeze(0) -
                                       at::arange(window.i, window.i + filled, device_).unsqueeze(1))
                                          .abs_();
        at::Tensor given = separations(window.j + filled)
                               .index_select(0, separation.flatten())
                               .view({filled, filled, separation_channels});
        if (features.pairs.defined()) {
            std::int64_t const more = filled - window.size;
            at::Tensor const pairs =
                features.pairs.narrow(0, window.i, window.size).narrow(1, window.j, window.size).to(device_);
            given = at::cat({given, at::constant_pad_nd(pairs, {0, 0, 0, more, 0, more})}, 2);
        }
        at::Tensor const map =
            at::linear(given, entry_.to(type_), entry_bias_.to(type_)).add_(both.view({filled, filled, channels}));
        return map.permute({2, 0, 1}).unsqueeze(0); // channels stay innermost: oneDNN's fast layout
    }

    at::Tensor convolve(at::Tensor const& map, at::Tensor const& weight, at::Tensor const& bias,
                        std::int64_t dilation) const {
        return at::conv2d(map, weight.to(type_).contiguous(at::MemoryFormat::ChannelsLast), bias.to(type_), 1, dilation,
                          dilation);
    }

    at::Tensor const& separations(std::int64_t longest) {
        if (!separations_.defined() || separations_.size(0) < longest)
            separations_ = separation_table(longest + 512).to(type_).to(device_);
        return separations_;
    }

    HeadParameters parameters_;
    at::Device device_;
    at::ScalarType type_;
    at::Tensor project_, project_bias_, single_, product_, entry_, entry_bias_, out_, out_bias_, separations_;
    std::vector<at::Tensor> first_, first_bias_, second_, second_bias_;
};

/// Known pairs of a window with j - i >= 6: target and weight, each size x size.
struct Target {
    at::Tensor contact, weight;
    double count = 0;
};

Target window_target(PairSplit const& split, std::size_t n, Window const& window) {
    Target target{at::zeros({window.size, window.size}), at::zeros({window.size, window.size})};
    auto contact = target.contact.accessor<float, 2>(), weight = target.weight.accessor<float, 2>();
    for (std::int64_t a = 0; a < window.size; ++a)
        for (std::int64_t b = std::max<std::int64_t>(0, window.i + a + min_separation - window.j); b < window.size;
             ++b) {
            auto const known = split.contact(n, window.i + a, window.j + b);
            if (known < 0) continue;
            contact[a][b] = known, weight[a][b] = 1, target.count += 1;
        }
    return target;
}

/// Precision of the L/5 best-scored known pairs with j - i >= 12; nothing without such pairs.
std::optional<double> precision_at_fifth(PairSplit const& split, std::size_t n, at::Tensor const& scores) {
    auto const length = scores.size(0);
    auto const value = scores.accessor<float, 2>();
    std::vector<std::pair<float, bool>> pairs;
    for (std::int64_t i = 0; i < length; ++i)
        for (std::int64_t j = i + scored_separation; j < length; ++j)
            if (auto const known = split.contact(n, i, j); known >= 0) pairs.emplace_back(-value[i][j], known == 1);
    if (pairs.empty()) return std::nullopt;
    auto const top =
        std::min<std::size_t>(pairs.size(), static_cast<std::size_t>(std::max<std::int64_t>(1, length / 5)));
    std::stable_sort(pairs.begin(), pairs.end(), [](auto const& a, auto const& b) { return a.first < b.first; });
    double right = 0;
    for (std::size_t k = 0; k < top; ++k) right += pairs[k].second;
    return right / static_cast<double>(top);
}

double validation_precision(PairNetwork& network, PairSplit const& split) {
    at::NoGradGuard const no_gradient;
    double sum = 0, count = 0;
    for (std::size_t n = 0; n < split.size(); ++n) {
        Window const window{0, 0, std::min(validation_size, split.length(n))};
        if (window.size == 0) continue;
        at::Tensor const scores = network.logits(split.features(n), window, false).to(at::kCPU).contiguous();
        if (auto const precision = precision_at_fifth(split, n, scores)) sum += *precision, count += 1;
    }
    return count > 0 ? sum / count : 0;
}

struct Scalings {
    RunningScaling rows, pairs;
    double contact_share;
};

Scalings training_scalings(PairSplit const& train, std::vector<int> const& widths,
                           std::vector<int> const& pair_widths) {
    Scalings scalings{RunningScaling{widths}, RunningScaling{pair_widths}, 0};
    auto const pair_width = std::accumulate(pair_widths.begin(), pair_widths.end(), 0);
    double contacts = 0, known = 0;
    for (std::size_t n = 0; n < train.size(); ++n) {
        scalings.rows.add(train.checked_rows(n));
        if (pair_width > 0) scalings.pairs.add(train.checked_pairs(n));
        for (std::int64_t i = 0; i < train.length(n); ++i)
            for (std::int64_t j = i + min_separation; j < train.length(n); ++j)
                if (auto const contact = train.contact(n, i, j); contact >= 0) known += 1, contacts += contact;
    }
    if (known == 0)
        throw data_error{"the pair head needs at least one known residue pair with |i - j| >= 6 in training, got none"};
    scalings.contact_share = (contacts + 0.5) / (known + 1);
    return scalings;
}

Window random_window(std::int64_t length, std::mt19937_64& random) {
    Window window{0, 0, std::min(crop_size, length)};
    auto const room = static_cast<std::uint64_t>(length - window.size + 1);
    window.i = static_cast<std::int64_t>(random() % room), window.j = static_cast<std::int64_t>(random() % room);
    if (window.i > window.j) std::swap(window.i, window.j);
    return window;
}

struct Training {
    double score = -1;
    int best_epoch = 0;
};

Training train_network(PairNetwork& network, PairSplit const& train, PairSplit const& valid, int epochs,
                       HeadOptions const& options, at::Device device) {
    std::mt19937_64 random{options.seed};
    HeadOptimiser optimiser{network.parameters().tensors(), learning_rate,
                            epochs * static_cast<std::int64_t>(train.size())};
    Progress progress{"pair head", static_cast<std::uint64_t>(epochs), "epochs", options.quiet};
    Training result;
    auto best = network.parameters().snapshot();
    for (int epoch = 1; epoch <= epochs; ++epoch, progress.advance()) {
        for (std::size_t n : shuffled_order(train.size(), random)) {
            if (train.length(n) <= min_separation) continue;
            Window const window = random_window(train.length(n), random);
            Target const target = window_target(train, n, window);
            if (target.count == 0) continue;
            at::Tensor const logits = network.logits(train.features(n), window, true);
            optimiser.step(at::binary_cross_entropy_with_logits(logits, target.contact.to(device),
                                                                target.weight.to(device), {}, at::Reduction::Sum) /
                           target.count);
        }
        // Scored at half, three quarters and the end: precision over few validation proteins is too noisy to let an
        // epoch of the steep part of the schedule win by chance.
        if (epoch != epochs && epoch != (epochs + 1) / 2 && epoch != (3 * epochs + 3) / 4) continue;
        double const score = valid.size() > 0 ? validation_precision(network, valid) : 0;
        if (score < result.score) continue; // a tie goes to the longer training
        result.score = score, result.best_epoch = epoch;
        best = network.parameters().snapshot();
    }
    network.parameters().restore(best);
    return result;
}

/// L x L probabilities: the upper triangle mirrored, zero near the diagonal.
FeatureMatrix predict_map(PairNetwork& network, PairSplit const& split, std::size_t n) {
    at::NoGradGuard const no_gradient;
    auto const length = split.length(n);
    FeatureMatrix map = FeatureMatrix::Zero(length, length);
    if (length <= min_separation) return map;
    at::Tensor const values =
        network.logits(split.features(n), {0, 0, length}, false).sigmoid().to(at::kCPU).contiguous();
    auto const value = values.accessor<float, 2>();
    for (Eigen::Index i = 0; i < length; ++i)
        for (Eigen::Index j = i + min_separation; j < length; ++j) map(i, j) = map(j, i) = value[i][j];
    return map;
}

} // namespace

PairFit fit_pair_head(std::span<PairExample const> train, std::span<PairExample const> valid,
                      std::span<PairExample const> test, int width, int pair_width, HeadOptions const& options) {
    auto const start = std::chrono::steady_clock::now();
    TorchThreads const scope{resolve_threads(options.threads)};
    at::Device const device = head_device(options.device);
    at::ScalarType const type = head_compute_type(device);
    PairSplit train_split{train, "training", width, pair_width, type},
        valid_split{valid, "validation", width, pair_width, type}, test_split{test, "test", width, pair_width, type};
    Scalings const scalings =
        training_scalings(train_split, source_widths(options, width),
                          options.source_pair_widths.empty() ? std::vector{pair_width} : options.source_pair_widths);
    train_split.set_scaling(scalings.rows, scalings.pairs, true);
    valid_split.set_scaling(scalings.rows, scalings.pairs, true);
    test_split.set_scaling(scalings.rows, scalings.pairs, false);
    double const log_odds = std::log(scalings.contact_share / (1 - scalings.contact_share));
    PairNetwork network{width, pair_width, log_odds, options.seed, device, type};
    int const epochs = options.max_epochs > 0 ? options.max_epochs
                                              : std::clamp(800 / std::max(1, static_cast<int>(train.size())), 6, 20);
    Training const training = train_network(network, train_split, valid_split, epochs, options, device);
    PairFit fit;
    fit.head = "convolutional pair head (32 channels, 4 residual blocks)";
    fit.hyperparameters = "best epoch " + std::to_string(training.best_epoch) + " of " + std::to_string(epochs);
    fit.valid_score = training.score;
    for (std::size_t n = 0; n < test_split.size(); ++n)
        fit.probabilities.push_back(predict_map(network, test_split, n));
    fit.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return fit;
}

} // namespace tape
