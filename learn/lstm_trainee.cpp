#include "learn/lstm_trainee.hpp"

#include "data/io.hpp"
#include "data/temporary.hpp"
#include "learn/token_batch.hpp"

#include <ATen/ops/argmax.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tensor.h>
#include <nlohmann/json.hpp>

namespace tape {
namespace {

std::string const root = "lstm.encoder.";

/// Samples and windows are in ESM-2's tokens.
std::vector<std::int64_t> tokens_of_esm(BertVocabulary const& words) {
    std::vector<std::int64_t> all;
    for (int token = 0; token < EsmTokenizer::size; ++token) {
        std::string const name = EsmTokenizer::name(token);
        all.push_back(words.letters[static_cast<unsigned char>(name.size() == 1 ? name.front() : 'X')]);
    }
    all[EsmTokenizer::cls] = words.start, all[EsmTokenizer::eos] = words.end, all[EsmTokenizer::pad] = words.padding;
    all[EsmTokenizer::mask] = words.mask;
    return all;
}

std::vector<std::int64_t> mapped(std::vector<std::int64_t> tokens, std::vector<std::int64_t> const& table) {
    for (auto& token : tokens) token = table[static_cast<std::size_t>(token)];
    return tokens;
}

} // namespace

LstmTrainee::LstmTrainee(TapeLstmConfig const& config, std::uint64_t seed, at::Device device, at::ScalarType precision)
    : config_{config}, device_{device}, precision_{precision}, of_esm_{tokens_of_esm(words_)},
      weights_{drawn_tape_lstm(config, static_cast<std::int64_t>(words_.names.size()), seed)} {
    std::erase_if(weights_, [](auto const& weight) { return weight.first.starts_with("lstm.pooler."); });
    for (auto& [name, weight] : weights_) weight = weight.to(device).requires_grad_(true);
}

std::vector<Parameter> LstmTrainee::parameters() const {
    std::vector<Parameter> all;
    for (auto const& [name, weight] : weights_) all.push_back({name, weight, weight.dim() > 1});
    return all;
}

LstmLayer LstmTrainee::layer(char const* stack, int index) const {
    std::string const prefix = root + stack + "." + std::to_string(index) + ".lstm.";
    auto const lowered = [&](char const* name) { return weights_.at(prefix + name).to(precision_); };
    return {.input = lowered("weight_ih_l0"),
            .recurrent = lowered("weight_hh_l0"),
            .input_bias = lowered("bias_ih_l0"),
            .recurrent_bias = lowered("bias_hh_l0")};
}

/// @return A x 2H: what the forward stack knows before each asked residue, and the reverse one behind it
at::Tensor LstmTrainee::states(std::span<Exercise const> examples) const {
    std::vector<std::vector<std::int64_t>> rows;
    for (auto const& example : examples) rows.push_back(mapped(example.tokens, of_esm_));
    auto const batch = TokenBatch::from(rows, device_, words_.padding);
    at::Tensor const x = at::embedding(weights_.at("lstm.embed_matrix.weight"), batch.tokens); // B x T x input
    at::Tensor const there = batch.tokens.ne(words_.padding); // B x T
    ReadingOrder const order{there.sum(1), batch.tokens.size(1)};
    at::Tensor ahead = x, back = order.reversed(x); // B x T x H
    for (int k = 0; k < config_.layers; ++k)
        ahead = layer("forward_lstm", k).run(ahead), back = layer("reverse_lstm", k).run(back);
    std::vector<std::int64_t> asked;
    for (std::size_t row = 0; row < examples.size(); ++row)
        for (auto const place : examples[row].letter_places)
            asked.push_back(static_cast<std::int64_t>(row) * batch.tokens.size(1) + place);
    // Behind the end of a window there is nothing to know, and the reverse stack has read the padding there last.
    return states_beside(ahead, order.reversed(back) * there.unsqueeze(2))
        .flatten(0, 1)
        .index_select(0, at::tensor(asked, at::kLong).to(device_));
}

Score LstmTrainee::answer(std::span<Exercise const> examples, std::int64_t letters, std::int64_t) {
    std::vector<std::int64_t> answers;
    for (auto const& example : examples) {
        auto const own = mapped(example.letters, of_esm_);
        answers.insert(answers.end(), own.begin(), own.end());
    }
    if (answers.empty()) return {};
    at::Tensor const states = this->states(examples);                      // A x 2H
    at::Tensor const targets = at::tensor(answers, at::kLong).to(device_); // A
    Score score;
    at::Tensor loss;
    for (std::int64_t const begin : {std::int64_t{0}, std::int64_t{config_.hidden}}) {
        at::Tensor const logits = at::linear(states.narrow(1, begin, config_.hidden), weights_.at("feedforward.weight"),
                                             weights_.at("feedforward.bias")); // A x V
        at::Tensor const way = at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum) / 2;
        loss = loss.defined() ? loss + way : way;
        score.letters.right += at::argmax(logits, 1).eq(targets).sum().item<double>() / 2;
    }
    score.letters.loss = loss.item<double>(), score.letters.places = static_cast<double>(answers.size());
    if (loss.requires_grad()) (loss / static_cast<double>(letters)).backward();
    return score;
}

double LstmTrainee::operations(std::span<Exercise const> examples) const {
    double const h = config_.hidden, layers = config_.layers;
    double const token = 2 * 2 * 4 * h * (config_.input + h + (layers - 1) * 2 * h);
    double forward = 0;
    for (auto const& example : examples)
        forward += token * static_cast<double>(example.tokens.size()) +
                   4 * h * static_cast<double>(words_.names.size() * example.letter_places.size());
    return 3 * forward;
}

nlohmann::json LstmTrainee::shape() const {
    return {{"model", "lstm"}, {"input", config_.input}, {"hidden", config_.hidden}, {"layers", config_.layers}};
}

std::string LstmTrainee::description() const {
    return "TAPE's LSTM of protein sequences: an embedding of " + std::to_string(config_.input) + ", then a stack of " +
           std::to_string(config_.layers) + " layers of " + std::to_string(config_.hidden) +
           " units that reads forwards and another that reads backwards, without knowing of each other; TAPE's 30 "
           "tokens. `config.json` "
           "and `model.safetensors` use the names of TAPE's PyTorch port (`ProteinLSTMForLM`), whose pooling layer it "
           "lacks.";
}

void LstmTrainee::save(std::filesystem::path const& directory,
                       std::map<std::string, std::string> const& metadata) const {
    OutputFolder const folder{directory};
    NamedTensors state;
    for (auto const& [name, weight] : weights_)
        state[name] = weight.detach().to(at::kCPU, at::kFloat, false, true).contiguous();
    auto all = metadata;
    all["format"] = "pt";
    save_tensors(directory / "model.safetensors", state, all);
    write_text(directory / "config.json", to_json(config_).dump(2) + "\n");
}

} // namespace tape
