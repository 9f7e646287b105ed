"""The classifiers that measure how well classes are separated."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.model_selection import ShuffleSplit
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

CLASSIFIERS = ("svm", "1nn")
REGULARIZATIONS = tuple(10.0 ** np.arange(-4, 1))


def choose_c(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """Return the C of a linear SVM that does best on a held-out quarter.

    Args:
        x: float array (N, features). Features of training images.
        y: int array (N,). Their labels.
        seed: int. The seed of the choice of the quarter.
    """
    search = GridSearchCV(
        _svm(1.0, seed),
        {"C": REGULARIZATIONS},
        cv=_held_out_quarter(y, seed),
        refit=False,
    )
    return _quietly(search, x, y).best_params_["C"]


def accuracies(train, test, c: float, seed: int) -> np.ndarray:
    """Return the accuracies of `CLASSIFIERS` on test images.

    Args:
        train: pair of arrays. Features (N, features) and labels (N,).
        test: pair of arrays. The same of other images.
        c: float. The C of the linear SVM.
        seed: int. The seed of the SVM's order of examples.

    Returns:
        float array (2,).
    """
    models = _svm(c, seed), KNeighborsClassifier(1)
    return np.array([_quietly(x, *train).score(*test) for x in models])


def _held_out_quarter(y, seed):
    """Return a splitter that holds out a quarter, stratified if possible."""
    _, counts = np.unique(y, return_counts=True)
    size = max(len(counts), len(y) // 4)
    if np.min(counts) < 2 or len(y) - size < len(counts):
        return ShuffleSplit(1, test_size=0.25, random_state=seed)
    return StratifiedShuffleSplit(1, test_size=size, random_state=seed)


def _svm(c, seed):
    return LinearSVC(C=c, dual="auto", tol=1e-3, random_state=seed)


def _quietly(model, x, y):
    with warnings.catch_warnings():
        # It need not converge, with a large C on few examples: the accuracy
        # does not depend on that.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)
