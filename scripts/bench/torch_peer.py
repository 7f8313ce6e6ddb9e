"""What the PyTorch sides of the races share: tensors from the bytes that peer.ts wrote, and answers of one line of JSON."""
import json
import sys

import numpy as np
import torch

kinds = {"float32": np.float32, "int32": np.int32}


def read_setup():
    """The settings that this process was started with; sets the number of threads."""
    setup = json.load(open(sys.argv[1]))
    torch.set_num_threads(setup["threads"])
    return setup


def read_tensors(setup):
    """Weights and batch, each by name: the bytes of the file "data", by the offsets of "tensors"."""
    data = np.memmap(setup["data"], np.uint8, "r")
    groups = {"weights": {}, "batch": {}}
    for ref in setup["tensors"]:
        group, name = ref["name"].split("/", 1)
        size = 4 * int(np.prod(ref["dims"]))
        values = data[ref["offset"]:ref["offset"] + size].view(kinds[ref["dtype"]])
        groups[group][name] = torch.from_numpy(np.array(values.reshape(ref["dims"])))
    return groups["weights"], groups["batch"]


def blas():
    """The BLAS library that is loaded, by its file name."""
    names = {line.split()[-1] for line in open("/proc/self/maps") if "blas" in line}
    return sorted(name.rsplit("/", 1)[-1] for name in names)


def peak_mb():
    """This process's own peak; ru_maxrss would begin with the memory of the process that started it."""
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def say(answer):
    print(json.dumps({**answer, "peakMb": peak_mb()}), flush=True)


def say_ready():
    say({"torch": torch.__version__, "threads": torch.get_num_threads(), "blas": blas()})
