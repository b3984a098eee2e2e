#include "data/text.hpp"

namespace tape {

std::string shown(std::string_view value, std::size_t limit) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text = "'";
    for (std::size_t i = 0; i < value.size() && i < limit; ++i) {
        auto const byte = static_cast<unsigned char>(value[i]);
        if (byte >= 0x20 && byte < 0x7f)
            text += value[i];
        else
            text += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
    if (value.size() > limit) text += "...";
    return text + "'";
}

std::string counted(std::size_t count, std::string_view noun) {
    return std::to_string(count) + " " + std::string{noun} + (count == 1 ? "" : "s");
}

} // namespace tape
