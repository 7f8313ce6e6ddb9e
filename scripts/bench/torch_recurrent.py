"""One training step of a recurrent net in PyTorch, for scripts/bench/recurrent-step.ts to race against.

Started with one argument, a JSON file {"net", "config", "optimizer", "hyper", "tensors": [{"name", "dims", "dtype", "offset"}],
"threads", "data"}; offsets count bytes of the file "data". Then every line "step" on stdin is answered by one line of JSON: the loss
before the update, the step's milliseconds on the clock and of CPU time, and this process's peak memory.
"""
import json
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

setup = json.load(open(sys.argv[1]))
torch.set_num_threads(setup["threads"])
data = np.memmap(setup["data"], np.uint8, "r")
kinds = {"float32": np.float32, "int32": np.int32}


def tensor(ref):
    count = int(np.prod(ref["dims"]))
    values = data[ref["offset"]:ref["offset"] + 4 * count].view(kinds[ref["dtype"]])
    return torch.from_numpy(np.array(values.reshape(ref["dims"])))


config = setup["config"]
refs = {ref["name"]: ref for ref in setup["tensors"]}
state = {name[8:]: tensor(ref) for name, ref in refs.items() if name.startswith("weights/")}
x, y = (tensor(refs["batch/" + name]).long() for name in "xy")
buffers = {name: value for name, value in state.items()
           if name == "h" or name.startswith("state.") or "running_" in name}
p = {name: value.requires_grad_() for name, value in state.items() if name not in buffers}
del data


def rnn_weights(prefix, layer):
    return [p[f"{prefix}{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def gru():
    """Model5 of the human-numbers lesson."""
    h = F.embedding(x, p["i_h.weight"])
    weights = rnn_weights("rnn.", 0) + rnn_weights("rnn.", 1)
    h, last = torch.gru(h, buffers["h"], weights, True, 2, 0.0, True, False, True)
    buffers["h"] = last.detach()
    flat = F.batch_norm(h.reshape(-1, h.shape[2]), buffers["bn.running_mean"], buffers["bn.running_var"],
                        p["bn.weight"], p["bn.bias"], True, 0.1, 1e-5)
    return F.cross_entropy(F.linear(flat, p["h_o.weight"], p["h_o.bias"]), y.flatten())


def same_over_time(h, rate):
    """fastai's RNNDropout."""
    return h if rate == 0 else h * F.dropout(torch.ones(h.shape[0], 1, h.shape[2]), rate)


def awd_lstm():
    mult = config["dropMult"]
    table = p["encoder.weight"]
    rate = config["embedDrop"] * mult
    dropped_table = table if rate == 0 else table * F.dropout(torch.ones(table.shape[0], 1), rate)
    h = F.embedding(x, dropped_table, config["paddingIndex"])
    h = same_over_time(h, config["inputDrop"] * mult)
    for i in range(config["layers"]):
        weights = rnn_weights(f"rnns.{i}.", 0)
        weights[1] = F.dropout(weights[1], config["weightDrop"] * mult)
        first = (buffers[f"state.{i}.hidden"], buffers[f"state.{i}.cell"])
        h, hidden, cell = torch.lstm(h, first, weights, True, 1, 0.0, True, False, True)
        buffers[f"state.{i}.hidden"], buffers[f"state.{i}.cell"] = hidden.detach(), cell.detach()
        if i < config["layers"] - 1:
            h = same_over_time(h, config["hiddenDrop"] * mult)
    raw, dropped = h, same_over_time(h, config["outputDrop"] * mult)
    scores = F.linear(dropped, table, p["decoder.bias"])
    loss = F.cross_entropy(scores.flatten(0, 1), y.flatten())
    loss = loss + config["alpha"] * dropped.pow(2).mean()
    return loss + config["beta"] * (raw[:, 1:] - raw[:, :-1]).pow(2).mean()


net = globals()[setup["net"]]
hyper = setup["hyper"]
# Biases and norms are spared weight decay, as by fettle.
groups = [{"params": [v for v in p.values() if v.dim() > 1], "weight_decay": hyper["wd"]},
          {"params": [v for v in p.values() if v.dim() == 1], "weight_decay": 0.0}]
kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[setup["optimizer"]]
optimizer = kind(groups, hyper["lr"], (hyper["beta1"], hyper["beta2"]), hyper["eps"])


def step():
    start, cpu = time.perf_counter(), time.process_time()
    optimizer.zero_grad()
    loss = net()
    loss.backward()
    optimizer.step()
    ms, cpu_ms = (time.perf_counter() - start) * 1000, (time.process_time() - cpu) * 1000
    return {"loss": loss.item(), "ms": ms, "cpuMs": cpu_ms}


def blas():
    """The BLAS library that is loaded, by its file name."""
    names = {line.split()[-1] for line in open("/proc/self/maps") if "blas" in line}
    return sorted(name.rsplit("/", 1)[-1] for name in names)


def peak_mb():
    """This process's own peak; ru_maxrss would begin with the memory of the process that started it."""
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def say(answer):
    answer["peakMb"] = peak_mb()
    print(json.dumps(answer), flush=True)


say({"torch": torch.__version__, "threads": torch.get_num_threads(), "blas": blas()})
for line in sys.stdin:
    if line.strip() != "step":
        break
    say(step())
