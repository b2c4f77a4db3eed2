// AES-256-XTS on one core: every engine that this CPU has, against libgcrypt and OpenSSL in the same run.
//
// Hot: a ring of 16 KiB in, another out. The IV is set for every data unit, as a disk has to. Rounds are interleaved
// (each contender once, then all again), so that a neighbour who slows the machine slows them alike: what counts is
// the ratios, never a figure of one run against one of another. A contender's figure is the median of its rounds.
// Leaves out cold memory, where every contender waits for DRAM.
#include <gcrypt.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernel/base/types.hpp"
#include "kernel/crypto/xts.hpp"

namespace undercroft {
namespace {

constexpr usize ring_bytes = 16 * kib;
constexpr usize rounds = 15;
constexpr auto round_time = std::chrono::milliseconds(20);
constexpr usize calls_between_clock_reads = 64;

using Key = std::array<std::byte, XtsCipher::key_bytes>;

enum class Direction : u8 { encrypt, decrypt };

/// What one call processes: `io_bytes` as units of `unit_bytes`.
struct Shape {
    const char* name;
    u32 unit_bytes;
    u32 io_bytes;
};
constexpr Shape shapes[] = {
    {"512 B unit", 512, 512},
    {"4 KiB unit", 4096, 4096},
    {"4 KiB of 8 x 512 B units", 512, 4096},
};

[[noreturn]] void give_up(const std::string& why) {
    std::fprintf(stderr, "xts_bench: %s\n", why.c_str());
    std::exit(1);
}

/// An implementation under test. `run` processes one I/O of `shape`, numbered from `first_unit`.
class Contender {
public:
    explicit Contender(std::string name) : name_(std::move(name)) {}
    virtual ~Contender() = default;
    virtual void run(Direction direction, const Shape& shape, u64 first_unit, const std::byte* in, std::byte* out) = 0;
    const std::string& name() const { return name_; }

private:
    std::string name_;
};

class OursContender final : public Contender {
public:
    OursContender(const Key& key, XtsEngine engine)
        : Contender(std::string("ours ") + to_string(engine)), cipher_(create(key, engine)) {}

    void run(Direction direction, const Shape& shape, u64 first_unit, const std::byte* in, std::byte* out) override {
        const std::span from(in, shape.io_bytes);
        const std::span to(out, shape.io_bytes);
        if (direction == Direction::encrypt) {
            cipher_.encrypt(first_unit, shape.unit_bytes, from, to);
        } else {
            cipher_.decrypt(first_unit, shape.unit_bytes, from, to);
        }
    }

private:
    static XtsCipher create(const Key& key, XtsEngine engine) {
        auto cipher = XtsCipher::create(key, engine);
        if (!cipher)
            give_up("cannot create a cipher");
        return std::move(*cipher);
    }

    XtsCipher cipher_;
};

class OpensslContender final : public Contender {
public:
    explicit OpensslContender(const Key& key) : Contender("OpenSSL") {
        for (const int encrypt : {0, 1}) {
            contexts_[encrypt].reset(EVP_CIPHER_CTX_new());
            const auto* key_data = reinterpret_cast<const unsigned char*>(key.data());
            if (EVP_CipherInit_ex(contexts_[encrypt].get(), EVP_aes_256_xts(), nullptr, key_data, nullptr, encrypt) !=
                1)
                give_up("OpenSSL refuses the key");
        }
    }

    void run(Direction direction, const Shape& shape, u64 first_unit, const std::byte* in, std::byte* out) override {
        const int encrypt = direction == Direction::encrypt ? 1 : 0;
        EVP_CIPHER_CTX* context = contexts_[encrypt].get();
        for (u32 offset = 0; offset < shape.io_bytes; offset += shape.unit_bytes, ++first_unit) {
            unsigned char iv[XtsCipher::block_bytes] = {};
            std::memcpy(iv, &first_unit, sizeof(first_unit));
            int written = 0;
            EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, iv, encrypt);
            EVP_CipherUpdate(context, reinterpret_cast<unsigned char*>(out + offset), &written,
                             reinterpret_cast<const unsigned char*>(in + offset), static_cast<int>(shape.unit_bytes));
        }
    }

private:
    struct ContextDeleter {
        void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
    };
    std::unique_ptr<EVP_CIPHER_CTX, ContextDeleter> contexts_[2];
};

class LibgcryptContender final : public Contender {
public:
    explicit LibgcryptContender(const Key& key) : Contender("libgcrypt") {
        gcry_check_version(nullptr);
        gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
        if (gcry_cipher_open(&handle_, GCRY_CIPHER_AES256, GCRY_CIPHER_MODE_XTS, 0) != 0 ||
            gcry_cipher_setkey(handle_, key.data(), key.size()) != 0)
            give_up("libgcrypt refuses the key");
    }
    LibgcryptContender(const LibgcryptContender&) = delete;
    LibgcryptContender& operator=(const LibgcryptContender&) = delete;
    ~LibgcryptContender() override { gcry_cipher_close(handle_); }

