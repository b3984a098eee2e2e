#include "tests/compare/goldens.hpp"

#include "data/io.hpp"

namespace tape::test {

nlohmann::json const& goldens() {
    static nlohmann::json const json =
        nlohmann::json::parse(read_text(TAPE_SOURCE_DIR "/tests/golden/compare_goldens.json"));
    return json;
}

} // namespace tape::test
