"""Who works on a run: one process at a time, on whatever file system, and none that has lost its
run goes on writing."""

from __future__ import annotations

import errno
import importlib
import json
import os
import pkgutil
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import filelock
import pytest
import torch
from accelerate import Accelerator
from commands import ONE, ROOT, changed, comparable, wait_for
from safetensors import SafetensorError
from warm import Warm

from comparisons.cli import main
from comparisons.execution import study
from comparisons.planning.plan import Plan, make_spec
from comparisons.storage import leases
from comparisons.storage.leases import ClaimLost, read_claim
from comparisons.storage.run_folder import RunFolder, folder_trouble
from foundations import files
from foundations.files import HOST, abandoned, part_of, write_atomically
from foundations.records.result import Result
from foundations.records.spec import RunSpec
from reports.read.load import load_records

STUDY = changed(ONE, "--workers=1", "--set=train.steps=40")

#: compare.py with locks that exclude nobody (each process has a marker of its own), or with short
#: leases.
SHARING = """
import os, sys, time
from pathlib import Path
from comparisons.storage import leases
from comparisons.training.learner import Learner
lease, pause, apart, meet, late = (sys.argv.pop(1) for _ in range(5))
leases.LEASE_SECONDS, leases.HEARTBEAT_SECONDS = float(lease), float(lease) / 4
if apart == "apart":
    one_for_all = leases._holder
    leases._holder = lambda folder, marker, *times: one_for_all(
        folder, f"{marker}.{os.getpid()}", *times
    )
forward = Learner.forward
def slow(self, *arguments):
    time.sleep(float(pause))
    return forward(self, *arguments)
Learner.forward = slow
from comparisons.storage import run_folder
hold = run_folder.hold
def hold_together(*arguments):
    here = Path(meet) / str(os.getpid())
    if meet and not here.exists():
        here.touch()
        while len(os.listdir(meet)) < 2:
            time.sleep(0.001)
        time.sleep(float(late))
    return hold(*arguments)
run_folder.hold = hold_together
from comparisons.cli import main
sys.exit(main(sys.argv[1:]))
"""


def share(
    out: Path,
    lease: float,
    pause: float,
    apart: str = "",
    meet: str | Path = "",
    asked=STUDY,
    late: float = 0,
):
    """Start a study. pause: seconds that each step takes longer. meet: a folder in which two
    processes wait for each other before their first claim, and one `late` seconds longer."""
    ways = (str(lease), str(pause), apart, str(meet), str(late))
    return Warm(SHARING, *ways, *asked, f"--out={out}")


def begun(process: Warm, out: Path) -> Path:
    """The folder of the run, once there is a checkpoint."""
    stored = []

    def there() -> bool:
        stored[:] = out.glob("runs/*/checkpoint/state.safetensors")
        return bool(stored) or process.poll() is not None

    wait_for(there, 240)
    assert process.poll() is None
    return stored[0].parents[1]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    process = share(out, 60, 0)
    assert process.wait(300) == 0
    return comparable(out)


# Two processes.


def test_a_newer_claim_ends_an_older_one_where_locks_exclude_nobody(tmp_path, undisturbed):
    out = tmp_path / "out"
    older = share(out, 60, 4, "apart")
    run = begun(older, out)
    newer = share(out, 60, 0, "apart")
    errors = [p.communicate(timeout=300)[1] for p in (older, newer)]
    assert (older.returncode, newer.returncode) == (0, 0), errors
    told = [line for line in errors[0].splitlines() if "was taken over" in line]
    assert told == [line for line in told if f"by process {newer.pid} on {HOST}" in line]
    assert len(told) == 1
    assert "taken over" not in errors[1]
    claim = read_claim(run)
    assert (claim.number, claim.pid) == (2, newer.pid)
    assert json.loads((run / "result.json").read_text())["claim"] == claim.token
    assert comparable(out) == undisturbed, "each step once, and the numbers of a run left alone"


