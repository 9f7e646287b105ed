"""Prove that a portable network has the same bits in every runtime.

    irevnet-certify --keras_file=digits.keras
    irevnet-certify --model=IRevNet28 --weights=digits.weights.h5 --portable \\
        --image_channels=1 --classes=10

The certificate is computed from the weights and printed. If the network is not
portable, was edited, or has sums that floats do not hold, the command says so
and ends with status 1.
"""

import dataclasses

from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.launch import check_writable
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.launch import say
from irevnet_tf.apps.launch import usage_errors
from irevnet_tf.apps.network_source import NetworkRequest
from irevnet_tf.apps.network_source import check_network
from irevnet_tf.apps.network_source import load_network
from irevnet_tf.apps.waiting import waiting
from irevnet_tf.atomic import write_json
from irevnet_tf.quantization.certificate import Certificate
from irevnet_tf.quantization.certificate import certify
from irevnet_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request(NetworkRequest):
    """The flags, by their names."""

    certificate: str | None = setting(
        None, "A JSON file for the certificate, too."
    )


def certify_network(request: Request) -> Certificate:
    """Certify the network that the flags name, and print the certificate.

    Args:
        request: `Request`. Which network.

    Raises:
        app.UsageError: if it cannot be certified.
    """
    check_network(request)
    if request.certificate is not None:
        check_writable("--certificate", request.certificate)
    with usage_errors():
        model = load_network(request).model
        with waiting("Proving"):
            certificate = certify(model)
        if request.certificate is not None:
            write_json(request.certificate, certificate.to_dict())
    say(str(certificate))
    return certificate


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    certify_network(from_flags(Request))


def run() -> None:
    define_flags(Request)
    launch(main)


if __name__ == "__main__":
    run()
