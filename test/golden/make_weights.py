"""Writes test/fixtures/weights: small nets of torchvision's families and tensors of every kind, as .pth, .safetensors and .onnx.

Run it with a Python that has torch 1.13, torchvision 0.14 and onnx; the tests only read what it wrote:

    python3 test/golden/make_weights.py

Beside the weights of each net, NET.expected.safetensors holds what PyTorch computes with them in float64: scores in
evaluation and in training, the gradients of sum(scores * dy), and the running statistics after that step.
"""
import copy
import io
import json
import os
import warnings
from collections import OrderedDict

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.vgg import VGG, make_layers

warnings.filterwarnings("ignore")
torch.manual_seed(11)
torch.set_num_threads(1)
folder = os.path.join(os.path.dirname(__file__), "..", "fixtures", "weights")
os.makedirs(folder, exist_ok=True)
path = lambda name: os.path.join(folder, name)

SAFE = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
        torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}


def raw(tensor):
    tensor = tensor.detach().contiguous()
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().tobytes()


def save_safetensors(tensors, name):
    header, body = {}, b""
    for key, tensor in tensors.items():
        data = raw(tensor)
        header[key] = {"dtype": SAFE[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path(name), "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + body)


def narrow_resnet(block, depths, width, classes):
    """torchvision's ResNet with another width."""
    net = ResNet(block, depths, num_classes=classes)
    net.inplanes = width
    net.conv1, net.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
    for i in range(4):
        setattr(net, f"layer{i + 1}", net._make_layer(block, width * 2 ** i, depths[i], stride=1 if i == 0 else 2))
    net.fc = nn.Linear(width * 8 * block.expansion, classes)
    return net


def narrow_vgg(blocks, hidden, classes):
    """torchvision's VGG with batch norm, another width, and no dropout, so that training can be compared."""
    net = VGG(make_layers([width for block in blocks for width in [*block, "M"]], batch_norm=True), num_classes=classes)
    width = blocks[-1][-1]
    net.classifier = nn.Sequential(nn.Linear(width * 49, hidden), nn.ReLU(), nn.Dropout(0), nn.Linear(hidden, hidden),
                                   nn.ReLU(), nn.Dropout(0), nn.Linear(hidden, classes))
    return net


def shuffle(net):
    """Weights and statistics away from their first values, so that none can stand for another."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            module.num_batches_tracked.fill_(3)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.1)


def expected(net, x):
    net = copy.deepcopy(net).double()
    logits = net.eval()(x.double())
    scores = net.train()(x.double())
    dy = torch.randn(scores.shape).float()
    (scores * dy.double()).sum().backward()
    out = {"x": x, "dy": dy, "logits": logits, "training": scores}
    out.update({f"grad/{name}": param.grad for name, param in net.named_parameters()})
    out.update({f"next/{name}": value for name, value in net.named_buffers() if value.is_floating_point()})
    return {name: tensor.detach().float() for name, tensor in out.items()}


def save_net(name, net, size):
    shuffle(net)
    x = torch.randn(4, 3, *size)
    save_safetensors(expected(net, x), f"{name}.expected.safetensors")
    state = net.state_dict()
    torch.save(state, path(f"{name}.pth"))
    torch.save(state, path(f"{name}.legacy.pth"), _use_new_zipfile_serialization=False)
    save_safetensors(state, f"{name}.safetensors")
    # In training mode the exporter leaves norms apart from convolutions, but moves their statistics on. It pools to 7 x 7
    # only from multiples of that.
    net = copy.deepcopy(net).train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0
    torch.onnx.export(net, torch.zeros(1, 3, 224, 224), path(f"{name}.onnx"), training=torch.onnx.TrainingMode.TRAINING,
                      do_constant_folding=False, opset_version=14)


save_net("basic", narrow_resnet(BasicBlock, [2, 1, 1, 1], 4, 5), (40, 33))
save_net("bottleneck", narrow_resnet(Bottleneck, [1, 2, 1, 1], 2, 5), (33, 48))
save_net("vgg", narrow_vgg([[4], [4, 6], [8], [8], [8]], 10, 5), (50, 40))

# Tensors of every kind: types, views, shared storages.
base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
odd = OrderedDict(
    f16=torch.tensor([1.5, -0.0, 6e-8, 65504, float("inf"), -2 ** -14]).half(),
    bf16=torch.tensor([1.5, -3e38, 1e-40, 257.0]).bfloat16(),
    f64=torch.tensor([[1 / 3], [-1e300]], dtype=torch.float64),
    i64=torch.tensor([2 ** 62 + 1, -1]),
    i32=torch.tensor([-2 ** 31, 7], dtype=torch.int32),
    i16=torch.tensor([-2 ** 15, 7], dtype=torch.int16),
    i8=torch.tensor([-128, 127, 1], dtype=torch.int8),
    u8=torch.tensor([255, 0], dtype=torch.uint8),
    bool=torch.tensor([True, False, True]),
    scalar=torch.tensor(2.5),
    empty=torch.zeros(0, 3),
    base=base,
    row=base[2],
    transposed=base.t(),
    sliced=base[1:, 1::2],
    flipped_axes=torch.arange(24, dtype=torch.float32).reshape(2, 3, 2, 2).to(memory_format=torch.channels_last),
    expanded=torch.tensor([[7.0], [8.0]]).expand(2, 3),
    parameter=nn.Parameter(torch.tensor([0.25, -4.0])),
)
torch.save(odd, path("odd.pth"))
torch.save(odd, path("odd.legacy.pth"), _use_new_zipfile_serialization=False)
save_safetensors(odd, "odd.safetensors")
show = lambda value: str(value) if isinstance(value, int) and abs(value) > 2 ** 53 or isinstance(value, float) and not np.isfinite(value) else value
with open(path("odd.json"), "w") as file:
    flat = lambda tensor: tensor.detach().double() if tensor.is_floating_point() else tensor
    table = {name: {"dims": list(t.shape), "values": [show(v) for v in flat(t).flatten().tolist()]} for name, t in odd.items()}
    json.dump(table, file, indent=0)

# A training script's checkpoint, a whole module, and a TorchScript file.
net = nn.Linear(2, 1)
optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
net(torch.ones(1, 2)).sum().backward()
optimizer.step()
torch.save({"epoch": 3, "best": 0.5, "name": "x" * 300, "state_dict": net.state_dict(), "optimizer": optimizer.state_dict()}, path("checkpoint.pth"))
torch.save(net, path("module.pth"))
torch.jit.save(torch.jit.script(net), path("script.pt"))
with open(path("linear.json"), "w") as file:
    json.dump({name: t.flatten().tolist() for name, t in net.state_dict().items()}, file)

# ONNX: every type in its own field and as raw bytes.
values = {"f32": (TensorProto.FLOAT, [1.5, -2]), "f64": (TensorProto.DOUBLE, [1 / 3, -1e300]), "f16": (TensorProto.FLOAT16, [1.5, -0.25]),
          "bf16": (TensorProto.BFLOAT16, [1.5, -2]), "i64": (TensorProto.INT64, [2 ** 40, -1]), "i32": (TensorProto.INT32, [-5, 6]),
          "i16": (TensorProto.INT16, [-5, 6]), "u16": (TensorProto.UINT16, [5, 65535]), "i8": (TensorProto.INT8, [-5, 6]),
          "u8": (TensorProto.UINT8, [5, 255]), "bool": (TensorProto.BOOL, [1, 0])}
numpy_types = {"f32": "<f4", "f64": "<f8", "f16": "<f2", "i64": "<i8", "i32": "<i4", "i16": "<i2", "u16": "<u2", "i8": "i1", "u8": "u1", "bool": "?"}
tensors = [helper.make_tensor(f"{name}.field", kind, [2, 1], numbers) for name, (kind, numbers) in values.items()]
tensors += [helper.make_tensor(f"{name}.raw", values[name][0], [2], np.array(values[name][1]).astype(kind).tobytes(), raw=True)
            for name, kind in numpy_types.items()]
node = helper.make_node("Identity", ["f32.raw"], ["y"])
graph = helper.make_graph([node], "odd", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])], tensors)
onnx.save(helper.make_model(graph), path("odd.onnx"))
with open(path("odd.onnx.json"), "w") as file:
    json.dump({name: numbers for name, (_, numbers) in values.items()}, file)