def test_of_two_that_begin_at_once_where_locks_exclude_nobody_one_goes_on(tmp_path, undisturbed):
    out, meet = tmp_path / "out", tmp_path / "meet"
    meet.mkdir()
    both = [share(out, 60, 0.1, "apart", meet) for _ in range(2)]
    errors = [p.communicate(timeout=300)[1] for p in both]
    assert [p.returncode for p in both] == [0, 0], errors
    assert "".join(errors).count("was taken over") == 1
    (run,) = (out / "runs").iterdir()
    claim = read_claim(run)
    assert json.loads((run / "result.json").read_text())["claim"] == claim.token
    winner = [p.pid for p in both].index(claim.pid)
    assert "taken over" not in errors[winner]
    assert comparable(out) == undisturbed


def test_two_that_share_runs_where_locks_exclude_nobody_lose_none(tmp_path):
    """Each takes runs from the other: the table and the runs are those of one process alone."""
    asked = changed(STUDY, "--set=train.steps=6", "--seeds=0,1,2")
    alone = share(tmp_path / "alone", 60, 0, asked=asked)
    out, meet = tmp_path / "out", tmp_path / "meet"
    meet.mkdir()
    both = [share(out, 60, 0.1, "apart", meet, asked) for _ in range(2)]
    errors = [p.communicate(timeout=300)[1] for p in (*both, alone)]
    assert [p.returncode for p in (*both, alone)] == [0, 0, 0], errors
    assert comparable(out) == comparable(tmp_path / "alone")
    assert not (out / "set-aside").exists()
    rows = (out / "results.csv").read_text().splitlines()
    assert len(rows) == len((tmp_path / "alone" / "results.csv").read_text().splitlines())
    assert (out / "report.html").exists()


def test_whoever_loses_a_run_leaves_it_longer_each_time(tmp_path, monkeypatch):
    spec = make_spec("maze", "dt_net_recall", "smoke", 0, 40, {})
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.2)
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(study, "WAIT_SECONDS", 0.01)
    tried = []

    def overtaken_four_times(spec, folder, accelerator, report):
        tried.append(time.monotonic())
        folder.open()
        if len(tried) <= 4:
            take_over(folder)
        folder.finish(finished(folder))

    plan, accelerator = Plan((spec,)), Accelerator(cpu=True)
    screen = study.Screen(plan, tmp_path, quiet=True)
    study._work(plan, tmp_path, "runs", accelerator, screen, overtaken_four_times, True)
    waited = [after - before for before, after in pairwise(tried)]
    assert [seconds >= 0.2 * 2**place for place, seconds in enumerate(waited)] == [True] * 4


@pytest.mark.slow
def test_two_that_take_a_run_from_each_other_between_checkpoints_come_to_its_end(tmp_path):
    """Validations further apart than a lease: whoever loses the run leaves it longer each time."""
    asked = changed(STUDY, "--set=train.steps=24", "--set=train.validate_every=24")
    alone = share(tmp_path / "alone", 60, 0, asked=asked)
    out, meet = tmp_path / "out", tmp_path / "meet"
    meet.mkdir()
    both = [share(out, 0.5, 0.5, "apart", meet, asked, late) for late in (0, 5)]
    errors = [p.communicate(timeout=300)[1] for p in (*both, alone)]
    assert [p.returncode for p in (*both, alone)] == [0, 0, 0], errors
    assert "was taken over" in "".join(errors)
    assert comparable(out) == comparable(tmp_path / "alone")


