# %% [markdown]
# # 2.4 A model that one can only ask
#
# The attacks so far followed gradients, and gradients need the weights. A bank's fraud filter, a spam filter, a paid
# interface that names what is in a photograph: none of these shows its weights. One sends an input, one gets an answer,
# and each question may cost money or raise suspicion. Is such a model safe?
#
# **What you will learn**
#
# - to write down what a black-box attacker knows, and how many questions they may ask;
# - why an adversarial image for one model often fools another, and how to measure it with a transfer matrix;
# - to steal a copy by asking, and to attack the copy;
# - to measure gradients with two questions each (ZOO), and to do without them (Square, Boundary, a GAN);
# - which defences cost such an attacker something, and which only look as if they did.
#
# **Before you start**: [PGD](iterative_attacks.ipynb), and what a threat model says
# ([lecture 2.1](linear_explanation.ipynb)). The symbols are those of the
# [notation page](../../book/notation.md).
#
# **Time**: 50 minutes to read; at most 60 CPU-seconds to run.

# %%
import copy
import warnings

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.utils.data import TensorDataset

from tml_helpers import attacks
from tml_helpers.claims import claim, seed
from tml_helpers.data import mnist
from tml_helpers.models import MLP, SmallCNN, mnist_gan
from tml_helpers.plotting import COLOURS, show_image, show_images, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, fit, predict, seed_everything

use_style()

# %% [markdown]
# ## The question
#
# **Can one fool a model that one can only ask?** We play both sides. The *victim* is the course's small network, trained
# on 2,000 digits. The *attacker* owns 2,000 other digits and may train what they like on them. No training image is
# shared.

# %%
train, test = mnist("train"), mnist("test")
hers, ours = train.select(slice(2000)), train.select(slice(2000, 4000))

# %% tags=["nbval-ignore-output"]
generator = seed_everything(seed())
victim = SmallCNN()
fit(victim, hers, epochs=6, learning_rate=2e-3, batch_size=64, generator=generator)
print(f"victim: {accuracy(victim, test):.1%} of the test images right")

# %% [markdown]
# `BlackBox` puts the victim behind a counter. It hands out answers and no gradient, adds up the images that it was asked
# about, and can be told to stop. It can also keep its scores to itself and say the class alone.

# %%
box = attacks.BlackBox(victim, limit=100)
leaf = test.images[:64].clone().requires_grad_()
claim("An answer carries no gradient", not box(leaf).requires_grad)
claim("64 images are 64 queries", box.queries == 64)
try:
    box(leaf)
except attacks.QueryLimitReached as error:
    print(error)

# %% [markdown]
# Knowledge comes in grades. A **white-box** attacker has the weights. A **grey-box** attacker knows something about
# them: the task, the kind of network, perhaps some of the data. A **black-box** attacker has answers: *scores* (the
# logits or probabilities of all classes) or the *decision* alone. The less an attacker knows, the more they must ask.
# That is why each card on this page states a number of queries.
#
# ## Transferability: no question at all
#
# Two networks that were trained for the same task tend to lean on the same features of the images. An input that
# leaves one of them on the wrong side then leaves the other there too. This is **transferability**; it was seen
# together with the first adversarial examples {cite}`szegedy2014intriguing`, and it needs no query at all.

# %%
ThreatModel(
    goal="misclassification of any kind",
    knowledge="grey box",
    capability="L∞ perturbation of at most ε = 0.2; 2,000 digits of their own",
    queries=0,
    out_of_scope="weights, gradients and training images of the victim",
)

# %% [markdown]
# The attacker trains three networks: one of the victim's kind, one without convolutions, and a linear one. All four
# attack and all four are attacked, on test images that all of them read correctly. A row says on which network the
# images were made, a column which network was shown them. The diagonal is the white box. Random noise of the same size
# is the control: without that row, one could not tell an attack from mere damage.


# %%
def trained(network):
    fit(network, ours, epochs=6, learning_rate=2e-3, batch_size=64, generator=generator)
    return network


models = {
    "victim": victim,
    "CNN": trained(SmallCNN()),
    "MLP": trained(MLP(64)),
    "linear": trained(MLP()),
}
right = torch.stack([predict(m, test.images) for m in models.values()]).argmax(dim=2)
chosen = (right == test.labels).all(dim=0).nonzero().flatten()
chosen = chosen[torch.randperm(len(chosen), generator=generator)[:80]]
images, labels = test.images[chosen], test.labels[chosen]  # (80, 1, 28, 28), (80,)


# %%
def fooled(model, adversarial, labels=labels):
    """The share of images, from 0 to 1, that the model misreads."""
    return (predict(model, adversarial).argmax(dim=1) != labels).float().mean().item()


epsilon = 0.2
sign = 2.0 * torch.randint(2, images.shape, generator=generator) - 1
made_on = {
    name: attacks.pgd(model, images, labels, epsilon=epsilon, generator=generator)
    for name, model in models.items()
}
made_on["noise"] = (images + epsilon * sign).clamp(0, 1)
transfer = torch.tensor(
    [[fooled(m, made) for m in models.values()] for made in made_on.values()]
)  # (made on: 5, shown to: 4)

