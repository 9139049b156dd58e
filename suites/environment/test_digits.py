"""The digits that the training suites learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pytest_applesilicon.data.mnist import Mnist


def test_digits_are_real_and_balanced(mnist: Mnist) -> None:
    counts = np.bincount(mnist.train_labels, minlength=10)

    # In the full set the rarest digit is 9.0 % (five) and the most frequent 11.2 % (one).
    shares = counts / len(mnist.train_labels)
    assert shares.min() >= 0.08, f"digits are too rare: the shares are {shares.round(3)}"
    assert shares.max() <= 0.13, f"digits are too frequent: the shares are {shares.round(3)}"
    # The mean brightness of MNIST's training images is 33.3 of 255.
    brightness = mnist.train_images.mean()
    assert 30 < brightness < 37, f"the mean brightness is {brightness:.1f}, not 33.3"


def test_no_test_digit_was_trained_on(mnist: Mnist) -> None:
    trained = {image.tobytes() for image in mnist.train_images}

    known = sum(image.tobytes() in trained for image in mnist.test_images)

    assert known == 0, f"{known} of {len(mnist.test_images)} test digits were trained on"
