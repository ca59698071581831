"""Data-parallel training: python3 train.py MNIST_DIRECTORY SAVE_AS flat|layers, under mpirun."""
import gzip
import sys

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, ranks = comm.Get_rank(), comm.Get_size()
directory, save_as, form = sys.argv[1:]


def read(name, header):
    return np.frombuffer(gzip.open(f"{directory}/{name}.gz").read(), np.uint8, offset=header)


images, test_images = (read(f"{part}-images-idx3-ubyte", 16).reshape(-1, 784).astype(np.float32) / 255
                       for part in ("train", "t10k"))
labels, test_labels = (read(f"{part}-labels-idx1-ubyte", 8) for part in ("train", "t10k"))
random = np.random.default_rng(1)  # the same on every rank
shapes = (784, 64), (64,), (64, 10), (10,)
flat = np.concatenate([random.normal(0, 0.05, shape).astype(np.float32).ravel() for shape in shapes])
w1, b1, w2, b2 = (part.reshape(shape) for part, shape in zip(
    np.split(flat, np.cumsum([np.prod(shape) for shape in shapes])[:-1]), shapes))
loss, total, mean_gradient = np.zeros(1), np.zeros(1), np.empty_like(flat)
for step in range(600):
    mine = random.integers(len(images), size=128)[rank::ranks]
    x, hot = images[mine], np.eye(10, dtype=np.float32)[labels[mine]]
    h = np.maximum(x @ w1 + b1, 0)
    p = np.exp(h @ w2 + b2)
    p /= p.sum(1, keepdims=True)
    d2 = (p - hot) / 128
    d1 = (d2 @ w2.T) * (h > 0)
    gradients = [x.T @ d1, d1.sum(0), h.T @ d2, d2.sum(0)]
    if form == "layers":
        for gradient in gradients:
            comm.Allreduce(MPI.IN_PLACE, gradient, op=MPI.SUM)
        np.concatenate([gradient.ravel() for gradient in gradients], out=mean_gradient)
    else:
        comm.Allreduce(np.concatenate([g.ravel() for g in gradients]), mean_gradient, op=MPI.SUM)
    flat -= 0.2 * mean_gradient
    loss[0] = -np.log((p * hot).sum(1)).sum() / 128
    comm.Allreduce(loss, total, op=MPI.SUM)
right = np.argmax(np.maximum(test_images @ w1 + b1, 0) @ w2 + b2, 1) == test_labels
np.save(f"{save_as}.{rank}.npy", flat)
if rank == 0:
    print(f"loss {total[0]:.4f}, test accuracy {100 * right.mean():.2f} %")
