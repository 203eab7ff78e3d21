# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # H0 · An application, and whether it deserves trust
#
# Somewhere a model decides about people right now. You choose one such application,
# describe it, and say what its trust hangs on: in an essay of one to two pages, for a
# reader who is clever and knows nothing of machine learning. No code is asked for. The
# lecture that goes before is [0.1](../../lectures/00_foundations/trust.ipynb), which takes an
# application apart by the questions that you will need.
#
# | task | what you write | points | minutes | difficulty |
# |---|---|---|---|---|
# | 1 | the essay: is it clear? (graded by a human) | 2 | 120 | ●●○ |
# | 2 | its issues of trust, on a card (graded by a human) | 2 | 40 | ●●○ |
# | 3 | what your reader will remember (graded by a human) | 1 | 20 | ●○○ |
#
# **How to work.** `tml start h0` puts a copy of this notebook in a folder of your own.
# Open the copy in JupyterLab or on Colab. Write into the three cells that say
# `YOUR ANSWER HERE`: a double click opens a cell, and running it shows it as your reader
# will see it. Formulas, tables, links and a list of sources are welcome; pictures are not
# needed. Write in your own words, and name each source from which you have a fact.
#
# **How it is graded.** A human reads all three cells together, with the rubrics that stand
# above them. At the end there is an essay of somebody else with its grading: read it
# before you begin, and grade it yourself before you unfold what it got.
#
# **How to submit.** Save, and ask what is missing, in the folder of your copy:
#
# ```
# tml check h0_essay.ipynb
# ```
#
# It answers in plain words. When it says `ready to submit`, submit that one file, under
# that name, where your course says.

# %% [markdown]
# ## Task 1 · The essay
#
# *2 points · 120 minutes · graded by a human, with the rubric below*
#
# Read [lecture 0.1](../../lectures/00_foundations/trust.ipynb).
#
# Choose an application that exists: one that you have met, or about which you find at least
# two sources that do not sell it. In 500 to 900 words:
#
# 1. **What does it do?** What goes in, what comes out, and what does a human still do?
# 2. **Who is who?** Who decides to use it, who pays, whom is it about, and who cannot leave?
# 3. **What can go wrong?** Walk along [the
#    pipeline](../../lectures/00_foundations/trust.ipynb): data, training, model, answer,
#    decision. Choose the two or three places that matter most here, and leave out the rest.
# 4. **How would one know?** For each of them: which measurement would show it, and who could
#    make it?
# 5. **What should be done**, and what does that cost? Say what speaks against you.
#
# *Rubric: clarity.* 1 point: after one reading, somebody from outside the field can tell
# what the application does, whom it touches and what you claim; words of the trade are
# explained where they first stand. ½ point: one thought follows from the last, and every
# paragraph has one; facts have sources, and what is guessed is called a guess. ½ point: 500
# to 900 words, without padding.
#
# <details><summary>Hint 1: the size of the subject</summary>
#
# "Face recognition" is too large for two pages. "The gate at the airport that compares my
# face with my passport" is an application: it has an owner, a camera, and people in a queue.
#
# </details>
#
# <details><summary>Hint 2: an order that works</summary>
#
# Begin with one person at one moment. Then step back: what did the machine see, and what
# did it not see? Your claim comes at the end of the first page, not at the end of the essay.
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "1a_essay", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# **The form that knew too much**
#
# A mother in the Netherlands applies for an allowance that pays part of her child's
# nursery. Her form is complete. It is set aside all the same, an official looks at it with
# suspicion, and nobody can tell her why. What picked her form is a risk model: a program
# that reads applications and gives each a number for how likely it is to be wrong. The forms
# with the highest numbers go to officials for a closer look; all others are paid.
#
# On paper this is sensible. There are more applications than officials, and a sample drawn
# at random would spend their time on forms without a mistake. Nor does the model decide: a
# human does. But the human sees a form *because* it is suspect, and was not told why, as
# Amnesty found [1]. What reaches the desk is a verdict without its reasons.
#
# The office chooses the model, the treasury pays for it, and the parents are scored. They
# cannot leave. A customer who distrusts a bank goes to another; there is no second tax
# office. I claim that in such a place the trust that a model needs is larger than accuracy
# can give, and that this model failed in three places that could have been seen beforehand.
#
# **Data.** The model learnt from applications that officials had found right or wrong
# before. Where they had looked harder at some people, more mistakes were found among them,
# and the model learnt where to look. Feedback of this kind is a guess of mine for this
# model, though a likely one: it follows whenever the labels are made by those whom the model
# will send out. It would show in one experiment: check a few hundred forms drawn at random,
# and compare how often they are wrong at each score. The office alone can make it.
#
# **Training.** Among the features was whether the applicant has Dutch nationality. The data
# protection authority found that this was not needed for the task, and that its use was
# discriminatory; the fine was 2.75 million euros [2]. The right to the allowance does not
# depend on that nationality. Leaving the column out would not be enough, for an address,
# a birthplace or a name says nearly the same. What an auditor has to measure is the outcome:
# of those whose form was right, what share of each group was set aside? That is a rate of
# false alarms, and it needs nothing but the scores, the outcomes and the groups.
#
# **Answer.** No reason came with the score. One might think that secrecy keeps cheats from
# learning the rules. But it hurts the honest ones, too, who could have shown a receipt had
# they known that one was missing.
#
# What should be done? Draw a fixed share of all checks at random, and publish how often the
# score was right among them. Let somebody outside the office compute the rates by group each
# year. Give the official the three features that moved the score most, and give the parent
# the same three with the letter. None of this is free. Random checks find fewer mistakes per
# hour: that is their price, and it should be paid like the price of a smoke detector.
# Reasons can be gamed: whoever knows that income matters may misstate it. I think that this
# is bearable, because income can be checked against the payroll, and a nationality cannot be
# corrected by anybody.
#
# Somebody may object that a human was at the end of the line. That is so, and it is what I
# find hardest. The human was no safeguard: the last person who could have said no had
# been told the least.
#
# *Sources.* [1] Amnesty International, *Xenophobic Machines*, 2021. [2] Autoriteit
# Persoonsgegevens, decision of 25 November 2021 on the Tax Administration, published on 7
# December 2021.

