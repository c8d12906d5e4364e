"""What processes of `warm` begin with."""

import torch
import torch._dynamo

import reports.page.page  # noqa: F401
from tasks import load_task

torch.set_num_threads(1)
for name, difficulty in (("maze", 9), ("prefix_sums", 12)):
    load_task(name).sample(difficulty, 2)  # its kernels
