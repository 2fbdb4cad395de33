"""Made-up task families: what the scoring weights are set on, and what the honesty tests ask about.

None of them is among the tasks that the project ships. Words are drawn with a long tail (rank r with weight 1/r), so
that a test text holds words that no example showed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

TOPICS: Mapping[str, str] = {
    "cooking": """recipe oven bake simmer flour butter sauce onion garlic roast dough kitchen pan spice boil stew knife
    pastry yeast broth grill whisk marinade dessert soup noodle vinegar basil chef skillet casserole salt fry cookie
    caramel dumpling curry lemon cheese pepper""",
    "sports": """match team goal coach stadium league player score tournament referee racket sprint champion season
    medal athlete penalty striker relay marathon basketball tennis hockey defender cup training whistle jersey
    quarterback wrestling rowing swimmer javelin hurdle innings wicket boxing puck dribble fencing""",
    "medicine": """patient doctor dose symptom clinic surgery fever tablet diagnosis nurse vaccine infection therapy
    blood pressure rash allergy antibiotic hospital prescription chronic pulse asthma insulin wound lung fracture
    kidney migraine stroke scan virus cough tumor heart injection bandage ulcer liver thyroid""",
    "travel": """flight hotel passport luggage beach train ticket itinerary airport visa tour museum island cruise
    hostel backpack boarding resort map guidebook border ferry souvenir sightseeing campsite customs reservation
    journey departure layover harbor landmark tourist village excursion coast valley trail tram castle""",
    "finance": """loan bank interest stock bond mortgage budget invoice tax investor dividend credit audit currency
    portfolio pension asset debt inflation broker ledger payment deposit fund equity revenue hedge fiscal yield
    insurance savings bankruptcy treasury lender collateral surplus deficit rebate premium wealth""",
    "gardening": """soil seed pruning compost tulip watering greenhouse lawn fertilizer hedge blossom rose weed trowel
    planting shrub orchard mulch bulb perennial sapling tomato vine pest rake fern root nursery herb daffodil spade
    ivy lavender harvest pond moss pruner petal bush sprout""",
}
MOODS: Mapping[str, str] = {
    "positive": "love great superb delighted charming smooth recommend crisp generous lovely quick thrilled elegant",
    "negative": "hate awful broken late rude leaking refund scratchy boring noisy crashed stale flimsy disgusting",
    "neutral": "arrived package average ordinary okay standard typical medium shipped tuesday measured listed grey",
}
_SMALL_TALK_TEXT = """today really quite people somebody new old simple small large good time week question note report
about several another early first local public tool system program general different project group important"""
_SMALL_TALK = _SMALL_TALK_TEXT.split()
_PLACES = ["Arden", "Brookfield", "Calder", "Dunmore", "Elsford", "Fenwick", "Grantley", "Harwich", "Ilford", "Jarrow"]
_PEOPLE = ["Mara Voss", "Ivo Lind", "Tessa Quill", "Oren Pike", "Lena Marsh", "Hugo Brand", "Nadia Frost", "Emil Stone"]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One example: the input fields and the right answer."""

    inputs: Mapping[str, str]
    answer: str

    @property
    def text(self) -> str:
        return "\n".join(self.inputs.values())


@dataclass(frozen=True, kw_only=True)
class Family:
    """A task: its instruction, labels (empty for free answers), the output field and items to train and to test on."""

    name: str
    instruction: str
    output: str
    labels: tuple[str, ...]
    train: Sequence[Item]
    test: Sequence[Item]
    guide: Mapping[str, str]

    def guided(self, shift: int = 0, count: int = 6) -> str:
        """The instruction with a guide of `count` words a label: true, or false by labels rotated by `shift`."""
        lines = [
            f"- {self.labels[(place + shift) % len(self.labels)]}: {', '.join(self.guide[label].split()[:count])}"
            for place, label in enumerate(self.labels)
        ]
        return f"{self.instruction}\n\nGuide:\n" + "\n".join(lines)


def _draw(random: Random, words: Sequence[str], count: int) -> list[str]:
    weights = list(accumulate(1 / (rank + 3) for rank in range(len(words))))
    return random.choices(words, cum_weights=weights, k=count)


def _topic_text(random: Random, words: Sequence[str], others: Sequence[str], name: str, telling: int) -> str:
    found = _draw(random, words, telling) + random.choices(_SMALL_TALK, k=3)
    if random.random() < 0.25:
        found += [random.choice(others)]
    if name and random.random() < 0.2:
        found.append(name)
    random.shuffle(found)
    return " ".join(dict.fromkeys(found)) + "."


