from localhost/kiln/python-3.13 as One
copy a /a
from ONE
copy --from=oNE /a /b
cmd ["/usr/bin/python3.13"]
