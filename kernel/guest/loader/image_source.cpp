// Images in memory, and refusals.
#include "kernel/guest/loader/image_source.hpp"

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace undercroft {

std::unexpected<LoadError> refuse_image(Error code, const char* format, ...) {
    LoadError error;
    error.code = code;
    va_list arguments;
    va_start(arguments, format);
    (void)std::vsnprintf(error.text, sizeof(error.text), format, arguments);
    va_end(arguments);
    return std::unexpected(error);
}

Result<void> MemoryImage::read(u64 offset_bytes, std::span<std::byte> into) {
    if (offset_bytes > bytes_.size() || into.size() > bytes_.size() - offset_bytes) {
        return fail(Error::out_of_range);
    }
    // The image may lie in guest memory itself, and overlap its place.
    std::memmove(into.data(), bytes_.data() + offset_bytes, into.size());
    return {};
}

}  // namespace undercroft
