"""`python -m gatebook.api CONFIG`: serve."""

import sys

from gatebook.api.server import serve

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m gatebook.api CONFIG")
    sys.exit(serve(sys.argv[1]))
