#include "data/cluster_table.hpp"

#include "data/error.hpp"
#include "data/io.hpp"

#include <istream>
#include <string>

namespace tape {

void read_cluster_table(
    std::filesystem::path const& file,
    std::function<void(std::size_t line, std::string_view representative, std::string_view member)> const& visit) {
    auto const in = open_input(file);
    std::string line;
    for (std::size_t number = 1; std::getline(*in, line); ++number) {
        if (line.empty() || line.front() == '#') continue;
        auto const first = line.find('\t');
        if (first == 0 || first == std::string::npos || first + 1 == line.size())
            throw data_error{file.string() + ":" + std::to_string(number) +
                             ": expected a representative's id, a tab and a member's id"};
        auto const second = line.find_first_of("\t\r", first + 1);
        std::string_view const row = line;
        visit(number, row.substr(0, first), row.substr(first + 1, second - first - 1));
    }
}

} // namespace tape
