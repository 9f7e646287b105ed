"""The studies of irevnet-analyze: what each asks, needs and shows."""

import dataclasses
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from irevnet_tf import analysis
from irevnet_tf.analysis.result import Result
from irevnet_tf.apps.analysis import arguments
from irevnet_tf.apps.analysis.arguments import Prepared
from irevnet_tf.apps.analysis.flags import Request
from irevnet_tf.apps.analysis.flags import parse_pairs
from irevnet_tf.apps.analysis.samples import file_sha256
from irevnet_tf.apps.analysis.subject import Subject

SVG = ".svg"
PNG = ".png"


@dataclasses.dataclass(frozen=True)
class Study:
    """A study, and all that the command and the report say about it.

    Attributes:
        name: str. Its name in --study, and that of its files.
        question: str. What it asks, in a line.
        how_to_read: str. What the figure and the table show, in a paragraph.
        picture: str. The format of its figure in the report, `SVG` for curves
            and `PNG` for pictures.
        flags: tuple of str. The flags that its result depends on, besides
            `seed`.
        prepare: function. Returns the arguments for a subject and a request.
        run: function. The study itself, of a model and these arguments.
        draw: function. Returns the figure of its result.
        classifies: bool. Whether it needs a network with a classifier.
        frames: None or function. Returns the frames of its animation, uint8
            arrays (height, width) or (height, width, 3); None if there is none.
    """

    name: str
    question: str
    how_to_read: str
    picture: str
    flags: tuple[str, ...]
    prepare: Callable[[Subject, Request], Prepared]
    run: Callable[..., Result]
    draw: Callable[[Result], Figure]
    classifies: bool = False
    frames: Callable[[Result], list[np.ndarray]] | None = None

    def settings(self, request: Request) -> dict[str, object]:
        """Return the flags that the result depends on, in JSON's types.

        Image files count by their content, too, which may change.
        """
        found = {name: getattr(request, name) for name in (*self.flags, "seed")}
        if found.get("image_pair"):
            files = np.ravel(parse_pairs(request.image_pair))
            found["image_pair"] = [f"{x} {file_sha256(x)}" for x in files]
        return found

    def carry_out(
        self,
        subject: Subject,
        request: Request,
        progress: Callable[[float], None],
    ) -> tuple[Result, str]:
        """Run the study.

        Args:
            subject: `Subject`. The network and the data.
            request: `Request`. The flags.
            progress: function. Called with the share that is done, from 0 to 1.

        Returns:
            The result, and the sentence on what was sampled.

        Raises:
            ValueError: if the network or the data do not fit this study.
        """
        prepared = self.prepare(subject, request)
        result = self.run(
            subject.model,
            *prepared.arrays,
            **prepared.options,
            preprocessing=subject.dataset.normalization,
            batch_size=request.batch_size,
            progress=progress,
        )
        return result, prepared.sampled


_OF_PARTS = ("train_images", "test_images")

