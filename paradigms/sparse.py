"""Only where something still changes: the states of a recurrent network, computed tile by tile.

A step that is local gives each site of the state from the sites within a radius (five 3-wide
convolutions: 5 sites). Where nothing within the radius changed in the step before, the same step
gives again what is there. So the board is cut into tiles, and of each step only those tiles are
computed that have a change within the radius. Where a step reaches one site to each side and a
network says what it does at a single site (`Paradigm.site_step`), single sites take the place of
tiles: there is no halo then, and nothing in a step is as large as the board.

A tile is computed in a window that is wider by the radius on each side. Near the border of the
board the window is moved inwards until it ends where the board ends: there the zero padding of
every convolution is that of the whole board; at its other edges what padding spoils is the halo,
which is thrown away. All windows of a board are of one size, so that those of all problems make one
batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from paradigms.base import Paradigm, State
from paradigms.sites import SiteSteps, crossed

#: Sites of a side of a tile, in radii of a step (and one more): smaller ones follow the change more
#: closely, larger ones have less halo to compute in vain. With a radius of 1, tiles of 4 were the
#: fastest of 4 to 32.
TILE = 3
#: The share of a board's sites above which a step is taken everywhere rather than site by site:
#: gathering neighbours makes a site about twice as dear.
MOST_SITES = 0.45
#: Sites of the windows that are computed at once: few enough for activations to stay near the
#: processor.
SITES_AT_ONCE = 1 << 16
MAX_POOL: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d}


class Piece(NamedTuple):
    """Sites by number, int64, of a few tiles: of all their windows, one after the other; of the
    tiles, within these windows; and of the same on the boards."""

    windows: Tensor
    inner: Tensor
    cores: Tensor


class Tiling:
    """A board of `sites` cut into tiles, each with a window wider by `radius` on each side.

    Numbers of sites, int64: windows [tiles, W], of each tile's window; cores [tiles, T], of the
    tile itself; inner [tiles, T], the same within the window. inside: bool [tiles, T], false where
    a last tile reaches beyond the board.
    """

    def __init__(self, sites: torch.Size, tile: int, radius: int, device: Any) -> None:
        self.sites = sites
        self.sides = [min(tile, size) for size in sites]
        self.radius = radius
        self.window = [min(a + 2 * radius, size) for a, size in zip(self.sides, sites, strict=True)]
        zero = torch.zeros(1, 1, dtype=torch.int64)
        self.windows = self.cores = self.inner = zero
        self.inside = zero == 0
        for size, side, width in zip(sites, self.sides, self.window, strict=True):
            first = torch.arange(0, size, side)[:, None]
            start = (first - radius).clamp(0, size - width)
            core = first + torch.arange(side)
            inside = core < size
            # Beyond the board stand sites of it, so that all numbers are of some site.
            core = core.clamp(max=size - 1)
            self.windows = crossed(self.windows * size, start + torch.arange(width))
            self.cores = crossed(self.cores * size, core)
            self.inner = crossed(self.inner * width, core - start)
            self.inside = crossed((~self.inside).long(), (~inside).long()) == 0
        for name in ("windows", "cores", "inner", "inside"):
            setattr(self, name, getattr(self, name).to(device))

    def near(self, changed: Tensor) -> Tensor:
        """bool [n, tiles]: which have a site within the radius that changed, bool [n, *S]."""
        widths = [side + 2 * self.radius for side in self.sides]
        pool = MAX_POOL[len(widths)]
        found = pool(
            changed[:, None].float(),
            widths,
            stride=self.sides,
            padding=[self.radius] * len(widths),
            ceil_mode=True,
        )
        return found.flatten(1) > 0

    def pieces(self, tiles: Tensor) -> Iterator[Piece]:
        """What to compute for some tiles, int64 [k, 2] of (board, tile), a few at a time."""
        board_sites, width = self.sites.numel(), self.windows.shape[1]
        for some in tiles.split(max(SITES_AT_ONCE // width, 1)):
            first, tile = some[:, :1] * board_sites, some[:, 1]
            inside = self.inside[tile].flatten()
            order = torch.arange(len(some), device=tiles.device)[:, None] * width
            yield Piece(
                (first + self.windows[tile]).flatten(),
                (order + self.inner[tile]).flatten()[inside],
                (first + self.cores[tile]).flatten()[inside],
            )

    def saves(self, tiles: Tensor, boards: int) -> bool:
        """Whether the windows of these tiles are fewer sites than all of the boards."""
        return len(tiles) * self.windows.shape[1] < boards * self.sites.numel()

    def gather(self, rows: State, piece: Piece) -> State:
        """The windows of a piece, [k, C, *window], of what is given by rows."""
        taken = rows.map(partial(_taken, piece.windows))
        return taken.map(lambda part: _maps(part, self.window))


def _rows(part: Tensor) -> Tensor:
    """[n, C, *S] as [n sites, C]: a site's numbers side by side."""
    return part.movedim(1, -1).reshape(-1, part.shape[1])


