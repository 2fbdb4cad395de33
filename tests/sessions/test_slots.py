"""Slots go to whoever has fewest, are given back by whoever leaves, and do not hold up the gateway's short way."""

from __future__ import annotations

import threading
import time

import pytest

from strop.errors import RunStopped
from strop.gateway import ModelSettings, Switch
from strop.gateway.pace import Pace
from strop.sessions.slots import DeclaringPace, ModelLanes, Slots, Traffic


def waiting(slots: Slots, who: str, switch: Switch, said: list[str]) -> threading.Thread:
    def wait() -> None:
        try:
            with slots.hold(who, switch):
                said.append(who)
        except RunStopped:
            said.append(f"{who} stopped")

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.02)
    return thread


def test_the_next_slot_is_for_the_model_that_holds_fewest():
    slots, said, switch = Slots(2), [], Switch()
    with slots.hold("a", switch):
        with slots.hold("a", switch):
            crew = [waiting(slots, "a", switch, said), waiting(slots, "b", switch, said)]
            assert said == []
        for thread in crew:
            thread.join()
    assert said == ["b", "a"]
    assert slots.in_flight("a") == slots.in_flight("b") == 0
    assert slots.peak == 2


def test_who_is_stopped_while_waiting_leaves_the_place_to_others():
    slots, said, stopped, switch = Slots(1), [], Switch(), Switch()
    with slots.hold("a", switch):
        first, second = waiting(slots, "b", stopped, said), waiting(slots, "c", switch, said)
        stopped.trip("cancelled", "stopped")
        first.join()
        assert said == ["b stopped"]
    second.join()
    assert said == ["b stopped", "c"]
    assert slots.in_flight("b") == 0


def test_overdue_calls_are_found_once_and_an_ended_model_gives_everything_back():
    traffic, switch = Traffic(4), Switch()
    lanes = ModelLanes(traffic, "a", 0.01)
    pace = DeclaringPace(Pace(ModelSettings(model="sim/a")), traffic.declared, "a")
    with pace.turn(1, switch), lanes.made.one(switch), pace.turn(1, switch):
        time.sleep(0.03)
        found = traffic.in_flight.overdue()
        assert list(found) == ["a"]
        assert found["a"] >= 0.02
        assert traffic.in_flight.overdue() == {}
        assert (traffic.in_flight.in_flight("a"), traffic.declared.in_flight("a")) == (0, 2)
        traffic.abandon("a")
        assert traffic.declared.in_flight("a") == 0
    assert (traffic.declared.limit, traffic.in_flight.in_flight("a"), traffic.declared.in_flight("a")) == (5, 0, 0)


@pytest.mark.parametrize(("settings", "limits"), [({}, False), ({"requests_per_minute": 9}, True)])
def test_only_a_models_own_limits_make_the_gateway_look_before_it_declares(settings, limits):
    pace = DeclaringPace(Pace(ModelSettings(model="sim/a", **settings)), Slots(1), "a")
    assert pace.limits is limits


def test_who_gets_a_slot_after_the_stop_leaves_it_unused():
    slots, switch, said = Slots(1), Switch(), list[str]()
    with slots.hold("a", switch):
        thread = waiting(slots, "a", switch, said)
        switch.trip("provider_down", "given up")
    thread.join(10)
    assert said == ["a stopped"]
    assert slots.in_flight("a") == 0
