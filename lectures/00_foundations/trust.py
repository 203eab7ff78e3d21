# %% [markdown]
# # 0.1 What trust means
#
# A gate at an airport compares a traveller's face with the photograph in the passport, and opens or stays shut. It is right 99 times in 100, says its maker. Would you trust it? That depends on who you are.
# The traveller whom it never recognises, the officer who is blamed, the stranger with somebody else's passport and the minister who bought a thousand gates ask four different questions, and the number 99 answers none of them. This book
# is about such questions. This first lecture sorts them.
#
# **What you will learn**
#
# - what is asked of a model beyond accuracy: security, privacy, fairness, interpretability, and somebody who answers for it;
# - the pipeline from data to a decision as one picture, with the places where it can be attacked or fail by itself;
# - confidentiality, integrity and availability, each broken once in a few lines;
# - to write down a threat model: goal, knowledge, capability, queries;
# - to take an application apart, as the essay H0 will ask of you.
#
# **Before you start**: nothing but a little Python. The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 20 minutes to read; {{ cpu_seconds }} to run.

# %%
import matplotlib.pyplot as plt
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F

from tml_helpers.attacks import fgsm, square
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.models import SmallCNN
from tml_helpers.plotting import COLOURS, show_images, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core

# %% [markdown]
# ## The question: trust in what?
#
# A **model** is a function whose numbers were not written but learnt from examples: a photograph goes in, an answer comes out. **Accuracy** is the share of new examples on which the answer is right. It is an average, over
# examples like those of the test, in a world in which nobody wants the model to be wrong. Each of these three conditions can fail.
#
# | question | what it asks | where it fails |
# |---|---|---|
# | **security** | Is the answer right although somebody wants it to be wrong? | somebody chooses the input, or some of the training data |
# | **privacy** | What do the model and its answers tell about the people in the data? | an answer is surer for a face that was trained on |
# | **fairness** | Whom does it fail, and is that the same for all groups? | an average of 99 % may be 99.5 and 93 |
# | **interpretability** | Why did it say that, in words that a person can check? | it is right for a reason that will be gone tomorrow |
# | **accountability** | Who decided that it decides, and what can the one who was wronged do? | nobody wrote down which model it was |
#
# None of these follows from another, and some pull against each other: training for robust answers costs accuracy, noise that protects privacy is paid for by the rare, and an explanation tells an attacker something, too.
#
# ## One picture
#
# A decision has a long way behind it. Somebody collected data, somebody labelled them, a program was trained, sold, installed, fed by a camera; and its answer meant something only because an office had decided what to do with it. Each step can be attacked, and
# each can go wrong without any attacker. The numbers are this book's chapters.

# %% tags=["hide-input", "fig-trust-pipeline"] mystnb={"image": {"alt": "Six boxes in two rows, joined by arrows: data, training, model above; below, from right to left, input and answer, decision, and a person whose life makes new data. Beside each box stands in orange what can happen there and the chapter: data: labels changed, backdoors planted, chapter 3; unfair records, chapter 5. Training: memory of single people, chapter 6; energy, chapter 8. Model: copied or stolen, chapter 6; marked, chapter 7; made smaller, chapter 1. Input and answer: adversarial examples, chapter 2; questions that leak, chapter 6. Decision: unequal errors, chapter 5; no reason given, chapter 4. Person: nobody answers, chapter 8."}}
steps = {
    "data": (0, 1, "labels changed: 3\nbackdoors: 3\nunfair records: 5"),
    "training": (1, 1, "remembers people: 6\nenergy: 8"),
    "model": (2, 1, "copied, stolen: 6\nmarked: 7\nmade smaller: 1"),
    "input and answer": (2, 0, "adversarial examples: 2\nanswers that leak: 6"),
    "decision": (1, 0, "unequal errors: 5\nno reason given: 4"),
    "a person": (0, 0, "nobody answers: 8"),
}
figure, axis = plt.subplots(figsize=(7, 3.9))
for name, (column, row, dangers) in steps.items():
    x, y = 2.5 * column, 2.1 * row
    box = plt.Rectangle((x, y), 1.7, 0.7, facecolor="white", edgecolor=COLOURS["blue"])
    axis.add_patch(box)
    axis.text(x + 0.85, y + 0.35, name, ha="center", va="center")
    axis.text(
        x + 0.85, y - 0.15, dangers, ha="center", va="top", color=COLOURS["orange"]
    )
