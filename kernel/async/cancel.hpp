// Cancellation: a `CancelSource` asks, whoever holds a `CancelToken` of it answers. Asking never completes anything by
// itself: a request owns its buffers until the device is done with them. All on one executor; nothing here is safe
// across virtual processors.
#pragma once

#include "kernel/base/assert.hpp"
#include "kernel/base/types.hpp"

namespace undercroft {

class CancelSource;

/// What a cancellable operation is handed. Default-constructed: never cancelled. Must not outlive its source.
class CancelToken {
public:
    CancelToken() = default;
    /// Whether the source has asked.
    bool is_cancelled() const;

private:
    friend class CancelSource;
    friend class CancelRegistration;
    explicit CancelToken(CancelSource* source) : source_(source) {}
    CancelSource* source_ = nullptr;
};

/// While it lives, `callback` is called once if the source asks. Destroying it withdraws; after that the callback never
/// runs.
class CancelRegistration {
public:
    using Callback = void (*)(CancelRegistration& self);

    CancelRegistration() = default;
    CancelRegistration(const CancelRegistration&) = delete;
    CancelRegistration& operator=(const CancelRegistration&) = delete;
    ~CancelRegistration() { withdraw(); }

    /// Registers with `token`. Returns false, and registers nothing, where it is cancelled already.
    bool arm(CancelToken token, Callback callback);
    /// Withdraws; harmless when not armed.
    void withdraw();

private:
    friend class CancelSource;
    CancelSource* source_ = nullptr;
    CancelRegistration* previous_ = nullptr;
    CancelRegistration* next_ = nullptr;
    Callback callback_ = nullptr;
};

/// Asks for a set of operations to stop, once.
class CancelSource {
public:
    CancelSource() = default;
    CancelSource(const CancelSource&) = delete;
    CancelSource& operator=(const CancelSource&) = delete;
    ~CancelSource() { ASSERT(first_ == nullptr); }

    CancelToken token() { return CancelToken(this); }
    bool is_cancelled() const { return cancelled_; }
    /// Runs every registered callback, each once. Later registrations are refused. Idempotent.
    void cancel();

private:
    friend class CancelRegistration;
    CancelRegistration* first_ = nullptr;
    bool cancelled_ = false;
};

inline bool CancelToken::is_cancelled() const { return source_ != nullptr && source_->is_cancelled(); }

inline bool CancelRegistration::arm(CancelToken token, Callback callback) {
    ASSERT(source_ == nullptr);
    if (token.source_ == nullptr) {
        return true;
    }
    if (token.source_->cancelled_) {
        return false;
    }
    source_ = token.source_;
    callback_ = callback;
    previous_ = nullptr;
    next_ = source_->first_;
    if (next_ != nullptr) {
        next_->previous_ = this;
    }
    source_->first_ = this;
    return true;
}

inline void CancelRegistration::withdraw() {
    if (source_ == nullptr) {
        return;
    }
    (previous_ != nullptr ? previous_->next_ : source_->first_) = next_;
    if (next_ != nullptr) {
        next_->previous_ = previous_;
    }
    source_ = nullptr;
}

inline void CancelSource::cancel() {
    cancelled_ = true;
    while (first_ != nullptr) {
        CancelRegistration& registration = *first_;
        registration.withdraw();
        registration.callback_(registration);
    }
}

}  // namespace undercroft
