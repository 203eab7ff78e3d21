# %% [markdown]
# # 8.3 Who answers for it: an audit trail
#
# In March a program refuses a mortgage. In November the applicant asks why. By then the model has been trained anew, the threshold has moved, and whoever
# looks into the file sees only that the answer was no. Who is responsible when a model does harm? Nobody can say, unless somebody wrote down at the time which model decided what, and
# unless the paper cannot be changed afterwards. This lecture builds such a paper: a log in which every later change is found, and a list of what it cannot show.
#
# **What you will learn**
#
# - what makes responsibility traceable, enforceable and useful;
# - to log a decision so that it can be repeated months later;
# - a chain of hashes, and at which line it finds which of sixteen attacks;
# - what only a signed head in somebody else's hands finds, and what nothing finds;
# - how a person's data can be erased from a log that must not change.
#
# **Before you start**: [0.1](../00_foundations/trust.ipynb), where this page stands in the pipeline. The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 25 minutes to read; {{ cpu_seconds }} to run.

# %%
import hashlib
import json
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from tml_helpers.claims import claim, seed
from tml_helpers.data import loan_applications
from tml_helpers.impact import (
    AuditLog,
    canonical,
    commit,
    model_digest,
    signing_key,
)
from tml_helpers.plotting import COLOURS, use_style

use_style()
folder = Path(tempfile.mkdtemp())  # the logs of this page lie here

# %% [markdown]
# ## The question: what happened in March?
#
# The data are 1,989 applications for a mortgage; read their [card](../../book/data_cards/loan_applications.md) first. The label says what a bank decided, and the applicants did not ask to
# be in a book. A program learns from four columns: debts and housing costs as shares of income, the loan as a share of the price, and whether payments were late before.
# Its numbers are a network's parameters, so that one digest can stand for all of them.

# %%
table = loan_applications()
columns = ["obrat", "hrat", "loanprc", "chist"]
known = table[columns].notna().all(axis=1)
rows = table.loc[known, columns].to_numpy(dtype=np.float32)  # (n, 4)
approved = table.loc[known, "approve"].to_numpy()


