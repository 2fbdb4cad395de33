import subprocess
import sys


def test_the_door_is_cheap() -> None:
    code = "import sys, strop.stats; print(*({'scipy', 'numpy'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
