"""Which file system a path is on."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpbo.storage.mounts import network_file_system

MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
28 27 0:30 / /nfs rw,relatime shared:1 master:2 - nfs4 server:/export rw,vers=4.2
29 28 0:31 / /nfs/local rw - tmpfs tmpfs rw
30 27 0:32 / /my\040share rw - cifs //server/share rw
31 27 0:33 / /ssh rw - fuse.sshfs me@host:/ rw
32 27 0:34 / /lustre rw - lustre mds@tcp:/fs rw
33 27 0:35 / /ntfs rw - fuseblk /dev/sdb1 rw
34 27 0:36 / /twice rw - autofs systemd-1 rw
35 34 0:37 / /twice rw - nfs server:/x rw
36 27 0:38 / /thrice rw - nfs server:/x rw
37 36 0:39 / /thrice rw - ext4 /dev/sdc rw
38 27 0:40 / /wsl rw - 9p drvfs rw
odd line
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/me/runs.db", None),
        ("/nfs/me/runs.db", ("nfs4", "/nfs")),
        ("/nfs", ("nfs4", "/nfs")),
        ("/nfs/local/runs.db", None),
        ("/nfsx/runs.db", None),
        ("/my share/runs.db", ("cifs", "/my share")),
        ("/ssh/runs.db", ("fuse.sshfs", "/ssh")),
        ("/lustre/runs.db", ("lustre", "/lustre")),
        ("/ntfs/runs.db", None),
        ("/twice/runs.db", ("nfs", "/twice")),
        ("/thrice/runs.db", None),
        ("/wsl/runs.db", None),
    ],
)
def test_the_innermost_and_latest_mount_decides(path: str, expected: tuple | None) -> None:
    assert network_file_system(Path(path), MOUNTS) == expected


def test_a_link_counts_as_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/nfs")
    assert network_file_system(tmp_path / "link" / "runs.db", MOUNTS) == ("nfs4", "/nfs")


@pytest.mark.parametrize("table", ["", "nonsense\n - \n", "1 2 3 4 /\n"])
def test_a_table_that_says_nothing_makes_every_path_local(table: str) -> None:
    assert network_file_system(Path("/home"), table) is None


def test_no_table_makes_every_path_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("gpbo.storage.mounts.MOUNTS", tmp_path / "none")
    assert network_file_system(tmp_path) is None
