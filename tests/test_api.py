"""The public names are exactly these."""

import inspect
import pickle
import subprocess
import sys
import typing

import keras
import pytest
from public_modules import PUBLIC_MODULES

import irevnet_tf
from irevnet_tf import analysis
from irevnet_tf import baselines
from irevnet_tf import data
from irevnet_tf import distribution
from irevnet_tf import export
from irevnet_tf import layers
from irevnet_tf import serving
from irevnet_tf import testing
from irevnet_tf import training
from irevnet_tf.models.constructors import CONSTRUCTORS


def test_public_names():
    assert irevnet_tf.__all__ == [
        "IRevNet",
        "IRevNet19",
        "IRevNet28",
        "IRevNet34",
        "IRevNet56",
        "IRevNet163",
        "IRevNet300",
        "IRevNet301",
        "RevNet",
        "RevNet38",
        "RevNet56",
        "RevNet104",
        "RevNet110",
        "RevNet164",
        "RevViT",
        "RevViTB",
        "RevViTMini",
        "RevViTS",
        "analysis",
        "baselines",
        "certify",
        "convert_state_dict",
        "decode_predictions",
        "encoder",
        "export_saved_model",
        "features",
        "fine_tunable",
        "invert",
        "layers",
        "list_weights",
        "load_pytorch_checkpoint",
        "portable",
        "preprocess_input",
        "testing",
        "undo_preprocess",
    ]
    assert baselines.__all__ == [
        "ResNet",
        "ResNet32",
        "ResNet101",
        "ResNet110",
        "ResNet164",
        "ViT",
        "ViTB",
        "ViTMini",
        "ViTS",
    ]
    assert analysis.__all__ == [
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
    assert data.__all__ == [
        "NORMALIZATIONS",
        "Augmentation",
        "Dataset",
        "Normalization",
        "evaluation_batches",
        "load_dataset",
        "steps_per_epoch",
        "training_batches",
    ]
    assert distribution.__all__ == [
        "ChiefError",
        "PeerWatch",
        "STRATEGIES",
        "WORKER_LOST",
        "any_worker",
        "average_statistics",
        "enable_multi_worker_fit",
        "is_chief",
        "make_strategy",
        "on_chief",
        "same_on_all_workers",
        "synchronize_batch_norm",
        "worker_count",
    ]
    assert export.__all__ == [
        "export_litert",
        "export_onnx",
        "export_saved_model",
    ]
    assert serving.__all__ == [
        "Classification",
        "Client",
        "InvalidRequestError",
        "LocalServer",
        "ModelNotFoundError",
        "ServingError",
        "ServingTimeoutError",
        "UnavailableError",
    ]
    assert testing.__all__ == [
        "CHECKS",
        "Check",
        "LayerMemory",
        "MemoryReport",
        "NETWORK_CHECKS",
        "NetworkReport",
        "Point",
        "Report",
        "TrainingMemory",
        "check_invertible",
        "memory_report",
    ]
    assert training.__all__ == [
        "AdamW",
        "Checkpoints",
        "DivergenceError",
        "Preempted",
        "ResumeError",
        "RunConfig",
        "RunDirectory",
        "RunOptions",
        "SGD",
        "TrainedRun",
        "build_model",
        "compile_model",
        "count_parameters",
        "estimate_memory",
        "load_data",
        "load_trained_run",
        "run_length",
        "train",
    ]
    assert layers.__all__ == [
        "AdditiveCoupling",
        "AttentionResidual",
        "BasicResidual",
        "BatchNormalization",
        "BottleneckResidual",
        "ChannelMerge",
        "ChannelSplit",
        "Coupling",
        "FixedPoint",
        "FixedPointRounding",
        "InjectivePadding",
        "IntegerPooling",
        "IntegerResidual",
        "Inverse",
        "InvertibleDownsampling",
        "InvertibleLayer",
        "MLPResidual",
        "PatchEmbedding",
        "PixelRange",
        "PooledShortcut",
        "RebuiltInputsWarning",
        "ReversibleSequence",
        "Shared",
        "StreamCopy",
        "StreamTransition",
        "reversible_block",
    ]


def test_every_named_network_is_public():
    public = {*irevnet_tf.__all__, *irevnet_tf.baselines.__all__}
    assert set(CONSTRUCTORS) <= public


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_variants_have_the_signature_of_keras_applications(name):
    constructor = CONSTRUCTORS[name]
    home = irevnet_tf if hasattr(irevnet_tf, name) else irevnet_tf.baselines
    assert getattr(home, name) is constructor
    parameters = inspect.signature(constructor).parameters
    assert list(parameters)[:8] == [
        "include_top",
        "weights",
        "input_tensor",
        "input_shape",
        "pooling",
        "classes",
        "classifier_activation",
        "name",
    ]
    assert constructor.__name__ == constructor.__qualname__ == name
    hints = typing.get_type_hints(constructor)
    assert hints["return"] == keras.Model
    assert hints.keys() == {*parameters, "return"}
    assert pickle.loads(pickle.dumps(constructor)) is constructor
    assert name in constructor.__doc__
    assert "{" not in constructor.__doc__
    with pytest.raises(TypeError, match=rf"{name}\(\): got an unexpected"):
        constructor(no_argument=1)
    with pytest.raises(TypeError, match=f"{name}.*positional"):
        constructor(*range(9))


@pytest.mark.parametrize(
    "module",
    PUBLIC_MODULES,
)
def test_public_names_are_documented(module):
    for name in module.__all__:
        value = getattr(module, name)
        if callable(value) or inspect.ismodule(value):
            assert inspect.getdoc(value)


def test_analysis_is_loaded_when_it_is_asked_for():
    code = """
import sys
import typing
import irevnet_tf
assert "irevnet_tf.analysis" not in sys.modules
assert "tensorflow_datasets" not in sys.modules  # It takes its time.
assert callable(irevnet_tf.analysis.spectrum)
try:
    irevnet_tf.analyses
except AttributeError as error:
    print(error)
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "has no attribute 'analyses'" in found.stdout
