#include "data/error.hpp"
#include "data/parallel.hpp"
#include "learn/head_rows.hpp"
#include "learn/head_training.hpp"
#include "learn/heads.hpp"
#include "learn/residual_trunk.hpp"
#include "learn/torch_threads.hpp"

#include <torch/types.h>

#include <chrono>
#include <cmath>
#include <memory>

namespace tape {
namespace {

constexpr std::int64_t hidden_size = 128; // TAPE: Conv1D(128, 5, ReLU), Conv1D(classes, 3)
constexpr std::int64_t kernel = 5, output_kernel = 3;
constexpr double dropout_share = 0.25;
constexpr double learning_rate = 1e-3;
constexpr int patience = 4;

/// One split with its labels.
class ResidueSplit {
  public:
    ResidueSplit(std::span<ResidueExample const> examples, std::string name, int width, at::ScalarType type,
                 std::int64_t separator)
        : examples_{examples}, rows_{items(examples), std::move(name), width, type, separator} {
        for (std::size_t n = 0; n < examples.size(); ++n) {
            auto const& example = examples[n];
            if (!example.mask.empty() && example.mask.size() != example.labels.size())
                throw data_error{rows_.name() + " protein " + std::to_string(n) + " has " +
                                 std::to_string(example.labels.size()) + " labels but a mask of " +
                                 std::to_string(example.mask.size())};
        }
    }
    [[nodiscard]] RowSplit& rows() { return rows_; }
    [[nodiscard]] RowSplit const& rows() const { return rows_; }

    /// Class that counts at a position, else -1.
    [[nodiscard]] std::int64_t label(std::size_t n, std::size_t position) const {
        auto const& example = examples_[n];
        return example.mask.empty() || example.mask[position] ? example.labels[position] : -1;
    }

    /// T, -1 where nothing counts.
    [[nodiscard]] at::Tensor labels(std::span<std::size_t const> proteins, PackedRows const& packed) const {
        at::Tensor labels = at::full({packed.inside.size(0)}, -1, at::kLong);
        for (std::size_t k = 0; k < proteins.size(); ++k)
            for (std::int64_t position = 0; position < packed.lengths[k]; ++position)
                labels.data_ptr<std::int64_t>()[packed.begins[k] + position] =
                    label(proteins[k], static_cast<std::size_t>(position));
        return labels;
    }

  private:
    static std::vector<RowSplit::Item> items(std::span<ResidueExample const> examples) {
        std::vector<RowSplit::Item> result;
        for (auto const& example : examples)
            result.push_back({&example.rows, static_cast<std::int64_t>(example.labels.size())});
        return result;
    }

    std::span<ResidueExample const> examples_;
    RowSplit rows_;
};

class ResidueNetwork {
  public:
    ResidueNetwork(std::uint64_t seed, at::Device device) : parameters_{seed, device} {}
    virtual ~ResidueNetwork() = default;
    [[nodiscard]] HeadParameters& parameters() { return parameters_; }
    /// T x classes, single precision.
    [[nodiscard]] virtual at::Tensor logits(PackedRows const& packed, bool train) = 0;

  protected:
    HeadParameters parameters_;
};

/// TAPE's head.
class PublishedNetwork final : public ResidueNetwork {
  public:
    static constexpr std::int64_t separator = kernel / 2;

    PublishedNetwork(int width, int classes, std::uint64_t seed, at::Device device, at::ScalarType type)
        : ResidueNetwork{seed, device}, type_{type} {
        first_ = parameters_.draw({hidden_size, kernel * width}, std::sqrt(2.0 / static_cast<double>(kernel * width)));
        first_bias_ = parameters_.constant({hidden_size}, 0);
        second_ =
            parameters_.draw({output_kernel * classes, hidden_size}, std::sqrt(1.0 / (output_kernel * hidden_size)));
        second_bias_ = parameters_.constant({classes}, 0);
    }

