# %% [markdown]
# # 6.5 Computing on what one cannot see
#
# Five hospitals want one model. None may show its patients, and none has enough of them. "Then leave the data where they are," says an engineer, "and let the gradients travel." This lecture first shows what is wrong with that sentence: it
# reads a digit off a gradient, exactly. Then it builds three ways to add up what nobody may see, and breaks each of them where it can be broken.
#
# **What you will learn**
#
# - to train one model on data that stay in many places, and to say when that goes badly;
# - to read an image off the gradient that was computed from it, by a formula or by a search;
# - to derive Paillier's cryptosystem, and to train a model on sums that the server cannot read;
# - to add and multiply numbers that are cut into shares, with Beaver's triples;
# - to add masked updates when some clients drop out, and to say what the sum itself still gives away.
#
# **Before you start**: [DP-SGD](dp_sgd.ipynb), for what noise can do. Arithmetic modulo a number is used; no cryptography is. The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 35 minutes to read; {{ cpu_seconds }} to run.
#
# **A warning first.** The cryptography here is short so that it can be read. It is not audited, its running time depends on its secrets, and all "parties" live in one process. It protects nobody. What to use in earnest stands at the end.

# %%
import secrets
import time
import warnings
from copy import deepcopy
from functools import partial
from math import gcd

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tml_helpers import measured, privacy
from tml_helpers.claims import claim, seed
from tml_helpers.data import digits, mnist
from tml_helpers.models import MLP
from tml_helpers.plotting import COLOURS, show_image, use_style
from tml_helpers.threat_models import ThreatModel
from tml_helpers.training import accuracy, cross_entropy, seed_everything

use_style()
torch.set_num_threads(1)  # networks as small as these run fastest on one core
quiet = {"action": "ignore", "category": privacy.TeachingCryptographyWarning}
warnings.catch_warnings(**quiet).__enter__()  # it is printed once, below
generator = seed_everything(seed())
train, test = mnist("train"), mnist("test")
image, label = train.images[:1], train.labels[:1]

# %% [markdown]
# ## The question: what does a gradient show?
#
# A phone has one [handwritten digit](../../book/data_cards/mnist.md). It computes the gradient of a small network's loss, sends that, and deletes the digit. Look at what it sent, and at what the server makes of it in one line.

# %%
victim = MLP(32)
gradients = torch.autograd.grad(
    cross_entropy(victim, image, label), victim.parameters()
)
leak = privacy.linear_gradient_leakage(gradients[0], gradients[1])
read = (0.3081 * leak.inputs + 0.1307).view_as(image)  # undo the normalisation

# %% tags=["hide-input", "fig-mpc-question"] mystnb={"image": {"alt": "Three panels. A handwritten digit; the gradient of the first layer, a matrix of 32 rows and 784 columns that looks like a bar code; and the digit that was computed from this matrix, which looks the same as the first."}}
figure, axes = plt.subplots(
    1, 3, figsize=(7, 2.4), gridspec_kw={"width_ratios": [1, 1.9, 1]}
)
show_image(axes[0], image[0], "stays on the phone")
show_image(axes[2], read[0], "read by the server")
limit = gradients[0].abs().max()
axes[1].imshow(gradients[0], aspect="auto", cmap="RdBu", vmin=-limit, vmax=limit)
axes[1].set_title("sent: the first layer's gradient", fontsize=9)
axes[1].set(xticks=[], yticks=[])
axes[1].set_xlabel("784 pixels", fontsize=9)
axes[1].set_ylabel("32 units", fontsize=9)
axes[1].grid(False)
plt.show()

# %% [markdown]
# *One gradient, one digit.* The server never saw the left panel. It computed the right one from the middle.

# %%
claim(
    "The digit is recovered to 1e-4 in every pixel", (read - image).abs().max() < 1e-4
)

# %% [markdown]
# So "only gradients travel" is no protection. Privacy is wanted at three times: when data are collected and added up, when a model learns from them, and when it answers a question. We shall meet all three. First let us see what gradients travel for.
#
# ## Data that stay at home
#
# There are $J$ clients. Client $j$ has $N_j$ examples, of $N$ in all. In each round the server sends the model $\theta$ to all. Client $j$ trains it for a while on its own data, which gives $\theta_j$, and sends its *update*, weighted by its share of the data:
#
# $$u_j = \frac{N_j}{N} \, (\theta_j - \theta), \qquad \theta \leftarrow \theta + \sum_{j=1}^{J} u_j$$ (eq-mpc-fedavg)
#
# That is **federated averaging** {cite}`mcmahan2017communication`. Why this weight? Let each client take one step of gradient descent, of length $\eta$, on all of its data. The loss on all data is the mean of the clients' losses, weighted by $N_j / N$. So is its gradient, and the sum of the updates is
# $-\eta \sum_j \frac{N_j}{N} \nabla L_j = -\eta \nabla L$: exactly the step that somebody with all the data would take. By hand, and with the library:

# %%
parts = [500, 1500, 2000]  # three clients of different sizes
clients = list(zip(train.images.split(parts), train.labels.split(parts), strict=True))
by_hand = MLP()
library = deepcopy(by_hand)
step = torch.autograd.grad(
    cross_entropy(by_hand, train.images, train.labels), by_hand.parameters()
)
with torch.no_grad():
    for parameter, gradient in zip(by_hand.parameters(), step, strict=True):
        parameter -= 0.1 * gradient  # of all 4,000 digits
