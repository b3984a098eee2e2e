#include "data/error.hpp"
#include "data/io_codecs.hpp"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>

namespace tape::detail {
namespace {

constexpr std::size_t chunk_size = std::size_t{1} << 16;

class PlainEncoder final : public Encoder {
  public:
    explicit PlainEncoder(Sink& sink) : sink_{sink} {}
    void write(char const* bytes, std::size_t size) override { sink_.write(bytes, size); }
    void finish() override {}

  private:
    Sink& sink_;
};

class GzipEncoder final : public Encoder {
  public:
    explicit GzipEncoder(Sink& sink) : sink_{sink}, chunk_(chunk_size) {
        if (deflateInit2(&stream_, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
            throw error{"zlib cannot start"};
    }
    ~GzipEncoder() override { deflateEnd(&stream_); }

    void write(char const* bytes, std::size_t size) override {
        while (size > 0) {
            std::size_t const part = std::min<std::size_t>(size, std::numeric_limits<uInt>::max());
            run(bytes, part, Z_NO_FLUSH);
            bytes += part, size -= part;
        }
    }
    void finish() override { run(nullptr, 0, Z_FINISH); }

  private:
    void run(char const* bytes, std::size_t size, int flush) {
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes));
        stream_.avail_in = static_cast<uInt>(size);
        do {
            stream_.next_out = reinterpret_cast<Bytef*>(chunk_.data());
            stream_.avail_out = static_cast<uInt>(chunk_.size());
            deflate(&stream_, flush);
            sink_.write(chunk_.data(), chunk_.size() - stream_.avail_out);
        } while (stream_.avail_out == 0);
    }

    Sink& sink_;
    std::vector<char> chunk_;
    z_stream stream_{};
};

class XzEncoder final : public Encoder {
  public:
    explicit XzEncoder(Sink& sink) : sink_{sink}, chunk_(chunk_size) {
        if (lzma_easy_encoder(&stream_, 6, LZMA_CHECK_CRC64) != LZMA_OK) throw error{"liblzma cannot start"};
    }
    ~XzEncoder() override { lzma_end(&stream_); }

    void write(char const* bytes, std::size_t size) override { run(bytes, size, LZMA_RUN); }
    void finish() override { run(nullptr, 0, LZMA_FINISH); }

  private:
    void run(char const* bytes, std::size_t size, lzma_action action) {
        stream_.next_in = reinterpret_cast<std::uint8_t const*>(bytes);
        stream_.avail_in = size;
        for (bool more = true; more;) {
            stream_.next_out = reinterpret_cast<std::uint8_t*>(chunk_.data());
            stream_.avail_out = chunk_.size();
            lzma_ret const status = lzma_code(&stream_, action);
            if (status != LZMA_OK && status != LZMA_STREAM_END)
                throw error{"liblzma error " + std::to_string(static_cast<int>(status)) + " while compressing"};
            sink_.write(chunk_.data(), chunk_.size() - stream_.avail_out);
            more = action == LZMA_FINISH ? status != LZMA_STREAM_END : stream_.avail_in > 0;
        }
    }

    Sink& sink_;
    std::vector<char> chunk_;
    lzma_stream stream_ = LZMA_STREAM_INIT;
};

class ZstdEncoder final : public Encoder {
  public:
    explicit ZstdEncoder(Sink& sink) : sink_{sink}, chunk_(chunk_size), stream_{ZSTD_createCCtx(), ZSTD_freeCCtx} {
        if (!stream_) throw error{"zstd cannot start"};
        ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_compressionLevel, 9);
        ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_checksumFlag, 1);
    }

    void write(char const* bytes, std::size_t size) override { run(bytes, size, ZSTD_e_continue); }
    void finish() override { run(nullptr, 0, ZSTD_e_end); }

  private:
    void run(char const* bytes, std::size_t size, ZSTD_EndDirective directive) {
        ZSTD_inBuffer source{bytes, size, 0};
        for (bool more = true; more;) {
            ZSTD_outBuffer output{chunk_.data(), chunk_.size(), 0};
            std::size_t const left = ZSTD_compressStream2(stream_.get(), &output, &source, directive);
            if (ZSTD_isError(left)) throw error{std::string{"zstd: "} + ZSTD_getErrorName(left)};
            sink_.write(chunk_.data(), output.pos);
            more = directive == ZSTD_e_end ? left > 0 : source.pos < source.size;
        }
    }

    Sink& sink_;
    std::vector<char> chunk_;
    std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> stream_;
};

} // namespace

std::unique_ptr<Encoder> make_encoder(std::string const& name, Sink& sink) {
    if (name.ends_with(".gz")) return std::make_unique<GzipEncoder>(sink);
    if (name.ends_with(".xz")) return std::make_unique<XzEncoder>(sink);
    if (name.ends_with(".zst")) return std::make_unique<ZstdEncoder>(sink);
    return std::make_unique<PlainEncoder>(sink);
}

} // namespace tape::detail
