"""fastai v1's DynamicUnet on a ResNet-18, written with PyTorch's layers, for scripts/results/dynamic-unet.ts to load and compare with.

Started by that script as: dynamic_unet_reference.py FOLDER. Writes FOLDER/unet.pth, the state dict under fettle's names, and
FOLDER/unet.expected.pth: what PyTorch computes with it in float64, as tensors of float32: the scores of x in evaluation, the
gradients of sum(scores * dy) in training and the running statistics after that step. The size is odd, so that maps are fitted.

The picture is small and the seed one of those (4 to 7 of 1 to 8) with which no activation lies so near zero that float32 and float64
disagree on its side of a ReLU: one such changes a gradient by 1e-2, in PyTorch too, whose own float32 is told as a measure.
"""
import copy
import os
import sys

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

CLASSES = 12


class Conv(nn.Module):
    """A convolution under the name `conv`; ReLU after it unless it is the last."""

    def __init__(self, ni, nf, ks=3, active=True):
        super().__init__()
        self.conv, self.active = nn.Conv2d(ni, nf, ks, padding=ks // 2), active

    def forward(self, x):
        y = self.conv(x)
        return F.relu(y) if self.active else y


class Shuffle(nn.Module):
    """1x1 convolution, ReLU, pixel shuffle, perhaps a 2x2 blur."""

    def __init__(self, ni, nf, blur):
        super().__init__()
        self.conv, self.blur = nn.Conv2d(ni, 4 * nf, 1), blur

    def forward(self, x):
        y = F.pixel_shuffle(F.relu(self.conv(x)), 2)
        return F.avg_pool2d(F.pad(y, (1, 0, 1, 0), mode="replicate"), 2, stride=1) if self.blur else y


class Block(nn.Module):
    def __init__(self, up, skip, last):
        super().__init__()
        self.shuf, self.bn = Shuffle(up, up // 2, True), nn.BatchNorm2d(skip)
        ni = up // 2 + skip
        nf = ni // 2 if last else ni
        self.conv1, self.conv2, self.out = Conv(ni, nf), Conv(nf, nf), nf

    def forward(self, x, skip):
        up = self.shuf(x)
        if up.shape[-2:] != skip.shape[-2:]:
            up = F.interpolate(up, skip.shape[-2:], mode="nearest")
        return self.conv2(self.conv1(F.relu(torch.cat([up, self.bn(skip)], 1))))


class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torchvision.models.resnet18(weights=None)
        del self.encoder.fc, self.encoder.avgpool
        self.bn = nn.BatchNorm2d(512)
        self.middle = nn.ModuleList([Conv(512, 1024), Conv(1024, 512)])
        blocks, up = [], 512
        for i, skip in enumerate([256, 128, 64, 64]):
            blocks.append(Block(up, skip, i == 3))
            up = blocks[-1].out
        self.decoder = nn.ModuleList(blocks)
        ni = up + 3
        cross = nn.ModuleDict({"conv1": nn.Conv2d(ni, ni // 2, 3, padding=1), "conv2": nn.Conv2d(ni // 2, ni, 3, padding=1)})
        self.last = nn.ModuleDict({"shuf": Shuffle(up, up, False), "cross": cross})
        self.head = Conv(ni, CLASSES, 1, False)

    def forward(self, x):
        e = self.encoder
        maps = [e.relu(e.bn1(e.conv1(x)))]
        y = e.layer1(e.maxpool(maps[0]))
        for layer in (e.layer2, e.layer3, e.layer4):
            maps.append(y)
            y = layer(y)
        y = self.middle[1](self.middle[0](F.relu(self.bn(y))))
        for block, skip in zip(self.decoder, reversed(maps)):
            y = block(y, skip)
        y = self.last["shuf"](y)
        if y.shape[-2:] != x.shape[-2:]:
            y = F.interpolate(y, x.shape[-2:], mode="nearest")
        y = torch.cat([y, x], 1)
        cross = self.last["cross"]
        y = y + F.relu(cross["conv2"](F.relu(cross["conv1"](y))))
        return self.head(y)


folder = sys.argv[1]
torch.manual_seed(4)
net = Unet()
for module in net.modules():
    if isinstance(module, nn.BatchNorm2d):
        # Away from 0 and 1, so that none can stand for another.
        nn.init.uniform_(module.weight, 0.5, 1.5)
        nn.init.normal_(module.bias, 0, 0.1)
        nn.init.normal_(module.running_mean, 0, 0.1)
        nn.init.uniform_(module.running_var, 0.5, 1.5)
torch.save(net.state_dict(), os.path.join(folder, "unet.pth"))

single, net = copy.deepcopy(net), net.double()
out = {"x": torch.randn(2, 3, 75, 58), "dy": torch.randn(2, CLASSES, 75, 58)}
with torch.no_grad():
    out["scores"] = net.eval()(out["x"].double())
(net.train()(out["x"].double()) * out["dy"].double()).sum().backward()
out.update({f"grad/{key}": param.grad for key, param in net.named_parameters()})
out.update({f"next/{key}": value for key, value in net.named_buffers() if value.is_floating_point()})
torch.save({key: value.detach().float() for key, value in out.items()}, os.path.join(folder, "unet.expected.pth"))

(single.train()(out["x"]) * out["dy"]).sum().backward()
own = max(((p.grad - out[f"grad/{k}"]).abs().max() / out[f"grad/{k}"].abs().max()).item() for k, p in single.named_parameters())
print(f"torchvision {torchvision.__version__}, PyTorch {torch.__version__}; its own gradients in float32: {own:.1e}")
