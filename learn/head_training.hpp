#pragma once

#include <torch/optim/adamw.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

// What the two convolutional heads share: device, number type, seeded parameters, and one training recipe.
namespace tape {

/// "cpu", "cuda", or "auto" for cuda where there is one. @throws usage_error on another name, error where cuda is
/// missing.
at::Device head_device(std::string const& name);

/// bfloat16 where the hardware multiplies it (GPU, or a CPU with AVX512-BF16, which oneDNN runs on AMX when there),
/// else single precision. Parameters and losses are always in single precision.
at::ScalarType head_compute_type(at::Device const& device);

/// Trainable tensors drawn from one seed, independent of LibTorch's global generator.
class HeadParameters {
  public:
    HeadParameters(std::uint64_t seed, at::Device device);
    /// Normal with the given standard deviation.
    at::Tensor draw(std::vector<std::int64_t> const& shape, double deviation);
    at::Tensor constant(std::vector<std::int64_t> const& shape, double value);
    /// Multipliers of inverted dropout: 0 with the given probability (to 1/256), else 1 / (1 - probability).
    at::Tensor dropout(std::vector<std::int64_t> const& shape, double probability, at::ScalarType type);
    [[nodiscard]] std::vector<at::Tensor> const& tensors() const { return tensors_; }
    [[nodiscard]] std::vector<at::Tensor> snapshot() const;
    void restore(std::vector<at::Tensor> const& saved);

  private:
    at::Generator generator_;
    std::mt19937_64 random_;
    at::Device device_;
    std::vector<at::Tensor> tensors_;
};

/// AdamW (Loshchilov & Hutter, ICLR 2019; decay 0.01), gradient norm clipped to 1, warm-up over the first 5% of the
/// steps and a half-cosine down to a twentieth of the peak rate.
class HeadOptimiser {
  public:
    HeadOptimiser(std::vector<at::Tensor> parameters, double rate, std::int64_t steps);
    /// Back-propagates and updates. A gradient that is not finite changes nothing; @throws tape::error after 20 of them
    /// in a row, for such a network would only predict what it began with.
    void step(at::Tensor const& loss);

  private:
    std::vector<at::Tensor> parameters_;
    torch::optim::AdamW adam_;
    double rate_;
    std::int64_t steps_, done_ = 0;
    int out_of_range_ = 0; ///< steps in a row
};

/// How a network head is trained: passes over the training split until the score has not risen for `patience` of them.
struct EpochPlan {
    std::string name; ///< for the progress line
    int epochs = 0, patience = 0;
    bool quiet = true;
};

struct EpochResult {
    double score = 0;
    int best_epoch = 0, epochs = 0;
    [[nodiscard]] std::string in_words() const; ///< "best epoch 7 of 11"
};

/// @param pass   one pass of training steps
/// @param score  on validation, higher is better; null without validation proteins: the last epoch then stays
/// The parameters of the best epoch are restored.
EpochResult train_epochs(HeadParameters& parameters, EpochPlan const& plan, std::function<void()> const& pass,
                         std::function<double()> const& score);

} // namespace tape
