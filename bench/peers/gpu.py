"""The network and loop of the benchmark `gpu` in PyTorch on the same card: prints seconds an epoch.

Arguments: features, width, hidden layers, rows, batch, epochs.
"""
import sys
import time

import torch

features, width, layers, count, batch, epochs = (int(word) for word in sys.argv[1:7])
torch.manual_seed(1)
x = torch.rand(count, features, device="cuda") * 2 - 1
y = (x[:, 0] + x[:, 1] * x[:, 2]).unsqueeze(1)
parts = []
for layer in range(layers):
    parts += [torch.nn.Linear(features if layer == 0 else width, width), torch.nn.ReLU()]
network = torch.nn.Sequential(*parts, torch.nn.Linear(width, 1)).cuda()
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0)


def epoch():
    order = torch.randperm(count, device="cuda")
    for start in range(0, count, batch):
        rows = order[start : start + batch]
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(network(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    torch.cuda.synchronize()


epoch()
begin = time.perf_counter()
for _ in range(epochs):
    epoch()
print((time.perf_counter() - begin) / epochs)