history = privacy.federated_averaging(library, clients, rounds=1, learning_rate=0.1)


# %%
def apart(one, other):
    """The largest difference of two models' parameters."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


claim(
    "By hand and by privacy.federated_averaging: the same",
    apart(by_hand, library) < 1e-5,
)

# %% [markdown]
# One step a round would be slow, for a round costs minutes and a step milliseconds. So clients take many steps, and then the sentence above is no longer true. How much that matters depends on whether the clients' data are alike. Ten clients, twice: once each has 400 digits of all kinds; once each has the digits of mostly one kind, as hospitals have their own patients.

# %%
shuffled = torch.randperm(len(train.images), generator=generator)
by_kind = shuffled[train.labels[shuffled].argsort(stable=True)]
curves, rounds = {}, 8
for name, rows in (("alike", shuffled), ("one kind each", by_kind)):
    clients = [(train.images[part], train.labels[part]) for part in rows.chunk(10)]
    seed_everything(seed())
    model = MLP(32)
    curves[name] = []
    for _ in range(rounds):
        privacy.federated_averaging(
            model,
            clients,
            rounds=1,
            local_epochs=2,
            learning_rate=0.05,
            batch_size=20,
            generator=generator,
        )
        curves[name].append(100 * accuracy(model, test))

# %% tags=["hide-input", "fig-mpc-federated"] mystnb={"image": {"alt": "Accuracy on test digits over eight rounds. With clients that are alike it rises above 80 percent at once and to 91. With clients that have one kind of digit each it begins near 15 percent, and is near 70 after eight rounds."}}
figure, axis = plt.subplots(figsize=(7, 2.7))
for (name, values), hue in zip(curves.items(), ("blue", "orange"), strict=True):
    axis.plot(range(1, rounds + 1), values, "o-", color=COLOURS[hue], label=name)
axis.set(xlabel="round", ylabel="test accuracy (%)", ylim=(0, 100))
axis.legend(title="the clients' data", loc="lower right")
plt.show()

# %% [markdown]
# *The same algorithm, the same 4,000 digits.* Clients with one kind of digit each learn to answer that digit always, and the mean of ten such models is poor at first.

# %%
claim("Alike: over 85 %", curves["alike"][-1] > 85)
claim(
    "One kind each: over 5 points less",
    curves["alike"][-1] - curves["one kind each"][-1] > 5,
)

# %% [markdown]
# ## What a gradient gives away
#
# First the card: who attacks, and what they have.

# %%
ThreatModel(
    goal="the images from which a client's gradient was computed",
    knowledge="white box",
    capability="the server follows the protocol, keeps what it receives, and computes",
    queries=1,
    out_of_scope="servers that change the model so that it leaks more",
)

# %% [markdown]
# ### By a formula
#
# A linear layer computes $z = W x + c$, with a bias $c$. Row $i$ of $W$ enters the loss through $z_i$ only, and so does $c_i$. By the chain rule $\partial L / \partial W_{ij} = (\partial L / \partial z_i) \, x_j$ and $\partial L / \partial c_i = \partial L / \partial z_i$. Divide:
#
# $$x_j = \frac{\partial L / \partial W_{ij}}{\partial L / \partial c_i}, \qquad \text{for every unit } i \text{ with } \partial L / \partial c_i \ne 0$$ (eq-mpc-linear-leak)
#
# The whole matrix is one column times one row: it has rank one, and the row is the input {cite}`phong2018privacy`. That was the bar code. The rest of the network does not matter, nor does the loss.
#
# The label is there, too. For a cross-entropy $\partial L / \partial z_k = p_k - \mathbb 1[k = y]$ in the last layer: negative for the true class and for no other {cite}`zhao2020idlg`.

# %%
unit = gradients[1].abs().argmax()
by_hand = gradients[0][unit] / gradients[1][unit]
claim(
    "By hand and by privacy.linear_gradient_leakage: the same",
    (by_hand - leak.inputs).abs().max() < 1e-3,
)
claim("It says that one example explains the gradient", leak.one_example)
negative = (gradients[-1] < 0).nonzero().flatten().tolist()
claim("The label is the only negative entry", negative == [label.item()])

# %% [markdown]
# ### By a search
#
# Convolutions have no such formula, but they can be searched. Take an image $x$ of noise, compute the gradient that it would have caused, and change $x$ until that gradient is the one that was seen, $g$ {cite}`zhu2019deep`. Comparing directions rather than lengths, and preferring smooth images, works for deeper networks and for ReLU {cite}`geiping2020inverting`:
#
# $$\min_{x \in [0, 1]} \; 1 - \frac{\nabla_\theta L(x, y) \cdot g}{\lVert \nabla_\theta L(x, y) \rVert \, \lVert g \rVert} + \omega \operatorname{TV}(x)$$ (eq-mpc-matching)
#
# where $\operatorname{TV}(x)$ is the mean difference of neighbouring pixels, and $\omega$ its weight. We try four gradients: of the first network, of one with convolutions, the mean over four digits, and one that was clipped to length 1 and got normal noise with standard deviation 1 on each entry, as DP-SGD would do with a batch of one.


# %%
def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(12, 12, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12 * 49, 10),
    )


network = convolutional()
sent = torch.autograd.grad(cross_entropy(network, image, label), network.parameters())
norm = torch.cat([part.flatten() for part in sent]).norm()
noisy = [
    part / max(1, norm) + torch.randn(part.shape, generator=generator) for part in sent
]
settings = {"shape": image.shape, "labels": label, "total_variation": 0.01}
found = {
    name: privacy.gradient_leakage(
        network, gradients=seen, steps=150, generator=generator, **settings
    )
    for name, seen in (("search", sent), ("noise", noisy))
}

# %%
of_four = torch.autograd.grad(
    cross_entropy(victim, train.images[:4], train.labels[:4]), victim.parameters()
)
mixture = privacy.linear_gradient_leakage(of_four[0], of_four[1])
mixed = (0.3081 * mixture.inputs + 0.1307).view_as(image)
back = {
    "formula": read,
    "search": found["search"].images,
    "mean of four": mixed,
    "clipped, noise": found["noise"].images,
}
errors = {
    name: float((x.clamp(0, 1) - image).square().mean()) for name, x in back.items()
}

# %% tags=["hide-input", "fig-mpc-leak"] mystnb={"image": {"alt": "Four images. By the formula: the digit, sharp. By the search through convolutions: the digit, hardly changed. From the mean of four gradients: a blur of several digits. From the clipped gradient with noise: nothing that looks like a digit."}}
figure, axes = plt.subplots(1, 4, figsize=(7, 2.1))
for axis, (name, x) in zip(axes, back.items(), strict=True):
    show_image(axis, x[0], f"{name}\nerror {errors[name]:.4f}")
plt.show()

# %% [markdown]
# *What the server sees in four gradients.* The error is the mean squared difference from the digit. The third panel is a mixture that resembles several digits; the fourth is lost to this search.

# %%
claim("By search: the error is below 0.01", errors["search"] < 0.01)
claim(
    "Of four: over ten times as large as that",
    errors["mean of four"] > 10 * errors["search"],
)
claim("and the library says that it is no single example", not mixture.one_example)
claim(
    "With noise: over ten times as large",
    errors["clipped, noise"] > 10 * errors["search"],
)
claim("and the gradients do not match", found["noise"].matching_loss > 0.3)

# %% [markdown]
# Do not conclude that batches are safe. A unit that only one of the four digits turns on shows this digit (exercise 2); searches find images in larger batches; and a server that may choose the model can make units of this kind on purpose {cite}`fowl2022robbing`. Noise does protect, and how much is what [lecture 6.2](dp_sgd.ipynb) computes and attacks. Here no $\varepsilon$ is claimed, so none is printed.
#
# If one client's gradient gives its data away, the server should not see it. It needs only the sum in {eq}`eq-mpc-fedavg`. Three ways to add up what one cannot see follow.
#
# ## First way: encrypted numbers that can be added
#
# ### The scheme, by hand
#
# Take two secret primes $n_1$ and $n_2$ and publish $n = n_1 n_2$. To encrypt a whole number $u$, draw a random $r$ and compute
#
# $$E(u) = (1 + n)^u \cdot r^n \bmod n^2$$ (eq-mpc-paillier)
#
# The first factor holds the number. By the binomial theorem $(1 + n)^u = 1 + u\,n + (\dots)\,n^2$, so it is $1 + u\,n$ modulo $n^2$. The second hides it: nobody without $n_1$ and $n_2$ is known to be able to tell $r^n$ from any other number. Two things follow.
#
# **Whoever has the primes can read.** With $\varphi = (n_1 - 1)(n_2 - 1)$ there are $n \, \varphi$ invertible numbers modulo $n^2$, so $(r^n)^\varphi = 1$, by Euler's theorem. What is left is $E(u)^\varphi = 1 + u \, \varphi \, n$. Subtract 1, divide by $n$, divide by $\varphi$ modulo $n$: there is $u$.
#
# **Whoever has not can add.** $E(u) \cdot E(u') = (1 + n)^{u + u'} (r\,r')^n = E(u + u')$, and $E(u)^3 = E(3\,u)$; so for every whole number. This is Paillier's cryptosystem {cite}`paillier1999public`.

# %%
n_1, n_2 = 2**31 - 1, 2**61 - 1  # primes that everybody knows: for reading only
n, phi = n_1 * n_2, (n_1 - 1) * (n_2 - 1)


def encrypt(u):
    r = 1 + secrets.randbelow(n - 1)
    return pow(1 + n, u, n**2) * pow(r, n, n**2) % n**2


def decrypt(ciphertext):
    return (pow(ciphertext, phi, n**2) - 1) // n * pow(phi, -1, n) % n


# %%
one, two = encrypt(20), encrypt(22)
claim("The product of the ciphertexts holds the sum", decrypt(one * two % n**2) == 42)
claim("and a power holds a multiple", decrypt(pow(one, 3, n**2)) == 60)
claim("The same number, encrypted again, looks different", encrypt(20) != one)

public = privacy.PaillierPublicKey(n)
private = privacy.PaillierPrivateKey(public, n_1, n_2)
theirs = public.encrypt(42, bound=100)
claim("By hand, what the library encrypted", decrypt(theirs.value) == 42)
claim(
    "and the other way round",
    private.decrypt(privacy.PaillierCiphertext(public, one, 0, 100)) == 20,
)

# %% [markdown]
# ### The library's version
#
# `privacy.generate_keypair` draws its primes from the operating system (`secrets`, never from a seed), and it says what it is. We use 512 bits to stay within our minutes.

# %%
with warnings.catch_warnings(record=True, action="always") as caught:
    public, private = privacy.generate_keypair(512)
for warning in caught:
    print(warning.message)

# %% [markdown]
# Believe it. A 512-bit number was factored in 1999, and since 2015 a non-expert can do it in hours, for 75 dollars of rented machines {cite}`valenta2016factoring`. Today 2,048 bits are the least. How a short key falls can be shown here: for 64 bits a method of 1975 is enough, ten lines that walk through the numbers modulo $n$ until two places agree modulo a prime.


# %%
def pollard(n):
    """A proper divisor of n, by Pollard's rho."""
    for step in range(1, 50):
        slow = fast = 2
        divisor = 1
        while divisor == 1:
            slow = (slow * slow + step) % n
            for _ in range(2):
                fast = (fast * fast + step) % n
            divisor = gcd(slow - fast, n)
        if divisor != n:
            return divisor


