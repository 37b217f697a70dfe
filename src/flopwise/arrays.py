"""numpy, imported where it is first used: most formats never fold a constant.

`from flopwise import arrays as numpy` reads like the library; it takes longer to import than
all of flopwise.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    import numpy

    return getattr(numpy, name)
