"""pytorchcv's `irevnet301`, the same network in PyTorch.

    python benchmarks/irevnet301_pytorch.py FILE

writes the random weights that all contestants get.
"""

import sys

import images
import torch
from pytorchcv.models.irevnet import irevnet301


def warm_up():
    """Start PyTorch. What this module imports has taken its time already."""
    torch.nn.Linear(1, 1)(torch.zeros(1, 1))


def start(task, weights, size=8, pixels=224, memory_format="contiguous_format"):
    """Return what does a task once, see `irevnet301_tensorflow.start`.

    Args:
        task: "forward", "inverse" or "train".
        weights: path of the weights.
        size: int, images in a batch.
        pixels: int, height and width.
        memory_format: a name of PyTorch's for the order of axes.
    """
    memory_format = getattr(torch, memory_format)
    network = _network(pixels)
    network.load_state_dict(torch.load(weights))
    network = network.to(memory_format=memory_format)
    x, labels = images.batch(size, pixels)
    x = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    x = x.to(memory_format=memory_format)
    labels = torch.from_numpy(labels)
    if task == "train":
        optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)

        def step():
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(x), labels)
            loss.backward()
            optimizer.step()
            return [loss.item()]

        return step
    network.eval()

    @torch.inference_mode()
    def forward():
        return network(x)[0, : images.COMPARED].tolist()

    if task == "forward":
        return forward
    with torch.inference_mode():
        representation = network(x, return_out_bij=True)[1]

    @torch.inference_mode()
    def inverse():
        rebuilt = network.inverse(representation)
        return rebuilt[0, :, 0, : images.COMPARED].T.flatten().tolist()

    return inverse


def _network(pixels):
    return irevnet301(in_size=(pixels, pixels))


if __name__ == "__main__":
    torch.manual_seed(0)
    network = _network(224)
    for module in network.modules():
        # The authors' initialization; with pytorchcv's own, activations grow
        # to 1e9.
        if isinstance(module, torch.nn.Conv2d):
            module.reset_parameters()
    torch.save(network.state_dict(), sys.argv[1])
