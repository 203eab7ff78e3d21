# %% [markdown]
# # 8.4 What the law asks
#
# Engineers ask lawyers whether they may, and lawyers ask engineers what it does. This page is for the moment before both talk. It says which European rules ask for what this book measures, with article, source and date; both sides of what is disputed; and where the words are open. It is no legal advice, and it grows old: what is
# written here was checked on 1 December 2026.
#
# **What you will learn**
#
# - the classes of the European AI Act, what each asks, and from when on;
# - which chapter of this book measures what articles 9 to 15 ask for;
# - what the GDPR says about decisions by machine, and what it does not say;
# - copyright in training data, on both sides of the Atlantic;
# - to sort a described system by questions, and to see which questions no program can answer.
#
# **Before you start**: [0.1](../00_foundations/trust.ipynb), where this page stands in the pipeline, and [8.3](audit_trail.ipynb). The symbols are those of the [notation page](../../book/notation.md).
#
# **Time**: 20 minutes to read; {{ cpu_seconds }} to run.

# %%
from dataclasses import dataclass
from datetime import date

import matplotlib.pyplot as plt

from tml_helpers.claims import claim
from tml_helpers.plotting import COLOURS, use_style

use_style()
CHECKED = date(2026, 12, 1)

# %% [markdown]
# ## The question: what must be shown, and to whom?
#
# A rule is data, too: who must do what, by which article, from when, and where that stands. So this page keeps its rules as records, and every sentence below that names an article is one of them.


# %%
@dataclass(frozen=True)
class Rule:
    """One provision: law and article, what it asks, from when, and where to read it."""

    law: str
    article: str
    asks: str
    since: date | None  # None: in force before 2024
    source: str
    chapter: str = ""  # of this book, where it measures it


ANNEX_III, ANNEX_I = date(2027, 12, 2), date(2028, 8, 2)  # as amended in 2026
SOURCES = {  # the official texts, under eur-lex.europa.eu/eli/
    "AI Act": "reg/2024/1689/oj",
    "GDPR": "reg/2016/679/oj",
    "Directive 2019/790": "dir/2019/790/oj",
}

# %%
TABLE = """
AI Act | 5 | some practices are forbidden | 2025-02-02 |
AI Act | 9 | a risk management system | 2027-12-02 | 0, 2, 3
AI Act | 10 | governance of the data, biases looked for | 2027-12-02 | 5
AI Act | 11 | technical documentation | 2027-12-02 | 8.2
AI Act | 12 | events are recorded automatically | 2027-12-02 | 8.3
AI Act | 13 | deployers can interpret what comes out | 2027-12-02 | 4, 8.2
AI Act | 14 | humans can oversee it | 2027-12-02 | 4
AI Act | 15 | accuracy, robustness, cybersecurity | 2027-12-02 | 2, 3
AI Act | 50 | people know a machine and its products | 2026-08-02 | 7.4
AI Act | 53 | general models: documents, copyright policy | 2025-08-02 | 7.4
AI Act | 86 | an explanation of a decision | 2027-12-02 | 4
GDPR | 15 | meaningful information about the logic | | 4
GDPR | 17 | erasure, in the cases it lists | | 6.6, 8.3
GDPR | 22 | no decision by machine alone, with exceptions | | 4, 5
Directive 2019/790 | 3 | mining for research is allowed | | 7.4
Directive 2019/790 | 4 | mining is allowed unless reserved | | 7.4
"""


# %%
def rules(table):
    """The lines of a table as rules."""
    for line in table.strip().splitlines():
        law, article, asks, since, chapter = map(str.strip, line.split("|"))
        day = date.fromisoformat(since) if since else None
        yield Rule(law, article, asks, day, SOURCES[law], chapter)


RULES = list(rules(TABLE))
claim("Each rule has a source", all(rule.source for rule in RULES))
named = sum(bool(rule.chapter) for rule in RULES)
claim("Most rules name a chapter", named > len(RULES) / 2)

