"""Names of indexes: made to fit, refused with one that would do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecsearch import naming
from vecsearch.backends.base import Names
from vecsearch.errors import ConfigError

RULES = {
    "words": Names(characters="A-Za-z0-9_", first="A-Za-z_"),
    "dots": Names(characters="A-Za-z0-9._-", first="A-Za-z0-9", last="A-Za-z0-9", shortest=3, longest=512),
    "short": Names(characters="a-z0-9-", first="a-z", last="a-z0-9", longest=45),
    "all but": Names(characters=r'^<>:"/\\|?*\0'),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@given(name=st.text(max_size=600))
def test_what_is_suggested_fits(rule, name):
    suggestion = naming.fitted(name, rule)
    assert naming.fits(suggestion, rule)
    assert naming.fitted(suggestion, rule) == suggestion
    if naming.fits(name, rule):
        assert suggestion == name
        naming.check(name, rule, "mydb")
    else:
        with pytest.raises(ConfigError, match="mydb"):
            naming.check(name, rule, "mydb")


@pytest.mark.parametrize("rule", [None, *RULES.values()], ids=["none", *RULES])
@pytest.mark.parametrize("key", [None, "photos", "A" * 63, "_"])
def test_names_that_are_made_fit_and_differ(rule, key):
    names = {naming.made(key, rule) for _ in range(20)}
    assert len(names) > 15
    assert all(rule is None or naming.fits(name, rule) for name in names)


def test_a_refusal_says_what_would_do():
    with pytest.raises(ConfigError) as caught:
        naming.check("My index", RULES["short"], "mydb")
    assert str(caught.value) == (
        "mydb cannot call an index 'My index': names have 1 to 45 characters [a-z0-9-], and begin with [a-z] "
        "and end with [a-z0-9]; 'my-index' would do"
    )
    naming.check(None, RULES["short"], "mydb")
    naming.check("anything at all", None, "mydb")