def topics(seed: int, *, coded: bool = False, telling: int = 2, size: int = 300) -> Family:
    """Six topics by name, or behind codes that no reader can know before it has learnt them."""
    random = Random(f"topics {seed} {telling}")
    lists = {label: words.split() for label, words in TOPICS.items()}
    everything = [word for words in lists.values() for word in words]
    names = {label: f"Q{place}" if coded else label for place, label in enumerate(lists, start=1)}
    items: list[Item] = []
    for _ in range(2 * size):
        label = random.choice(list(lists))
        text = _topic_text(random, lists[label], everything, "" if coded else label, telling)
        given = random.choice(list(lists)) if random.random() < 0.03 else label
        items.append(Item(inputs={"message": text}, answer=names[given]))
    return Family(
        name="codes" if coded else f"topics{telling}", instruction="Find the shelf for the message.", output="shelf",
        labels=tuple(names.values()), train=items[:size], test=items[size:],
        guide={names[label]: words for label, words in TOPICS.items()},
    )  # fmt: skip


def moods(seed: int, size: int = 300) -> Family:
    """Three moods of short remarks; half of the telling words are ones that no reader knows beforehand."""
    random = Random(f"moods {seed}")
    lists = {label: words.split() for label, words in MOODS.items()}
    everything = [word for words in lists.values() for word in words]
    items = [
        Item(inputs={"remark": _topic_text(random, lists[label], everything, "", 2)}, answer=label)
        for label in random.choices(list(lists), k=2 * size)
    ]
    return Family(
        name="moods", instruction="Tell the mood of the remark.", output="mood", labels=tuple(lists),
        train=items[:size], test=items[size:], guide=MOODS,
    )  # fmt: skip


def measures(seed: int, size: int = 200) -> Family:
    """Three kinds of ore by four numbers in a text."""
    random = Random(f"measures {seed}")
    centres = {"alpha": (2.0, 7.0, 1.0, 4.0), "beta": (3.0, 5.5, 2.5, 4.5), "gamma": (4.5, 6.0, 2.0, 6.0)}
    items: list[Item] = []
    for label in random.choices(list(centres), k=2 * size):
        values = [random.gauss(value, 0.7) for value in centres[label]]
        named = zip(("ph", "mass", "depth", "hue"), values, strict=True)
        text = ", ".join(f"{name}={value:.1f}" for name, value in named)
        items.append(Item(inputs={"sample": text}, answer=label))
    return Family(
        name="measures", instruction="Name the ore.", output="ore", labels=tuple(centres),
        train=items[:size], test=items[size:], guide=dict.fromkeys(centres, "ore"),
    )  # fmt: skip


def facts(seed: int, size: int = 120) -> Family:
    """Questions about a passage of six sentences; the answer is a short span of it."""
    random = Random(f"facts {seed}")
    items: list[Item] = []
    for _ in range(2 * size):
        place, other = random.sample(_PLACES, 2)
        person = random.choice(_PEOPLE)
        year, count = random.randint(1820, 1990), random.randint(12, 900)
        fall, colour = random.randint(2, 60), random.choice(["dull green", "pale blue", "dark red", "a warm grey"])
        # Half of the questions use other words than the passage.
        plain = random.random() < 0.5
        said = [
            (
                f"The bridge of {place} was finished in {year}.",
                f"When was the bridge {'finished' if plain else 'completed'}?",
                str(year),
            ),
            (
                f"The bridge was designed by {person} after a flood.",
                "Who designed the bridge?" if plain else "Who was the architect?",
                person,
            ),
            (
                f"The stone came from quarries near {other}.",
                "Where did the stone come from?" if plain else "Where was the material mined?",
                other,
            ),
            (
                f"About {count} workers lived beside the river.",
                "How many workers lived beside the river?" if plain else "How large was the crew?",
                str(count),
            ),
            (f"The toll fell by {fall} percent.", "By how much did the toll fall?", f"{fall} percent"),
            (f"It is painted in {colour} every spring.", "What paint is put on it?", colour),
        ]
        _, question, answer = random.choice(said)
        random.shuffle(said)
        passage = " ".join(sentence for sentence, _, _ in said)
        items.append(Item(inputs={"passage": passage, "question": question}, answer=answer))
    return Family(
        name="facts", instruction="Answer the question from the passage.", output="answer", labels=(),
        train=items[:size], test=items[size:], guide={},
    )  # fmt: skip