short, _ = privacy.generate_keypair(64)
secret = short.encrypt(1234, bound=10_000)
factor = pollard(short.n)
broken = privacy.PaillierPrivateKey(short, factor, short.n // factor)
claim("The key is found, and the number read", broken.decrypt(secret) == 1234)

# %% [markdown]
# Models are not made of whole numbers. A float *is* a whole number times a power of two, so the library encrypts $u \cdot 2^{149}$, which is whole for every `float32`. Negative numbers are those above $n / 2$. Sums are then exact, and rounded once when they are read. Two things are public and travel along: how many places there are, and a bound on the size. They do not depend on the number, or they would give it away;
# and they let the library refuse a sum that no longer fits, before it happens.

# %%
values = [-0.1] * 10
total = sum(public.encrypt(value) for value in values)
claim("Ten times −0.1 is −1", private.decrypt(total) == -1)
claim("Floats, added one by one, miss it", np.add.accumulate(values)[-1] != -1)
try:
    total * total
except TypeError as refusal:
    print(refusal)

# %% [markdown]
# ### Encrypted federated learning
#
# Now the hospitals. Who can read what depends on who has the private key, so the card comes first.

# %%
ThreatModel(
    goal="one hospital's update",
    knowledge="grey box",
    capability="the server sees every ciphertext, adds them, and follows the protocol",
    out_of_scope="a server that a hospital gives the key; what the sum shows",
)

# %% [markdown]
# Three hospitals share a private key that the server does not have {cite}`fang2021privacy`. Each encrypts its update, the server multiplies ciphertexts, each decrypts the sum. The model is a logistic regression that tells the 3 from the 8 on [small digits](../../book/data_cards/digits.md): 64 weights and a bias.

# %%
small = digits("train")
rows = (small.labels == 3) | (small.labels == 8)
x, y = small.images[rows].flatten(1), (small.labels[rows] == 8).long()
hospitals = list(
    zip(x.split([40, 70, len(x) - 110]), y.split([40, 70, len(x) - 110]), strict=True)
)
spent = {"encrypt": 0.0, "add": 0.0, "decrypt": 0.0}


def encrypted_sum(updates):
    """What the server does is the middle part."""
    times = [time.process_time()]
    sent = [public.encrypt(update) for update in updates]
    times.append(time.process_time())
    total = sum(sent)
    times.append(time.process_time())
    found = torch.as_tensor(private.decrypt(total))
    times.append(time.process_time())
    for name, seconds in zip(spent, np.diff(times), strict=True):
        spent[name] += seconds
    return found


def logistic(model, inputs, labels):
    return F.binary_cross_entropy_with_logits(model(inputs)[:, 0], labels.float())


# %%
models = [nn.Linear(64, 1)]
models.append(deepcopy(models[0]))
for model, aggregate in zip(models, (None, encrypted_sum), strict=True):
    privacy.federated_averaging(
        model,
        hospitals,
        rounds=6,
        local_epochs=10,
        learning_rate=1.0,
        loss=logistic,
        aggregate=aggregate,
    )
right = ((models[1](x)[:, 0] > 0) == (y == 1)).float().mean()

# %% tags=["nbval-ignore-output"]
count = 6 * 3 * 65
print(f"encrypt {1000 * spent['encrypt'] / count:.1f} ms a number, ", end="")
print(f"decrypt {1000 * spent['decrypt'] / 6 / 65:.1f} ms, at 512 bits")
rows = measured.result("privacy")["rows"] if "privacy" in measured.names() else {}
for name in ("encrypt", "decrypt"):
    for whose, seconds in rows.get(f"Paillier, {name}", {}).get("seconds", {}).items():
        print(f"{name}, 2,048 bits, {whose}: {1000 * seconds:.0f} ms, on its machine")

# %%
claim("Encrypted and in the clear: the same model", apart(*models) < 1e-5)
claim("It is right about over 90 %", right > 0.90)
size = (public.n_squared.bit_length() + 7) // 8
claim("A number of 4 bytes has become 128", size == 128)

# %% [markdown]
# The price is plain: 32 times the bytes at 512 bits, 128 times at an honest 2,048 bits, where $n^2$ has 4,096; and milliseconds for a number that takes a nanosecond in the clear. A network with 200,000 parameters would keep a core busy for hours in each round. Part of this is waste: a ciphertext of 2,048 bits has room for many numbers (exercise 1).
#
# And the server can still misbehave. A ciphertext can be changed by anybody: $E(u)^2$ is a perfectly good $E(2u)$, and nobody notices.

# %%
u = public.encrypt(0.25)
claim(
    "Doubled on the way, and it decrypts without a complaint",
    private.decrypt(u * 2) == 0.5,
)
claim("A zero made by a factor 0 is visible to all", (u * 0).value == 1)
claim("until it is randomised again", (u * 0).rerandomise().value != 1)

# %% [markdown]
# ### What one would use
#
# Schemes with lattices multiply encrypted numbers as well, and pack thousands of them into one ciphertext. CKKS {cite}`cheon2017homomorphic` does so with approximate numbers. The cell below runs it if TenSEAL is installed (`pip install "tml-helpers[encryption]"`).

# %% tags=["nbval-ignore-output"]
try:
    import tenseal
except ImportError:
    print("TenSEAL is not installed here; nothing below needs it.")
else:
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS,
        poly_modulus_degree=8192,
        coeff_mod_bit_sizes=[60, 40, 40, 60],
    )
    context.global_scale = 2**40
    update = torch.randn(65, generator=generator)
    begin = time.process_time()
    vector = tenseal.ckks_vector(context, update.tolist())
    seconds = time.process_time() - begin
    product = torch.tensor((vector * vector).decrypt())
    print(f"65 numbers: {1000 * seconds:.1f} ms, {len(vector.serialize()):,} bytes;")
    print(f"their squares are off by {(product - update**2).abs().max():.1e} at most")

