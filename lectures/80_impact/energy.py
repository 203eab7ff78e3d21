# %% [markdown]
# # 8.1 What it costs
#
# A trained model looks free: a file, and an answer in a blink. The bill comes elsewhere, in joules that nobody sees and that few papers report. This lecture measures them, or says honestly that it can't; adds up what this very book took to run; and asks which of the savings in its chapters are savings at all.
#
# **What you will learn**
#
# - to measure the energy of a piece of code, and to say how the number was had;
# - what is *not* in such a number;
# - what distillation, pruning and stopping early saved in this book's own recipes;
# - after how many answers a small model has paid for its training;
# - grams of CO₂ from joules, and why the place decides more than the model.
#
# **Before you start**: [0.1](../00_foundations/trust.ipynb), where this page stands in the pipeline, and [1.5](../10_distillation/the_bill.ipynb), which counts operations. The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 20 minutes to read; {{ cpu_seconds }} to run.

# %%
from statistics import mean, stdev

import matplotlib.pyplot as plt
import torch
from scipy.stats import t

from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.impact import measure
from tml_helpers.measured import result
from tml_helpers.models import SmallCNN
from tml_helpers.plotting import COLOURS, use_style
from tml_helpers.training import fit, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
generator = seed_everything(seed())

# %% [markdown]
# ## The question: what did that just take?
#
# Energy is power times time, $E = P \cdot t$: a joule is a watt for a second, and a kilowatt-hour is 3.6 million of them. Many processors count their own joules, in a file that Linux shows and often lets only the administrator read. Where it can't be read, somebody has to guess the watts.

# %% tags=["nbval-ignore-output"]
train = mnist("train").select(slice(2000))
with measure() as meter:
    model = SmallCNN(width=8)
    fit(model, train, epochs=3, learning_rate=3e-3, generator=generator)
print(meter.energy)

# %% [markdown]
# Read the whole line. `measure` says whether the number was *measured* by the counter or *estimated*, and what is in it. There are three ways, and they do not mean the same:
#
# | source | what it is | in the number | not in it |
# |---|---|---|---|
# | `"counter"` | the processor's own (RAPL), by package | all programs on that processor, and its idling | memory, mostly; GPU, disk, screen, cooling |
# | `"codecarbon"` | a library's: the counter if it can, else watts from a table {cite}`codecarbon` | processor, memory and GPU of this process | cooling |
# | `"model"` | CPU-seconds times watts of a core that are stated | this process | idling, memory, GPU, cooling |
#
# The default of the model is 4 W for a core, which is what CodeCarbon takes for a processor that is not in its table. It may be off by several times. But two pieces of code on one machine can be compared by it, for then the watts cancel.

# %%
energy = meter.energy
claim(
    "It says which source it used", energy.source in ("counter", "codecarbon", "model")
)
claim(
    "and whether that is an estimate", energy.estimated == (energy.source != "counter")
)
claim(
    "A kilowatt-hour is 3.6 million joules",
    abs(energy.joules / energy.kilowatt_hours / 3.6e6 - 1) < 1e-9,
)

# %%
with measure(source="model", watts_per_core=4) as low:
    sum(range(2_000_000))
with measure(source="model", watts_per_core=15) as high:
    sum(range(2_000_000))
by_hand = low.energy.cpu_seconds * 4
gap = abs(low.energy.joules - by_hand)
claim("By hand: watts times CPU-seconds", gap < 1e-9)
per_second = [one.joules / one.cpu_seconds for one in (low.energy, high.energy)]
claim(
    "A guess of 15 W makes 3.75 times as much of it",
    abs(per_second[1] / per_second[0] - 3.75) < 1e-6,
)

# %% [markdown]
# ## What three savings saved
#
# [Chapter 1](../10_distillation/response_based.ipynb) teaches a small network by a large one, prunes, and stops early. `benchmarks/impact.py` measured what each took, over five seeds, in pairs on one machine. The ratios below are of CPU-seconds, in which the watts cancel; intervals are over the seeds.

# %%
runs = list(result("impact")["runs"].values())
sources = {run["fifteen epochs"]["training"]["source"] for run in runs}
print(f"{len(runs)} seeds; joules from: {', '.join(sorted(sources))}")


def ratio(name, *path):
    """Mean and half-width of the 95 % interval of a row over the teacher's."""
    shares = []
    for run in runs:
        mine, teachers = run[name], run["fifteen epochs"]
        for step in path:
            mine, teachers = mine[step], teachers[step]
        shares.append(mine / teachers)
    return mean(shares), t.ppf(0.975, len(shares) - 1) * stdev(shares) / len(
        shares
    ) ** 0.5


training = "training", "cpu_seconds"
answering = "ten thousand answers", "cpu_seconds"
names = ["stopped early", "student, a quarter as wide", "pruned to a tenth"]

