#include "learn/torch_file.hpp"

#include "data/error.hpp"
#include "data/pickle.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <span>

namespace tape {
namespace {

using pickle::Call;
using pickle::Node;
using pickle::Pickle;

struct StorageType {
    std::string_view name;
    TensorType type;
};
constexpr std::array<StorageType, 8> storage_types{{{"torch.FloatStorage", TensorType::f32},
                                                    {"torch.HalfStorage", TensorType::f16},
                                                    {"torch.BFloat16Storage", TensorType::bf16},
                                                    {"torch.DoubleStorage", TensorType::f64},
                                                    {"torch.LongStorage", TensorType::i64},
                                                    {"torch.IntStorage", TensorType::i32},
                                                    {"torch.ByteStorage", TensorType::u8},
                                                    {"torch.BoolStorage", TensorType::u8}}};
constexpr std::array<std::string_view, 13> torch_names{"torch.FloatStorage",
                                                       "torch.HalfStorage",
                                                       "torch.BFloat16Storage",
                                                       "torch.DoubleStorage",
                                                       "torch.LongStorage",
                                                       "torch.IntStorage",
                                                       "torch.ByteStorage",
                                                       "torch.BoolStorage",
                                                       "torch._utils._rebuild_tensor",
                                                       "argparse.Namespace",
                                                       "torch._utils._rebuild_tensor_v2",
                                                       "collections.OrderedDict",
                                                       "torch._utils._rebuild_parameter"};
constexpr pickle::Dialect dialect{
    .names = torch_names, .readable = "tensors, dictionaries and plain values", .persistent = true, .instances = true};

// torch.serialization.MAGIC_NUMBER and PROTOCOL_VERSION as protocol 2 pickles them.
constexpr std::string_view legacy_magic{"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15};
constexpr std::string_view legacy_protocol{"\x80\x02M\xe9\x03.", 6};

/// A description of tensors is small; a larger one is no honest checkpoint.
constexpr std::size_t longest_description = std::size_t{64} << 20;
constexpr int deepest_nesting = 16;
constexpr std::size_t largest_rank = 8;

std::uint64_t little_endian(std::string_view bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
}

} // namespace

/// Reads one file into a TorchFile.
class TorchReader {
  public:
    TorchReader(TorchFile& file, std::filesystem::path const& path) : file_{file}, where_{path.string()} {}

    void read() {
        auto const start = MappedFile{where_};
        if (start.bytes().starts_with("PK"))
            read_archive();
        else if (start.bytes().starts_with(legacy_magic))
            read_legacy();
        else
            fail("is no PyTorch checkpoint: neither a zip archive nor the form before version 1.6");
    }

  private:
    struct Storage {
        TensorType type;
        std::uint64_t elements; ///< as the description says
    };

    [[noreturn]] void fail(std::string const& what) const { throw data_error{where_ + ": " + what}; }

    void read_archive() {
        file_.archive_.emplace(where_);
        std::map<std::string_view, ZipReader::Member const*> members;
        std::string prefix;
        for (auto const& member : file_.archive_->members()) {
            members[member.name] = &member;
            if (member.name.ends_with("/data.pkl") && std::ranges::count(member.name, '/') == 1)
                prefix = member.name.substr(0, member.name.size() - 8);
        }
        if (prefix.empty()) fail("is a zip archive without data.pkl: no PyTorch checkpoint");
        auto const order = members.find(prefix + "byteorder");
        if (order != members.end() && file_.archive_->stored(*order->second) != "little")
            fail("was written on a big-endian machine");
        std::string_view const description = file_.archive_->stored(*members.at(prefix + "data.pkl"));
        if (description.size() > longest_description) fail("describes its tensors in more than 64 MiB");
        Pickle const pickle{description, where_ + ": data.pkl", dialect};
        find_storage_ = [&](std::string const& key, Storage const& storage) {
            auto const member = members.find(prefix + "data/" + key);
            if (member == members.end()) fail("storage " + shown(key) + " is missing");
            std::string_view const bytes = file_.archive_->stored(*member->second);
            if (bytes.size() / bytes_per_element(storage.type) < storage.elements)
                fail("storage " + shown(key) + " holds " + std::to_string(bytes.size()) + " bytes, fewer than its " +
                     std::to_string(storage.elements) + " elements need (is the file truncated?)");
            return bytes;
        };
        flatten(pickle.root(), description.size());
    }

