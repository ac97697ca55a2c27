#!/bin/sh
# The compiler with its own address sanitizer, which the stable one has behind this variable.
RUSTC_BOOTSTRAP=1 exec "$@" -Zsanitizer=address
