"""One training step of a recurrent net in PyTorch, for scripts/bench/recurrent-step.ts to race against.

Started with one argument, a JSON file {"net", "config", "optimizer", "hyper", "tensors": [{"name", "dims", "dtype", "offset"}],
"threads", "data"}; offsets count bytes of the file "data". Then every line "step" on stdin is answered by one line of JSON: the loss
before the update, the step's milliseconds on the clock and of CPU time, and this process's peak memory.
"""
import sys
import time

import torch
import torch.nn.functional as F

from torch_peer import read_setup, read_tensors, say, say_ready

setup = read_setup()
config = setup["config"]
state, batch = read_tensors(setup)
x, y = (batch[name].long() for name in "xy")
buffers = {name: value for name, value in state.items()
           if name == "h" or name.startswith("state.") or "running_" in name}
p = {name: value.requires_grad_() for name, value in state.items() if name not in buffers}


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


say_ready()
for line in sys.stdin:
    if line.strip() != "step":
        break
    say(step())
