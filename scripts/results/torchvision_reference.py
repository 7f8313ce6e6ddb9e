"""torchvision's models with random weights, for scripts/results/torchvision.ts to load and compare with.

Started by that script as: torchvision_reference.py FOLDER MODEL. Writes FOLDER/MODEL.pth, the state dict, and
FOLDER/MODEL.expected.pth: what PyTorch computes with it in float64, as tensors of float32: the scores of x in evaluation, and for
resnet18 the gradients of sum(scores * dy) in training and the running statistics after that step. With the seed no activation of that
step lies so near zero that rounding decides its side of a ReLU; one that does (seed 4) changes gradients by 1e-1.
"""
import os
import sys

import torch
import torchvision
from torch import nn

folder, name = sys.argv[1:]
torch.manual_seed(5)
net = getattr(torchvision.models, name)(weights=None)
for module in net.modules():
    if isinstance(module, nn.BatchNorm2d):
        # Away from 0 and 1, so that none can stand for another.
        nn.init.uniform_(module.weight, 0.5, 1.5)
        nn.init.normal_(module.bias, 0, 0.1)
        nn.init.normal_(module.running_mean, 0, 0.1)
        nn.init.uniform_(module.running_var, 0.5, 1.5)
torch.save(net.state_dict(), os.path.join(folder, f"{name}.pth"))

net = net.double()
out = {"x": torch.randn(2, 3, 224, 224)}
with torch.no_grad():
    out["scores"] = net.eval()(out["x"].double())
if name == "resnet18":
    out["trainingX"], out["dy"] = torch.randn(8, 3, 128, 128), torch.randn(8, 1000)
    (net.train()(out["trainingX"].double()) * out["dy"].double()).sum().backward()
    out.update({f"grad/{key}": param.grad for key, param in net.named_parameters()})
    out.update({f"next/{key}": value for key, value in net.named_buffers() if value.is_floating_point()})
torch.save({key: value.detach().float() for key, value in out.items()}, os.path.join(folder, f"{name}.expected.pth"))
print(f"torchvision {torchvision.__version__}, PyTorch {torch.__version__}")