# %% [markdown]
# ## The AI Act, by classes of risk
#
# Regulation (EU) 2024/1689 {cite}`eu2024aiact` sorts *systems by their use*, not models by their build.
#
# - **Forbidden** (article 5): among others manipulation that harms, social scoring, collecting faces from the web without a target, reading emotions at work and in schools, with exceptions that the article names.
# - **High risk** (article 6): safety parts of regulated products (annex I), and uses in eight fields (annex III): biometrics, critical infrastructure, education, employment, essential services (credit among them), law enforcement, migration, justice. They must meet articles 9 to 15.
# - **With duties of transparency** (article 50): who talks to a machine must be told; what a generator makes must be marked so that machines can tell.
# - **All others**: no duties of this kind.
#
# Apart from these, providers of **general-purpose models** have duties of their own (article 53): documentation, a policy on copyright, a summary of what was trained on.
#
# The dates were changed. As published in 2024, the duties for high risk were to apply from 2 August 2026, those of annex I a year later. An amending regulation, the Digital Omnibus on AI, was adopted on 29 June 2026 {cite}`eu2026omnibus`: annex III from **2 December 2027**, annex I from **2 August 2028**. The duties of transparency were not moved, except that generators that were on the market before August have until
# 2 December 2026 to mark what they make; from that day, too, systems that make intimate pictures of people without their consent are forbidden. So on the day of this page most of articles 9 to 15 bind nobody yet. In favour of the delay it is said that the standards by which one could comply are not ready; against it, that people are scored today.


# %%
def applies(rule, on=CHECKED):
    """Whether a rule applies on a day."""
    return rule.since is None or rule.since <= on


waiting = [rule.article for rule in RULES if not applies(rule)]
claim(
    "Not yet: 9 to 15, and 86",
    waiting == ["9", "10", "11", "12", "13", "14", "15", "86"],
)
claim("In 2028 all", all(applies(rule, date(2028, 1, 1)) for rule in RULES))