def test_a_process_that_stood_still_finds_its_run_taken_over_and_leaves_it(tmp_path, undisturbed):
    """As after Ctrl-Z: its lease runs out, another finishes the run, it wakes."""
    out = tmp_path / "out"
    stopped = share(out, 3, 1)
    run = begun(stopped, out)
    stopped.send_signal(signal.SIGSTOP)
    try:
        other = share(out, 3, 0)
        error = other.communicate(timeout=300)[1]
        assert other.returncode == 0, error
        assert comparable(out) == undisturbed
        before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    finally:
        stopped.send_signal(signal.SIGCONT)
    error = stopped.communicate(timeout=300)[1]
    assert stopped.returncode == 0, error
    assert error.count(f"was taken over by process {other.pid}") == 1
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_a_run_that_is_held_is_not_claimed_by_another_process(tmp_path):
    out = tmp_path / "out"
    held = share(out, 60, 0.5)
    run = begun(held, out)
    number = read_claim(run).number
    folder = RunFolder(out, RunSpec.from_dict(json.loads((run / "spec.json").read_text())))
    with folder.claim() as mine:
        assert not mine
    assert read_claim(run).number == number
    held.kill()
    held.wait()
    begin = time.monotonic()
    with folder.claim() as mine:
        assert mine, "of a process of this machine that is gone"
    assert time.monotonic() - begin < leases.LEASE_SECONDS / 2
    assert read_claim(run).number == number + 1


# Leases.


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(tmp_path, RunSpec("maze", "dt_net_recall", 9, 40))


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.25)


def marker(folder: RunFolder, host: str = "elsewhere", pid: int = 1, token: str = "a") -> Path:
    """The lease of a process, as filelock writes it."""
    folder.path.mkdir(parents=True, exist_ok=True)
    path = folder.path / leases.MARKER
    path.write_text(
        f"filelock/2\npid={pid}\nhost={host}\nmode=lease\ntoken={token}\n"
        f"duration={leases.LEASE_SECONDS!r}\nstart=1\n"
    )
    return path


def seconds_to_claim(folder: RunFolder, limit: float) -> float:
    """How long it takes until the run is this process's."""
    begin = time.monotonic()
    while time.monotonic() - begin < limit:
        with folder.claim() as mine:
            if mine:
                assert folder.own_claim == read_claim(folder.path)
                return time.monotonic() - begin
        time.sleep(0.05)
    return limit


@pytest.fixture(params=["names exchanged", "exchange refused"])
def file_system(request, monkeypatch):
    """NFS and SMB refuse to exchange two names in one step, which is how filelock takes a lease
    over."""
    if request.param == "exchange refused":
        # Where the function lives differs between versions, and it is bound in several of its
        # modules.
        for found in pkgutil.walk_packages(filelock.__path__, "filelock."):
            importlib.import_module(found.name)
        holders = [
            module
            for name, module in sys.modules.items()
            if name.startswith("filelock.") and "exchange_names" in vars(module)
        ]
        before_4_3 = tuple(map(int, filelock.__version__.split(".")[:2])) < (4, 3)
        if before_4_3 and not holders:
            pytest.skip("this filelock exchanges no names")
        assert holders
        for module in holders:
            monkeypatch.setattr(module, "exchange_names", lambda *names: False)


@pytest.mark.usefixtures("short", "file_system")
def test_a_lease_of_another_machine_is_taken_over_once_it_has_run_out(folder):
    marker(folder)
    assert 0.9 < seconds_to_claim(folder, 20) < 15
    assert not (folder.path / leases.MARKER).exists()


@pytest.mark.usefixtures("short", "file_system")
def test_a_lease_that_is_renewed_is_left_alone(folder):
    path, done = marker(folder), threading.Event()

    def renew() -> None:
        while not done.wait(0.1):
            os.utime(path)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        assert seconds_to_claim(folder, 3) == 3
    finally:
        done.set()
        thread.join()


@pytest.mark.usefixtures("file_system")
def test_a_lease_of_a_dead_process_of_this_machine_is_taken_over_at_once(folder):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    marker(folder, filelock._identity.host_name(), dead.pid)
    claim = {"number": 4, "token": "a", "host": HOST, "pid": dead.pid}
    (folder.path / leases.CLAIM).write_text(json.dumps(claim))
    assert seconds_to_claim(folder, leases.LEASE_SECONDS) < leases.LEASE_SECONDS / 2
    assert read_claim(folder.path).number == 5