# %% [markdown]
# ## Second way: shares
#
# ### Sums
#
# Encryption rests on a problem that nobody has solved. The next idea, on which much of **secure multi-party computation** is built, rests on nothing but chance. Cut a number into pieces, each of which is noise. With a prime $Q$, draw all pieces but one uniformly, and let the last make up the rest:
#
# $$x = [x]_1 + [x]_2 + \dots + [x]_J \bmod Q$$ (eq-mpc-shares)
#
# Any $J - 1$ of the pieces are uniform, whatever $x$ is. This is the one-time pad, and no computer will ever break it. Adding needs no talk: each party adds its own pieces, $[x]_j + [w]_j$, and these are shares of $x + w$.

# %%
ThreatModel(
    goal="another party's numbers",
    knowledge="grey box",
    capability="all parties but one put together what they hold and what is published",
    out_of_scope="parties that deviate; the dealer of triples; what the result shows",
)

# %%
Q = 2**13 - 1  # a small prime, for reading
first = [secrets.randbelow(Q) for _ in range(2)]
x_shares = [*first, (1500 - sum(first)) % Q]
second = [secrets.randbelow(Q) for _ in range(2)]
w_shares = [*second, (-38 - sum(second)) % Q]
sums = [a + b for a, b in zip(x_shares, w_shares, strict=True)]
claim("Three parties add 1500 and −38", sum(sums) % Q == 1462)