# %% tags=["hide-input", "fig-law-timeline"] mystnb={"image": {"alt": "A line of time from 2024 to 2029 with seven marks: August 2024 in force; February 2025 forbidden practices; August 2025 general-purpose models; August 2026 transparency; December 2026 old generators mark; December 2027 annex III; August 2028 annex I. A dashed line marks the day of this page, December 2026; what lies to the right of it is drawn in orange."}}
marks = {
    date(2024, 8, 1): "in force",
    date(2025, 2, 2): "forbidden practices: 5",
    date(2025, 8, 2): "general-purpose models: 53",
    date(2026, 8, 2): "transparency: 50",
    date(2026, 12, 2): "older generators mark",
    ANNEX_III: "high risk, annex III: 9–15",
    ANNEX_I: "high risk, annex I",
}
figure, axis = plt.subplots(figsize=(7, 3))
for row, (day, what) in enumerate(marks.items()):
    hue = COLOURS["blue" if day <= CHECKED else "orange"]
    axis.plot(day, -row, "o", color=hue)
    left = day > date(2026, 11, 1)
    axis.annotate(
        f"{what} ({day:%d.%m.%Y})",
        (day, -row),
        xytext=(-8 if left else 8, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )
axis.axvline(CHECKED, color="grey", linestyle="--", linewidth=1)
axis.set(yticks=[], xlim=(date(2024, 5, 1), date(2029, 1, 1)), ylim=(-6.6, 0.6))
axis.grid(visible=False)
plt.show()

# %% [markdown]
# *From when what applies; the dashed line is the day of this page.* Read it with the date in mind: it has been moved once.
#
# ## What this book measures, and what the articles ask
#
# | article | asks for | in this book |
# |---|---|---|
# | 9 | risks known and foreseeable, found, estimated, acted upon, over the whole life | the picture of [0.1](../00_foundations/trust.ipynb); attacks of chapters 2, 3 and 6 |
# | 10 | data that fit the purpose, examined for biases | [5.1](../50_fairness/where_bias_comes_from.ipynb), [8.2](cards.ipynb) |
# | 11, 13 | documents, instructions that say how good it is for whom | [8.2](cards.ipynb), chapter 4 |
# | 12 | a log of events over its lifetime, kept for six months at least (articles 19, 26) | [8.3](audit_trail.ipynb) |
# | 14 | people who can understand, doubt and stop it | [4.1](../40_interpretability/why_explain.ipynb), [4.6](../40_interpretability/when_explanations_lie.ipynb) |
# | 15 | accuracy, robustness also against poisoning and adversarial examples | chapters 2 and 3 |
# | 50 | marks in what is generated | [7.4](../70_watermarking/generated.ipynb) |
#
# The two sides do not meet by themselves. The Act asks for *appropriate* robustness, and no chapter of this book can say which $\varepsilon$ is appropriate. What a method can do is to give a number, with a threat model and an interval; that it is enough is a judgement.
#
# ## The GDPR and decisions by machine
#
# Article 22 gives people the right not to be subject to a decision based **solely** on automated processing that has legal or similarly strong effects, with exceptions: a contract, a law, consent. In December 2023 the Court of Justice decided that computing a credit score is such a decision by itself where what a bank does hangs on it decisively {cite}`cjeu2023schufa`. In February 2025 it decided what must be told: the procedure
# and principles actually applied, in a form that a person can follow; a formula or an algorithm alone is not that; and a trade secret is no answer by itself, but is shown to an authority or a court, which weighs it {cite}`cjeu2025dun`. The court also found it fitting to say how far another value would have led to another result, which is what [4.5](../40_interpretability/examples_and_counterfactuals.ipynb) calls a counterfactual.
#
# Both sides: for those who decide, a human at the end takes the decision out of "solely"; for those who are decided about, a human who always agrees is no human at the end. How much a person must have looked, no court has put in numbers. On a right to explanation in the GDPR itself [4.1](../40_interpretability/why_explain.ipynb) has the dispute.
#
# ## Copyright in training data
#
# In the European Union copies for text and data mining are allowed to research organisations (article 3 of the directive {cite}`eu2019copyright`), and to all others unless the owner has reserved it in a way that machines can read (article 4). Whether training a generator is such mining is disputed: courts in Hamburg said so for the making of a list of pictures {cite}`hamburg2025laion`, and the Court of Justice heard the first case about a language model in March 2026 (C-250/25)
# {cite}`likecompany2026hearing`; we know of no judgment.
#
# In the United States there is no such rule but **fair use**, which is weighed after the fact, case by case. In June 2025 two judges of one court, two days apart, found that training language models on books was fair use: the one because it is highly transformative, though not keeping a library of pirated copies; the other for want of evidence of harm to the market, which he took for the factor that counts most {cite}`fairuse2025two`. Both said how another case might end otherwise.
# [7.4](../70_watermarking/generated.ipynb) has licences, and what authors can do.
#
# ## Sorting a system
#
# Here are the questions of articles 5, 6 and 50 as a program. It is short because it passes all the hard parts on to you.

# %%
FIELDS = (
    "biometrics",
    "infrastructure",
    "education",
    "employment",
    "essential services",
    "law enforcement",
    "migration",
    "justice",
)


# %%
def classify(
    *, forbidden, safety_part, field, only_prepares, profiles, talks_or_generates
):
    """The class of a system by the Act's questions, and what remains to be asked.

    Each answer is True, False or None for "open"; `field` is one of FIELDS or "".
    """
    if field and field not in FIELDS:
        raise ValueError(f"field is one of {', '.join(FIELDS)} or empty; got {field!r}")
    answers = {"forbidden": forbidden, "safety part": safety_part}
    answers |= {"only prepares": only_prepares, "profiles": profiles}
    open_questions = [name for name, answer in answers.items() if answer is None]
    if forbidden:
        return "forbidden", open_questions
    excepted = only_prepares is True and profiles is False  # article 6(3)
    if safety_part or (field and not excepted):
        return "high risk", open_questions
    if talks_or_generates:
        return "transparency", open_questions
    return "no duties of this kind", open_questions


# %%
credit = classify(
    forbidden=False,
    safety_part=False,
    field="essential services",
    only_prepares=None,
    profiles=True,
    talks_or_generates=False,
)
print(f"a credit score: {credit[0]}; open: {', '.join(credit[1])}")
claim("Credit scoring of people: high risk", credit[0] == "high risk")

# %% [markdown]
# `only_prepares` and `profiles` stand for article 6(3): a system in one of the eight fields is not of high risk where it does a narrow or preparatory task and has no material influence on the decision; if it profiles people, it always is. Is a program that sorts the pile of applications "preparatory"? That is the question, and no program has the answer: `None` is an honest value. What the function does by itself is to
# take these two, where they are open, in the stricter way, and to hand back what is open.

# %%
chat = classify(
    forbidden=False,
    safety_part=False,
    field="",
    only_prepares=None,
    profiles=False,
    talks_or_generates=True,
)
claim("A chat program: transparency", chat[0] == "transparency")
sorter = {"forbidden": False, "safety_part": False}
sorter |= {"field": "employment", "profiles": False, "talks_or_generates": False}
claim(
    "Open is taken strictly", classify(**sorter, only_prepares=None)[0] == "high risk"
)
claim("Answered, it may fall", classify(**sorter, only_prepares=True)[0] != "high risk")

# %% [markdown]
# ## What goes wrong
#
# A list of rules on a web page is wrong some months later; this one was wrong already once, while it was young. Summaries of law copy each other, also their errors: while checking, we met pages that gave different days for one article. Read the official text, and its consolidated version.
#
# ## How to judge a claim of compliance honestly
#
# "Compliant with the AI Act" is a sentence without a number. Ask: which class, and who decided that? Which article, shown by which measurement, on which data? By whom, and when? As code, for this page: is any rule without date or source, and how old is the page?


# %%
def stale(rules, checked, today, days=180):
    """Whether the page has to be read again before it is believed."""
    return (today - checked).days > days or any(not rule.source for rule in rules)


claim("Today's page is fresh", not stale(RULES, CHECKED, date(2026, 12, 15)))
claim("In a year it is not", stale(RULES, CHECKED, date(2027, 12, 1)))

# %% [markdown]
# ## Outside the Union
#
# Other places regulate by sector, by state, or by standards that bind nobody, and change faster than a book. What holds everywhere: whoever has a threat model, measurements with intervals, a card and a log can answer most of what any of these rules asks. Whoever has none can't, whatever the law.
#
# ## Practice
#
# **Exercise 1** (10 minutes). *Three systems.* Classify: a program that grades essays in schools; a filter that moves spam to a folder; a generator of portraits for advertisements. Which answers are open?
#
# <details><summary>Hint: the fields</summary>
#
# Education is one of the eight; post is not.
#
# </details>

# %% tags=["hide-cell"]
# Solution: high risk (education), nothing, transparency. Open: whether the grades only
# prepare a teacher's; and what "no material influence" is.
none = {
    "forbidden": False,
    "safety_part": False,
    "only_prepares": False,
    "profiles": False,
}
found = [
    classify(**none, field=field, talks_or_generates=makes)[0]
    for field, makes in (("education", False), ("", False), ("", True))
]
claim(
    "High risk, none, transparency",
    found == ["high risk", "no duties of this kind", "transparency"],
)

# %% [markdown]
# **Exercise 2** (20 minutes). *What would you show?* A bank's credit model is of high risk. For articles 10, 12 and 15 name one measurement each from this book that you would put into the file, with its threat model or data, and say what it does not show.
#
# <details><summary>Hint: one number each</summary>
#
# False refusals by group (5.3); a signed head (8.3); accuracy under perturbed inputs (2.6).
#
# </details>

# %% tags=["hide-cell"]
# Solution, for instance: error rates by group with intervals, on last year's applicants
# (not: those who never applied); a log whose head a third party holds (not: what was
# never logged); accuracy where income may be misstated by 5 % (not: other lies).
asked = {r.article: r.chapter for r in RULES if r.law == "AI Act"}
mine = [asked[article] for article in ("10", "12", "15")]
claim("Chapters 5, 8.3, and 2 with 3", mine == ["5", "8.3", "2, 3"])

# %% [markdown]
# **Quiz**
#
# ```{quiz}
# ? Does the AI Act regulate neural networks?
# + It regulates uses; the same network may be free in one and of high risk in another :: General-purpose models have duties of their own.
# - Only large ones :: Size matters for general-purpose models alone.
# - All of them :: Most uses have no duties.
# ? A score decides nothing, says its maker: the bank does. Is article 22 of the GDPR out?
# - Yes, since a human decides :: Not where that human's decision hangs on the score.
# + Not if the bank's decision hangs on the score decisively :: So the Court of Justice in 2023.
# - Scores are never decisions :: That was the maker's argument.
# ? A person asks why. The bank sends the formula. Is that enough?
# - Yes, it is complete :: It is not what a person can follow.
# + No: the procedure and principles actually applied, in plain words :: And how another value would have changed it may help.
# - Nothing has to be told, for it is a trade secret :: A secret is shown to an authority or a court, which weighs.
# ? On 1 December 2026, must a credit model meet article 15 of the Act?
# - Yes, since August 2026 :: That was the date before the amendment.
# + Not by the Act: its duties for annex III apply from 2 December 2027 :: Other laws may ask for the same.
# - No, never :: In a year.
# ```
#
# ## Strengths, limitations, sources
#
# **Strengths.** Each rule has its article, its day and its source, and a test fails where one is missing.
#
# **Limitations.** One page, one Union, one day. Summaries leave out exceptions, and exceptions are where cases are decided. We are no lawyers. What could not be confirmed was left out: fines, national laws, standards.
#
# **Software and sources.** No program decides such questions. The official texts: the [AI Act](https://eur-lex.europa.eu/eli/reg/2024/1689/oj), the [GDPR](https://eur-lex.europa.eu/eli/reg/2016/679/oj), the [copyright directive](https://eur-lex.europa.eu/eli/dir/2019/790/oj). Ask for their consolidated versions.
#
# ## What to take away
#
# Law asks for what this book measures, in words that need a judgement. Say the article, the date and the source; keep open what is open, and treat it strictly. A measurement with a threat model is a good answer to any rule. Next: [the kernels](../09_kernels/distillation_loss.ipynb), which carry the work.
