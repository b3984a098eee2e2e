#include "data/pickle.hpp"

#include "data/error.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <bit>

namespace tape::pickle {

Pickle::Pickle(std::string_view bytes, std::string where, Dialect const& dialect)
    : bytes_{bytes}, where_{std::move(where)}, dialect_{dialect} {
    root_ = run();
}

void Pickle::fail(std::string const& what) const {
    throw data_error{where_ + ": pickle refused at byte " + std::to_string(at_) + ": " + what};
}

Node* Pickle::run() {
    for (;;) {
        auto const code = static_cast<unsigned char>(take(1)[0]);
        if (code == '.') return pop();
        if (!plain(code) && !number(code) && !text(code) && !container(code) && !memory(code) && !object(code))
            fail("opcode " + std::to_string(code) + " is not allowed");
    }
}

std::string_view Pickle::take(std::uint64_t size) {
    if (size > bytes_.size() - at_) fail("truncated");
    std::string_view const part = bytes_.substr(at_, size);
    at_ += size;
    return part;
}
std::uint64_t Pickle::unsigned_number(int width) {
    std::string_view const part = take(static_cast<std::uint64_t>(width));
    std::uint64_t value = 0;
    for (int i = width - 1; i >= 0; --i)
        value = value << 8 | static_cast<unsigned char>(part[static_cast<std::size_t>(i)]);
    return value;
}
std::string_view Pickle::line() {
    std::size_t const end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail("truncated");
    std::string_view const part = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return part;
}

template <typename Value> void Pickle::push(Value&& value) {
    arena_.push_back(Node{std::forward<Value>(value)});
    stack_.push_back(&arena_.back());
}

Node* Pickle::pop() {
    if (stack_.empty()) fail("stack is empty");
    Node* const node = stack_.back();
    stack_.pop_back();
    return node;
}

Node* Pickle::top() {
    if (stack_.empty()) fail("stack is empty");
    return stack_.back();
}

Nodes Pickle::pop_to_mark() {
    std::size_t begin = stack_.size();
    while (begin > 0 && !std::holds_alternative<Mark>(stack_[begin - 1]->value)) --begin;
    if (begin == 0) fail("no mark on the stack");
    Nodes items(stack_.begin() + static_cast<std::ptrdiff_t>(begin), stack_.end());
    stack_.resize(begin - 1);
    return items;
}

template <typename Value> Value& Pickle::expect(Node* node, char const* what) const {
    if (auto* const value = std::get_if<Value>(&node->value)) return *value;
    fail(std::string{"expected "} + what);
}

bool Pickle::plain(unsigned char code) {
    switch (code) {
    case 0x80: // PROTO
        if (auto const protocol = unsigned_number(1); protocol < 2 || protocol > 5)
            fail("protocol " + std::to_string(protocol) + "; expected 2 to 5");
        return true;
    case 0x95:
        take(8);
        return true; // FRAME: its length is not needed
    case '(':
        push(Mark{});
        return true;
    case '0':
        pop();
        return true;
    case '1':
        pop_to_mark();
        return true;
    case 'N':
        push(None{});
        return true;
    case 0x88:
        push(true);
        return true;
    case 0x89:
        push(false);
        return true;
    default:
        return false;
    }
}

bool Pickle::number(unsigned char code) {
    switch (code) {
    case 'J':
        push(static_cast<long long>(static_cast<std::int32_t>(unsigned_number(4))));
        return true;
    case 'K':
        push(static_cast<long long>(unsigned_number(1)));
        return true;
    case 'M':
        push(static_cast<long long>(unsigned_number(2)));
        return true;
    case 0x8a:
        push(long_number(unsigned_number(1)));
        return true;
    case 0x8b:
        push(long_number(unsigned_number(4)));
        return true;
    case 'G': { // eight bytes, big endian
        std::string_view const part = take(8);
        std::uint64_t bits = 0;
        for (char const byte : part) bits = bits << 8 | static_cast<unsigned char>(byte);
        push(std::bit_cast<double>(bits));
        return true;
    }
    default:
        return false;
    }
}

/// Two's complement, little endian, any width.
long long Pickle::long_number(std::uint64_t width) {
    std::string_view const part = take(width);
    if (width > 8) fail("a whole number of " + std::to_string(width) + " bytes");
    std::uint64_t value = width > 0 && (part.back() & 0x80) ? ~std::uint64_t{0} : 0;
    for (std::size_t i = part.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(part[i]);
    return static_cast<long long>(value);
}

bool Pickle::text(unsigned char code) {
    switch (code) {
    case 0x8c:
        push(Text{std::string{take(unsigned_number(1))}});
        return true;
    case 'X':
        push(Text{std::string{take(unsigned_number(4))}});
        return true;
    case 0x8d:
        push(Text{std::string{take(unsigned_number(8))}});
        return true;
    case 'U':
        push(Bytes{std::string{take(unsigned_number(1))}});
        return true;
    case 'T':
        push(Bytes{std::string{take(unsigned_number(4))}});
        return true;
    case 'C':
        push(Bytes{std::string{take(unsigned_number(1))}});
        return true;
    case 'B':
        push(Bytes{std::string{take(unsigned_number(4))}});
        return true;
    case 0x8e:
        push(Bytes{std::string{take(unsigned_number(8))}});
        return true;
    case 0x96:
        push(Bytes{std::string{take(unsigned_number(8))}});
        return true;
    default:
        return false;
    }
}

bool Pickle::container(unsigned char code) {
    switch (code) {
    case ']':
        push(List{});
        return true;
    case '}':
        push(Dictionary{});
        return true;
    case ')':
        push(Tuple{});
        return true;
    case 'a':
        append({pop()});
        return true;
    case 'e':
        append(pop_to_mark());
        return true;
    case 'l':
        push(List{pop_to_mark()});
        return true;
    case 't':
        push(Tuple{pop_to_mark()});
        return true;
    case 0x85:
    case 0x86:
    case 0x87:
        tuple(code - 0x84);
        return true;
    case 's': {
        Node* const value = pop();
        Node* const key = pop();
        set_items({key, value});
        return true;
    }
    case 'u':
        set_items(pop_to_mark());
        return true;
    case 'd': {
        Nodes const items = pop_to_mark();
        push(Dictionary{});
        set_items(items);
        return true;
    }
    default:
        return false;
    }
}

void Pickle::append(Nodes const& items) {
    auto& list = expect<List>(top(), "a list").items;
    list.insert(list.end(), items.begin(), items.end());
}

void Pickle::tuple(int size) {
    Tuple made;
    for (int i = 0; i < size; ++i) made.items.insert(made.items.begin(), pop());
    push(std::move(made));
}

void Pickle::set_items(Nodes const& items) {
    if (items.size() % 2 != 0) fail("a dictionary key without a value");
    Node* const target = top();
    auto* const made = std::get_if<Call>(&target->value); // an OrderedDict
    auto& dictionary = made ? made->items : expect<Dictionary>(target, "a dictionary").items;
    for (std::size_t i = 0; i < items.size(); i += 2) dictionary.emplace_back(items[i], items[i + 1]);
}

bool Pickle::memory(unsigned char code) {
    switch (code) {
    case 'q':
        memo_[unsigned_number(1)] = top();
        return true;
    case 'r':
        memo_[unsigned_number(4)] = top();
        return true;
    case 0x94:
        memo_[memo_.size()] = top();
        return true;
    case 'h':
        recall(unsigned_number(1));
        return true;
    case 'j':
        recall(unsigned_number(4));
        return true;
    default:
        return false;
    }
}

void Pickle::recall(std::uint64_t index) {
    auto const found = memo_.find(index);
    if (found == memo_.end()) fail("memo " + std::to_string(index) + " was never set");
    stack_.push_back(found->second);
}

bool Pickle::object(unsigned char code) {
    switch (code) {
    case 'c': {
        std::string const module{line()};
        name(module, std::string{line()});
        return true;
    }
    case 0x93: {
        std::string const attribute = expect<Text>(pop(), "a name").value;
        name(expect<Text>(pop(), "a module").value, attribute);
        return true;
    }
    case 'R':
        call();
        return true;
    case 0x81:
        if (dialect_.instances) call();
        return dialect_.instances;
    case 'b': {
        Node* const state = pop();
        expect<Call>(top(), "something that takes a state").state = state;
        return true;
    }
    case 'Q':
        if (dialect_.persistent) push(Persistent{pop()});
        return dialect_.persistent;
    default:
        return false;
    }
}

void Pickle::name(std::string const& module, std::string const& attribute) {
    std::string full = module + "." + attribute;
    if (std::ranges::find(dialect_.names, full) == dialect_.names.end())
        fail("it asks for " + shown(full, 80) + "; only " + std::string{dialect_.readable} + " are read");
    push(Name{std::move(full)});
}

void Pickle::call() {
    Tuple const& arguments = expect<Tuple>(pop(), "a tuple of arguments");
    push(Call{&expect<Name>(pop(), "a known name"), &arguments, nullptr, {}});
}

std::string const* text_of(Node const& node) {
    if (auto const* const text = node.as<Text>()) return &text->value;
    if (auto const* const bytes = node.as<Bytes>()) return &bytes->value;
    return nullptr;
}

} // namespace tape::pickle
