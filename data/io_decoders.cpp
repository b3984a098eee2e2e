#include "data/error.hpp"
#include "data/io_codecs.hpp"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace tape::detail {
namespace {

/// Above any preset of xz (-9 needs 65 MiB), below what would hurt; a hostile header may ask for 4 GiB.
constexpr std::uint64_t xz_memory_limit = std::uint64_t{1} << 30;
/// The same for the window of `zstd --long=30`; the library reserves what a header asks for before it has seen any
/// data.
constexpr int zstd_window_log_limit = 30;

[[noreturn]] void truncated(RawInput const& input, char const* format) {
    throw data_error{input.name() + ": truncated " + format + " stream: it ends after " +
                     std::to_string(input.position()) + " bytes without its end mark; copy or download the file again"};
}

[[noreturn]] void damaged(RawInput const& input, char const* format, std::string const& detail) {
    throw data_error{input.name() + ": damaged " + format + " stream near byte " + std::to_string(input.position()) +
                     " (" + detail + "); copy or download the file again"};
}

class PlainDecoder final : public Decoder {
  public:
    explicit PlainDecoder(RawInput& input) : input_{input} {}
    std::size_t read(char* out, std::size_t size) override {
        if (input_.size() == 0) input_.fill();
        std::size_t const count = std::min(size, input_.size());
        std::memcpy(out, input_.data(), count);
        input_.consume(count);
        return count;
    }

  private:
    RawInput& input_;
};

/// RFC 1952: any number of members one after another (as bgzip writes), zero bytes allowed behind the last.
class GzipDecoder final : public Decoder {
  public:
    explicit GzipDecoder(RawInput& input) : input_{input} {
        if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw error{input_.name() + ": zlib cannot start"};
    }
    ~GzipDecoder() override { inflateEnd(&stream_); }

    std::size_t read(char* out, std::size_t size) override {
        std::size_t const room = std::min<std::size_t>(size, std::numeric_limits<uInt>::max());
        stream_.next_out = reinterpret_cast<Bytef*>(out);
        stream_.avail_out = static_cast<uInt>(room);
        while (stream_.avail_out == room && !done_) {
            if (input_.size() == 0) input_.fill();
            if (input_.size() == 0) truncated(input_, "gzip");
            stream_.next_in = const_cast<Bytef*>(input_.data());
            stream_.avail_in = static_cast<uInt>(input_.size());
            std::size_t const before = stream_.avail_in;
            int const status = inflate(&stream_, Z_NO_FLUSH);
            input_.consume(before - stream_.avail_in);
            if (status == Z_STREAM_END)
                next_member();
            else if (status != Z_OK && status != Z_BUF_ERROR)
                damaged(input_, "gzip", stream_.msg ? stream_.msg : "zlib error " + std::to_string(status));
        }
        return room - stream_.avail_out;
    }

  private:
    void next_member() {
        input_.fill(2);
        if (input_.size() >= 2 && input_.data()[0] == 0x1f && input_.data()[1] == 0x8b) {
            inflateReset(&stream_);
            return;
        }
        while (input_.size() > 0) {
            for (std::size_t i = 0; i < input_.size(); ++i)
                if (input_.data()[i] != 0) damaged(input_, "gzip", "bytes behind its end that are no gzip member");
            input_.consume(input_.size());
            input_.fill();
        }
        done_ = true;
    }

    RawInput& input_;
    z_stream stream_{};
    bool done_ = false;
};

class XzDecoder final : public Decoder {
  public:
    explicit XzDecoder(RawInput& input) : input_{input} {
        if (lzma_stream_decoder(&stream_, xz_memory_limit, LZMA_CONCATENATED) != LZMA_OK)
            throw error{input_.name() + ": liblzma cannot start"};
    }
    ~XzDecoder() override { lzma_end(&stream_); }