STUDIES = {
    study.name: study
    for study in (
        Study(
            "inversion",
            "How exactly do images come back, from every depth?",
            "Images are encoded up to a point in the network and decoded from "
            "there. The curves show, for every depth, the worst relative error "
            "among the test images, the photographs and the noise; the same "
            "weights run in ordinary mode, where numbers are rounded, and in "
            "lossless mode, where all that comes back should be exact. A "
            "curve at 0 means that no bit is lost. Errors that grow with depth "
            "are rounding errors that the blocks amplify. The pictures are "
            "decoded from the ends of the stages in the network's own mode; "
            "the last row is the difference, amplified by the factor beside "
            "it.",
            PNG,
            ("inversion_images", "points"),
            arguments.for_inversion,
            analysis.inversion,
            analysis.draw_inversion,
        ),
        Study(
            "spectrum",
            "How ill-conditioned is it to invert the network locally?",
            "The singular values of the Jacobian, the derivative of a "
            "representation by the pixels of an image, say how far a small "
            "change of the image moves the representation, from its most to "
            "its least sensitive direction. Where they fall by many orders of "
            "magnitude, most of the change in an image hardly shows, though "
            "nothing is lost. The share of energy says how few directions "
            "dominate; the condition number, the largest divided by the least "
            "value, by how much a local inverse amplifies errors. In the last "
            "panel, where all values are known, an image is rebuilt from a "
            "neighbour by the Jacobian, and by the network's own inverse, "
            "which needs no linear algebra.",
            SVG,
            ("images", "points", "method", "count", "window"),
            arguments.for_spectrum,
            analysis.spectrum,
            analysis.draw_spectrum,
        ),
        Study(
            "interpolation",
            "What lies between two images, as the network sees them?",
            "A straight line between the representations of two images is "
            "decoded at some places: the upper row of each pair. The lower row "
            "is the mixture of the two images themselves. Under each picture "
            "stands what the network takes it for, and how sure it is. Where "
            "the upper row shows images that could be real ones rather than "
            "two on top of each other, the network has straightened what was "
            "curved in pixels. Out of range are pixels darker than black or "
            "brighter than white. The re-encoding error is 0 where every point "
            "on the line is the representation of some image, as in a "
            "bijective network.",
            PNG,
            ("pairs", "image_pair", "point", "steps", "spacing", "animation"),
            arguments.for_interpolation,
            analysis.interpolation,
            analysis.draw_interpolation,
            frames=analysis.interpolation_frames,
        ),
        Study(
            "separation",
            "How does depth separate the classes?",
            "At every depth, simple classifiers are trained on "
            "representations, averaged over their positions: a linear support "
            "vector machine and the nearest neighbour. Accuracies that rise "
            "with depth show that the network separates classes step by step; "
            "the bars are standard deviations over the draws. The same in an "
            "untrained network, and on the pixels, shows what is due to "
            "learning. On the right, the network contracts what is alike, "
            "though it is invertible, where distances within classes shrink "
            "and those between classes do not.",
            SVG,
            (*_OF_PARTS, "train_size", "draws", "points"),
            arguments.for_separation,
            analysis.separation,
            analysis.draw_separation,
        ),
        Study(
            "dimensionality",
            "How many dimensions does a classifier need?",
            "Representations are projected on their first principal "
            "components, the directions in which training images vary most, "
            "and classified there. A curve that reaches its height after a few "
            "components means that the classes lie in a subspace of so few "
            "dimensions. Compare the accuracy with the variance on the right: "
            "what varies most need not be what tells the classes apart.",
            SVG,
            (*_OF_PARTS, "points"),
            arguments.for_dimensionality,
            analysis.dimensionality,
            analysis.draw_dimensionality,
        ),
        Study(
            "metamers",
            "Which other images have the classifier's answer?",
            "An invertible network keeps everything, also what its classifier "
            "does not look at. Metamers look otherwise and have the "
            "classifier's answer, to the last digits of its logits. In each "
            "column, the upper three have the logits of the target; the one "
            "that was exchanged has the target's representation with its "
            "positions in another order, and the one that was moved began as "
            "the image at the bottom. In an injective network, both were then "
            "moved on until their logits fit. Under each stand its class and "
            "how far its logits are off. A metamer that looks like an image of "
            "another class shows that the answer says little of what is in the "
            "picture. Bits come back where the metamer, encoded and decoded, "
            "is the same to the last one.",
            PNG,
            ("pairs",),
            arguments.for_metamers,
            analysis.metamers,
            analysis.draw_metamers,
            classifies=True,
        ),
        Study(
            "depth_gallery",
            "What is left of an image in its leading components, depth by "
            "depth?",
            "Beside each image stand the channels that vary most in each "
            "stage: what the network sees there. On the right, the stage's "
            "representation was reduced to its first principal components, "
            "those of the training images, and decoded: a row for each stage, "
            "more components from left to right. Pictures that turn from the "
            "image itself to what its class has in common show that the "
            "leading components come to describe the class. What is gone here "
            "is not lost: it is in the other components.",
            PNG,
            ("train_images", "points"),
            arguments.for_depth_gallery,
            analysis.depth_gallery,
            analysis.draw_depth_gallery,
        ),
    )
}
