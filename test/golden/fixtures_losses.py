"""Losses for make_fixtures.py: PyTorch's and torchvision's, and formulas where they have none; `case` and `rand` are its own."""
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss


def families(case, rand):
    def class_labels(dims, classes):
        return torch.randint(0, classes, dims).double()

    def cross_entropy():
        shapes = {"classes": (6, 4), "sequence": (2, 4, 5), "pixels": (2, 4, 3, 5)}
        settings = {
            "ignore": {"ignoreIndex": 1}, "smoothing": {"labelSmoothing": 0.1}, "weights": {"classWeights": [0.5, 2, 1, 0.25]},
            "all": {"ignoreIndex": 2, "labelSmoothing": 0.2, "classWeights": [0.5, 2, 1, 0.25]},
        }
        for shape, dims in shapes.items():
            for name, attrs in settings.items():
                def run(x, labels, attrs=attrs):
                    weight = attrs.get("classWeights")
                    return F.cross_entropy(
                        x, labels.long(), None if weight is None else torch.tensor(weight).double(),
                        ignore_index=attrs.get("ignoreIndex", -100), label_smoothing=attrs.get("labelSmoothing", 0.0))
                labels = class_labels((dims[0], *dims[2:]), 4)
                labels.view(-1)[:2] = torch.tensor([1.0, 2.0])
                case(f"{shape}, {name}", "crossEntropyOf", attrs, {"x": rand(*dims, scale=2), "labels": labels}, run, no_grad=("labels",))

    def elementwise():
        def pair():
            return {"x": rand(2, 3, 4, scale=3), "target": rand(2, 3, 4)}
        for delta in (1, 0.4):
            case(f"delta {delta}", "huber", {"delta": delta}, pair(), lambda x, target, d=delta: F.huber_loss(x, target, delta=d), no_grad=("target",))
            case(f"beta {delta}", "smoothL1", {"beta": delta}, pair(), lambda x, target, d=delta: F.smooth_l1_loss(x, target, beta=d), no_grad=("target",))

        def binary(soft=False):
            target = torch.rand(2, 3, 4).float().double() if soft else class_labels((2, 3, 4), 2)
            return {"x": rand(2, 3, 4, scale=8), "target": target}
        bce = F.binary_cross_entropy_with_logits
        case("soft targets", "bce", {}, binary(soft=True), lambda x, target: bce(x, target), no_grad=("target",))
        case("weighted ones", "bce", {"positiveWeight": 3}, binary(), lambda x, target: bce(x, target, pos_weight=torch.tensor(3.0).double()), no_grad=("target",))
        for attrs in ({"gamma": 2}, {"gamma": 1.5, "alpha": 0.25}):
            run = lambda x, target, a=attrs: sigmoid_focal_loss(x, target, a.get("alpha", -1), a["gamma"], "mean")
            case(", ".join(f"{k} {v}" for k, v in attrs.items()), "binaryFocal", attrs, binary(), run, no_grad=("target",))

        def binary_dice(x, target):
            p = torch.sigmoid(x)
            return 1 - (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1)
        case("smooth 1", "binaryDice", {}, binary(), binary_dice, no_grad=("target",))
        scores = {"real": rand(4, 1), "fake": rand(6, 1)}
        case("critic", "wasserstein", {}, scores, lambda real, fake: real.mean() - fake.mean())

    def of_classes():
        def dice(x, labels):
            p, hot = x.softmax(1), F.one_hot(labels.long(), 4).movedim(-1, 1)
            over = [0, *range(2, x.dim())]
            return 1 - ((2 * (p * hot).sum(over) + 1e-6) / (p.sum(over) + hot.sum(over) + 1e-6)).mean()

        def focal(x, labels, gamma):
            loss = F.cross_entropy(x, labels.long(), reduction="none")
            return ((1 - torch.exp(-loss)) ** gamma * loss).mean()
        for shape, dims in (("classes", (6, 4)), ("pixels", (2, 4, 3, 5))):
            inputs = {"x": rand(*dims, scale=2), "labels": class_labels((dims[0], *dims[2:]), 4)}
            case(shape, "dice", {}, inputs, dice, no_grad=("labels",))
            case(f"{shape}, gamma 1.5", "focal", {"gamma": 1.5}, inputs, lambda x, labels: focal(x, labels, 1.5), no_grad=("labels",))

    return [cross_entropy, elementwise, of_classes]
