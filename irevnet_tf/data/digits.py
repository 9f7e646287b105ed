"""The 1,797 handwritten digits that come with scikit-learn."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from irevnet_tf.data.dataset import Dataset
from irevnet_tf.data.examples import ArrayExamples
from irevnet_tf.preprocessing import PREPROCESSING

TEST_EXAMPLES = 360
SPLIT_SEED = 0


def load() -> Dataset:
    """Load the digits, split into 1,437 for training and 360 for testing.

    The images have 8x8 pixels and one channel, with values 0 to 16 that are
    divided by 16. They are a part of the UCI set "Optical Recognition of
    Handwritten Digits", which scikit-learn ships without a split. This split
    is stratified (every digit is as frequent in both parts) and fixed:
    `train_test_split` with `test_size=360` and `random_state=0`.

    Returns:
        A `Dataset` with values from 0.0 (background) to 1.0 (ink).
    """
    digits = load_digits()
    images = digits.images[..., np.newaxis].astype("uint8")
    train_images, test_images, train_labels, test_labels = train_test_split(
        images,
        digits.target,
        test_size=TEST_EXAMPLES,
        stratify=digits.target,
        random_state=SPLIT_SEED,
    )
    return Dataset(
        name="digits",
        class_names=tuple(str(name) for name in digits.target_names),
        image_shape=images.shape[1:],
        normalization=PREPROCESSING["digits"],
        train=ArrayExamples(train_images, train_labels),
        test=ArrayExamples(test_images, test_labels),
    )
