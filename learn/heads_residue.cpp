#include "data/error.hpp"
#include "data/parallel.hpp"
#include "data/progress.hpp"
#include "learn/head_data.hpp"
#include "learn/head_training.hpp"
#include "learn/heads.hpp"
#include "learn/torch_threads.hpp"

#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace tape {
namespace {

constexpr std::int64_t hidden_size = 128; // TAPE: Conv1D(128, 5, ReLU), Conv1D(classes, 3)
constexpr std::int64_t kernel = 5, output_kernel = 3;
constexpr std::int64_t separator = 2; // zero rows between packed proteins: half a kernel, so that neighbours never mix
constexpr double dropout_share = 0.25;
constexpr double learning_rate = 1e-3;
constexpr std::int64_t largest_batch = 2048, smallest_batch = 512, predict_tokens = 8192; // residues
constexpr std::int64_t token_step =
    512; // batches are filled up to a multiple: oneDNN compiles its kernels anew for every size
constexpr int patience = 4;
constexpr std::int64_t memory_limit = std::int64_t{2} << 30;

struct Batch {
    at::Tensor
        rows; ///< (T + 4) x D: proteins with two zero rows before, between and after, then zero rows to a round number
    at::Tensor labels; ///< T, -1 where nothing counts
    at::Tensor inside; ///< T x 1, 0 outside proteins
};

/// One split: checked, standardised, packed protein after protein; kept in memory if it is small, else read again batch
/// by batch.
class ResidueSplit {
  public:
    ResidueSplit(std::span<ResidueExample const> examples, std::string name, int width, at::ScalarType type)
        : examples_{examples}, name_{std::move(name)}, width_{width}, type_{type} {
        for (std::size_t n = 0; n < examples.size(); ++n) {
            auto const& example = examples[n];
            if (!example.mask.empty() && example.mask.size() != example.labels.size())
                throw data_error{name_ + " protein " + std::to_string(n) + " has " +
                                 std::to_string(example.labels.size()) + " labels but a mask of " +
                                 std::to_string(example.mask.size())};
            tokens_ += static_cast<std::int64_t>(example.labels.size());
        }
    }
    [[nodiscard]] std::size_t size() const { return examples_.size(); }
    [[nodiscard]] std::int64_t tokens() const { return tokens_; }
    [[nodiscard]] std::int64_t length(std::size_t n) const {
        return static_cast<std::int64_t>(examples_[n].labels.size());
    }
    [[nodiscard]] bool fits_memory() const {
        return tokens_ * width_ * static_cast<std::int64_t>(c10::elementSize(type_)) <= memory_limit;
    }

    [[nodiscard]] FeatureMatrix checked_rows(std::size_t n) const {
        FeatureMatrix rows = examples_[n].rows();
        check_features(rows, width_, name_, n);
        if (rows.rows() != length(n))
            throw data_error{name_ + " protein " + std::to_string(n) + " has " + std::to_string(rows.rows()) +
                             " feature rows for " + std::to_string(length(n)) + " labels"};
        return rows;
    }

    /// @param keep  hold the standardised rows in memory if they are few enough: for splits that are read every epoch
    void set_scaling(RunningScaling const& scaling, bool keep) {
        scaling_ = &scaling;
        if (!keep || !fits_memory()) return;
        for (std::size_t n = 0; n < size(); ++n) kept_.push_back(read(n));
    }

    /// Class that counts at a position, else -1.
    [[nodiscard]] std::int64_t label(std::size_t n, std::size_t position) const {
        auto const& example = examples_[n];
        return example.mask.empty() || example.mask[position] ? example.labels[position] : -1;
    }

    [[nodiscard]] Batch batch(std::span<std::size_t const> proteins, at::Device device) const {
        std::int64_t total = 0;
        for (std::size_t n : proteins) total += length(n) + separator;
        total = (total + token_step - 1) / token_step * token_step;
        at::Tensor rows = at::zeros({total + kernel - 1, width_}, type_);
        at::Tensor labels = at::full({total}, -1, at::kLong), inside = at::zeros({total, 1}, type_);
        std::int64_t offset = 0;
        for (std::size_t n : proteins) {
            rows.narrow(0, offset + separator, length(n)).copy_(kept_.empty() ? read(n) : kept_[n]);
            for (std::int64_t k = 0; k < length(n); ++k)
                labels.data_ptr<std::int64_t>()[offset + k] = label(n, static_cast<std::size_t>(k));
            inside.narrow(0, offset, length(n)).fill_(1);
            offset += length(n) + separator;
        }
        return {rows.to(device), labels.to(device), inside.to(device)};
    }

