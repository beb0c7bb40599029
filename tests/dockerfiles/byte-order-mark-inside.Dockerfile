FROM localhost/kiln/python-3.13
﻿FROM localhost/kiln-evil:latest
CMD ["/usr/bin/python3.13"]
