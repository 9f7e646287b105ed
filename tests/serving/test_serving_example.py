"""examples/serving: the configuration is valid, and the client works."""

import json
import re
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from absl.testing import flagsaver
from doubles import EXAMPLE
from doubles import example
from google.protobuf import descriptor_pb2
from google.protobuf import descriptor_pool
from google.protobuf import message_factory
from google.protobuf import text_format
from google.protobuf import wrappers_pb2

from irevnet_tf.serving import Classification


def read(name):
    return (EXAMPLE / name).read_text(encoding="utf-8")


# Those definitions of TensorFlow Serving that are not in the wheel of its API:
# of session_bundle_config.proto and of monitoring_config.proto.
DEFINITIONS = """
name: "definitions.proto"
syntax: "proto3"
dependency: "google/protobuf/wrappers.proto"
message_type {
  name: "BatchingParameters"
  field { name: "max_batch_size" number: 1 INTEGER }
  field { name: "batch_timeout_micros" number: 2 INTEGER }
  field { name: "max_enqueued_batches" number: 3 INTEGER }
  field { name: "num_batch_threads" number: 4 INTEGER }
}
message_type {
  name: "PrometheusConfig"
  field { name: "enable" number: 1 type: TYPE_BOOL }
  field { name: "path" number: 2 type: TYPE_STRING }
}
message_type {
  name: "MonitoringConfig"
  field {
    name: "prometheus_config"
    number: 1
    type: TYPE_MESSAGE
    type_name: ".PrometheusConfig"
  }
}
""".replace(
    "INTEGER", 'type: TYPE_MESSAGE type_name: ".google.protobuf.Int64Value"'
)


def make(name):
    """Return an empty message of `DEFINITIONS`."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = text_format.Parse(DEFINITIONS, descriptor_pb2.FileDescriptorProto())
    pool.AddSerializedFile(file.SerializeToString())
    descriptor = pool.FindMessageTypeByName(name)
    return message_factory.GetMessageClass(descriptor)()


@pytest.mark.usefixtures("needs_grpc")
def test_the_models_are_a_valid_configuration():
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(read("models.config"), config)
    (model,) = config.model_config_list.config
    assert (model.name, model.model_platform) == ("digits", "tensorflow")
    assert model.base_path == "/models/digits"
    assert model.model_version_policy.latest.num_versions == 2


def test_batching_is_a_valid_configuration():
    config = make("BatchingParameters")
    text_format.Parse(read("batching.config"), config)
    assert config.max_batch_size.value == 64
    assert all(value.value > 0 for _, value in config.ListFields())
    assert len(config.ListFields()) == 4


def test_monitoring_is_a_valid_configuration():
    config = make("MonitoringConfig")
    text_format.Parse(read("monitoring.config"), config)
    assert config.prometheus_config.enable
    assert config.prometheus_config.path in read("README.md")


def test_all_files_are_mounted():
    compose = read("compose.yaml")
    for name in ("models", "batching", "monitoring"):
        assert f"./{name}.config:/config/{name}.config:ro" in compose
        assert f"=/config/{name}.config" in compose


@pytest.fixture
def client_app():
    with example("client.py") as namespace:
        yield namespace


def test_the_client_gets_the_images_back(client_app, address, capsys):
    with flagsaver.flagsaver(address=address, count=6):
        client_app["main"](["client.py"])
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in printed[:6]] == [
        f"digit {index}" for index in range(6)
    ]
    assert printed[6] == (
        "6 images (8, 8, 1) -> features (2, 2, 512) -> the same images"
    )


def test_the_client_can_serve_itself(client_app, exported, capsys):
    with flagsaver.flagsaver(local=str(exported), count=1):
        client_app["main"](["client.py"])
    assert "the same images" in capsys.readouterr().out


def test_the_client_notices_images_that_changed(client_app):
    class Changing:
        def classify(self, images):
            probabilities = np.ones((len(images), 1), "float32")
            return Classification(probabilities, ["one"] * len(images))

        def encode(self, images):
            return images

        def decode(self, features):
            return features + 1

    with pytest.raises(RuntimeError, match="changed by up to 1"):
        client_app["show"](Changing(), 2)


def test_the_commands_of_the_readme_give_the_images_back(
    tmp_path, served, exported
):
    """curl is replaced; what Python writes and reads is what is run."""
    blocks = re.findall(
        r"^python -c '(.*?)' > (\S+)$", read("README.md"), re.M | re.S
    )
    assert [name for _, name in blocks] == ["images.json", "features.json"]
    url = f"{served(exported, 'rest')}/v1/models/digits:predict"

    def run(code, name):
        completed = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            capture_output=True,
            check=True,
        )
        (tmp_path / name).write_bytes(completed.stdout)
        with urllib.request.urlopen(url, completed.stdout) as reply:
            return reply.read()

    (tmp_path / "found.json").write_bytes(run(*blocks[0]))
    images = json.loads((tmp_path / "images.json").read_bytes())["inputs"]
    again = json.loads(run(*blocks[1]))["outputs"]
    np.testing.assert_array_equal(np.rint(again), images)
