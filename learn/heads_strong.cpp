#include "data/error.hpp"
#include "data/parallel.hpp"
#include "learn/head_rows.hpp"
#include "learn/head_training.hpp"
#include "learn/heads.hpp"
#include "learn/linear_model.hpp"
#include "learn/residual_trunk.hpp"
#include "learn/torch_threads.hpp"

#include <torch/types.h>

#include <chrono>
#include <cmath>

// The strong heads of whole proteins: classes and values share everything but the loss.
namespace tape {
namespace {

constexpr std::int64_t attention_heads = 4;
constexpr double pooled_dropout = 0.25;
constexpr double learning_rate = 1e-3;
constexpr int patience = 4;
constexpr char const* pooling = ", attention over positions (4 heads) beside the mean, then a linear layer";

/// Trunk, then for every protein the mean of its positions and four attention-weighted means, then a linear layer.
class ProteinNetwork {
  public:
    ProteinNetwork(std::int64_t width, std::int64_t outputs, std::uint64_t seed, at::Device device, at::ScalarType type)
        : parameters_{seed, device}, device_{device}, trunk_{width, parameters_, type},
          attention_{
              parameters_.draw({attention_heads, ResidualTrunk::hidden}, 0.1 / std::sqrt(ResidualTrunk::hidden))},
          out_{parameters_.draw({outputs, pooled_size}, 0.1 / std::sqrt(pooled_size))}, out_bias_{parameters_.constant(
                                                                                            {outputs}, 0)} {}
    [[nodiscard]] HeadParameters& parameters() { return parameters_; }

    /// proteins x outputs, single precision.
    [[nodiscard]] at::Tensor outputs(PackedRows const& packed, bool train) {
        at::Tensor const rows = trunk_(packed, train).to(at::kFloat); // T x H
        auto const proteins = static_cast<std::int64_t>(packed.begins.size());
        at::Tensor const owner = owners(packed); // T; one past the last protein for what lies outside
        at::Tensor const scores = at::linear(rows, attention_);
        at::Tensor const highest =
            at::zeros({proteins + 1, attention_heads}, scores.options())
                .scatter_reduce(0, owner.unsqueeze(1).expand_as(scores), scores.detach(), "amax", false);
        at::Tensor const share = (scores - highest.index_select(0, owner)).exp();
        auto const summed = [&](at::Tensor const& x) {
            return at::zeros({proteins + 1, x.size(1)}, x.options()).index_add(0, owner, x).narrow(0, 0, proteins);
        };
        at::Tensor const weighted = (share.unsqueeze(2) * rows.unsqueeze(1)).flatten(1);   // T x (heads H)
        at::Tensor const attended = summed(weighted).view({proteins, attention_heads, -1}) // proteins x heads x H
                                    / summed(share).unsqueeze(2);
        at::Tensor const lengths =
            at::tensor(at::ArrayRef<std::int64_t>{packed.lengths}).to(at::kFloat).to(device_).unsqueeze(1);
        at::Tensor pooled = at::cat({attended.flatten(1), summed(rows) / lengths}, 1);
        if (train) pooled = pooled * parameters_.dropout({proteins, pooled_size}, pooled_dropout, at::kFloat);
        return at::linear(pooled, out_, out_bias_);
    }

  private:
    static constexpr std::int64_t pooled_size = (attention_heads + 1) * ResidualTrunk::hidden;

    [[nodiscard]] at::Tensor owners(PackedRows const& packed) const {
        auto const proteins = static_cast<std::int64_t>(packed.begins.size());
        at::Tensor const owner = at::full({packed.inside.size(0)}, proteins, at::kLong);
        for (std::int64_t k = 0; k < proteins; ++k)
            owner.narrow(0, packed.begins[static_cast<std::size_t>(k)], packed.lengths[static_cast<std::size_t>(k)])
                .fill_(k);
        return owner.to(device_);
    }

