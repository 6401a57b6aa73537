"""Measures one section: learners' reads while the API is under attack."""

from contextlib import ExitStack
from itertools import product

from tests.attacks import ATTACKS, Attack, Target, attacking
from tests.bench.api import READS_PER_S, Round, Running, beside_a_worker, measured
from tests.bench.bench import Bench
from tests.bench.learners import Rows
from tests.bench.result import Figure, Result

COURSES = 30  # of the learner who attacks
WITHOUT = "none"


async def attacked(bench: Bench) -> Result:
    """As in the section before, learners read their course from one API process, which is attacked meanwhile.

    The attacks are those of the fault `under-attack`, from a process of its own on the same cores: 280 slow
    connections; 160 that read no answer, and live streams; odd requests and forged tokens, four at a time; the largest
    answers of a learner with 60,000 lessons, four at a time; lessons that do not exist. Rounds come in turn, and of
    each attack the one with the median p99 counts.
    """
    sizes = bench.sizes
    large = Rows(
        COURSES, lessons=sizes.attackers_lessons + 1, done=sizes.attackers_lessons, per_user=COURSES, users="large"
    )
    attacks: dict[str, Attack | None] = {WITHOUT: None} | {
        attack.__name__.replace("_", " "): attack for attack in ATTACKS
    }
    found: dict[str, list[Round]] = {name: [] for name in attacks}
    async with beside_a_worker(bench, large) as running:
        target = build_target(running, large)
        for _, (name, attack) in product(range(sizes.rounds), attacks.items()):
            with ExitStack() as stack:
                if attack:
                    stack.enter_context(attacking(attack, target))
                one = await measured(running, running.site.read, READS_PER_S, sizes.calls_s)
            bench.say(f"  {name}: p99 {one.p99:.1f} ms, {one.meanwhile}")
            found[name].append(one)
    result = Result(
        "HTTP API under attack", ("attack", "p50 ms", "p99 ms", "p99 / without", "p99 of the rounds", "meanwhile")
    )
    without = middle(found[WITHOUT]).p99
    for name, rounds in found.items():
        one, all = middle(rounds), ", ".join(f"{one.p99:.0f}" for one in rounds)
        result.rows.append((name, f"{one.p50:.1f}", f"{one.p99:.1f}", f"{one.p99 / without:.2f}", all, one.meanwhile))
        result.figures[f"attacked: {name}"] = Figure(one.p99 / without, f"p99 {one.p99:.1f} ms", one.meanwhile)
    return result


def build_target(running: Running, rows: Rows) -> Target:
    keys = [rows.key(number) for number in range(rows.rows)]
    return Target.of(running.site.caller.address, running.site.issuer, keys[0][0], [course for _, course in keys])


def middle(rounds: list[Round]) -> Round:
    """Returns the round with the median p99."""
    return sorted(rounds, key=lambda one: one.p99)[len(rounds) // 2]
