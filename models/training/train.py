"""Train the net by the wall clock: the time left decides rate and size, on any machine.

python train.py --data DATA --encoder encoder.npz --work WORK --minutes 100
python train.py --data DATA --begin ../bgone-small-1.onnx --work WORK --minutes 75    # go on from a shipped net
    --teacher ../bgone-small-1.onnx    # and learn from what it says of a picture and its mirror image
"""

import argparse
import functools
import json
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from composites import Composer
from data import Cache, open_cache
from losses import matte_loss, taught
from net import Net
from pace import Pace
from unfold import read_net, unfold

ENCODER_SHARE = 0.3
WARM_UP = 0.03
WEIGHT_DECAY = 1e-2
GRADIENT_LIMIT = 5.0
BATCH = 8
SAVE_EVERY_S = 120.0
TELL_EVERY = 25
# The loader's process reads the stage from this file, so that a change reaches it at once.
STAGE_FILE = "stage"


@dataclass(frozen=True)
class Plan:
    """How one way of training goes.

    Attributes:
        peak_rate: Highest learning rate, of the decoder.
        sizes: (From this share of the time on, side lengths of the batches), all multiples of 32.
        average_decay: Of the moving average of the weights, for each step of ``BATCH`` pictures.
        frozen_blocks: So many of the encoder's first blocks stay as they are, and all norms keep their statistics.
    """

    peak_rate: float
    sizes: tuple[tuple[float, tuple[int, ...]], ...]
    average_decay: float
    frozen_blocks: int


ANEW = Plan(1.2e-3, ((0.0, (224, 224, 256)), (0.80, (320,))), 0.998, 0)
# What lines and textures look like is known by then; three quarters of an encoder's time go into its first blocks.
GO_ON = Plan(3e-4, ((0.0, (352, 384)), (0.5, (384,))), 0.99, 5)


@dataclass
class Progress:
    """What a checkpoint remembers besides weights."""

    steps: int = 0
    pictures: int = 0
    elapsed_s: float = 0.0
    loss: float = float("nan")


class Batches(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """Endless batches; batch ``n`` depends on the seed, ``n`` and the stage alone."""

    def __init__(self, work: Path, plan: Plan, seed: int, start: int) -> None:
        self.work, self.plan, self.seed, self.start = work, plan, seed, start

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Pictures uint8 (N, S, S, 3), alphas uint8 (N, S, S), trusts float32 (N,)."""
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        info = torch.utils.data.get_worker_info()
        first, stride = (info.id, info.num_workers) if info else (0, 1)
        composer = Composer(Cache(self.work / "cache"), "train")
        number = self.start + first
        while True:
            rng = np.random.default_rng((self.seed, number))
            sizes = self.plan.sizes[int((self.work / STAGE_FILE).read_text())][1]
            size = int(rng.choice(sizes))
            samples = [composer.compose(size, rng) for _ in range(BATCH)]
            yield (
                torch.from_numpy(np.stack([sample.picture for sample in samples])),
                torch.from_numpy(np.stack([sample.alpha for sample in samples])),
                torch.tensor([sample.trust for sample in samples], dtype=torch.float32),
            )
            number += stride


class Average:
    """Exponential moving average of all weights and statistics."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in net.state_dict().items()}

    @torch.no_grad()
    def follow(self, net: nn.Module, steps: int) -> None:
        decay = min(self.decay, (1 + steps) / (10 + steps))
        for name, value in net.state_dict().items():
            if value.dtype.is_floating_point:
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)


class Teacher:
    """A net that has learned; the mean of what it says of a picture and of its mirror image is better than either."""

    def __init__(self, net: Net, device: torch.device) -> None:
        self.net = net.to(device, memory_format=torch.channels_last).eval()

    @torch.no_grad()
    def opinion(self, x: Tensor) -> Tensor:
        """Mattes float32 (N, 1, H, W), 0..1, of pictures (N, 3, H, W), -1..1."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=has_bf16(x.device)):
            logits = self.net(x) + self.net(x.flip(3)).flip(3)
        return torch.sigmoid(logits.float() / 2)


def rate_at(plan: Plan, share: float) -> float:
    """Learning rate at ``share`` (0..1) of the time: warm-up, then half a cosine to nearly 0."""
    warm = min(1.0, (share + 1e-4) / WARM_UP)
    return plan.peak_rate * warm * (0.5 * (1 + math.cos(math.pi * min(share, 1.0))) + 0.002)


def stage_at(plan: Plan, share: float) -> int:
    """Index into the plan's sizes at ``share`` of the time."""
    return max(index for index, (start, _) in enumerate(plan.sizes) if share >= start)


def set_learning(net: Net, frozen_blocks: int) -> None:
    """Everything learns, or all but the encoder's first blocks and the norms' statistics."""
    net.train()
    if not frozen_blocks:
        return
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    for part in (net.encoder.stem, *net.encoder.blocks[:frozen_blocks]):
        part.requires_grad_(False)


def make_optimizer(net: Net) -> torch.optim.AdamW:
    """AdamW in four groups: encoder or decoder, weights or (undecayed) norms and biases."""
    groups = []
    for encoder in (True, False):
        for decays in (True, False):
            chosen = [
                value
                for name, value in net.named_parameters()
                if name.startswith("encoder.") == encoder and (value.ndim > 1) == decays and value.requires_grad
            ]
            groups.append({
                "params": chosen,
                "share": ENCODER_SHARE if encoder else 1.0,
                "weight_decay": WEIGHT_DECAY if decays else 0.0,
            })  # fmt: skip
    return torch.optim.AdamW(groups)


