"""An empty /tmp and /usr/local/bin that only this test program and what it starts can see: the old
scripts, and the remedies that people learned for them, name files there."""

import ctypes
import os
import pathlib

from daemon_fixture import BUILD, SOURCE

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_NAMESPACE = 0x20000
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000

PLACES = ("/tmp", "/usr/local/bin")


def mount(source, target, kind=None, flags=0, options=None):
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    if LIBC.mount(*words, flags, options):
        raise OSError(ctypes.get_errno(), f"mounting {target}")


def make_private(*needed):
    """Hides the places from this process, which must have one thread, for the rest of its life.
    What is needed of them (the programs, and the paths given) stays where it is. Returns why not,
    if that does not work."""
    if os.geteuid() != 0:
        return "only root can have a /tmp and /usr/local/bin of its own"
    needed = {SOURCE, BUILD.resolve(), *(pathlib.Path(path).resolve() for path in needed)}
    hidden = [path for path in needed if any(path.is_relative_to(place) for place in PLACES)]
    kept = {}
    try:
        if LIBC.unshare(NEW_NAMESPACE):
            raise OSError(ctypes.get_errno(), "a mount namespace of its own")
        mount("none", "/", flags=RECURSIVE | PRIVATE)
        kept = {path: os.open(path, os.O_PATH) for path in hidden}
        for place in PLACES:
            mount("none", place, "tmpfs", options=b"mode=1777" if place == "/tmp" else b"mode=0755")
        for path, descriptor in kept.items():
            path.mkdir(parents=True)
            mount(f"/proc/self/fd/{descriptor}", path, flags=BIND | RECURSIVE)
    except OSError as error:
        return str(error)
    finally:
        for descriptor in kept.values():
            os.close(descriptor)
    return None
