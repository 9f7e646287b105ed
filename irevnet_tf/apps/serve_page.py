"""Try networks in the browser, on a page that this machine serves.

    irevnet-demo
    irevnet-demo --run_dir=runs/digits --port=8700
    irevnet-demo --directory=models/digits

Without a network, these are the ones whose weights come with the package. The
page can be opened on this machine only. It shows the classes of a picture,
rebuilds it from any point of the network, goes from one picture to another, and
looks for metamers.
"""

import dataclasses
import socket

from absl import app

from irevnet_tf.analysis.network import Network
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.image_data import DataRequest
from irevnet_tf.apps.image_data import normalization
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import print_rows
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.launch import say
from irevnet_tf.apps.launch import usage_errors
from irevnet_tf.apps.network_source import NetworkRequest
from irevnet_tf.apps.network_source import check_network
from irevnet_tf.apps.network_source import load_network
from irevnet_tf.apps.page.explorer import Explorer
from irevnet_tf.apps.page.exported import ExportedNetwork
from irevnet_tf.apps.page.exported import find_export
from irevnet_tf.apps.page.samples import dataset_with
from irevnet_tf.apps.page.samples import samples_for
from irevnet_tf.apps.page.samples import samples_of
from irevnet_tf.apps.waiting import waiting
from irevnet_tf.models.chains import find_chain
from irevnet_tf.models.predictions import class_names
from irevnet_tf.optional import optional_import
from irevnet_tf.reconstruction import inverted
from irevnet_tf.settings import setting
from irevnet_tf.zoo.registry import find_record

SHIPPED = ("fashion_mnist", "digits")
HOST = "127.0.0.1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request(NetworkRequest):
    """The flags, by their names."""

    directory: str | None = setting(
        None,
        "Take an export: the model's directory, of which the newest version "
        "is shown, or a version.",
    )
    image_size: int | None = setting(
        None,
        "Height and width of the pictures, for a network that takes any; as "
        "in its training if not given.",
        least=1,
    )
    port: int = setting(
        8600, "The port, 0 for any that is free.", least=0, most=65535
    )


def explore(request: Request) -> dict[str, tuple[Explorer, list]]:
    """Load the networks that the flags name.

    Returns:
        {name: (`Explorer`, sample pictures)}.

    Raises:
        app.UsageError: if one cannot be loaded, or cannot be shown.
    """
    if request.directory is not None:
        with usage_errors():
            return dict([_exported(request)])
    requests = [request]
    if request.run_dir is request.keras_file is request.weights is None:
        check_network(request)
        requests = [
            dataclasses.replace(request, weights=name) for name in SHIPPED
        ]
    found = {}
    for one in requests:
        check_network(one)
        with usage_errors():
            source = load_network(one)
            name = source.name
            if one.weights is not None:
                name = f"{name}, {one.weights}"
            found[name] = _shown(source, one)
    return found


def _exported(request):
    """Return the name of an export, its explorer, and sample pictures."""
    given = [
        f"--{field.name}"
        for field in dataclasses.fields(NetworkRequest)
        if getattr(request, field.name) != field.default
    ]
    if given:
        raise ValueError(
            "--directory needs no other flag of a network: an export has all "
            f"of that in it. Received: --directory and {', '.join(given)}"
        )
    path = find_export(request.directory)
    with waiting("Loading the export"):
        network = ExportedNetwork(path)
        shape = _image_shape(network.input_shape, request, 1)
        network.try_out(shape)
    names = network.class_names
    explorer = Explorer(network, shape, None, names)
    *folder, version = path.resolve().parts
    name = (
        f"{folder[-1]}, version {version}" if version.isdecimal() else version
    )
    dataset_name = dataset_with(names) or network.preprocessing
    return name, (explorer, samples_of(dataset_name, shape))


def _shown(source, request):
    if inverted(source.model) != "the image":
        raise ValueError(
            "The page needs a network whose inverse leads to the image. "
            f"Received: {source.name}, which leads to "
            f"{inverted(source.model)}"
        )
    chain = find_chain(source.model)
    shape = _image_shape(
        source.model.inputs[0].shape[1:], request, chain.downsampling, source
    )
    data_request = DataRequest(preprocessing=request.preprocessing)
    scale = normalization(data_request, source, chain)
    names = source.class_names
    if isinstance(names, str):
        names = class_names(names)
    network = Network(source.model, scale)
    explorer = Explorer(network, shape, scale, names)
    return explorer, samples_for(source, shape)


def _image_shape(input_shape, request, factor, source=None):
    *sides, channels = input_shape
    if channels not in (1, 3):
        raise ValueError(
            "The page needs a network for images with 1 or 3 channels. "
            f"Received: one for {channels}"
        )
    size = request.image_size
    if size is not None:
        if size % factor or any(side not in (None, size) for side in sides):
            raise ValueError(
                f"--image_size must be the network's own ({sides[0]}x"
                f"{sides[1]}, None for any), and divisible by {factor}. "
                f"Received: --image_size={size}"
            )
        return size, size, channels
    if None in sides:
        sides = _trained_sides(source, request)
    return (*sides, channels)


def _trained_sides(source, request):
    if source is not None and source.trained is not None:
        return source.trained.dataset.image_shape[:2]
    record = request.weights and find_record(
        source.name, request.weights, request.portable
    )
    if not record:
        raise ValueError(
            "--image_size is needed for a network that takes images of any "
            "size. Received: --image_size=None"
        )
    return record.input_shape[:2]


def serve_page(request: Request) -> None:
    """Serve the page until the process is interrupted or terminated.

    Raises:
        app.UsageError: if a network cannot be loaded, or the port not be had.
    """
    with (
        usage_errors(),
        optional_import("The page needs Starlette and uvicorn", "demo"),
    ):
        from irevnet_tf.apps.page.connections import server_for
        from irevnet_tf.apps.page.routes import Page
    # Before the work, not after it.
    try:
        listening = socket.create_server((HOST, request.port))
    except OSError as error:
        raise app.UsageError(
            f"--port must be free. Received: --port={request.port}, of which "
            f"is said: {error}"
        ) from error
    with listening:
        say("Loading, some seconds")
        found = explore(request)
        port = listening.getsockname()[1]
        page = Page(
            {name: explorer for name, (explorer, _) in found.items()},
            {name: samples for name, (_, samples) in found.items()},
        )
        server = server_for(page, port)
        print_rows(
            {
                "networks": "; ".join(found),
                "open in a browser": f"http://{HOST}:{port}/",
                "end": "Ctrl-C",
            }
        )
        try:
            server.run(sockets=[listening])
        finally:
            page.close()


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    serve_page(from_flags(Request))


def run() -> None:
    define_flags(Request)
    launch(main)


if __name__ == "__main__":
    run()
