"""Shows a folder as a file system that fails with EIO: whatever changes something in a broken case's folder, or syncs it.

Usage: failing-file-system.py BACKING MOUNT. The case `x` is broken while the file MOUNT.broken/x is there. Where that
file holds two numbers, only the writes from the first to the second of them fail, counted since it was there.
"""

import errno
import os
import sys

from fusepy import FUSE, FuseOSError, Operations


class FailingFiles(Operations):
    def __init__(self, backing, marks):
        self.backing = backing
        self.marks = marks
        self.writes = {}

    def real(self, path):
        return self.backing + path

    def change(self, path, is_write=False):
        case = path.split("/")[1]
        try:
            with open(f"{self.marks}/{case}") as mark:
                made = os.fstat(mark.fileno()).st_mtime_ns
                span = mark.read().split()
        except FileNotFoundError:
            return self.real(path)
        if not span or (is_write and self.is_within((case, made), *map(int, span))):
            raise FuseOSError(errno.EIO)
        return self.real(path)

    def is_within(self, mark, first, last):
        self.writes[mark] = self.writes.get(mark, 0) + 1
        return first <= self.writes[mark] <= last

    def getattr(self, path, fh=None):
        found = os.lstat(self.real(path)) if fh is None else os.fstat(fh)
        keys = ("atime", "ctime", "mtime", "gid", "mode", "nlink", "size", "uid", "ino", "blocks")
        return {f"st_{key}": getattr(found, f"st_{key}") for key in keys}

    def statfs(self, path):
        found = os.statvfs(self.real(path))
        keys = ("bavail", "bfree", "blocks", "bsize", "favail", "ffree", "files", "flag", "frsize", "namemax")
        return {f"f_{key}": getattr(found, f"f_{key}") for key in keys}

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self.real(path))]

    def readlink(self, path):
        return os.readlink(self.real(path))

    def open(self, path, flags):
        # What is read and written here is Python's own memory, which O_DIRECT does not take.
        return os.open(self.real(path), flags & ~(os.O_CREAT | os.O_APPEND | os.O_DIRECT))

    def create(self, path, mode, fi=None):
        return os.open(self.change(path), os.O_RDWR | os.O_CREAT, mode)

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        self.change(path, is_write=True)
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        os.truncate(self.change(path), length)

    def flush(self, path, fh):
        return 0

    def release(self, path, fh):
        os.close(fh)

    def fsync(self, path, datasync, fh):
        self.change(path)
        os.fsync(fh)

    def fsyncdir(self, path, datasync, fh):
        self.change(path)

    def mkdir(self, path, mode):
        os.mkdir(self.change(path), mode)

    def rmdir(self, path):
        os.rmdir(self.change(path))

    def unlink(self, path):
        os.unlink(self.change(path))

    def rename(self, old, new):
        os.rename(self.change(old), self.change(new))

    def link(self, target, source):
        os.link(self.real(source), self.change(target))

    def symlink(self, target, source):
        os.symlink(source, self.change(target))

    def chmod(self, path, mode):
        os.chmod(self.change(path), mode)

    def chown(self, path, uid, gid):
        os.chown(self.change(path), uid, gid, follow_symlinks=False)

    def utimens(self, path, times=None):
        os.utime(self.change(path), times)


if __name__ == "__main__":
    backing, mount = sys.argv[1:]
    FUSE(FailingFiles(backing, mount + ".broken"), mount, foreground=True, allow_other=True, use_ino=True, nothreads=True)
