#include "data/npy.hpp"

#include "tests/fuzz/fuzz_input.hpp"

using namespace tape;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static fuzz::ScratchFile const file{".npz"};
    auto const bytes = fuzz::text(data, size);
    if (bytes.starts_with("PK")) {
        fuzz::accept_or_refuse([&] { read_npz(file.write(bytes)); });
    } else {
        fuzz::accept_or_refuse([&] { parse_npy(bytes, "input"); });
    }
    return 0;
}