arrow = {"arrowstyle": "->", "color": COLOURS["blue"]}
for tip, tail in (
    ((2.45, 2.45), (1.75, 2.45)),
    ((4.95, 2.45), (4.25, 2.45)),
    ((4.25, 0.35), (4.95, 0.35)),
    ((1.75, 0.35), (2.45, 0.35)),
):
    axis.annotate("", tip, tail, arrowprops=arrow)
bent = {**arrow, "connectionstyle": "arc3,rad=-0.4"}
axis.annotate("", (6.75, 0.5), (6.75, 2.3), arrowprops=bent)
axis.annotate("", (-0.05, 2.3), (-0.05, 0.5), arrowprops=bent)
axis.set(xlim=(-0.85, 7.55), ylim=(-0.75, 2.85))
axis.axis("off")
plt.show()

# %% [markdown]
# *The pipeline, and what can happen at each step. Numbers are chapters.* Follow the arrow on the left: the person about whom was decided lives on, and what becomes of them is tomorrow's data. A loan that was refused is never paid back, and so the refusal looks right.
#
# Read it as a table of contents. Training data can be poisoned ([chapter 3](../30_poisoning/labels.ipynb)); inputs can be chosen ([chapter 2](../20_adversarial/linear_explanation.ipynb)); models leak what they saw, and can be copied ([chapter 6](../60_privacy/membership_inference.ipynb)); owners can mark them ([chapter 7](../70_watermarking/models.ipynb));
# they treat groups differently ([chapter 5](../50_fairness/definitions.ipynb)), give no reasons ([chapter 4](../40_interpretability/why_explain.ipynb)), are too large for the device that needs them ([chapter 1](../10_distillation/response_based.ipynb)), and somebody has to answer for all of it ([chapter 8](../80_impact/energy.ipynb)).
#
# ## Three letters that security people use
#
# An attack on an information system breaks its **confidentiality** (somebody learns what they should not), its **integrity** (something is changed and nobody notices) or its **availability** (it is of no use when it is needed). The triad fits models, too. We break each once, on a small reader of handwritten digits
# ([data card](../../book/data_cards/mnist.md)) that answers only when it is sure: if its largest probability is under 0.9, it calls a human.

# %%
train, test = mnist("train"), mnist("test")
train, test = train.select(slice(300)), test.select(slice(500))
generator = seed_everything(seed())
model = SmallCNN(width=8)
fit(model, train, epochs=40, learning_rate=2e-3, batch_size=64, generator=generator)
claim("The reader is right on over 80 % of new digits", accuracy(model, test) > 0.8)

# %% [markdown]
# The reader learnt from 300 digits only, so that it is good and not perfect.
#
# **Confidentiality.** Somebody has a digit and wants to know whether it was among the 300. They look at the loss, $-\log p_y$, where $p_y$ is the probability of the true class: small if the reader is sure of the right answer.


# %%
def losses(model, data):
    """−log of the probability of the true class, for each image."""
    return F.cross_entropy(predict(model, data.images), data.labels, reduction="none")


members, others = losses(model, train), losses(model, test)
inside = torch.cat([torch.ones(len(members)), torch.zeros(len(others))])
auc = roc_auc_score(inside, -torch.cat([members, others]))
claim("A member's loss is the smaller one in over 54 % of pairs", auc > 0.54)

# %% [markdown]
# The claim in words: draw one of the 300 and one new digit; the member has the smaller loss more often than a coin would say. For handwritten digits nobody minds. For the records of a clinic, *to be in the data* is the secret. [6.3](../60_privacy/membership_inference.ipynb) makes a real attack of it.
#
# **Integrity.** Somebody changes each pixel by at most $\varepsilon = 0.15$ of the way from black to white, in the direction in which the loss grows: this is the fast gradient sign method, of which [2.1](../20_adversarial/linear_explanation.ipynb) tells everything. Beside it, a change of the same size by chance.

# %%
images, labels = test.images, test.labels
chosen = fgsm(model, images, labels, epsilon=0.15)
coins = torch.randint(2, images.shape, generator=generator) * 2 - 1  # −1 or 1 each
by_chance = (images + 0.15 * coins).clamp(0, 1)


