"""Writes test/fixtures/golden/golden.{json,bin}: forward outputs, gradients and optimiser steps as PyTorch computes them.

Run it with a Python that has torch 1.13 and torchvision 0.14; the tests only read what it wrote:

    python3 test/golden/make_fixtures.py

Everything is computed in float64 from inputs that are exact in float32, and stored as float32, so the reference carries
no rounding of its own. Gradients are those of sum(y * dy) with a fixed random dy per output.
golden.json lists the cases; a tensor is {"dims", "offset"}, the offset counted in elements of golden.bin (float32,
little endian). Integer labels are stored as floats.
"""
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import fixtures_layers
import fixtures_losses

torch.manual_seed(7)
torch.set_num_threads(1)
FOLDER = Path(__file__).resolve().parent.parent / "fixtures" / "golden"


class Store:
    """Collects tensors in one buffer and cases in one list."""

    def __init__(self):
        self.values, self.size, self.cases = [], 0, []

    def put(self, t):
        flat = t.detach().to(torch.float64).contiguous().numpy().astype("<f4").reshape(-1)
        ref = {"dims": list(t.shape), "offset": self.size}
        self.values.append(flat)
        self.size += flat.size
        return ref

    def put_all(self, tensors):
        return {name: self.put(t) for name, t in tensors.items()}

    def write(self):
        FOLDER.mkdir(parents=True, exist_ok=True)
        np.concatenate(self.values).tofile(FOLDER / "golden.bin")
        index = {"torch": torch.__version__, "elements": self.size, "cases": self.cases}
        text = json.dumps(index, separators=(",", ":")).replace('{"name"', '\n{"name"')
        (FOLDER / "golden.json").write_text(text + "\n")


store = Store()


def rand(*dims, scale=1.0, shift=0.0):
    """Normal numbers that are exact in float32, held as float64."""
    return (torch.randn(dims) * scale + shift).float().double()


def case(name, op, attrs, inputs, forward, no_grad=()):
    """One function: `inputs` name -> tensor, `forward(**inputs)` -> tensor or dict of tensors."""
    leaves = {k: v.clone().requires_grad_(k not in no_grad and v.is_floating_point()) for k, v in inputs.items()}
    out = forward(**leaves)
    outputs = out if isinstance(out, dict) else {"y": out}
    wanted = {k: v for k, v in outputs.items() if v.requires_grad}
    dys = {k: rand(*v.shape) for k, v in wanted.items()}
    sum((v * dys[k]).sum() for k, v in wanted.items()).backward()
    store.cases.append({
        "name": name, "op": op, "attrs": attrs,
        "inputs": store.put_all(leaves), "outputs": store.put_all(outputs), "dy": store.put_all(dys),
        "grads": store.put_all({k: v.grad for k, v in leaves.items() if v.grad is not None}),
    })


