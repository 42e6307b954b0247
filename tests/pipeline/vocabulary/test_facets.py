"""Facets by root and by rule; the rules file and its errors."""

import pytest

from pipeline.settings import RULES_FILE
from pipeline.vocabulary.facets import RulesError, assign_facets, load_rules, rule_effects

ROOTS = """
[roots]
subjects = "300191098"
materials = "300264091"
classifications = "300054134"
object_types = "300264092"
"""
KINDS = {
    "300264092": "facet",
    "300264091": "facet",
    "300264090": "facet",
    "300191098": "guide_term",
    "300054134": "hierarchy",
}
TREE = {
    "300264092": (),
    "300264091": (),
    "300264090": (),
    "300054134": ("300264090",),
    "300191098": ("300000001",),
    "300000001": ("300264092",),  # visual works
    "300000002": ("300191098",),  # portraits
    "300000003": ("300000002",),  # group portraits
    "300000004": ("300264091",),  # metal
    "300000005": ("300000004",),  # bronze
    "300000006": ("300054134",),  # heraldry
    "300000007": ("300264090",),  # an activity
    "300000008": ("300000005", "300264092"),  # in materials by its preferred parent
}


@pytest.fixture
def rules_file(tmp_path):
    file = tmp_path / "rules.toml"

    def write(text, roots=ROOTS):
        file.write_text(roots + text, encoding="utf-8")
        return file

    return write


def facets_with(concepts, rules_file, text):
    assigned = assign_facets(concepts(TREE, KINDS), load_rules(rules_file(text)))
    return dict(assigned.select("concept_id", "facet").iter_rows())


def test_the_root_nearest_in_the_order_of_testing_gives_the_facet(concepts, rules_file):
    facets = facets_with(concepts, rules_file, "")
    assert facets["300000001"] == "object_types"
    assert facets["300000002"] == "subjects"  # below a root inside the Objects Facet
    assert facets["300000005"] == "materials"
    assert facets["300000006"] == "classifications"
    assert facets["300000007"] is None
    assert facets["300000008"] == "materials"


def test_a_cut_concept_is_no_tag_and_what_stands_below_stays(concepts, rules_file):
    facets = facets_with(concepts, rules_file, '[[cut]]\nid = "300000004"\nreason = "too wide"\n')
    assert (facets["300000004"], facets["300000005"]) == (None, "materials")


def test_an_excluded_concept_takes_what_stands_below_along(concepts, rules_file):
    facets = facets_with(concepts, rules_file, '[[exclude]]\nid = "300000004"\nreason = "debris"\n')
    assert (facets["300000004"], facets["300000005"], facets["300000008"]) == (None, None, None)


def test_concepts_are_reassigned_whatever_the_roots_say_and_included_only_where_they_say_nothing(concepts, rules_file):
    text = """
    [[reassign]]
    id = "300000005"
    facet = "object_types"
    reason = "a stray"
    [[include]]
    id = "300264090"
    facet = "classifications"
    reason = "activities count as disciplines"
    """
    facets = facets_with(concepts, rules_file, text)
    assert (facets["300000004"], facets["300000005"], facets["300000008"]) == (
        "materials",
        "object_types",
        "object_types",
    )
    assert facets["300000007"] == "classifications"
    assert facets["300000006"] == "classifications"


def test_only_listed_subjects_are_tags(concepts, rules_file):
    facets = facets_with(concepts, rules_file, '[[subject]]\nid = "300000002"\nreason = "published"\n')
    assert (facets["300000002"], facets["300000003"], facets["300191098"]) == ("subjects", None, "subjects")


def test_headings_are_no_tags(concepts, rules_file):
    rules = load_rules(rules_file('[[heading]]\nlabel_begins = "temporary"\nreason = "editors\' list"\n'))
    rows = concepts(TREE, KINDS, {"300000004": "temporary alphabetical list: metal"})
    facets = dict(assign_facets(rows, rules).select("concept_id", "facet").iter_rows())
    assert (facets["300000004"], facets["300000005"]) == (None, "materials")


def test_what_each_rule_did_is_counted_and_a_rule_that_met_nothing_is_reported(concepts, rules_file):
    text = """
    [[cut]]
    id = "300000004"
    label = "metal"
    reason = "too wide"
    [[exclude]]
    id = "300000005"
    reason = "debris"
    [[cut]]
    id = "300000099"
    reason = "nowhere"
    [[cut]]
    id = "300000006"
    label = "hydraulics"
    reason = "a slip of the pen"
    """
    rows = concepts(TREE, KINDS, {"300000004": "Metal (material)", "300000006": "heraldry"})
    effects = rule_effects(rows, load_rules(rules_file(text)))
    assert effects.select("rule", "n_concepts", "problem").rows() == [
        ("cut 300000004 metal", 1, None),
        ("exclude 300000005", 2, None),
        ("cut 300000099", 0, "met nothing: no record reaches such a concept"),
        ("cut 300000006 hydraulics", 1, "the thesaurus calls it 'heraldry', the rules file 'hydraulics'"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[cut]\n", r"rules.toml is not TOML: .*line 7"),
        ('[[cut]]\nid = "300000004"\n', r"rules.toml: line 7: \[\[cut\]\] needs 'reason'"),
        ('[[cut]]\nid = "30000004"\nreason = "r"\n', r"line 7: \[\[cut\]\] '30000004' is not an AAT id"),
        ('[[cut]]\nid = 300000004\nreason = "r"\n', r"line 7: \[\[cut\]\] needs 'id', a text in quotes"),
        ('[[cut]]\nid = "300000004"\nreason = "r"\nwho = "me"\n', r"line 7: .* unknown key 'who'"),
        ('\n[[cutt]]\nid = "300000004"\nreason = "r"\n', r"line 8: 'cutt' is no kind of rule"),
        ('[cut]\nid = "300000004"\n', r"line 7: write each rule as \[\[cut\]\]"),
        (
            '[[cut]]\nid = "300000004"\nreason = "r"\n[[reassign]]\nid = "300000005"\nfacet = "colour"\nreason = "r"\n',
            r"line 10: \[\[reassign\]\] names the facet 'colour'",
        ),
        (
            '[[cut]]\nid = "300000004"\nreason = "r"\n\n[[cut]]\nid = "300000004"\nreason = "r"\n',
            r"line 11: 300000004 has a rule already, in line 7",
        ),
    ],
)
def test_a_malformed_rules_file_is_told_with_its_line(rules_file, text, message):
    with pytest.raises(RulesError, match=message):
        load_rules(rules_file(text))


def test_roots_must_name_the_four_facets(rules_file):
    with pytest.raises(RulesError, match=r"line 2: \[roots\] must name"):
        load_rules(rules_file("", '\n[roots]\nsubjects = "300191098"\n'))
    with pytest.raises(RulesError, match=r"line 4: root of materials: '300' is not an AAT id"):
        load_rules(rules_file("", ROOTS.replace("300264091", "300")))


def test_a_missing_rules_file_is_told(tmp_path):
    with pytest.raises(RulesError, match="cannot be read"):
        load_rules(tmp_path / "none.toml")


def test_the_rules_we_ship_are_well_formed():
    rules = load_rules(RULES_FILE)
    assert list(rules.roots) == ["subjects", "classifications", "materials", "object_types"]
    assert len(rules.of("subject")) == 8  # paper: eight subjects
    assert all(rule.reason for rule in rules.rules)
