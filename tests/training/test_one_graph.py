"""An iteration of every recurrent paradigm, with its loss and gradients, is one graph: nothing in
it falls back to Python."""

from __future__ import annotations

import pytest
import torch

from paradigms import PARADIGMS, build_paradigm, fourier
from tasks import load_task

TASKS = {"maze": {}, "digits": {}}
#: Each at a size of a test; a task, its options.
RECURRENT = {
    "dt_net": ("maze", {"width": 8, "iterations": 3}),
    "dt_net_recall": ("maze", {"width": 8, "iterations": 3}),
    "lottery": ("maze", {"width": 8, "iterations": 3}),
    "hgru": ("maze", {}),
    "hcnn": ("maze", {}),
    "td_hcnn": ("maze", {}),
    "recurrent_resnet": ("maze", {"width": 8, "depth": 12}),
    "recurrent_resnet_bn": ("digits", {"width": 8, "depth": 11}),
    "recurrent_mlp": ("digits", {"depth": 6}),
    "recurrent_convnet": ("digits", {"depth": 6}),
    "looped_transformer": ("maze", {"width": 16}),
    "conv_gru": ("maze", {"width": 8}),
    "conv_lstm": ("maze", {"width": 8}),
    "locrnn": ("maze", {"width": 8}),
    "dt_net_lipschitz": ("maze", {"width": 8, "iterations": 3}),
    "deq": ("maze", {"width": 8}),
    "trm": ("maze", {"width": 8}),
    "adaptive": ("maze", {"width": 8, "iterations": 3}),
    "gabor": ("digits", {"filters": 8, "width": 8, "iterations": 3}),
    "recurrent_resnet18": ("digits", {"width": 8}),
}


def test_no_recurrent_paradigm_is_left_out():
    found = set()
    for name in PARADIGMS:
        for task in TASKS:
            try:
                with torch.device("meta"):
                    model = build_paradigm(name, load_task(task).spec)
            except ValueError:
                continue
            found |= {name} if model.max_iterations is None else set()
    assert found == set(RECURRENT)


@pytest.mark.parametrize("name", RECURRENT)
def test_an_iteration_and_its_gradients_are_one_graph(name, monkeypatch):
    # As on a GPU, where wide kernels are not computed by transforms.
    monkeypatch.setattr(fourier, "has_matrix_unit", lambda device: True)
    chosen, options = RECURRENT[name]
    task = load_task(chosen)
    torch.manual_seed(0)
    model = build_paradigm(name, task.spec, **options).train()
    batch = task.sample(task.spec.train_difficulty, 2)
    torch._dynamo.reset()

    def iteration(x):
        state = model.advance(model.encode(x), model.context(x))
        return task.loss(model.readout(state), batch)

    loss = torch.compile(iteration, backend="aot_eager", fullgraph=True)(batch.inputs)
    loss.backward()
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    torch.manual_seed(0)
    plain = build_paradigm(name, task.spec, **options).train()
    model = plain
    expected = iteration(batch.inputs)
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)
    known = [p.grad for p in plain.parameters() if p.grad is not None]
    torch.testing.assert_close(found, known, rtol=1e-3, atol=1e-5)
