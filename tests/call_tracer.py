"""Stands in the way of a process: each of its system calls that changes a file is told before it is
executed, and whoever is told decides whether the process ever gets to execute it.

strace can kill at the entry of a call too (-e inject), but counts each thread's calls apart and
cannot be told in which step of the journal: which call number 40 is differs from run to run. Here
the call is named instead of counted, so what is to be hit is hit. A seccomp filter lets everything
but those calls pass at full speed: a traced upgrade takes hardly longer than any other.

A thread that is killed while it stands here does not execute its call: the kernel skips it.
"""

import collections
import contextlib
import ctypes
import os
import pathlib
import platform
import signal
import struct
import subprocess
import threading

#: Calls that change what is on disk, or when it is safe there: number on x86-64, and where the
#: paths (p: string, d: directory descriptor before it, f: descriptor) are among the arguments.
CALLS = {
    "write": (1, "f"), "pwrite64": (18, "f"), "writev": (20, "f"), "pwritev": (296, "f"),
    "pwritev2": (328, "f"), "sendfile": (40, "f"), "copy_file_range": (326, "--f"),
    "fallocate": (285, "f"), "truncate": (76, "p"), "ftruncate": (77, "f"), "ioctl": (16, "f"),
    "open": (2, "p"), "creat": (85, "p"), "openat": (257, "dp"), "openat2": (437, "dp"),
    "mkdir": (83, "p"), "mkdirat": (258, "dp"), "rmdir": (84, "p"), "unlink": (87, "p"),
    "unlinkat": (263, "dp"), "rename": (82, "pp"), "renameat": (264, "dpdp"),
    "renameat2": (316, "dpdp"), "link": (86, "pp"), "linkat": (265, "dpdp"),
    "symlink": (88, "-p"), "symlinkat": (266, "-dp"), "mknod": (133, "p"), "mknodat": (259, "dp"),
    "chmod": (90, "p"), "fchmod": (91, "f"), "fchmodat": (268, "dp"), "fchmodat2": (452, "dp"),
    "chown": (92, "p"), "fchown": (93, "f"), "lchown": (94, "p"), "fchownat": (260, "dp"),
    "utime": (132, "p"), "utimes": (235, "p"), "futimesat": (261, "dp"), "utimensat": (280, "dp"),
    "setxattr": (188, "p"), "lsetxattr": (189, "p"), "fsetxattr": (190, "f"),
    "fsync": (74, "f"), "fdatasync": (75, "f"), "sync": (162, ""), "syncfs": (306, "f"),
}
NAMES = {number: name for name, (number, _) in CALLS.items()}
#: Only with flags that make or cut a file: where these are.
OPENS = {CALLS["open"][0]: 1, CALLS["openat"][0]: 2}
CHANGING_FLAGS = os.O_CREAT | os.O_TRUNC
IOCTL = CALLS["ioctl"][0]
FICLONE = 0x40049409

ALLOW, TRACE = 0x7FFF0000, 0x7FF00000
LOAD, IF_EQUAL, IF_SET, RETURN = 0x20, 0x15, 0x45, 0x06

TRACEME, CONT, SETOPTIONS, GET_SYSCALL_INFO = 0, 7, 0x4200, 0x420E
FORK, VFORK, CLONE, EXEC, SECCOMP = 1, 2, 3, 4, 7
OPTIONS = sum(1 << event for event in (FORK, VFORK, CLONE, EXEC, SECCOMP)) | 1 << 20  # EXITKILL
WALL, WNOTHREAD = 0x40000000, 0x20000000

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long

#: `paths`: of what is changed; `program`: what the process executes, with its arguments.
Call = collections.namedtuple("Call", "name paths process thread program")


def filter_program():
    """Classic BPF: TRACE for the calls above, ALLOW for the rest."""
    checked = [(number, 16 + 8 * argument, CHANGING_FLAGS) for number, argument in OPENS.items()]
    plain = [number for number in NAMES if number not in OPENS and number != IOCTL]
    code = [(LOAD, 0, 0, 0)]
    for number, offset, flags in checked:
        code += [(IF_EQUAL, 0, 4, number), (LOAD, 0, 0, offset), (IF_SET, 0, 1, flags),
                 (RETURN, 0, 0, TRACE), (RETURN, 0, 0, ALLOW)]
    code += [(IF_EQUAL, 0, 4, IOCTL), (LOAD, 0, 0, 16 + 8), (IF_EQUAL, 0, 1, FICLONE),
             (RETURN, 0, 0, TRACE), (RETURN, 0, 0, ALLOW)]
    for number in plain:
        code += [(IF_EQUAL, 0, 1, number), (RETURN, 0, 0, TRACE)]
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *one) for one in code)