shares = privacy.share(image, parties=3)  # in the field of 2^521 − 1
seen = [(one.values >> 513).astype(int) for one in shares]  # the first 8 bits
claim(
    "privacy.reconstruct gives the digit back, to the last bit",
    np.array_equal(privacy.reconstruct(shares), image.numpy()),
)

# %% tags=["hide-input", "fig-mpc-shares"] mystnb={"image": {"alt": "Four images. Three shares of a digit, each of them even grey noise; and their sum, the digit."}}
figure, axes = plt.subplots(1, 4, figsize=(7, 2.0))
for axis, values, number in zip(axes, seen, (1, 2, 3), strict=False):
    show_image(axis, torch.tensor(values[0] / 255), f"party {number} has")
show_image(axes[3], image[0], "all three have")
plt.show()

# %% [markdown]
# *A digit that nobody holds.* Each share is noise, and so are any two of them. (Drawn are the first 8 bits of each share.)
#
# ### Products
#
# Multiplication is harder: $[x]_1 \cdot [w]_2$ needs pieces of two parties. Beaver's trick {cite}`beaver1991efficient` moves the work to a time before anybody has a secret. A dealer hands out shares of two random numbers $\kappa$ and $\chi$, and of their product $\kappa\,\chi$. Then the parties publish two differences,
#
# $$d_x = x - \kappa, \qquad d_w = w - \chi$$
#
# which are noise, for $\kappa$ and $\chi$ are uniform. And since $x\,w = (\kappa + d_x)(\chi + d_w)$, each party computes its share of the product from what it has:
#
# $$[x\,w]_j = [\kappa\,\chi]_j + d_x\,[\chi]_j + d_w\,[\kappa]_j \;\;(+\; d_x\,d_w \text{ for one of them})$$ (eq-mpc-beaver)


# %%
def cut(number):
    """Shares for three parties."""
    free = [secrets.randbelow(Q) for _ in range(2)]
    return [*free, (number - sum(free)) % Q]


kappa, chi = secrets.randbelow(Q), secrets.randbelow(Q)
kappa_shares, chi_shares, both_shares = cut(kappa), cut(chi), cut(kappa * chi)
x_shares, w_shares = cut(60), cut(-25)
d_x = sum(a - b for a, b in zip(x_shares, kappa_shares, strict=True)) % Q
d_w = sum(a - b for a, b in zip(w_shares, chi_shares, strict=True)) % Q
product = [
    (both + d_x * of_chi + d_w * of_kappa + (d_x * d_w if party == 0 else 0)) % Q
    for party, (both, of_chi, of_kappa) in enumerate(
        zip(both_shares, chi_shares, kappa_shares, strict=True)
    )
]
claim("60 · (−25), which no party knows", sum(product) % Q == (-1500) % Q)

