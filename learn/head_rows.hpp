#pragma once

#include "learn/head_data.hpp"
#include "learn/heads.hpp"

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace tape {

/// Proteins one after another, with `separator` zero rows between them, then zero rows to a round number T, and as many
/// zero rows as a separator has before and after all: a convolution that reaches no further never mixes two of them.
struct PackedRows {
    at::Tensor rows;                  ///< (separator + T + separator) x D
    at::Tensor inside;                ///< T x 1, 0 outside proteins
    std::vector<std::int64_t> begins; ///< of each protein in T
    std::vector<std::int64_t> lengths;
};

/// The rows of one split: checked, standardised, packed on demand; kept in memory if they are few, else read again
/// batch by batch.
class RowSplit {
  public:
    struct Item {
        std::function<FeatureMatrix()> const* rows; ///< L x D
        std::int64_t length;
    };
    /// @param name       "training", "validation" or "test", for messages
    /// @param separator  zero rows between proteins
    RowSplit(std::vector<Item> items, std::string name, int width, at::ScalarType type, std::int64_t separator);

    [[nodiscard]] std::size_t size() const { return items_.size(); }
    [[nodiscard]] std::int64_t tokens() const { return tokens_; } ///< residues of all proteins
    [[nodiscard]] std::int64_t length(std::size_t n) const { return items_[n].length; }
    [[nodiscard]] std::int64_t separator() const { return separator_; }
    [[nodiscard]] std::string const& name() const { return name_; }

    /// As read, not standardised. @throws data_error for values that are not finite or of the wrong shape
    [[nodiscard]] FeatureMatrix checked_rows(std::size_t n) const;
    /// @param keep  hold the standardised rows in memory if they are few enough: for splits that are read every epoch
    void set_scaling(RunningScaling const& scaling, bool keep);
    [[nodiscard]] PackedRows pack(std::span<std::size_t const> proteins, at::Device device) const;

  private:
    [[nodiscard]] at::Tensor read(std::size_t n) const;

    std::vector<Item> items_;
    std::string name_;
    int width_;
    at::ScalarType type_;
    std::int64_t separator_, tokens_ = 0;
    RunningScaling const* scaling_ = nullptr;
    std::vector<at::Tensor> kept_; ///< L x D each
};

/// Proteins in the given order, cut into runs of about `tokens` residues; those without residues are left out.
std::vector<std::vector<std::size_t>> token_batches(RowSplit const& split, std::vector<std::size_t> const& order,
                                                    std::int64_t tokens);
std::vector<std::size_t> natural_order(std::size_t size);

/// Residues of a training batch: small splits need smaller batches and more passes to come to as many steps.
std::int64_t batch_tokens(RowSplit const& train);
int default_epochs(RowSplit const& train);

inline constexpr std::int64_t predict_tokens = 8192; ///< residues of a batch that is only predicted

} // namespace tape
