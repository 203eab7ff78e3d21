"""What a reader does with the book in Chromium, served and from a file: the first page, search, colours, quizzes."""

import pytest
from playwright.sync_api import Browser, expect
from reading import Reader

pytestmark = pytest.mark.browser

LECTURE = "lectures/10_distillation/response_based"
WITH_QUIZ = "book/how_to_use"


def test_first_page_opens_by_itself(reader: Reader) -> None:
    reader.page.goto(f"{reader.origin}index.html")
    reader.page.wait_for_url("**/book/index.html")
    expect(reader.page.locator("article h1")).to_contain_text("Trustworthy Machine Learning")


def test_search_finds_the_lecture(reader: Reader) -> None:
    page = reader.open("book/index.html")
    page.keyboard.press("Control+k")
    page.locator("#pst-search-dialog input").fill("temperature")
    page.keyboard.press("Enter")
    found = page.locator(f"#search-results a[href*='{LECTURE}.html']").first
    expect(found).to_be_visible()
    found.click()
    expect(page.locator("article h1")).to_be_visible()


def test_chosen_colours_stay(reader: Reader) -> None:
    page = reader.open("book/index.html")
    page.locator("button.theme-switch-button:visible").click()
    chosen = page.locator("html").get_attribute("data-mode")
    assert chosen in ("light", "dark")
    reader.open("book/notation.html")
    expect(page.locator("html")).to_have_attribute("data-theme", chosen)


@pytest.mark.parametrize("name", [WITH_QUIZ, LECTURE])
def test_every_option_of_a_quiz_says_why(reader: Reader, name: str) -> None:
    quizzes = reader.open(f"{name}.html").locator("form.quiz")
    assert quizzes.count() > 0
    for quiz in quizzes.all():
        options = quiz.locator(".quiz-option")
        for option in options.all():
            expect(option.locator("details > :not(summary)").first).to_be_hidden()
        for option in options.all():
            option.locator("input").check()
            expect(option.locator("details > :not(summary)").last).to_be_visible()
            right = option.get_attribute("data-verdict") == "right"
            expect(quiz.locator(".quiz-verdict")).to_contain_text("Right." if right else "Not this one")
            quiz.locator(".quiz-reset").click()


def test_quiz_by_keyboard_survives_a_reload(reader: Reader) -> None:
    page = reader.open(f"{WITH_QUIZ}.html")
    quiz = page.locator("form.quiz")
    first, second, third = quiz.locator(".quiz-option").all()
    first.locator("input").focus()
    page.keyboard.press("Space")
    expect(first.locator(".quiz-mark")).to_have_text("Not this one.")
    page.keyboard.press("ArrowDown")
    expect(second.locator(".quiz-mark")).to_have_text("Right.")
    expect(third.locator(".quiz-mark")).to_be_visible()  # who has found the answer may read all reasons

    page.reload()
    expect(second.locator("input")).to_be_checked()
    expect(second.locator(".quiz-mark")).to_be_visible()
    quiz.locator(".quiz-reset").click()
    page.reload()
    expect(second.locator("input")).not_to_be_checked()
    expect(second.locator(".quiz-mark")).to_be_hidden()


def test_quiz_without_javascript(browser: Browser, origin: str) -> None:
    reader = Reader(browser, origin, java_script_enabled=False)
    reader.page.goto(f"{origin}{WITH_QUIZ}.html")
    option = reader.page.locator("form.quiz .quiz-option").first
    option.locator("summary").click()
    expect(option.locator(".quiz-mark")).to_be_visible()
    reader.context.close()
    assert reader.complaints == []