def _maps(rows: Tensor, sites: Sequence[int]) -> Tensor:
    """The opposite of `_rows`; in 2d, channels are innermost in memory."""
    return rows.view(-1, *sites, rows.shape[1]).movedim(-1, 1)


def check_sparse(model: Paradigm, tolerance: float) -> int:
    """The radius of a step. ValueError for a network whose steps are not local and for a tolerance
    not in [0, 1)."""
    if model.step_radius is None:
        raise ValueError(
            "no part of a step of this network can be left out: its steps are not all the same, or"
            " not local (it has no step_radius)"
        )
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance must be at least 0 and under 1, not {tolerance}")
    return model.step_radius


class SparseWalk:
    """The states of `model.states(x, ...)`, of each step only what changes computed.

    tolerance: a step leaves a site as it is unless one of its numbers moves by more than this share
    of its largest. At 0 the states are those of `model.states`, as far as convolutions round alike
    for inputs of another size. But rounding keeps a state that has settled moving for ever (about
    1e-6 a step in float32, 3e-2 in bfloat16), so that little is spared below that. ValueError as of
    `check_sparse`.

    After each step: active, float [n], the share of each board's tiles (or sites, where a step is
    taken site by site) that it was needed for; moving, float [n], the share of its sites that
    changed; changed, bool [n, *S], which these are until the next step, None where they are not
    known and count as all.
    """

    def __init__(
        self, model: Paradigm, x: Tensor, tolerance: float = 0.0, *, tile: int | None = None
    ) -> None:
        self.model, self.x, self.tolerance = model, x, tolerance
        self.radius = check_sparse(model, tolerance)
        self._tile = tile
        self._sites: SiteSteps | None = None
        self._moved = torch.zeros(0, dtype=torch.int64)  # the sites of `changed`
        self._tilings: dict[int, Tiling] = {}  # by radius
        self.active = self.moving = torch.ones(len(x), device=x.device)
        self.state = State(())
        # The state before the last step; rows of it and of the last while steps are sparse.
        self._before = State(())
        self._rows: tuple[State, State] | None = None
        self._written = torch.zeros(0, dtype=torch.int64)  # sites in which these two may differ
        self.changed: Tensor | None = None
        self._length: tuple[int, Tensor] | None = None  # squared, of the state at that iteration
        self._logits = torch.zeros(0)
        self._unread: Tensor | None = None  # bool [n, *S], changed since; None: all

    def states(self, iterations: int, state: State | None = None) -> Iterator[State]:
        """As `Paradigm.states`; the first step is taken everywhere. A state's tensors hold until
        the second step after it: then they are written over."""
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, not {iterations}")
        context = self.model.context(self.x)
        self.state = self.model.encode(self.x) if state is None else state
        self._rows = self.changed = self._unread = self._length = None
        given = State(() if context is None else context)
        tiling = self._tiling(self.radius, given)
        given = given.map(_rows)
        site_step = self.model.site_step
        # A product of matrices rounds otherwise than a convolution does: only where that may be.
        if site_step is not None and self.tolerance > 0 and not self._tile:
            self._sites = SiteSteps(site_step, tiling.sites, len(self.x), given.parts[0])
        whole = torch.ones(len(self.x), device=self.x.device)
        for _ in range(iterations):
            if self.changed is None:
                self._dense_step(context)
                self.active = whole
            elif self._sites is not None:
                self._step_by_sites(context, self._sites, self.changed)
            else:
                self._step_by_tiles(context, given, tiling, self.changed)
            if self.changed is None:
                self.moving, self._unread = whole, None
            elif self._sites is not None and self._rows is not None:
                self.moving = self._shares(self._moved)
                if self._unread is not None:
                    self._unread.view(-1)[self._moved] = True
            else:
                self.moving = self.changed.flatten(1).float().mean(1)
                if self._unread is not None:
                    self._unread |= self.changed
            yield self.state

    def _shares(self, numbers: Tensor) -> Tensor:
        """float [n]: of each board, the share that these sites are."""
        sites = self.state.parts[0][0, 0].numel()
        return (numbers // sites).bincount(minlength=len(self.x)) / sites

    def _step_by_tiles(self, context: Any, given: State, tiling: Tiling, changed: Tensor) -> None:
        todo = tiling.near(changed)
        tiles = todo.nonzero()
        if tiling.saves(tiles, len(self.x)):
            self._sparse_step(tiling, tiles, None if context is None else given)
        else:
            self._dense_step(context)
        self.active = todo.float().mean(1)

    def _step_by_sites(self, context: Any, steps: SiteSteps, changed: Tensor) -> None:
        """A step of the sites that have a neighbour that changed."""
        if self._rows is None:
            self._moved = changed.flatten().nonzero().flatten()
        active = steps.reached(self._moved)
        if len(active) > MOST_SITES * changed.numel():
            self._dense_step(context)
        else:
            self._site_by_site(active, steps, changed)
        self.active = self._shares(active)

    def _site_by_site(self, active: Tensor, steps: SiteSteps, changed: Tensor) -> None:
        # Both with a last row of zeros, for what is beyond the border.
        then, now = self._older_and_newer(lambda rows: F.pad(rows, (0, 0, 0, 1)))
        moved = [active[:0]]
        for some in active.split(SITES_AT_ONCE // 16):
            held, which = self._held(*map(State, steps.taken(now.parts[0], some)))
            then.parts[0].index_copy_(0, some, held.parts[0])
            moved.append(some[which])
        changed.view(-1)[self._moved] = False
        self._moved = torch.cat(moved)
        changed.view(-1)[self._moved] = True
        self._before, self._rows, self._written = self.state, (now, then), active
        maps = then.map(lambda rows: _maps(rows[:-1], changed.shape[1:]))
        self.state = maps._replace(iteration=self.state.iteration + 1)

    def _older_and_newer(self, rows_of: Callable[[Tensor], Tensor]) -> tuple[State, State]:
        """Rows of the state before the last step, brought up to date with those of the last, to be
        written over; and of the last."""
        if self._rows is None:
            now = self.state.map(_rows).map(rows_of)
            return now.map(torch.clone), now
        then, now = self._rows
        State.together(partial(_copy_rows, self._written), then, now)
        return then, now

    def _tiling(self, radius: int, given: State) -> Tiling:
        n, sites = len(self.x), self.state.parts[0].shape[2:]
        for part in (*self.state.parts, *given.parts):
            if part.shape[0] != n or part.shape[2:] != sites:
                raise ValueError(
                    "a sparse walk needs states and contexts that are maps of one size, not"
                    f" {tuple(part.shape)} beside {tuple(sites)}"
                )
        if radius not in self._tilings or self._tilings[radius].sites != sites:
            tile = self._tile or TILE * radius + 1
            self._tilings[radius] = Tiling(sites, tile, radius, self.x.device)
        return self._tilings[radius]

    def _dense_step(self, context: Any) -> None:
        self._before, self._rows = self.state, None
        self.state = self.model.advance(self._before, context)
        pairs = zip(self._before.parts, self.state.parts, strict=True)
        # What a step leaves as it was says nothing about the next unless that one is the same, and
        # so is the type of its numbers.
        alike = all(a.dtype == b.dtype for a, b in pairs)
        self.changed = None
        if alike and self._before.iteration >= self.model.same_from:
            self.state, self.changed = self._held(self._before, self.state)

    def _sparse_step(self, tiling: Tiling, tiles: Tensor, given: State | None) -> None:
        n, at = len(self.x), self.state.iteration
        then, now = self._older_and_newer(lambda rows: rows)
        changed = torch.zeros(n * tiling.sites.numel(), dtype=torch.bool, device=tiles.device)
        written = [tiles.new_zeros(0)]
        for piece in tiling.pieces(tiles):
            context = None if given is None else tiling.gather(given, piece).hidden
            windows = tiling.gather(now, piece)._replace(iteration=at)
            new = self.model.advance(windows, context).map(_rows)
            new = new.map(partial(_taken, piece.inner))
            old = now.map(partial(_taken, piece.cores))
            new, changed[piece.cores] = self._held(old, new)
            State.together(partial(_put_rows, piece.cores), then, new)
            written.append(piece.cores)
        self._before, self._rows, self._written = self.state, (now, then), torch.cat(written)
        self.changed = changed.view(n, *tiling.sites)
        self.state = then.map(lambda rows: _maps(rows, tiling.sites))._replace(iteration=at + 1)

    def _held(self, old: State, new: State) -> tuple[State, Tensor]:
        """The new state where it moved by more than is tolerated and the old one elsewhere; and
        where that is, bool of the shape of the parts without their channels."""
        pairs = list(zip(old.parts, new.parts, strict=True))
        if self.tolerance == 0:
            return new, torch.stack([(a != b).any(1) for a, b in pairs]).any(0)
        moved = torch.stack(
            # Written so that what is not a number has moved.
            [~((b - a).abs_().amax(1) <= self.tolerance * a.abs().amax(1)) for a, b in pairs]
        ).any(0)
        return State.together(lambda b, a: b.where(moved.unsqueeze(1), a), new, old), moved

    def change(self) -> Tensor | None:
        """float [n]: how far the last step moved the state, as a share of its length before, from
        what the step wrote alone. None after a step that was taken everywhere."""
        if self._rows is None:
            return None
        n, at, written = len(self.x), self._before.iteration, self._written
        before, after = (rows.map(partial(_taken, written)) for rows in self._rows)
        boards = written // (len(self._rows[0].parts[0]) // n)
        if self._length is None or self._length[0] != at:
            whole = [
                part.flatten(1).float().square().sum(1).double() for part in self._before.parts
            ]
            self._length = (at, torch.stack(whole).sum(0))
        length = self._length[1]
        moved = State.together(torch.sub, after, before)
        old, new, away = (_squares(state, boards, n) for state in (before, after, moved))
        self._length = (at + 1, length + new - old)
        return (away.sqrt() / length.sqrt().clamp_min(1e-6)).float()

    def logits(self) -> Tensor:
        """The last state's, float32, of the shape of `Paradigm.readout`: read out anew only where
        the state changed since the last time; the same tensor where it changed nowhere."""
        radius = self.model.readout_radius
        if self._unread is not None and not self._unread.any():
            return self._logits
        if self._unread is None or radius is None or self._rows is None:
            self._logits = self.model.readout(self.state).float()
        else:
            self._logits = self._read(self._tiling(radius, State(())), self._rows[1])
        self._unread = torch.zeros(
            len(self.x), *self.state.parts[0].shape[2:], dtype=torch.bool, device=self.x.device
        )
        return self._logits

    def _read(self, tiling: Tiling, rows: State) -> Tensor:
        assert self._unread is not None
        tiles = tiling.near(self._unread).nonzero()
        if not tiling.saves(tiles, len(self.x)):
            return self.model.readout(self.state).float()
        answer = _rows(self._logits).clone()
        for piece in tiling.pieces(tiles):
            windows = tiling.gather(rows, piece)._replace(iteration=self.state.iteration)
            found = _rows(self.model.readout(windows).float())
            answer.index_copy_(0, piece.cores, found.index_select(0, piece.inner))
        return _maps(answer, tiling.sites)


def _taken(numbers: Tensor, rows: Tensor) -> Tensor:
    return rows.index_select(0, numbers)


def _copy_rows(numbers: Tensor, into: Tensor, source: Tensor) -> Tensor:
    return into.index_copy_(0, numbers, source.index_select(0, numbers))


def _put_rows(numbers: Tensor, into: Tensor, source: Tensor) -> Tensor:
    return into.index_copy_(0, numbers, source)


def _squares(rows: State, boards: Tensor, n: int) -> Tensor:
    """float64 [n]: the squared length of what rows of each of n boards hold together."""
    each = torch.stack([part.float().square().sum(1) for part in rows.parts]).sum(0).double()
    return each.new_zeros(n).index_add_(0, boards, each)
