#pragma once

#include "data/npy.hpp"
#include "learn/masked_encoder.hpp"

#include <map>
#include <string>
#include <vector>

namespace tape::test {

/// The proteins of tests/golden/make_checkpoint_goldens.py, with or without the long one.
std::vector<Protein> agreement_proteins(bool with_long);

/// Compares everything that an encoder says of the proteins of tests/golden/make_checkpoint_goldens.py, in one batch
/// where it can, with the original program: token ids exactly, values within 2e-5.
void expect_encoder_agrees(MaskedEncoder& encoder, std::map<std::string, Array> const& expected);

} // namespace tape::test
