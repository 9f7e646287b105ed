"""Tests of irevnet_tf.training.config and options."""

import dataclasses
import json
import math

import pytest

from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunOptions


@pytest.mark.parametrize(
    "values, message",
    [
        ({"model": "VGG16"}, "one of IRevNet19, .* Received: model='VGG16'"),
        ({"dataset": ""}, "the name of a data set. Received: dataset=''"),
        ({"epochs": 0}, "`epochs` must be at least 1. Received: epochs=0"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        (
            {"learning_rate": 0.0},
            "positive and finite. Received: learning_rate=0.0",
        ),
        ({"learning_rate": math.inf}, "Received: learning_rate=inf"),
        ({"learning_rate": math.nan}, "Received: learning_rate=nan"),
        ({"warmup_epochs": -1}, "Received: warmup_epochs=-1"),
        (
            {"epochs": 3, "warmup_epochs": 3},
            r"less than `epochs` \(=3\). Received: warmup_epochs=3",
        ),
        ({"weight_decay": -0.1}, "at least 0 .* Received: weight_decay=-0.1"),
        ({"weight_decay": math.inf}, "finite. Received: weight_decay=inf"),
        ({"dropout_rate": 1.0}, "less than 1. Received: dropout_rate=1.0"),
        ({"fraction_bits": 24}, "from 0 to 23 .* Received: fraction_bits=24"),
        (
            {"fraction_bits": 10, "lossless": False},
            "`lossless` or `portable`. Received: fraction_bits=10, lossless=F",
        ),
        ({"mixed_precision": "half"}, "Received: mixed_precision='half'"),
        ({"seed": -1}, "Received: seed=-1"),
        ({"steps": 0}, "`steps` must be at least 1. Received: steps=0"),
        ({"steps_per_epoch": 0}, "Received: steps_per_epoch=0"),
        ({"image_size": 0}, "Received: image_size=0"),
        (
            {"image_channels": 2},
            "must be one of 1, 3. Received: image_channels=2",
        ),
        ({"normalization": "vgg"}, "one of .*unit.* Received: normalization="),
        ({"validation_fraction": 1.0}, "Received: validation_fraction=1.0"),
        ({"momentum": 1.0}, "Received: momentum=1.0"),
        ({"momentum": 0.0}, "False without momentum. Received: nesterov=True"),
        ({"label_smoothing": 1.0}, "Received: label_smoothing=1.0"),
        ({"ema_decay": 1.0}, "Received: ema_decay=1.0"),
        ({"clip_norm": -1.0}, "Received: clip_norm=-1.0"),
        ({"schedule": "linear"}, "one of cosine, .* Received: schedule="),
        ({"schedule": "step"}, r"Received: decay_epochs=\(\)"),
        ({"decay_epochs": (3,)}, "with schedule='step' only. Received: .*3"),
        (
            {"schedule": "step", "decay_epochs": (3, 2)},
            r"rising .* Received: decay_epochs=\(3, 2\)",
        ),
        ({"decay_factor": 0.0}, "Received: decay_factor=0.0"),
        ({"accumulation_steps": 0}, "Received: accumulation_steps=0"),
        (
            {"batch_size": 64, "accumulation_steps": 3},
            r"`accumulation_steps` \(=3\). Received: batch_size=64",
        ),
        ({"jit": True}, "False for lossless networks, .* Received: jit=True"),
        ({"max_shift": -1}, "max_shift=-1"),
        ({"optimizer": "adam"}, "one of sgd, adamw. Received: optimizer='adam"),
        (
            {"model": "ResNet32"},
            "`memory_saving` must be False and `lossless` must be False for "
            "ResNet32, .* Received: memory_saving=True, lossless=True",
        ),
        (
            {"model": "ViTMini", "memory_saving": False},
            "False for ViTMini, which cannot have it. Received: lossless=True",
        ),
        (
            {"stochastic_depth_rate": 0.1},
            "0.0 for IRevNet28, .* Received: stochastic_depth_rate=0.1",
        ),
    ],
)
def test_config_refuses_values_out_of_range(values, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**values)


def test_config_survives_the_round_trip_through_a_dict():
    config = RunConfig(epochs=7, mixed_precision="mixed_bfloat16")
    assert RunConfig.from_dict(dataclasses.asdict(config)) == config


def test_config_of_an_older_run_may_have_bits_that_count_for_nothing():
    config = RunConfig(lossless=False)
    values = {**dataclasses.asdict(config), "fraction_bits": 10}
    assert RunConfig.from_dict(values) == config


def test_config_of_an_older_run_may_lack_what_was_added():
    values = dataclasses.asdict(RunConfig(seed=3))
    del values["clip_norm"]
    assert RunConfig.from_dict(values) == RunConfig(seed=3)


def test_config_refuses_unknown_keys():
    values = {**dataclasses.asdict(RunConfig()), "sead": 1}
    with pytest.raises(ValueError, match="this version only. Received: sead"):
        RunConfig.from_dict(values)


def test_config_survives_the_round_trip_through_json():
    config = RunConfig(schedule="step", decay_epochs=(2, 4))
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    assert RunConfig.from_dict(values) == config


def test_config_counts_warmup_against_epochs_only_without_steps():
    assert RunConfig(epochs=2, steps=1000, warmup_epochs=3).warmup_epochs == 3


@pytest.mark.parametrize(
    "values, message",
    [
        ({"checkpoint_steps": -1}, "Received: checkpoint_steps=-1"),
        ({"keep_checkpoints": 0}, "at least 1. Received: keep_checkpoints=0"),
        ({"log_steps": -1}, "Received: log_steps=-1"),
        ({"profile": (3, 2)}, r"Received: profile=\(3, 2\)"),
        ({"profile": (0, 2)}, r"Received: profile=\(0, 2\)"),
        ({"profile": (1,)}, r"Received: profile=\(1,\)"),
    ],
)
def test_options_refuse_values_out_of_range(values, message):
    with pytest.raises(ValueError, match=message):
        RunOptions(**values)
