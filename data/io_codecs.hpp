#pragma once

#include <cstddef>
#include <memory>
#include <streambuf>
#include <string>
#include <vector>

namespace tape::detail {

/// A file descriptor being read, through one fixed buffer. "-" is stdin. Errors are data_error naming the file.
class RawInput {
  public:
    explicit RawInput(std::string path);
    ~RawInput();
    RawInput(RawInput const&) = delete;
    RawInput& operator=(RawInput const&) = delete;

    /// Reads on until at least `wanted` bytes are buffered or the file ends.
    void fill(std::size_t wanted = 1);
    [[nodiscard]] unsigned char const* data() const { return buffer_.data() + begin_; }
    [[nodiscard]] std::size_t size() const { return end_ - begin_; }
    void consume(std::size_t count) { begin_ += count, position_ += count; }
    [[nodiscard]] bool ended() const { return ended_; }
    [[nodiscard]] std::string const& name() const { return name_; }
    [[nodiscard]] unsigned long long position() const { return position_; } ///< bytes consumed

  private:
    std::string name_;
    int descriptor_ = -1;
    std::vector<unsigned char> buffer_;
    std::size_t begin_ = 0, end_ = 0;
    unsigned long long position_ = 0;
    bool ended_ = false;
};

/// Turns the bytes of a RawInput into plain bytes.
class Decoder {
  public:
    virtual ~Decoder() = default;
    /// Up to `size` plain bytes; 0 only at a proper end. @throws data_error on a damaged or truncated stream.
    virtual std::size_t read(char* out, std::size_t size) = 0;
};

/// The decoder that the first bytes of the input ask for (gzip, xz, zstd, else plain).
std::unique_ptr<Decoder> make_decoder(RawInput& input);

/// Where an encoder sends its bytes. @throws tape::error when they cannot be written.
class Sink {
  public:
    virtual ~Sink() = default;
    virtual void write(char const* bytes, std::size_t size) = 0;
};

class Encoder {
  public:
    virtual ~Encoder() = default;
    virtual void write(char const* bytes, std::size_t size) = 0;
    /// Writes what is left and the trailer. Nothing may be written afterwards.
    virtual void finish() = 0;
};

/// The encoder that the ending of `name` asks for (.gz, .xz, .zst, else plain).
std::unique_ptr<Encoder> make_encoder(std::string const& name, Sink& sink);

} // namespace tape::detail