class Scorer(nn.Module):
    """Standardised columns, one weight each, and the logistic function."""

    def __init__(self, rows, labels):
        super().__init__()
        fitted = LogisticRegression().fit((rows - rows.mean(0)) / rows.std(0), labels)
        self.register_buffer("mean", torch.from_numpy(rows.mean(0)))
        self.register_buffer("std", torch.from_numpy(rows.std(0)))
        self.weight = nn.Parameter(torch.tensor(fitted.coef_[0], dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(fitted.intercept_, dtype=torch.float32))

    def forward(self, rows):
        return torch.sigmoid(((rows - self.mean) / self.std) @ self.weight + self.bias)


# %%
order = np.random.default_rng(seed()).permutation(len(rows))
march, november = (
    Scorer(rows[part], approved[part]) for part in np.array_split(order, 2)
)

# %% [markdown]
# The bank's program of March was fitted to one half of the applications, that of November to the other half. Both are sensible. For whom does the answer change?

# %%
with torch.no_grad():
    then, now = march(torch.from_numpy(rows)), november(torch.from_numpy(rows))
threshold = float(then.quantile(0.12))  # as many are refused as the banks refused
changed = (then < threshold) != (now < threshold)
claim("Some people get the other answer from the other model", changed.sum() > 5)

# %% tags=["hide-input", "fig-audit-two-models"] mystnb={"image": {"alt": "A cloud of dots along a diagonal: each applicant's score from the model of March, across, and from the model of November, upwards. Two lines mark the threshold. Most dots lie near the diagonal; some, drawn in orange, lie in the two corners where one model refuses and the other does not."}}
figure, axis = plt.subplots(figsize=(5, 3.6))
for part, colour, name in (
    (~changed, "blue", "same answer"),
    (changed, "orange", "another answer"),
):
    axis.scatter(then[part], now[part], s=8, color=COLOURS[colour], label=name)
axis.axvline(threshold, color="grey", linewidth=1)
axis.axhline(threshold, color="grey", linewidth=1)
axis.set(xlabel="score in March", ylabel="score in November")
axis.legend(loc="lower right")
plt.show()

# %% [markdown]
# *The same applicants under two models. Orange: refused by one of them alone.* Whoever answers in November with November's model gives these people the reasons of a decision that was never made about
# them. The example is mild: same columns, same method, same year.
#
# ## Three words, and what they ask for
#
# Responsibility that works is **traceable**: from a decision one can go back to the model, the input and the people who put them in place. It is **enforceable**: somebody outside can check the
# trace, and the one who is responsible cannot mend it afterwards. And it is **useful**: the trace answers the question that is asked, which is seldom "what were the weights" and mostly "why I, and what can
# I do". A log gives the first. This page's chain gives the second. The third depends on what was logged.
#
# For high-risk systems European law asks for logs by name: such a system must allow events to be recorded automatically over its lifetime (article 12 of the AI Act), and the logs are kept
# for at least six months (articles 19 and 26); [8.4](law.ipynb) has the sources, and what is still open.
#
# ## What belongs into a record
#
# Enough to repeat the decision, and no more. Here: which model, by the digest of its numbers; the input, exactly; score and threshold; the decision and the column that spoke most against it; the hour, and
# who put the model to work.


# %%
def decide(model, row, case, hour):
    """A decision, and all that is needed to make it again."""
    inputs = dict(zip(columns, map(float, row), strict=True))
    with torch.no_grad():
        score = float(model(torch.from_numpy(row)))
        pushes = (torch.from_numpy(row) - model.mean) / model.std * model.weight
    return {
        "case": case,
        "hour": hour,
        "model": model_digest(model),
        "released by": "credit risk, release 7",
        "inputs": inputs,
        "score": score,
        "threshold": threshold,
        "decision": "refuse" if score < threshold else "grant",
        "most against": columns[int(pushes.argmin())],
    }


refused = np.flatnonzero(then.numpy() < threshold)

# %%
cases = np.concatenate([refused[:3], order[:5]])
records = [
    decide(march, rows[case], int(case), f"2026-03-02 {9 + place}:00 UTC")
    for place, case in enumerate(cases)
]
print(", ".join(records[0]))

# %% [markdown]
# Months later, the same model, found by its digest in the bank's archive, must give the same answer. We ask both.


# %%
def replayed(model, record):
    """Whether this model is the one that decided, and decides so again."""
    row = np.array([record["inputs"][name] for name in columns], dtype=np.float32)
    again = decide(model, row, record["case"], record["hour"])
    return again == record


claim("March's model repeats all", all(replayed(march, one) for one in records))
claim("November's none", not any(replayed(november, one) for one in records))

# %% [markdown]
# That is exact because one machine did both. On another processor a score may differ in its last digit, and a decision that hangs on that digit may flip. So log the score, and compare within a tolerance that
# is far smaller than any reason to decide.
#
# ## The chain
#
# Let $r_1, r_2, \dots$ be the records, each written in one way only: keys sorted, no spaces, the shortest digits. Each entry carries a hash
#
# $$
# h_i = H(i,\; h_{i-1},\; r_i), \qquad h_0 = 0\dots0,
# $$ (eq-audit-chain)
#
# where $H$ is SHA-256, a function whose value nobody can hit on purpose with another input. In words: the hash of an entry covers its place, its record and the hash before it, and so everything that came before. The
# idea is Haber's and Stornetta's {cite:p}`haber1991timestamp`, for documents; for logs it is Schneier's and Kelsey's {cite:p}`schneier1999secure`. By hand it is five lines.


# %%
def chained(records):
    """The hashes of a chain, by hand."""
    hashes = ["0" * 64]
    for index, record in enumerate(records):
        entry = {"index": index, "previous": hashes[-1], "record": record}
        text = json.dumps(
            entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        hashes.append(hashlib.sha256(text.encode()).hexdigest())
    return hashes[1:]


log = AuditLog(folder / "decisions.jsonl")
hashes = [log.append(record) for record in records]
claim("By hand and by library: the same hashes", hashes == chained(records))
claim("The log gives the records back", list(log) == records)

# %% [markdown]
# `AuditLog` is a file with one line for each decision. `append` waits until the disk has it and returns the hash. What JSON would not give back as it was, a tuple, a NaN, a tensor, is refused by `canonical` with one sentence.
#
# ## Sixteen attacks
#
# Whoever can write to the file can try anything. Here are attacks on the log above; each starts from the true lines.

# %%
lines = log.path.read_bytes().splitlines(keepends=True)


def mended(line):
    """A changed record whose own hash is right again."""
    entry = json.loads(line.replace(b'"refuse"', b'"grant"'))
    del entry["hash"]
    entry["hash"] = hashlib.sha256(canonical(entry)).hexdigest()
    return canonical(entry) + b"\n"


def reordered(line):
    """The same entry with its keys from the last to the first."""
    entry = dict(reversed(json.loads(line).items()))
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


other = AuditLog(folder / "other.jsonl")
for record in records:
    other.append(record | {"released by": "somebody else"})
theirs = other.path.read_bytes().splitlines(keepends=True)

# %%
a = lines
attacks = {
    "one digit changed": [a[0].replace(b"0.", b"1.", 1), *a[1:]],
    "refuse becomes grant": [a[0], a[1].replace(b"refuse", b"grant"), *a[2:]],
    "the same, its hash mended": [a[0], mended(a[1]), *a[2:]],
    "a line dropped": [*a[:3], *a[4:]],
    "the first dropped": a[1:],
    "two exchanged": [*a[:2], a[3], a[2], *a[4:]],
    "a line twice": [*a[:3], a[2], *a[3:]],
    "another log's line": [*a[:3], theirs[3], *a[4:]],
    "a line added": [*a[:5], theirs[5], *a[5:]],
    "keys in another order": [reordered(a[0]), *a[1:]],
    "a key twice": [a[0].replace(b'"case":', b'"case":1,"case":', 1), *a[1:]],
    "spaces": [a[0].replace(b":", b": "), *a[1:]],
    "lines end as on Windows": [line.replace(b"\n", b"\r\n") for line in a],
    "torn at the end": [*a[:-1], a[-1][:30]],
    "its end cut off": a[:-2],
    "all written anew": None,
}


# %%
def attacked(name, content):
    """A file that an attack has left behind."""
    path = folder / f"{name}.jsonl"
    if content is None:  # the owner writes a chain without a fault
        path.unlink(missing_ok=True)
        anew = AuditLog(path)
        for record in records:
            anew.append(record | {"decision": "grant"})
    else:
        path.write_bytes(b"".join(content))
    return path


files = {name: attacked(name, content) for name, content in attacks.items()}
found = {name: AuditLog.verify(path) for name, path in files.items()}
for name, report in found.items():
    print(f"{name:<26} {report}")

# %%
missed = [name for name, report in found.items() if report.intact]
claim("Fourteen of sixteen are found", len(missed) == 2)
claim("Not its end, nor a new log", missed == ["its end cut off", "all written anew"])

# %% [markdown]
# Read the third line. The attacker mended the changed record's own hash, so that the record looks right, and the *next* line gives it away. To hide it they must write all lines that follow. That costs nothing: hashing is fast. So the
# chain alone stops a careless attacker, and not the owner of the file.
#
# ## A head in other hands
#
# What stops the owner is a promise that lies elsewhere. The **head** of a log is the number of its entries and the last hash: 64 letters, which promise all that came before. Its owner signs it with a private key, and gives it to
# somebody who will keep it: the regulator, a competitor, a newspaper, the applicant. With the public key anybody can check who signed.

# %%
keys, strangers = signing_key(), signing_key()
head = log.sign(keys.private)  # given away on 2 March, in the evening
with_head = {
    name: AuditLog.verify(path, head=head, public_key=keys.public)
    for name, path in files.items()
}
for name in missed:
    print(f"{name:<18} {with_head[name]}")
claim("With the head, all", not any(report.intact for report in with_head.values()))
forged = log.sign(strangers.private)
claim("A stranger's head promises nothing", not forged.signed_by(keys.public))

# %%
log.append(decide(march, rows[order[9]], int(order[9]), "2026-03-03 09:00 UTC"))
later = AuditLog.verify(log.path, head=head, public_key=keys.public)
claim("The log may grow under an old head", later.intact and later.entries == 9)

# %% tags=["hide-input", "fig-audit-chain"] mystnb={"image": {"alt": "Two rows of five boxes, linked by arrows from left to right. In the upper row all boxes are blue; an arrow leads from the fourth box down to a key with the words: signed head, kept elsewhere. In the lower row the second box is orange, and so are all boxes after it; the fourth is crossed by the words: another hash than was promised."}}
figure, axis = plt.subplots(figsize=(7, 2.8))
for row, first_bad in ((1.6, 9), (0.3, 1)):
    for place in range(5):
        colour = COLOURS["orange" if place >= first_bad else "blue"]
        box = plt.Rectangle((1.5 * place, row), 1, 0.7, facecolor=colour)
        axis.add_patch(box)
        name = f"$h_{place + 1}$" if place < first_bad else f"$h'_{place + 1}$"
        axis.text(1.5 * place + 0.5, row + 0.35, name, ha="center", va="center")
        if place < 4:
            arrow = {"arrowstyle": "->", "color": "grey"}
            tip, tail = (
                (1.5 * place + 1.48, row + 0.35),
                (1.5 * place + 1.02, row + 0.35),
            )
            axis.annotate("", tip, tail, arrowprops=arrow)
axis.annotate(
    "signed head,\nkept elsewhere",
    (5, 1.6),
    (6.9, 1.35),
    va="center",
    arrowprops={"arrowstyle": "<-", "color": "grey"},
)
axis.text(6.9, 0.5, "$h'_4$ is not what\nwas promised")
axis.set(xlim=(-0.2, 9.3), ylim=(0, 2.6))
axis.axis("off")
plt.show()

# %% [markdown]
# *Above, a chain whose fourth hash was signed and given away; below, the same after record 2 was changed and the rest written anew.* Every later hash differs. The owner can compute them all, and cannot change the one that lies elsewhere.
#
# ## What goes wrong: what the log cannot show
#
# Before anybody trusts a log, they should know its holes. None of these is found by any hash.

# %%
quiet = AuditLog(folder / "quiet.jsonl")
for record in records:
    if record["decision"] == "grant":  # the refusals were never logged
        quiet.append(record)
claim("What was never logged, no chain shows", AuditLog.verify(quiet.path).intact)

liar = AuditLog(folder / "liar.jsonl")
for record in records:
    liar.append(record | {"most against": "the weather"})
claim("A lie, logged in time, stands as firm", AuditLog.verify(liar.path).intact)

# %% [markdown]
# - **What was never logged.** The remedy is outside: each person gets the entry's hash with the letter, and a letter without a hash is no decision.
# - **A lie that was logged at once.** The chain keeps it just as well as a truth. The replay above finds some lies: a score that the named model does not give.
# - **The time.** The chain proves the order. The hour is what the owner wrote. A head that somebody received on 2 March proves that all before it is no younger.
# - **Two heads.** An owner may keep two logs, and show each witness another one. Witnesses must talk to each other. Public logs of certificates are built so {cite:p}`rfc6962`: a tree of hashes in place of a chain, so that one entry, or
#   that a log has only grown, is proved by a few hashes and not by reading all.
# - **After the last head.** What was written since can be written anew. So heads are given away often.
#
# ## Permanent, and erasable
#
# A log that must not change, and a person who may ask that their data be erased: article 17 of the GDPR gives that right in several cases, and not in all, for instance not where a law obliges to keep them ([8.4](law.ipynb)). If the inputs stand in the log, one of the two must give. So put a
# **commitment** there in place of the inputs: $\operatorname{HMAC}(\text{salt}, \text{inputs})$, under a salt of 32 random bytes that lies elsewhere. A plain hash would not do, for there are few incomes, and all can be tried.

# %%
income = {"income": 3200}
plain = hashlib.sha256(canonical(income)).hexdigest()
tried = [
    guess
    for guess in range(10_000)
    if hashlib.sha256(canonical({"income": guess})).hexdigest() == plain
]
claim("A plain hash of an income is read by trying all", tried == [3200])
sealed = commit(income)
claim("A commitment opens with its salt", sealed.opens(income))
claim("and for no other value", not sealed.opens({"income": 3201}))

# %% [markdown]
# The log keeps `sealed.digest` for ever; salt and inputs lie in a data base. To answer the applicant, open it: the log proves that these were the inputs. To forget them, delete salt and inputs: the digest says no more, and the
# chain stands. What also must be looked for: copies, backups, and the score, which may tell the income by itself.
#
# ## Speed
#
# A decision costs one line and one wait for the disk; checking reads the file once.

# %% tags=["nbval-ignore-output"]
large = AuditLog(folder / "large.jsonl")
began = time.perf_counter()
for number in range(300):
    large.append(records[0] | {"case": number})
middle = time.perf_counter()
AuditLog.verify(large.path)
ended = time.perf_counter()
print(f"{300 / (middle - began):,.0f} decisions a second are written")
print(f"{300 / (ended - middle):,.0f} are checked")

# %% [markdown]
# ## The card
#
# | | |
# |---|---|
# | **goal** | to have decided otherwise than one did, or never to have decided |
# | **knowledge** | all: the file, this code, every hash |
# | **capability** | write, delete and reorder the file; with the private key also sign; not: change a head that others hold, find two inputs with one hash |
# | **found** | any change before the last head that is held elsewhere |
# | **out of scope** | what was never logged, what was logged falsely, the clock, an owner who shows two logs to people who do not talk |
#
# ## Practice
#
# **Exercise 1** (15 minutes). *How often to sign?* A bank makes 1,000 decisions a day and signs a head each evening. In a week in which somebody has the private key and the file for one hour at noon, how many decisions can they still change without being found? Write a function of the decisions a day and the heads a day, and
# say what a head every hour would change.
#
# <details><summary>Hint: where the promise ends</summary>
#
# Everything up to the last head that is held elsewhere is safe. What came since?
#
# </details>

# %% tags=["hide-cell"]
# Solution: those since the last head. At noon these are half a day's, 500; with hourly
# heads at most an hour's, about 42. The key does not help to change older ones.


def open_decisions(a_day, heads_a_day, hours_since_midnight):
    """How many decisions no head promises yet."""
    between = 24 / heads_a_day
    return a_day * (hours_since_midnight % between or between) / 24


claim("Daily: 500 at noon", open_decisions(1000, 1, 12) == 500)
claim("Hourly: at most 42", round(open_decisions(1000, 24, 12)) == 42)

# %% [markdown]
# **Exercise 2** (20 minutes). *A proof for one applicant.* The applicant holds the hash of their entry and the signed head. The bank wants to prove that the entry is in the log without showing other people's records. With a chain, what is the least that it must hand over, and how does that grow? Write the check.
#
# <details><summary>Hint 1: what a hash needs</summary>
#
# $h_i$ is computed from $i$, $h_{i-1}$ and $r_i$. Which of these belong to other people? Could a hash of $r_i$ stand for it?
#
# </details>
#
# <details><summary>Hint 2: a tree</summary>
#
# With a tree of hashes the path from one leaf to the root has $\log_2 n$ hashes.
#
# </details>

# %% tags=["hide-cell"]
# Solution: for every later entry its record, for our chain hashes records: that shows
# them. A chain over digests of records needs one digest for each later entry, and so
# grows with the log. A tree needs log2(n) hashes, 20 for a million.


def proves(digests_after, mine, promised):
    """Whether a chain over digests leads from my hash to the promised one."""
    for digest in digests_after:
        mine = hashlib.sha256(f"{mine}{digest}".encode()).hexdigest()
    return mine == promised


digests = [hashlib.sha256(canonical(record)).hexdigest() for record in records]
running = ["0" * 64]
for digest in digests:
    running.append(hashlib.sha256(f"{running[-1]}{digest}".encode()).hexdigest())
claim("Entry 3 is in the log", proves(digests[3:], running[3], running[-1]))
claim("One left out: not proved", not proves(digests[4:], running[3], running[-1]))
claim("A tree of a million needs 20", int(np.ceil(np.log2(1_000_000))) == 20)

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? An auditor finds the chain intact. What is shown?
# - That nothing was changed :: The owner may have written all of it anew an hour ago.
# + That the file is one unbroken chain, whoever wrote it and whenever :: For more, compare with a head that was held elsewhere.
# - That the decisions were right :: No hash knows that.
# ? Why does the signed head hold the number of entries?
# + A log whose end was cut off is a chain without a fault :: The number says that something is missing.
# - To sign faster :: The signature covers some bytes more.
# - The hash alone could be of another log :: It could not: the hash covers every record.
# ? A bank logs SHA-256 of the income in place of the income. Is that a pseudonym that nobody can undo?
# - Yes, SHA-256 cannot be inverted :: Not for a random input of 32 bytes; an income is one of a few thousand numbers.
# + No, all incomes can be tried :: A salt that lies elsewhere prevents it.
# - No, SHA-256 is broken :: It is not.
# ? What does the log say about a decision that was never written to it?
# + Nothing :: Who decides must be made to log: by giving each person the hash, or by a system that can't decide without.
# - The chain has a gap :: There is none; the next entry follows on the last.
# - The head would not fit :: It promises what was logged.
# ```
#
# ## Strengths, limitations, software
#
# **Strengths.** Two hundred lines, one file that any program can read, no server. Any change before a head that others hold is found, and the line is named. A decision can be repeated, and an input can be erased.
#
# **Limitations.** One program writes at a time. Whoever checks in another language must write numbers as Python does, for 0.00001 has more than one text. A proof for one entry grows with the log. No availability: who deletes the file has deleted it, and only the heads tell that there was one. Keys must be kept, and what a lost key signs cannot be told from the rest.
# Above all, a log makes nobody responsible. It helps those who ask.
#
# **Software.** [Trillian](https://github.com/google/trillian) and [Rekor](https://github.com/sigstore/rekor) keep trees of hashes at scale; [immudb](https://github.com/codenotary/immudb) is a data base with proofs; MLflow and its like record which model was made from what. In this library:
# `impact.AuditLog`, with `impact.LogHead` and `impact.LogReport`; `impact.signing_key`, which gives a `SigningKey`; `impact.canonical`, `impact.commit` and its `Commitment`; `impact.model_digest`.
#
# ## What to take away
#
# Log what is needed to decide again: model, input, threshold, answer. A chain makes each change reach the end; a head in other hands makes the end firm. What was never logged and what was logged falsely remains a matter of people. Next: [what the law asks](law.ipynb).