    /// Convolutions as products over packed rows: no padding is ever multiplied.
    [[nodiscard]] at::Tensor logits(PackedRows const& packed, bool train) override {
        auto const width = packed.rows.size(1), total = packed.inside.size(0);
        // Rows t .. t + 4 are contiguous, so that the window of position t is one row of a strided view.
        at::Tensor const windows = packed.rows.as_strided({total, kernel * width}, {width, 1}).contiguous();
        at::Tensor hidden = at::linear(windows, first_.to(type_), first_bias_.to(type_)).relu() * packed.inside;
        if (train) hidden = hidden * parameters_.dropout({total, hidden_size}, dropout_share, type_);
        // T x (tap, class): each tap's share for every position, then the three shares of a position's neighbourhood
        // are added.
        at::Tensor const taps = at::linear(hidden, second_.to(type_)).to(at::kFloat);
        auto const classes = second_bias_.size(0);
        at::Tensor const padded = at::constant_pad_nd(taps, {0, 0, 1, 1}); // beyond the ends is nothing
        return padded.narrow(0, 0, total).narrow(1, 0, classes) +
               padded.narrow(0, 1, total).narrow(1, classes, classes) +
               padded.narrow(0, 2, total).narrow(1, 2 * classes, classes) + second_bias_;
    }

  private:
    at::ScalarType type_;
    at::Tensor first_, first_bias_, second_, second_bias_;
};

class StrongNetwork final : public ResidueNetwork {
  public:
    StrongNetwork(int width, int classes, std::uint64_t seed, at::Device device, at::ScalarType type)
        : ResidueNetwork{seed, device}, trunk_{width, parameters_, type}, out_{parameters_.draw(
                                                                              {classes, ResidualTrunk::hidden},
                                                                              0.1 / std::sqrt(ResidualTrunk::hidden))},
          out_bias_{parameters_.constant({classes}, 0)} {}

    [[nodiscard]] at::Tensor logits(PackedRows const& packed, bool train) override {
        return at::linear(trunk_(packed, train).to(at::kFloat), out_, out_bias_);
    }

