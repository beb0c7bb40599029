"""Run code under judgement apart from whoever tells of it.

This text stands before a program that begins as root with two capabilities, CAP_SETUID and CAP_SETGID, and that imports nothing
but the standard library. What is judged runs in processes of another user, which can neither trace nor signal the program nor
reach its descriptors. Each gives one answer on a pipe of its own: four bytes of length, then that many bytes, then its end with
an exit code that is known. Whatever it started is ended before the next begins, and what it left in memory is removed.

Where `user` is None nobody is changed and nothing else is ended: so a test runs it outside a container.
"""

import errno
import os
import select
import signal
import sys
import time

# The descriptors of a judged process, beside the standard ones: that of its answer, and those by which it asks and is answered, if it may.
ANSWER, ASK, ANSWERS = 3, 4, 5
# An answer may be as long as this, and must be followed by the end within as many seconds.
ANSWER_BYTES, ANSWER_SECONDS = 2 << 20, 10
# The exit code after an answer that tells of a failure.
FAILED = 9
# The exit code where nothing can be told, as the root is gone.
ROOT_GONE = 74
# How often the processes of a user are ended until none is left, and what a sweep ends with that has to be repeated.
SWEEPS, AGAIN = 2000, 3
# A user of whom there is nothing.
OTHER = 65533


def share_errors():
    """Let what is judged open standard error by its path, too. Standard output stays closed to it."""
    try:
        os.fchmod(2, 0o666)
    except OSError:
        pass


def see_root():
    """End without a report where the machine has lost the root: what is gone was no part of what is told of."""
    try:
        # What was seen before may be remembered; a name that nobody has asked for is not.
        os.stat("%s.%d" % (sys.executable, os.getpid()))
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOTCONN, errno.ESTALE):
            os.write(2, ("the root is gone: %s\n" % error).encode())
            os._exit(ROOT_GONE)


class Ended:
    """How a judged process ended: its answer, or a clause about why there is none, and whether it tried to deceive."""

    def __init__(self, answer=None, code=None, why=None, tampered=False):
        self.answer, self.code, self.why, self.tampered = answer, code, why, tampered


def apart(work, user, seconds, scratch=(), known=(0,), service=None):
    """Call `work` in a process of another user and take its one answer. Exit codes in `known` may follow an answer. `service` is asked by
    the process meanwhile."""
    read, write = os.pipe()
    asking = service.open() if service is not None else ()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            become(user, (write, *asking))
            work()
        finally:
            os._exit(70)
    for descriptor in (write, *asking):
        os.close(descriptor)
    try:
        data, status, overdue = listen(read, child, seconds, service)
        swept, killed = sweep(user, scratch, child if status is None else None)
        status = killed if status is None else status
        if not overdue:
            data += rest(read)
    finally:
        os.close(read)
        if service is not None:
            service.close()
    if not swept or status is None:
        return Ended(None, None, "leaves processes or files behind that cannot be removed", True)
    return judge(data, status, overdue, seconds, known)


def listen(read, child, seconds, service=None):
    """What a process says until it ends: the bytes, its status if it did end, and whether it took too long. What it asks is answered."""
    os.set_blocking(read, False)
    data, until, open_pipe, complete = b"", time.monotonic() + seconds, True, False
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return data, status, False
        left = until - time.monotonic()
        if left <= 0 or len(data) > ANSWER_BYTES + 4:
            return data, None, True
        asked = None if service is None else service.asked
        watched = [read] * open_pipe + [asked] * (asked is not None)
        ready = select.select(watched, [], [], min(left, 0.02) if open_pipe else 0.0005)[0]
        if asked in ready:
            service.answer(until)
        if read not in ready:
            continue
        chunk = os.read(read, 1 << 16)
        data += chunk
        open_pipe = bool(chunk)
        if not complete and framed(data) is not None:
            complete, until = True, time.monotonic() + ANSWER_SECONDS


def rest(read):
    """What is still in the pipe when nobody is left to write to it."""
    data = b""
    while len(data) <= ANSWER_BYTES:
        try:
            chunk = os.read(read, 1 << 16)
        except BlockingIOError:
            break
        if not chunk:
            break
        data += chunk
    return data


def framed(data):
    """The answer in these bytes, if all of it is there."""
    size = int.from_bytes(data[:4], "big")
    return data[4 : 4 + size] if len(data) >= 4 + size and len(data) > 4 else None