# %% [markdown]
# With products of matrices, one can ask a model that one must not see about an image that it must not see. The client cuts its digit into shares, the hospital cuts its weights, and two servers multiply.

# %%
classifier = MLP()
privacy.federated_averaging(
    classifier, [(train.images, train.labels)], rounds=20, learning_rate=0.05
)
layer = classifier.layers[2]
pixels = classifier.layers[:2](test.images[:5]).numpy()  # normalised, flat
weights, bias = layer.weight.detach().numpy().T, layer.bias.detach().numpy()
triple = privacy.beaver_triple(pixels.shape, right=weights.shape, parties=2)
asked = privacy.share(pixels, parties=2), privacy.share(weights, parties=2)
scores = privacy.multiply(*asked, triple=triple)
found = privacy.reconstruct(scores)
exact = pixels.astype(np.float64) @ weights.astype(np.float64)
claim("The shared product is the plain one", np.abs(found - exact).max() < 1e-10)
clear = classifier(test.images[:5]).argmax(dim=1).tolist()
claim(
    "and the answers are the model's", (found + bias).argmax(axis=1).tolist() == clear
)
try:
    privacy.multiply(*asked, triple=triple)
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# The product is exact: it has the places of both factors, and none are cut off. That is also why only one product of fractions fits before the library refuses another. Systems in use cut the places off again after each product ("truncation"), work modulo $2^{64}$, and live with an error in the last place, and with a small chance of a large one.
#
# What about a triple that is used twice? Then $d_x - d_x' = x - x'$ is public: the difference of two secrets. The library refuses it, by a flag in one process; in earnest, a protocol has to see to it.

# %%
x_shares, other = privacy.share(7, parties=2), privacy.share(4, parties=2)
mask = privacy.share(secrets.randbelow(2**60), parties=2)
d_x = privacy.reconstruct([a - b for a, b in zip(x_shares, mask, strict=True)])
again = privacy.reconstruct([a - b for a, b in zip(other, mask, strict=True)])
claim("One mask, two secrets: their difference is public", d_x - again == 3)

# %% [markdown]
# ## Third way: masks that cancel
#
# Hospitals are always there. Phones are not, and there are thousands: shares for everybody, or one key for all, will not do. **Secure aggregation** {cite}`bonawitz2017practical` was made for them. Each pair of clients $i < j$ agrees on a mask $\mu_{ij}$, uniform modulo a large number, from a secret of the two (a key exchange after Diffie and Hellman, and a generator that stretches the secret). One adds it, the other takes it off, and in the sum it is gone. Each adds a mask $\nu_j$ of its own, too:
#
# $$\tilde u_j = u_j + \nu_j + \sum_{i > j} \mu_{ji} - \sum_{i < j} \mu_{ij}$$ (eq-mpc-masks)
#
# **If a client drops out** after the masks were agreed on, its $\mu$ stay in the sum. So before anything else, each client cuts its secret key into Shamir's shares {cite}`shamir1979how`: points of a random polynomial, of which a *threshold* of clients can find the value at 0, and fewer learn nothing. The survivors give their shares of the lost client's key, and the server computes what is missing.
#
# **Why the own mask?** Suppose that the server calls client 3 lost, gets its key, and then the update of client 3 arrives after all. Without $\nu_3$ the server could take off all masks. So the survivors give *either* a share of a client's key, if it is lost, *or* a share of the seed of $\nu_j$, if it is there. Never both. By hand, with the masks in the open:

# %%
ThreatModel(
    goal="one client's update",
    knowledge="grey box",
    capability="the server sees masked updates, and says who is lost",
    out_of_scope="a threshold of clients in league with it; what the sum shows",
)

# %%
modulus = 2**32
u = [11, -4, 8]
nu = [secrets.randbelow(modulus) for _ in u]
mu = {pair: secrets.randbelow(modulus) for pair in ((0, 1), (0, 2), (1, 2))}


def masks(j):
    """What client j adds to its number."""
    added = sum(mask for (i, _), mask in mu.items() if i == j)
    taken_off = sum(mask for (_, i), mask in mu.items() if i == j)
    return nu[j] + added - taken_off


masked = [(u[j] + masks(j)) % modulus for j in range(3)]
claim(
    "In the sum, only the own masks are left", (sum(masked) - sum(nu)) % modulus == 15
)
lost = (masked[0] + masked[1] - nu[0] - nu[1]) % modulus
left = (lost - mu[0, 2] - mu[1, 2]) % modulus
claim("Client 2 is lost: take off its masks, too", left == 7)

# %% [markdown]
# The library's version has all of it. Five clients with one kind of digit each train a linear model; here is what the server sees of the first, in place of an update that shows a digit to anybody.

# %%
five = [train.labels == k for k in range(5)]
groups = [(train.images[rows][:50], train.labels[rows][:50]) for rows in five]
collected = []


def add_up(vectors, **settings):
    collected.append(vectors)
    return privacy.secure_aggregation(vectors, **settings)


model = MLP()
privacy.federated_averaging(
    model, groups, rounds=1, aggregate=partial(add_up, threshold=3)
)
updates = [vector[-7850:-10].view(10, 28, 28) for vector in collected[0]]  # the weights

peers = [privacy.AggregationClient(j, parties=5, threshold=3) for j in range(5)]
keys = {peer.number: peer.public_key for peer in peers}
peers[0].share_secrets(keys)
whole = (updates[0][0].double() * 2**40).round().long().numpy().astype(object)
masked = peers[0].mask(whole, modulus=256**8)

