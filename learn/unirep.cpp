#include "learn/unirep.hpp"

#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/npy.hpp"
#include "learn/row_kernels.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/normal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <regex>

namespace tape {
namespace {

constexpr std::string_view letters = "MRHKDESTNQCUGPAVIFYWLO";
constexpr int other_letter = 23;
constexpr double smallest_square = 1e-12; // as in TensorFlow's l2_normalize

at::Tensor normalised(at::Tensor const& w, at::Tensor const& g) {
    return w * (g / w.square().sum(0).clamp_min(smallest_square).sqrt());
}

at::Tensor to_tensor(Array const& array) {
    static constexpr std::array types{at::kFloat, at::kDouble, at::kInt, at::kLong, at::kByte};
    std::vector<std::int64_t> shape{array.shape.begin(), array.shape.end()};
    at::Tensor tensor = at::empty(shape, at::TensorOptions{types[static_cast<std::size_t>(array.type)]});
    if (tensor.nbytes() != array.bytes.size()) throw error{"an array's bytes do not match its shape"};
    std::memcpy(tensor.mutable_data_ptr(), array.bytes.data(), array.bytes.size());
    return tensor;
}

/// "rnn_mlstm_stack_mlstm_stack2_mlstm_stack2_gmh:0" -> "mlstm.2.gmh": the published .npy names in the .npz's.
std::string common_name(std::string name) {
    if (auto const colon = name.find(':'); colon != std::string::npos) name.resize(colon);
    if (name == "embed_matrix") return "embedding";
    if (name == "fully_connected_weights") return "dense.w";
    if (name == "fully_connected_biases") return "dense.b";
    static std::regex const stacked{"rnn_mlstm_stack_mlstm_stack([0-9]+)_mlstm_stack[0-9]+_(\\w+)"},
        single{"rnn_mlstm_mlstm_(\\w+)"};
    std::smatch match;
    if (std::regex_match(name, match, stacked)) return "mlstm." + match[1].str() + "." + match[2].str();
    if (std::regex_match(name, match, single)) return "mlstm.0." + match[1].str();
    return name;
}

/// The arrays by their names in the .npz, whichever way they are stored.
std::map<std::string, Array> read_arrays(std::filesystem::path const& path) {
    if (!std::filesystem::is_directory(path)) return read_npz(path);
    std::map<std::string, Array> arrays;
    for (auto const& entry : std::filesystem::directory_iterator{path})
        if (entry.path().extension() == ".npy")
            arrays.emplace(common_name(entry.path().stem().string()), read_npy(entry.path()));
    return arrays;
}

UniRepConfig config_of(WeightReader const& weights) {
    auto const embedding = weights.shape_of("embedding"), hidden = weights.shape_of("mlstm.0.wmh");
    for (auto const& [name, shape] : {std::pair{"embedding", embedding}, std::pair{"mlstm.0.wmh", hidden}})
        if (shape.size() != 2)
            throw data_error{weights.origin() + ": array '" + name +
                             (shape.empty() ? "' is missing; are these UniRep weights?" : "' is no matrix")};
    UniRepConfig config{.units = static_cast<int>(hidden[1]), .layers = 1, .embedding = static_cast<int>(embedding[1])};
    while (weights.has("mlstm." + std::to_string(config.layers) + ".wmh")) ++config.layers;
    return config;
}

} // namespace

int UniRepTokenizer::token(char letter) noexcept {
    char const upper = letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
    auto const found = letters.find(upper);
    return found == std::string_view::npos ? other_letter : static_cast<int>(found) + 1;
}

std::string UniRepTokenizer::name(int token) {
    if (token >= 1 && token <= static_cast<int>(letters.size()))
        return std::string{letters[static_cast<std::size_t>(token - 1)]};
    return token == 0 ? "<pad>" : token == start ? "<start>" : token == stop ? "<stop>" : "X";
}

UniRep::UniRep(UniRepConfig const& config, WeightReader& weights) : config_{config} {
    std::int64_t const n = config.units;
    embedding_ = weights.take("embedding", {UniRepTokenizer::size, config.embedding});
    for (int k = 0; k < config.layers; ++k) {
        std::string const prefix = "mlstm." + std::to_string(k) + ".";
        std::int64_t const in = k == 0 ? config.embedding : n;
        auto const matrix = [&](char const* w, char const* g, std::int64_t rows, std::int64_t columns) {
            return normalised(weights.take(prefix + w, {rows, columns}), weights.take(prefix + g, {columns}));
        };
        layers_.push_back({.wmx = matrix("wmx", "gmx", in, n),
                           .wmh = matrix("wmh", "gmh", n, n),
                           .wx = matrix("wx", "gx", in, 4 * n),
                           .wh = matrix("wh", "gh", n, 4 * n),
                           .b = weights.take(prefix + "b", {4 * n})});
    }
    dense_weight_ = weights.take("dense.w", {n, UniRepTokenizer::size - 1});
    dense_bias_ = weights.take("dense.b", {UniRepTokenizer::size - 1});
}

UniRep::UniRep(UniRepConfig const& config, std::uint64_t seed) : config_{config} {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    std::int64_t const n = config.units;
    auto const drawn = [&](std::int64_t rows, std::int64_t columns) {
        return at::normal(0.0, 1.0, {rows, columns}, generator, at::TensorOptions{at::kFloat});
    };
    auto const matrix = [&](std::int64_t rows, std::int64_t columns) {
        return normalised(drawn(rows, columns), at::ones({columns}));
    };
    embedding_ = drawn(UniRepTokenizer::size, config.embedding);
    for (int k = 0; k < config.layers; ++k) {
        std::int64_t const in = k == 0 ? config.embedding : n;
        layers_.push_back({.wmx = matrix(in, n),
                           .wmh = matrix(n, n),
                           .wx = matrix(in, 4 * n),
                           .wh = matrix(n, 4 * n),
                           .b = at::zeros({4 * n})});
    }
    dense_weight_ = matrix(n, UniRepTokenizer::size - 1), dense_bias_ = at::zeros({UniRepTokenizer::size - 1});
}

void UniRep::prepare(at::Device device, at::ScalarType precision) {
    precision_ = precision;
    embedding_ = embedding_.to(device), dense_weight_ = dense_weight_.to(device), dense_bias_ = dense_bias_.to(device);
    for (auto& layer : layers_)
        for (auto* tensor : {&layer.wmx, &layer.wmh, &layer.wx, &layer.wh, &layer.b}) *tensor = tensor->to(device);
    first_m_ = at::mm(embedding_, layers_[0].wmx);
    first_z_ = at::addmm(layers_[0].b, embedding_, layers_[0].wx);
    prepared_.clear();
    auto const packed = [&](at::Tensor const& matrix) { return PackedLinear{matrix.t(), {}, precision}; };
    for (auto const& layer : layers_)
        prepared_.push_back({.wmx = packed(layer.wmx),
                             .wmh = packed(layer.wmh),
                             .wx = packed(layer.wx),
                             .wh = packed(layer.wh),
                             .b = layer.b});
}

UniRep::State UniRep::start() const {
    State empty;
    auto const options = at::TensorOptions{at::kFloat}.device(device());
    for (int k = 0; k < config_.layers; ++k) {
        empty.hidden.push_back(at::zeros({1, config_.units}, options));
        empty.cell.push_back(at::zeros({1, config_.units}, options));
    }
    return advance(empty, {}, at::full({1}, UniRepTokenizer::start, options.dtype(at::kLong)));
}

namespace {

/// Of a matrix of floats: pointers to these rows, or to all in order.
std::vector<float const*> row_pointers(at::Tensor const& matrix, std::int64_t count, std::int64_t const* rows) {
    std::vector<float const*> pointers(static_cast<std::size_t>(count));
    auto const* const data = matrix.const_data_ptr<float>();
    for (std::int64_t i = 0; i < count; ++i)
        pointers[static_cast<std::size_t>(i)] = data + (rows ? rows[i] : i) * matrix.size(1);
    return pointers;
}

template <typename Value>
void step_on_cpu(at::Tensor const& product, std::vector<float const*> const& inputs,
                 std::vector<float const*> const& cells, at::Tensor const& next_cell, at::Tensor const& hidden) {
    std::int64_t const units = next_cell.size(1);
    at::parallel_for(0, next_cell.size(0), 4, [&](std::int64_t begin, std::int64_t end) {
        step_gates(GateRows<Value>{.input = inputs.data() + begin,
                                   .product = static_cast<Value const*>(product.const_data_ptr()) + begin * 4 * units,
                                   .cell = cells.data() + begin,
                                   .next_cell = next_cell.mutable_data_ptr<float>() + begin * units,
                                   .hidden = hidden.mutable_data_ptr<float>() + begin * units,
                                   .rows = static_cast<std::size_t>(end - begin),
                                   .units = static_cast<std::size_t>(units)});
    });
}

} // namespace

void UniRep::step(at::Tensor const& product, at::Tensor const& table, at::Tensor const& rows, at::Tensor const& cell,
                  at::Tensor const& parents, State& next) const {
    std::int64_t const n = config_.units, count = product.size(0);
    if (product.is_cpu()) {
        auto const indices = [](at::Tensor const& t) {
            return t.defined() ? t.const_data_ptr<std::int64_t>() : nullptr;
        };
        at::Tensor const values = product.contiguous();
        auto const inputs = row_pointers(table, count, indices(rows)),
                   cells = row_pointers(cell, count, indices(parents));
        next.cell.push_back(at::empty({count, n}, cell.options()));
        next.hidden.push_back(at::empty({count, n}, cell.options()));
        if (precision_ == at::kFloat)
            step_on_cpu<float>(values, inputs, cells, next.cell.back(), next.hidden.back());
        else
            step_on_cpu<BFloat16Bits>(values, inputs, cells, next.cell.back(), next.hidden.back());
        return;
    }
    at::Tensor const z = (rows.defined() ? table.index_select(0, rows) : table) + product;
    z.slice(1, 0, 3 * n).sigmoid_();
    z.slice(1, 3 * n).tanh_();
    at::Tensor const before = parents.defined() ? cell.index_select(0, parents) : cell;
    next.cell.push_back((before * z.slice(1, n, 2 * n)).addcmul_(z.slice(1, 0, n), z.slice(1, 3 * n)));
    next.hidden.push_back(at::tanh(next.cell.back()).mul_(z.slice(1, 2 * n, 3 * n)));
}

UniRep::State UniRep::advance(State const& state, at::Tensor const& parents, at::Tensor const& tokens) const {
    State next;
    for (std::size_t k = 0; k < prepared_.size(); ++k) {
        PreparedLayer const& layer = prepared_[k];
        at::Tensor const& hidden = state.hidden[k];
        at::Tensor const h = (parents.defined() ? hidden.index_select(0, parents) : hidden).to(precision_); // U x n
        at::Tensor xm, z; // U x n, float32; U x 4n, float32, or a row a token
        if (k == 0) {
            xm = first_m_.index_select(0, tokens), z = first_z_;
        } else {
            at::Tensor const x = next.hidden[k - 1].to(precision_);
            xm = layer.wmx(x).to(at::kFloat), z = (layer.wx(x).to(at::kFloat) + layer.b).contiguous();
        }
        at::Tensor const m = (layer.wmh(h) * xm).to(precision_);
        step(layer.wh(m), z, k == 0 ? tokens : at::Tensor{}, state.cell[k], parents, next);
    }
    return next;
}

at::Tensor UniRep::next_logits(at::Tensor const& output) const { return at::addmm(dense_bias_, output, dense_weight_); }

LoadedUniRep load_unirep(std::filesystem::path const& path) {
    NamedTensors tensors;
    std::string hashes;
    for (auto const& [name, array] : read_arrays(path)) {
        hashes += name + content_hash({reinterpret_cast<char const*>(array.bytes.data()), array.bytes.size()});
        tensors.emplace(name, to_tensor(array));
    }
    WeightReader weights{std::move(tensors), path.string()};
    UniRep model{config_of(weights), weights};
    return {std::move(model), weights.unused(), content_hash(hashes)};
}

LoadedUniRep drawn_unirep(UniRepConfig const& config, std::uint64_t seed) {
    return {UniRep{config, seed},
            {},
            content_hash("unirep " + std::to_string(config.units) + " x " + std::to_string(config.layers) +
                         " drawn from seed " + std::to_string(seed))};
}

} // namespace tape
