"""Quantities are read exactly as the API server reads them, and rounded up."""

import pytest

from querytask.api import quantities


@pytest.mark.parametrize(
    ("text", "millicores"),
    [
        ("1", 1_000),
        ("500m", 500),
        ("0.5", 500),
        (2, 2_000),
        ("0.0001", 1),
        ("1e1", 10_000),
        ("1k", 1_000_000),
    ],
)
def test_cpu(text, millicores):
    """CPU is counted in thousandths of a core, a part of one rounded up."""
    assert quantities.millicores(text) == millicores


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512Mi", 512 * 2**20),
        ("1Gi", 2**30),
        ("1.5Gi", 1_610_612_736),
        ("4G", 4_000_000_000),
        ("1k", 1_000),
        ("12e6", 12_000_000),
        ("12E6", 12_000_000),
        ("1E", 10**18),
        ("1Ei", 2**60),
        ("100m", 1),
        (1_073_741_824, 2**30),
        ("9007199254740993", 9_007_199_254_740_993),
    ],
)
def test_size(text, size):
    """Sizes are counted in bytes, and no digit passes through a double."""
    assert quantities.size(text) == size


@pytest.mark.parametrize(
    "text", ["", "Gi", "1 Gi", "1gi", "1K", "-1", "+1", "1.Gi", "1GiB", True, None, 1.5, "1\n", "1e"]
)
def test_refuses(text):
    """Anything else is refused, with a sentence that shows it."""
    with pytest.raises(ValueError, match="must be a quantity such as 500m, 2, 512Mi or 4Gi, not"):
        quantities.size(text)


def test_bounds():
    """Bounds are spelled as the field is."""
    with pytest.raises(ValueError, match='must be at least 10m and at most 256, not "1m"'):
        quantities.millicores("1m", 10, 256_000)
    with pytest.raises(ValueError, match='must be at least 128Mi, not "512m"'):
        quantities.size("512m", 128 * 2**20)


@pytest.mark.parametrize(
    ("size", "text"), [(2**30, "1Gi"), (1_610_612_736, "1536Mi"), (1_000, "1000"), (0, "0"), (2**40, "1Ti")]
)
def test_writes_sizes(size, text):
    """The largest binary unit that keeps the size exact."""
    assert quantities.memory(size) == text
    assert quantities.size(text) == size


@pytest.mark.parametrize(("millicores", "text"), [(1_000, "1"), (250, "250m"), (1_500, "1500m"), (0, "0")])
def test_writes_cpu(millicores, text):
    """Whole cores without a suffix."""
    assert quantities.cpu(millicores) == text