    HeadParameters parameters_;
    at::Device device_;
    ResidualTrunk trunk_;
    at::Tensor attention_, out_, out_bias_;
};

std::vector<RowSplit::Item> items(std::span<RowsExample const> examples, std::string const& split) {
    std::vector<RowSplit::Item> result;
    for (std::size_t n = 0; n < examples.size(); ++n) {
        if (examples[n].length < 1) throw data_error{split + " protein " + std::to_string(n) + " has no residues"};
        result.push_back({&examples[n].rows, examples[n].length});
    }
    return result;
}

/// The three splits of one fit.
struct Splits {
    RowSplit train, valid, test;
    RunningScaling scaling;

    Splits(std::span<RowsExample const> train_part, std::span<RowsExample const> valid_part,
           std::span<RowsExample const> test_part, int width, HeadOptions const& options, at::ScalarType type)
        : train{items(train_part, "training"), "training", width, type, ResidualTrunk::separator},
          valid{items(valid_part, "validation"), "validation", width, type, ResidualTrunk::separator},
          test{items(test_part, "test"), "test", width, type, ResidualTrunk::separator}, scaling{source_widths(options,
                                                                                                               width)} {
        if (train.size() == 0) throw data_error{"a head needs at least one training protein, got none"};
        for (std::size_t n = 0; n < train.size(); ++n) scaling.add(train.checked_rows(n));
        train.set_scaling(scaling, true);
        valid.set_scaling(scaling, true);
        test.set_scaling(scaling, false);
    }
    Splits(Splits const&) = delete;
    Splits& operator=(Splits const&) = delete;
};

/// N x outputs, in the split's order.
FeatureMatrix predict(ProteinNetwork& network, RowSplit const& split, std::int64_t outputs, bool as_shares,
                      at::Device device) {
    at::NoGradGuard const no_gradient;
    FeatureMatrix result(static_cast<Eigen::Index>(split.size()), outputs);
    for (auto const& proteins : token_batches(split, natural_order(split.size()), predict_tokens)) {
        at::Tensor values = network.outputs(split.pack(proteins, device), false);
        if (as_shares) values = values.softmax(1);
        values = values.to(at::kCPU).contiguous();
        Eigen::Map<FeatureMatrix const> const table{values.data_ptr<float>(), values.size(0), outputs};
        for (std::size_t k = 0; k < proteins.size(); ++k)
            result.row(static_cast<Eigen::Index>(proteins[k])) = table.row(static_cast<Eigen::Index>(k));
    }
    return result;
}

/// @param loss   of the network's outputs for some training proteins
/// @param score  of its outputs for all validation proteins
EpochResult train_network(ProteinNetwork& network, Splits const& splits, std::int64_t outputs, bool as_shares,
                          HeadOptions const& options, at::Device device,
                          std::function<at::Tensor(at::Tensor const&, std::span<std::size_t const>)> const& loss,
                          std::function<double(FeatureMatrix const&)> const& valid_score) {
    std::mt19937_64 random{options.seed};
    auto const& train = splits.train;
    std::int64_t const tokens = batch_tokens(train);
    int const epochs = options.max_epochs > 0 ? options.max_epochs : default_epochs(train);
    HeadOptimiser optimiser{network.parameters().tensors(), learning_rate, epochs * (train.tokens() / tokens + 1)};
    auto const pass = [&] {
        for (auto const& proteins : token_batches(train, shuffled_order(train.size(), random), tokens))
            optimiser.step(loss(network.outputs(train.pack(proteins, device), true), proteins));
    };
    std::function<double()> score;
    if (splits.valid.size() > 0)
        score = [&] { return valid_score(predict(network, splits.valid, outputs, as_shares, device)); };
    return train_epochs(network.parameters(), {"protein head", epochs, patience, options.quiet}, pass, score);
}

std::string head_name() { return std::string{ResidualTrunk::description} + pooling; }

} // namespace

ClassFit fit_strong_class_head(std::span<RowsExample const> train, std::span<RowsExample const> valid,
                               std::span<RowsExample const> test, int width, int classes, HeadOptions const& options) {
    auto const start = std::chrono::steady_clock::now();
    TorchThreads const scope{resolve_threads(options.threads)};
    at::Device const device = head_device(options.device);
    at::ScalarType const type = head_compute_type(device);
    auto const labels_of = [](std::span<RowsExample const> examples) {
        std::vector<int> labels;
        for (auto const& example : examples) labels.push_back(example.class_label);
        return labels;
    };
    auto const labels = labels_of(train), valid_labels = labels_of(valid);
    check_labels(labels, std::ssize(labels), classes, "training");
    check_labels(valid_labels, std::ssize(valid_labels), classes, "validation");
    Splits const splits{train, valid, test, width, options, type};
    ProteinNetwork network{width, classes, options.seed, device, type};
    auto const loss = [&](at::Tensor const& outputs, std::span<std::size_t const> proteins) {
        at::Tensor const targets = at::empty({static_cast<std::int64_t>(proteins.size())}, at::kLong);
        for (std::size_t k = 0; k < proteins.size(); ++k) targets.data_ptr<std::int64_t>()[k] = labels[proteins[k]];
        return at::cross_entropy_loss(outputs, targets.to(device));
    };
    auto const score = [&](FeatureMatrix const& shares) { return accuracy(shares, valid_labels); };
    auto const training = train_network(network, splits, classes, true, options, device, loss, score);
    ClassFit fit;
    fit.head = head_name();
    fit.hyperparameters = training.in_words();
    fit.valid_score = training.score;
    fit.probabilities = predict(network, splits.test, classes, true, device);
    fit.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return fit;
}

ValueFit fit_strong_value_head(std::span<RowsExample const> train, std::span<RowsExample const> valid,
                               std::span<RowsExample const> test, int width, HeadOptions const& options) {
    auto const start = std::chrono::steady_clock::now();
    TorchThreads const scope{resolve_threads(options.threads)};
    at::Device const device = head_device(options.device);
    at::ScalarType const type = head_compute_type(device);
    auto const values_of = [](std::span<RowsExample const> examples) {
        std::vector<double> values;
        for (auto const& example : examples) values.push_back(example.value);
        return values;
    };
    auto const train_values = values_of(train), valid_values = values_of(valid);
    check_values(train_values, std::ssize(train_values), "training");
    check_values(valid_values, std::ssize(valid_values), "validation");
    Splits const splits{train, valid, test, width, options, type};
    double mean = 0, square = 0;
    for (double const value : train_values) mean += value / static_cast<double>(train.size());
    for (double const value : train_values) square += std::pow(value - mean, 2) / static_cast<double>(train.size());
    double const deviation = square > 0 ? std::sqrt(square) : 1;
    ProteinNetwork network{width, 1, options.seed, device, type};
    auto const loss = [&](at::Tensor const& outputs, std::span<std::size_t const> proteins) {
        at::Tensor const values = at::empty({static_cast<std::int64_t>(proteins.size()), 1}, at::kFloat);
        for (std::size_t k = 0; k < proteins.size(); ++k)
            values.data_ptr<float>()[k] = static_cast<float>((train_values[proteins[k]] - mean) / deviation);
        return at::mse_loss(outputs, values.to(device));
    };
    auto const as_values = [&](FeatureMatrix const& outputs) {
        std::vector<double> values;
        for (Eigen::Index n = 0; n < outputs.rows(); ++n)
            values.push_back(mean + deviation * static_cast<double>(outputs(n, 0)));
        return values;
    };
    auto const score = [&](FeatureMatrix const& outputs) { return rank_correlation(as_values(outputs), valid_values); };
    auto const training = train_network(network, splits, 1, false, options, device, loss, score);
    ValueFit fit;
    fit.head = head_name();
    fit.hyperparameters = training.in_words();
    fit.valid_score = training.score;
    fit.values = as_values(predict(network, splits.test, 1, false, device));
    fit.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return fit;
}

} // namespace tape