    void run(Direction direction, const Shape& shape, u64 first_unit, const std::byte* in, std::byte* out) override {
        for (u32 offset = 0; offset < shape.io_bytes; offset += shape.unit_bytes, ++first_unit) {
            unsigned char iv[XtsCipher::block_bytes] = {};
            std::memcpy(iv, &first_unit, sizeof(first_unit));
            gcry_cipher_setiv(handle_, iv, sizeof(iv));
            if (direction == Direction::encrypt) {
                gcry_cipher_encrypt(handle_, out + offset, shape.unit_bytes, in + offset, shape.unit_bytes);
            } else {
                gcry_cipher_decrypt(handle_, out + offset, shape.unit_bytes, in + offset, shape.unit_bytes);
            }
        }
    }

private:
    gcry_cipher_hd_t handle_ = nullptr;
};

struct Rings {
    alignas(4096) std::byte in[ring_bytes];
    alignas(4096) std::byte out[ring_bytes];
};

double measure_nanoseconds_per_io(Contender& contender, Direction direction, const Shape& shape, Rings& rings) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    u64 calls = 0;
    u64 unit = 0;
    usize offset = 0;
    Clock::duration elapsed{};
    do {
        for (usize i = 0; i < calls_between_clock_reads; ++i) {
            contender.run(direction, shape, unit, rings.in + offset, rings.out + offset);
            unit += shape.io_bytes / shape.unit_bytes;
            offset = (offset + shape.io_bytes) % ring_bytes;
        }
        calls += calls_between_clock_reads;
        elapsed = Clock::now() - start;
    } while (elapsed < round_time);
    return std::chrono::duration<double, std::nano>(elapsed).count() / static_cast<double>(calls);
}

double median(std::vector<double> values) {
    std::ranges::nth_element(values, values.begin() + values.size() / 2);
    return values[values.size() / 2];
}

// A wrong cipher can be arbitrarily fast.
void check_that_all_agree(std::span<const std::unique_ptr<Contender>> contenders, Rings& rings) {
    for (const Shape& shape : shapes) {
        for (const Direction direction : {Direction::encrypt, Direction::decrypt}) {
            std::vector<std::byte> expected;
            for (const auto& contender : contenders) {
                contender->run(direction, shape, 0x1234'5678'9abcULL, rings.in, rings.out);
                const std::vector<std::byte> result(rings.out, rings.out + shape.io_bytes);
                if (expected.empty())
                    expected = result;
                if (result != expected)
                    give_up(contender->name() + " disagrees with " + contenders[0]->name());
            }
        }
    }
}

void print_row(const Contender& contender, const Shape& shape, double ns, double ns_gcrypt, double ns_openssl) {
    const double units = static_cast<double>(shape.io_bytes) / shape.unit_bytes;
    std::printf("  %-20s %8.2f GB/s %9.1f ns/unit %9.2f x libgcrypt %8.2f x OpenSSL\n", contender.name().c_str(),
                shape.io_bytes / ns, ns / units, ns_gcrypt / ns, ns_openssl / ns);
}

int run() {
    Key key{};
    for (usize i = 0; i < key.size(); ++i)
        key[i] = static_cast<std::byte>(i * 3 + 1);
    auto rings = std::make_unique<Rings>();
    for (usize i = 0; i < ring_bytes; ++i)
        rings->in[i] = static_cast<std::byte>(i * 7);

    std::vector<std::unique_ptr<Contender>> contenders;
    contenders.push_back(std::make_unique<LibgcryptContender>(key));
    contenders.push_back(std::make_unique<OpensslContender>(key));
    for (usize i = 0; i < xts_engine_count; ++i) {
        const auto engine = static_cast<XtsEngine>(i);
        if (is_supported(engine))
            contenders.push_back(std::make_unique<OursContender>(key, engine));
    }
    check_that_all_agree(contenders, *rings);

    std::printf("AES-256-XTS, one core, hot 16 KiB ring, out of place; medians of %zu interleaved rounds of %lld ms\n",
                rounds, static_cast<long long>(round_time.count()));
    std::printf("libgcrypt %s, %s; the data path takes: %s\n", gcry_check_version(nullptr),
                OpenSSL_version(OPENSSL_VERSION), to_string(fastest_xts_engine()));
    for (const Shape& shape : shapes) {
        for (const Direction direction : {Direction::encrypt, Direction::decrypt}) {
            std::vector<std::vector<double>> ns(contenders.size());
            for (usize round = 0; round < rounds; ++round) {
                for (usize i = 0; i < contenders.size(); ++i) {
                    ns[i].push_back(measure_nanoseconds_per_io(*contenders[i], direction, shape, *rings));
                }
            }
            std::printf("%s, %s\n", shape.name, direction == Direction::encrypt ? "encrypt" : "decrypt");
            for (usize i = 0; i < contenders.size(); ++i) {
                print_row(*contenders[i], shape, median(ns[i]), median(ns[0]), median(ns[1]));
            }
        }
    }
    return 0;
}

}  // namespace
}  // namespace undercroft

int main() { return undercroft::run(); }
