#include "data/io.hpp"

#include "data/error.hpp"
#include "data/full_disk.hpp"
#include "data/io_codecs.hpp"
#include "data/temporary.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <istream>
#include <optional>
#include <ostream>
#include <utility>
#include <vector>

namespace tape {
namespace {

constexpr std::size_t buffer_size = std::size_t{1} << 18;

std::string system_message(int code) {
    if (code == ENOSPC) return "no space left on device; free some and run again";
    if (code == EDQUOT) return "disk quota exceeded; free some space and run again";
    if (code == EFBIG) return "the file size limit is reached; raise `ulimit -f` or choose another disk";
    return std::strerror(code);
}

[[noreturn]] void fail_to_write(std::string const& name, int code) {
    std::string const message = name + ": cannot write: " + system_message(code);
    if (code == ENOSPC || code == EDQUOT) throw full_disk_error{message};
    throw error{message};
}

/// Opens a regular file or pipe for reading, never a directory.
int open_for_reading(std::string const& path) {
    int const descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) throw data_error{path + ": cannot open: " + std::strerror(errno)};
    struct stat status {};
    if (::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
        ::close(descriptor);
        throw data_error{path + ": is a directory; expected a file"};
    }
    return descriptor;
}

} // namespace

namespace detail {

RawInput::RawInput(std::string path) : name_{path == "-" ? "<stdin>" : path}, buffer_(buffer_size) {
    descriptor_ = path == "-" ? STDIN_FILENO : open_for_reading(path);
}

RawInput::~RawInput() {
    if (descriptor_ > STDIN_FILENO) ::close(descriptor_);
}

void RawInput::fill(std::size_t wanted) {
    if (begin_ > 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    while (!ended_ && end_ < wanted) {
        ssize_t const count = ::read(descriptor_, buffer_.data() + end_, buffer_.size() - end_);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw data_error{name_ + ": cannot read: " + std::strerror(errno)};
        if (count == 0) ended_ = true;
        end_ += static_cast<std::size_t>(count);
    }
}

namespace {

class DecodingBuffer final : public std::streambuf {
  public:
    explicit DecodingBuffer(std::filesystem::path const& file)
        : input_{file.string()}, decoder_{make_decoder(input_)}, buffer_(buffer_size) {}

  protected:
    int_type underflow() override {
        std::size_t const count = decoder_->read(buffer_.data(), buffer_.size());
        setg(buffer_.data(), buffer_.data(), buffer_.data() + count);
        return count > 0 ? traits_type::to_int_type(buffer_[0]) : traits_type::eof();
    }

  private:
    RawInput input_;
    std::unique_ptr<Decoder> decoder_;
    std::vector<char> buffer_;
};

class InputStream final : public std::istream {
  public:
    explicit InputStream(std::filesystem::path const& file) : std::istream{nullptr}, source_{file} {
        init(&source_);
        // badbit makes the stream rethrow what underflow threw, so damage is never mistaken for the end of the file.
        exceptions(std::ios::badbit);
    }

  private:
    DecodingBuffer source_;
};

class DescriptorSink final : public Sink {
  public:
    DescriptorSink(int descriptor, std::string name) : descriptor_{descriptor}, name_{std::move(name)} {}
    void write(char const* bytes, std::size_t size) override {
        while (size > 0) {
            ssize_t const count = ::write(descriptor_, bytes, size);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) fail_to_write(name_, errno);
            bytes += count, size -= static_cast<std::size_t>(count);
        }
    }

  private:
    int descriptor_;
    std::string name_;
};

class EncodingBuffer final : public std::streambuf {
  public:
    EncodingBuffer(int descriptor, std::string const& name)
        : sink_{descriptor, name}, encoder_{make_encoder(name, sink_)}, buffer_(buffer_size) {
        setp(buffer_.data(), buffer_.data() + buffer_.size());
    }
    void finish() {
        drain();
        encoder_->finish();
    }

  protected:
    int_type overflow(int_type letter) override {
        drain();
        if (!traits_type::eq_int_type(letter, traits_type::eof())) sputc(traits_type::to_char_type(letter));
        return traits_type::not_eof(letter);
    }
    std::streamsize xsputn(char const* bytes, std::streamsize size) override {
        if (size <= epptr() - pptr()) {
            if (size > 0) std::memcpy(pptr(), bytes, static_cast<std::size_t>(size));
            pbump(static_cast<int>(size));
            return size;
        }
        drain();
        encoder_->write(bytes, static_cast<std::size_t>(size));
        written_ += size;
        return size;
    }
    int sync() override {
        drain();
        return 0;
    }
    /// Only for tellp(): plain bytes so far.
    pos_type seekoff(off_type offset, std::ios_base::seekdir direction, std::ios_base::openmode) override {
        if (offset != 0 || direction != std::ios_base::cur) return pos_type(off_type(-1));
        return pos_type(written_ + (pptr() - pbase()));
    }

  private:
    void drain() {
        auto const count = pptr() - pbase();
        setp(buffer_.data(), buffer_.data() + buffer_.size());
        if (count > 0) encoder_->write(buffer_.data(), static_cast<std::size_t>(count));
        written_ += count;
    }

    DescriptorSink sink_;
    std::unique_ptr<Encoder> encoder_;
    std::vector<char> buffer_;
    off_type written_ = 0;
};

} // namespace
} // namespace detail

