"""CUDA graphs: the forward and backward pass of a training step recorded once and replayed, so that
the processor need not start its hundreds of kernels one by one.

A draw of the progressive loss is a graph of its own: they differ in how often parts run. What a
step computes is what it computes without, and which parameters get no gradient stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from foundations.errors import one_line
from tasks.base import Batch

#: Graphs of one training: 30 iterations have 465 draws of the progressive loss alone; what comes
#: beyond (training that is continued has as many for each of its own draws) runs eagerly.
MOST_GRAPHS = 512

#: What `Learner.forward` is given beside the batch.
Draw = tuple[int | None, ...]
Work = Callable[[Batch, Draw], Tensor]


class Recorder(Protocol):
    """What records work on a device."""

    def beside(self) -> AbstractContextManager[None]:
        """Context in which all work is done that is recorded, and the same before it is."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """What does again what `work` does, on the same memory; `work` itself has no effect.
        RuntimeError for work that can't be recorded."""


class CudaRecorder:
    """Records CUDA graphs in a stream and a pool of memory of its own. All graphs share the pool:
    they run one after the other, and none keeps in it what another reads."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """In the stream, after what was asked for before and before what is asked for next."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            yield
        current.wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Not by `torch.cuda.graph`, which gives all cached memory back first: that takes longer
        than a step, and there are hundreds of graphs."""
        graph = torch.cuda.CUDAGraph()
        # The thread that makes batches goes on copying to the device meanwhile.
        graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
        try:
            work()
        finally:
            graph.capture_end()
        return graph.replay


class GraphedSteps:
    """Steps of one training, replayed from when their like comes the second time.

    parameters: of the network, without gradients whenever a step begins. work: forward and backward
    of a batch, which adds to the gradients and returns the loss, detached. why_off: why nothing is
    recorded any more, "" while it is.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], work: Work, recorder: Recorder) -> None:
        self.why_off = ""
        self._parameters = list(parameters)
        self._work, self._recorder = work, recorder
        self._gradients: dict[nn.Parameter, Tensor] = {}
        self._given: dict[tuple[object, ...], Batch] = {}
        self._reached: dict[tuple[object, ...], list[nn.Parameter]] = {}
        self._replays: dict[tuple[object, ...], Callable[[], None]] = {}
        self._loss = torch.zeros((), device=self._parameters[0].device)

    def step(self, batch: Batch, draw: Draw) -> Tensor:
        """The loss of a batch, its gradients in place."""
        shape = tuple(
            None if t is None else (t.shape, t.dtype)
            for t in (batch.inputs, batch.targets, batch.mask)
        )
        like = (draw, shape)
        with self._recorder.beside():
            if self.why_off or like not in self._reached:
                loss = self._work(batch, draw)
                self._reached[like] = [p for p in self._parameters if p.grad is not None]
                return loss
            if shape not in self._given:
                self._given[shape] = batch.map(torch.clone)
            given = self._given[shape]
            if like not in self._replays and not self._recorded(like, given, draw):
                return self._work(batch, draw)
            given.copy_(batch)
            for parameter in self._reached[like]:
                parameter.grad = self._gradients[parameter]
            self._replays[like]()
            return self._loss.clone()

    def _recorded(self, like: tuple[object, ...], given: Batch, draw: Draw) -> bool:
        """Whether steps like this one can be replayed from now on."""
        if len(self._replays) >= MOST_GRAPHS:
            return False
        reached = self._reached[like]
        for parameter in reached:
            if parameter not in self._gradients:
                self._gradients[parameter] = torch.zeros_like(parameter)
            parameter.grad = self._gradients[parameter]
        gradients = [self._gradients[parameter] for parameter in reached]

        def work() -> None:
            torch._foreach_zero_(gradients)
            self._loss.copy_(self._work(given, draw))

        try:
            self._replays[like] = self._recorder.record(work)
        except RuntimeError as error:
            self.why_off = one_line(str(error).strip().partition("\n")[0][:200]) or "an error"
            self._replays.clear()
            return False
        finally:
            for parameter in reached:
                parameter.grad = None
        return True