# %% [markdown]
# ## Task 2 · Its issues of trust, on a card
#
# *2 points · 40 minutes · graded by a human, with the rubric below*
#
# Read [lecture 0.1](../../lectures/00_foundations/trust.ipynb).
#
# A table with a row for each of your two or three issues, and these columns: the **question
# of trust** (security, privacy, fairness, interpretability or accountability); **where** in
# the pipeline; **who is hurt**, and who gains; **what that somebody knows and can do**: goal,
# knowledge and capability of an attacker, or, where nobody attacks, what goes wrong by
# itself; **which number would show it**, and which of this book's chapters measures it.
#
# *Rubric: relation to trust.* 1 point: the issues are issues of trust and no others (that a
# product is expensive, slow or ugly is none), they belong to *this* application, and each stands
# at its place in the pipeline. ½ point: an attacker has goal, knowledge and capability; an
# accident has a cause. ½ point: for each issue a number that could come out either way, and
# who could measure it.
#
# <details><summary>Hint 1: a number that could come out either way</summary>
#
# "How fair it is" is no number. "Of a hundred people who would have paid back, how many were
# refused, in each group" is one, and it can exonerate the model, too.
#
# </details>
#
# <details><summary>Hint 2: knowledge and capability</summary>
#
# May the attacker see the weights, or only answers? How many answers? May they change the
# input, or the training data, and by how much?
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "2a_trust", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# | question | where | who is hurt, who gains | what goes wrong, or what an attacker knows and can do | the number that shows it |
# |---|---|---|---|---|
# | fairness | data | parents whose like were checked more; the office, whose hits look like skill | no attacker: labels come from those whom the score sent out, so that it confirms itself | the share of wrong forms at each score, among forms drawn at random (chapter 5, labels); the office measures it |
# | fairness | training | parents of other nationality; nobody gains that could not be had otherwise | no attacker: a feature stands for a group, and others stand for it when it is gone | of the right forms, the share set aside, by group, with an interval (chapter 5); an auditor with scores, outcomes and groups |
# | interpretability, accountability | answer | the parent who cannot object; an office that need not answer | a cheat who wants an allowance, sees no score, knows the form, and may change what is not checked: the secret is meant against this one. Against an official's error there is nothing | of the objections that were made with a reason given, and without, how many were upheld (chapters 4 and 8); a court or an ombudsman |

