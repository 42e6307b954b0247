"""Decisions stay consistent with the thesaurus, and undo brings back what was."""

from hypothesis import given
from hypothesis import strategies as st

from ml.assistant.annotation import Change, Step, decide, fold, implied
from ml.assistant.vocabulary import Term, Vocabulary

METAL, NONFERROUS, ALLOY, BRONZE, SILVER = "300010900", "300011017", "300010939", "300010957", "300011029"
TREE = Vocabulary(
    [
        Term(METAL, "materials"),
        Term(NONFERROUS, "materials", (METAL,)),
        Term(ALLOY, "materials", (NONFERROUS,)),
        Term(BRONZE, "materials", (ALLOY,)),
        Term(SILVER, "materials", (NONFERROUS,)),
    ]
)


def test_accepting_a_tag_implies_the_tags_above_it():
    assert implied({BRONZE: "accepted"}, TREE) == sorted([METAL, NONFERROUS, ALLOY])


def test_a_tag_accepted_itself_is_not_listed_as_implied():
    assert implied({BRONZE: "accepted", METAL: "accepted"}, TREE) == sorted([NONFERROUS, ALLOY])


def test_rejecting_a_tag_withdraws_acceptances_below_it():
    verdicts = {BRONZE: "accepted", SILVER: "accepted"}
    assert decide(verdicts, ALLOY, "reject", TREE) == (Change(ALLOY, "reject"), Change(BRONZE, "withdraw", ALLOY))


def test_accepting_a_tag_lifts_a_rejection_above_it():
    assert decide({METAL: "rejected"}, BRONZE, "accept", TREE) == (
        Change(BRONZE, "accept"),
        Change(METAL, "withdraw", BRONZE),
    )


def test_rejecting_a_tag_below_an_accepted_one_leaves_it():
    assert decide({METAL: "accepted"}, BRONZE, "reject", TREE) == (Change(BRONZE, "reject"),)


def test_a_further_parent_counts_too():
    tree = Vocabulary([Term("1", "subjects"), Term("2", "subjects"), Term("3", "subjects", ("1", "2"))])
    assert implied({"3": "accepted"}, tree) == ["1", "2"]
    assert decide({"3": "accepted"}, "2", "reject", tree) == (Change("2", "reject"), Change("3", "withdraw", "2"))


ACTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["accept", "reject", "withdraw"]), st.sampled_from(sorted(TREE.terms))),
        st.just(("undo", "")),
    ),
    max_size=25,
)


def played(acts) -> list[Step]:
    """The log that these acts leave, as the store writes it."""
    steps: list[Step] = []
    for action, tag in acts:
        version = len(steps) + 1
        if action == "undo":
            undone = {step.undoes for step in steps if step.kind == "undo"}
            open_steps = [step for step in steps if step.kind != "undo" and step.version not in undone]
            if open_steps:
                steps.append(Step(version, "undo", undoes=open_steps[-1].version))
        else:
            steps.append(Step(version, "decide", decide(fold(steps), tag, action, TREE)))
    return steps


@given(ACTS)
def test_no_tag_is_accepted_below_a_rejected_one(acts):
    verdicts = fold(played(acts))
    for tag, stand in verdicts.items():
        if stand == "accepted":
            assert not [above for above in TREE.ancestors(tag) if verdicts.get(above) == "rejected"]


@given(ACTS, st.sampled_from(["accept", "reject"]), st.sampled_from(sorted(TREE.terms)))
def test_undo_gives_back_exactly_what_was_before(acts, action, tag):
    before = played(acts)
    after = played([*acts, (action, tag), ("undo", "")])
    assert fold(after) == fold(before)
