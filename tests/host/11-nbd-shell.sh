#!/usr/bin/env bash
# libnbd's Python module against the NBD server: every flag and error, what it lists, and holes, byte by byte.
set -euo pipefail
# shellcheck source=tests/host/support.sh
source "$(dirname "$0")/support.sh"

start_server --nbd "unix:$socket" mem:16M --export other=mem:1M

cat >"$folder/check.py" <<'PYTHON'
import errno, os, sys, nbd
path = sys.argv[1]

def connect(structured=True, name='', strict=True):
    h = nbd.NBD()
    h.set_export_name(name)
    h.set_request_structured_replies(structured)
    if structured:
        h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    if not strict:
        h.set_strict_mode(0)
    h.connect_unix(path)
    return h

def refused(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except nbd.Error as e:
        assert e.errnum == error, (e.errnum, e)
    else:
        assert False, 'not refused'

for structured in (True, False):
    h = connect(structured)
    assert h.get_size() == 16 << 20
    assert h.can_df() == structured
    data = os.urandom(300 * 512)
    h.pwrite(data, 5 * 512)
    assert h.pread(len(data), 5 * 512) == bytearray(data)
    h.pwrite(data[:512], 0, nbd.CMD_FLAG_FUA)
    h.zero(100 * 512, 50 * 512)
    h.zero(512, 0, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)
    assert h.pread(100 * 512, 50 * 512) == bytearray(100 * 512)
    h.flush()
    h.trim(1 << 20, 4 << 20)
    h.shutdown()

h = connect()
h.pwrite(b'x' * 65536, 8 << 20)
chunks = []
h.pread_structured(256 * 1024, (8 << 20) - 65536, lambda b, o, s, e: chunks.append((o, len(b), s)))
assert [c[2] for c in chunks] == [nbd.READ_HOLE, nbd.READ_DATA, nbd.READ_HOLE], chunks
extents = []
h.block_status(16 << 20, 0, lambda c, o, e, err: extents.extend(e))
assert sum(extents[0::2]) == 16 << 20 and set(extents[1::2]) == {0, 3}, extents
h.zero(1 << 20, 0, nbd.CMD_FLAG_FAST_ZERO)
refused(errno.ENOTSUP, h.zero, 1 << 20, 0, nbd.CMD_FLAG_FAST_ZERO | nbd.CMD_FLAG_NO_HOLE)
chunks = []
h.pread_structured(65536, 8 << 20, lambda b, o, s, e: chunks.append(bytes(b)), nbd.CMD_FLAG_DF)
assert chunks == [b'x' * 65536]

# Requests that a careful client would not send.
for structured in (True, False):
    h = connect(structured, strict=False)
    refused(errno.EINVAL, h.pread, 512, 16 << 20)
    refused(errno.EINVAL, h.pread, 100, 0)
    refused(errno.ENOSPC, h.pwrite, b'x' * 1024, (16 << 20) - 512)
    refused(errno.EINVAL, h.pwrite, b'x' * 512, 0, 1 << 9)
    refused(errno.EINVAL, h.cache, 512, 0)
    assert len(h.pread(512, 0)) == 512

h = nbd.NBD()
h.set_opt_mode(True)
h.connect_unix(path)
names = []
h.opt_list(lambda name, description: names.append(name))
assert names == ['', 'other'], names
h.set_export_name('missing')
refused(errno.ENOENT, h.opt_info)
h.set_export_name('other')
h.opt_go()
assert h.get_size() == 1 << 20
h.shutdown()
PYTHON
/usr/bin/python3 "$folder/check.py" "$socket" || fail 'the Python client found something wrong'
stop_server

start_server --read-only --nbd "unix:$socket" mem:1M
expect 'is_read_only: true' nbdinfo "$uri"
expect 'refused' /usr/bin/python3 - "$socket" <<'PYTHON'
import errno, sys, nbd
h = nbd.NBD()
h.set_strict_mode(0)
h.connect_unix(sys.argv[1])
for change in (lambda: h.pwrite(b'x' * 512, 0), lambda: h.trim(512, 0), lambda: h.zero(512, 0)):
    try:
        change()
        sys.exit('a change was taken')
    except nbd.Error as e:
        assert e.errnum == errno.EPERM, e
print('refused')
PYTHON
stop_server
