"""Bins are told from curves, and put together again."""

from mixlab.tracking.histograms import collect, is_bin


def test_a_bin_is_a_name_with_a_number() -> None:
    assert [name for name in ("lam_drawn/0", "lam_drawn/12", "test_top1", "val/loss", "/3") if is_bin(name)] == [
        "lam_drawn/0",
        "lam_drawn/12",
    ]


def test_bins_are_in_order_of_their_number_whatever_that_of_their_names() -> None:
    names = sorted(f"lam/{place}" for place in range(11))  # "lam/10" comes before "lam/2"
    epochs = [
        {"epoch": epoch, "train_loss": 1.0, **{name: epoch + int(name[4:]) / 100 for name in names}} for epoch in (1, 2)
    ]
    found = collect(epochs)
    assert found["epochs"] == [1, 2]
    assert found["lam"] == [[epoch + place / 100 for place in range(11)] for epoch in (1, 2)]
    assert set(found) == {"epochs", "lam"}


def test_no_bins_no_file() -> None:
    assert collect([{"epoch": 1, "train_loss": 1.0}]) == {}