    /// Four pickles (magic number, version, system, description), the storages' keys, then each storage behind its
    /// number of elements.
    void read_legacy() {
        file_.plain_.emplace(where_);
        std::string_view const all = file_.plain_->bytes();
        std::size_t at = legacy_magic.size();
        if (!all.substr(at).starts_with(legacy_protocol)) fail("has an unknown version of the form before 1.6");
        at += legacy_protocol.size();
        auto const next = [&] {
            return Pickle{all.substr(at, longest_description), where_ + " behind byte " + std::to_string(at), dialect};
        };
        Pickle const system = next();
        at += system.size();
        check_byte_order(system.root());
        std::size_t const before = at;
        Pickle const description = next();
        at += description.size();
        Pickle const keys = next();
        at += keys.size();
        collect_storages(description);
        read_storages(keys.root(), all, at);
        find_storage_ = [this](std::string const& key, Storage const&) { return contents_.at(key); };
        flatten(description.root(), at - before);
    }

    void check_byte_order(Node const& system) const {
        if (auto const* const fields = system.as<pickle::Dictionary>())
            for (auto const& [key, value] : fields->items)
                if (auto const* const name = text_of(*key); name && *name == "little_endian")
                    if (auto const* const little = value->as<bool>(); little && *little) return;
        fail("does not say that it is little-endian");
    }

    /// Storage sizes of the form before 1.6 are known only from the description.
    void collect_storages(Pickle const& description) {
        for (Node const& node : description.nodes())
            if (node.as<pickle::Persistent>()) {
                auto const [key, storage] = storage_of(node);
                auto const [found, fresh] = legacy_.emplace(key, storage);
                if (!fresh && (found->second.type != storage.type || found->second.elements != storage.elements))
                    fail("storage " + shown(key) + " is described in two ways");
            }
    }

    void read_storages(Node const& keys, std::string_view all, std::size_t at) {
        auto const* const list = keys.as<pickle::List>();
        if (list == nullptr) fail("has no list of storages");
        for (Node const* const item : list->items) {
            auto const* const key = text_of(*item);
            auto const found = key ? legacy_.find(*key) : legacy_.end();
            if (found == legacy_.end()) fail("lists a storage that no tensor uses");
            if (all.size() - at < 8) fail("is truncated before storage " + shown(*key));
            std::uint64_t const elements = little_endian(all.substr(at, 8));
            at += 8;
            std::size_t const width = bytes_per_element(found->second.type);
            if (elements != found->second.elements)
                fail("storage " + shown(*key) + " has " + std::to_string(elements) + " elements; its tensors expect " +
                     std::to_string(found->second.elements));
            if (elements > (all.size() - at) / width)
                fail("storage " + shown(*key) + " is truncated: " + std::to_string(all.size() - at) + " bytes for " +
                     std::to_string(elements) + " elements");
            contents_[*key] = all.substr(at, elements * width);
            at += elements * width;
        }
        for (auto const& [key, storage] : legacy_)
            if (!contents_.contains(key)) fail("storage " + shown(key) + " is missing");
    }

    /// ('storage', torch.FloatStorage, key, location, elements), and None or a view of old behind them.
    std::pair<std::string, Storage> storage_of(Node const& node) const {
        auto const* const reference = node.as<pickle::Persistent>();
        auto const* const id = reference ? reference->id->as<pickle::Tuple>() : nullptr;
        if (id == nullptr || id->items.size() < 5) fail("refers to something that is no storage");
        auto const& part = id->items;
        auto const* const kind = text_of(*part[0]);
        auto const* const type = part[1]->as<pickle::Name>();
        auto const* const key = text_of(*part[2]);
        auto const* const elements = part[4]->as<long long>();
        if (!kind || *kind != "storage" || !type || !key || !elements || *elements < 0)
            fail("refers to something that is no storage");
        if (part.size() > 5 && !part[5]->as<pickle::None>()) fail("storage " + shown(*key) + " is a view of another");
        auto const row = std::ranges::find(storage_types, type->value, &StorageType::name);
        if (row == storage_types.end()) fail("storage " + shown(*key) + " is a " + shown(type->value));
        return {*key, {row->type, static_cast<std::uint64_t>(*elements)}};
    }

    void flatten(Node const& root, std::size_t description) {
        left_ = 8 * description;
        visit(root, "", 0);
    }

    void visit(Node const& node, std::string const& name, int depth) {
        // A dictionary that holds one other many times over would unfold without end, and so would long names.
        if (left_ < name.size() + 1 || depth > deepest_nesting) fail("unfolds to more than it holds at " + shown(name));
        left_ -= name.size() + 1;
        if (auto const* const fields = node.as<pickle::Dictionary>()) return visit_items(fields->items, name, depth);
        if (auto const* const call = node.as<Call>()) return visit_call(*call, name, depth);
        if (auto const* const truth = node.as<bool>()) file_.values_[name] = *truth;
        if (auto const* const whole = node.as<long long>()) file_.values_[name] = *whole;
        if (auto const* const real = node.as<double>()) file_.values_[name] = *real;
        if (auto const* const text = text_of(node)) file_.values_[name] = *text;
    }