FILTER = ctypes.create_string_buffer(filter_program())
FILTER_POINTER = ctypes.create_string_buffer(
    struct.pack("@HP", (len(FILTER) - 1) // 8, ctypes.addressof(FILTER)))


def offer_to_be_traced():
    """In the child, before it executes the program."""
    LIBC.ptrace(TRACEME, 0, None, None)
    no_new_privileges, set_filter, by_program = 38, 22, 2
    LIBC.prctl(no_new_privileges, 1, 0, 0, 0)
    if LIBC.prctl(set_filter, by_program, ctypes.c_void_p(ctypes.addressof(FILTER_POINTER)), 0, 0):
        os._exit(126)


def cannot_trace():
    """Why there can be no tracer here; None if there can."""
    if platform.machine() != "x86_64":
        return f"the numbers of system calls on {platform.machine()} are not known here"
    seen = []
    tracer = Tracer(["/bin/mkdir", "/proc/none"], {}, lambda call: seen.append(call.name))
    tracer.wait(10)
    return None if seen == ["mkdir"] else f"a process cannot be traced here: {tracer.failure}"


class Tracer:
    """Runs a program, and all that it starts, until everything has ended. `judge(call)` is called,
    in the tracer's thread, before each call that changes a file; if it answers HOLD, the process
    stands still there until it is killed, and everything else that it does on disk with it."""

    HOLD = "hold"

    def __init__(self, command, environment, judge, output=subprocess.DEVNULL):
        self.judge = judge
        self.failure = None
        self.held = None  # the process that stands still
        self.waiting = {}  # thread: signal, of all that wait for its end
        self.known = set()
        self.described = {}
        self.pid = None
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(command, environment, output))
        self.thread.start()
        self.started.wait()

    def wait(self, seconds):
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "something that was traced has not ended"

    def kill(self):
        """Kills the program, and waits for its end and that of all that it has started."""
        if self.thread.is_alive():
            os.kill(self.pid, signal.SIGKILL)
        self.wait(20)

    def _run(self, command, environment, output):
        # The thread that starts the program is the one that traces it.
        try:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd="/", preexec_fn=offer_to_be_traced)
            self.pid = process.pid
            os.waitpid(self.pid, WALL)
            self._ptrace(SETOPTIONS, self.pid, OPTIONS)
            self.known.add(self.pid)
            self._resume(self.pid)
        except (OSError, subprocess.SubprocessError) as error:
            self.failure = error
            return
        finally:
            self.started.set()
        with contextlib.suppress(ChildProcessError):
            while True:
                self._handle(*os.waitpid(-1, WALL | WNOTHREAD))
        process.returncode = 0  # it has been waited for

    @staticmethod
    def _ptrace(request, thread, data=0, address=None):
        if LIBC.ptrace(request, thread, address, data) < 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request}")

    def _resume(self, thread, number=0):
        if self.held is not None:
            self.waiting[thread] = number
            return
        with contextlib.suppress(ProcessLookupError):  # killed meanwhile
            self._ptrace(CONT, thread, number)

    def _handle(self, thread, status):
        if not os.WIFSTOPPED(status):
            self._ended(thread)
            return
        number, event = os.WSTOPSIG(status), status >> 16
        if event == EXEC:
            self.described.pop(thread, None)
        if event == SECCOMP:
            call = self._call(thread)
            if call and self.held is None and self.judge(call) == self.HOLD:
                self.held = call.process
        first = thread not in self.known
        self.known.add(thread)
        # What is traced from its beginning on begins with a stop of its own.
        ours = event or (first and number == signal.SIGSTOP)
        self._resume(thread, 0 if ours else number)

    def _ended(self, thread):
        self.known.discard(thread)
        self.described.pop(thread, None)
        self.waiting.pop(thread, None)
        if thread == self.held:  # a process's first thread is told last
            self.held = None
            for other, number in self.waiting.items():
                self._resume(other, number)
            self.waiting = {}

    # --- what a thread is about to do ---

    def _call(self, thread):
        """None if it changes no file: a socket or a pipe is written to, say."""
        information = ctypes.create_string_buffer(88)
        try:
            self._ptrace(GET_SYSCALL_INFO, thread, ctypes.addressof(information), 88)
            number, *arguments = struct.unpack_from("=7Q", information, 24)
            process, program = self._describe(thread)
            paths = self._paths(thread, CALLS[NAMES[number]][1], arguments)
        except OSError:  # killed meanwhile
            return None
        if not all(path.startswith("/") and not path.startswith("/dev/") for path in paths):
            return None
        return Call(NAMES[number], paths, process, thread, program)

    def _describe(self, thread):
        if thread not in self.described:
            status = pathlib.Path(f"/proc/{thread}/status").read_text()
            process = int(status.split("\nTgid:", 1)[1].split(None, 1)[0])
            command = pathlib.Path(f"/proc/{thread}/cmdline").read_bytes().split(b"\0")
            words = [os.fsdecode(word) for word in command[:2]]
            self.described[thread] = (process, " ".join([os.path.basename(words[0])] + words[1:2]))
        return self.described[thread]

    def _paths(self, thread, kinds, arguments):
        found, directory = [], None
        for kind, argument in zip(kinds, arguments):
            if kind == "d":
                directory = ctypes.c_int32(argument & 0xFFFFFFFF).value
            elif kind == "f":
                found.append(os.readlink(f"/proc/{thread}/fd/{argument}"))
            elif kind == "p":
                found.append(self._path(thread, directory, self._string(thread, argument)))
                directory = None
        return tuple(found)

    @staticmethod
    def _string(thread, address):
        memory = os.open(f"/proc/{thread}/mem", os.O_RDONLY)
        try:
            return os.fsdecode(os.pread(memory, 4096, address).split(b"\0", 1)[0])
        finally:
            os.close(memory)

    @staticmethod
    def _path(thread, directory, name):
        if name.startswith("/proc/self/fd/"):
            return os.readlink(name.replace("self", str(thread)))
        if name.startswith("/"):
            return name
        at_current = directory is None or directory < 0
        where = "cwd" if at_current else f"fd/{directory}"
        return os.path.normpath(os.path.join(os.readlink(f"/proc/{thread}/{where}"), name))
