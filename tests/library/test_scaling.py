"""docs/scaling.md: its scripts are bash, its options exist, and a process of a job array leaves to
others what they hold."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess

import pytest
from commands import ROOT, SMALL

from comparisons.cli import make_request
from comparisons.options import make_parser
from comparisons.planning.plan import make_plan
from comparisons.storage.run_folder import RunFolder

PAGE = (ROOT / "docs" / "scaling.md").read_text()
SCRIPTS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
ASKED = ("--tasks=prefix_sums", "--paradigms=dt_net_recall", "--seeds=0,1", *SMALL)


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_bash_and_its_command_is_understood(script):
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    command = script.replace("\\\n", " ").partition("compare.py ")[2].splitlines()[0]
    options = make_parser().parse_args(shlex.split(command))
    assert str(options.out).endswith("study")


def test_there_is_a_script_for_each_way():
    assert [re.search(r"^# (\w+)\.sh", script, re.MULTILINE)[1] for script in SCRIPTS] == [
        "array",
        "nodes",
        "gpus",
        "small",
    ]


def test_a_process_that_does_not_wait_leaves_what_another_holds(compare, tmp_path):
    out, specs = tmp_path / "out", planned()
    with RunFolder(out, specs[0]).claim(print, False) as mine:
        assert mine
        done = compare(*ASKED, "--no-wait", "--workers=1", f"--out={out}")
        assert done.returncode == 0, done.stderr
        assert "left to the processes that are at them: 1 run" in done.stderr
        assert not RunFolder(out, specs[0]).complete
        assert RunFolder(out, specs[1]).complete
    done = compare(*ASKED, "--no-wait", "--workers=1", f"--out={out}")
    assert done.returncode == 0
    assert "left to" not in done.stderr
    assert RunFolder(out, specs[0]).complete


def planned():
    """The runs of ASKED, in their order."""
    request, _ = make_request(make_parser().parse_args(list(ASKED)))
    return make_plan(request).runs