def conv(name, x, k, cout, stride=(1, 1), pad=(0, 0), dilation=(1, 1), groups=1, bias=True):
    w = rand(cout, x[1] // groups, *k, scale=1 / math.sqrt(k[0] * k[1] * x[1] / groups))
    inputs = {"x": rand(*x), "w": w, **({"b": rand(cout)} if bias else {})}
    attrs = {"stride": stride, "pad": pad, "dilation": dilation, "groups": groups}
    case(name, "conv2d", attrs, inputs, lambda x, w, b=None: F.conv2d(x, w, b, stride, pad, dilation, groups))


def convolutions():
    conv("3x3", (2, 3, 8, 7), (3, 3), 4, pad=(1, 1))
    conv("3x3 without bias, valid", (2, 3, 7, 8), (3, 3), 4, bias=False)
    conv("3x3 stride 2, even size", (2, 3, 8, 8), (3, 3), 4, stride=(2, 2), pad=(1, 1))
    conv("3x3 stride 2, odd size", (2, 3, 9, 7), (3, 3), 4, stride=(2, 2), pad=(1, 1))
    conv("3x3 stride 2, last row unseen", (2, 2, 8, 7), (3, 3), 3, stride=(2, 2))
    conv("3x3 dilation 2", (2, 3, 9, 8), (3, 3), 4, pad=(2, 2), dilation=(2, 2))
    conv("3x3 dilation 2 stride 2", (1, 2, 11, 10), (3, 3), 3, stride=(2, 2), pad=(2, 2), dilation=(2, 2))
    conv("groups 2", (2, 4, 6, 6), (3, 3), 6, pad=(1, 1), groups=2)
    conv("groups 2 stride 2", (2, 4, 7, 6), (3, 3), 6, stride=(2, 2), pad=(1, 1), groups=2)
    conv("depthwise", (2, 4, 6, 5), (3, 3), 4, pad=(1, 1), groups=4)
    conv("depthwise, two filters each, stride 2", (2, 3, 8, 8), (3, 3), 6, stride=(2, 2), pad=(1, 1), groups=3)
    conv("1x1", (2, 5, 4, 6), (1, 1), 3)
    conv("1x1 stride 2", (2, 5, 7, 6), (1, 1), 3, stride=(2, 2))
    conv("7x7 stride 2", (1, 3, 16, 15), (7, 7), 4, stride=(2, 2), pad=(3, 3))
    conv("4x4 stride 2", (1, 3, 10, 8), (4, 4), 4, stride=(2, 2), pad=(1, 1))
    conv("2x2 stride 2, patches", (2, 3, 8, 6), (2, 2), 4, stride=(2, 2))
    conv("3x5, pad 1x2, stride 2x1", (1, 2, 9, 8), (3, 5), 3, stride=(2, 1), pad=(1, 2))
    conv("3x3, blocks of 16 channels", (2, 16, 10, 10), (3, 3), 32, pad=(1, 1))
    conv("3x3 stride 2, blocks of 16 channels", (2, 16, 10, 10), (3, 3), 16, stride=(2, 2), pad=(1, 1))


def batch_norm():
    def forward(training, momentum=0.1, eps=1e-5):
        def run(x, gamma, beta, mean, var):
            mean, var = mean.clone(), var.clone()
            y = F.batch_norm(x, mean, var, gamma, beta, training, momentum, eps)
            return {"y": y, **({"mean": mean.detach(), "var": var.detach()} if training else {})}
        return run
    for name, training in (("training", True), ("evaluation", False)):
        inputs = {
            "x": rand(4, 3, 5, 6, scale=2, shift=1.5), "gamma": rand(3, shift=1), "beta": rand(3),
            "mean": rand(3), "var": rand(3).abs() + 0.5,
        }
        attrs = {"training": training, "momentum": 0.1, "eps": 1e-5}
        case(name, "batchNorm", attrs, inputs, forward(training), no_grad=("mean", "var"))


def weight_norm():
    def run(x, g, v, b):
        w = g.view(-1, 1, 1, 1) * v / v.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        return F.conv2d(x, w, b, padding=1)
    inputs = {"x": rand(2, 3, 6, 5), "g": rand(4).abs() + 0.5, "v": rand(4, 3, 3, 3), "b": rand(4)}
    case("3x3", "weightNormConv", {"pad": (1, 1)}, inputs, run)


def activations():
    functions = {
        "relu": F.relu, "leakyRelu": lambda x: F.leaky_relu(x, 0.2), "sigmoid": torch.sigmoid, "tanh": torch.tanh,
        "softplus": F.softplus, "gelu": F.gelu, "silu": F.silu,
    }
    for name, f in functions.items():
        case(name, "activation", {"slope": 0.2} if name == "leakyRelu" else {}, {"x": rand(2, 3, 5, 4, scale=2)}, lambda x, f=f: f(x))


def pools():
    x = {"x": rand(2, 3, 8, 6)}
    odd = {"x": rand(2, 3, 9, 7)}
    case("k2 s2", "maxPool", {"k": 2, "stride": 2, "pad": 0}, x, lambda x: F.max_pool2d(x, 2, 2))
    case("k2 s2, odd size", "maxPool", {"k": 2, "stride": 2, "pad": 0}, odd, lambda x: F.max_pool2d(x, 2, 2))
    case("k3 s2 p1", "maxPool", {"k": 3, "stride": 2, "pad": 1}, x, lambda x: F.max_pool2d(x, 3, 2, 1))
    case("k3 s2 p1, odd size", "maxPool", {"k": 3, "stride": 2, "pad": 1}, odd, lambda x: F.max_pool2d(x, 3, 2, 1))
    case("k2 s2", "avgPool", {"k": 2, "stride": 2, "pad": 0, "countPad": True}, x, lambda x: F.avg_pool2d(x, 2, 2))
    case("k2 s1", "avgPool", {"k": 2, "stride": 1, "pad": 0, "countPad": True}, x, lambda x: F.avg_pool2d(x, 2, 1))
    for count in (True, False):
        attrs = {"k": 3, "stride": 2, "pad": 1, "countPad": count}
        run = lambda x, c=count: F.avg_pool2d(x, 3, 2, 1, count_include_pad=c)
        case(f"k3 s2 p1, {'with' if count else 'without'} padding", "avgPool", attrs, x, run)
    case("to 1x1", "globalAvgPool", {}, odd, lambda x: F.adaptive_avg_pool2d(x, 1))


def shapes():
    x = {"x": rand(2, 8, 3, 4)}
    case("by 2", "pixelShuffle", {"factor": 2}, x, lambda x: F.pixel_shuffle(x, 2))
    for mode, more in (("nearest", {}), ("bilinear", {"align_corners": False})):
        run = lambda x, mode=mode, more=more: F.interpolate(x, scale_factor=2, mode=mode, **more)
        case(f"{mode} x2", "resize", {"mode": mode, "factor": 2}, {"x": rand(2, 3, 5, 4)}, run)
    pads = {"left": 2, "right": 1, "top": 3, "bottom": 2}
    for mode, torch_mode in (("reflect", "reflect"), ("edge", "replicate"), ("constant", "constant")):
        run = lambda x, m=torch_mode: F.pad(x, (2, 1, 3, 2), mode=m)
        case(mode, "pad", {"mode": mode, **pads}, {"x": rand(2, 3, 5, 4)}, run)
    blur = lambda x: F.avg_pool2d(F.pad(x, (1, 0, 1, 0), mode="replicate"), 2, 1)
    case("fastai", "blur", {}, {"x": rand(2, 3, 5, 4)}, blur)
    parts = {"a": rand(2, 3, 4, 3), "b": rand(2, 1, 4, 3), "c": rand(2, 2, 4, 3)}
    case("channels", "concat", {"axis": 1}, parts, lambda a, b, c: torch.cat([a, b, c], 1))
    ends = {"starts": [1, 0, 1], "ends": [4, 6, 4], "axes": [1, 2, 3], "steps": [1, 2, 1]}
    case("channels, every second row, some columns", "slice", ends, {"x": rand(2, 5, 6, 5)}, lambda x: x[:, 1:4, 0:6:2, 1:4])


def algebra():
    matmul = lambda a, b: torch.matmul(a, b)
    case("2-d", "matmul", {}, {"a": rand(4, 5), "b": rand(5, 3)}, matmul)
    case("batch", "matmul", {}, {"a": rand(2, 4, 5), "b": rand(2, 5, 3)}, matmul)
    case("batch by matrix", "matmul", {}, {"a": rand(2, 4, 5), "b": rand(5, 3)}, matmul)
    linear = {"x": rand(4, 6), "w": rand(3, 6), "b": rand(3)}
    case("6 to 3", "linear", {}, linear, lambda x, w, b: F.linear(x, w, b))
    for op, f in (("softmax", F.softmax), ("logSoftmax", F.log_softmax)):
        case("last axis", op, {"axis": -1}, {"x": rand(3, 5, scale=3)}, lambda x, f=f: f(x, -1))
        case("channels", op, {"axis": 1}, {"x": rand(2, 5, 3, 2, scale=3)}, lambda x, f=f: f(x, 1))


def losses():
    pair = {"x": rand(2, 3, 4, 5), "target": rand(2, 3, 4, 5)}
    case("mean", "mse", {}, pair, lambda x, target: F.mse_loss(x, target), no_grad=("target",))
    case("mean", "l1", {}, pair, lambda x, target: F.l1_loss(x, target), no_grad=("target",))
    for name, dims in (("classes", (6, 4)), ("pixels", (2, 4, 3, 5))):
        labels = torch.randint(0, 4, (dims[0], *dims[2:])).double()
        run = lambda x, labels: F.cross_entropy(x, labels.long())
        case(name, "crossEntropy", {}, {"x": rand(*dims, scale=2), "labels": labels}, run, no_grad=("labels",))


def self_attention():
    """Self-attention of SAGAN as fastai writes it: softmax over the first of the two position axes, gamma a scalar."""
    def run(x, wq, wk, wv, gamma):
        flat = x.flatten(2)
        q, k, v = F.conv1d(flat, wq), F.conv1d(flat, wk), F.conv1d(flat, wv)
        beta = F.softmax(torch.bmm(q.transpose(1, 2), k), dim=1)
        return (gamma * torch.bmm(v, beta) + flat).view_as(x)
    n = 16
    inputs = {
        "x": rand(2, n, 3, 4), "wq": rand(n // 8, n, 1, scale=0.5), "wk": rand(n // 8, n, 1, scale=0.5),
        "wv": rand(n, n, 1, scale=0.25), "gamma": rand(1, shift=1),
    }
    case("n 16", "selfAttention", {}, inputs, run)


def conv_net():
    """Weights of conv 3x3 -> relu -> conv 3x3 stride 2 -> relu -> linear, on 2x6x6 pictures, 5 classes."""
    return {
        "w1": rand(4, 2, 3, 3, scale=0.4), "b1": rand(4, scale=0.1), "w2": rand(3, 4, 3, 3, scale=0.3),
        "b2": rand(3, scale=0.1), "w3": rand(5, 27, scale=0.3), "b3": rand(5, scale=0.1),
    }


def conv_net_loss(p, x, labels):
    h = F.relu(F.conv2d(x, p["w1"], p["b1"], padding=1))
    h = F.relu(F.conv2d(h, p["w2"], p["b2"], stride=2, padding=1))
    return F.cross_entropy(F.linear(h.flatten(1), p["w3"], p["b3"]), labels)


def optimizers():
    start, x, labels = conv_net(), rand(6, 2, 6, 6), torch.randint(0, 5, (6,))
    settings = {
        "sgd": [{"lr": 0.1, "momentum": 0.0, "wd": 0.0}, {"lr": 0.05, "momentum": 0.9, "wd": 0.01}],
        "adam": [{"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}],
        "adamw": [
            {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-5, "wd": 0.1},
            {"lr": 0.01, "beta1": 0.95, "beta2": 0.999, "eps": 1e-8, "wd": 0.01},
        ],
        "nesterov": [{"lr": 0.05, "momentum": 0.9, "wd": 0.01}],
        "rmsprop": [
            {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "wd": 0.0},
            {"lr": 0.005, "alpha": 0.9, "eps": 1e-5, "momentum": 0.9, "wd": 0.01},
        ],
    }
    make = {
        "sgd": lambda p, s: torch.optim.SGD(p, s["lr"], momentum=s["momentum"], weight_decay=s["wd"]),
        "nesterov": lambda p, s: torch.optim.SGD(p, s["lr"], momentum=s["momentum"], weight_decay=s["wd"], nesterov=True),
        "rmsprop": lambda p, s: torch.optim.RMSprop(p, s["lr"], s["alpha"], s["eps"], s["wd"], s["momentum"]),
        "adam": lambda p, s: torch.optim.Adam(p, s["lr"], (s["beta1"], s["beta2"]), s["eps"]),
        "adamw": lambda p, s: torch.optim.AdamW(p, s["lr"], (s["beta1"], s["beta2"]), s["eps"], s["wd"]),
    }
    inputs = {**store.put_all(start), "x": store.put(x), "labels": store.put(labels)}
    for op, variants in settings.items():
        for setting in variants:
            params = {k: v.clone().requires_grad_() for k, v in start.items()}
            optimizer = make[op](list(params.values()), setting)
            steps = []
            for _ in range(5):
                optimizer.zero_grad()
                loss = conv_net_loss(params, x, labels)
                loss.backward()
                optimizer.step()
                steps.append({"loss": loss.item(), "params": store.put_all(params)})
            name = ", ".join(f"{k} {v}" for k, v in setting.items())
            store.cases.append({"name": name, "op": op, "attrs": setting, "inputs": inputs, "steps": steps})


def unet():
    """Two strided convolutions down, two pixel shuffles up, both skips concatenated, y in [-0.1, 1.1], MSE."""
    inputs = {"x": rand(2, 3, 16, 12, scale=0.5), "target": rand(2, 3, 16, 12, scale=0.3, shift=0.5)}
    layers = {"down1": (8, 3), "down2": (12, 8), "up1": (32, 12), "up2": (12, 16), "head": (3, 6)}
    for name, (cout, cin) in layers.items():
        inputs[f"{name}.w"] = rand(cout, cin, 3, 3, scale=math.sqrt(2 / (9 * cin)))
        inputs[f"{name}.b"] = rand(cout, scale=0.1)

    def run(x, target, **p):
        def layer(h, name, stride=1):
            return F.conv2d(h, p[f"{name}.w"], p[f"{name}.b"], stride, 1)
        d1 = F.relu(layer(x, "down1", 2))
        d2 = F.relu(layer(d1, "down2", 2))
        u1 = torch.cat([F.pixel_shuffle(F.relu(layer(d2, "up1")), 2), d1], 1)
        u2 = torch.cat([F.pixel_shuffle(F.relu(layer(u1, "up2")), 2), x], 1)
        return F.mse_loss(torch.sigmoid(layer(u2, "head")) * 1.2 - 0.1, target)

    case("one step", "unet", {"low": -0.1, "high": 1.1}, inputs, run, no_grad=("target",))


for family in (convolutions, batch_norm, weight_norm, activations, pools, shapes, algebra, losses, self_attention, optimizers, unet):
    family()
for family in (*fixtures_layers.families(case, rand), *fixtures_losses.families(case, rand)):
    family()
store.write()
print(f"{len(store.cases)} cases, {store.size * 4 / 1e6:.2f} MB")