    std::size_t read(char* out, std::size_t size) override {
        stream_.next_out = reinterpret_cast<std::uint8_t*>(out);
        stream_.avail_out = size;
        while (stream_.avail_out == size && !done_) {
            if (input_.size() == 0) input_.fill();
            bool const last = input_.size() == 0;
            stream_.next_in = input_.data();
            stream_.avail_in = input_.size();
            lzma_ret const status = lzma_code(&stream_, last ? LZMA_FINISH : LZMA_RUN);
            input_.consume(input_.size() - stream_.avail_in);
            if (status == LZMA_STREAM_END)
                done_ = true;
            else if (status == LZMA_BUF_ERROR)
                truncated(input_, "xz");
            else if (status == LZMA_MEMLIMIT_ERROR)
                damaged(input_, "xz", "its dictionary needs more than 1 GiB of memory");
            else if (status != LZMA_OK)
                damaged(input_, "xz", reason(status));
        }
        return size - stream_.avail_out;
    }

  private:
    static std::string reason(lzma_ret status) {
        if (status == LZMA_DATA_ERROR) return "its check does not match";
        if (status == LZMA_FORMAT_ERROR) return "bytes behind its end that are no xz stream";
        if (status == LZMA_OPTIONS_ERROR) return "it uses options this liblzma does not know";
        if (status == LZMA_MEM_ERROR) return "not enough memory";
        return "liblzma error " + std::to_string(static_cast<int>(status));
    }

    RawInput& input_;
    lzma_stream stream_ = LZMA_STREAM_INIT;
    bool done_ = false;
};

class ZstdDecoder final : public Decoder {
  public:
    explicit ZstdDecoder(RawInput& input) : input_{input}, stream_{ZSTD_createDStream(), ZSTD_freeDStream} {
        if (!stream_) throw error{input_.name() + ": zstd cannot start"};
        ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, zstd_window_log_limit);
    }

    std::size_t read(char* out, std::size_t size) override {
        ZSTD_outBuffer output{out, size, 0};
        while (output.pos == 0) {
            if (input_.size() == 0) input_.fill();
            if (input_.size() == 0) {
                if (inside_frame_ && !flushed(output)) truncated(input_, "zstd");
                break;
            }
            ZSTD_inBuffer source{input_.data(), input_.size(), 0};
            std::size_t const status = ZSTD_decompressStream(stream_.get(), &output, &source);
            if (ZSTD_isError(status)) damaged(input_, "zstd", reason(status));
            input_.consume(source.pos);
            inside_frame_ = status != 0;
        }
        return output.pos;
    }

  private:
    static std::string reason(std::size_t status) {
        if (ZSTD_getErrorCode(status) == ZSTD_error_frameParameter_windowTooLarge)
            return "its window needs more than 1 GiB of memory";
        return ZSTD_getErrorName(status);
    }

    /// With all input taken, plain bytes may still wait inside the library.
    bool flushed(ZSTD_outBuffer& output) {
        ZSTD_inBuffer nothing{nullptr, 0, 0};
        std::size_t const status = ZSTD_decompressStream(stream_.get(), &output, &nothing);
        if (ZSTD_isError(status)) damaged(input_, "zstd", reason(status));
        inside_frame_ = status != 0;
        return output.pos > 0 || !inside_frame_;
    }

    RawInput& input_;
    std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream_;
    bool inside_frame_ = false;
};

/// pzstd puts a skippable frame (RFC 8878, 3.1.2) before the first real one.
bool starts_with_skippable_frame(RawInput const& input) {
    unsigned char const* const bytes = input.data();
    return input.size() >= 4 && bytes[0] >> 4 == 5 && bytes[1] == 0x2a && bytes[2] == 0x4d && bytes[3] == 0x18;
}

bool starts_with(RawInput const& input, std::initializer_list<unsigned char> magic) {
    return input.size() >= magic.size() && std::equal(magic.begin(), magic.end(), input.data());
}

} // namespace

std::unique_ptr<Decoder> make_decoder(RawInput& input) {
    input.fill(6);
    if (starts_with(input, {0x1f, 0x8b})) return std::make_unique<GzipDecoder>(input);
    if (starts_with(input, {0xfd, '7', 'z', 'X', 'Z', 0x00})) return std::make_unique<XzDecoder>(input);
    if (starts_with(input, {0x28, 0xb5, 0x2f, 0xfd}) || starts_with_skippable_frame(input))
        return std::make_unique<ZstdDecoder>(input);
    return std::make_unique<PlainDecoder>(input);
}

} // namespace tape::detail
