"""One training step of a net in PyTorch, for scripts/bench/peer.ts to race against.

Started with one argument, a JSON file {"net", "config", "tensors": [{"name", "dims", "dtype", "offset"}], "adam", "threads",
"data"}; offsets count bytes of the file "data". Then every line on stdin is answered by one line of JSON: "step" by the loss before
the update, the step's milliseconds on the clock and of CPU time, and this process's peak memory; "batch" reads the raw bytes of a
new batch from stdin (the tensors in their order) and steps with it.
"""
import re
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

from torch_peer import read_setup, read_tensors, say, say_ready

setup = read_setup()
config = setup.get("config")
state, batch = read_tensors(setup)
running = {name: value for name, value in state.items() if "running_" in name}
p = {name: value.requires_grad_() for name, value in state.items() if name not in running}


def conv(h, name, stride=1, padding=None):
    normed = name + ".weight_v" in p
    w = torch._weight_norm(p[name + ".weight_v"], p[name + ".weight_g"], 0) if normed else p[name + ".weight"]
    return F.conv2d(h, w, p.get(name + ".bias"), stride, (w.shape[-1] - 1) // 2 if padding is None else padding)


def norm(h, name):
    return F.batch_norm(h, running[name + ".running_mean"], running[name + ".running_var"], p[name + ".weight"],
                        p[name + ".bias"], True, 0.1, 1e-5)


def mnist_basic(h):
    for i in range(1, 6):
        h = norm(conv(h, f"conv{i}", 2, 1), f"bn{i}")
        h = F.relu(h) if i < 5 else h
    return h.flatten(1)


def conv_layer(h, name, stride=1):
    return norm(F.relu(conv(h, name + ".conv", stride, 1)), name + ".bn")


def mnist_resnet(h):
    for i in range(1, 6):
        h = conv_layer(h, f"layer{i}", 2)
        h = h + conv_layer(conv_layer(h, f"res{i}.layer1"), f"res{i}.layer2") if i < 5 else h
    return h.flatten(1)


def shuffle(h, name):
    h = F.pixel_shuffle(F.relu(conv(h, name + ".conv")), 2)
    return F.avg_pool2d(F.pad(h, (1, 0, 1, 0), mode="replicate"), 2, 1) if config["blur"] else h


def unet(image):
    mean = torch.tensor(config["normalisation"]["mean"]).view(1, 3, 1, 1)
    std = torch.tensor(config["normalisation"]["std"]).view(1, 3, 1, 1)
    x = (image - mean) / std
    h, skips = x, []
    for i, blocks in enumerate(config["blocks"]):
        if i > 0:
            skips.append(h)
        h = conv(h, f"encoder.{i}.down", 2, 1 if i == 0 else 0)
        for k in range(blocks):
            h = h + conv(F.relu(conv(h, f"encoder.{i}.{k}.conv1")), f"encoder.{i}.{k}.conv2")
    h = F.relu(conv(F.relu(conv(F.relu(h), "middle.0")), "middle.1"))
    for i, skip in enumerate(reversed(skips)):
        h = F.relu(torch.cat([shuffle(h, f"decoder.{i}.shuf"), skip], 1))
        h = F.relu(conv(F.relu(conv(h, f"decoder.{i}.conv1")), f"decoder.{i}.conv2"))
    h = torch.cat([shuffle(h, "last.shuf"), x], 1)
    h = h + F.relu(conv(F.relu(conv(h, "last.cross.conv1")), "last.cross.conv2"))
    low, high = config["yRange"]
    return image + (torch.sigmoid(conv(h, "head")) * (high - low) + low) * std


def srresnet(x):
    first = h = conv(x, "stem")
    for i in range(sum(re.fullmatch(r"block\.\d+\.conv1\.weight", name) is not None for name in p)):
        h = h + 0.1 * conv(F.relu(conv(h, f"block.{i}.conv1")), f"block.{i}.conv2")
    h = first + conv(h, "body")
    return conv(norm(F.pixel_shuffle(conv(h, "up"), 2), "bn"), "head")


def resnet18(h):
    h = F.max_pool2d(F.relu(norm(conv(h, "conv1", 2), "bn1")), 3, 2, 1)
    for layer in range(1, 5):
        for block in range(2):
            name, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            y = F.relu(norm(conv(h, name + ".conv1", stride), name + ".bn1"))
            y = norm(conv(y, name + ".conv2"), name + ".bn2")
            down = name + ".downsample"
            h = F.relu(y + (norm(conv(h, down + ".0", stride), down + ".1") if down + ".0.weight" in p else h))
    return F.linear(h.mean((2, 3)), p["fc.weight"], p["fc.bias"])


net = globals()[setup["net"]]
adam = setup["adam"]
optimizer = torch.optim.Adam(list(p.values()), adam["lr"], (adam["beta1"], adam["beta2"]), adam["eps"], adam["wd"])


def loss_of(output):
    y = batch["y"]
    return F.mse_loss(output, y) if y.dtype == torch.float32 else F.cross_entropy(output, y.long())


def step():
    start, cpu = time.perf_counter(), time.process_time()
    optimizer.zero_grad()
    loss = loss_of(net(batch["x"]))
    loss.backward()
    optimizer.step()
    ms, cpu_ms = (time.perf_counter() - start) * 1000, (time.process_time() - cpu) * 1000
    return {"loss": loss.item(), "ms": ms, "cpuMs": cpu_ms}


def read_batch():
    for value in batch.values():
        raw = sys.stdin.buffer.read(value.numel() * value.element_size())
        value.copy_(torch.from_numpy(np.frombuffer(raw, value.numpy().dtype).copy()).view(value.shape))


say_ready()
for line in iter(sys.stdin.buffer.readline, b""):
    if line.strip() == b"batch":
        read_batch()
    elif line.strip() != b"step":
        break
    say(step())