def save(path: Path, net: Net, average: Average, optimizer: torch.optim.AdamW, done: Progress) -> None:
    """Write a checkpoint aside, then rename it: a reader never sees half of one."""
    aside = path.with_suffix(".part")
    torch.save(
        {
            "net": net.state_dict(),
            "average": average.values,
            "optimizer": optimizer.state_dict(),
            "progress": vars(done),
        },
        aside,
    )
    os.replace(aside, path)


def train(net: Net, plan: Plan, work: Path, minutes: float, seed: int, threads: int, teaching: Net | None) -> None:
    """Train for ``minutes`` in all, over any number of calls; the checkpoint lies in ``work``."""
    torch.manual_seed(seed)
    pace = Pace(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net.to(device, memory_format=torch.channels_last)
    set_learning(net, plan.frozen_blocks)
    teacher = Teacher(teaching, device) if teaching else None
    average, optimizer, done = Average(net, plan.average_decay), make_optimizer(net), Progress()
    checkpoint = work / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        net.load_state_dict(state["net"])
        average.values = state["average"]
        optimizer.load_state_dict(state["optimizer"])
        done = Progress(**state["progress"])
        print(f"resumed at step {done.steps}, {done.elapsed_s / 60:.1f} min", flush=True)

    total_s = minutes * 60
    stage = stage_at(plan, done.elapsed_s / total_s)
    (work / STAGE_FILE).write_text(str(stage))
    # Forked, the loader would inherit locks of thread pools that have no threads there.
    batches = iter(
        DataLoader(
            Batches(work, plan, seed, done.steps),
            batch_size=None,
            num_workers=1,
            prefetch_factor=4,
            multiprocessing_context="spawn",
        )
    )
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    last_saved = last_told = time.monotonic()
    began = last_told - done.elapsed_s
    waited = 0.0
    with (work / "history.jsonl").open("a", encoding="utf-8") as history:
        while (share := (time.monotonic() - began) / total_s) < 1 and not stopped.is_set():
            if stage_at(plan, share) != stage:
                stage = stage_at(plan, share)
                (work / STAGE_FILE).write_text(str(stage))
            for group in optimizer.param_groups:
                group["lr"] = rate_at(plan, share) * group["share"]
            before = time.monotonic()
            pictures, alphas, trusts = next(batches)
            waited += time.monotonic() - before
            loss = step(net, optimizer, pictures.to(device), alphas.to(device), trusts.to(device), teacher)
            done.steps += 1
            done.pictures += len(pictures)
            done.loss = loss if math.isnan(done.loss) else 0.98 * done.loss + 0.02 * loss
            average.follow(net, done.steps)
            now = time.monotonic()
            pace.report(alphas.numel(), now - before)
            done.elapsed_s = now - began
            if done.steps % TELL_EVERY == 0:
                rate = TELL_EVERY * BATCH / (now - last_told)
                left = (total_s - done.elapsed_s) / 60
                line = {**vars(done), "rate": rate, "lr": rate_at(plan, share), "size": pictures.shape[1]}
                history.write(json.dumps(line) + "\n")
                history.flush()
                print(
                    f"step {done.steps} pictures {done.pictures} loss {done.loss:.3f} {rate:.1f}/s "
                    f"waited {waited / (now - last_told):.0%} {pace.chosen} threads "
                    f"{left:.1f} min left",
                    flush=True,
                )
                last_told, waited = now, 0.0
            if now - last_saved > SAVE_EVERY_S:
                save(checkpoint, net, average, optimizer, done)
                last_saved = now
    save(checkpoint, net, average, optimizer, done)
    ended = "stopped" if stopped.is_set() else "done"
    print(f"{ended}: {done.steps} steps, {done.pictures} pictures, {done.elapsed_s / 60:.1f} min")


@functools.cache
def has_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster here: 1.2 to 1.6 x fp32 on a CPU with avx512_bf16, a tenth of it on one with AVX2."""
    if device.type != "cpu":
        return True
    return "avx512_bf16" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")


def step(
    net: Net, optimizer: torch.optim.AdamW, pictures: Tensor, alphas: Tensor, trusts: Tensor, teacher: Teacher | None
) -> float:
    """One optimiser step on uint8 (N, S, S, 3) and (N, S, S); the loss before it."""
    x = ((pictures.float() - 127.5) / 127.5).permute(0, 3, 1, 2)  # NHWC memory is channels_last
    target = alphas.unsqueeze(1).float() / 255
    doubted = trusts < 1
    if teacher and doubted.any():
        target[doubted] = taught(target[doubted], teacher.opinion(x[doubted]), trusts[doubted])
    with torch.autocast(x.device.type, torch.bfloat16, enabled=has_bf16(x.device)):
        logits, sides = net.with_sides(x)
    loss = matte_loss(logits.float(), [side.float() for side in sides], target, trusts)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), GRADIENT_LIMIT)
    optimizer.step()
    return loss.item()


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the net; call again with the same --work to resume.")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of a manifest.tsv and its shards")
    begin = parser.add_mutually_exclusive_group(required=True)
    begin.add_argument("--encoder", type=Path, help="begin anew from this ImageNet encoder, .npz")
    begin.add_argument("--begin", type=Path, help="go on from this shipped net, .onnx")
    parser.add_argument("--teacher", type=Path, help="this shipped net is believed where labels are not, .onnx")
    parser.add_argument("--work", type=Path, required=True, help="folder for cache and checkpoints")
    parser.add_argument("--minutes", type=float, default=100, help="length of the whole training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    cache = open_cache(given.data, given.work)
    if given.begin:
        plan, net = GO_ON, unfold(given.begin, Composer(cache, "train"))
    else:
        plan, net = ANEW, Net()
        net.encoder.load_imagenet(given.encoder)
    teaching = read_net(given.teacher) if given.teacher else None
    train(net, plan, given.work, given.minutes, given.seed, given.threads, teaching)


if __name__ == "__main__":
    main()
