#!/bin/sh
# vl-convert-python 1.9.0: the SVG of a chart depends on what the process converted before.
#
# Vega numbers clip paths and gradients in one counter per process, which vl-convert does not set
# back, although Vega has resetSVGDefIds() for this. One specification gives other bytes the second
# time, so a hash of the file says that it changed. A new process begins at the same number.
#
# Seen: clip1, then clip2; in a new process clip1
# Source: https://github.com/vega/vega/issues/2573 (the counter, and the function that resets it)
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet vl-convert-python==1.9.0
cat >"$work/try.py" <<'END'
import re

import vl_convert

SPEC = {
    "data": {"values": [{"x": 1}, {"x": 2}]},
    "mark": {"type": "point", "clip": True},
    "encoding": {"x": {"field": "x", "type": "quantitative"}},
}
drawn = [vl_convert.vegalite_to_svg(SPEC) for _ in range(2)]
numbers = [",".join(sorted(set(re.findall(r"clip\d+", svg)))) for svg in drawn]
print(*numbers, drawn[0] == drawn[1], len({re.sub(r"clip\d+", "clip", svg) for svg in drawn}))
END
for _ in 1 2; do
    found=$("$work/env/bin/python" "$work/try.py")
    test "$found" = "clip1 clip2 False 1" || { echo "changed: $found" >&2; exit 1; }
done
echo "as before: the second SVG of a chart differs from the first, by the number of its clip path"
