"""Which of the recipes trains a network that has no published weights."""

# (what its weights would be called, constructor): the file in recipes/, which
# is in the repository and not in the package.
RECIPES = {
    ("cifar10", "IRevNet163"): "cifar10",
    ("cifar100", "IRevNet163"): "cifar100",
    ("digits", "IRevNet28"): "digits",
    ("fashion_mnist", "IRevNet28"): "fashion_mnist",
    ("imagenet", "IRevNet56"): "imagenet_irevnet56",
    ("imagenet", "IRevNet300"): "imagenet_irevnet300",
    ("imagenet", "IRevNet301"): "imagenet_irevnet301",
    ("imagenet", "ResNet101"): "imagenet_resnet101",
    ("imagenet", "RevNet56"): "imagenet_revnet56",
    ("imagenet", "RevNet104"): "imagenet_revnet104",
    ("imagenet", "RevViTB"): "imagenet_revvitb",
    ("imagenet", "RevViTS"): "imagenet_revvits",
    ("imagenet", "ViTB"): "imagenet_vitb",
    ("imagenet", "ViTS"): "imagenet_vits",
}


def recipe_sentence(name: str, model: str) -> str:
    """Return how such weights are trained, "" if there is no recipe.

    Args:
        name: str. What the user gave as `weights`, such as "cifar10".
        model: str. Name of the constructor. If there is no recipe for it, but
            one for another network, the sentence is on that one.
    """
    of_name = {known: file for (x, known), file in RECIPES.items() if x == name}
    if not of_name:
        return ""
    trained = model if model in of_name else next(iter(of_name))
    file = of_name[trained]
    return (
        f"A recipe of the repository trains {trained} so: "
        f"irevnet-train --flagfile=recipes/{file}.flags --run_dir=runs/{file} "
        f"leaves runs/{file}/model.weights.h5. "
    )