def wrong(inputs):
    """The share of inputs that are read wrongly."""
    return (predict(model, inputs).argmax(1) != labels).float().mean().item()


claim("Chosen changes fool it on over 20 % more", wrong(chosen) - wrong(images) > 0.2)
claim("Chance on under 10 % more", wrong(by_chance) - wrong(images) < 0.1)

# %% [markdown]
# **Availability.** The reader calls a human when it is not sure. An attacker need not make it *wrong*: it is enough to make it unsure, and the queue at the gate does the rest. A smaller change does: four steps of at most $\varepsilon = 0.08$ in all, each down the slope of $\sum_k p_k^2$, which is 1 for an answer without doubt.


# %%
def unsure(inputs):
    """The share of inputs for which a human is called."""
    sureness = predict(model, inputs).softmax(1).max(1).values
    return (sureness < 0.9).float().mean().item()


def hesitant(inputs, epsilon, steps=4):
    """Inputs within epsilon for which the model is as unsure as these steps make it."""
    changed = inputs.clone()
    for _ in range(steps):
        changed.requires_grad_(True)
        sureness = model(changed).softmax(1).square().sum()
        (slope,) = torch.autograd.grad(sureness, changed)
        changed = changed.detach() - epsilon / 3 * slope.sign()
        nearest = (changed - inputs).clamp(-epsilon, epsilon)
        changed = (inputs + nearest).clamp(0, 1)
    return changed


slight = hesitant(images, 0.08)
claim("Humans are called at least twice as often", unsure(slight) > 2 * unsure(images))

# %% tags=["hide-input", "fig-trust-triad"] mystnb={"image": {"alt": "Three rows of six digits: as they are, with chosen changes of 0.08, with chosen changes of 0.15. The changed ones look grainy, and every digit can be read."}}
rows = torch.cat([images[:48:8], slight[:48:8], chosen[:48:8]])
said = predict(model, rows).softmax(1).max(1)
titles = [
    f"{digit}" if sure >= 0.9 else "calls"
    for digit, sure in zip(said.indices.tolist(), said.values.tolist(), strict=True)
]
show_images(rows, titles, columns=6)
plt.show()

# %% [markdown]
# *Six digits as they are, with $\varepsilon = 0.08$ and with $\varepsilon = 0.15$; above each what the reader says, or that it calls a human.* You read all of them. In the second row sure answers become calls, or wrong; in the third it says wrong digits and is sure of them. Six digits are too few to count by: the claims count 500.
#
# ## Who attacks, and how: the threat model
#
# "The reader can be fooled" says nothing yet. By whom? A **threat model** is the answer in four lines: the attacker's **goal**, **knowledge**, **capability** and number of **queries**. Every attack and every defence in this book stands under such a card, for a defence that holds against one attacker may be nothing against the next.
#
# - **White box**: the attacker has the model, its weights and its gradients. That is the honest case to plan for.
# - **Grey box**: some of it: the kind of network, part of the data, or which defence is used.
# - **Black box**: answers only, and perhaps few of them.

# %%
ThreatModel(
    goal="any digit but the true one",
    knowledge="white box",
    capability="each pixel moves by at most 0.15, within [0, 1]",
    out_of_scope="the training data; changes that people would notice",
)

# %%
ThreatModel(
    goal="any digit but the true one",
    knowledge="grey box",
    capability="each pixel moves by at most 0.15; trains a reader of their own",
    queries=0,
    out_of_scope="the true reader's weights",
)

# %%
ThreatModel(
    goal="any digit but the true one",
    knowledge="black box",
    capability="each pixel moves by at most 0.15; sees the reader's scores",
    queries=200,
    out_of_scope="a gate that notices 200 similar faces in a row",
)

# %% [markdown]
# The capability is a **ball** around the image: all images whose every value lies within $\varepsilon$, written $\|x' - x\|_\infty \le \varepsilon$. What do the three attackers reach on the same hundred digits?

# %%
few, truth = images[:100], labels[:100]
own = SmallCNN(width=4)  # the grey box attacker's, of other digits
fit(own, mnist("train").select(slice(600, 1600)), epochs=8, learning_rate=3e-3)
queries = [1, 10, 50, 200]


def fooled(inputs):
    return (predict(model, inputs).argmax(1) != truth).float().mean().item()