# %% tags=["nbval-ignore-output"]
print(f"{'':<28} {'accuracy':>9} {'training':>14} {'ten thousand answers':>22}")
for name in ["fifteen epochs", *names]:
    right = 100 * mean(run[name]["accuracy"] for run in runs)
    taught, answered = ratio(name, *training), ratio(name, *answering)
    print(
        f"{name:<28} {right:8.1f}% {taught[0]:8.2f} ± {taught[1]:.2f}"
        f" {answered[0]:15.2f} ± {answered[1]:.2f}"
    )

# %%
early, early_error = ratio("stopped early", *training)
claim("Stopping early took less training", early + early_error < 1)
small, small_error = ratio("student, a quarter as wide", *answering)
claim("The student's answers take under half", small + small_error < 0.5)
zeros, zeros_error = ratio("pruned to a tenth", *answering)
claim("A network of 90 % zeros saves nothing here", zeros - zeros_error > 0.8)

# %% tags=["hide-input", "fig-watt-savings"] mystnb={"image": {"alt": "Two panels of three bars with intervals, relative to the network that was trained for fifteen epochs. Training: stopped early about a half, the student about a quarter on top of its teacher, pruning next to nothing. Ten thousand answers: stopped early about 1, the student under a third, pruned about 1."}}
figure, axes = plt.subplots(1, 2, figsize=(7, 2.4), sharey=True)
for axis, path, title in zip(
    axes, (training, answering), ("training", "ten thousand answers"), strict=True
):
    found = [ratio(name, *path) for name in names]
    axis.barh(
        names, [f[0] for f in found], xerr=[f[1] for f in found], color=COLOURS["blue"]
    )
    axis.axvline(1, color="grey", linewidth=1)
    axis.set(title=title, xlabel="relative to fifteen epochs")
axes[0].invert_yaxis()
plt.show()

# %% [markdown]
# *CPU-seconds, relative to the network that was trained to the end.* Three kinds of saving. Stopping early saves once, at training; here, where nothing overfits, it costs a point of accuracy. The student's training comes *on top of* the teacher's, and pays with each answer. Pruning saves bytes; on this processor a zero takes as long to multiply as any number ([1.5](../10_distillation/the_bill.ipynb)).
#
# ## When does the small one pay?
#
# Let the student's training take $E_s$ joules, and an answer of teacher and student $a_t$ and $a_s$. The training is paid for after
#
# $$
# n = \frac{E_s}{a_t - a_s}
# $$ (eq-watt-break)
#
# answers. In words: what was spent once, over what is saved each time. (The teacher exists already; if it was trained only to teach, its joules belong to $E_s$, too.)


# %%
def break_even(spent, before, after):
    """How many answers pay for what was spent; infinite where none does."""
    return spent / (before - after) if before > after else float("inf")


pays = []
for run in runs:
    big, little = run["fifteen epochs"], run["student, a quarter as wide"]
    each = [
        row["ten thousand answers"]["cpu_seconds"] / 10_000 for row in (big, little)
    ]
    pays.append(break_even(little["training"]["cpu_seconds"], *each))
claim("It pays within a million answers, under each seed", max(pays) < 1e6)
claim("and not before a thousand", min(pays) > 1e3)

# %% [markdown]
# So the student is a saving for a service that answers millions, and a waste for a model that is asked a hundred times. Whoever reports the saving of an answer should report how many answers there will be. And there is a **rebound**: what becomes cheap is used more, so that a saving of one half may end in using more than before. No measurement of a program can show that.
#
# ## From joules to grams
#
# What a joule gives off depends on who makes the electricity: the grid's **carbon intensity**, in grams of CO₂ equivalent for a kilowatt-hour. These are means of the year 2021, from the French ministry's [key figures on climate](https://www.statistiques.developpement-durable.gouv.fr/edition-numerique/chiffres-cles-du-climat-2023/en/8-sectorial-focus-electricity--transport) (edition of 2023, after the International Energy Agency):

# %%
INTENSITY = {"Sweden": 34, "France": 60, "EU": 264, "Germany": 384, "Poland": 748}
one_hour = {place: energy.carbon(grams_per_kwh=g) for place, g in INTENSITY.items()}
place = one_hour["Poland"] / one_hour["Sweden"]
claim(
    "The same training: 22 times as much in one country as in another", 21 < place < 23
)
claim("More than the student saved", place > 1 / small)

# %% [markdown]
# Means of a year hide that the wind blows at night and not in the evening; and what *your* use adds may come from another power station than the mean. Where and when to run is a saving of its own, and for large models a large one {cite}`patterson2021carbon`.
#
# ## A famous number
#
# "Training a single AI model can emit as much carbon as five cars in their lifetimes": so the headlines of June 2019. The paper {cite}`strubell2019energy` said it of one case, a *search* over thousands of network designs; of training one BERT it said about what a flight across America and back takes. Two years later people from the company that had run that search recalculated it from their own records {cite}`patterson2021carbon`, and warned that estimates after the
# fact go far astray, because network, machine and place multiply. Both sides agree on the remedy: let papers report what they measured.
#
# ## The bill of this book
#
# All pages of this book are executed before they are committed, and their CPU-seconds are kept. So:

# %% tags=["nbval-ignore-output"]
pages = result("notebooks")["notebooks"]
seconds = sum(page["cpu_seconds"] for page in pages.values())
kwh = 4 * seconds / 3.6e6  # the model's watts
print(f"{len(pages)} pages, {seconds / 60:.0f} CPU-minutes, {1000 * kwh:.1f} Wh each")

# %%
claim("One execution of all pages: under 10 Wh, by the model", 1000 * kwh < 10)

# %% [markdown]
# That is less than a phone's battery holds. It is also not the bill: the pages were executed some hundreds of times while they were written, the benchmarks took hours, and every change runs all tests anew. The number that is easy to give is the smallest one; a paper's, too.
#
# ## What is in no counter
#
# - **Making the machine.** Chips, boards and buildings cost energy and metals before the first joule is counted; over the life of a machine that is little used it can be the larger part.
# - **Cooling and losses.** A data centre takes more than its machines do, by a factor that its owner may publish: its PUE.
# - **Water**, which cools, and is missing elsewhere.
# - **Failed runs**, searches, tests: the history of the model, which no paper counts.
# - **Everybody's answers.** A model that is used by millions spends most where it answers.
#
# ## The card: what a report of energy owes
#
# | | |
# |---|---|
# | **source** | counter, library or model; with the watts, if they were assumed |
# | **boundary** | which parts of which machines, idling or not, cooling or not |
# | **work** | training, search, answers: how many of each |
# | **place and date** | of the grid's intensity, and where the number is from |
# | **spread** | over runs; a single measurement on a busy machine says little |
#
# ## What goes wrong
#
# A counter is of the whole processor, and counts your neighbours' work; it comes round after some hours, and two readings can't tell how often; children that were not waited for are in no CPU-second.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *The neighbour.* Measure a pause of half a second, `time.sleep(0.5)`, by the model and, if your machine has one, by the counter. Why do they differ so much? Which of the two is your program's?
#
# <details><summary>Hint: what runs while you sleep</summary>
#
# The processor idles, and other programs work.
#
# </details>

# %% tags=["hide-cell"]
# Solution: the model says next to nothing, for the program did nothing. The counter
# goes on: idling and neighbours. Neither is wrong; they answer two questions.
import time

with measure(source="model") as pause:
    time.sleep(0.5)
claim(
    "Sleeping takes under a tenth of the CPU-time of working",
    pause.energy.cpu_seconds < 0.05,
)
claim("but half a second", pause.energy.seconds > 0.45)

# %% [markdown]
# **Exercise 2** (15 minutes). *Whose joules?* A service distils its model anew each week and gives 50,000 answers in that week. Is the student a saving? Take the numbers of the result file, and find the number of answers a week from which on it is.
#
# <details><summary>Hint: one week</summary>
#
# A week's joules are one training and the answers; compare with answering by the teacher.
#
# </details>

# %% tags=["hide-cell"]
# Solution: the break-even number again, now each week: some tens of thousands. With
# 50,000 answers the student pays, by little. With fewer, keep the teacher.
claim("All seeds agree whether it pays at a million a week", all(n < 1e6 for n in pays))
claim("and whether it pays at a thousand", all(n > 1e3 for n in pays))

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A paper reports "0.3 kWh" for its training. What is missing first?
# - The grams :: They follow from place and date.
# + How it was measured, and what is in it :: Counter or guess, one run or all, with or without the machine's idling.
# - The accuracy :: It matters, and it is another question.
# ? Pruning set 90 % of the weights to zero. Why did answers not get cheaper?
# - The pruned network answers worse :: It answers about as well.
# + A dense multiplication multiplies zeros, too :: Only a program or a chip that skips them saves.
# - The benchmark was too short :: The interval says how sure it is.
# ? A student saves three quarters of each answer. Is it a saving?
# + That depends on how many answers there will be :: And on whether more are asked because they are cheap.
# - Yes :: Its training has to be paid first.
# - No, since the teacher had to be trained :: If it existed anyway, it need not be counted.
# ? Two ways to train are compared on one machine by CPU-seconds times assumed watts. What can be said?
# - Nothing, as the watts are a guess :: In a ratio they cancel.
# + Their ratio, if both use the processor in the same way :: The joules themselves remain a guess.
# - Their joules :: Not without a counter.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** One line measures, and says how. Ratios in pairs need no watts.
#
# **Limitations.** No joule was measured on the machine of this page, unless the line above says so; the watts are a guess, and the grams are another machine's and another year's. Answers of small networks on a quiet processor say little about a data centre.
#
# **Software.** [CodeCarbon](https://github.com/mlco2/codecarbon) follows a program and its GPU; it, too, falls back on a table, and says so in its log: read it. Kepler and Scaphandre share a server's joules out among its programs. In this library: `impact.measure`, which makes an `impact.Meter`; `impact.Energy`, `impact.Source` and `impact.CounterWarning`.
#
# ## What to take away
#
# Say how you know. Count training and answers. A saving is one after so many answers, and not before. The place decides more than the model. Next: [cards](cards.ipynb).