  private:
    [[nodiscard]] at::Tensor read(std::size_t n) const {
        FeatureMatrix rows = checked_rows(n);
        scaling_->standardise(rows);
        return at::from_blob(rows.data(), {rows.rows(), width_}, at::kFloat).to(type_, false, true);
    }

    std::span<ResidueExample const> examples_;
    std::string name_;
    int width_;
    at::ScalarType type_;
    std::int64_t tokens_ = 0;
    RunningScaling const* scaling_ = nullptr;
    std::vector<at::Tensor> kept_; ///< L x D each
};

class ResidueNetwork {
  public:
    ResidueNetwork(int width, int classes, std::uint64_t seed, at::Device device, at::ScalarType type)
        : parameters_{seed, device}, type_{type}, first_{parameters_.draw(
                                                      {hidden_size, kernel * width},
                                                      std::sqrt(2.0 / static_cast<double>(kernel * width)))},
          first_bias_{parameters_.constant({hidden_size}, 0)}, second_{parameters_.draw(
                                                                   {output_kernel * classes, hidden_size},
                                                                   std::sqrt(1.0 / (output_kernel * hidden_size)))},
          second_bias_{parameters_.constant({classes}, 0)} {}

    [[nodiscard]] HeadParameters& parameters() { return parameters_; }