# %%
white, crossed = transfer[:4].diagonal(), transfer[:4]
claim("The white box is the best row of each column", bool((white >= crossed).all()))
claim("From CNN to CNN, over 40 % transfer", transfer[1, 0].item() > 0.4)
claim(
    "That is 3 times what noise of this size does, or more",
    transfer[1, 0].item() > 3 * transfer[4, 0].item(),
)

# %% mystnb={"image": {"alt": "A table of five rows and four columns in shades of blue: the share of images that are misread. The diagonal is darkest, rows of the two CNNs are dark in the other CNN's column and in the linear one's, and the row of random noise is nearly white but for the linear network."}}
figure, axis = plt.subplots(figsize=(5.5, 3.6))
axis.imshow(100 * transfer, cmap="Blues", vmin=0, vmax=100, aspect="auto")
for row, column in torch.cartesian_prod(torch.arange(5), torch.arange(4)).tolist():
    share = transfer[row, column].item()
    colour = "white" if share > 0.5 else "black"
    axis.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour)
axis.set(xticks=range(4), yticks=range(5), xlabel="shown to", ylabel="made on")
axis.set_xticklabels(models)
axis.set_yticklabels(made_on)
axis.grid(False)
plt.show()

# %% [markdown]
# *The transfer matrix: the share of images that fool the network of the column, when they were made on the network of
# the row, at ε = 0.2.* The diagonal is the white box, and nothing in a column exceeds it. What leaves it is not
# symmetric. Images that were made on the attacker's CNN fool the victim far more often than noise does. Between networks
# of different kinds less crosses over in one direction than in the other. The linear network is so weak that nearly
# anything large fools it, noise included in part. A paper that reports transfer to a weak model has reported little.
#
# ## A substitute: a copy that was bought with questions
#
# What if the attacker has hardly any data? Papernot and others {cite}`papernot2017practical` let the victim label it.
# They trained a copy, the **substitute**, on the victim's answers and attacked the copy; with 6,400 questions to a
# commercial service, 84 % of their images fooled it. This attacker sees nothing but classes.

# %%
ThreatModel(
    goal="misclassification of any kind",
    knowledge="black box",
    capability="L∞ perturbation of at most ε = 0.2; 50 digits of their own",
    queries=1600,
    out_of_scope="scores; any training data beyond the 50 images",
)

# %% [markdown]
# Random questions would waste the budget. The victim's answer is most telling where the copy is about to change its
# mind. So each round moves every image $x$ that the victim called $y$ along the copy's own gradient,
#
# $$x' = x + \lambda \cdot \operatorname{sign} \nabla_x F_y(x),$$
#
# asks about $x'$, and trains on all answers so far. In words: step to where the copy $F$ is most sensitive, and ask
# there. Each round doubles the data, so $N$ images and $\rho$ rounds cost $N \cdot 2^{\rho - 1}$ questions.


# %%
def substitute_by_hand(oracle, asked, network, rounds, step_size=0.1):
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for step in range(rounds):
        if step > 0:
            leaf = asked.clone().requires_grad_()
            said = network(leaf).gather(1, answers[:, None])
            (gradient,) = torch.autograd.grad(said.sum(), leaf)
            moved = (asked + step_size * gradient.sign()).clamp(0, 1)
            asked = torch.cat([asked, moved])  # (n, 1, 28, 28) -> (2n, 1, 28, 28)
        answers = oracle(asked).argmax(dim=1)  # asks the first half once more
        fit(network, TensorDataset(asked, answers), epochs=10, optimizer=optimizer)
    return network.eval()


seed_everything(seed())
mine = substitute_by_hand(attacks.BlackBox(victim), ours.images[:50], MLP(64), 3)
seed_everything(seed())
box = attacks.BlackBox(victim, answers="labels")
theirs = attacks.train_substitute(box, ours.images[:50], network=MLP(64), rounds=3)
gap = (predict(mine, images) - predict(theirs, images)).abs().max().item()
claim("By hand and by the library, the same copy", gap < 1e-3)
claim("The library asks about each image once", box.asked == [50, 50, 100])

# %% [markdown]
# What does a budget buy? We let the number of rounds grow, attack the copy with PGD, and show the result to the victim.
# `attacks.substitute` does both steps in one call.

# %% tags=["nbval-ignore-output"]
budgets, bought = [], []
for rounds in (1, 2, 4, 6):
    generator = seed_everything(seed())
    box = attacks.BlackBox(victim, answers="labels", limit=1600)
    network = SmallCNN()
    how = {"rounds": rounds, "epochs": 8, "generator": generator}
    made = attacks.substitute(
        box, images, labels, epsilon=epsilon, network=network, seed_images=ours.images[:50], **how
    )
    budgets.append(box.queries)
    bought.append(fooled(victim, made))
    print(f"{box.queries:5,} queries: {bought[-1]:.0%} fooled, copy ", end="")
    print(f"agrees on {1 - fooled(network, test.images, predict(victim, test.images).argmax(dim=1)):.0%}")
