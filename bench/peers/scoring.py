"""One network in PyTorch, called by the benchmark `scoring`: writes it as ONNX and prints rows a second with one and two threads, then median and 99 % quantile of the seconds of a single row with one
and two threads.

Arguments: file of weights (float32, layer by layer: weights, biases), ONNX file to write, features, widths of the two hidden layers, rows of a batch, rows in all, single rows.
"""
import sys
import time

import numpy as np
import torch

weights, target = sys.argv[1:3]
features, first, second, block, count, calls = (int(word) for word in sys.argv[3:9])
network = torch.nn.Sequential(
    torch.nn.Linear(features, first), torch.nn.ReLU(), torch.nn.Linear(first, second), torch.nn.ReLU(), torch.nn.Linear(second, 1)
)
values, start = torch.from_numpy(np.fromfile(weights, dtype=np.float32)), 0
with torch.no_grad():
    for parameter in network.parameters():
        parameter.copy_(values[start : start + parameter.numel()].view_as(parameter))
        start += parameter.numel()
assert start == len(values), "the network has other weights"
network.eval()
torch.onnx.export(network, torch.zeros(1, features), target, input_names=["features"], output_names=["score"], dynamic_axes={"features": {0: "rows"}, "score": {0: "rows"}})

batch, row = torch.rand(block, features), torch.rand(1, features)
rates, times = [], []
with torch.inference_mode():
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for _ in range(50):
            network(batch)
        begin = time.perf_counter()
        for _ in range(count // block):
            network(batch)
        rates.append(count // block * block / (time.perf_counter() - begin))
        single = []
        for _ in range(calls):
            begin = time.perf_counter()
            network(row)
            single.append(time.perf_counter() - begin)
        single.sort()
        times += [single[calls // 2], single[calls * 99 // 100]]
print(*rates, *times)