def test_a_lease_of_a_process_that_its_parent_has_not_counted_yet_is_taken_over_at_once(folder):
    """A worker that was killed is a zombie until its parent asks for it."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    wait_for(lambda: not files.alive(dead.pid))
    os.kill(dead.pid, 0)  # still there by its number
    marker(folder, filelock._identity.host_name(), dead.pid)
    claim = {"number": 4, "token": "a", "host": HOST, "pid": dead.pid}
    (folder.path / leases.CLAIM).write_text(json.dumps(claim))
    assert seconds_to_claim(folder, leases.LEASE_SECONDS) < leases.LEASE_SECONDS / 2
    dead.wait()


@pytest.mark.usefixtures("short")
def test_a_marker_that_was_never_written_does_not_hold_a_run_for_ever(folder):
    marker(folder).write_text("")
    assert 0.9 < seconds_to_claim(folder, 20) < 15


def test_a_run_is_claimed_once_in_a_process_and_given_back(folder):
    with folder.claim() as mine:
        assert mine
        with RunFolder(folder.out, folder.spec).claim() as again:
            assert not again
        folder.check()
    assert folder.own_claim is None
    assert not (folder.path / leases.MARKER).exists()
    with folder.claim() as mine:
        assert mine
    assert read_claim(folder.path).number == 2


def test_a_finished_study_claims_nothing(tmp_path):
    assert main([*ONE, f"--out={tmp_path}"]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    (run / leases.CLAIM).unlink()
    assert main([*ONE, f"--out={tmp_path}"]) == 0
    assert not any(leases.holds(p.name) for p in run.iterdir())


# Writing.


def take_over(folder: RunFolder) -> None:
    """What another process does that gets the lease."""
    stored = json.loads((folder.path / leases.CLAIM).read_text())
    stored |= {"number": stored["number"] + 1, "token": "another", "host": "elsewhere", "pid": 7}
    (folder.path / leases.CLAIM).write_text(json.dumps(stored))


def finished(folder: RunFolder) -> Result:
    return Result.from_dict({"run_id": folder.path.name, "status": "complete"})


WRITES = {
    "a line of metrics": lambda f: f.log(step=2, split="train"),
    "metrics begun again": lambda f: f.forget_metrics_after(0),
    "the result": lambda f: f.finish(finished(f)),
    "weights": lambda f: f.save(f.model_path, {"w": torch.zeros(2)}),
    "what was damaged": lambda f: f._set_aside(f.metrics_path, "is damaged"),
    "the whole folder": lambda f: f.open(),
}


@pytest.mark.parametrize("what", WRITES)
def test_nothing_is_written_by_a_process_whose_run_was_taken_over(folder, what):
    with folder.claim() as mine:
        assert mine
        folder.open()
        (folder.path / "spec.json").write_text("{}")
        folder.log(step=1, split="train")
        folder.save(folder.model_path, {"w": torch.ones(2)})
        take_over(folder)
        before = {p: p.read_bytes() for p in folder.out.rglob("*") if p.is_file()}
        with pytest.raises(ClaimLost, match="taken over by process 7 on elsewhere"):
            WRITES[what](folder)
        assert str(folder.lost).startswith(folder.path.name)
        assert {p: p.read_bytes() for p in folder.out.rglob("*") if p.is_file()} == before


REMOVED = [
    (g, w) for g in ("claim.json", "") for w in ("a line of metrics", "the result", "weights")
]


@pytest.mark.parametrize(("gone", "what"), [*REMOVED, ("checkpoint", "a checkpoint")])
def test_a_folder_that_is_being_removed_is_not_taken_for_one_taken_over(folder, gone, what):
    """Else the run would be left for a minute and then begun again, in a folder that somebody meant
    to be rid of."""

    def checkpoint(folder):
        folder.save(folder.checkpoint_path, {"w": torch.ones(2)})

    with folder.claim() as mine:
        assert mine
        folder.open()
        path = folder.path / gone
        path.unlink() if path.is_file() else shutil.rmtree(path)
        with pytest.raises((OSError, SafetensorError)) as caught:
            {**WRITES, "a checkpoint": checkpoint}[what](folder)
        assert folder.lost is None
        assert "was removed" in str(folder_trouble(folder.out, caught.value))


def test_checkpoints_of_a_round_are_checked_like_those_of_the_run(folder):
    with folder.claim() as mine:
        assert mine
        folder.open()
        first = folder.of_round(1)
        take_over(folder)
        with pytest.raises(ClaimLost):
            first.log(step=1)


def test_a_result_written_in_the_moment_of_being_taken_over_is_whole(folder, monkeypatch):
    with folder.claim() as mine:
        assert mine
        folder.open()
        replace = os.replace

        def late(a, b):
            take_over(folder)
            replace(a, b)

        monkeypatch.setattr(os, "replace", late)
        with pytest.raises(ClaimLost):
            folder.finish(finished(folder))
        assert folder.result().claim == folder.own_claim.token


def test_a_line_written_in_the_moment_of_being_taken_over_is_seen_by_nobody(folder, monkeypatch):
    with folder.claim() as mine:
        assert mine
        folder.open()
        folder.log(step=1)
        passed, other = folder.check, RunFolder(folder.out, folder.spec)

        def check_and_be_overtaken():
            passed()
            other.forget_metrics_after(0)  # as training begins
            other.log(step=1, by="another")

        monkeypatch.setattr(folder, "check", check_and_be_overtaken)
        folder.log(step=2)
        lines = [json.loads(line) for line in folder.metrics_path.read_text().splitlines()]
        assert lines == [{"step": 1, "by": "another"}]


def test_without_a_claim_there_is_nothing_to_check(folder):
    """Processes that train one run together hold it against nobody."""
    folder.open()
    folder.log(step=1)
    folder.finish(finished(folder))
    assert folder.complete
    assert not folder.result().claim


# File systems.


def refuse(monkeypatch, number: int) -> None:
    """Let no marker be made."""
    whole = os.open

    def refused(path, flags, *rest, **named):
        if os.fspath(path).endswith(leases.MARKER) and flags & os.O_CREAT:
            raise OSError(number, os.strerror(number), os.fspath(path))
        return whole(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", refused)


@pytest.mark.parametrize("number", sorted(set(leases.UNSUPPORTED)))
def test_where_leases_can_t_be_held_one_process_goes_on_and_says_so(
    tmp_path, monkeypatch, capsys, number
):
    refuse(monkeypatch, number)
    monkeypatch.setattr(leases, "_said", set())
    two = changed(ONE, "--seeds=0,1", "--workers=1")
    assert main([*two, f"--out={tmp_path}"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "hold leases" in line]
    assert len(said) == 1
    assert str(tmp_path) in said[0]
    assert os.strerror(number) in said[0]


def test_where_leases_can_t_be_held_processes_beside_the_first_do_nothing(folder, monkeypatch):
    refuse(monkeypatch, errno.ENOSYS)
    with folder.claim(first=False) as mine:
        assert not mine
    with folder.claim() as mine:
        assert mine


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_marker_that_may_not_be_made_is_named(tmp_path, monkeypatch, capsys, number):
    refuse(monkeypatch, number)
    assert main([*ONE, "--workers=1", f"--out={tmp_path}"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    (run,) = (tmp_path / "runs").iterdir()
    assert last.startswith(f"compare.py: {run / leases.MARKER} can't be opened, made or replaced")
    assert os.strerror(number).lower() in last
    assert "same command again" in last


def test_what_is_refused_is_named_by_its_own_name_and_not_by_that_of_its_part(folder, monkeypatch):
    def refused(a, b):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(a), None, str(b))

    folder.open()
    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(PermissionError) as caught:
        folder.finish(finished(folder))
    trouble = folder_trouble(folder.out, caught.value)
    assert str(trouble).startswith(f"{folder.result_path} can't be opened, made or replaced")


def test_folders_of_versions_that_had_another_lock_go_on(tmp_path, capsys):
    assert main([*ONE, f"--out={tmp_path}"]) == 0
    whole = comparable(tmp_path)
    (run,) = (tmp_path / "runs").iterdir()
    for name in ("result.json", leases.CLAIM):
        (run / name).unlink()
    (run / "lock").touch()
    assert main([*ONE, f"--out={tmp_path}"]) == 0
    assert comparable(tmp_path) == whole
    assert (run / "lock").exists()
    assert not (tmp_path / "set-aside").exists()


def test_what_holds_a_run_is_no_part_of_it(tmp_path):
    """Reports and tables do not see it, and a folder with nothing else in it is not foreign."""
    assert main([*ONE, f"--out={tmp_path}"]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    notes = load_records(tmp_path).notes
    folder = RunFolder(tmp_path, RunSpec("maze", "dt_net_recall", 9, 40))
    for name in ("lock", "held", "held.break.7.abc", "claim.json"):
        (run / name).touch()
        folder.path.mkdir(exist_ok=True)
        (folder.path / name).touch()
    assert load_records(tmp_path).notes == notes
    folder.open()
    assert folder.notes == []


# Half-written files.


def test_names_of_half_written_files_hold_host_process_and_start(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    here = part_of(path)
    assert here == part_of(path)
    assert HOST in here.name
    assert str(os.getpid()) in here.name
    names = {here.name}
    for host in ("other", "a.b", "a_b", "a/b\x00 c", "é" * 300, "..", ""):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        monkeypatch.setattr(files, "HOST", files._host())
        name = part_of(path).name
        assert name.isascii()
        assert "/" not in name
        assert len(name) < 120
        here.write_text("half")
        assert not abandoned(here), "of another host, as far as this one can see"
        names.add(name)
    monkeypatch.setattr(files, "_START", "0123abcd")
    names.add(part_of(path).name)
    assert len(names) == 9, "no two alike"


def test_only_half_written_files_of_nobody_are_swept_away(folder):
    folder.open()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    own = part_of(folder.result_path)
    place = folder.checkpoint_path.parent

    def part(host: str, pid: int, start: str = "0123abcd") -> Path:
        return place / f".state.safetensors.{host}.{pid}-{start}.part"

    live = [part(HOST, os.getppid()), part("elsewhere", dead.pid), place / ".old.1234.part"]
    gone = [own, part(HOST, dead.pid), part(HOST, os.getpid()), part("elsewhere", 5)]
    gone.append(place / ".older.1234.part")
    for path in (*live, *gone):
        path.write_text("half")
    for path in gone[-2:]:
        os.utime(path, (time.time() - 1.01 * files.DAY,) * 2)
    (folder.path / "spec.json").unlink()
    folder.open()
    assert [p for p in live if not p.exists()] == []
    assert [p for p in gone if p.exists()] == []
    assert folder.notes == [], "half-written files alone make no folder foreign"


def test_two_hosts_with_one_process_number_write_a_file_at_once(tmp_path, monkeypatch):
    """One is in the middle of it while the other writes it from beginning to end."""
    path, other = tmp_path / "f.json", []

    def meanwhile() -> None:
        if not other:
            other.append(1)
            with monkeypatch.context() as patched:
                patched.setattr(files, "HOST", "elsewhere")
                write_atomically(path, "theirs", meanwhile)
            assert path.read_text() == "theirs"

    write_atomically(path, "ours", meanwhile)
    assert path.read_text() == "ours"
    assert [p.name for p in tmp_path.iterdir()] == ["f.json"]


def test_filelock_is_asked_for():
    assert '"filelock>=' in (ROOT / "pyproject.toml").read_text()