std::unique_ptr<std::istream> open_input(std::filesystem::path const& file) {
    return std::make_unique<detail::InputStream>(file);
}

std::string read_text(std::filesystem::path const& file, std::uint64_t limit) {
    auto const in = open_input(file);
    std::string text;
    std::vector<char> chunk(buffer_size);
    while (in->read(chunk.data(), static_cast<std::streamsize>(chunk.size())), in->gcount() > 0) {
        if (text.size() + static_cast<std::uint64_t>(in->gcount()) > limit)
            throw data_error{file.string() + ": holds more than " + std::to_string(limit) +
                             " bytes when decompressed; refused"};
        text.append(chunk.data(), static_cast<std::size_t>(in->gcount()));
    }
    return text;
}

struct AtomicFile::State {
    std::filesystem::path target;
    std::optional<TemporaryPath> temporary; ///< none for stdout, pipes and devices
    int descriptor = -1;
    std::unique_ptr<detail::EncodingBuffer> buffer;
    std::unique_ptr<std::ostream> stream;

    ~State() {
        if (descriptor > STDERR_FILENO) ::close(descriptor);
    }
};

AtomicFile::AtomicFile(std::filesystem::path target) : state_{std::make_unique<State>()} {
    State& state = *state_;
    state.target = std::move(target);
    std::string const name = state.target == "-" ? "<stdout>" : state.target.string();
    std::error_code ignored;
    if (state.target == "-") {
        state.descriptor = STDOUT_FILENO;
    } else if (std::filesystem::is_character_file(state.target, ignored) ||
               std::filesystem::is_fifo(state.target, ignored)) {
        // A device or pipe (/dev/null, a process substitution) cannot be renamed over.
        state.descriptor = ::open(state.target.c_str(), O_WRONLY | O_CLOEXEC);
    } else {
        state.temporary.emplace(state.target);
        state.descriptor = ::open(state.temporary->path().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (state.descriptor < 0) fail_to_write(name, errno);
    state.buffer = std::make_unique<detail::EncodingBuffer>(state.descriptor, name);
    state.stream = std::make_unique<std::ostream>(state.buffer.get());
    state.stream->exceptions(std::ios::badbit);
}

AtomicFile::~AtomicFile() = default;

std::ostream& AtomicFile::stream() { return *state_->stream; }

void AtomicFile::commit() {
    State& state = *state_;
    state.stream->flush();
    state.buffer->finish();
    if (!state.temporary) return;
    int const descriptor = std::exchange(state.descriptor, -1);
    int problem = ::fsync(descriptor) == 0 ? 0 : errno;
    if (::close(descriptor) != 0 && problem == 0) problem = errno;
    if (problem != 0) fail_to_write(state.target.string(), problem);
    state.temporary->rename();
}

void retry_while_full(std::function<void()> const& write, std::function<void(full_disk_error const&)> const& wait) {
    for (;;) {
        try {
            return write();
        } catch (full_disk_error const& problem) {
            wait(problem);
        }
    }
}

void write_atomically(std::filesystem::path const& target, std::function<void(std::ostream&)> const& write) {
    AtomicFile file{target};
    write(file.stream());
    file.commit();
}

void write_text(std::filesystem::path const& target, std::string_view text) {
    write_atomically(target, [text](std::ostream& out) { out << text; });
}

void write_path_atomically(std::filesystem::path const& target,
                           std::function<void(std::filesystem::path const&)> const& write) {
    TemporaryPath temporary{target};
    write(temporary.path());
    temporary.sync_and_rename();
}

MappedFile::MappedFile(std::filesystem::path const& file) {
    int const descriptor = open_for_reading(file.string());
    struct stat status {};
    if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        ::close(descriptor);
        throw data_error{file.string() + ": is no regular file; it cannot be mapped into memory"};
    }
    size_ = static_cast<std::size_t>(status.st_size);
    void* const address = size_ > 0 ? ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0) : nullptr;
    int const problem = errno;
    ::close(descriptor);
    if (address == MAP_FAILED) throw error{file.string() + ": cannot map into memory: " + std::strerror(problem)};
    data_ = static_cast<char const*>(address);
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)} {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

} // namespace tape
