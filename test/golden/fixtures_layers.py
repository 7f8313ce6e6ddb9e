"""Layers of PyTorch and torchvision for make_fixtures.py; `case` and `rand` are its own."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils import spectral_norm
from torch.nn.utils.stateless import functional_call
from torchvision.models.densenet import _DenseBlock, _Transition
from torchvision.models.resnet import BasicBlock, Bottleneck


def families(case, rand):
    def module_case(name, op, attrs, module, inputs, forward, scale=0.3):
        """A module with random float64 values under its own names; running statistics get no gradient."""
        module = module.double().train()
        state = {}
        for key, value in module.state_dict().items():
            if key.endswith("num_batches_tracked"):
                continue
            drawn = rand(*value.shape, scale=scale)
            state[key] = drawn.abs() + 0.5 if key.endswith("running_var") else drawn
        buffers = [key for key in state if "running" in key]

        def run(**values):
            own = {key: values[key].clone() if key in buffers else values[key] for key in state}
            rest = {key: value for key, value in values.items() if key not in state}
            return forward(lambda *args: functional_call(module, own, args), **rest)
        case(name, op, attrs, {**inputs, **state}, run, no_grad=tuple(buffers))

    def convolutions():
        def conv1d(name, k, cout, bias=True, **options):
            w = {"weight": rand(cout, 4 // options.get("groups", 1), k, scale=0.4), **({"bias": rand(cout)} if bias else {})}
            run = lambda x, weight, bias=None: F.conv1d(x, weight, bias, **options)
            case(name, "conv1d", {"kernel": k, "filters": cout, "bias": bias, **options}, {"x": rand(2, 4, 11), **w}, run)
        conv1d("stride 2", 3, 5, stride=2, padding=1)
        conv1d("dilation 2, groups 2, no bias", 3, 6, bias=False, dilation=2, groups=2, padding=2)
        conv1d("even kernel, same size", 4, 3, padding="same")
        w = {"weight": rand(4, 3, 4, 3, scale=0.3), "bias": rand(4)}
        run = lambda x, weight, bias: F.conv2d(x, weight, bias, padding="same", dilation=(1, 2))
        case("kernel 4x3, dilation 1x2", "conv2dSame", {}, {"x": rand(2, 3, 7, 8), **w}, run)

        def transposed(name, cin, cout, k, groups=1, **options):
            w = {"weight": rand(cin, cout // groups, k, k, scale=0.4), "bias": rand(cout)}
            run = lambda x, weight, bias: F.conv_transpose2d(
                x, weight, bias, options.get("stride", 1), options.get("padding", 0), options.get("outputPadding", 0),
                groups, options.get("dilation", 1))
            case(name, "convTranspose2d", {"filters": cout, "kernel": k, "groups": groups, **options},
                 {"x": rand(2, cin, 5, 4), **w}, run)
        transposed("stride 2, output padding 1", 3, 4, 3, stride=2, padding=1, outputPadding=1)
        transposed("kernel 4 stride 2, as generators have it", 4, 3, 4, stride=2, padding=1)
        transposed("dilation 2", 3, 2, 3, dilation=2, padding=1)
        transposed("groups 2, stride 3", 4, 6, 3, groups=2, stride=3, outputPadding=2)
        transposed("depthwise, stride 2", 3, 3, 2, groups=3, stride=2)

    def pools():
        for to in ((3, 2), (2, 4), (9, 5)):
            x = {"x": rand(2, 2, 6, 4) if to == (2, 4) else rand(2, 2, 7, 5)}
            case(f"to {to[0]}x{to[1]}", "adaptiveAveragePool", {"size": to}, x, lambda x, to=to: F.adaptive_avg_pool2d(x, to))
            case(f"to {to[0]}x{to[1]}", "adaptiveMaxPool", {"size": to}, x, lambda x, to=to: F.adaptive_max_pool2d(x, to))
        x = {"x": rand(2, 3, 7)}
        case("1-d to 3", "adaptiveAveragePool", {"size": (3,)}, x, lambda x: F.adaptive_avg_pool1d(x, 3))
        both = lambda x: torch.cat([F.adaptive_max_pool2d(x, 1), F.adaptive_avg_pool2d(x, 1)], 1)
        case("to 1x1", "adaptiveConcatPool", {"size": 1}, {"x": rand(2, 3, 5, 4)}, both)

    def norms():
        def norm(op, name, attrs, shape, run):
            values = {"x": rand(3, 6, 4, 5, scale=2, shift=1), "weight": rand(*shape, shift=1), "bias": rand(*shape)}
            case(name, op, attrs, values, run)
        norm("layerNorm", "last axis", {"axes": 1}, (5,), lambda x, weight, bias: F.layer_norm(x, (5,), weight, bias))
        norm("layerNorm", "two axes", {"axes": 2}, (4, 5), lambda x, weight, bias: F.layer_norm(x, (4, 5), weight, bias))
        norm("groupNorm", "3 groups", {"groups": 3}, (6,), lambda x, weight, bias: F.group_norm(x, 3, weight, bias))
        norm("instanceNorm", "affine", {}, (6,), lambda x, weight, bias: F.instance_norm(x, weight=weight, bias=bias))

    def spectral():
        conv = spectral_norm(nn.Conv2d(3, 5, 3, padding=1)).double()

        def run(x, weight_orig, weight_u, weight_v, bias, training):
            conv.train(training)
            u, v = weight_u.clone(), weight_v.clone()
            y = functional_call(conv, {"weight_orig": weight_orig, "weight_u": u, "weight_v": v, "bias": bias}, (x,))
            return {"y": y, **({"u": u.detach(), "v": v.detach()} if training else {})}
        for name, training in (("training", True), ("evaluation", False)):
            inputs = {
                "x": rand(2, 3, 6, 5), "weight_orig": rand(5, 3, 3, 3), "bias": rand(5),
                "weight_u": F.normalize(rand(5), dim=0).float().double(), "weight_v": F.normalize(rand(27), dim=0).float().double(),
            }
            case(name, "spectralConv", {"training": training}, inputs, lambda t=training, **v: run(training=t, **v),
                 no_grad=("weight_u", "weight_v"))

    def small_layers():
        case("one slope", "prelu", {"perChannel": False}, {"x": rand(2, 3, 4, 2), "weight": rand(1, shift=0.3)},
             lambda x, weight: F.prelu(x, weight))
        case("a slope per channel", "prelu", {"perChannel": True}, {"x": rand(2, 3, 4, 2), "weight": rand(3, shift=0.3)},
             lambda x, weight: F.prelu(x, weight))
        linear = {"x": rand(2, 4, 6), "weight": rand(3, 6), "bias": rand(3)}
        case("three axes", "linearLast", {"features": 3}, linear, lambda x, weight, bias: F.linear(x, weight, bias))
        for name, rows, padding in (("small table", 9, None), ("large table with padding", 200, 1)):
            indices = torch.randint(0, rows, (3, 5)).double()
            indices[0, :3] = 1
            run = lambda indices, weight, p=padding: F.embedding(indices.long(), weight, padding_idx=p)
            case(name, "embedding", {"rows": rows, "width": 4, **({} if padding is None else {"paddingIndex": padding})},
                 {"indices": indices, "weight": rand(rows, 4)}, run, no_grad=("indices",))

    def recurrent():
        def one(name, layers, t, bias, run, options):
            """`run` is the function under nn.RNN and its like; the modules keep their weights out of functional_call's reach."""
            op, gates = name.split()[0], {"rnn": 1, "gru": 3, "lstm": 4}[name.split()[0]]
            weights = {}
            for layer in range(layers):
                features = 4 if layer == 0 else 5
                weights[f"weight_ih_l{layer}"] = rand(gates * 5, features, scale=0.5)
                weights[f"weight_hh_l{layer}"] = rand(gates * 5, 5, scale=0.5)
                if bias:
                    weights[f"bias_ih_l{layer}"] = rand(gates * 5, scale=0.5)
                    weights[f"bias_hh_l{layer}"] = rand(gates * 5, scale=0.5)
            state = {"hidden0": rand(layers, 3, 5), **({"cell0": rand(layers, 3, 5)} if op == "lstm" else {})}

            def forward(x, hidden0, cell0=None, **values):
                start = hidden0 if cell0 is None else (hidden0, cell0)
                flat = [values[key] for key in weights]
                y, *last = run(x, start, flat, bias, layers, 0.0, True, False, True)
                return {"output": y, **dict(zip(("hidden", "cell"), last))}
            case(f"{name}, {layers} layers, {t} steps{'' if bias else ', no bias'}", op,
                 {"hidden": 5, "layers": layers, "bias": bias, **options}, {"x": rand(3, t, 4), **state, **weights}, forward)

        functions = {
            "rnn": (torch._VF.rnn_tanh, {}), "rnn relu": (torch._VF.rnn_relu, {"nonlinearity": "relu"}),
            "gru": (torch._VF.gru, {}), "lstm": (torch._VF.lstm, {}),
        }
        for name, (run, options) in functions.items():
            for layers, t, bias in ((1, 3, True), (2, 11, True), (1, 10, False)):
                one(name, layers, t, bias, run, options)

    def blocks():
        forward = lambda call, x: call(x)
        x = lambda: {"x": rand(3, 6, 6, 5)}
        shortcut = lambda cin, cout, stride: nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))
        module_case("plain", "basicBlock", {"filters": 6}, BasicBlock(6, 6), x(), forward)
        module_case("stride 2", "basicBlock", {"filters": 8, "stride": 2}, BasicBlock(6, 8, 2, shortcut(6, 8, 2)), x(), forward)
        module_case("stride 2", "bottleneckBlock", {"filters": 3, "stride": 2}, Bottleneck(6, 3, 2, shortcut(6, 12, 2)), x(), forward)
        module_case("bottleneck 2", "denseBlock", {"layers": 3, "growth": 2, "bottleneck": 2},
                    _DenseBlock(3, 6, 2, 2, 0.0), x(), forward)
        module_case("to 3", "denseTransition", {"filters": 3}, _Transition(6, 3), x(), forward)

    return [convolutions, pools, norms, spectral, small_layers, recurrent, blocks]
