# SPDX-License-Identifier: Apache-2.0
"""What is read from the history of a fleet: windows, peaks, and the goals."""

from array import array
from dataclasses import dataclass
from itertools import accumulate

from bench.fleet_policies import Policy
from bench.fleet_simulation import Fleet, History, Span
from tedge_cert.hourly.schedule import DAY_S, HOUR_S

DAY_H = DAY_S // HOUR_S
OUTAGE_H, PARTITION_H = DAY_H, 10 * DAY_H
# After a trouble, the requests of so many hours are its aftermath.
AFTERMATH_H = 20 * DAY_H


@dataclass(frozen=True)
class Window:
    """The hours in which the middle half of the requests of a wave came."""

    begins: int
    ends: int
    mean: float
    peak: int
    whole_mean: float
    """of all the hours from the first request of the wave to its last"""

    @classmethod
    def of(cls, hours: "array[int]") -> "Window":
        """The window of a wave, `hours` being its requests by the hour."""
        sums = list(accumulate(hours))
        begins = next(hour for hour, so_far in enumerate(sums) if so_far >= sums[-1] / 4)
        ends = next(hour for hour, so_far in enumerate(sums) if so_far >= sums[-1] * 3 / 4) + 1
        busy = [hour for hour, count in enumerate(hours) if count]
        mean = sum(hours[begins:ends]) / (ends - begins)
        return cls(begins, ends, mean, max(hours), sums[-1] / (busy[-1] + 1 - busy[0]))


@dataclass(frozen=True)
class Story:
    """Three years of a fleet with a policy: nothing happens to one, and the worst to another."""

    name: str
    words: str
    windows: tuple[Window, ...]
    """of the fleet to which nothing happens"""
    busiest_minute: int
    """of those windows"""
    troubles: tuple[Span, Span]
    history: History
    """with an outage in the second wave, and a partition in the third"""

    @property
    def peak_to_mean(self) -> float:
        """Of the windows, the worst."""
        return max(each.peak / each.mean for each in self.windows)

    def surge(self, number: int) -> float:
        """The busiest hour after a trouble, in terms of the mean of that wave's window."""
        after = int(self.troubles[number].ends_s // HOUR_S)
        return max(self.history.hours[after : after + AFTERMATH_H]) / self.windows[number + 1].mean

    @property
    def refused(self) -> int:
        """How many requests were over the limit."""
        return sum(self.history.hours) - sum(self.history.served)


def tell(policy: type[Policy], devices: int) -> Story:
    """Let it happen twice; the troubles come when they do most harm."""
    calm = Fleet(policy(devices), devices).run()
    windows = tuple(Window.of(wave) for wave in calm.waves)
    troubles = (busiest(calm.waves[1], OUTAGE_H), busiest(calm.waves[2], PARTITION_H))
    minutes = (max(calm.minutes[each.begins * 60 : each.ends * 60]) for each in windows)
    history = Fleet(policy(devices), devices, *troubles).run()
    return Story(policy.name, policy.words, windows, max(minutes), troubles, history)


def busiest(hours: "array[int]", number: int) -> Span:
    """So many hours one after the other, with the most requests."""
    sums = [0, *accumulate(hours)]
    begins = max(range(len(hours) - number + 1), key=lambda hour: sums[hour + number] - sums[hour])
    return Span(begins * HOUR_S, (begins + number) * HOUR_S)


HEAD = (
    "policy",
    "busiest hour",
    "of the mean",
    "of the whole wave's mean",
    "busiest minute",
    "after the outage, of the mean",
    "last one back",
    "after the partition, of the mean",
    "last one back",
    "refused",
    "lost",
)
GOALS = ("goal", "", "<= 1.2", "", "", "<= 3", "<= 24 h", "", "", "", "0")


def row(story: Story) -> list[str]:
    """The figures of a policy; of the three waves, the worst."""
    windows, back = story.windows, [f"{each / HOUR_S:.0f} h" for each in story.history.back_s]
    return [
        story.name,
        f"{max(each.peak for each in windows):,}",
        f"{story.peak_to_mean:.2f}",
        f"{max(each.peak / each.whole_mean for each in windows):.2f}",
        f"{story.busiest_minute:,}",
        f"{story.surge(0):.1f}",
        back[0],
        f"{story.surge(1):.1f}",
        back[1],
        f"{story.refused:,}",
        f"{story.history.lost:,}",
    ]


def windows(story: Story) -> list[str]:
    """For each wave: mean and peak of its window, and how many days that is long."""
    return [story.name, *(f"{w.mean:,.0f} / {w.peak:,} / {(w.ends - w.begins) / DAY_H:.1f}" for w in story.windows)]
