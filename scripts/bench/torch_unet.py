"""One training step of the restore U-Net in PyTorch, for scripts/bench/unet-step.ts to race against.

Started by that script with one argument, a JSON file {"config", "weights": [{"name", "dims", "offset"}], "x", "target", "adam",
"threads", "data"}; offsets count float32 elements of the file "data". Then every line "step" on stdin is answered by one line
of JSON: the loss before the update, the step's milliseconds on the clock and of CPU time, and this process's peak memory.
"""
import json
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

setup = json.load(open(sys.argv[1]))
torch.set_num_threads(setup["threads"])
values = torch.from_numpy(np.fromfile(setup["data"], "<f4"))


def tensor(ref):
    count = int(np.prod(ref["dims"]))
    return values[ref["offset"]:ref["offset"] + count].view(ref["dims"]).clone()


config = setup["config"]
p = {ref["name"]: tensor(ref).requires_grad_() for ref in setup["weights"]}
image, target = tensor(setup["x"]), tensor(setup["target"])
mean = torch.tensor(config["normalisation"]["mean"]).view(1, 3, 1, 1)
std = torch.tensor(config["normalisation"]["std"]).view(1, 3, 1, 1)


def conv(h, name, stride=1, padding=None):
    normed = name + ".weight_v" in p
    w = torch._weight_norm(p[name + ".weight_v"], p[name + ".weight_g"], 0) if normed else p[name + ".weight"]
    return F.conv2d(h, w, p[name + ".bias"], stride, (w.shape[-1] - 1) // 2 if padding is None else padding)


def shuffle(h, name):
    h = F.pixel_shuffle(F.relu(conv(h, name + ".conv")), 2)
    return F.avg_pool2d(F.pad(h, (1, 0, 1, 0), mode="replicate"), 2, 1) if config["blur"] else h


def unet(image):
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


adam = setup["adam"]
optimizer = torch.optim.Adam(list(p.values()), adam["lr"], (adam["beta1"], adam["beta2"]), adam["eps"])


def step():
    start, cpu = time.perf_counter(), time.process_time()
    optimizer.zero_grad()
    loss = F.mse_loss(unet(image), target)
    loss.backward()
    optimizer.step()
    ms, cpu_ms = (time.perf_counter() - start) * 1000, (time.process_time() - cpu) * 1000
    return {"loss": loss.item(), "ms": ms, "cpuMs": cpu_ms}


def say(answer):
    answer["peakMb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(answer), flush=True)


say({"torch": torch.__version__})
for line in sys.stdin:
    if line.strip() != "step":
        break
    say(step())
