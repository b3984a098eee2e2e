#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

// Python's pickle (protocols 2-5; Lib/pickletools.py describes every opcode) as a tree: nothing is called.
namespace tape::pickle {

struct Node;
using Nodes = std::vector<Node*>;

struct None {};
struct Text {
    std::string value;
};
struct Bytes {
    std::string value;
};
struct List {
    Nodes items;
};
struct Tuple {
    Nodes items;
};
struct Dictionary {
    std::vector<std::pair<Node*, Node*>> items;
};
struct Mark {};
/// "module.attribute": a tag, whatever it stands for in Python.
struct Name {
    std::string value;
};
/// What Python would make by calling a name. Kept as it is written; the reader decides what it means.
struct Call {
    Name const* callee = nullptr;
    Tuple const* arguments = nullptr;
    Node* state = nullptr; ///< of the last BUILD
    std::vector<std::pair<Node*, Node*>> items;

    [[nodiscard]] bool of(std::string_view name) const { return callee->value == name; }
};
/// Something that lies outside the pickle.
struct Persistent {
    Node* id = nullptr;
};

struct Node {
    std::variant<None, bool, long long, double, Text, Bytes, List, Tuple, Dictionary, Mark, Name, Call, Persistent>
        value;

    template <typename Value> [[nodiscard]] Value const* as() const { return std::get_if<Value>(&value); }
};

/// What a kind of file may mention.
struct Dialect {
    std::span<std::string_view const> names; ///< "numpy.dtype", ...: any other is refused
    std::string_view readable;               ///< "plain values and NumPy arrays", for the message
    bool persistent = false;                 ///< references to what lies outside (PyTorch's storages)
    bool instances = false;                  ///< objects made without a call (argparse.Namespace)
};

/// The first pickle in some bytes. Hostile input costs memory proportional to its size; nodes may form cycles.
class Pickle {
  public:
    /// @throws data_error naming `where`, the byte and what was refused
    Pickle(std::string_view bytes, std::string where, Dialect const& dialect);

    [[nodiscard]] Node const& root() const { return *root_; }
    /// Everything that it mentions, in the order of appearance.
    [[nodiscard]] std::deque<Node> const& nodes() const { return arena_; }
    /// Bytes up to its end.
    [[nodiscard]] std::size_t size() const { return at_; }

  private:
    [[noreturn]] void fail(std::string const& what) const;
    Node* run();
    std::string_view take(std::uint64_t size);
    std::uint64_t unsigned_number(int width);
    long long long_number(std::uint64_t width);
    std::string_view line();
    template <typename Value> void push(Value&& value);
    Node* pop();
    Node* top();
    Nodes pop_to_mark();
    template <typename Value> Value& expect(Node* node, char const* what) const;

    bool plain(unsigned char code);
    bool number(unsigned char code);
    bool text(unsigned char code);
    bool container(unsigned char code);
    bool memory(unsigned char code);
    bool object(unsigned char code);
    void append(Nodes const& items);
    void tuple(int size);
    void set_items(Nodes const& items);
    void recall(std::uint64_t index);
    void name(std::string const& module, std::string const& attribute);
    void call();

    std::string_view bytes_;
    std::string where_;
    Dialect dialect_;
    std::size_t at_ = 0;
    std::deque<Node> arena_; ///< owns every node, so that cycles are harmless
    Nodes stack_;
    std::unordered_map<std::uint64_t, Node*> memo_;
    Node* root_ = nullptr;
};

/// The value of text or bytes, else nothing.
std::string const* text_of(Node const& node);

} // namespace tape::pickle
