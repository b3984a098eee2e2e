#include "learn/torch_file.hpp"

#include "tests/fuzz/fuzz_input.hpp"

using namespace tape;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static fuzz::ScratchFile const path{".pt"};
    fuzz::accept_or_refuse([&] {
        TorchFile const file{path.write(fuzz::text(data, size))};
        for (auto const& [name, tensor] : file.tensors()) {
            std::size_t last = static_cast<std::size_t>(tensor.offset), count = 1;
            for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
                count *= static_cast<std::size_t>(tensor.shape[i]);
                if (tensor.shape[i] > 0) last += static_cast<std::size_t>((tensor.shape[i] - 1) * tensor.strides[i]);
            }
            std::size_t const elements = tensor.storage.size() / bytes_per_element(tensor.type);
            fuzz::require(count <= elements, "a tensor holds no more than its storage");
            fuzz::require(count == 0 || last < elements, "a tensor lies inside its storage");
            fuzz::require(tensor.storage.size() <= size, "a storage lies inside its file");
            unsigned sum = 0;
            for (std::byte const b : tensor.storage) sum += std::to_integer<unsigned>(b);
            fuzz::require(sum <= 255 * tensor.storage.size(), "bytes can be read");
        }
    });
    return 0;
}