# %% tags=["hide-input", "fig-mpc-masked"] mystnb={"image": {"alt": "Three panels. The update of a client that has zeros: the weights of class 0 show a zero as a red ring. The masked update: noise. The sum of all five updates: again a zero, with a blue centre."}}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.6))
panels = (
    (updates[0][0], "client 0 would send"),
    (torch.tensor((masked / 256**8).astype(float)) - 0.5, "the server sees"),
    (sum(updates)[0], "the sum"),
)
for axis, (values, title) in zip(axes, panels, strict=True):
    limit = values.abs().max()
    axis.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axis.set_title(title, fontsize=9)
    axis.axis("off")
plt.show()

# %% [markdown]
# *Weights of class 0, three times.* Left: the client's update is a picture of its digits. Middle: under masks it is noise. Right: the sum, which everybody may see. Only client 0 has zeros, and the sum shows a zero: masks hide who said it, not what was said.

# %%
vectors = collected[0]
everyone = privacy.secure_aggregation(vectors, threshold=3)
plain = torch.stack(vectors).double().sum(dim=0)
claim("The sum is exact", torch.equal(everyone, plain))
some = privacy.secure_aggregation(vectors, threshold=3, dropped=[1, 4])
three = sum(vectors[k].double() for k in (0, 2, 3))
claim("Two of five are lost: it is the sum of the others", torch.equal(some, three))
try:
    privacy.secure_aggregation(vectors, threshold=3, dropped=[1, 3, 4])
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# ## What the sum still says
#
# None of the three ways changes the result: it is the plain sum. Whatever the sum gives away, they give away. Two rounds, one with a client and one without, are enough for a subtraction.

# %%
without = privacy.secure_aggregation(vectors, threshold=3, dropped=[0])
claim(
    "With client 0, less without: its update",
    torch.allclose(everyone - without, vectors[0].double(), atol=1e-12),
)

# %% [markdown]
# (Between rounds the other updates change a little, so a real difference is less clean.) Against this, only noise in the sum helps. Each client clips its update and adds a part of the noise, so that the *sum* has as much as the Gaussian mechanism asks for ([lecture 6.1](differential_privacy.ipynb)), while each masked update stays unreadable. Masks without noise hide who said it. Noise without masks must be large for each client. With both, the noise is needed only once.
#
# | | hides from the server | rests on | does not protect from |
# |---|---|---|---|
# | federated averaging | the raw data, on paper only | nothing | anybody who can divide one row by another |
# | Paillier, one key | each update | factoring; that no holder of the key helps the server | changed ciphertexts; the sum |
# | shares, triples | everything but the result | one honest party; an honest dealer | a party that lies; the result |
# | secure aggregation | each update, with drop-outs | key exchange; fewer than a threshold in league | poisoned updates; the sum; few clients |
# | noise (DP) | any one person, in the result | the noise, and an $\varepsilon$ that was attacked | a large $\varepsilon$; what is true of all |
#
# ## What goes wrong
#
# **A short key.** It fell in ten lines.
#
# **Numbers that wrap around.** Modulo $n$ or $Q$, too large a sum is a small one, and nobody is told. Keep account of the size, as here, or leave room, and test the largest case.
#
# **A form that depends on the number.** Some libraries store a float's exponent in the clear beside the ciphertext. Then 0.5 and 0.000001 can be told apart without a key.
#
# **Poison that nobody can see.** A client that multiplies its update by 100 is not noticed, since no update may be looked at. Proofs about hidden numbers exist; they cost more than the sum.
#
# **Few clients.** Of a sum of two, each knows the other's part.
#
# **Clients that differ.** The figure with two curves: that is no matter of secrecy, and secrecy makes it harder to notice.
#
# ## Evaluate honestly
#
# Name who sees what, at every step, and who has the keys. Attack what is seen, with the strongest attack you have. Compare the result with the plain one, including negative numbers, the largest ones, and drop-outs. State bytes and seconds at a key length that you would defend. As code, the question "does what the server sees still show an image?":


# %%
def shows_an_image(weight, bias):
    """Whether what was seen is the gradient of one example, by its rank."""
    try:
        return privacy.linear_gradient_leakage(weight, bias).one_example
    except ValueError:
        return False


claim("One gradient: yes", shows_an_image(gradients[0], gradients[1]))
claim("The mean of four: no", not shows_an_image(of_four[0], of_four[1]))
noise = [torch.randn(part.shape, generator=generator) for part in gradients[:2]]
claim("Under masks: no", not shows_an_image(*noise))

# %% [markdown]
# "No" means that this attack found nothing. Exercise 2 shows another that does.
#
# ## Practice
#
# **Exercise 1** (20 minutes). *Pack.* A ciphertext with a 512-bit key holds whole numbers of over 500 bits; a 16-bit update needs few of them. Put ten whole numbers between −1,000 and 1,000 into one ciphertext, so that sums of up to 100 such ciphertexts give all ten sums.
#
# <details><summary>Hint 1: a number system</summary>
#
# `u[0] + u[1] * B + u[2] * B**2` holds three numbers, and so on. How large must the base `B` be, so that no sum spills over into its neighbour?
#
# </details>
#
# <details><summary>Hint 2: signs</summary>
#
# Add 1,000 to each number first, and take off what was added when you read the sum: you know how many there were.
#
# </details>

