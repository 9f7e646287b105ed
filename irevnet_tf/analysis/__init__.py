"""The studies of the i-RevNet paper, of what a network has learned.

Each study is a function of a model and images that returns a frozen dataclass
of arrays, and has a function that draws the result.
"""

from irevnet_tf.analysis.depth_gallery import DepthGallery
from irevnet_tf.analysis.depth_gallery import depth_gallery
from irevnet_tf.analysis.dimensionality import Dimensionality
from irevnet_tf.analysis.dimensionality import dimensionality
from irevnet_tf.analysis.figures.depth_gallery import draw_depth_gallery
from irevnet_tf.analysis.figures.dimensionality import draw_dimensionality
from irevnet_tf.analysis.figures.interpolation import draw_interpolation
from irevnet_tf.analysis.figures.interpolation import interpolation_frames
from irevnet_tf.analysis.figures.inversion import draw_inversion
from irevnet_tf.analysis.figures.metamers import draw_metamers
from irevnet_tf.analysis.figures.separation import draw_separation
from irevnet_tf.analysis.figures.spectrum import draw_spectrum
from irevnet_tf.analysis.interpolation import interpolation
from irevnet_tf.analysis.inversion import Inversion
from irevnet_tf.analysis.inversion import inversion
from irevnet_tf.analysis.lines import Interpolation
from irevnet_tf.analysis.local_inversion import LocalInversion
from irevnet_tf.analysis.metamers import Metamers
from irevnet_tf.analysis.metamers import metamers
from irevnet_tf.analysis.separation import separation
from irevnet_tf.analysis.separations import Separation
from irevnet_tf.analysis.spectra import Spectrum
from irevnet_tf.analysis.spectrum import spectrum

__all__ = [
    "DepthGallery",
    "Dimensionality",
    "Interpolation",
    "Inversion",
    "LocalInversion",
    "Metamers",
    "Separation",
    "Spectrum",
    "depth_gallery",
    "dimensionality",
    "draw_depth_gallery",
    "draw_dimensionality",
    "draw_interpolation",
    "draw_inversion",
    "draw_metamers",
    "draw_separation",
    "draw_spectrum",
    "interpolation",
    "interpolation_frames",
    "inversion",
    "metamers",
    "separation",
    "spectrum",
]
