#!/usr/bin/env bash
# Blobs on an nginx of our own: ranges, redirects, a missing file, no ranges, a body that ends early, a server that is
# slow, and the cache in front. Each failure is an error in words, within its time.
set -euo pipefail
# shellcheck source=tests/host/support.sh
source "$(dirname "$0")/support.sh"

cd "$folder"
export no_proxy='*' NO_PROXY='*' XDG_CACHE_HOME=$folder/cache
disk() { timeout 60 "$UNDERCROFT_HOST" disk "$@"; }

start_nginx() {
    for _ in $(seq 5); do
        port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
        cat >nginx.conf <<CONF
daemon off; master_process off; user root; pid $folder/nginx.pid; error_log $folder/nginx.log;
events { }
http {
    access_log $folder/access.log;
    client_body_temp_path $folder/t1; proxy_temp_path $folder/t2; fastcgi_temp_path $folder/t3;
    uwsgi_temp_path $folder/t4; scgi_temp_path $folder/t5;
    server {
        listen 127.0.0.1:$port; root $folder/files;
        location /moved { return 302 /image; }
        location /away { return 307 http://127.0.0.1:$port/moved?again=1; }
        location /loop { return 301 /loop; }
        location /ftp { return 302 ftp://127.0.0.1/image; }
        location /forbidden { return 403; }
        location /whole { alias $folder/files/image; max_ranges 0; }
        location /slow { alias $folder/files/image; limit_rate 200; }
        location /steady { alias $folder/files/image; limit_rate 40k; }
    }
}
CONF
        nginx -e "$folder/nginx.log" -c "$folder/nginx.conf" 2>>nginx.log &
        server_pid=$!
        for _ in $(seq 100); do
            kill -0 "$server_pid" 2>/dev/null || break
            (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
            sleep 0.05
        done
    done
    fail "nginx does not start: $(tail -n 5 nginx.log)"
}

# refused PATTERN PATH [FORMAT]: within 20 seconds.
refused() {
    local status=0 output
    output=$(timeout 20 "$UNDERCROFT_HOST" disk info "blob:${3:-flat}:http://127.0.0.1:$port/$2" 2>&1) || status=$?
    ((status == 13)) || fail "$2 ended with $status: $output"
    grep -qF -- "$1" <<<"$output" || fail "$2 does not say '$1': $output"
}

mkdir files
head -c 1200000 /dev/urandom >files/image
truncate -s 3M files/image
disk convert --create --quiet file:files/image vhd1:files/image.vhd >/dev/null
head -c 1000 /dev/urandom >files/odd
: >files/empty
start_nginx
base=http://127.0.0.1:$port

for path in image moved away; do
    disk convert --create --quiet "blob:flat:$base/$path" file:back >/dev/null || fail "reading /$path"
    cmp files/image back || fail "/$path reads differently"
    rm back
done
disk convert --create --quiet "blob:vhd1:$base/image.vhd" file:back >/dev/null
cmp files/image back || fail 'the VHD reads differently'
expect '"read_only": true' disk info --json "blob:flat:$base/image"
grep -q '"GET /image HTTP/1.1" 206' access.log || fail 'no range was asked for'

refused 'there is no such blob' missing
refused 'other credentials' forbidden
refused 'knows no range requests' whole
refused 'more than 5 times' loop
refused 'neither HTTP nor HTTPS' ftp
refused 'no whole number of sectors' odd
refused 'cannot be read' empty
refused 'no VHD' image vhd1

# The cache: what was read once is not asked for again.
requests() { grep -c '"GET /image ' access.log; }
before=$(requests)
disk convert --create --quiet "autocache:mine:blob:flat:$base/image" file:first >/dev/null
after_first=$(requests)
disk convert --create --quiet "autocache:mine:blob:flat:$base/image" file:second >/dev/null
after_second=$(requests)
cmp files/image first || fail 'what is read through a new cache differs'
cmp files/image second || fail 'the cache reads differently'
((after_first - before > 2 && after_second - after_first == 1)) ||
    fail "requests before, between and after: $before $after_first $after_second"

# Slow: below a thousand bytes a second for ten seconds is an error.
status=0
started=$SECONDS
disk convert --create --quiet "blob:flat:$base/slow" file:slow >slow.txt 2>&1 || status=$?
((status == 21 && SECONDS - started < 40)) || fail "a slow server: $status after $((SECONDS - started)) s: $(cat slow.txt)"
grep -q 'timed out' slow.txt || fail "a slow server says: $(cat slow.txt)"

# A server that dies in the middle of a body.
disk convert --create --quiet "blob:flat:$base/steady" file:torn >torn.txt 2>&1 &
copy=$!
sleep 1
kill -KILL "$server_pid"
wait "$server_pid" 2>/dev/null || true
server_pid=
status=0
started=$SECONDS
wait "$copy" || status=$?
((status == 21 && SECONDS - started < 20)) || fail "a torn body: $status after $((SECONDS - started)) s: $(cat torn.txt)"
grep -q 'the source cannot be read' torn.txt || fail "a torn body says: $(cat torn.txt)"
