"""On which file system a path lies, and whether SQLite's locks can be trusted there."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

# File systems that several machines can mount at once, where locks or the order of writes are not
# kept (sqlite.org/howtocorrupt.html, 2.1; optuna#815). Folders that a virtual machine shares with
# its host (9p, virtiofs) are left alone: their locks hold among the processes of one machine.
KERNEL = (
    "nfs nfs4 cifs smb2 smb3 smbfs ncpfs lustre ceph gpfs afs beegfs pvfs2 orangefs panfs wekafs"
)
FUSE = (
    "sshfs glusterfs ceph ceph-fuse s3fs gcsfuse goofys rclone juicefs mount-s3 mountpoint-s3 "
    "blobfuse blobfuse2 davfs davfs2 curlftpfs cvmfs2 hdfs quobyte mfs smbnetfs beegfs lustre"
)
NETWORK = {*KERNEL.split(), *(f"fuse.{name}" for name in FUSE.split()), "glusterfs", "davfs"}


def network_file_system(path: Path, mounts: str | None = None) -> tuple[str, str] | None:
    """The type and mount point of the network file system that holds `path`, None if it is local.

    Only Linux says (/proc/self/mountinfo, proc(5)); elsewhere every path counts as local.
    """
    if mounts is None:
        try:
            mounts = MOUNTS.read_text("utf-8", errors="surrogateescape")
        except OSError:
            return None
    held_by = (0, "", "")
    where = os.path.realpath(path)
    for line in mounts.splitlines():
        mount, _, source = line.partition(" - ")
        fields, kind = mount.split(" "), source.split(" ")[0]
        if len(fields) < 5:
            continue
        point = _unescape(fields[4])
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= held_by[0]:  # a later mount on the same point hides the earlier
            held_by = (len(point), kind, point)
    _, kind, point = held_by
    return (kind, point) if kind in NETWORK else None


def _unescape(field: str) -> str:
    """A mount point as it is: a space or backslash in it is written as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