white = fooled(fgsm(model, few, truth, epsilon=0.15))
grey = fooled(fgsm(own, few, truth, epsilon=0.15))
black = [
    fooled(square(model, few, truth, epsilon=0.15, queries=n, generator=generator))
    for n in queries
]
claim("200 queries fool more than 10, by over 10 points", black[-1] > black[1] + 0.1)
claim("A reader of one's own does no better than the true one", grey < white + 0.05)
claim("and better than nothing", grey > fooled(few) + 0.05)

# %% tags=["hide-input", "fig-trust-attackers"] mystnb={"image": {"alt": "The share of a hundred digits that are fooled, over the number of queries from 1 to 200. The black box attacker's line rises. Three level lines: without an attack lowest, grey box above it, white box with one step higher."}}
figure, axis = plt.subplots(figsize=(5.5, 3))
axis.semilogx(queries, black, "o-", color=COLOURS["orange"], label="black box")
for level, name, style in (
    (white, "white box, one step", "-"),
    (grey, "grey box", "--"),
    (fooled(few), "no attack", ":"),
):
    axis.axhline(level, color=COLOURS["blue"], linestyle=style, label=name)
axis.set(xlabel="queries for each image", ylabel="read wrongly", ylim=(0, 1))
figure.legend(loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# *Three attackers of one reader.* Knowledge helps, and so does patience: who may only ask, and ask often, needs no gradient. A defence that hides the gradient therefore protects nobody ([2.6](../20_adversarial/honest_evaluation.ipynb)).
#
# A card that leaves a line open is worth little. "Robust against adversarial examples": in which ball? At which $\varepsilon$? Knowing what? `ThreatModel` refuses to be made of that sentence.

# %%
try:
    ThreatModel(goal="fool it", knowledge="white box", capability="")
except ValueError as error:
    print("Refused:", error)

# %% [markdown]
#
# ## An application, taken apart
#
# Now the gate. These are the questions that [H0](../../exercises/h0_essay/h0_essay.ipynb) asks of an application of your own. Take them in this order.
#
# **What does it do?** A camera takes the traveller's face. A network turns it into a list of numbers, and another picture, from the passport's chip, into a second list. If the two lists are near enough, the gate opens. A human watches ten gates.
#
# **Who is who?** The airport buys, the border police decides on the threshold, the maker keeps the model. The travellers did not choose it. Some can take the other queue; who is in a hurry, or cannot read the sign, cannot.
#
# **What can go wrong, along the picture?**
#
# | place | what | question of trust | what would show it |
# |---|---|---|---|
# | data | few old faces, few dark ones, few children among the training pictures | fairness | false refusals for each group, with intervals: chapter 5 |
# | training | some pictures carry a small sticker, planted by a supplier | security | success of a trigger, over retrainings: chapter 3 |
# | model | the maker's model is copied from a gate that was sold off | security | a mark read from the suspect: chapter 7 |
# | input | a pair of glasses with a printed pattern | security | attacks that are physically possible, with the card above: chapter 2 |
# | answer | whether a face was in the training pictures | privacy | a membership attack at few false alarms: chapter 6 |
# | decision | the officer believes the gate, for it is nearly always right | interpretability | are officers better with its reasons than without: chapter 4 |
# | person | a false alarm is not written down, so nobody can complain of it | accountability | a log that was not changed: chapter 8 |
#
# **How would one know?** Not by the maker's 99 %. The threshold sets two rates against each other: strangers let in, and owners refused. An airport wants few of the first, so the second is what travellers feel; and it should be known for each group, at the airport's own light, by somebody who does not sell gates.
#
# **What should be done, and what does it cost?** A second way for everybody, without a longer queue: that costs officers. A published rate of refusals by age: that costs the maker's peace. Against it speaks that a human at a desk errs, too, is slower, and publishes nothing. Trust is a comparison.
#
# ## What goes wrong: where such lists end
#
# Lists as these are made by people who think of what they have seen. They find the attacks of yesterday. Three habits help: ask those whom it is about; ask what the attacker would do *if they had read your list*; and write down what you left out, and why. An honest "out of scope" is worth more than a long list.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *The threshold.* Let the reader call a human when it is less sure than $t$, for $t = 0.5, 0.9, 0.99$. For each: how many of the digits that it answers are wrong, and how often does it call? Then the same under the slight change. What does an attacker of the availability hope that you choose?
#
# <details><summary>Hint: two shares</summary>
#
# Divide the errors by the answered ones, not by all. `p = predict(model, images).softmax(1).max(1)` has `.values` and `.indices`.
#
# </details>

# %% tags=["hide-cell"]
# Solution: a high threshold makes answers right and calls frequent; under attack calls
# rise most where it is highest. The attacker hopes for a careful gate.


def at_threshold(inputs, t):
    """How often it calls, and the errors among its answers."""
    p = predict(model, inputs).softmax(1).max(1)
    answers = p.values >= t
    errors = (p.indices != labels)[answers].float().mean().item()
    return 1 - answers.float().mean().item(), errors


calm = [at_threshold(images, t) for t in (0.5, 0.9, 0.99)]
attacked = [at_threshold(slight, t) for t in (0.5, 0.9, 0.99)]
claim("Calls rise with the threshold", calm[0][0] < calm[1][0] < calm[2][0])
claim("Errors among answers fall", calm[2][1] < calm[0][1])
claim("Under attack even the careful gate calls more", attacked[2][0] > calm[2][0])

# %% [markdown]
# **Exercise 2** (15 minutes). *A card for a clerk.* A bank's program reads cheques. A clerk with a stamp can put one small black mark on any cheque, always at the same place, and wants a 1 to be read as a 7. The clerk has no access to the program, but sees for each cheque of the day what was read. Write the `ThreatModel`. Which chapter tries such an attack, and what does the card leave open?
#
# <details><summary>Hint: knowledge</summary>
#
# Answers without scores, a few hundred a day. Which of the three boxes is that?
#
# </details>

# %% tags=["hide-cell"]
# Solution: a patch attack from a black box: lecture 2.3, with 2.4's search. Left open:
# how dark the mark is, whether people look at it, how many days the clerk has.
card = ThreatModel(
    goal="a 1 is read as a 7",
    knowledge="black box",
    capability="one black square of fixed size and place on each cheque",
    queries=300,
    out_of_scope="the scores; the training data; a colleague who looks",
)
claim("The card has five lines", len(card.rows()) == 5)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A hospital's model is right on 97 % of a test set that was drawn at random from its own patients. What is known?
# - That it will be right on 97 % of the patients next year, there :: Patients, devices and doctors change.
# + That it was right on 97 % of patients like those, whom nobody had changed on purpose :: An average over a past, in peace.
# - That it is fair, for the sample was random :: The average hides who is in the 3 %.
# ? Somebody sends so many requests that a model's server stands still. Which letter is that?
# - Confidentiality :: Nobody learns anything.
# - Integrity :: Nothing is changed.
# + Availability :: It is of no use when it is needed.
# ? Why plan for a white box, if the weights are secret?
# + Weights leak, and a substitute does nearly as well :: The card should not hang on a secret that has to be kept for ever.
# - Because regulations ask for it :: That is no reason of security.
# - Because white box attacks are weaker :: They are the strongest.
# ? "Our gate is robust." What is the first question?
# - How many layers does it have? :: That decides little.
# - How accurate is it? :: Robust and accurate are two things.
# + Against whom, knowing what, changing how much? :: Without a card the sentence has no content.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** One picture and one card make different fears comparable, and say which chapter has the measurement. They cost an hour before anything is built.
#
# **Limitations.** A threat model is written by people, and holds for what they thought of. The triad says nothing of fairness, and nothing of harms without an attacker, which are most. And no list replaces asking the people concerned.
#
# **Software and further reading.** Varshney's *Trustworthy Machine Learning* {cite}`varshney2022trustworthy` tells the whole field as a story; Barocas, Hardt and Narayanan {cite}`barocas2023fairness` have the fairness of it. MITRE's [ATLAS](https://atlas.mitre.org) collects attacks on real systems. In this library: `threat_models.ThreatModel`; the attacks are in `attacks`.
#
# ## What to take away
#
# Accuracy is an average in peace. Trust is five questions, each with a place in the pipeline, an attacker or a cause, and a number that could come out either way. Before you believe "robust", "private" or "fair", ask for the card. Next: [what learning is, and how to tell](learning.ipynb).
