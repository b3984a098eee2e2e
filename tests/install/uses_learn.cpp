#include "learn/encoder.hpp"

bool uses_learn() {
    auto const encoder = tape::load_encoder("transformer", false, {.threads = 1});
    std::vector<tape::Protein> const proteins{{"query", "", "MKTAYIAKQRQISF"}};
    auto const embeddings = encoder->embed(proteins, {.rows = true, .logits = true});
    return embeddings.size() == 1 && embeddings[0].rows.rows() == 14 && embeddings[0].logits.cols() == 33;
}
