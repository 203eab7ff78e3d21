# %% [markdown]
# # 8.2 Cards: what a model is for, and what is in the data
#
# A file of weights comes without a word. Who made it, from what, for whom, how well does it do on people like me, and what must it not be used for? A **model card** says so on a page; a **data sheet** does it for the data. They are easy to write and easy to lie with. So this lecture generates them: words are written by a person, and every number is
# counted, or read from the file of the experiment that measured it.
#
# **What you will learn**
#
# - the parts of a model card and of a data sheet, and whom each is for;
# - to generate both, with numbers that can be traced to their files;
# - why an average alone is refused;
# - how a card that has gone stale is found, and what no card can show.
#
# **Before you start**: [0.1](../00_foundations/trust.ipynb), where this page stands in the pipeline, and [0.2](../00_foundations/learning.ipynb) on what a test number means. The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 15 minutes to read; {{ cpu_seconds }} to run.

# %%
from statistics import mean

import matplotlib.pyplot as plt
import torch

from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.impact import Measured, data_sheet, model_card
from tml_helpers.measured import result
from tml_helpers.models import SmallCNN, mnist_gan
from tml_helpers.plotting import COLOURS, use_style
from tml_helpers.training import fit, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
generator = seed_everything(seed())

# %% [markdown]
# ## The question: is 95 % good?
#
# [8.1](energy.ipynb) measured a small reader of digits, a student. Its accuracy is a little over 95 %. A post office might ask: which digits does it miss?

# %%
runs = list(result("impact")["runs"].values())
student = "student, a quarter as wide"
digits = [
    mean(run[student]["accuracy_by_digit"][digit] for run in runs)
    for digit in range(10)
]
claim("Overall 94 to 97 %", 0.94 < mean(digits) < 0.97)
claim("Best and worst digit: over 5 points apart", max(digits) - min(digits) > 0.05)

# %% tags=["hide-input", "fig-card-digits"] mystnb={"image": {"alt": "Ten bars of accuracy, one for each digit, from 85 to 100 percent, with a dot for each of five seeds, and a line at the mean: some digits lie at 98 percent, others at about 91."}}
figure, axis = plt.subplots(figsize=(6, 2.7))
axis.bar(range(10), [100 * share for share in digits], color=COLOURS["sky"])
for run in runs:
    shares = [100 * share for share in run[student]["accuracy_by_digit"]]
    axis.plot(range(10), shares, ".", color=COLOURS["blue"])
axis.axhline(100 * mean(digits), color="grey", linewidth=1)
axis.set(xlabel="digit", ylabel="read rightly (%)", ylim=(80, 100), xticks=range(10))
plt.show()

# %% [markdown]
# *One accuracy and ten.* Bars are means of five seeds, dots the seeds. For a post code the worst digit counts. For people the groups have names, and the gap has consequences: the study that made model cards known found error rates that differed by tens of points between groups behind one good average {cite}`buolamwini2018gender`.
#
# ## What stands on a card
#
# Mitchell and others {cite}`mitchell2019cards` propose: **details** (who, when, which kind); **intended use**, and what is out of scope; **factors**, that is groups and conditions under which it may differ; **metrics**, overall and by factor; **training and evaluation data**; **ethical considerations and caveats**. It is read by people who decide whether to use the model, by those who check, and by those whom it is about.
#
# `model_card` counts the details from the model, takes words from you, and numbers only as `Measured`: the name of a result file and where in it the number stands.

# %%
data = mnist("train").select(slice(3500))
reader = SmallCNN(width=4)
losses = fit(
    reader, data, epochs=2, learning_rate=2e-3, batch_size=64, generator=generator
)

# %%
path = ("runs", "seed 0", student)


def reader_card():
    return model_card(
        reader,
        data.images[:1],
        name="small reader of digits",
        intended_use="teaching: single handwritten digits, 28×28, centred",
        out_of_scope="cheques, post codes, anything that decides about somebody",
        trained_on="3,500 digits of MNIST, by a teacher: data card MNIST",
        evaluated_on="1,000 digits of MNIST that were not used",
        metrics={"read rightly": Measured("impact", (*path, "accuracy"))},
        by_group={
            f"of the {digit}s": Measured("impact", (*path, "accuracy_by_digit", digit))
            for digit in range(10)
        },
        caveats="one seed; writers of one country and time; no attack was tried",
    )


card = reader_card()

# %% tags=["nbval-ignore-output"]
reader_card()

# %% [markdown]
# Behind each number stands where it is from. Change the result file, and the card changes; type a number, and the card is refused.


