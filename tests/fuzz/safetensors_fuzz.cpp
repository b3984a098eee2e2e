#include "learn/safetensors.hpp"

#include "tests/fuzz/fuzz_input.hpp"

using namespace tape;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static fuzz::ScratchFile const path{".safetensors"};
    fuzz::accept_or_refuse([&] {
        SafetensorsFile const file{path.write(fuzz::text(data, size))};
        std::size_t total = 0;
        unsigned sum = 0;
        for (auto const& [name, tensor] : file.tensors()) {
            total += tensor.bytes.size();
            for (std::byte const b : tensor.bytes) sum += std::to_integer<unsigned>(b);
        }
        fuzz::require(total <= size && sum <= 255 * total, "tensors lie inside their file");
    });
    return 0;
}