    void visit_items(std::vector<std::pair<Node*, Node*>> const& items, std::string const& name, int depth) {
        for (auto const& [key, value] : items) {
            auto const* const text = text_of(*key);
            if (text == nullptr) continue; // numbered parameters of an optimiser
            visit(*value, name.empty() ? *text : name + "." + *text, depth + 1);
        }
    }

    void visit_call(Call const& call, std::string const& name, int depth) {
        auto const& arguments = call.arguments->items;
        if (call.of("collections.OrderedDict")) {
            if (!arguments.empty()) fail("OrderedDict " + shown(name) + " is made from something");
            return visit_items(call.items, name, depth);
        }
        if (call.of("argparse.Namespace")) {
            if (call.state) visit(*call.state, name, depth + 1);
            return;
        }
        if (call.of("torch._utils._rebuild_parameter")) {
            if (arguments.empty()) fail("parameter " + shown(name) + " is empty");
            return visit(*arguments[0], name, depth + 1);
        }
        if (!call.of("torch._utils._rebuild_tensor") && !call.of("torch._utils._rebuild_tensor_v2"))
            fail(shown(name) + " is made by " + shown(call.callee->value));
        if (!file_.tensors_.emplace(name, tensor(call, name)).second) fail("tensor " + shown(name) + " is there twice");
    }

    std::vector<std::int64_t> whole_numbers(Node const& node, std::string const& name) const {
        auto const* const tuple = node.as<pickle::Tuple>();
        if (tuple == nullptr || tuple->items.size() > largest_rank) fail("tensor " + shown(name) + " has no shape");
        std::vector<std::int64_t> numbers;
        for (Node const* const item : tuple->items) {
            auto const* const number = item->as<long long>();
            if (number == nullptr || *number < 0) fail("tensor " + shown(name) + " has an impossible shape");
            numbers.push_back(*number);
        }
        return numbers;
    }

    StridedView tensor(Call const& call, std::string const& name) {
        auto const& arguments = call.arguments->items;
        auto const* const offset = arguments.size() < 4 ? nullptr : arguments[1]->as<long long>();
        if (offset == nullptr || *offset < 0) fail("tensor " + shown(name) + " does not say where it begins");
        auto const [key, storage] = storage_of(*arguments[0]);
        auto const shape = whole_numbers(*arguments[2], name), strides = whole_numbers(*arguments[3], name);
        if (shape.size() != strides.size()) fail("tensor " + shown(name) + " has a shape and strides of two ranks");
        // Its elements, and the place of the last one, in numbers that cannot overflow unnoticed.
        std::uint64_t count = 1, last = static_cast<std::uint64_t>(*offset);
        bool outside = false, empty = false;
        for (std::size_t i = 0; i < shape.size(); ++i) {
            if (shape[i] == 0) {
                empty = true;
                continue;
            }
            std::uint64_t step = 0;
            outside |= __builtin_mul_overflow(count, static_cast<std::uint64_t>(shape[i]), &count);
            outside |= __builtin_mul_overflow(static_cast<std::uint64_t>(shape[i] - 1),
                                              static_cast<std::uint64_t>(strides[i]), &step);
            outside |= __builtin_add_overflow(last, step, &last);
        }
        if (outside || (!empty && (last >= storage.elements || count > storage.elements)))
            fail("tensor " + shown(name) + " reaches beyond its storage of " + std::to_string(storage.elements) +
                 " elements");
        if (empty) return {storage.type, shape, strides, 0, {}};
        return {storage.type, shape, strides, *offset, whole_storage(key, storage)};
    }

    std::span<std::byte const> whole_storage(std::string const& key, Storage const& storage) {
        auto const found = storages_.find(key);
        if (found != storages_.end()) {
            if (found->second.first.type != storage.type || found->second.first.elements != storage.elements)
                fail("storage " + shown(key) + " is described in two ways");
            return found->second.second;
        }
        std::string_view const bytes = find_storage_(key, storage);
        std::size_t const size = storage.elements * bytes_per_element(storage.type);
        return storages_.emplace(key, std::pair{storage, std::as_bytes(std::span{bytes.data(), size})})
            .first->second.second;
    }

    TorchFile& file_;
    std::string where_;
    std::function<std::string_view(std::string const& key, Storage const&)> find_storage_;
    std::map<std::string, std::pair<Storage, std::span<std::byte const>>> storages_;
    std::map<std::string, Storage> legacy_;
    std::map<std::string, std::string_view> contents_;
    std::size_t left_ = 0; ///< of the allowance for values and their names
};

TorchFile::TorchFile(std::filesystem::path const& file) { TorchReader{*this, file}.read(); }

std::string_view TorchFile::bytes() const { return archive_ ? archive_->bytes() : plain_->bytes(); }

} // namespace tape