# %%
def refused(**changes):
    """What is said where a card is made with these numbers."""
    words = dict.fromkeys(("name", "intended_use", "out_of_scope"), "x")
    words |= dict.fromkeys(("trained_on", "evaluated_on", "caveats"), "x")
    numbers = {"read rightly": Measured("impact", (*path, "accuracy"))}
    given = words | {"metrics": numbers, "by_group": numbers} | changes
    try:
        model_card(reader, data.images[:1], **given)
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


print(refused(metrics={"read rightly": 0.99}))
print(refused(by_group={}))
claim("A typed number is refused", "typed by hand" in refused(metrics={"right": 0.99}))
claim("An average alone is refused", "empty" in refused(by_group={}))
claim("A card with both is made", refused() == "")

# %% [markdown]
# ## What goes wrong: a card that lies
#
# The card above was made for a reader that I trained two minutes ago, with two epochs, and it quotes the numbers of another, trained for ten. Did you notice? Nothing on the page looks wrong. A digest ties the card to the *numbers of the model in front of you*, and so finds a card that was written for an older version. It does not tie the model to the *experiment*.

# %%
claim("The card belongs to this model", card.belongs_to(reader))
fit(reader, data, epochs=1, learning_rate=2e-3, batch_size=64, generator=generator)
claim("and no longer after one epoch more", not card.belongs_to(reader))

# %% [markdown]
# To close that gap, the experiment has to write the digest of what it measured into its result file, or the model has to be measured again by whoever reads the card. For weights that are shipped, that can be done. This book ships one set: a generator of digits.

# %%
gan = mnist_gan()
shares = [
    Measured("gan", ("share_of_each_digit_among_samples", digit)) for digit in range(10)
]

# %% tags=["nbval-ignore-output"]
model_card(
    gan.generator,
    torch.zeros(1, 64),
    name="mnist_gan, a generator of handwritten digits",
    intended_use="teaching: search among natural images, distillation without data",
    out_of_scope="making handwriting pass for somebody's",
    trained_on="MNIST's 60,000 training images, benchmarks/train_gan.py",
    evaluated_on="its own samples, by a reader of digits",
    metrics={
        "samples that a reader is over 90 % sure of": Measured(
            "gan", ("samples_called_with_confidence_above_0.9",)
        ),
        "the same for test images": Measured(
            "gan", ("test_images_called_with_confidence_above_0.9",)
        ),
        "training, CPU-seconds": Measured("gan", ("cpu_seconds",)),
    },
    by_group={f"share of {digit}s": share for digit, share in enumerate(shares)},
    caveats="some digits are made twice as often as others; writers were not asked",
)

# %%
claim(
    "Its shares are those of ten digits", abs(sum(s.value for s in shares) - 1) < 0.01
)
uneven = max(s.value for s in shares) / min(s.value for s in shares)
claim("The most frequent digit: 1.5 times the rarest, at least", uneven > 1.5)

# %% [markdown]
# That last number is what the card is for: nobody who only looks at samples sees that a 9 comes almost twice as often as a 6.
#
# ## A data sheet
#
# Gebru and others {cite}`gebru2021datasheets` ask the same of data: why were they collected, by whom, from whom, with whose leave; what is in them; what was done to them; what are they not for? Much of it only people know, and this book's [data cards](../../book/data_cards/index.md) say it in words. What can be counted should be counted, each time:

# %%
train, test = mnist("train"), mnist("test")

# %%
words = {
    "test_images": test.images,
    "test_labels": test.labels,
    "name": "MNIST, as this book's packages carry it",
    "origin": "forms for the US National Institute of Standards and Technology",
    "people": "high-school students and employees of the Census Bureau, without names",
    "not_for": "handwriting of other places and times; how hard a task is for people",
}
sheet = data_sheet(train.images, train.labels, **words)
counted = [row for _, rows in sheet.sections for row in rows]
claim(
    "No image is in both parts", ("test images that are in train, too", "0") in counted
)

# %% tags=["nbval-ignore-output"]
data_sheet(train.images, train.labels, **words)

# %%
doubled = data_sheet(
    torch.cat([train.images, test.images[:3]]),
    torch.cat([train.labels, test.labels[:3]]),
    **words,
)
shared = "| test images that are in train, too |"
claim(
    "Three test images slipped into training are found",
    f"{shared} 3 |" in doubled.markdown(),
)
claim("Another digest", doubled.digest != sheet.digest)