def judge(data, status, overdue, seconds, known):
    signalled = os.WIFSIGNALED(status)
    code = 128 + os.WTERMSIG(status) if signalled else os.WEXITSTATUS(status)
    if signalled:
        ending = "ends the process by signal %d" % os.WTERMSIG(status)
    else:
        ending = "ends the process with exit code %d" % code
    if not data:
        return Ended(None, None if overdue else code, "did not end within %d s" % seconds if overdue else ending)
    answer = framed(data)
    if len(data) > ANSWER_BYTES + 4 or int.from_bytes(data[:4], "big") > ANSWER_BYTES:
        why = "answers with more than %d bytes" % ANSWER_BYTES
    elif answer is None:
        why = "begins an answer that is none"
    elif len(data) > 4 + len(answer):
        why = "goes on after its answer"
    elif overdue:
        why = "does not end after its answer"
    elif code not in known:
        why = "answers, and then " + ending
    else:
        return Ended(answer, code)
    return Ended(None, code, why, True)


def reply(data, code=0, pid=None, write=os.write, end=os._exit, getpid=os.getpid):
    """Give the answer and end: threads and exit handlers of judged code keep nobody waiting.

    A process that the judged code forked off gives none.
    """
    if pid is None or getpid() == pid:
        data = len(data).to_bytes(4, "big") + data
        while data:
            data = data[write(ANSWER, data) :]
    end(code)


def become(user, descriptors):
    """Make this process the judged one: of that user, in a session of its own, with these descriptors and no other but the standard ones."""
    os.setsid()
    prefer_to_end("1000")
    # First out of the way of the numbers that they get.
    descriptors = [above(ANSWERS, descriptor) for descriptor in descriptors]
    for number, descriptor in enumerate(descriptors, ANSWER):
        os.dup2(descriptor, number, inheritable=True)
    for name in os.listdir("/proc/self/fd"):
        if int(name) >= ANSWER + len(descriptors):
            try:
                os.close(int(name))
            except OSError:
                continue
    os.dup2(2, 1)
    if user is not None:
        change(user)


def above(number, descriptor):
    """A descriptor of the same with a larger number."""
    return descriptor if descriptor > number else above(number, os.dup(descriptor))


def change(user):
    """Be that user and nobody else, without a capability."""
    os.setgroups([])
    os.setresgid(user[1], user[1], user[1])
    if user[0] == 0:
        drop_capabilities()
    else:
        os.setresuid(user[0], user[0], user[0])


def drop_capabilities():
    """What `setuid` does for every other user; an image may run as root."""
    import ctypes

    class Header(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]

    # _LINUX_CAPABILITY_VERSION_3, and two sets of effective, permitted and inheritable ones.
    if ctypes.CDLL(None, use_errno=True).capset(ctypes.byref(Header(0x20080522, 0)), (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset")


def prefer_to_end(score):
    """Where memory runs out, whoever is judged ends before the one who tells of it."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(score)
    except OSError:
        pass


def sweep(user, scratch, child=None):
    """End every process of a user and empty the folders that it could write to. Whether that could be done, and the status of
    `child` if it was one of them."""
    if user is None:
        if child is None:
            return True, None
        os.killpg(child, signal.SIGKILL)
        return True, os.waitpid(child, 0)[1]
    status = None
    for attempt in range(SWEEPS):
        sweeper = os.fork()
        if sweeper == 0:
            try:
                os._exit(AGAIN if end_all(user) else empty_all(scratch))
            finally:
                os._exit(1)
        code = os.waitpid(sweeper, 0)[1]
        while True:
            # What nobody waits for, and that is left to the first process of a container, may be this one's.
            try:
                ended, how = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not ended:
                break
            status = how if ended == child else status
        if code == 0:
            return True, status
        time.sleep(min(0.0005 * (attempt + 1), 0.02))
    return False, status


def end_all(user):
    """End every process of a user, as that user; whether there was one."""
    uid, gid = user
    here = os.getpid(), os.getppid(), 1
    if uid != 0:
        # Its real user is somebody else: what runs as the judged user cannot end it first.
        other = OTHER if uid != OTHER else OTHER - 1
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(other, uid, other)
        os.kill(-1, signal.SIGKILL)
    found = False
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in here:
            continue
        try:
            with open("/proc/%s/status" % name) as file:
                fields = dict(line.split(":", 1) for line in file if ":" in line)
            if fields["State"].split()[0] in "ZX" or str(uid) not in fields["Uid"].split():
                continue
            found = True
            os.kill(int(name), signal.SIGKILL)
        except (OSError, KeyError):
            continue
    return found


def empty_all(folders):
    for folder in folders:
        if os.path.isdir(folder):
            empty(folder)
    return 0


def empty(folder):
    """Remove what a judged process left in a folder, as its user."""
    there = os.lstat(folder)
    if there.st_uid == os.geteuid():
        os.chmod(folder, 0o1777)
    for inside, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(inside, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    for inside, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(inside, name))
        for name in folders:
            path = os.path.join(inside, name)
            os.unlink(path) if os.path.islink(path) else os.rmdir(path)