  private:
    ResidualTrunk trunk_;
    at::Tensor out_, out_bias_;
};

double validation_accuracy(ResidueNetwork& network, ResidueSplit const& split, at::Device device) {
    at::NoGradGuard const no_gradient;
    std::int64_t right = 0, counted = 0;
    for (auto const& proteins : token_batches(split.rows(), natural_order(split.rows().size()), predict_tokens)) {
        auto const packed = split.rows().pack(proteins, device);
        at::Tensor const labels = split.labels(proteins, packed).to(device), counts = labels.ge(0);
        right += network.logits(packed, false).argmax(1).eq(labels).logical_and(counts).sum().item<std::int64_t>();
        counted += counts.sum().item<std::int64_t>();
    }
    return counted > 0 ? static_cast<double>(right) / static_cast<double>(counted) : 0;
}

std::vector<FeatureMatrix> predict(ResidueNetwork& network, RowSplit const& split, int classes, at::Device device) {
    at::NoGradGuard const no_gradient;
    std::vector<FeatureMatrix> probabilities(split.size(), FeatureMatrix(0, classes));
    for (auto const& proteins : token_batches(split, natural_order(split.size()), predict_tokens)) {
        auto const packed = split.pack(proteins, device);
        at::Tensor const all = network.logits(packed, false).softmax(1).to(at::kCPU).contiguous();
        for (std::size_t k = 0; k < proteins.size(); ++k)
            probabilities[proteins[k]] = Eigen::Map<FeatureMatrix const>{
                all.data_ptr<float>() + packed.begins[k] * classes, packed.lengths[k], classes};
    }
    return probabilities;
}

/// Statistics over all training residues, labelled or not; refuses a split with nothing to learn from.
RunningScaling training_scaling(ResidueSplit const& train, std::vector<int> const& widths, int classes) {
    RunningScaling scaling{widths};
    bool any = false;
    for (std::size_t n = 0; n < train.rows().size(); ++n) {
        scaling.add(train.rows().checked_rows(n));
        for (std::size_t k = 0; k < static_cast<std::size_t>(train.rows().length(n)); ++k) {
            auto const label = train.label(n, k);
            any = any || label >= 0;
            if (label >= classes)
                throw data_error{"training protein " + std::to_string(n) + " has the class label " +
                                 std::to_string(label) + " at position " + std::to_string(k) + ", outside 0.." +
                                 std::to_string(classes - 1)};
        }
    }
    if (!any) throw data_error{"the residue head needs at least one labelled training residue, got none"};
    return scaling;
}

EpochResult train_network(ResidueNetwork& network, ResidueSplit const& train, ResidueSplit const& valid,
                          HeadOptions const& options, at::Device device) {
    std::mt19937_64 random{options.seed};
    std::int64_t const tokens = batch_tokens(train.rows());
    int const epochs = options.max_epochs > 0 ? options.max_epochs : default_epochs(train.rows());
    HeadOptimiser optimiser{network.parameters().tensors(), learning_rate,
                            epochs * (train.rows().tokens() / tokens + 1)};
    auto const pass = [&] {
        for (auto const& proteins : token_batches(train.rows(), shuffled_order(train.rows().size(), random), tokens)) {
            auto const packed = train.rows().pack(proteins, device);
            at::Tensor const labels = train.labels(proteins, packed);
            if (!labels.ge(0).any().item<bool>()) continue; // a mean over nothing
            optimiser.step(
                at::cross_entropy_loss(network.logits(packed, true), labels.to(device), {}, at::Reduction::Mean, -1));
        }
    };
    std::function<double()> score;
    if (valid.rows().size() > 0) score = [&] { return validation_accuracy(network, valid, device); };
    return train_epochs(network.parameters(), {"residue head", epochs, patience, options.quiet}, pass, score);
}

template <class Network>
ResidueFit fit(std::string name, std::int64_t separator, std::span<ResidueExample const> train,
               std::span<ResidueExample const> valid, std::span<ResidueExample const> test, int width, int classes,
               HeadOptions const& options) {
    auto const start = std::chrono::steady_clock::now();
    TorchThreads const scope{resolve_threads(options.threads)};
    at::Device const device = head_device(options.device);
    at::ScalarType const type = head_compute_type(device);
    ResidueSplit train_split{train, "training", width, type, separator},
        valid_split{valid, "validation", width, type, separator}, test_split{test, "test", width, type, separator};
    RunningScaling const scaling = training_scaling(train_split, source_widths(options, width), classes);
    train_split.rows().set_scaling(scaling, true);
    valid_split.rows().set_scaling(scaling, true);
    test_split.rows().set_scaling(scaling, false);
    Network network{width, classes, options.seed, device, type};
    EpochResult const training = train_network(network, train_split, valid_split, options, device);
    ResidueFit fit;
    fit.head = std::move(name);
    fit.hyperparameters = training.in_words();
    fit.valid_score = training.score;
    fit.probabilities = predict(network, test_split.rows(), classes, device);
    fit.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return fit;
}

} // namespace

ResidueFit fit_residue_head(std::span<ResidueExample const> train, std::span<ResidueExample const> valid,
                            std::span<ResidueExample const> test, int width, int classes, HeadOptions const& options) {
    return fit<PublishedNetwork>("convolutional residue head (128 filters of 5, ReLU, then 3)",
                                 PublishedNetwork::separator, train, valid, test, width, classes, options);
}

ResidueFit fit_strong_residue_head(std::span<ResidueExample const> train, std::span<ResidueExample const> valid,
                                   std::span<ResidueExample const> test, int width, int classes,
                                   HeadOptions const& options) {
    return fit<StrongNetwork>(std::string{ResidualTrunk::description} + ", then a linear layer",
                              ResidualTrunk::separator, train, valid, test, width, classes, options);
}

} // namespace tape
