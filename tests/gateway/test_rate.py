from hypothesis import given
from hypothesis import strategies as st

from clock import Clock
from gemvec.gateway.rate import Rate, RateMeter

RATES = st.builds(Rate, texts=st.integers(0, 20), tokens=st.integers(0, 200))
SENDINGS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 300), st.floats(0, 90)), max_size=40)


def test_what_fits_into_the_minute_may_be_sent_at_once():
    meter = RateMeter(Rate(texts=3), Clock())
    meter.note(2, 1000)
    assert meter.seconds_until(1, 1000) == 0


def test_what_does_not_fit_waits_until_enough_is_a_minute_old():
    clock = Clock()
    meter = RateMeter(Rate(texts=3), clock)
    for clock.now in (0.0, 10.0, 20.0):
        meter.note(1, 1)
    clock.now = 25.0
    assert [meter.seconds_until(texts, 1) for texts in (1, 2, 3)] == [35.0, 45.0, 55.0]


def test_tokens_are_held_to_their_own_rate():
    meter = RateMeter(Rate(texts=100, tokens=50), Clock())
    meter.note(1, 40)
    assert meter.seconds_until(1, 10) == 0
    assert meter.seconds_until(1, 11) == 60


def test_what_is_more_than_the_rate_by_itself_waits_for_a_minute_of_silence():
    clock = Clock()
    meter = RateMeter(Rate(texts=3), clock)
    assert (meter.seconds_until(5, 1), meter.has_room(5, 1)) == (0, False)
    meter.note(1, 1)
    assert meter.seconds_until(5, 1) == 60


def test_without_a_rate_nothing_waits():
    meter = RateMeter(Rate(), Clock())
    meter.note(10**6, 10**9)
    assert meter.seconds_until(10**6, 10**9) == 0
    assert Rate().seconds_for(10**6, 10**9) == 0


def test_the_slower_of_two_rates_says_how_long_much_takes():
    assert Rate(texts=60, tokens=100).seconds_for(30, 200) == 120


@given(rate=RATES, sendings=SENDINGS)
def test_no_sixty_seconds_see_more_than_the_rate_but_what_is_more_by_itself(rate, sendings):
    clock = Clock()
    meter, sent = RateMeter(rate, clock), []
    for texts, tokens, pause in sendings:
        clock.now += pause
        clock.now += meter.seconds_until(texts, tokens)
        assert meter.seconds_until(texts, tokens) < 1e-6  # of rounding
        meter.note(texts, tokens)
        sent.append((clock.now, texts, tokens))
    for index, (start, *_) in enumerate(sent):
        minute = [each for each in sent[index:] if each[0] < start + 59.999]
        for unit, limit in ((1, rate.texts), (2, rate.tokens)):
            total = sum(each[unit] for each in minute)
            assert not limit or total <= limit or len(minute) == 1