# %% [markdown]
# ## Task 3 · What your reader will remember
#
# *1 point · 20 minutes · graded by a human, with the rubric below*
#
# Read [lecture 0.1](../../lectures/00_foundations/trust.ipynb).
#
# In one to three sentences: what in your essay would your reader tell a friend tomorrow?
#
# *Rubric: the wow.* 1 point: something true that a clever reader would not have thought of
# before, and that the essay bears out: a connection, a number, a question, a turn. ½ point: it
# is surprising and the essay does not bear it out, or it is borne out and was to be expected.
#
# <details><summary>Hint 1: where surprise comes from</summary>
#
# Look for what everybody takes for the safe part of your application: the human at the end,
# the secrecy, the large test set, the column that was deleted. Is it?
#
# </details>

# %% [markdown] nbgrader={"grade": true, "grade_id": "3a_wow", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# Everybody names the human at the end as the safeguard. Here the human was the weakest part:
# told the verdict and not the reasons, the official could only agree with it. A person in the
# loop protects nobody unless the loop brings the person something to judge by.

# %% [markdown]
# ## An essay, and what it got
#
# This is about another application. Read it, give it points by the rubrics above, and then
# look.
#
# <details><summary>The essay</summary>
#
# **A watch over the ward**
#
# Sepsis is what happens when the body answers an infection so fiercely that it harms
# itself. It kills within days, and it begins quietly. So hospitals in the United States let
# a program of a maker of health records watch their patients. Every 15 minutes it computes
# a score from what is in the record, such as pulse, temperature and blood tests. If the
# score is high, a nurse gets an alert.
#
# The program was bought by hundreds of hospitals. Researchers at the University of Michigan
# tried it on 38,455 stays of their own hospital, and found an area under the curve of 0.63,
# where the maker had told of at least 0.76 [1]. Two of three patients with sepsis were not
# found.
#
# Why? One reason may be that a score that is trained in one hospital learns what that
# hospital does. Where doctors order a blood test because they suspect an infection, the
# order itself is a feature. In another hospital tests are ordered for other reasons. This is
# called distribution shift.
#
# There are also privacy problems, because health data are very sensitive and should be
# protected. Moreover, hackers could change the record, and then the AI would decide wrongly.
# Also, such systems are expensive for small hospitals. And it is a black box, so that
# doctors do not know why there is an alert. All these issues must be solved before we can
# trust AI in medicine.
#
# A hospital could at least do this: run the score silently for three months, without alerts,
# and count what it would have found. That needs no secret of the maker's, and a few hundred
# patients with sepsis are enough to tell 0.63 from 0.76.
#
# The program is allowed because a score is an aid and no doctor. But a nurse who gets an
# alert for one patient in five stops reading alerts. What is meant as help takes the
# attention that finds the sick.
#
# *Source.* [1] Wong et al., External validation of a widely implemented proprietary sepsis
# prediction model in hospitalized patients, JAMA Internal Medicine 181(8), 2021.
#
# *Card:*
#
# - accuracy · data and training · patients · the model meets another hospital · area under
#   the curve in the own hospital, by the hospital (chapter 0)
# - privacy · data · patients · hackers · ?
# - security · model · patients · hackers · ?
#
# *What a reader remembers:* every hospital can find out for itself, without the maker's help
# and without touching a patient, whether the alarm works. Hundreds did not.
#
# </details>
#
# <details><summary>What it got: 2½ of 5 points, and the grader's comments</summary>
#
# **Clarity: 1 of 2.** One reading is enough to see what the program does and whom it touches
# (1); "area under the curve" should be explained, as "sepsis" is. The fourth paragraph has
# five thoughts, and none follows from the last (0 of ½). With it the essay has padding, and
# without it fewer than 300 words (0 of ½): two of the five thoughts, followed to their end,
# would fill the page.
#
# **Relation to trust: ½ of 2.** The first issue is real, belongs to this program and has
# a number that can come out either way (½). The other two could be said of any program with
# data: no place where the record would be changed, nobody who would gain, no goal, knowledge
# or capability, no number. That a system is expensive is no issue of trust. The issue that
# the essay itself finds at its end, alerts that eat attention, is the best of them, and it is
# missing on the card: of a hundred alerts, how many were right, and how many were looked at
# within an hour?
#
# **Wow: 1 of 1.** A silent trial is cheap, needs nobody's leave, and decides. The essay
# bears it out with an order of size for how many patients it takes.
#
# </details>

# %% [markdown]
# ## Before you submit
#
# Save, and run `tml check h0_essay.ipynb`. It lists what is missing, and says
# `ready to submit` when nothing is.
