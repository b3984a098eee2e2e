#include "align/hhm_format.hpp"
#include "align/hmm_format.hpp"
#include "align/pssm_format.hpp"

#include "tests/fuzz/fuzz_input.hpp"

#include <sstream>

using namespace tape;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string const bytes{fuzz::text(data, size)};
    auto const read = [&](auto const& reader) {
        std::istringstream in{bytes};
        fuzz::accept_or_refuse([&] { reader(in); });
    };
    if (bytes.starts_with("HMMER")) {
        read([](std::istream& in) { read_hmmer(in, "input"); });
    } else if (bytes.starts_with("HH")) {
        read([](std::istream& in) { read_hhm(in, "input"); });
    } else {
        read([](std::istream& in) { read_pssm(in, "input"); });
    }
    return 0;
}
