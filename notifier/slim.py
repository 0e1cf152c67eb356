"""Slim: import a library without a part of it that nothing here uses and everybody would wait for.

Whoever imports that part by its own name later gets it. `store.slim` and `fetch.slim` say what is left out of theirs;
together it is a fifth of the time to start.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType


def import_slim(library: str, *parts: str) -> None:
    """Import a library without these modules of it; nothing happens when it was imported before.

    Of such a module the library may import any name: it stands for nothing. A version that wants more of them than
    names is imported as a whole.
    """
    if library in sys.modules:
        return
    for part in parts:
        sys.modules[part] = _Empty(part)
    try:
        import_module(library)
        return
    except Exception:  # noqa: S110  what is wrong with it without the stand-ins is said below
        pass
    finally:
        for part in parts:
            del sys.modules[part]
    import_module(library)


class _Empty(ModuleType):
    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})
