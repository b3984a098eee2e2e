#pragma once

#include <string>
#include <string_view>

namespace tape {

/// A page that shows the curve of a run's log.tsv: losses over steps, and the last line's figures. Self-contained,
/// without a script; a browser that shows it reads it again every 30 seconds.
/// @param log    a header and lines as tape-pretrain writes them
/// @param title  shown above
/// @param done   whether the run is over, so that there is nothing to read again
std::string curve_page(std::string_view log, std::string const& title, bool done);

} // namespace tape