# %% tags=["hide-cell"]
# Solution: sums of 100 numbers up to 2,000 stay below B = 2^18. Ten of them need 180
# bits. Encryption and bytes per number fall by a factor of ten.
B = 2**18


def pack(values):
    return sum((value + 1000) * B**place for place, value in enumerate(values))


def unpack(whole, count):
    return [whole // B**place % B - 1000 * count for place in range(10)]


draws = np.random.default_rng(seed()).integers(-1000, 1001, size=(7, 10)).tolist()
packed = [public.encrypt(pack(values), bound=B**10) for values in draws]
sums = unpack(private.decrypt(sum(packed)), count=7)
claim("Ten sums from one ciphertext", sums == np.sum(draws, axis=0).tolist())

# %% [markdown]
# **Exercise 2** (20 minutes). *Batches are no shelter.* Take the gradient of the first layer for a batch of eight digits, in a network with 400 hidden units. Divide each row by its bias, as in {eq}`eq-mpc-linear-leak`. Are there rows that are one of the digits?
#
# <details><summary>Hint 1: which rows</summary>
#
# A row belongs to a unit. With ReLU, an image that does not turn the unit on adds nothing to its row. You want units that exactly one image turns on; bias them downwards and there are more.
#
# </details>
#
# <details><summary>Hint 2: how to tell</summary>
#
# Compare each row with each of the eight normalised digits: the smallest distance is near zero where the row is a digit.
#
# </details>

# %% tags=["hide-cell"]
# Solution: units that one image alone turns on give that image, and a server that
# chooses the model can make more of them: it lowers the biases.
wide = MLP(400)
with torch.no_grad():
    flat = wide.layers[:2](train.images[:8])
    wide.layers[2].bias -= (flat @ wide.layers[2].weight.T).quantile(0.9, dim=0)
batch = torch.autograd.grad(
    cross_entropy(wide, train.images[:8], train.labels[:8]), wide.parameters()
)
rows = batch[0][batch[1] != 0] / batch[1][batch[1] != 0][:, None]
distances = torch.cdist(rows, flat).min(dim=0).values
claim(
    "At least six of eight digits are read off the batch", (distances < 0.1).sum() >= 6
)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? A phone sends the gradient of one image through a network whose first layer is linear. What does the server learn?
# - Only how to improve the model :: The gradient is a function of the image, and here it can be inverted.
# + The image and its label, exactly :: Each row of the weight's gradient is the image times a number, and that number is the bias's gradient.
# - A blurred image at best :: Of a batch, perhaps. Of one image the formula is exact.
# ? Which of these can anybody compute from Paillier ciphertexts of $u$ and $u'$, without the private key?
# + A ciphertext of $3u - u'$ :: Multiply, take powers, and invert modulo $n^2$.
# - A ciphertext of $u\,u'$ :: That takes a fully homomorphic scheme, or help from whoever has the key.
# - Whether $u$ equals $u'$ :: Equal numbers have different ciphertexts, since $r$ is fresh.
# ? Four parties hold additive shares of a number. Three of them put theirs together. What do they know?
# - Three quarters of its digits :: The shares are no pieces of its digits.
# - A rough estimate of it :: Every value remains exactly as likely as before.
# + Nothing at all :: Three shares are uniform, whatever the number is; no computing power changes that.
# ? Why does a client in secure aggregation add a mask of its own?
# - So that the pairwise masks cancel :: They cancel without it.
# + So that an update that comes late is not readable :: The server has been given the key of a client that it called lost.
# - To make the sum differentially private :: It is taken off the sum again, exactly.
# ? The sum of all updates was computed without anybody seeing an update. Is the training private?
# - Yes, that is what was proved :: What was proved is that nothing but the sum is seen.
# + Not by that :: The sum can give people away, and so can the model. Noise limits it, with an epsilon that one can attack.
# - Yes, if there are more than ten clients :: There is no such number.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Sums that nobody can open are a solved problem, at a price that one can state. They are exact, they need no trust in the server, and secure aggregation runs on phones. Shares do not even rest on an assumption about computers.
#
# **Limitations.** They protect the way to the result, not the result. They assume parties that follow the protocol; what holds against those who do not is longer and dearer. Anything beyond sums costs a lot: a network under encryption is slower by factors of thousands. And what nobody can see, nobody can check.
#
# **Software.** [TenSEAL](https://github.com/OpenMined/TenSEAL) and [OpenFHE](https://openfhe.org) for encryption that also multiplies; [MP-SPDZ](https://github.com/data61/MP-SPDZ) for computing on shares; [Flower](https://flower.ai) for federated learning, with secure aggregation. In this library, for reading: `privacy.generate_keypair`; `privacy.share`, which makes a `privacy.Share` for each party, `privacy.reconstruct`, `privacy.beaver_triple`, which makes a `privacy.BeaverTriple`, `privacy.multiply`, `privacy.shamir_share`, `privacy.shamir_reconstruct`,
# `privacy.secure_aggregation`, `privacy.federated_averaging`; and for attacking what was built: `privacy.linear_gradient_leakage`, `privacy.gradient_leakage`.
#
# ## What to take away
#
# A gradient is data. If updates must travel, add them up unseen: encrypted, in shares, or under masks. Each way has a sentence that begins "provided that", and the sentence is the security. None of them touches what the sum itself says. For that there is noise, and an $\varepsilon$ that somebody has tried to break.
# Next: [what a language model remembers, and whether it can forget](memory_and_forgetting.ipynb).
