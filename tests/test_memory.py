import psutil
import pytest

from charlm.core.errors import InputError
from charlm.data import memory


def test_memory_above_the_limit_is_refused_with_the_estimate(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MEMORY_LIMIT_GB", "8")
    memory.check_memory("a table", 8 * 10**9, "use less")
    with pytest.raises(InputError) as error:
        memory.check_memory("a table", 9 * 10**9, "use less")
    assert str(error.value) == (
        "a table would take about 9 GB of memory; at most 8 GB are allowed (MEMORY_LIMIT_GB "
        "changes that); use less"
    )


def test_up_to_one_gigabyte_is_never_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MEMORY_LIMIT_GB", "0.5")
    memory.check_memory("a table", 10**9, "use less")
    with pytest.raises(InputError):
        memory.check_memory("a table", 10**9 + 1, "use less")


def test_memory_of_tables_and_networks_is_estimated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MEMORY_LIMIT_GB", "7")
    memory.check_table_memory("tables", 10**6, 1000, "", itemsize_bytes=1)  # 6 GB
    with pytest.raises(InputError, match="tables would take about 12 GB"):  # 6 * 10^9 * 2 bytes
        memory.check_table_memory("tables", 10**6, 1000, "", itemsize_bytes=2)
    with pytest.raises(InputError, match="tables would take about 48 GB"):  # 6 * 10^9 * 8 bytes
        memory.check_table_memory("tables", 10**6, 1000, "")
    # 4 bytes * (6 * 10^9 + 4 * 2 * 10^9)
    with pytest.raises(InputError, match="training would take about 56 GB"):
        memory.check_network_memory("training", 10**9, 2 * 10**9, "")


def test_memory_limit_is_the_variable_or_three_quarters_of_the_memory(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("MEMORY_LIMIT_GB", "2.5")
    assert memory.memory_limit_bytes() == 2_500_000_000
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("MEMORY_LIMIT_GB")
        else:
            monkeypatch.setenv("MEMORY_LIMIT_GB", unset)
        assert memory.memory_limit_bytes() == psutil.virtual_memory().total * 3 // 4

    def unknown() -> None:
        raise OSError

    monkeypatch.setattr(psutil, "virtual_memory", unknown)
    assert memory.memory_limit_bytes() == 8_000_000_000


@pytest.mark.parametrize("setting", ["much", "0", "-1", "nan", "inf", "8 GB"])
def test_memory_limit_that_is_no_number_above_0_is_refused(
    monkeypatch: pytest.MonkeyPatch, setting: str
):
    monkeypatch.setenv("MEMORY_LIMIT_GB", setting)
    with pytest.raises(InputError) as error:
        memory.memory_limit_bytes()
    assert str(error.value) == (f"MEMORY_LIMIT_GB={setting}: must be a number of gigabytes above 0")