# %% [markdown]
# It counts doubles bit by bit. A copy that was cropped, or saved once more as JPEG, is not found, and those are the ones that happen ([7.2](../70_watermarking/radioactive_data.ipynb) is about such questions).
#
# ## How to judge a card honestly
#
# Not by whether all boxes are filled. Ask: does each number name the data, the size and the spread? Is there a group for which it was not measured, and does the card say so? Could the "out of scope" be held against anybody? Was the card written before the model was sold? As code, for this book's own file: is the difference between two digits larger than what the seeds move?

# %%
by_seed = [[run[student]["accuracy_by_digit"][d] for run in runs] for d in range(10)]
best, worst = digits.index(max(digits)), digits.index(min(digits))
apart = all(b > w for b, w in zip(by_seed[best], by_seed[worst], strict=True))
claim("Best beats worst digit under every seed", apart)

# %% [markdown]
# ## The card of cards
#
# | | |
# |---|---|
# | **goal** of who writes one | to inform; or to look as if |
# | **can be checked** | digest, counts, numbers with their files |
# | **cannot be checked** | intended use, origin, whether people were asked |
# | **out of scope** | what nobody measured. A card has no line for it, unless somebody writes "not measured" |
#
# ## Practice
#
# **Exercise 1** (10 minutes). *Not measured.* Write the `by_group` of a card for the reader with two groups that were not measured: left-handed writers, and pens with thin tips. `Measured` needs a file. How can the card say honestly that there is no number? Where would you write it?
#
# <details><summary>Hint: caveats</summary>
#
# The words of the card are free; the numbers are not.
#
# </details>

# %% tags=["hide-cell"]
# Solution: in the caveats, in words: that is what they are for. What nobody measured
# must not look like a number.
caveats = "not measured: left-handed writers, thin pens"
honest = model_card(
    reader,
    data.images[:1],
    name="reader",
    intended_use="teaching",
    out_of_scope="all else",
    trained_on="MNIST",
    evaluated_on="MNIST",
    metrics={"read rightly": Measured("impact", (*path, "accuracy"))},
    by_group={"of the 7s": Measured("impact", (*path, "accuracy_by_digit", 7))},
    caveats=caveats,
)
claim("The card says it", "not measured" in honest.markdown())

# %% [markdown]
# **Exercise 2** (15 minutes). *How many images for a group?* The test set has 100 images of each digit. Give the half-width of a 95 % interval for an accuracy of 95 % of one digit (normal approximation), and the number of images that it takes to tell 95 from 93 %.
#
# <details><summary>Hint: the standard error</summary>
#
# $\sqrt{p(1-p)/n}$; for a difference of two groups, the root of the sum of squares.
#
# </details>

# %% tags=["hide-cell"]
# Solution: ±4.3 points with 100 images; about 1,100 of each for a gap of two points.
# Groups are where test sets are small: say the interval.
half = 1.96 * (0.95 * 0.05 / 100) ** 0.5
claim("± 4.3 points", abs(100 * half - 4.27) < 0.01)
needed = (1.96 / 0.02) ** 2 * (0.95 * 0.05 + 0.93 * 0.07)
claim("About 1,100 of each", 1050 < needed < 1150)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A card says "accuracy 97.3 %". Which question comes first?
# + On which data, for whom, and how much would it move? :: A number without these says nothing.
# - How many layers? :: That stands under details and decides little.
# - Is 97.3 better than last year's model? :: Only on the same data.
# ? The digest on the card fits the model. What is shown?
# - That the numbers are true :: They may be another model's.
# + That the card was written for these weights :: Who measured what is another question.
# - That the model is safe :: No.
# ? Why does `model_card` refuse a typed number?
# - Typed numbers are less exact :: They may be quite exact.
# + A typed number cannot be traced, and does not change when the experiment is repeated :: A path into a result file can.
# - To save work :: It costs a little more.
# ? The sheet counts no test image in the training set. Are the two parts independent?
# - Yes :: The same writer may be in both, and so may a cropped copy.
# + No copy bit by bit is in both; more is not said :: Ask who wrote what.
# - No :: They may be.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** A page that anybody can read, numbers that anybody can trace, an average that can't stand alone.
#
# **Limitations.** A card is a promise without a judge. It says what was measured, not what matters. Words can't be checked by a program, and a card that nobody has to read changes nothing.
#
# **Software.** [Hugging Face](https://huggingface.co/docs/hub/model-cards) shows a model's README as its card; Google's Model Card Toolkit and Data Cards Playbook have forms. In this library: `impact.model_card` makes an `impact.ModelCard` of `impact.Measured`; `impact.data_sheet` makes an `impact.DataSheet`.
#
# ## What to take away
#
# Write the words yourself, and let no number be typed. Show groups before averages. Say "not measured". And look for the question that the card does not answer. Next: [an audit trail](audit_trail.ipynb).
