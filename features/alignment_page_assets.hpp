#pragma once

#include <string_view>

namespace tape {

/// Style sheet and script of `alignment_page`.
extern std::string_view const alignment_page_style;
extern std::string_view const alignment_page_script;

} // namespace tape