    /// T x classes, single precision. Convolutions as products over packed rows: no padding is ever multiplied.
    [[nodiscard]] at::Tensor logits(Batch const& batch, bool train) {
        auto const width = batch.rows.size(1), total = batch.rows.size(0) - (kernel - 1);
        // Rows t .. t + 4 are contiguous, so that the window of position t is one row of a strided view.
        at::Tensor const windows = batch.rows.as_strided({total, kernel * width}, {width, 1}).contiguous();
        at::Tensor hidden = at::linear(windows, first_.to(type_), first_bias_.to(type_)).relu() * batch.inside;
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
    HeadParameters parameters_;
    at::ScalarType type_;
    at::Tensor first_, first_bias_, second_, second_bias_;
};

/// Proteins in the given order, cut into runs of about `tokens` residues.
std::vector<std::vector<std::size_t>> token_batches(ResidueSplit const& split, std::vector<std::size_t> const& order,
                                                    std::int64_t tokens) {
    std::vector<std::vector<std::size_t>> batches;
    std::int64_t filled = tokens;
    for (std::size_t n : order) {
        if (split.length(n) == 0) continue;
        if (filled >= tokens) batches.emplace_back(), filled = 0;
        batches.back().push_back(n);
        filled += split.length(n);
    }
    return batches;
}

std::vector<std::size_t> natural_order(std::size_t size) {
    std::vector<std::size_t> order(size);
    for (std::size_t n = 0; n < size; ++n) order[n] = n;
    return order;
}

double validation_accuracy(ResidueNetwork& network, ResidueSplit const& split, at::Device device) {
    at::NoGradGuard const no_gradient;
    std::int64_t right = 0, counted = 0;
    for (auto const& proteins : token_batches(split, natural_order(split.size()), predict_tokens)) {
        Batch const batch = split.batch(proteins, device);
        at::Tensor const counts = batch.labels.ge(0);
        right += network.logits(batch, false).argmax(1).eq(batch.labels).logical_and(counts).sum().item<std::int64_t>();
        counted += counts.sum().item<std::int64_t>();
    }
    return counted > 0 ? static_cast<double>(right) / static_cast<double>(counted) : 0;
}

std::vector<FeatureMatrix> predict(ResidueNetwork& network, ResidueSplit const& split, int classes, at::Device device) {
    at::NoGradGuard const no_gradient;
    std::vector<FeatureMatrix> probabilities(split.size(), FeatureMatrix(0, classes));
    for (auto const& proteins : token_batches(split, natural_order(split.size()), predict_tokens)) {
        at::Tensor const all =
            network.logits(split.batch(proteins, device), false).softmax(1).to(at::kCPU).contiguous();
        std::int64_t offset = 0;
        for (std::size_t n : proteins) {
            probabilities[n] =
                Eigen::Map<FeatureMatrix const>{all.data_ptr<float>() + offset * classes, split.length(n), classes};
            offset += split.length(n) + separator;
        }
    }
    return probabilities;
}

/// Statistics over all training residues, labelled or not; refuses a split with nothing to learn from.
RunningScaling training_scaling(ResidueSplit const& train, int width, int classes) {
    RunningScaling scaling{width};
    bool any = false;
    for (std::size_t n = 0; n < train.size(); ++n) {
        scaling.add(train.checked_rows(n));
        for (std::size_t k = 0; k < static_cast<std::size_t>(train.length(n)); ++k) {
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

/// Small splits need smaller batches and more passes to come to as many steps.
std::int64_t batch_tokens(ResidueSplit const& train) {
    return std::clamp(train.tokens() / 20, smallest_batch, largest_batch);
}
int default_epochs(ResidueSplit const& train) {
    auto const steps = std::max<std::int64_t>(1, train.tokens() / batch_tokens(train));
    return static_cast<int>(std::clamp<std::int64_t>(1000 / steps, 10, 25));
}

struct Training {
    double score;
    int best_epoch, epochs;
};

Training train_network(ResidueNetwork& network, ResidueSplit const& train, ResidueSplit const& valid, int epochs,
                       HeadOptions const& options, at::Device device) {
    std::mt19937_64 random{options.seed};
    std::int64_t const tokens = batch_tokens(train);
    HeadOptimiser optimiser{network.parameters().tensors(), learning_rate, epochs * (train.tokens() / tokens + 1)};
    Progress progress{"residue head", static_cast<std::uint64_t>(epochs), "epochs", options.quiet};
    Training result{-1, 0, 0};
    auto best = network.parameters().snapshot();
    while (result.epochs < epochs && result.epochs - result.best_epoch < patience) {
        ++result.epochs;
        for (auto const& proteins : token_batches(train, shuffled_order(train.size(), random), tokens)) {
            Batch const batch = train.batch(proteins, device);
            if (!batch.labels.ge(0).any().item<bool>()) continue; // a mean over nothing
            optimiser.step(
                at::cross_entropy_loss(network.logits(batch, true), batch.labels, {}, at::Reduction::Mean, -1));
        }
        progress.advance();
        double const score = valid.size() > 0 ? validation_accuracy(network, valid, device) : 0;
        if (score > result.score || valid.size() == 0) {
            result.score = score, result.best_epoch = result.epochs;
            best = network.parameters().snapshot();
        }
    }
    network.parameters().restore(best);
    return result;
}

} // namespace

ResidueFit fit_residue_head(std::span<ResidueExample const> train, std::span<ResidueExample const> valid,
                            std::span<ResidueExample const> test, int width, int classes, HeadOptions const& options) {
    auto const start = std::chrono::steady_clock::now();
    TorchThreads const scope{resolve_threads(options.threads)};
    at::Device const device = head_device(options.device);
    at::ScalarType const type = head_compute_type(device);
    ResidueSplit train_split{train, "training", width, type}, valid_split{valid, "validation", width, type},
        test_split{test, "test", width, type};
    RunningScaling const scaling = training_scaling(train_split, width, classes);
    train_split.set_scaling(scaling, true);
    valid_split.set_scaling(scaling, true);
    test_split.set_scaling(scaling, false);
    ResidueNetwork network{width, classes, options.seed, device, type};
    int const epochs = options.max_epochs > 0 ? options.max_epochs : default_epochs(train_split);
    Training const training = train_network(network, train_split, valid_split, epochs, options, device);
    ResidueFit fit;
    fit.head = "convolutional residue head (128 filters of 5, ReLU, then 3)";
    fit.hyperparameters =
        "best epoch " + std::to_string(training.best_epoch) + " of " + std::to_string(training.epochs);
    fit.valid_score = training.score;
    fit.probabilities = predict(network, test_split, classes, device);
    fit.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return fit;
}

} // namespace tape
